"""The values that a table shows."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from empathy_core.stats import Interval


class Value(NamedTuple):
    """A score, its interval, rows scored, rows left unscored."""

    score: float | None
    n: int
    n_unscored: int
    bounds: Interval | None = None


NO_VALUE = Value(None, 0, 0)


def values_of(summary: pl.DataFrame) -> Mapping[tuple[str, str, str], Value]:
    """Return (condition, metric key, column) → value, of a summary of one subset."""
    fields = summary.select(
        "condition", "metric", "column", "score", "n", "n_unscored", "low", "high", "one_sided"
    )
    return {
        (condition, metric, column): Value(score, n, n_unscored, _bounds(*ends))
        for condition, metric, column, score, n, n_unscored, *ends in fields.iter_rows()
    }


def or_null(value: float | None) -> float | None:
    """Return a number for a frame; null where it is not a number."""
    return None if value is None or math.isnan(value) else float(value)


def ends(interval: Interval | None, of: str = "") -> dict[str, float | None]:
    """Return an interval as columns of a frame: ``low`` and ``high``, or ``<of>_low`` …."""
    low, high = (interval.low, interval.high) if interval else (None, None)
    before = f"{of}_" if of else ""
    return {f"{before}low": low, f"{before}high": high}


def both(low: float | None, high: float | None) -> tuple[float, float] | None:
    """Return the ends of an interval as columns of a frame have them; null if there is none."""
    return None if low is None or high is None else (low, high)


def _bounds(low: float | None, high: float | None, one_sided: bool | None) -> Interval | None:
    return None if low is None or high is None else Interval(low, high, one_sided is True)
