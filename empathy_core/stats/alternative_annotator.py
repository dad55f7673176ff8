"""Whether a judge may stand in for one of the raters: the Alternative Annotator Test. Pure.

Calderon, Reichart and Dror (2025), The Alternative Annotator Test for LLM-as-a-Judge: How to
Statistically Justify Replacing Human Annotators with LLMs (ACL; arXiv 2501.10970). Each rater in
turn is left out: is the judge nearer to the others than that rater is?

A judge that gives everyone the same label can pass, since it is nearer to the others wherever they
agree on what is common: run ``constant_judges`` and ``shuffled_judge`` beside each judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from empathy_core.stats.corrections import benjamini_yekutieli
from empathy_core.stats.intervals import ROUNDING

LEAST_ITEMS = 30
"""Fewer items of a rater make no test."""
EPSILONS = {"experts": 0.2, "skilled": 0.15, "crowd": 0.1}
"""How much better than the judge a rater may be, who costs more: by who the raters are."""
FALSE_DISCOVERIES = 0.05
PASSED = 0.5

Nearness = Literal["accuracy", "rmse"]


@dataclass(frozen=True, slots=True)
class AgainstRater:
    """A judge against one rater.

    Attributes:
        rater: Its number.
        advantage: Share of items on which the judge is at least as near to the others as the
            rater is (rho); null without an item.
        difference: Mean of d: the rater is at least as near, less the judge is, by question.
        p: One-sided, of the hypothesis that *difference* is epsilon or more; null with fewer than
            ``LEAST_ITEMS`` items, or where d is the same in all questions.
        p_corrected: Benjamini and Yekutieli's, over the raters with a test.
        n: Items that the rater, another, and the judge have rated.
        n_questions: Their questions, which the test counts.
    """

    rater: int
    advantage: float | None
    difference: float | None
    p: float | None
    p_corrected: float | None
    n: int
    n_questions: int


@dataclass(frozen=True, slots=True)
class AlternativeAnnotator:
    """The test of a judge.

    Attributes:
        raters: Of each rater.
        winning_rate: Share of the raters with a test whom the judge may stand in for (omega);
            null without a test.
        advantage: Mean advantage over these raters (rho), by which judges compare; null as
            *winning_rate*.
        epsilon: See ``EPSILONS``.
        nearness: ``accuracy``: share of others with the same label, scores rounded to labels
            before; ``rmse``: the less the root mean square distance from them, the nearer.
        n_dropped: Items with a rating that count for no rater: rated by one alone, or not judged.
    """

    raters: tuple[AgainstRater, ...]
    winning_rate: float | None
    advantage: float | None
    epsilon: float
    nearness: Nearness
    n_dropped: int

    @property
    def passed(self) -> bool | None:
        """Whether the judge may stand in for half of the raters or more; null without a test."""
        return None if self.winning_rate is None else self.winning_rate >= PASSED


def alternative_annotator(
    judge: np.ndarray,
    ratings: np.ndarray,
    questions: Sequence[int] | np.ndarray,
    *,
    epsilon: float = EPSILONS["experts"],
    nearness: Nearness = "rmse",
    least_items: int = LEAST_ITEMS,
) -> AlternativeAnnotator:
    """Test whether *judge* may stand in for the raters.

    For rater j and item i let S(f, i) and S(j, i) be the nearness of judge and rater to all other
    raters of the item. Each wins where it is at least as near as the other, so that both win a
    tie. d = (rater wins) - (judge wins), averaged over the items of a question since these are not
    independent; Student's one-sided t of H0: mean d >= epsilon; over raters Benjamini and
    Yekutieli at ``FALSE_DISCOVERIES``.

    Args:
        judge: Shape (items,): scores, expected values too; NaN where there is none.
        ratings: Shape (raters, items); NaN where one has not rated.
        questions: Shape (items,): the question of each item.
        epsilon: See ``EPSILONS``.
        nearness: See ``AlternativeAnnotator``.
        least_items: See ``LEAST_ITEMS``.

    Raises:
        ValueError: There are fewer than two raters, or arrays are of other items.
    """
    judge, ratings, questions = _of_items(judge, ratings, questions)
    if nearness == "accuracy":
        judge = _nearest_label(judge, ratings)
    usable = ((~np.isnan(ratings)).sum(axis=0) >= 2) & ~np.isnan(judge)
    parts = [_against(judge, ratings, questions, usable, j, nearness) for j in range(len(ratings))]
    found = [_tested(*part, epsilon=epsilon, least_items=least_items) for part in parts]
    corrected = benjamini_yekutieli([of[2] for of in found])
    raters = tuple(
        AgainstRater(j, *of[:3], p, *of[3:])
        for j, (of, p) in enumerate(zip(found, corrected, strict=True))
    )
    tested = [of for of in raters if of.p_corrected is not None]
    won = [of.p_corrected is not None and of.p_corrected <= FALSE_DISCOVERIES for of in tested]
    rated = (~np.isnan(ratings)).any(axis=0)
    return AlternativeAnnotator(
        raters,
        float(np.mean(won)) if tested else None,
        float(np.mean([of.advantage for of in tested])) if tested else None,
        epsilon, nearness, int((rated & ~usable).sum()),
    )  # fmt: skip


def _of_items(
    judge: np.ndarray, ratings: np.ndarray, questions: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all as arrays of the same items.

    Raises:
        ValueError: They are not, or there are fewer than two raters.
    """
    judge, ratings = np.asarray(judge, float), np.asarray(ratings, float)
    numbers = np.asarray(questions)
    shapes = (judge.shape, numbers.shape)
    if ratings.ndim != 2 or len(ratings) < 2 or shapes != (ratings.shape[1:],) * 2:
        raise ValueError(
            f"ratings of shape {ratings.shape}, judge scores {judge.shape} and questions "
            f"{numbers.shape} do not fit; give (raters, items) with two raters at least, and "
            "(items,)"
        )
    return judge, ratings, numbers


def _nearest_label(judge: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """Return each score's nearest label that a rater has given; the lower one of two."""
    labels = np.unique(ratings[~np.isnan(ratings)])
    if not len(labels):
        return judge
    nearest = labels[np.argmin(np.abs(np.nan_to_num(judge)[:, None] - labels), axis=1)]
    return np.where(np.isnan(judge), np.nan, nearest)


def _against(
    judge: np.ndarray,
    ratings: np.ndarray,
    questions: np.ndarray,
    usable: np.ndarray,
    j: int,
    nearness: Nearness,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for rater *j* whether judge and rater win (items,), and the items' questions."""
    kept = usable & ~np.isnan(ratings[j])
    others = np.delete(ratings, j, axis=0)[:, kept]
    of_judge, of_rater = (_far(of[kept], others, nearness) for of in (judge, ratings[j]))
    apart = of_judge - of_rater
    return apart <= ROUNDING, apart >= -ROUNDING, questions[kept]


def _far(given: np.ndarray, others: np.ndarray, nearness: Nearness) -> np.ndarray:
    """Return how far labels (items,) are from those of *others* (raters, items); NaN is none.

    The mean square, which orders as its root does, or the share of other labels.
    """
    known = ~np.isnan(others)
    distance = (others - given) ** 2 if nearness == "rmse" else (others != given).astype(float)
    return np.asarray(np.where(known, distance, 0.0).sum(axis=0) / known.sum(axis=0))


def _tested(
    judge_wins: np.ndarray, rater_wins: np.ndarray, questions: np.ndarray, *, epsilon: float,
    least_items: int,
) -> tuple[float | None, float | None, float | None, int, int]:  # fmt: skip
    """Return advantage, mean d, p, and the numbers of items and questions."""
    from scipy.special import stdtr

    n = len(questions)
    if not n:
        return None, None, None, 0, 0
    numbers, sizes = np.unique(questions, return_inverse=True, return_counts=True)[1:]
    d = np.bincount(numbers, rater_wins.astype(float) - judge_wins) / sizes
    advantage, mean, m = float(judge_wins.mean()), float(d.mean()), len(d)
    spread = float(d.std(ddof=1)) if m > 1 else 0.0
    if n < least_items or spread <= ROUNDING:
        return advantage, mean, None, n, m
    p = float(stdtr(m - 1, (mean - epsilon) / (spread / np.sqrt(m))))
    return advantage, mean, p, n, m


# ---------------------------------------------------------------------------- controls


def constant_judges(ratings: np.ndarray) -> dict[str, np.ndarray]:
    """Return judges that know nothing of an answer: the mode and the mean of all ratings.

    Args:
        ratings: Shape (raters, items), with at least one rating; NaN where there is none.

    Returns:
        By ``mode`` (the least of equally frequent ones) and ``mean``, shape (items,).
    """
    given = ratings[~np.isnan(ratings)]
    labels, counts = np.unique(given, return_counts=True)
    constants = {"mode": float(labels[np.argmax(counts)]), "mean": float(given.mean())}
    return {name: np.full(ratings.shape[1], value) for name, value in constants.items()}


def shuffled_judge(judge: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return *judge* (items,) with its scores in another order: its spread, and no knowledge.

    Scores stay where there is one.
    """
    found = np.array(judge, float)
    known = ~np.isnan(found)
    found[known] = np.random.default_rng(seed).permutation(found[known])
    return found
