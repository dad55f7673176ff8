"""A judge held against people who rated the same answers: how far it may be believed. Pure.

Nothing here depends on the judge being a language model: a constant, and the judge's own scores in
another order, are held against people likewise. What does not beat these has no knowledge of an
answer, however well it agrees (``gains``).

Expected values of a judge's answer are compared as they are (root mean square error, ICC, interval
alpha, the Alternative Annotator Test by RMSE). Kappa and the order of two answers are of labels, so
that scores are rounded to the nearest before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from empathy_core.stats.agreement import interval_alpha
from empathy_core.stats.alternative_annotator import (
    EPSILONS,
    AlternativeAnnotator,
    alternative_annotator,
    constant_judges,
    shuffled_judge,
)
from empathy_core.stats.coefficients import Coefficient, estimates, ratio
from empathy_core.stats.flags_seen import FlagsSeen, flags_seen
from empathy_core.stats.judge_checks import Questioned, length
from empathy_core.stats.judged import JudgedScores
from empathy_core.stats.rater_effects import rater_effects
from empathy_core.stats.rater_pairs import alpha, first_with_each, intraclass, kappa
from empathy_core.stats.refusals import Refusal
from empathy_core.stats.resampling import Resampler
from empathy_core.stats.results import Estimate
from empathy_core.stats.same_order import MeansAgree, SameOrder, mean_agreement, order_agreement

CONTROLS = ("mode", "mean", "shuffled")
"""What knows nothing of an answer: people's most frequent label, their mean, and the judge's own
scores in another order."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgeAndPeople:
    """What a judge and people said of the same answers, on one dimension.

    Attributes:
        judge: Shape (conditions, rows): expected values; NaN where there is none.
        ratings: Shape (raters, conditions, rows); NaN where one has not rated.
        labels: The scale's values, ascending.
        better: Which end is the better one; null for a profile, of which nothing is a flag.
        log_lengths: Of the answers, shape (conditions, rows); NaN where there is none.
        own: Which conditions are the judge's own model, shape (conditions,).

    Raises:
        ValueError: The arrays are of different answers.
    """

    judge: np.ndarray
    ratings: np.ndarray
    labels: tuple[float, ...]
    better: str | None
    log_lengths: np.ndarray
    own: np.ndarray

    def __post_init__(self) -> None:
        shapes = {self.judge.shape, self.ratings.shape[1:], self.log_lengths.shape}
        if len(shapes) > 1 or self.judge.ndim != 2 or self.own.shape != self.judge.shape[:1]:
            raise ValueError(
                f"scores {self.judge.shape}, ratings {self.ratings.shape}, lengths "
                f"{self.log_lengths.shape} and own {self.own.shape} do not fit; give the shapes "
                "(conditions, rows), (raters, conditions, rows) and (conditions,)"
            )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people, on the answers that both have rated.

    People's value of an answer is the mean of its ratings as a rater of average severity would give
    them (``rater_effects``). Intervals are over questions; severities are taken as they are.

    Attributes:
        n: Answers with a score and a rating.
        n_raters: Who rated any of them.
        n_questions: Their questions.
        people: Mean of people's values, to which *bias* is added.
        bias: Mean of score less people's value, in points.
        biases: Likewise of each condition.
        rmse: Root mean square difference of scores from single ratings.
        gains: By each of ``CONTROLS``: its error less the judge's, so that above 0 the judge is
            nearer to people. Both are of the same answers; *mean* is taken anew in each resample,
            *shuffled* is the mean over all orders.
        kappa: Quadratic, of rounded scores with each rater, mean over raters.
        alpha: Interval alpha of the judge with each rater, mean over raters.
        alpha_people: Krippendorff's interval alpha of the raters, to be compared with it; null
            with one rater.
        icc_absolute: ICC(A,1) of scores with people's values; *icc_consistency*: ICC(C,1).
        order: Of two answers to a question, by rounded scores and people's values.
        means: Agreement of judge and people on the conditions' means.
        alternative: The Alternative Annotator Test; null with one rater.
        controls: The same test of ``CONTROLS``; empty with one rater.
        length: Correlation of error and log length, within questions and centred by condition; or
            why it cannot be told.
        self_preference: Mean error at the judge's own conditions less that at others; likewise.
        flags: Answers at the middle of the scale or worse; null for a profile.
    """

    n: int
    n_raters: int
    n_questions: int
    people: Estimate
    bias: Estimate
    biases: tuple[Estimate, ...]
    rmse: Estimate
    gains: Mapping[str, Estimate]
    kappa: Estimate
    alpha: Estimate
    alpha_people: Estimate | None
    icc_absolute: Estimate
    icc_consistency: Estimate
    order: SameOrder
    means: MeansAgree
    alternative: AlternativeAnnotator | None
    controls: Mapping[str, AlternativeAnnotator]
    length: Estimate | str
    self_preference: Estimate | str
    flags: FlagsSeen | None


def calibrate(
    of: JudgeAndPeople, resampler: Resampler, epsilon: float = EPSILONS["experts"]
) -> Calibration | Refusal:
    """Hold a judge against people.

    Args:
        of: What both said.
        resampler: Of the rows; the question is the cluster.
        epsilon: Of the Alternative Annotator Test; see ``EPSILONS``.

    Returns:
        Or why it cannot be done: nobody has rated what the judge scored, or raters share no item.
    """
    cells = resampler.repeated(len(of.judge))
    judge = of.judge.ravel()
    ratings = of.ratings.reshape(len(of.ratings), -1)
    ratings = np.where(np.isnan(judge), np.nan, ratings)
    ratings = ratings[(~np.isnan(ratings)).any(axis=1)]
    effects = rater_effects(ratings) if len(ratings) else _nobody()
    if isinstance(effects, Refusal):
        return effects
    people = effects.items
    kept = ~np.isnan(people)
    judge = np.where(kept, judge, np.nan)
    conditions = np.repeat(np.arange(len(of.judge)), of.judge.shape[1])
    both = np.stack([judge, people])
    mean, bias, biases = _biases(judge, people, conditions, cells)
    rmse, gains = _errors(judge, ratings, cells)
    kappa_with, alpha_with = _with_each(judge, ratings, of.labels, cells)
    absolute, consistency = estimates(
        intraclass(*_centred(both), [(0, 1)]), kept, cells, heavy=True
    )
    tests = _alternatives(judge, ratings, cells, epsilon)
    return Calibration(
        n=int(kept.sum()), n_raters=len(ratings), n_questions=len(np.unique(cells.clusters[kept])),
        people=mean, bias=bias, biases=biases, rmse=rmse, gains=gains,
        kappa=kappa_with, alpha=alpha_with,
        alpha_people=_among(ratings, cells) if len(ratings) > 1 else None,
        icc_absolute=absolute, icc_consistency=consistency,
        order=order_agreement(people, nearest(judge, of.labels), cells),
        means=mean_agreement(both, conditions, cells),
        alternative=tests.pop("judge", None), controls=tests,
        length=_by_length(of, judge - people, resampler),
        self_preference=_at_own(of, judge - people, conditions, cells),
        flags=_flags(of, judge, people, cells),
    )  # fmt: skip


def _nobody() -> Refusal:
    return Refusal(
        "no answer has both a score of the judge and a rating",
        "answers that people have rated and the judge could score",
        "Import ratings, or let the judge rate the conditions that people did",
    )


def nearest(scores: np.ndarray, labels: Sequence[float]) -> np.ndarray:
    """Return the label that each of *scores* (items,) is nearest to; NaN stays."""
    values = np.asarray(labels, float)
    found = values[np.searchsorted((values[1:] + values[:-1]) / 2, np.nan_to_num(scores))]
    return np.asarray(np.where(np.isnan(scores), np.nan, found))


def _centred(ratings: np.ndarray) -> tuple[np.ndarray, float]:
    """Return ratings (raters, items) with a mean near zero, and their size."""
    centred = ratings - np.nanmean(ratings)
    return centred, float(np.nanmax(np.abs(centred)))


# ---------------------------------------------------------------------------- errors


def _mean(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1], 0.0)


def _biases(
    judge: np.ndarray, people: np.ndarray, conditions: np.ndarray, cells: Resampler
) -> tuple[Estimate, Estimate, tuple[Estimate, ...]]:
    """Return people's mean, bias, and bias by condition."""
    kept, apart = ~np.isnan(people), judge - people
    first = _means([people, apart], kept, cells)
    members = (kept & (conditions == c) for c in range(int(conditions.max()) + 1))
    biases = tuple(_means([apart], of, cells)[0] for of in members)
    return first[0], first[1], biases


def _means(values: Sequence[np.ndarray], kept: np.ndarray, cells: Resampler) -> list[Estimate]:
    rows = (np.column_stack([np.where(kept, of, 0.0), kept]) for of in values)
    return [*estimates([Coefficient(of, _mean) for of in rows], kept, cells, heavy=True)]


def _errors(
    judge: np.ndarray, ratings: np.ndarray, cells: Resampler
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return the error of a judge, and how much greater that of each control is."""
    given = ~np.isnan(ratings)
    n, kept = given.sum(axis=0).astype(float), given.any(axis=0)
    middle = float(ratings[given].mean())  # sums of squares lose fewer digits
    y = np.where(given, ratings - middle, 0.0)
    f = np.where(kept, judge - middle, 0.0)
    mode = float(constant_judges(ratings)["mode"][0]) - middle
    rows = np.column_stack(
        [n, y.sum(axis=0), (y**2).sum(axis=0), n * f, n * f**2, f * y.sum(axis=0)]
    )

    def errors(sums: np.ndarray) -> dict[str, np.ndarray]:
        means = ratio(sums, sums[..., :1], 0.0)
        _, y, yy, f, ff, fy = np.moveaxis(means, -1, 0)
        squares = {
            "judge": ff - 2 * fy + yy,
            "mode": mode**2 - 2 * mode * y + yy,
            "mean": yy - y**2,
            "shuffled": ff - 2 * f * y + yy,
        }
        return {name: np.sqrt(np.maximum(0.0, of)) for name, of in squares.items()}

    def gain(name: str, sums: np.ndarray) -> np.ndarray:
        found = errors(sums)
        return np.asarray(found[name] - found["judge"])

    parts = [Coefficient(rows, lambda sums: errors(sums)["judge"])]
    parts += [Coefficient(rows, partial(gain, name)) for name in CONTROLS]
    own, *gains = estimates(parts, kept, cells, heavy=True)
    return own, dict(zip(CONTROLS, gains, strict=True))


# ---------------------------------------------------------------------------- agreement


def _with_each(
    judge: np.ndarray, ratings: np.ndarray, labels: Sequence[float], cells: Resampler
) -> tuple[Estimate, Estimate]:
    """Return kappa and alpha of the judge with each rater."""
    kept, pairs = (~np.isnan(ratings)).any(axis=0), first_with_each(len(ratings) + 1)
    rounded = np.concatenate([nearest(judge, labels)[None], ratings])
    expected = np.concatenate([judge[None], ratings])
    parts = [kappa(*_centred(rounded), pairs), alpha(*_centred(expected), pairs)]
    of_kappa, of_alpha = estimates(parts, kept, cells, heavy=True)
    return of_kappa, of_alpha


def _among(ratings: np.ndarray, cells: Resampler) -> Estimate:
    """Return the interval alpha of people alone."""
    kept = (~np.isnan(ratings)).sum(axis=0) >= 2
    return estimates([interval_alpha(*_centred(ratings))], kept, cells, heavy=True)[0]


def _alternatives(
    judge: np.ndarray, ratings: np.ndarray, cells: Resampler, epsilon: float
) -> dict[str, AlternativeAnnotator]:
    """Return the test of the judge and of each control; none with one rater."""
    if len(ratings) < 2:
        return {}
    controls = constant_judges(ratings) | {"shuffled": shuffled_judge(judge)}
    every = {"judge": judge} | {name: controls[name] for name in CONTROLS}
    return {
        name: alternative_annotator(
            np.where(np.isnan(judge), np.nan, scores), ratings, cells.clusters, epsilon=epsilon
        )
        for name, scores in every.items()
    }


# ---------------------------------------------------------------------------- faults


def _by_length(of: JudgeAndPeople, apart: np.ndarray, resampler: Resampler) -> Estimate | str:
    errors = JudgedScores(apart.reshape(of.judge.shape), of.log_lengths, of.labels)
    found = length(Questioned(errors, None, resampler, (resampler.level, resampler.level)))
    return found if isinstance(found, str) else found[0]


def _at_own(
    of: JudgeAndPeople, apart: np.ndarray, conditions: np.ndarray, cells: Resampler
) -> Estimate | str:
    kept = ~np.isnan(apart)
    own = of.own[conditions] & kept
    if not own.any():
        return "people have rated no answer of the judge's own model"
    other = kept & ~own
    if not other.any():
        return "people have rated answers of the judge's own model alone"
    error = np.where(kept, apart, 0.0)
    rows = np.column_stack([error * own, own, error * other, other])

    def reduce(sums: np.ndarray) -> np.ndarray:
        return np.asarray(_mean(sums[..., :2]) - _mean(sums[..., 2:]))

    return estimates([Coefficient(rows, reduce)], kept, cells, heavy=True)[0]


def _flags(
    of: JudgeAndPeople, judge: np.ndarray, people: np.ndarray, cells: Resampler
) -> FlagsSeen | None:
    if of.better is None:
        return None
    middle, sign = (of.labels[0] + of.labels[-1]) / 2, 1 if of.better == "higher" else -1

    def flagged(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(np.isnan(values), np.nan, sign * values <= sign * middle))

    return flags_seen(flagged(judge), flagged(people), cells)
