"""Scores and differences with what their resamples show. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from empathy_core.stats.intervals import (
    ROUNDING,
    Interval,
    drop_undefined,
    or_null,
    p_centred,
    percentiles,
    standard_error,
)
from empathy_core.stats.resampling import LEAST_CLUSTERS, Resampler, cluster_sizes
from empathy_core.stats.shuffles import Tested


@dataclass(frozen=True, slots=True)
class Estimate:
    """One score with its uncertainty.

    Attributes:
        value: Null where no row is scored.
        interval: Of a mean or a corpus score the bootstrap-t (``studentised``), of a share Korn and
            Graubard's (``Shares``). Null under ``LEAST_CLUSTERS``, where too many resamples have no
            score, and where the clusters do not vary, or too few of them differ from the rest.
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
        interval: Of *value*: by percentiles (``percentiles``), of shares from the limits of both
            (``Shares.difference``). Null under ``LEAST_CLUSTERS`` or where too many resamples have
            no score, as are both p; also where the resamples do not vary.
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
            Review 19(5). Null as *effect*. For a family of tests, see ``least_detectable``.
        standard_error: Of *value*, by the bootstrap; null as *effect*.
        narrow: As *interval*, by the same method, but with twice as much outside (a 90 % interval
            beside one of 95 %): what a test of equivalence takes (``equivalent``). Schuirmann
            (1987), A comparison of the two one-sided tests procedure and the power approach,
            Journal of Pharmacokinetics and Biopharmaceutics 15(6).
        p_floor: The least that *p_randomization* could have been: 2 / 2^c where c clusters differ
            at all, or 1 / (shuffles + 1). Null as *p_randomization*, but for a test without one.
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
    standard_error: float | None = None
    narrow: Interval | None = None
    p_floor: float | None = None


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


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What resamples show of one difference.

    Attributes:
        resampled: Shape (resamples,).
        test: By randomisation.
        intervals: Of a share, those at ``Resampler.levels``; null: take the resamples'.
    """

    resampled: np.ndarray
    test: Tested
    intervals: Sequence[Interval | None] | None


def difference(
    sides: tuple[float, float], drawn: Drawn | None, counts: Counts, resampler: Resampler
) -> Difference:
    """Return the second side less the first; *drawn* is null where there are too few clusters."""
    first, second = map(or_null, sides)
    if first is None or second is None:
        return Difference(first, second, None, None, None, None, *counts.fields)
    value = second - first
    resampled = None if drawn is None else drop_undefined(drawn.resampled)
    if drawn is None or resampled is None:
        return Difference(first, second, value, None, None, None, *counts.fields)
    scale, effective = max(abs(first), abs(second)), counts.effective
    # what differs by rounding alone is equal: counts give the same difference many times
    least = abs(value) - ROUNDING * scale
    error = standard_error(resampled, effective, scale) or None
    intervals = drawn.intervals or percentiles(resampled, scale, effective, *resampler.levels)
    return Difference(
        first,
        second,
        value,
        intervals[0],
        p_centred(resampled, least, effective),
        drawn.test.p,
        *counts.fields,
        effect=value / (error * sqrt(counts.n_clusters)) if error else None,
        detectable=_detectable(effective) * error if error else None,
        standard_error=error,
        narrow=intervals[1],
        p_floor=drawn.test.floor,
    )


@lru_cache(maxsize=256)
def _detectable(n_effective: float) -> float:
    """Return the least difference that is found, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(n_effective - 1, [0.975, 0.80]).sum())
