"""The table of shares that judges calibrated on other data give. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.stats import LEVEL, Interval
from empathy_core.types import Column
from reports.labels import NOTHING, full_name, general, n_of, number, percent, row_labels
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Span, Table, TableText, interval_text

_SHARE = Column("", "", None, decimals=1, percent=True)


def flag_tables(rows: pl.DataFrame, spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return a table for each judge of ``flags_elsewhere.FLAG_RATES``."""
    return tuple(
        _of_judge(part, spec, replace(words, label=f"{words.label}-flag-rates-{i}"))
        for i, (_, part) in enumerate(rows.group_by("judge", maintain_order=True), 1)
    )


def _of_judge(rows: pl.DataFrame, spec: ReportSpec, words: TableText) -> Table:
    labels, judge = row_labels(spec.conditions), rows["judge"][0]
    named = {c.id: full_name(c, labels) for c in spec.conditions}
    groups = tuple(
        Group(_asked(spec, str(key)), tuple(
            Row((named[row["condition"]],), _cells(row, spec))
            for row in part.iter_rows(named=True)
        ))
        for (key,), part in rows.group_by("metric", maintain_order=True)
    )  # fmt: skip
    text = replace(
        words,
        caption=f"Shares of answers that people would flag, by {judge} calibrated on other data.",
        notes=tuple(_notes(rows, spec)),
        interval_note=f"In brackets: {general(100 * LEVEL)}% intervals; answers as independent.",
    )
    spans = (Span("", 3, 4), Span("", 5, 5))
    shown = heads("Share", "n", ("Judge", "alone"))
    return Table(text, ("Question", "Condition"), spans, shown, groups, layout=spec.layout)


def _asked(spec: ReportSpec, key: str) -> str:
    metric: Any = spec.metrics[key]
    return str(metric.dimension.label)


def _cells(row: Mapping[str, Any], spec: ReportSpec) -> tuple[Cell, ...]:
    bounds = None if row["value"] is None else Interval(row["low"], row["high"])
    share = Cell(
        number(row["value"], _SHARE), interval=interval_text(bounds, _SHARE, spec.layout),
        value=row["value"],
    )  # fmt: skip
    alone = Cell(number(row["flagged"], _SHARE), value=row["flagged"], grey=True)
    return (share, count_cell(row["n"]), alone)


def _notes(rows: pl.DataFrame, spec: ReportSpec) -> Iterator[str]:
    yield (
        "Nobody has rated these answers: the shares hold if the judge errs here as it did on the "
        "other data (Rogan and Gladen; interval of Lee et al.)."
    )
    for row in rows.unique("metric", keep="first", maintain_order=True).iter_rows(named=True):
        found, cleared = (
            n_of(round(row[share] * row[n]), row[n])
            for share, n in (("sensitivity", "n_positive"), ("specificity", "n_negative"))
        )
        yield (
            f"{_asked(spec, row['metric'])}: the judge found {found} "
            f"({percent(row['sensitivity'])}) and cleared {cleared} "
            f"({percent(row['specificity'])}): {row['source']}."
        )
    for reason in dict.fromkeys(r for r in rows["refusal"] if r):
        yield f"{NOTHING}: not estimated, since {reason.rstrip('.')}."
