"""How often answers fail, by condition and kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.types import Column
from reports.keys import metric_name
from reports.labels import full_name, row_labels
from reports.numbers.adapters import by_base, labels
from reports.numbers.aggregate import ALL
from reports.numbers.values import NO_VALUE, values_of
from reports.spec import Comparison, ReportSpec

DIAGNOSTICS = "diagnostics"
"""The metric whose columns are the faults."""


EMPTY = "empty"
"""The fault of which Table 2 says more."""


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


def series_title(spec: ReportSpec, members: Sequence[Comparison]) -> str:
    """Return the base's name, with the family where several share it."""
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
            series.append(Series(series_title(spec, members) + trained, columns, lines))
    return tuple(series)
