"""Seeds and repeated samples: what of a score is chance of the run rather than of the questions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.types import Column
from reports.labels import NOTHING, number, percent
from reports.spec import ReportSpec
from reports.tables.cells import heads, score_cell
from reports.tables.table import Cell, Group, Row, Table, TableText, line_label

# ---------------------------------------------------------------------------- table


def repeat_tables(found: pl.DataFrame, spec: ReportSpec, words: TableText) -> Iterator[Table]:
    """Yield the table of *found* (``REPEATS``); none if nothing was repeated."""
    if found.is_empty():
        return
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}

    def line(row: dict[str, Any]) -> Row:
        column = columns[row["metric"], row["column"]]
        return Row((line_label(column),), _cells(row, column))

    groups = tuple(
        Group(f"{label}: {runs}", tuple(map(line, part.iter_rows(named=True))))
        for (label, runs), part in found.group_by("label", "runs", maintain_order=True)
    )
    shown = heads(
        ("Mean", "of runs"), "95% interval", ("SD", "of runs"), ("SE,", "questions"),
        ("SE,", "both"), ("Share", "of runs"),
    )  # fmt: skip
    words = replace(
        words,
        caption="Seeds and repeated samples (variance components).",
        label=f"{words.label}-repeats",
        notes=(
            "SD of runs: standard deviation of the runs' scores on the same questions.",
            "SE, questions: standard error of their mean due to the sample of questions "
            "(bootstrap by question).",
            "SE, both: due to the sample of questions and of runs, as is the interval (Student's "
            "t, Satterthwaite's degrees of freedom).",
            "Share of runs: the part of the variance of a single run's score that is due to the "
            "run.",
        ),
    )
    stubs = ("Condition", "Metric")
    yield Table(words, stubs, (), shown, groups, layout=spec.layout)


def _cells(row: dict[str, Any], column: Column) -> tuple[Cell, ...]:
    finer = replace(column, decimals=column.decimals + 1)  # of errors, the second digit counts
    bounds = (number(row[end], column) for end in ("low", "high"))
    return (
        score_cell(row["mean"], column),
        Cell(NOTHING if row["low"] is None else f"[{', '.join(bounds)}]"),
        *(score_cell(row[name], finer) for name in ("deviation", "error_questions", "error")),
        Cell(percent(row["share"]), value=row["share"]),
    )
