"""Seeds and repeated samples as a part of the variance. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from empathy_core.stats.resampling import (
    Interval,
    Resampler,
    Score,
    cluster_sums,
    defined,
    draws,
    or_null,
    scored,
    scored_by_all,
    scored_total,
    stacked,
    standard_error,
    weighted,
)
from empathy_core.stats.results import Counts


@dataclass(frozen=True, slots=True)
class Components:
    """A score over several runs of one condition, and where its uncertainty comes from.

    Attributes:
        mean: Of the runs' scores; null where a run has no score. With one run or under
            ``LEAST_CLUSTERS``, all that follow up to *n_repeats* are null, but for *deviation*
            of several runs.
        deviation: Standard deviation of the runs' scores (divisor k - 1).
        error_questions: Standard error of *mean* over other questions, from the bootstrap of the
            mean of runs.
        error: Standard error over other questions and other runs:
            sqrt(*error_questions*^2 + *deviation*^2 / k). What answers to one question vary by
            chance stands in both terms, so that it is rather too large than too small.
        interval: *mean* +- Student's t x *error*, with Satterthwaite's degrees of freedom.
        share: Of the variance of one run's score, the part that runs have:
            *deviation*^2 / (*deviation*^2 + *error_questions*^2).
        n_repeats: Runs, k.
        n: Rows scored in all runs.
        n_clusters: Their clusters.
    """

    mean: float | None
    deviation: float | None
    error_questions: float | None
    error: float | None
    interval: Interval | None
    share: float | None
    n_repeats: int
    n: int
    n_clusters: int


def components(
    repeats: Sequence[np.ndarray], score: Score, resampler: Resampler
) -> tuple[Components, ...]:
    """Return the mean over runs and its uncertainty, for each column of *score*.

    Args:
        repeats: Statistics of shape (rows, statistics) for each run (seed or sample), all of the
            same rows in the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The runs, or the resampler, are of different rows.
    """
    stack = stacked(repeats, resampler)
    kept = scored_by_all(stack)
    counts = Counts.of(kept, resampler)
    sums = cluster_sums(stack, kept, resampler)
    scores = scored_total(score, sums.sum(axis=0))
    drawn = None
    if counts.enough and len(repeats) > 1:
        drawn = scored(score, weighted(draws(resampler), sums)).mean(axis=0)
    return tuple(
        _components(scores[:, i], None if drawn is None else drawn[i], counts, resampler.level)
        for i in range(scores.shape[1])
    )


def _components(
    scores: np.ndarray, drawn: np.ndarray | None, counts: Counts, level: float
) -> Components:
    """Judge one column: scores (runs,), resampled means of the runs (resamples,)."""
    k, mean = len(scores), or_null(scores.mean())
    last = (k, counts.n, counts.n_clusters)
    if mean is None or k < 2:
        return Components(mean, None, None, None, None, None, *last)
    deviation = float(scores.std(ddof=1))
    values = None if drawn is None else defined(drawn)
    if values is None:
        return Components(mean, deviation, None, None, None, None, *last)
    questions = standard_error(values, counts.n_clusters, float(np.abs(scores).max()))
    parts = (questions**2, deviation**2 / k)
    error = sqrt(sum(parts))
    one = questions**2 + deviation**2
    half = _student(parts, (counts.n_clusters - 1, k - 1), level) * error
    shown = Interval(mean - half, mean + half)
    return Components(
        mean, deviation, questions, error, shown, deviation**2 / one if one else None, *last
    )


def _student(parts: Sequence[float], freedoms: Sequence[int], level: float) -> float:
    """Return Student's quantile for a sum of variances, each with its degrees of freedom.

    Satterthwaite (1946), An Approximate Distribution of Estimates of Variance Components,
    Biometrics Bulletin 2(6).
    """
    from scipy.special import stdtrit

    if not sum(parts):
        return 0.0
    spent = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return float(stdtrit(sum(parts) ** 2 / spent, (1 + level) / 2))
