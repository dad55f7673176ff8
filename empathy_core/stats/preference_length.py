"""Preference between two conditions, as it is and at equal length of their answers. Pure."""

from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, Interval, or_null, student
from empathy_core.stats.logit import expit, fit_logit
from empathy_core.stats.refusals import Refusal, too_few
from empathy_core.stats.resampling import LEAST_CLUSTERS, LEVEL

MOVED = 0.10
"""An adjustment by more is worth a warning."""
LEAST_OVERLAP = 0.05
"""Share of comparisons in which the shorter answer is each condition's, at least."""
_NEVER = 1e-6  # of a preference: a judge's digits beyond that are no preference for the other


@dataclass(frozen=True, slots=True)
class AdjustedPreference:
    """Preference for the first of two conditions.

    Attributes:
        raw: Mean preference; null without a row.
        adjusted: What is expected of it where both answers are equally long; null if *refusal* says
            that there is none.
        interval: Of *adjusted*; null also under ``LEAST_CLUSTERS`` and where nothing varies.
        slope: Change of the log-odds from answers of equal length to a first one that is very much
            longer; null as *adjusted*. Above 0 the longer one is preferred.
        slope_interval: Of *slope*; null as *interval*.
        refusal: Why there is no adjusted preference, or only no interval.
        n: Rows with a preference and both lengths.
        n_left_out: Other rows.
        n_clusters: Their questions.
    """

    raw: float | None
    adjusted: float | None
    interval: Interval | None
    slope: float | None
    slope_interval: Interval | None
    refusal: Refusal | None
    n: int
    n_left_out: int
    n_clusters: int

    @property
    def moved(self) -> bool:
        """Whether length explains so much of the preference (``MOVED``) that it must be said."""
        known = self.raw is not None and self.adjusted is not None
        return known and abs(self.adjusted - self.raw) > MOVED  # type: ignore[operator]


def preference_at_equal_length(
    y: np.ndarray,
    first_length: np.ndarray,
    second_length: np.ndarray,
    clusters: np.ndarray,
    level: float = LEVEL,
) -> AdjustedPreference:
    """Return the mean preference for the first condition, as it is and at equal length.

    Fractional logit (``logit``) of y on an intercept and tanh(d / sd(d)), d the first answer's
    length less the second's; adjusted is what it expects at d = 0. That is AlpacaEval's
    "length-controlled" win rate, minimal form, of one pair of models: Dubois, Galambosi, Liang and
    Hashimoto (2024), Length-Controlled AlpacaEval, arXiv 2404.04475; sd(d) is about the mean,
    divisor n - 1. The interval is that of the intercept, by the sandwich of questions times
    C / (C - 1) and Student's t with the effective number of questions (``Counts.effective``),
    carried from log-odds to preference, so that it stays between 0 and 1.

    It is an adjustment, not an effect: where longer answers are longer because they say more that
    helps, it takes that away too. It is refused where lengths do not overlap: where fewer than
    ``LEAST_OVERLAP`` of the rows have the first answer shorter or as long, or fewer have it longer
    or as long, the answer at equal length would be drawn from rows that are not there.

    Args:
        y: How much the first is preferred, from 0 to 1, shape (rows,); NaN where there is none.
        first_length: Characters of each answer of the first, shape (rows,); NaN: no answer.
        second_length: Likewise.
        clusters: The number of each row's question, shape (rows,).
        level: Chance that the interval covers.

    Raises:
        ValueError: The arrays are not of the same rows, or a preference is not from 0 to 1.
    """
    y, longer, clusters, n_left_out = _checked(y, first_length, second_length, clusters)
    sizes = np.bincount(clusters, minlength=1)
    counts = (len(y), n_left_out, int(np.count_nonzero(sizes)))
    raw = or_null(float(y.mean())) if len(y) else None
    apart = float(longer.std(ddof=1)) if len(y) > 1 else 0.0
    x = np.tanh(longer / apart) if apart else longer
    refusal = _no_overlap(longer) or _separated(x, y)
    if refusal is not None:
        return AdjustedPreference(raw, None, None, None, None, refusal, *counts)
    design = np.column_stack([np.ones(len(y)), x][: 2 if apart else 1])
    fit = fit_logit(design, np.ones(len(y)), y)
    values = fit.coefficients
    adjusted, slope = float(expit(values[0])), float(values[1]) if apart else None
    if counts[-1] < LEAST_CLUSTERS:
        refusal = too_few(counts[-1], LEAST_CLUSTERS)
        return AdjustedPreference(raw, adjusted, None, slope, None, refusal, *counts)
    scores = np.zeros((len(sizes), design.shape[1]))
    np.add.at(scores, clusters, design * (y - expit(design @ values))[:, None])
    errors = np.sqrt(np.diag(fit.covariance(scores)))
    effective = max(2.0, len(y) ** 2 / float(np.square(sizes).sum()))
    bounds = [
        _bounds(float(value), float(error), student(effective, level))
        for value, error in zip(values, errors, strict=True)
    ]
    slopes = bounds[1] if apart else None
    return AdjustedPreference(raw, adjusted, _as_share(bounds[0]), slope, slopes, None, *counts)


def _checked(
    y: np.ndarray, first_length: np.ndarray, second_length: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return preferences, differences in length and questions of whole rows; how many are not."""
    columns = [np.asarray(of, float) for of in (y, first_length, second_length)]
    shapes = {of.shape for of in (*columns, np.asarray(clusters))}
    if len(shapes) > 1 or columns[0].ndim != 1:
        raise ValueError(
            f"preferences, lengths and questions of shapes {sorted(shapes)} do not fit; give each "
            "array the shape (rows,)"
        )
    if np.any((columns[0] < 0) | (columns[0] > 1)):
        raise ValueError("a preference lies outside 0 to 1; give NaN where there is none")
    longer = columns[1] - columns[2]
    kept = ~np.isnan(columns[0] + longer)
    codes = np.unique(np.asarray(clusters)[kept], return_inverse=True)[1]
    return columns[0][kept], longer[kept], codes, int((~kept).sum())


def _no_overlap(longer: np.ndarray) -> Refusal | None:
    """Return the refusal where too few rows lie on one side of equal length."""
    if not len(longer):
        return Refusal(
            "no row has a preference and both lengths", "at least one", "Compare the conditions"
        )
    shares = float((longer <= 0).mean()), float((longer >= 0).mean())
    if min(shares) >= LEAST_OVERLAP:
        return None
    side = "longer" if shares[0] < shares[1] else "shorter"
    return Refusal(
        f"the lengths do not overlap: in {1 - min(shares):.0%} of the pairs the answer is {side} "
        "than the one that it is compared with",
        f"either of the two as short as the other or shorter in {LEAST_OVERLAP:.0%} of the pairs",
        "Compare with answers of a similar length, for instance with a limit on new tokens or a "
        "prompt that states a length",
    )


def _separated(x: np.ndarray, y: np.ndarray) -> Refusal | None:
    """Return the refusal where the fit is infinite: all of one side of a length is 0, or 1.

    Albert and Anderson (1984), On the existence of maximum likelihood estimates in logistic
    regression models, Biometrika 71(1), for one variable.
    """
    liked, not_liked = x[y > _NEVER], x[y < 1 - _NEVER]
    mixed = len(liked) and len(not_liked)
    if mixed and np.ptp(x) == 0:
        return None
    if mixed and liked.max() > not_liked.min() and not_liked.max() > liked.min():
        return None
    return Refusal(
        "one answer is always preferred, or always where it is longer (or shorter) than a certain "
        "length, so that the adjustment would be infinite",
        "preferences of both kinds among answers of the same lengths",
        "Add questions, or read the preferences as they are",
    )


def _bounds(value: float, error: float, quantile: float) -> Interval | None:
    if error <= ROUNDING * max(1.0, abs(value)):
        return None
    return Interval(value - quantile * error, value + quantile * error)


def _as_share(bounds: Interval | None) -> Interval | None:
    if bounds is None:
        return None
    low, high = expit(np.array([bounds.low, bounds.high]))
    return Interval(float(low), float(high))
