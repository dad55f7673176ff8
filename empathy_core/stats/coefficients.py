"""Coefficients that are functions of sums over items, with intervals over whole questions. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, Interval, accelerated, drop_undefined, or_null
from empathy_core.stats.resampling import Resampler, cluster_sums, draws, resample_sums
from empathy_core.stats.results import Counts, Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Coefficient:
    """Statistics (items, statistics), and what their sums (..., statistics) come to: (...,)."""

    rows: np.ndarray
    reduce: Callable[[np.ndarray], np.ndarray]


def estimates(
    parts: Sequence[Coefficient], kept: np.ndarray, resampler: Resampler, *, heavy: bool = False
) -> tuple[Estimate, ...]:
    """Return an estimate of each coefficient over the items *kept*, shape (items,).

    With *heavy* intervals are widened where few questions make up the variance; see ``_carriers``.
    """
    found = estimates_at(parts, kept, resampler, [resampler.level], heavy=heavy)
    return tuple(of for (of,) in found)


def estimates_at(
    parts: Sequence[Coefficient],
    kept: np.ndarray,
    resampler: Resampler,
    levels: Sequence[float],
    constant: bool = False,
    heavy: bool = False,
) -> tuple[tuple[Estimate, ...], ...]:
    """Return for each coefficient an estimate with an interval at each of *levels*.

    Args:
        parts: Coefficients of the same items.
        kept: Which items count, shape (items,).
        resampler: Of the items.
        levels: Chances that intervals cover.
        constant: Of a coefficient that is the same without any question the interval is that one
            number; else there is none.
        heavy: See ``estimates``.
    """
    counts = Counts.of(kept, resampler)
    places, rows = _places(parts)
    sums = cluster_sums(rows[None], kept, resampler)[:, 0]
    total = sums.sum(axis=0)
    drawn = resample_sums(draws(resampler), sums).T if counts.enough else None
    found = []
    for of, at in zip(parts, places, strict=True):
        value = or_null(float(of.reduce(total[at])))
        bounds: list[Interval | None] = [None] * len(levels)
        if drawn is not None and value is not None:
            without = of.reduce(total[at] - sums[:, at])
            values = drop_undefined(of.reduce(drawn[:, at]))
            if constant and np.abs(without - value).max() <= ROUNDING:
                bounds = [Interval(value, value)] * len(levels)
            elif values is not None:
                n = _carriers(without, counts) if heavy else counts.effective
                bounds = [accelerated(values, value, without, n, p) for p in levels]
        found.append(tuple(Estimate(value, of, *counts.fields) for of in bounds))
    return tuple(found)


def _carriers(without: np.ndarray, counts: Counts) -> float:
    """Return of how many equal clusters the variance is known as well as it is here.

    Near the ceiling of a scale most questions say the same, and a variance that rests on a few is
    itself hardly known: one more than Satterthwaite's degrees of freedom, 2 n / (kurtosis - 1) of
    the jackknife's deviations, which is n of normal ones; but ``Counts.effective`` at most.
    """
    apart = without - without.mean()
    squares = float(np.square(apart).sum())
    if not np.isfinite(squares) or squares <= ROUNDING**2:
        return counts.effective
    excess = counts.n_clusters * float((apart**4).sum()) / squares**2 - 1
    return max(2.0, 1 + min(counts.effective - 1, 2 * counts.n_clusters / max(excess, ROUNDING)))


def _places(parts: Sequence[Coefficient]) -> tuple[list[slice], np.ndarray]:
    """Return where the statistics of each part stand, and all: those that parts share once."""
    places: dict[int, slice] = {}
    different, end = [], 0
    for of in parts:
        if id(of.rows) not in places:
            places[id(of.rows)] = slice(end, end + of.rows.shape[1])
            end += of.rows.shape[1]
            different.append(of.rows)
    return [places[id(of.rows)] for of in parts], np.concatenate(different, axis=1)


def ratio(above: np.ndarray, below: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Return a quotient; NaN where *below* is rounding on the scale of what it is made of."""
    with np.errstate(all="ignore"):
        return np.asarray(np.where(below > ROUNDING * scale, above / below, np.nan))
