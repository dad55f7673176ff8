r"""Tables → LaTeX. Pure: text in, text out; whatever is printed is escaped unless it is source.

Decimals stand under each other, marked or not, in siunitx's ``S`` columns of version 2 and 3 and
without siunitx. siunitx itself aligns a bold number by its middle and cannot underline one; so a
marked number is text to it, padded here to the room of the column's longest number and drawn so
that bold takes no more room than the digits that it stands for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.latex.cells import (
    TexColumn,
    alignment,
    breakable,
    heading_lines,
    row_source,
    stub_source,
    tex_column,
)
from reports.latex.escape import Tex, escape, label
from reports.tables.table import Table, TableText

TEMPLATES = Path(__file__).parent
PACKAGES = {"booktabs": "toprule", "siunitx": "sisetup", "longtable": "longtable"}
"""Packages that a table may need → a command that each defines."""

MOST_TOGETHER = 8
"""Rows of a group that stay on one page."""


@cache
def _tex() -> Environment:
    environment = Environment(  # noqa: S701 - HTML's escape is wrong here; finalize is LaTeX's
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=escape,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tex_label"] = label
    environment.filters["source"] = _source
    environment.filters["breakable"] = lambda text: Tex(breakable(text))
    return environment


def _source(written: str) -> Tex:
    """Return what a macro of a template has written, which is escaped already."""
    return Tex(written.strip("\n"))


def source(template: str, **context: object) -> str:
    """Return a template of LaTeX filled in."""
    return _tex().get_template(template).render(**context)


def fragment(tables: Sequence[Table], methods: str = "methods") -> str:
    r"""Return LaTeX that a paper can ``\input``; its first line names the packages it needs.

    *methods* is the label of the appendix that has what the notes leave out.
    """
    made = [_typeset(table) for table in tables]
    needed = [(name, by) for name, by in PACKAGES.items() if any(name in t.needs for t in made)]
    grey = any(table.has_grey for table in tables)
    return source("table.tex.j2", tables=made, packages=needed, methods=methods, grey=grey)


def standalone(fragment_name: str, stamp: str, *, grey: bool = False) -> str:
    """Return a document that compiles alone and holds nothing but the fragment.

    *grey*: whether it prints in grey, for which there is a package.
    """
    packages = [p for p in PACKAGES if p != "booktabs"] + ["color"] * grey
    return source("standalone.tex.j2", fragment=Tex(fragment_name), stamp=stamp, packages=packages)


# ---------------------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class _Panel:
    """Neighbouring columns beside the stubs, as LaTeX has them.

    Attributes:
        first: Column of numbers, from 1.
        last: Likewise.
        alignment: Argument of ``tabular``.
        heads: Lines of the headings, rules between them included.
        n_columns: As LaTeX counts them.
    """

    first: int
    last: int
    alignment: Tex
    heads: tuple[Tex, ...]
    n_columns: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """A way to set a table: 0 with its intervals, 1 without them, 2 the intervals alone."""

    mode: int
    panels: tuple[_Panel, ...]
    on_one_page: bool = False


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that stay together: a group, or a part of one that is long.

    Attributes:
        apart: Rule or space that parts it from the chunk before.
        label: The group's, where its first row has it not already.
    """

    apart: Tex
    label: Tex
    rows: tuple[Tex, ...]


@dataclass(frozen=True, slots=True)
class _Typeset:
    """A table in the words of its template.

    Attributes:
        environment: ``auto``, ``table``, ``table*`` or ``longtable``.
        notes: Sentences below it after the warnings, the most important first.
        more: Whether ``methods.tex`` says more.
        needs: Packages.
        gap: Half of what is between columns; daggers need more.
        forms: In order of preference.
        interval_forms: Of the intervals, where they stand apart.
    """

    words: TableText
    environment: Tex
    notes: tuple[str, ...]
    more: bool
    needs: frozenset[str]
    gap: Tex
    chunks: tuple[_Chunk, ...]
    forms: tuple[_Shape, ...]
    interval_forms: tuple[_Shape, ...]


def _typeset(table: Table) -> _Typeset:
    columns = [tex_column(table, i) for i in range(len(table.heads))]
    needs = {"booktabs"}
    needs |= {"longtable"} if table.layout.environment == "longtable" else set()
    needs |= {"siunitx"} if any(c.form for c in columns) else set()
    words = table.words
    forms, apart = _forms(table, columns)
    return _Typeset(
        words,
        Tex(table.layout.environment),
        words.brief or words.notes,
        bool(words.brief) and words.brief != words.notes,
        frozenset(needs),
        Tex("6pt" if any(c.daggers for c in columns) else "5pt"),
        tuple(_chunks(table, columns)),
        forms,
        apart,
    )


def _forms(
    table: Table, columns: Sequence[TexColumn]
) -> tuple[tuple[_Shape, ...], tuple[_Shape, ...]]:
    """Return the forms to try, and those of the intervals where they may stand apart."""
    every = [[(0, len(columns) - 1)], *_splits(table, [True] * len(columns))]
    every = every if table.layout.fit else every[:1]
    below = [column.below for column in columns]
    whole = [tuple(_panel(table, columns, *ends) for ends in split) for split in every]
    if not table.layout.fit or 2 * sum(below) <= len(below):
        return tuple(_Shape(0, panels) for panels in whole), ()
    alone = [replace(column, form="", below=True) for column in columns]
    apart = [
        tuple(_panel(table, alone, *ends) for ends in split) for split in _splits(table, below)
    ]
    together = _Shape(0, whole[0], on_one_page=True)
    return (together, *(_Shape(1, p) for p in whole)), tuple(_Shape(2, p) for p in apart)


def _splits(table: Table, shown: Sequence[bool]) -> list[list[tuple[int, int]]]:
    """Return ways to divide the columns that are *shown*, each way (first, last) of its panels.

    From one panel to one a column; columns under one heading stay together while they can.
    """
    units, n = _units(table, shown), sum(shown)
    ways: list[list[tuple[int, int]]] = []
    for n_panels in range(1, n + 1):
        most = ceil(n / n_panels)
        way = _packed(units, most)
        if len(way) > n_panels:  # rather fewer panels than headings that stay whole
            way = _packed([(i, i) for i, is_shown in enumerate(shown) if is_shown], most)
        if way not in ways:
            ways.append(way)
    return ways


def _packed(units: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return neighbouring units put together, at most *most* columns each."""
    parts = [p for first, last in units for p in _cut(first, last, most)]
    way = [parts[0]]
    for first, last in parts[1:]:
        if first == way[-1][1] + 1 and last - way[-1][0] < most:
            way[-1] = (way[-1][0], last)
        else:
            way.append((first, last))
    return way


def _units(table: Table, shown: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (first, last) of columns under one heading, of those that are *shown*, from 0."""
    n_stubs = len(table.stubs)
    of = {i: i for i in range(len(shown))}
    for span in table.spans:
        if span.label:
            of |= {
                i - n_stubs - 1: span.first - n_stubs - 1 for i in range(span.first, span.last + 1)
            }
    units: list[tuple[int, int]] = []
    for _, members in groupby((i for i, is_shown in enumerate(shown) if is_shown), of.get):
        places = [*members]
        units.append((places[0], places[-1]))
    return units


def _cut(first: int, last: int, most: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last + 1, most):
        yield start, min(last, start + most - 1)


def _panel(table: Table, columns: Sequence[TexColumn], first: int, last: int) -> _Panel:
    n_stubs = len(table.stubs)
    left, right = first + n_stubs + 1, last + n_stubs + 1
    spans = tuple(
        replace(span, first=max(span.first, left) - first, last=min(span.last, right) - first)
        for span in table.spans
        if span.first <= right and span.last >= left
    )
    mine = columns[first : last + 1]
    part = replace(table, heads=table.heads[first : last + 1], spans=spans)
    return _Panel(
        first + 1,
        last + 1,
        alignment(part, mine),
        tuple(map(Tex, heading_lines(part, mine))),
        n_stubs + sum(1 + c.beside for c in mine),
    )


def _chunks(table: Table, columns: Sequence[TexColumn]) -> Iterator[_Chunk]:
    """Yield the rows in pieces that no page divides."""
    before = None
    for group in table.groups:
        for start in range(0, len(group.rows), MOST_TOGETHER):
            rows = group.rows[start : start + MOST_TOGETHER]
            apart, label = "", ""
            if start:
                label = stub_source(table, 0, group.label, rows)
                apart = r"\addlinespace[2pt]" if rows[0].gap else ""
            elif before is not None and not table.tight:
                after_people = before.reference and not group.reference
                apart = r"\midrule" if after_people else r"\addlinespace"
            before = group
            names = [
                "" if start else stub_source(table, 0, group.label, rows),
                *[""] * (len(rows) - 1),
            ]
            lines = (
                Tex(row_source(table, row, name, columns, is_first=not i))
                for i, (row, name) in enumerate(zip(rows, names, strict=True))
            )
            yield _Chunk(Tex(apart), Tex(label), tuple(lines))
