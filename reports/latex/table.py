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
from reports.latex.escape import Tex, escape, label
from reports.tables.table import Cell, Head, Row, Table, TableText

TEMPLATES = Path(__file__).parent
PACKAGES = {"booktabs": "toprule", "siunitx": "sisetup", "longtable": "longtable"}
"""Packages that a table may need → a command that each defines."""

MOST_TOGETHER = 8
"""Rows of a group that stay on one page."""

MINUS = "\N{MINUS SIGN}"
_NUMBER = re.compile(rf"([+{MINUS}]?)([0-9]+(?:,[0-9]+)*)((?:\.[0-9]+)?%?)")
_NO_NUMBER = ("", NOT_APPLICABLE, NOTHING)


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
    return source("table.tex.j2", tables=made, packages=needed, methods=methods)


def standalone(fragment_name: str, stamp: str) -> str:
    """Return a document that compiles alone and holds nothing but the fragment."""
    packages = [p for p in PACKAGES if p != "booktabs"]
    return source("standalone.tex.j2", fragment=Tex(fragment_name), stamp=stamp, packages=packages)


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
    is_beside = table.layout.intervals in ("brackets", "plusminus")
    return _Column(
        sign,
        whole,
        rest,
        _form(sign, whole, rest) if is_decimal and table.layout.siunitx else "",
        has_intervals and table.layout.intervals == "row",
        has_intervals and (is_beside or table.layout.intervals == "none"),
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
    lines = [_wrapped(line) if len(line) > LONG else escape(line) for line in head.lines]
    lines[-1] += rf"\,{escape(head.arrow)}" if head.arrow else ""
    text = r"\\".join(lines)
    if len(lines) > 1:
        place = "[r]" if column.letter == "r" and not column.beside else ""
        text = rf"\reportlines{place}{{{text}}}"
    if column.beside or (column.form and len(lines) > 1):
        return rf"\multicolumn{{{1 + column.beside}}}{{c}}{{{text}}}"
    return f"{{{text}}}" if column.form else text


# ---------------------------------------------------------------------------- rows


LONG = 14
"""Characters from which on a label may need to be wrapped."""
STUB_WIDTHS = {1: (0.42,), 2: (0.27, 0.21), 3: (0.2, 0.2, 0.12)}
"""Number of stubs → the share of the line that each may take before it is wrapped."""


def _row(table: Table, row: Row, name: str, columns: Sequence[_Column], *, is_first: bool) -> str:
    """Return a row: stubs, cells, intervals below, and the stubs of the line that they are in."""
    gap = "" if is_first or not row.gap else r"\reportadd{\addlinespace[2pt]}"
    pairs = [*zip(row.cells, columns, strict=True)]
    cells = "".join(f"{{{_cell(cell, column)}}}" for cell, column in pairs)
    below = "".join(f"{{{_below(*p)}}}" for p in pairs) if _has_below(table, row) else ""
    texts = ["", *row.stubs]
    rests = [_rest(i, text, table) for i, text in enumerate(texts)]
    stubs = [name, *(_stub(table, i, text, [row]) for i, text in enumerate(row.stubs, 1))]
    whole = " & ".join(stub + rest for stub, rest in zip(stubs, rests, strict=True))
    lines = (rf"{gap}\reportrow{{{whole}}}", f"{{{cells}}}", f"{{{below}}}{{{' & '.join(rests)}}}")
    return "\n ".join(lines)


def _has_below(table: Table, row: Row) -> bool:
    return table.layout.intervals == "row" and any(cell.interval for cell in row.cells)


def _stub(table: Table, place: int, text: str, rows: Sequence[Row]) -> str:
    """Return what stands left of *rows*, wrapped within their lines where it is long."""
    if len(text) < LONG:
        return escape(text)
    level, share = "row" if place else "group", STUB_WIDTHS[len(table.stubs)][place]
    n_below = sum(_has_below(table, row) for row in rows)
    lines = f"{{{len(rows)}}}{{{len(rows) + n_below}}}"
    return rf"\reportstub{{{level}}}{{{share}}}{lines}{{{breakable(text)}}}"


def _rest(place: int, text: str, table: Table) -> str:
    """Return what ends the lines of a stub: the room that a wrapped label still needs."""
    if place:
        return r"\reportrest{row}" if len(text) >= LONG else ""
    is_long = any(len(group.label) >= LONG for group in table.groups)
    return r"\reportrest{group}" if is_long else ""


def breakable(text: str) -> str:
    r"""Return *text* so that a long word may be broken: after a sign, or anywhere."""
    words = []
    for word in text.split(" "):
        parts = (
            re.findall(r"[^-_/.:,;=]{0,11}[-_/.:,;=]|[^-_/.:,;=]{1,12}", word)
            if len(word) > LONG
            else [word]
        )
        words.append(r"\allowbreak{}".join(map(escape, parts)))
    # characters that no font has are long, and nothing would part them
    return " ".join(words).replace("{]}{[}U+", r"{]}\allowbreak{}{[}U+")


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
    if len(cell.text) > LONG:
        text = _wrapped(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    return text + (r"\reportdagger{}" if cell.dagger else "")


def _wrapped(text: str) -> str:
    return rf"\reportwrap{{{breakable(text)}}}"


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
class _Form:
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
        notes: Sentences below it, the most important first.
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
    forms: tuple[_Form, ...]
    interval_forms: tuple[_Form, ...]


def _typeset(table: Table) -> _Typeset:
    columns = [_column(table, i) for i in range(len(table.heads))]
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


def _forms(table: Table, columns: Sequence[_Column]) -> tuple[tuple[_Form, ...], tuple[_Form, ...]]:
    """Return the forms to try, and those of the intervals where they may stand apart."""
    every = [[(0, len(columns) - 1)], *_splits(table, [True] * len(columns))]
    every = every if table.layout.fit else every[:1]
    below = [column.below for column in columns]
    whole = [tuple(_panel(table, columns, *ends) for ends in split) for split in every]
    if not table.layout.fit or 2 * sum(below) <= len(below):
        return tuple(_Form(0, panels) for panels in whole), ()
    alone = [replace(column, form="", below=True) for column in columns]
    apart = [
        tuple(_panel(table, alone, *ends) for ends in split) for split in _splits(table, below)
    ]
    together = _Form(0, whole[0], on_one_page=True)
    return (together, *(_Form(1, p) for p in whole)), tuple(_Form(2, p) for p in apart)


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


def _panel(table: Table, columns: Sequence[_Column], first: int, last: int) -> _Panel:
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
        _alignment(part, mine),
        tuple(map(Tex, _heads(part, mine))),
        n_stubs + sum(1 + c.beside for c in mine),
    )


def _chunks(table: Table, columns: Sequence[_Column]) -> Iterator[_Chunk]:
    """Yield the rows in pieces that no page divides."""
    before = None
    for group in table.groups:
        for start in range(0, len(group.rows), MOST_TOGETHER):
            rows = group.rows[start : start + MOST_TOGETHER]
            apart, label = "", ""
            if start:
                label = _stub(table, 0, group.label, rows)
                apart = r"\addlinespace[2pt]" if rows[0].gap else ""
            elif before is not None and not table.tight:
                after_people = before.reference and not group.reference
                apart = r"\midrule" if after_people else r"\addlinespace"
            before = group
            names = ["" if start else _stub(table, 0, group.label, rows), *[""] * (len(rows) - 1)]
            lines = (
                Tex(_row(table, row, name, columns, is_first=not i))
                for i, (row, name) in enumerate(zip(rows, names, strict=True))
            )
            yield _Chunk(Tex(apart), Tex(label), tuple(lines))
