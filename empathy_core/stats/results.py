"""Scores and differences with what their resamples show. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from empathy_core.stats.resampling import (
    LEAST_CLUSTERS,
    ROUNDING,
    Interval,
    Resampler,
    Score,
    bounds,
    cluster_sizes,
    defined,
    or_null,
    p_centred,
    scored,
    share,
    standard_error,
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One score with its uncertainty.

    Attributes:
        value: Null where no row is scored.
        interval: Null under ``LEAST_CLUSTERS``, or where too many resamples have no score.
        n: Rows that the score is made of.
        n_unscored: Rows that the metric left out.
        n_clusters: Clusters with a scored row.
    """

    value: float | None
    interval: Interval | None
    n: int
    n_unscored: int
    n_clusters: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Two scores on the rows that both have, and what their difference may be worth.

    Attributes:
        first: Null where no row is scored by both, as are *second* and *value*.
        value: *second* less *first*.
        interval: Of *value*; null as in ``Estimate``, as are both p.
        p_bootstrap: Two-sided: share of resampled differences, moved to a mean of zero, that are
            at least as far from zero as *value* is, calibrated for few clusters (``p_centred``).
        p_randomization: Two-sided, approximate randomisation: share of the shuffles, in which
            each cluster's two answers change places or do not, with such a difference.
        n: Rows scored by both.
        n_left_out: Rows that only one has scored, or none.
        n_clusters: Clusters with a row scored by both.
        effect: *value* in standard deviations of one cluster's difference: *value* / (standard
            error x sqrt(*n_clusters*)). Of a mean of one row a cluster it is Cohen's d_z: Cohen
            (1988), Statistical Power Analysis for the Behavioral Sciences, section 2.3.5. The
            standard error is the bootstrap's (``standard_error``). Null without a test or
            without variation.
        detectable: Least true difference that a two-sided test at the 5 % level finds with a
            chance of 80 %: (t(0.975) + t(0.80)) x standard error, Student's quantiles of
            ``Counts.effective`` - 1; Bloom (1995), Minimum Detectable Effects, Evaluation
            Review 19(5). Null as *effect*.
    """

    first: float | None
    second: float | None
    value: float | None
    interval: Interval | None
    p_bootstrap: float | None
    p_randomization: float | None
    n: int
    n_left_out: int
    n_clusters: int
    effect: float | None = None
    detectable: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a number is made of.

    Attributes:
        n: Rows.
        n_left_out: Other rows.
        n_clusters: Clusters that the rows belong to.
        effective: How many clusters of equal size tell as much: n^2 over the sum of the squares of
            their numbers of rows, but 2 at least; Kish (1965), Survey Sampling, on unequal weights.
    """

    n: int
    n_left_out: int
    n_clusters: int
    effective: float

    @classmethod
    def of(cls, kept: np.ndarray, resampler: Resampler) -> "Counts":
        """Return those of the rows *kept*, shape (rows,)."""
        sizes = cluster_sizes(kept, resampler)
        n = int(sizes.sum())
        effective = n**2 / max(1.0, float(np.square(sizes).sum()))
        return cls(n, len(kept) - n, len(sizes), max(2.0, effective))

    @property
    def enough(self) -> bool:
        """Whether there may be an interval and a test."""
        return self.n_clusters >= LEAST_CLUSTERS

    @property
    def fields(self) -> tuple[int, int, int]:
        """As ``Estimate`` and ``Difference`` have them."""
        return self.n, self.n_left_out, self.n_clusters


def shuffled_differences(
    first: np.ndarray, second: np.ndarray, swapped: np.ndarray, score: Score
) -> np.ndarray:
    """Return second less first where some clusters' answers have changed places.

    Args:
        first: Sums of shape (..., statistics).
        second: Likewise.
        swapped: Second less first in the clusters that do: shape (..., statistics, resamples).
        score: ``MetricProtocol.score``.
    """
    changed = scored(score, second[..., None] - swapped), scored(score, first[..., None] + swapped)
    return np.asarray(changed[0] - changed[1])


def differences(
    sides: np.ndarray,
    resampled: np.ndarray | None,
    shuffled: np.ndarray | None,
    counts: Counts,
    level: float,
) -> tuple[Difference, ...]:
    """Return a difference a column; *sides* (2, columns), the others (columns, resamples)."""
    found = []
    for column, (first, second) in enumerate(sides.T):
        both = (or_null(first), or_null(second))
        if resampled is None or shuffled is None or None in both:
            value = None if None in both else float(second - first)
            found.append(Difference(*both, value, None, None, None, *counts.fields))
        else:
            tests = (resampled[column], shuffled[column])
            found.append(_tested((float(first), float(second)), *tests, counts, level))
    return tuple(found)


def _tested(
    sides: tuple[float, float],
    resampled: np.ndarray,
    shuffled: np.ndarray,
    counts: Counts,
    level: float,
) -> Difference:
    value = sides[1] - sides[0]
    drawn, mixed = defined(resampled), defined(shuffled)
    if drawn is None:
        return Difference(*sides, value, None, None, None, *counts.fields)
    scale = max(abs(side) for side in sides)
    # what differs by rounding alone is equal: counts give the same difference many times
    least = abs(value) - ROUNDING * scale
    error = standard_error(drawn, counts.effective, scale)
    return Difference(
        *sides,
        value,
        bounds(drawn, counts.effective, level),
        p_centred(drawn, least, counts.effective),
        None if mixed is None else share(mixed, least),
        *counts.fields,
        value / (error * sqrt(counts.n_clusters)) if error else None,
        _detectable(counts.effective) * error if error else None,
    )


@lru_cache(maxsize=256)
def _detectable(n_effective: float) -> float:
    """Return the least difference that is found, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(n_effective - 1, [0.975, 0.80]).sum())
