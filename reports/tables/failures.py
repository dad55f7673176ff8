"""Faulty answers of adapters, by the number of training rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from empathy_core.types import Column
from reports.labels import number
from reports.numbers.adapter_vs_base import by_base, labels
from reports.numbers.aggregate import ALL
from reports.numbers.failures import EMPTY, faults, series_title
from reports.numbers.values import NO_VALUE, Value, values_of
from reports.spec import Comparison, ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText, headings, value_text

MORE_FAULTY = 0.05
"""Share by which a fault of an adapter may exceed its base's before Table 2 says so."""
PAPER = (
    "Huang and Khan (2024, section 5.2.2) report about 3% empty answers after training on 525 "
    "rows and about 70% after 4,719, and trace them to a fault of decoding."
)


def failure_tables(summary: pl.DataFrame, spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return the table of faults; none if there are no adapters or no diagnostics."""
    found = faults(spec)
    if found is None or not spec.finetunes:
        return ()
    key, columns = found
    values = values_of(summary.filter(pl.col("subset") == ALL))
    groups = tuple(
        Group(
            series_title(spec, members),
            tuple(
                Row((label,), _cells(values, condition, key, columns))
                for condition, label in _conditions(members)
            ),
        )
        for members in by_base(spec.finetunes)
    )
    plain = [replace(c, group="") for c in columns]
    spans, shown = headings([plain[0], *plain], 2)
    shown = (*heads("Answers"), *shown[1:])
    words = replace(
        words,
        caption="Faulty answers, by the number of training rows (n).",
        label=f"{words.label}-failures",
        notes=("Shares of the answers; one answer may have several faults.", PAPER),
    )
    return (Table(words, ("Base", "Training"), spans, shown, groups),)


def _cells(
    values: Mapping[tuple[str, str, str], Value],
    condition: str,
    key: str,
    columns: Sequence[Column],
) -> tuple[Cell, ...]:
    of = [values.get((condition, key, c.name)) for c in columns]
    n = max((value.n for value in of if value is not None), default=0)
    return (
        count_cell(n),
        *(Cell(value_text(v, c)) for v, c in zip(of, columns, strict=True)),
    )


def _conditions(members: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return (condition, label): the bases, then the adapters by train size."""
    named = labels(members)
    whole = [c.unquantized for c in members if c.unquantized is not None][:1]
    bases = [*((c, "base, not quantised") for c in whole), (members[0].base, "base")]
    rows = sorted(members, key=lambda c: (c.train_size, c.sources, c.seed))
    return [*bases, *((c.tuned, named[c.tuned]) for c in rows)]


def worse(
    summary: pl.DataFrame,
    spec: ReportSpec,
    shown: Sequence[Comparison],
    named: Mapping[str, str],
) -> list[str]:
    """Say which adapters have far more faults than their base; of empty answers more is said."""
    found = faults(spec)
    if found is None:
        return []
    key, columns = found
    values = values_of(summary.filter(pl.col("subset") == ALL))
    said = []
    for comparison in shown:
        for column in columns:
            ids = (comparison.tuned, comparison.base)
            tuned, base = (values.get((i, key, column.name), NO_VALUE).score for i in ids)
            if column.name == EMPTY or tuned is None or base is None:
                continue
            if tuned - base > MORE_FAULTY:
                shares = f"{number(tuned, column)} against {number(base, column)}"
                said.append(f"{column.label.lower()} {shares} ({named[comparison.tuned]})")
    return [f"More faults than the base's: {'; '.join(said)}."] if said else []
