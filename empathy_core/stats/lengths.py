"""Differences at equal length of the answers. Pure."""

from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import (
    ROUNDING,
    Interval,
    drop_undefined,
    or_null,
    p_centred,
    percentiles,
)
from empathy_core.stats.resampling import (
    Resampler,
    cluster_sums,
    draws,
    resample_sums,
    score_resamples,
    scored_rows,
    scored_total,
    stack_conditions,
)
from empathy_core.stats.results import Counts


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A difference of two conditions' means, as it is and at equal length of their answers.

    Attributes:
        raw: Mean of *second* less *first*; null without a row.
        adjusted: What is expected of it where both answers have equally many words; null where the
            difference in length is constant, as are all that follow up to *n*. Where few pairs
            have about the same length it is drawn from afar.
        interval: Of *adjusted*; null also under ``LEAST_CLUSTERS``, as is the p, and where the
            resamples do not vary.
        p_bootstrap: As in ``Difference``.
        slope: Change of the difference in scores with the difference in log(1 + words).
        n: Rows with both scores and both lengths.
        n_clusters: Their clusters.
    """

    raw: float | None
    adjusted: float | None
    interval: Interval | None
    p_bootstrap: float | None
    slope: float | None
    n: int
    n_clusters: int


def length_adjusted(
    first: np.ndarray,
    second: np.ndarray,
    first_length: np.ndarray,
    second_length: np.ndarray,
    resampler: Resampler,
) -> Adjusted:
    """Return *second* less *first*, as it is and at equal length.

    Analysis of covariance of the paired differences: d = a + b x by least squares, d a row's
    difference in scores, x its difference in log(1 + words), a the adjusted difference (Judd,
    Kenny and McClelland (2001), Estimating and testing mediation and moderation in within-subject
    designs, Psychological Methods 6(2)). 1, x, x^2, d and xd add up over rows, so that the
    regression itself is resampled.

    Args:
        first: Each row's own score, shape (rows,); NaN where there is none.
        second: Of the same rows, in the same order.
        first_length: Words of each answer, shape (rows,); NaN where there is no answer.
        second_length: Likewise.
        resampler: Of the same rows.

    Raises:
        ValueError: The arrays, or the resampler, are of different rows.
    """
    columns = [first, second, first_length, second_length]
    stack = stack_conditions([np.asarray(of, float)[:, None] for of in columns], resampler)[..., 0]
    with np.errstate(all="ignore"):  # what is not finite has no line
        d = stack[1] - stack[0]
        x = np.log1p(stack[3]) - np.log1p(stack[2])
    rows = np.stack([np.ones_like(x), x, x**2, d, x * d], axis=-1)[None]
    kept = scored_rows(rows)[0]
    sums = cluster_sums(rows, kept, resampler)
    counts = Counts.of(kept, resampler)
    raw, adjusted, slope = map(or_null, scored_total(_line, sums.sum(axis=0))[0])
    drawn = None
    if counts.enough and adjusted is not None:
        drawn = drop_undefined(score_resamples(_line, resample_sums(draws(resampler), sums))[0, 1])
    bound = p = None
    if drawn is not None and adjusted is not None:
        scale = float(np.abs(stack[:2, kept]).max())
        least = abs(adjusted) - ROUNDING * scale
        (bound,) = percentiles(drawn, scale, counts.effective, resampler.level)
        p = p_centred(drawn, least, counts.effective)
    return Adjusted(raw, adjusted, bound, p, slope, counts.n, counts.n_clusters)


def _line(sums: np.ndarray) -> np.ndarray:
    """Return mean, intercept and slope of sums (..., 5) of 1, x, x^2, d, xd."""
    n, x, xx, d, xd = np.moveaxis(sums, -1, 0)
    variation = n * xx - x**2
    variation = np.where(variation > ROUNDING * n * xx, variation, np.nan)
    slope = (n * xd - x * d) / variation
    return np.stack([d / n, (d - slope * x) / n, slope], axis=-1)
