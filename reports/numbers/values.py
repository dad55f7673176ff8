"""The values that a table shows."""

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


def _bounds(low: float | None, high: float | None, one_sided: bool | None) -> Interval | None:
    return None if low is None or high is None else Interval(low, high, one_sided is True)
