"""Whether two scores of the same answers go together: within questions, and over conditions. Pure.

Over all answers at once a correlation mixes three things: that some questions are easier under both
scores, that some conditions are better under both, and that of the answers to one question the
better one under the first score is the better one under the second. Here the last two are told
apart. Within questions a score says something of single answers; over conditions, of systems.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np

from empathy_core.stats.intervals import (
    ROUNDING,
    Interval,
    drop_undefined,
    or_null,
    percentiles,
)
from empathy_core.stats.resampling import (
    Resampler,
    cluster_sums,
    draws,
    resample_sums,
    score_resamples,
    scored_total,
)
from empathy_core.stats.results import Counts

LEAST_CONDITIONS = 10
"""Below it a correlation over conditions has no interval: it would hold nearly every value."""
LEAST_GROUPS = 5
"""Groups of conditions below which there is none either: Fisher's error is 1 / sqrt(groups - 3)."""
_LEAST_POINTS = 3
"""Below it every correlation is -1 or 1."""
_MOST_REMEMBERED = 64  # residuals of one score each: 10 MB at 24 conditions and 787 rows


@dataclass(frozen=True, slots=True)
class CorrelationValue:
    """A correlation from -1 to 1.

    Attributes:
        value: Null where one of the scores does not vary.
        interval: Null without a value, where it rests on too little, and of a value of -1 or 1.
    """

    value: float | None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Correlation:
    """How two scores go together.

    Attributes:
        pearson: Of the values.
        spearman: Of their ranks.
        n: Within questions the answers that have both scores, to questions with two such answers
            at least; over conditions the conditions that have both.
        n_clusters: Within questions the questions of these answers; over conditions the groups.
    """

    pearson: CorrelationValue
    spearman: CorrelationValue
    n: int
    n_clusters: int


# ---------------------------------------------------------------------------- within questions


def within_questions(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], resampler: Resampler
) -> list[list[Correlation]]:
    """Return how each score of *first* goes with each of *second*: a list for each of *first*.

    Of each score the effects of row and condition are removed (the additive model by least squares,
    on the cells that have both scores), and what remains is correlated over all cells: by the
    Frisch-Waugh-Lovell theorem the partial correlation given row and condition. A row is one
    example under all conditions, so that neither an easy question nor a good condition can make a
    correlation. For Spearman's, what remains is replaced by its ranks within its row (of equals the
    mean rank), and the same is done to these. Ranks of the scores themselves would be the same in
    every row where conditions lie far apart; ranks over all cells would have to be taken anew in
    each resample, those within a row stay what they are.

    Intervals resample whole clusters, the effects held as they are: they are estimated anew in no
    resample, which changes numerator and denominator alike by a part in the number of clusters.

    Args:
        first: Scores of shape (conditions, rows) each, NaN where there is none.
        second: Of the same conditions and rows, in the same order.
        resampler: Of the same rows.

    Raises:
        ValueError: The scores are of different shapes, or the resampler of other rows.
    """
    shapes = {np.shape(of) for of in (*first, *second)}
    if any(len(s) != 2 or s[1] != len(resampler.clusters) for s in shapes) or len(shapes) > 1:
        raise ValueError(
            f"scores of shape {' and '.join(map(str, sorted(shapes)))} (conditions, rows) and "
            f"clusters of {len(resampler.clusters):,} rows do not fit; take the same conditions "
            "and rows in the same order, with NaN where there is no score"
        )
    left, right = (_Remainders(scores) for scores in (first, second))
    columns = [
        _with_intervals([_of_pair(left, i, right, j) for i in range(len(first))], resampler)
        for j in range(len(second))
    ]
    return [[column[i] for column in columns] for i in range(len(first))]


class _Remainders:
    """What some scores are beyond row and condition, remembered by the cells that are kept."""

    def __init__(self, scores: Sequence[np.ndarray]) -> None:
        self._scores = [np.where(np.isfinite(of), of, np.nan) for of in scores]
        self._known: dict[tuple[int, bool, bytes], np.ndarray] = {}

    def finite(self, i: int) -> np.ndarray:
        """Return which cells have the score: shape (conditions, rows)."""
        return ~np.isnan(self._scores[i])

    def of(self, i: int, kept: np.ndarray, *, ranks: bool) -> np.ndarray:
        """Return what remains of a score in the cells *kept*, 0 elsewhere and where it is dust."""
        key = (i, ranks, np.packbits(kept).tobytes())
        if key not in self._known:
            if len(self._known) >= _MOST_REMEMBERED:  # every score may lack other cells
                self._known.clear()
            self._known[key] = (
                remainder(_row_ranks(np.where(kept, self.of(i, kept, ranks=False), np.nan)))
                if ranks
                else remainder(np.where(kept, self._scores[i], np.nan))
            )
        return self._known[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Products:
    """Products of what remains of two scores, summed over the conditions of a row.

    Attributes:
        rows: Shape (rows, 6): xy, xx and yy of the values, and of the ranks.
        kept: Which rows have two answers with both scores at least: shape (rows,).
        n: Answers in them.
    """

    rows: np.ndarray
    kept: np.ndarray
    n: int


def _of_pair(left: _Remainders, i: int, right: _Remainders, j: int) -> _Products:
    kept = left.finite(i) & right.finite(j)
    kept &= kept.sum(axis=0) > 1
    sums = []
    for ranks in (False, True):
        x, y = left.of(i, kept, ranks=ranks), right.of(j, kept, ranks=ranks)
        sums += [(x * y).sum(axis=0), (x * x).sum(axis=0), (y * y).sum(axis=0)]
    return _Products(np.stack(sums, axis=-1), kept.any(axis=0), int(kept.sum()))


def remainder(values: np.ndarray) -> np.ndarray:
    """Return the residuals of the additive model of rows and conditions, by least squares.

    Centring the rows leaves normal equations of the size of the conditions: with a cell missing
    here and there the means of a row and of a condition depend on each other.

    Args:
        values: Shape (conditions, rows), NaN where a cell is empty.

    Returns:
        Of the same shape, 0 in empty cells, and everywhere if all that remains is rounding; rounded
        so that cells that are equal but for that are equal.
    """
    kept = ~np.isnan(values)
    n_in_row = np.maximum(kept.sum(axis=0), 1)
    filled = np.where(kept, values, 0.0)

    def centred(of: np.ndarray) -> np.ndarray:
        return np.where(kept, of - of.sum(axis=0) / n_in_row, 0.0)

    by_row = centred(filled)
    equations = np.diag(kept.sum(axis=1)) - (kept / n_in_row) @ kept.T
    effects = np.linalg.lstsq(equations, by_row.sum(axis=1), rcond=None)[0]
    left = centred(np.where(kept, by_row - effects[:, None], 0.0))
    dust = ROUNDING * float(np.abs(filled).max(initial=0.0))
    if np.abs(left).max(initial=0.0) <= dust:
        return np.zeros_like(left)
    return np.asarray(np.rint(left / dust) * dust)


def _row_ranks(values: np.ndarray) -> np.ndarray:
    """Return each value's rank in its row, from 1, of equals the mean rank; NaN stays."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=0, nan_policy="omit"), dtype=float)


def _with_intervals(pairs: Sequence[_Products], resampler: Resampler) -> list[Correlation]:
    """Return the correlations of one score of *second* with all of *first*."""
    if not pairs:
        return []
    rows = np.concatenate([of.rows for of in pairs], axis=-1)
    sums = cluster_sums(rows[None], np.ones(len(rows), dtype=bool), resampler)
    values = scored_total(_ratios, sums.sum(axis=0))[0]
    counts = [Counts.of(of.kept, resampler) for of in pairs]
    drawn = np.empty((len(values), 0))
    if any(of.enough for of in counts):
        drawn = score_resamples(_ratios, resample_sums(draws(resampler), sums))[0]
    found = []
    for k, (of, count) in enumerate(zip(pairs, counts, strict=True)):
        pearson, spearman = (
            _coefficient(values[place], drawn[place], count, resampler.level)
            for place in (2 * k, 2 * k + 1)
        )
        found.append(Correlation(pearson, spearman, of.n, count.n_clusters))
    return found


def _ratios(sums: np.ndarray) -> np.ndarray:
    """Return correlations (..., 2 pairs) of sums (..., 6 pairs) of xy, xx and yy."""
    xy, xx, yy = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    return np.asarray(np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0))


def _coefficient(value: float, drawn: np.ndarray, counts: Counts, level: float) -> CorrelationValue:
    known = or_null(value)
    resampled = drop_undefined(drawn) if known is not None and counts.enough else None
    if resampled is None:
        return CorrelationValue(known)
    (interval,) = percentiles(resampled, 1.0, counts.effective, level)
    return CorrelationValue(known, interval)


# ---------------------------------------------------------------------------- over conditions


def across_conditions(
    first: np.ndarray, second: np.ndarray, groups: Sequence[Hashable]
) -> Correlation:
    """Return how two scores of whole conditions go together.

    The interval is Fisher's: tanh(atanh(r) -+ z e), e = 1 / sqrt(m - 3), and of Spearman's
    e = sqrt((1 + r^2 / 2) / (m - 3)); Bonett and Wright (2000), Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations, Psychometrika 65(1). m is the number of
    *groups*, not of conditions: prompts of one model are like each other, and counted as one it
    covers enough however like they are.

    Args:
        first: Shape (conditions,), NaN where a condition has no score.
        second: Of the same conditions, in the same order.
        groups: What each condition belongs to: its model.
    """
    kept = np.isfinite(first) & np.isfinite(second)
    x, y = np.asarray(first, float)[kept], np.asarray(second, float)[kept]
    n, m = len(x), len({group for group, there in zip(groups, kept, strict=True) if there})
    pearson, spearman = (_over(of(x), of(y)) for of in (_same, _ranks))
    if n < LEAST_CONDITIONS or m < LEAST_GROUPS:
        return Correlation(CorrelationValue(pearson), CorrelationValue(spearman), n, m)
    wider = sqrt(1 + (spearman or 0.0) ** 2 / 2)
    return Correlation(_fisher(pearson, 1.0, m), _fisher(spearman, wider, m), n, m)


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _ranks(values: np.ndarray) -> np.ndarray:
    return _row_ranks(values[:, None])[:, 0] if len(values) else values


def _over(x: np.ndarray, y: np.ndarray) -> float | None:
    if len(x) < _LEAST_POINTS or min(map(_spread, (x, y))) <= ROUNDING:
        return None
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))


def _spread(values: np.ndarray) -> float:
    """Return how far values lie apart, in units of the greatest."""
    return float(np.ptp(values) / max(np.abs(values).max(), np.finfo(float).tiny))


def _fisher(value: float | None, wider: float, n: int) -> CorrelationValue:
    from scipy.special import ndtri

    if value is None or abs(value) >= 1 - ROUNDING:
        return CorrelationValue(value)
    half = float(ndtri(0.975)) * wider / sqrt(n - 3)
    return CorrelationValue(value, Interval(tanh(atanh(value) - half), tanh(atanh(value) + half)))
