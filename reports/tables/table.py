"""Summary → tables. Pure; every string that a table shows is decided here, once.

A ``Table`` knows nothing of LaTeX and HTML: both are rendered from the same cells.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import polars as pl

from empathy_core.stats import Interval
from empathy_core.types import Column, Condition
from reports.keys import ALL
from reports.labels import NOT_APPLICABLE, column_title, count, label_below, number, row_labels
from reports.numbers.derived import chose_by
from reports.numbers.significance import (
    Mark,
    Ranking,
    Wanted,
    p_column,
    ranked,
    ranking,
    significantly_best,
    subset_of_tests,
)
from reports.numbers.values import NO_VALUE, Value, values_of
from reports.spec import Layout, ReportSpec
from reports.tables.columns import COUNT

ARROWS = {"higher": "↑", "lower": "↓", None: ""}
DAGGER = "\N{DAGGER}"
RED_BY_JUDGE = "\N{SECTION SIGN}"
"""Behind the label of a condition in which a judge alone found a severe crisis fault."""
HEAD_WIDTH = 11
"""Characters of a heading's line: about what a column of four decimals takes."""
SPAN_WIDTH = 24
"""Characters of a line of a heading over few columns, at least: a judge's name stays whole."""
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

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines: a long one (rubric and judge) must not make its columns wider than numbers."""
        width = max(SPAN_WIDTH, (HEAD_WIDTH + 2) * (self.last - self.first + 1))
        lines = textwrap.wrap(self.label, width, break_long_words=False, break_on_hyphens=False)
        return tuple(lines) or (self.label,)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number as printed.

    Attributes:
        dagger: Whether it is marked as significant; the notes name the test.
        interval: As printed beside or below the number: ``[0.2101, 0.2233]`` or ``± 0.0041``;
            empty if there is none.
        inline: Whether the interval belongs to the number wherever it is printed, in a terminal
            too: that of a difference.
        grey: Whether it is printed in grey: there to compare with, and no result.
        key: What ``explain``, macros and claims call it; empty if it has no name.
        value: What a page sorts by; null for a text.
    """

    text: str
    mark: Mark = ""
    dagger: bool = False
    interval: str = ""
    key: str = ""
    value: float | None = None
    inline: bool = False
    grey: bool = False


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
class TableText:
    """What stands around the numbers of a table.

    Attributes:
        label: LaTeX label.
        warnings: What weakens the numbers: first below the table everywhere, and never left out.
        notes: Further sentences below it on a page; in print they stand in ``methods.tex``.
        brief: What stands in their place in print, the most important first, as far as four lines
            hold it; empty: the *notes*.
        interval_note: What its intervals are, in print; empty where it has none.
        stamp: ``PARTIAL n/N`` where rows are missing; else empty.
        short: Caption for the list of tables; empty: none of its own.
        flagged: Ids of conditions that bear ``RED_BY_JUDGE`` behind their label.
    """

    caption: str
    label: str
    notes: tuple[str, ...] = ()
    stamp: str = ""
    short: str = ""
    brief: tuple[str, ...] = ()
    interval_note: str = ""
    warnings: tuple[str, ...] = ()
    flagged: frozenset[str] = frozenset()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is said below the table where there is room."""
        return self.warnings + self.notes


@dataclass(frozen=True, slots=True)
class Table:
    """A table as printed.

    Attributes:
        stubs: Headings left of the numbers; the first is the groups'.
        tight: Groups are single lines and follow each other without a space.
    """

    words: TableText
    stubs: tuple[str, ...]
    spans: tuple[Span, ...]
    heads: tuple[Head, ...]
    groups: tuple[Group, ...]
    tight: bool = False
    layout: Layout = field(default_factory=Layout)

    @property
    def has_grey(self) -> bool:
        """Whether a number is printed in grey."""
        return any(cell.grey for group in self.groups for row in group.rows for cell in row.cells)


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
    words: TableText,
    subset: str = ALL,
    pairs: pl.DataFrame | None = None,
) -> Table:
    """Return a table of conditions by columns; people first, models in the order of *spec*.

    Best and second are marked among the ranked rows, and only in a whole run; with *pairs*, a
    dagger follows a best that is significantly better than every other. A condition without a
    row in the subset is left out.
    """
    of_subset = summary.filter(pl.col("subset") == subset)
    values, there = values_of(of_subset), set(of_subset["condition"])
    rows = sorted((c for c in spec.conditions if c.id in there), key=lambda c: not c.model.is_human)
    names, keys = row_labels(spec.conditions), spec.keys(summary["subset"])
    counts, nothing = _answers(of_subset), Ranking({})
    marked = [nothing if words.stamp else ranking(of_subset, *w, spec.barred) for w in wanted]
    clear = _significant(of_subset, pairs, wanted, marked, p_column(spec))

    def cell(condition: Condition, place: int) -> Cell:
        key, column = wanted[place]
        if wanted[place] == COUNT:
            n = counts[condition.id]
            return Cell(count(n), value=n)
        value = values.get((condition.id, key, column.name)) or NO_VALUE
        return Cell(
            value_text(value, column),
            marked[place].marks.get(condition.id, ""),
            dagger=condition.id == clear[place],
            interval=interval_text(value.bounds, column, spec.layout),
            key=keys.score(condition.id, (key, column.name), subset),
            value=value.score,
            grey=chose_by(condition, column),
        )

    groups = tuple(
        Group(
            name,
            tuple(
                Row(
                    (signed(names[c.id], c.id, words),),
                    tuple(cell(c, i) for i in range(len(wanted))),
                )
                for c in members
            ),
            reference=is_human,
        )
        for (is_human, name), members in _by_model(rows)
    )
    stubs = ("Model", "Prompts")
    spans, heads = headings([c for _, c in wanted], len(stubs))
    words = replace(words, interval_note=_interval_note(groups, spec.layout))
    return Table(words, stubs, spans, heads, groups, layout=spec.layout)


def signed(label: str, condition: str, words: TableText) -> str:
    """Return a condition's label, with the sign of a fault that a judge alone found."""
    return " ".join(filter(None, (label, RED_BY_JUDGE * (condition in words.flagged))))


def _interval_note(groups: Sequence[Group], layout: Layout) -> str:
    """Say in a line what the intervals of a table are; empty where it has none."""
    if not any(cell.interval for g in groups for row in g.rows for cell in row.cells):
        return ""
    if layout.intervals == "plusminus":
        return "\N{PLUS-MINUS SIGN}: half the width of the 95% interval (bootstrap by question)."
    return "In brackets: 95% intervals (bootstrap by question)."


def _answers(of_subset: pl.DataFrame) -> dict[str, int]:
    """Return condition → its answers in the subset, with a score or without."""
    n = (pl.col("n") + pl.col("n_unscored")).max()
    return dict(of_subset.group_by("condition").agg(n).iter_rows())


def _significant(
    of_subset: pl.DataFrame,
    pairs: pl.DataFrame | None,
    wanted: Sequence[Wanted],
    marked: Sequence[Ranking],
    p: str,
) -> list[str | None]:
    """Return for each column the row that bears its dagger; null where none does."""
    if pairs is None or of_subset.is_empty():
        return [None] * len(wanted)
    rows = ranked(of_subset, [key for key, _ in wanted])
    found = []
    for (key, column), of in zip(wanted, marked, strict=True):
        tested = pairs.filter(pl.col("subset") == subset_of_tests(pairs, key))
        found.append(significantly_best(tested, key, column, of, rows[key], p))
    return found


def _by_model(rows: Sequence[Condition]) -> list[tuple[tuple[bool, str], list[Condition]]]:
    """Group rows by people or not and model label, in order of first appearance."""

    def of(condition: Condition) -> tuple[bool, str]:
        return condition.model.is_human, condition.model.label

    order = list(dict.fromkeys(map(of, rows)))
    in_order = sorted(rows, key=lambda c: order.index(of(c)))
    return [(key, list(members)) for key, members in groupby(in_order, of)]


def value_text(value: Value | None, column: Column) -> str:
    """Return a score as it is printed; rows that the metric can score none of are ``N/A``."""
    value = value or NO_VALUE
    if value.score is None and value.n + value.n_unscored:
        return NOT_APPLICABLE
    return number(value.score, column)


def interval_text(bounds: Interval | None, column: Column, layout: Layout) -> str:
    """Return an interval as it is printed, e.g. ``[0.2101, 0.2233]``; empty if there is none.

    ``± 0.0066`` is half its width; a bound on one side alone is ``≤ 9.5%``.
    """
    if bounds is None or layout.intervals == "none":
        return ""
    low, high = bounds.low, bounds.high
    if bounds.one_sided:
        return one_sided_text(bounds, column)
    if layout.intervals == "plusminus":
        return f"\N{PLUS-MINUS SIGN} {number((high - low) / 2, column)}"
    return f"[{number(low, column)}, {number(high, column)}]"


def one_sided_text(bounds: Interval, column: Column) -> str:
    """Return the bound that a share of 0 or 1 has: the other end is that of the scale."""
    if bounds.low == 0:
        return f"\N{LESS-THAN OR EQUAL TO} {number(bounds.high, column)}"
    return f"\N{GREATER-THAN OR EQUAL TO} {number(bounds.low, column)}"


def headings(wanted: Sequence[Column], n_stubs: int) -> tuple[tuple[Span, ...], tuple[Head, ...]]:
    """Return the headings of *wanted*: groups above, labels broken into short lines below."""
    spans, position = [], n_stubs + 1
    for label, members in groupby(wanted, lambda c: c.group):
        last = position + len(list(members)) - 1
        spans.append(Span(label, position, last))
        position = last + 1
    heads = [
        Head(
            tuple(textwrap.wrap(label_below(c), HEAD_WIDTH, break_long_words=False)) or ("",),
            ARROWS[c.better],
        )
        for c in wanted
    ]
    return tuple(spans), tuple(heads)


def line_label(column: Column) -> str:
    """Return what a column is called as a line, e.g. ``BERTScore (F1) ↑``."""
    return f"{column_title(column)} {ARROWS[column.better]}".strip()
