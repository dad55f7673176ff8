"""What is left of scores and lengths when questions, conditions or pairs are taken out. Pure."""

import numpy as np

from empathy_core.stats.coefficients import Coefficient, ratio
from empathy_core.stats.intervals import ROUNDING

_ROUNDS, _CLOSE = 200, 1e-10


def two_way_rest(table: np.ndarray) -> np.ndarray:
    """Return what conditions and rows do not explain of a table (conditions, rows); NaN stays.

    The residuals of a two-way layout, exact where cells are missing too: means of rows and of
    conditions are taken out in turn until none is left.
    """
    given = ~np.isnan(table)
    left = np.where(given, table, 0.0)
    scale = float(np.abs(left).max(initial=0.0))
    for _ in range(_ROUNDS):
        before = left
        for axis in (0, 1):
            n = np.maximum(1, given.sum(axis=axis, keepdims=True))
            left = np.where(given, left - left.sum(axis=axis, keepdims=True) / n, 0.0)
        if np.abs(left - before).max(initial=0.0) <= _CLOSE * scale:
            break
    return np.where(given, _rounded(left, scale), np.nan)


def group_rest(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return *values* (items,) less the means of their groups, numbered from 0, likewise."""
    n = np.maximum(1, np.bincount(groups))
    means = np.bincount(groups, values) / n
    return _rounded(values - means[groups], float(np.abs(values).max(initial=0.0)))


def plane_rest(y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return *y* (items,) less its least-squares plane through zero on *known* (items, k)."""
    found = np.linalg.lstsq(known, y)[0]
    return np.asarray(y - known @ found)


def correlation(x: np.ndarray, y: np.ndarray) -> tuple[Coefficient, Coefficient]:
    """Return correlation and slope of *y* on *x*, both (items,) with a mean of zero."""
    rows = np.column_stack([x**2, y**2, x * y])
    scales = float((x**2).sum()), float((y**2).sum())

    def reduce(sums: np.ndarray) -> np.ndarray:
        xx, yy, xy = np.moveaxis(sums, -1, 0)
        varies = (xx > ROUNDING * scales[0]) & (yy > ROUNDING * scales[1])
        found = ratio(xy, np.sqrt(np.where(varies, xx * yy, 0.0)), 0.0)
        return np.asarray(np.clip(found, -1.0, 1.0))

    def slope(sums: np.ndarray) -> np.ndarray:
        return ratio(sums[..., 2], sums[..., 0], scales[0])

    return Coefficient(rows, reduce), Coefficient(rows, slope)


def _rounded(left: np.ndarray, scale: float) -> np.ndarray:
    """Return what is left with zero where it is rounding: of what is constant nothing is left."""
    return np.where(np.abs(left) <= 100 * ROUNDING * scale, 0.0, left)
