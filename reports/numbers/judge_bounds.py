"""What a judge's mean would be if its missing ratings were the worst, or the best. Pure.

The bounds are those that every dagger must hold under (``bounds``).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from reports.numbers.bounds import Possible, possible
from reports.numbers.values import or_null
from reports.rows.align import Aligned, reduced

BOUNDS: dict[str, Any] = {
    "metric": pl.String,  # key
    "column": pl.String,
    "judge": pl.String,  # label
    "condition": pl.String,
    "n": pl.Int64,  # answers with a rating
    "n_missing": pl.Int64,  # answers without one
    "mean": pl.Float64,  # of the ratings that are there; null: there is none
    "worst": pl.Float64,  # if all missing ratings were the worst of the scale
    "best": pl.Float64,  # if they were the best; of a profile, which has neither: least and most
}
"""Schema of the bounds, a row each rating with missing values and condition."""


def judge_bounds(aligned: Aligned, rated: Sequence[tuple[str, Any]]) -> pl.DataFrame:
    """Return ``BOUNDS``.

    Args:
        aligned: Rows of all conditions.
        rated: Key and metric of what judges rate and prefer, with a column.
    """
    records = [
        record
        for key, metric in rated
        if (bounds := possible(aligned, key, metric)) is not None
        for record in _records(aligned, key, metric, bounds)
    ]
    return pl.DataFrame(records, schema=BOUNDS)


def _records(
    aligned: Aligned, key: str, metric: Any, bounds: Possible
) -> Iterator[dict[str, object]]:
    column = metric.columns[0]
    every = aligned.by_row(key, metric.statistics)
    asked = aligned.by_row(key, ("judged", "too_long", "empty"))
    for i, condition in enumerate(aligned.conditions):
        scored = ~np.isnan(every[i]).any(axis=1)
        missing = ~scored & (np.nansum(asked[i], axis=1) > 0)
        ends = [or_null(float(of[0, 0])) for of in bounds.scores([i])]
        worst, best = reversed(ends) if column.better == "lower" else ends
        yield {
            "metric": key, "column": column.name, "judge": column.judge, "condition": condition,
            "n": int(scored.sum()), "n_missing": int(missing.sum()),
            "mean": or_null(float(reduced(metric, every[i])[0])), "worst": worst, "best": best,
        }  # fmt: skip
