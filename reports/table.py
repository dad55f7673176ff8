"""Summary → tables. Pure; every string that a table shows is decided here, once.

A ``Table`` knows nothing of LaTeX and HTML: both are rendered from the same cells.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import polars as pl

from empathy_core.types import Column, Condition
from reports.aggregate import ALL
from reports.labels import NOT_APPLICABLE, number, printed, row_labels
from reports.layout import Layout as Layout
from reports.spec import ReportSpec

Mark = Literal["best", "second", ""]

ARROWS = {"higher": "↑", "lower": "↓", None: ""}
DAGGER = "\N{DAGGER}"
HEAD_WIDTH = 11
"""Characters of a heading's line: about what a column of four decimals takes."""
PANEL_COLUMNS = 8
"""Number columns that a page of two-column print holds beside model and prompt."""


@dataclass(frozen=True, slots=True)
class Head:
    """Heading of one column of numbers."""

    lines: tuple[str, ...]
    arrow: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A heading over neighbouring columns, *first* to *last* counted from 1, stubs included."""

    label: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One number as printed.

    Attributes:
        dagger: Whether it is marked as significant; the notes name the test.
        interval: As printed beside or below the number: ``[0.2101, 0.2233]`` or ``± 0.0041``;
            empty if there is none.
        key: What ``explain``, macros and claims call it; empty if it has no name.
        value: What a page sorts by; null for a text.
    """

    text: str
    mark: Mark = ""
    dagger: bool = False
    interval: str = ""
    key: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what stands left of the numbers, below the group's label, and the numbers.

    Attributes:
        gap: A little space above.
    """

    stubs: tuple[str, ...]
    cells: tuple[Cell, ...]
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The lines of one model.

    Attributes:
        reference: People rather than a model: set apart by a rule, and not ranked.
    """

    label: str
    rows: tuple[Row, ...]
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """What stands around the numbers of a table.

    Attributes:
        label: LaTeX label.
        notes: Sentences below the table.
        stamp: ``PARTIAL n/N`` where rows are missing; else empty.
        short: Caption for the list of tables; empty: none of its own.
    """

    caption: str
    label: str
    notes: tuple[str, ...] = ()
    stamp: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as printed.

    Attributes:
        stubs: Headings left of the numbers; the first is the groups'.
        tight: Groups are single lines and follow each other without a space.
    """

    words: Words
    stubs: tuple[str, ...]
    spans: tuple[Span, ...]
    heads: tuple[Head, ...]
    groups: tuple[Group, ...]
    tight: bool = False
    layout: Layout = Layout()


Wanted = tuple[str, Column]
"""Metric key and column: what a column of a table shows."""


def columns(spec: ReportSpec, *, main: bool) -> list[list[Wanted]]:
    """Return the columns of the main table or of the detail tables, a list for each metric."""
    found = [[(k, c) for c in m.columns if c.main is main] for k, m in spec.metrics.items()]
    return [of_metric for of_metric in found if of_metric]


def panels(of_metrics: Sequence[Sequence[Wanted]]) -> list[list[Wanted]]:
    """Pack columns into as few tables as fit a page, metrics kept whole where they can be."""
    packed: list[list[Wanted]] = []
    for of_metric in of_metrics:
        n_parts = -(-len(of_metric) // PANEL_COLUMNS)
        size = -(-len(of_metric) // n_parts)
        for start in range(0, len(of_metric), size):
            part = list(of_metric[start : start + size])
            if packed and len(packed[-1]) + len(part) <= PANEL_COLUMNS:
                packed[-1] += part
            else:
                packed.append(part)
    return packed


def score_table(
    summary: pl.DataFrame,
    spec: ReportSpec,
    wanted: Sequence[Wanted],
    words: Words,
    subset: str = ALL,
) -> Table:
    """Return a table of conditions by columns; people first, models in the order of *spec*.

    Best and second are marked among the model rows of equal coverage, and only in a whole run.
    """
    values = values_of(summary.filter(pl.col("subset") == subset))
    rows = sorted(spec.conditions, key=lambda c: c.model.backend != "human")
    names = row_labels(spec.conditions)
    ranked = [] if words.stamp else ranked_rows(summary, spec, subset)
    marked = [_marks(ranked, w, values) for w in wanted]

    def row(condition: Condition) -> Row:
        cells = [
            Cell(
                value_text(values.get((condition.id, key, c.name)), c), marks.get(condition.id, "")
            )
            for (key, c), marks in zip(wanted, marked, strict=True)
        ]
        return Row((names[condition.id],), tuple(cells))

    groups = tuple(
        Group(name, tuple(row(c) for c in members), reference=is_human)
        for (is_human, name), members in _by_model(rows)
    )
    stubs = ("Model", "Prompts")
    spans, heads = headings([c for _, c in wanted], len(stubs))
    return Table(words, stubs, spans, heads, groups)


def _by_model(rows: Sequence[Condition]) -> list[tuple[tuple[bool, str], list[Condition]]]:
    """Group rows by people or not and model label, in order of first appearance."""

    def of(condition: Condition) -> tuple[bool, str]:
        return condition.model.backend == "human", condition.model.label

    order = list(dict.fromkeys(map(of, rows)))
    in_order = sorted(rows, key=lambda c: order.index(of(c)))
    return [(key, list(members)) for key, members in groupby(in_order, of)]


Value = tuple[float | None, int, int]
"""Score, rows scored, rows left unscored."""


def values_of(summary: pl.DataFrame) -> Mapping[tuple[str, str, str], Value]:
    """Return (condition, metric key, column) → value, of a summary of one subset."""
    fields = summary.select("condition", "metric", "column", "score", "n", "n_unscored")
    return {(c, m, k): (score, n, u) for c, m, k, score, n, u in fields.iter_rows()}


def value_text(value: Value | None, column: Column) -> str:
    """Return a score as it is printed; rows that the metric can score none of are ``N/A``."""
    score, n, n_unscored = value or (None, 0, 0)
    if score is None and n + n_unscored:
        return NOT_APPLICABLE
    return number(score, column)


def headings(wanted: Sequence[Column], n_stubs: int) -> tuple[tuple[Span, ...], tuple[Head, ...]]:
    """Return the headings of *wanted*: groups above, labels broken into short lines below."""
    spans, position = [], n_stubs + 1
    for label, members in groupby(wanted, lambda c: c.group):
        last = position + len(list(members)) - 1
        spans.append(Span(label, position, last))
        position = last + 1
    heads = [
        Head(
            tuple(textwrap.wrap(c.label, HEAD_WIDTH, break_long_words=False)) or ("",),
            ARROWS[c.better],
        )
        for c in wanted
    ]
    return tuple(spans), tuple(heads)


# ---------------------------------------------------------------------------- ranks


def ranked_rows(summary: pl.DataFrame, spec: ReportSpec, subset: str) -> list[str]:
    """Return the ids of the model rows that can be compared: those of the largest coverage."""
    of_subset = summary.filter(pl.col("subset") == subset)
    expected = dict(of_subset.select("condition", "n_expected").unique().iter_rows())
    samples = {c.id: c.decoding.samples if c.decoding.sample else 1 for c in spec.conditions}
    models = [c.id for c in spec.conditions if c.model.backend != "human"]
    examples = {i: expected.get(i, 0) // samples[i] for i in models}
    return [i for i in models if examples[i] == max(examples.values())]


def _marks(
    ranked: Sequence[str], wanted: Wanted, values: Mapping[tuple[str, str, str], Value]
) -> dict[str, Mark]:
    """Return id → mark by the numbers as printed, so that what looks equal is marked equally."""
    key, column = wanted
    scores = {row: values.get((row, key, column.name), (None, 0, 0))[0] for row in ranked}
    return rank({row: printed(s, column) for row, s in scores.items() if s is not None}, column)


def rank(values: Mapping[str, float], column: Column) -> dict[str, Mark]:
    """Return key → mark; ties share it, and nothing is marked where all values are equal."""
    distinct = sorted(set(values.values()), reverse=column.better == "higher")
    if column.better is None or len(distinct) < 2:
        return {}
    marks: dict[float, Mark] = {distinct[0]: "best", distinct[1]: "second"}
    return {key: marks[value] for key, value in values.items() if value in marks}
