"""Seeds and repeated samples as a part of the variance. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from empathy_core.stats.intervals import Interval, drop_undefined, or_null, standard_error
from empathy_core.stats.resampling import (
    Resampler,
    ScoreFunction,
    cluster_sums,
    draws,
    resample_sums,
    score_resamples,
    scored_by_all,
    scored_total,
    stack_conditions,
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
        error: Standard error of *mean* over other questions and other runs; see ``components``.
        interval: *mean* +- Student's t x *error*, with Satterthwaite's degrees of freedom; null
            also where nothing varies.
        share: Of the variance that one run's score has over other questions and runs, what is left
            of it on the same questions (*deviation*^2); null where there is no variance.
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
    repeats: Sequence[np.ndarray], score: ScoreFunction, resampler: Resampler
) -> tuple[Components, ...]:
    """Return the mean over runs and its uncertainty, for each column of *score*.

    Runs and questions are crossed, and other ones of both might have been drawn. What one run does
    to one question by chance moves the mean as other questions do and as other runs do, but only
    once: *error*^2 = W + *deviation*^2 / k - (V - W) / (k - 1), W = *error_questions*^2 and V the
    mean of the runs' own bootstrap variances. Of means of one row a question that is
    (MS_questions + MS_runs - MS_residual) / (n k) of a two-way layout with random effects: Searle,
    Casella and McCulloch (1992), Variance Components, chapter 4.

    Args:
        repeats: Statistics of shape (rows, statistics) for each run (seed or sample), all of the
            same rows in the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The runs, or the resampler, are of different rows.
    """
    stack = stack_conditions(repeats, resampler)
    kept = scored_by_all(stack)
    counts = Counts.of(kept, resampler)
    sums = cluster_sums(stack, kept, resampler)
    scores = scored_total(score, sums.sum(axis=0))
    drawn = None
    if counts.enough and len(repeats) > 1:
        drawn = score_resamples(score, resample_sums(draws(resampler), sums))
    return tuple(
        _components(scores[:, i], None if drawn is None else drawn[:, i], counts, resampler.level)
        for i in range(scores.shape[1])
    )


def _components(
    scores: np.ndarray, drawn: np.ndarray | None, counts: Counts, level: float
) -> Components:
    """Judge one column: scores (runs,), drawn (runs, resamples)."""
    k, mean = len(scores), or_null(scores.mean())
    last = (k, counts.n, counts.n_clusters)
    if mean is None or k < 2:
        return Components(mean, None, None, None, None, None, *last)
    deviation = float(scores.std(ddof=1))
    means = None if drawn is None else drop_undefined(drawn.mean(axis=0))
    if drawn is None or means is None:
        return Components(mean, deviation, None, None, None, None, *last)
    own = drawn[:, np.isfinite(drawn).all(axis=0)]
    questions, *alone = (
        standard_error(of, counts.effective, float(np.abs(scores).max())) for of in (means, *own)
    )
    both = max(0.0, (float(np.square(alone).mean()) - questions**2) / (k - 1))
    others = (counts.effective - 1, k - 1)
    parts = (
        (questions**2, others[0]), (deviation**2 / k, others[1]), (-both, others[0] * others[1]),
    )  # fmt: skip
    of_each = [variance for variance, _ in parts]
    variance = max(sum(of_each), *of_each)  # it is no less than either alone
    half = _student(variance, parts, level) * sqrt(variance)
    whole = deviation**2 + max(0.0, questions**2 - both)
    share = deviation**2 / whole if whole else None
    shown = Interval(mean - half, mean + half) if half else None
    return Components(mean, deviation, questions, sqrt(variance), shown, share, *last)


def _student(variance: float, parts: Sequence[tuple[float, float]], level: float) -> float:
    """Return Student's quantile for a sum of variances, each with its degrees of freedom.

    Satterthwaite (1946), An Approximate Distribution of Estimates of Variance Components,
    Biometrics Bulletin 2(6).
    """
    from scipy.special import stdtrit

    spent = sum(part**2 / freedom for part, freedom in parts)
    return float(stdtrit(variance**2 / spent, (1 + level) / 2)) if spent else 0.0
