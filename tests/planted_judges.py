"""Judges whose faults are known, and judges without fault, of conditions that truly differ.

Conditions differ in quality and in length, and the better ones write longer replies; within a
condition a reply's quality and its length are independent, or correlate by *within*. A judge sees a
reply's quality with noise, on a scale of its own: lenient or stern, wide or narrow.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from empathy_core.stats import BiasPanel, JudgedPairs, JudgedScores, Resampler, bias_panel

LABELS = (1.0, 2.0, 3.0, 4.0, 5.0)
FAULTS = {
    "always five": "one_label",
    "prefers the first": "order",
    "prefers the longest": "verbosity",
    "prefers at random": "swap",
    "scores the longest": "length",
    "prefers itself": "self_preference",
    "random": "repeatability",
    "answers outside the labels": "outside_labels",
}
"""A planted judge and the check that must name it."""


@dataclass(frozen=True)
class Replies:
    """What is judged: quality and log length (conditions, rows), and each row's question."""

    quality: np.ndarray
    log_length: np.ndarray
    clusters: np.ndarray


def replies(
    random: np.random.Generator, n_questions: int, n_conditions: int = 4, within: float = 0.0
) -> Replies:
    """Return replies of conditions from bad and short to good and long."""
    clusters = np.repeat(np.arange(n_questions), random.integers(1, 3, n_questions))
    shape = n_conditions, len(clusters)
    own = random.normal(size=shape)
    longer = within * own + np.sqrt(1 - within**2) * random.normal(size=shape)
    step = np.linspace(-1, 1, n_conditions)[:, None]
    easy, asks = random.normal(size=(2, n_questions))[:, clusters]
    return Replies(
        0.7 * own + 0.5 * easy + 0.6 * step,
        5.3 + 0.3 * longer + 0.15 * asks + 0.35 * step,
        clusters,
    )


def rated(
    random: np.random.Generator, quality: np.ndarray, noise: float = 0.5, middle: float = 3.2,
    width: float = 0.9,
) -> np.ndarray:  # fmt: skip
    """Return expected values of a scale from 1 to 5, which end at its ends."""
    seen = middle + width * (quality + noise * random.normal(size=quality.shape))
    return 1 + 4 * expit((seen - 3) * 1.1)


def another(random: np.random.Generator, quality: np.ndarray) -> np.ndarray:
    """Return the scores of a clean judge of any temper."""
    middle, width = random.uniform(2.8, 3.8), random.uniform(0.6, 1.1)
    return rated(random, quality, random.uniform(0.4, 0.8), middle, width)


def preferences(
    random: np.random.Generator, of: Replies, quality: np.ndarray, first: float = 0.0
) -> JudgedPairs:
    """Return both orders of all pairs; *first* is what the place adds to the log-odds."""
    i, j = np.triu_indices(len(quality), 1)
    apart = 1.5 * (quality[i] - quality[j])
    ab, ba = (
        expit(sign * apart + first + 0.5 * random.normal(size=apart.shape)) for sign in (1, -1)
    )
    n_rows = quality.shape[1]
    longer = np.exp(of.log_length[i]) - np.exp(of.log_length[j])
    return JudgedPairs(
        ab.ravel(), ba.ravel(), longer.ravel(), np.repeat(np.arange(len(i)), n_rows),
        np.tile(of.clusters, len(i)),
    )  # fmt: skip


def clean(random: np.random.Generator, of: Replies) -> tuple[JudgedScores, JudgedPairs]:
    """Return what a judge without fault says: noise, a temper, a slight lean to the first place."""
    temper = random.uniform(2.8, 3.8), random.uniform(0.6, 1.1)
    wordings = [
        rated(random, of.quality, 0.5, temper[0] + random.uniform(-0.2, 0.2), temper[1])
        for _ in range(3)
    ]
    own = np.arange(len(of.quality)) == random.integers(len(of.quality))
    scores = JudgedScores(
        wordings[0], of.log_length, LABELS, mass=random.beta(8, 1, of.quality.shape), own=own,
        others=np.stack([another(random, of.quality) for _ in range(2)]),
        wordings=np.stack(wordings[1:]),
    )  # fmt: skip
    pairs = preferences(random, of, of.quality, first=random.uniform(-0.2, 0.2))
    return scores, pairs


def faulty(
    random: np.random.Generator, of: Replies, fault: str
) -> tuple[JudgedScores, JudgedPairs]:
    """Return what a judge says that has one of the faults, and sees quality otherwise."""
    scores, pairs = clean(random, of)
    length = (of.log_length - of.log_length.mean()) / of.log_length.std()
    ab, ba = random.random((2, len(pairs.pairs)))
    guesses = [rated(random, random.normal(size=of.quality.shape)) for _ in range(3)]
    low = random.random(of.quality.shape) < 0.3
    in_pairs = {
        "prefers the longest": lambda: preferences(random, of, length),
        "prefers the first": lambda: preferences(random, of, of.quality, first=2.0),
        "prefers at random": lambda: replace(pairs, first_of_ab=ab, first_of_ba=ba),
    }
    in_scores = {
        "always five": lambda: {"scores": np.full(of.quality.shape, 5.0)},
        "scores the longest": lambda: {"scores": rated(random, length)},
        "prefers itself": lambda: {"scores": rated(random, of.quality + 1.5 * scores.own[:, None])},
        "random": lambda: {"scores": guesses[0], "wordings": np.stack(guesses[1:])},
        "answers outside the labels": lambda: {"mass": np.where(low, 0.2, scores.mass)},
    }
    if fault in in_pairs:
        return scores, in_pairs[fault]()
    return replace(scores, **in_scores[fault]()), pairs


def panel(
    of: Replies, said: tuple[JudgedScores, JudgedPairs], seed: int = 0, n_resamples: int = 1999
) -> BiasPanel:
    """Return the panel of what a judge said."""
    return bias_panel(said[0], Resampler(of.clusters, n_resamples, seed), said[1])
