"""Seeds and repeated samples: what of a score is chance of the run rather than of the questions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.types import Column
from reports.labels import NOTHING, number
from reports.spec import ReportSpec
from reports.tables.table import Cell, Group, Head, Row, Table, Words, line_label

# ---------------------------------------------------------------------------- table


def repeat_tables(found: pl.DataFrame, spec: ReportSpec, words: Words) -> Iterator[Table]:
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
    heads = (
        ("Mean", "of runs"), ("95% interval",), ("SD", "of runs"), ("SE,", "questions"),
        ("SE,", "both"), ("Share", "of runs"),
    )  # fmt: skip
    words = replace(
        words,
        caption="Seeds and repeated samples: chance of the run beside chance of the questions.",
        label=f"{words.label}-repeats",
        notes=(
            *words.notes,
            "SD of runs: standard deviation of the runs' scores on the same questions. SE, "
            "questions: standard error of their mean over other questions (bootstrap by question); "
            "SE, both: over other questions and other runs, as is the interval (Student's t, "
            "Satterthwaite's degrees of freedom). Share of runs: what part of the variance of one "
            "run's score is the run's.",
        ),
    )
    stubs = ("Condition", "Metric")
    yield Table(words, stubs, (), tuple(map(Head, heads)), groups, layout=spec.layout)


def _cells(row: dict[str, Any], column: Column) -> tuple[Cell, ...]:
    finer = replace(column, decimals=column.decimals + 1)  # of errors, the second digit counts
    bounds = (number(row[end], column) for end in ("low", "high"))
    share = row["share"]
    return (
        Cell(number(row["mean"], column), value=row["mean"]),
        Cell(NOTHING if row["low"] is None else f"[{', '.join(bounds)}]"),
        *(
            Cell(number(row[name], finer), value=row[name])
            for name in ("deviation", "error_questions", "error")
        ),
        Cell(NOTHING if share is None else f"{100 * share:.1f}%", value=share),
    )
