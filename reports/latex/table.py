r"""Tables → LaTeX. Pure: text in, text out; whatever is printed is escaped unless it is source.

Decimals stand under each other, marked or not, in siunitx's ``S`` columns of version 2 and 3 and
without siunitx. siunitx itself aligns a bold number by its middle and cannot underline one; so a
marked number is text to it, padded here to the room of the column's longest number and drawn so
that bold takes no more room than the digits that it stands for.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.labels import NOT_APPLICABLE, NOTHING
from reports.latex import escape as latex
from reports.latex.escape import Tex, escape
from reports.tables.table import Cell, Group, Head, Row, Table, Words

TEMPLATES = Path(__file__).parent
PAGE_LINES = 41
"""Rows that the smallest of usual pages holds beside caption and headings."""
BELOW_LINES, GAP_LINES, NOTE_LINES = 0.9, 0.5, 0.9
"""What a line of intervals, the space between groups and a line of notes take of one."""
NOTE_CHARS = 100
"""Characters in a line of notes."""

PACKAGES = {
    "booktabs": "toprule", "graphicx": "resizebox", "siunitx": "sisetup", "longtable": "longtable",
}  # fmt: skip
"""Packages that a table may need → a command that each defines."""

MINUS = "\N{MINUS SIGN}"
_NUMBER = re.compile(rf"([+{MINUS}]?)([0-9]+(?:,[0-9]+)*)((?:\.[0-9]+)?%?)")
_NO_NUMBER = ("", NOT_APPLICABLE, NOTHING)


@cache
def _tex() -> Environment:
    environment = Environment(  # noqa: S701 - HTML's escape is wrong here; finalize is LaTeX's
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=latex.escape,
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
    environment.filters["tex_label"] = latex.label
    environment.filters["source"] = _source
    return environment


def _source(written: str) -> Tex:
    """Return what a macro of a template has written, which is escaped already."""
    return Tex(written.strip("\n"))


def source(template: str, **context: object) -> str:
    """Return a template of LaTeX filled in."""
    return _tex().get_template(template).render(**context)


def fragment(tables: Sequence[Table]) -> str:
    r"""Return LaTeX that a paper can ``\input``; its first line names the packages it needs."""
    made = [part for table in tables for part in _typeset(table)]
    needed = [(name, of) for name, of in PACKAGES.items() if any(name in t.needs for t in made)]
    lines = "".join(line for t in made for line in t.heads + t.rows)
    commands = ("best", "dagger", "interval", "lines")
    uses = {name for name in commands if f"\\report{name}" in lines}
    return source("table.tex.j2", tables=made, packages=needed, uses=uses)


def standalone(fragment_name: str, stamp: str) -> str:
    """Return a document that compiles alone and holds nothing but the fragment."""
    packages = [p for p in PACKAGES if p != "booktabs"]
    return source("standalone.tex.j2", fragment=Tex(fragment_name), stamp=stamp, packages=packages)


# ---------------------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class _Typeset:
    """A table, or the part of it that stands on one page, in the words of its template.

    Attributes:
        environment: ``table``, ``table*`` or ``longtable``.
        part: Which of *n_parts* it is, from 1.
        notes: Sentences below it.
        needs: Packages.
        alignment: Argument of ``tabular``.
        n_columns: As LaTeX counts them.
        gap: Half of what is between columns; daggers need more.
        heads: Lines of the headings, rules between them included.
        rows: Lines of the body, likewise.
        fit: Whether a table that is too wide is made smaller.
    """

    words: Words
    environment: Tex
    part: int
    n_parts: int
    notes: tuple[str, ...]
    needs: frozenset[str]
    alignment: Tex
    n_columns: int
    gap: Tex
    heads: tuple[Tex, ...]
    rows: tuple[Tex, ...]
    fit: bool


def _typeset(table: Table) -> Iterator[_Typeset]:
    """Yield the table, or its parts."""
    environment = table.layout.environment.replace("auto", "table*")
    is_long = environment == "longtable"
    columns = [_column(table, i) for i in range(len(table.heads))]
    needs = {"booktabs"}
    has_intervals = any(c.below or c.beside for c in columns)
    needs |= {"longtable"} if is_long else set()
    needs |= {"graphicx"} if table.layout.fit and (has_intervals or not is_long) else set()
    needs |= {"siunitx"} if any(c.form for c in columns) else set()
    parts = _parts(table)
    for i, groups in enumerate(parts, 1):
        yield _Typeset(
            table.words,
            Tex(environment),
            i,
            len(parts),
            table.words.notes if i == len(parts) else (),
            frozenset(needs),
            _alignment(table, columns),
            len(table.stubs) + sum(1 + c.beside for c in columns),
            Tex("6pt" if any(c.daggers for c in columns) else "5pt"),
            tuple(map(Tex, _heads(table, columns))),
            tuple(map(Tex, _rows(replace(table, groups=groups), columns, is_long))),
            table.layout.fit,
        )


def _parts(table: Table) -> list[tuple[Group, ...]]:
    """Return the groups of each part: under ``auto`` no part is longer than a page.

    A float that is longer than a page cannot be set, and a longtable cannot be set in two columns
    nor be scaled to the line; so a table that is too long is divided into floats.
    """
    if table.layout.environment != "auto":
        return [table.groups]
    room = PAGE_LINES - NOTE_LINES * sum(1 + len(n) // NOTE_CHARS for n in table.words.notes)
    room = max(room, PAGE_LINES / 2)
    if _height(table, table.groups) <= room:
        return [table.groups]
    parts: list[list[Group]] = [[]]
    for group in _pieces(table, room):
        if parts[-1] and _height(table, [*parts[-1], group]) > room:
            parts.append([])
        parts[-1].append(group)
    return [tuple(part) for part in parts]


def _pieces(table: Table, room: float) -> Iterator[Group]:
    """Yield the groups, those that are longer than a page in pieces."""
    for group in table.groups:
        n_pieces = ceil(_height(table, [group]) / room)
        size = ceil(len(group.rows) / max(1, n_pieces))
        for start in range(0, len(group.rows), max(1, size)):
            yield replace(group, rows=group.rows[start : start + size])


def _height(table: Table, groups: Sequence[Group]) -> float:
    """Return how many lines *groups* take."""
    rows = [row for group in groups for row in group.rows]
    n_gaps = 0 if table.tight else len(groups) - 1
    n_below = sum(_has_below(table, row) for row in rows)
    return len(rows) + BELOW_LINES * n_below + GAP_LINES * n_gaps


def _has_below(table: Table, row: Row) -> bool:
    return table.layout.intervals == "row" and any(cell.interval for cell in row.cells)


# ---------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of cells.

    Attributes:
        sign: The widest sign of its numbers, as a number in it is printed.
        whole: The longest part before the point; empty: a column of text.
        rest: The longest part after it, point and percent sign included.
        form: siunitx's ``table-format``; empty: a plain column.
        below: Whether intervals stand below the numbers.
        beside: Whether intervals stand in a column of their own beside it.
        daggers: Whether a cell has one.
    """

    sign: str
    whole: str
    rest: str
    form: str
    below: bool
    beside: bool
    daggers: bool

    @property
    def letter(self) -> str:
        """Return its letter; what has an interval below is centred above it."""
        return f"S[table-format={self.form}]" if self.form else "c" if self.below else "r"


def _column(table: Table, place: int) -> _Column:
    cells = [row.cells[place] for group in table.groups for row in group.rows]
    found = [_NUMBER.fullmatch(c.text) for c in cells if c.text not in _NO_NUMBER]
    numbers = [m.groups() for m in found if m]
    if len(numbers) < len(found):
        numbers = []
    signs = {sign for sign, _, _ in numbers} - {""}
    whole = max((of for _, of, _ in numbers), key=len, default="")
    rest = max((of for _, _, of in numbers), key=len, default="")
    sign = max(signs, default="")
    is_decimal = "." in rest and not re.search("[,%]", "".join(w + r for _, w, r in numbers))
    has_intervals = any(c.interval for c in cells)
    return _Column(
        sign,
        whole,
        rest,
        _form(sign, whole, rest) if is_decimal and table.layout.siunitx else "",
        has_intervals and table.layout.intervals == "row",
        has_intervals and table.layout.intervals in ("brackets", "plusminus"),
        any(c.dagger for c in cells),
    )


def _form(sign: str, whole: str, rest: str) -> str:
    return f"{sign.replace(MINUS, '-')}{len(whole)}.{len(rest) - 1}"


def _alignment(table: Table, columns: Sequence[_Column]) -> Tex:
    """Return e.g. ``@{}ll*{8}{S[table-format=1.4]}@{}``; a dagger hangs out of its column."""
    gap = "8pt" if any(c.daggers for c in columns) else "5pt"
    letters = [*"l" * len(table.stubs)]
    for column in columns:
        letters.append(column.letter)
        letters += [rf"@{{\hspace{{{gap}}}}}l"] * column.beside
    runs = [(letter, len([*same])) for letter, same in groupby(letters)]
    found = "".join(
        letter * n if len(letter) == 1 or n == 1 else f"*{{{n}}}{{{letter}}}" for letter, n in runs
    )
    hangs = bool(columns) and columns[-1].daggers and not columns[-1].beside
    end = r"\hspace{6pt}" if hangs else ""
    return Tex(f"@{{}}{found}@{{{end}}}")


# ---------------------------------------------------------------------------- headings


def _heads(table: Table, columns: Sequence[_Column]) -> Iterator[str]:
    """Yield the line of spans, if there are any, its rules, and the line of headings."""
    stubs = [escape(stub) for stub in table.stubs]
    heads = [_head(head, column) for head, column in zip(table.heads, columns, strict=True)]
    if any(span.label for span in table.spans):
        above: list[str] = []
        rules, last = "", 0
        for span in table.spans:
            first, end = _place(table, columns, span.first), _place(table, columns, span.last + 1)
            above += [""] * (first - 1 - last)
            n, last = end - first, end - 1
            label = rf"\multicolumn{{{n}}}{{c}}{{{escape(span.label)}}}"
            above += [label] if span.label else [""] * n
            rules += rf"\cmidrule(lr){{{first}-{last}}}" if span.label else ""
        yield _line(above)
        yield rules
    yield _line([*stubs, *heads])


def _place(table: Table, columns: Sequence[_Column], place: int) -> int:
    """Return where LaTeX counts the column that is *place* without intervals beside numbers."""
    return place + sum(c.beside for c in columns[: max(0, place - 1 - len(table.stubs))])


def _line(parts: Sequence[str]) -> str:
    return " & ".join(parts) + r" \\"


def _head(head: Head, column: _Column) -> str:
    r"""Return a heading; lines in an ``S`` column need ``\multicolumn`` in REVTeX."""
    lines = [escape(line) for line in head.lines]
    lines[-1] += rf"\,{escape(head.arrow)}" if head.arrow else ""
    text = r"\\".join(lines)
    if len(lines) > 1:
        place = "[r]" if column.letter == "r" and not column.beside else ""
        text = rf"\reportlines{place}{{{text}}}"
    if column.beside or (column.form and len(lines) > 1):
        return rf"\multicolumn{{{1 + column.beside}}}{{c}}{{{text}}}"
    return f"{{{text}}}" if column.form else text


# ---------------------------------------------------------------------------- rows


def _rows(table: Table, columns: Sequence[_Column], is_long: bool) -> Iterator[str]:
    """Yield the lines of the body; no page ends between a number and the interval below it."""
    for i, group in enumerate(table.groups):
        if i and not table.tight:
            after_people = table.groups[i - 1].reference and not group.reference
            yield r"\midrule" if after_people else r"\addlinespace"
        for j, row in enumerate(group.rows):
            if row.gap and j:
                yield r"\addlinespace[2pt]"
            pairs = [*zip(row.cells, columns, strict=True)]
            stubs = ["" if j else escape(group.label), *map(escape, row.stubs)]
            line = _line([*stubs, *(_cell(cell, column) for cell, column in pairs)])
            if not _has_below(table, row):
                yield line
                continue
            yield line + ("*" if is_long else "[-1pt]")
            yield _line([*[""] * len(stubs), *(_below(*pair) for pair in pairs)]) + "[1.5pt]"


def _cell(cell: Cell, column: _Column) -> str:
    number = _NUMBER.fullmatch(cell.text) if column.whole else None
    if number is None:
        shown = _text(cell)
        shown = f"{{{shown}}}" if column.form else shown
    elif column.form and not (cell.mark or cell.dagger):
        shown = cell.text.replace(MINUS, "-")
    else:
        shown = _number(cell, number, column)
    return f"{shown} & {_interval(cell)}" if column.beside else shown


def _text(cell: Cell) -> str:
    text = escape(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    return text + (r"\reportdagger{}" if cell.dagger else "")


def _number(cell: Cell, number: re.Match[str], column: _Column) -> str:
    """Return a number in the room of the column's longest: what it lacks is left blank."""
    sign, whole, rest = number.groups()
    left = ("" if sign else column.sign) + column.whole[len(whole) :]
    right = column.rest[len(rest) :]
    signed, rest = _signed(sign + whole, column), escape(rest)
    dagger = r"\reportdagger{}" if cell.dagger else ""
    shown = {
        "best": rf"\reportbest{{{signed}{rest}{dagger}}}",
        "second": rf"\underline{{{signed}{rest}}}{dagger}",
        "": f"{signed}{rest}{dagger}",
    }[cell.mark]
    padded = _blank(left, column) * (column.letter != "r") + shown + _blank(right, column)
    return f"{{{padded}}}" if column.form else padded


def _blank(text: str, column: _Column) -> str:
    return rf"\hphantom{{{_signed(text, column)}}}" if text else ""


def _signed(text: str, column: _Column) -> str:
    """Return *text* with its sign: as siunitx sets it where that sets the others, or escaped."""
    if not column.form:
        return escape(text)
    sign = {"+": "+", MINUS: r"\textminus "}.get(text[:1], "")
    return sign + escape(text.lstrip(f"+{MINUS}"))


def _below(cell: Cell, column: _Column) -> str:
    shown = _interval(cell)
    return f"{{{shown}}}" if column.form else shown


def _interval(cell: Cell) -> str:
    """Return an interval in small print; within the command its brackets are no argument."""
    text = escape(cell.interval).replace("{[}", "[").replace("{]}", "]")
    return rf"\reportinterval{{{text}}}" if text else ""
