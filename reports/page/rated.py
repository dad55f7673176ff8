"""What people said of single answers, for the page's browser: by pseudonym, judges beside. Pure."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import polars as pl

from empathy_core.rubrics.rendering import dimension_digest
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.rows.rated_tables import RatedDimension, asked_of, rated_dimensions
from reports.spec import ReportSpec


def people_of(
    collected: Collected,
    spec: ReportSpec,
    columns: Sequence[tuple[str, str]],
    slots: Mapping[str, pl.DataFrame],
) -> dict[str, Any]:
    """Return what the browser's index holds of people's ratings; nothing without any.

    Args:
        collected: The rows.
        spec: What the report is about.
        columns: Metric key and name of every column of the browser, in order.
        slots: Condition → ``example``, ``sample``, ``slot``, in the order of the browser.

    Returns:
        ``people``: each dimension's name, raters, and judges with the number of their column;
        ``rated``: for each condition slot → the values of each dimension, in the order of raters.
    """
    dimensions = rated_dimensions(collected, spec)
    if not dimensions:
        return {}
    return {
        "people": [
            {
                "name": f"{of.rubric_label}: {of.label}",
                "raters": list(of.raters),
                "judges": _judges(of, spec, columns),
            }
            for of in dimensions
        ],
        "rated": [_rated(name, rows, dimensions) for name, rows in slots.items()],
    }


def _judges(
    of: RatedDimension, spec: ReportSpec, columns: Sequence[tuple[str, str]]
) -> list[tuple[str, int]]:
    """Return label and column of each judge that is asked the same."""
    found = []
    for key, metric in spec.metrics.items():
        asked = asked_of(metric)
        if asked and (asked[0].name, asked[1].name, dimension_digest(*asked)) == of.asked:
            column = metric.columns[0]
            found.append((column.judge, columns.index((key, column.name))))
    return found


def _rated(
    condition: str, slots: pl.DataFrame, dimensions: Sequence[RatedDimension]
) -> dict[str, list[list[float | None]]]:
    found: dict[str, list[list[float | None]]] = {}
    for place, of in enumerate(dimensions):
        if condition not in of.conditions:
            continue
        ratings = of.ratings[:, of.conditions.index(condition)]
        rows = of.rows.select(KEY).with_row_index("row").join(slots, on=KEY, how="inner")
        for row, slot in rows.select("row", "slot").iter_rows():
            values = [None if isnan(v) else _short(v) for v in ratings[:, row].tolist()]
            if any(v is not None for v in values):
                empty: list[list[float | None]] = [[None] * len(d.raters) for d in dimensions]
                found.setdefault(str(slot), empty)[place] = values
    return found


def _short(value: float) -> float:
    """Return a whole number without a point."""
    return int(value) if value == int(value) else value
