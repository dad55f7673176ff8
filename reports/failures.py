"""What goes wrong with the answers of adapters, by the number of rows trained on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from empathy_core.types import Column
from reports.aggregate import ALL
from reports.comparisons import by_base, labels
from reports.labels import full_name, number, row_labels
from reports.notes import metric_name
from reports.spec import Comparison, ReportSpec
from reports.table import (
    NO_VALUE,
    Cell,
    Group,
    Head,
    Row,
    Table,
    Value,
    Words,
    headings,
    value_text,
    values_of,
)

DIAGNOSTICS = "diagnostics"
"""The metric whose columns are the faults."""
MORE_FAULTY = 0.05
"""Share by which a fault of an adapter may exceed its base's before Table 2 says so."""
EMPTY = "empty"
"""The fault of which Table 2 says more."""
PAPER = (
    "Huang and Khan (2024, section 5.2.2) report about 3% empty answers after training on 525 "
    "rows and about 70% after 4,719, and trace them to a fault of decoding."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One condition's faults.

    Attributes:
        train_size: 0 is the base.
        shares: Column name → share of the answers, 0 to 1; null where the metric has none.
    """

    label: str
    train_size: int
    shares: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """The faults of one base and its adapters, which were trained on the same sources.

    Attributes:
        faults: The columns, in order.
        lines: The base first, then by train size; seeds stand beside each other.
    """

    title: str
    faults: tuple[Column, ...]
    lines: tuple[Line, ...]


def faults(spec: ReportSpec) -> tuple[str, tuple[Column, ...]] | None:
    """Return key and columns of the diagnostics; null if they are not in the run."""
    for key, metric in spec.metrics.items():
        if metric_name(key) == DIAGNOSTICS:
            return key, metric.columns
    return None


def failure_tables(summary: pl.DataFrame, spec: ReportSpec, words: Words) -> tuple[Table, ...]:
    """Return the table of faults; none if there are no adapters or no diagnostics."""
    found = faults(spec)
    if found is None or not spec.finetunes:
        return ()
    key, columns = found
    values = values_of(summary.filter(pl.col("subset") == ALL))
    groups = tuple(
        Group(
            _title(spec, members),
            tuple(
                Row((label,), _cells(values, condition, key, columns))
                for condition, label in _conditions(members)
            ),
        )
        for members in by_base(spec.finetunes)
    )
    plain = [replace(c, group="") for c in columns]
    spans, heads = headings([plain[0], *plain], 2)
    heads = (Head(("Answers",)), *heads[1:])
    words = replace(
        words,
        caption="What goes wrong, by the number of rows trained on (n).",
        label=f"{words.label}-failures",
        notes=(*words.notes, "Shares of the answers; one answer may have several faults.", PAPER),
    )
    return (Table(words, ("Base", "Training"), spans, heads, groups),)


def _cells(
    values: Mapping[tuple[str, str, str], Value],
    condition: str,
    key: str,
    columns: Sequence[Column],
) -> tuple[Cell, ...]:
    of = [values.get((condition, key, c.name)) for c in columns]
    n = max((value.n for value in of if value is not None), default=0)
    return (
        Cell(f"{n:,}"),
        *(Cell(value_text(v, c)) for v, c in zip(of, columns, strict=True)),
    )


def _conditions(members: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return (condition, label): the bases, then the adapters by train size."""
    named = labels(members)
    whole = [c.unquantized for c in members if c.unquantized is not None][:1]
    bases = [*((c, "base, not quantised") for c in whole), (members[0].base, "base")]
    rows = sorted(members, key=lambda c: (c.train_size, c.sources, c.seed))
    return [*bases, *((c.tuned, named[c.tuned]) for c in rows)]


def _title(spec: ReportSpec, members: Sequence[Comparison]) -> str:
    base = next(c for c in spec.conditions if c.id == members[0].base)
    name = full_name(base, row_labels(spec.conditions))
    shared = {c.family for c in spec.finetunes if c.base == base.id}
    return f"{name}, {members[0].family}" if len(shared) > 1 else name


def failure_series(summary: pl.DataFrame, spec: ReportSpec) -> tuple[Series, ...]:
    """Return the faults of each base and source of rows, as the figure shows them."""
    found = faults(spec)
    if found is None:
        return ()
    key, columns = found
    values = values_of(summary.filter(pl.col("subset") == ALL))

    def line(condition: str, label: str, train_size: int) -> Line:
        of = {c.name: values.get((condition, key, c.name), NO_VALUE).score for c in columns}
        return Line(label, train_size, of)

    series = []
    for members in by_base(spec.finetunes):
        named, sources = labels(members), list(dict.fromkeys(c.sources for c in members))
        for source in sources:
            trained = f", {source}" if len(sources) > 1 else ""
            tuned = [
                line(c.tuned, named[c.tuned], c.train_size) for c in members if c.sources == source
            ]
            lines = (line(members[0].base, "base", 0), *tuned)
            series.append(Series(_title(spec, members) + trained, columns, lines))
    return tuple(series)


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
