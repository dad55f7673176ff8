"""Summary → tables. Pure; every string that a table shows is decided here, once.

A ``Table`` knows nothing of LaTeX and HTML: both are rendered from the same cells.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, NamedTuple

import polars as pl

from empathy_core.stats import RESAMPLES
from empathy_core.types import Column, Condition
from reports.keys import ALL
from reports.labels import NOT_APPLICABLE, number, printed, row_labels
from reports.layout import Layout
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
    layout: Layout = field(default_factory=Layout)


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
    pairs: pl.DataFrame | None = None,
) -> Table:
    """Return a table of conditions by columns; people first, models in the order of *spec*.

    Best and second are marked among the model rows of equal coverage, and only in a whole run;
    with *pairs*, a dagger follows a best that is significantly better than every other.
    """
    values = values_of(summary.filter(pl.col("subset") == subset))
    rows = sorted(spec.conditions, key=lambda c: c.model.backend != "human")
    names, keys = row_labels(spec.conditions), spec.keys(summary["subset"])
    ranked = [] if words.stamp else ranked_rows(summary, spec, subset)
    marked = [_marks(ranked, w, values) for w in wanted]
    clear = [
        significantly_best(pairs, w, marks, ranked, p_column(spec))
        for w, marks in zip(wanted, marked, strict=True)
    ]

    def cell(condition: Condition, place: int) -> Cell:
        key, column = wanted[place]
        value = values.get((condition.id, key, column.name)) or NO_VALUE
        return Cell(
            value_text(value, column),
            marked[place].get(condition.id, ""),
            dagger=condition.id == clear[place],
            interval=interval_text(value.bounds, column, spec.layout),
            key=keys.score(condition.id, (key, column.name), subset),
            value=value.score,
        )

    groups = tuple(
        Group(
            name,
            tuple(
                Row((names[c.id],), tuple(cell(c, i) for i in range(len(wanted)))) for c in members
            ),
            reference=is_human,
        )
        for (is_human, name), members in _by_model(rows)
    )
    stubs = ("Model", "Prompts")
    spans, heads = headings([c for _, c in wanted], len(stubs))
    return Table(words, stubs, spans, heads, groups, layout=spec.layout)


def _by_model(rows: Sequence[Condition]) -> list[tuple[tuple[bool, str], list[Condition]]]:
    """Group rows by people or not and model label, in order of first appearance."""

    def of(condition: Condition) -> tuple[bool, str]:
        return condition.model.backend == "human", condition.model.label

    order = list(dict.fromkeys(map(of, rows)))
    in_order = sorted(rows, key=lambda c: order.index(of(c)))
    return [(key, list(members)) for key, members in groupby(in_order, of)]


class Value(NamedTuple):
    """A score, its interval, rows scored, rows left unscored."""

    score: float | None
    n: int
    n_unscored: int
    bounds: tuple[float, float] | None = None


NO_VALUE = Value(None, 0, 0)


def values_of(summary: pl.DataFrame) -> Mapping[tuple[str, str, str], Value]:
    """Return (condition, metric key, column) → value, of a summary of one subset."""
    fields = summary.select(
        "condition", "metric", "column", "score", "n", "n_unscored", "low", "high"
    )
    return {
        (condition, metric, column): Value(score, n, unscored, None if low is None else (low, high))
        for condition, metric, column, score, n, unscored, low, high in fields.iter_rows()
    }


def value_text(value: Value | None, column: Column) -> str:
    """Return a score as it is printed; rows that the metric can score none of are ``N/A``."""
    value = value or NO_VALUE
    if value.score is None and value.n + value.n_unscored:
        return NOT_APPLICABLE
    return number(value.score, column)


def interval_text(bounds: tuple[float, float] | None, column: Column, layout: Layout) -> str:
    """Return an interval as it is printed, e.g. ``[0.2101, 0.2233]``; empty if there is none.

    ``± 0.0066`` is half its width.
    """
    if bounds is None or layout.intervals == "none":
        return ""
    low, high = bounds
    if layout.intervals == "plusminus":
        return f"\N{PLUS-MINUS SIGN} {number((high - low) / 2, column)}"
    return f"[{number(low, column)}, {number(high, column)}]"


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


def line_label(column: Column) -> str:
    """Return what a column is called as a line, e.g. ``BERTScore (F1) ↑``."""
    name = f"{column.group} ({column.label})" if column.group else column.label
    return f"{name} {ARROWS[column.better]}".strip()


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
    scores = {row: values.get((row, key, column.name), NO_VALUE).score for row in ranked}
    return rank({row: printed(s, column) for row, s in scores.items() if s is not None}, column)


def rank(values: Mapping[str, float], column: Column) -> dict[str, Mark]:
    """Return key → mark; ties share it, and nothing is marked where all values are equal."""
    distinct = sorted(set(values.values()), reverse=column.better == "higher")
    if column.better is None or len(distinct) < 2:
        return {}
    marks: dict[float, Mark] = {distinct[0]: "best", distinct[1]: "second"}
    return {key: marks[value] for key, value in values.items() if value in marks}


ALPHA = 0.05
"""Level of the tests."""


def significantly_best(
    pairs: pl.DataFrame | None,
    wanted: Wanted,
    marks: Mapping[str, Mark],
    ranked: Sequence[str],
    p_name: str,
) -> str | None:
    """Return the id of the one best row that is significantly better than every other ranked one.

    Null where two share the best value, where a pair has no test, and without *pairs*.
    """
    best = [row for row, mark in marks.items() if mark == "best"]
    if pairs is None or len(best) != 1:
        return None
    key, column = wanted
    mine = pairs.filter(
        pl.col("subset") == ALL,
        pl.col("metric") == key,
        pl.col("column") == column.name,
        pl.col("first").is_in(ranked),
        pl.col("second").is_in(ranked),
        (pl.col("first") == best[0]) | (pl.col("second") == best[0]),
    )
    p = mine[p_name]
    clear = len(p) == len(ranked) - 1 and p.null_count() == 0 and bool((p < ALPHA).all())
    return best[0] if clear else None


def p_column(spec: ReportSpec) -> str:
    """Return the column of the corrected p that marks follow."""
    return f"p_{spec.analysis.correction}"


def how_tested(spec: ReportSpec, family: str) -> str:
    """Return the test in words; *family*: what it is corrected over."""
    how = {"holm": "Holm", "bh": "Benjamini\N{EN DASH}Hochberg"}[spec.analysis.correction]
    return (
        f"p < {ALPHA} (approximate randomisation by question, two-sided, {RESAMPLES:,} shuffles, "
        f"{how}-corrected over {family})"
    )
