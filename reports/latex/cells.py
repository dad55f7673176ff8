"""Cells, headings and columns of a table → LaTeX. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from reports.labels import NOT_APPLICABLE, NOTHING
from reports.latex.escape import Tex, escape
from reports.tables.table import Cell, Head, Row, Table

MINUS = "\N{MINUS SIGN}"
_NUMBER = re.compile(rf"([+{MINUS}]?)([0-9]+(?:,[0-9]+)*)((?:\.[0-9]+)?%?)")
_NO_NUMBER = ("", NOT_APPLICABLE, NOTHING)

# ---------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class TexColumn:
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


def tex_column(table: Table, place: int) -> TexColumn:
    """Return how the column of numbers at *place*, from 0, is set."""
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
    return TexColumn(
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


def alignment(table: Table, columns: Sequence[TexColumn]) -> Tex:
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


def heading_lines(table: Table, columns: Sequence[TexColumn]) -> Iterator[str]:
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
            label = rf"\multicolumn{{{n}}}{{c}}{{{_lines(map(escape, span.lines))}}}"
            above += [label] if span.label else [""] * n
            rules += rf"\cmidrule(lr){{{first}-{last}}}" if span.label else ""
        yield _line(above)
        yield rules
    yield _line([*stubs, *heads])


def _place(table: Table, columns: Sequence[TexColumn], place: int) -> int:
    """Return where LaTeX counts the column that is *place* without intervals beside numbers."""
    return place + sum(c.beside for c in columns[: max(0, place - 1 - len(table.stubs))])


def _line(parts: Sequence[str]) -> str:
    return " & ".join(parts) + r" \\"


def _lines(lines: Iterable[str], place: str = "") -> str:
    """Return lines below each other; one alone as it is."""
    found = list(lines)
    text = r"\\".join(found)
    return rf"\reportlines{place}{{{text}}}" if len(found) > 1 else text


def _head(head: Head, column: TexColumn) -> str:
    r"""Return a heading; lines in an ``S`` column need ``\multicolumn`` in REVTeX."""
    lines = [_wrapped(line) if len(line) > LONG else escape(line) for line in head.lines]
    lines[-1] += rf"\,{escape(head.arrow)}" if head.arrow else ""
    text = _lines(lines, "[r]" if column.letter == "r" and not column.beside else "")
    if column.beside or (column.form and len(lines) > 1):
        return rf"\multicolumn{{{1 + column.beside}}}{{c}}{{{text}}}"
    return f"{{{text}}}" if column.form else text


# ---------------------------------------------------------------------------- rows


LONG = 14
"""Characters from which on a label may need to be wrapped."""
STUB_WIDTHS = {1: (0.42,), 2: (0.27, 0.21), 3: (0.2, 0.2, 0.12)}
"""Number of stubs → the share of the line that each may take before it is wrapped."""


def row_source(
    table: Table, row: Row, name: str, columns: Sequence[TexColumn], *, is_first: bool
) -> str:
    """Return a row: stubs, cells, intervals below, and the stubs of the line that they are in."""
    gap = "" if is_first or not row.gap else r"\reportadd{\addlinespace[2pt]}"
    pairs = [*zip(row.cells, columns, strict=True)]
    cells = "".join(f"{{{_cell(cell, column)}}}" for cell, column in pairs)
    below = "".join(f"{{{_below(*p)}}}" for p in pairs) if has_below(table, row) else ""
    texts = ["", *row.stubs]
    rests = [_rest(i, text, table) for i, text in enumerate(texts)]
    stubs = [name, *(stub_source(table, i, text, [row]) for i, text in enumerate(row.stubs, 1))]
    whole = " & ".join(stub + rest for stub, rest in zip(stubs, rests, strict=True))
    lines = (rf"{gap}\reportrow{{{whole}}}", f"{{{cells}}}", f"{{{below}}}{{{' & '.join(rests)}}}")
    return "\n ".join(lines)


def has_below(table: Table, row: Row) -> bool:
    """Tell whether a line of intervals stands below the row."""
    return table.layout.intervals == "row" and any(cell.interval for cell in row.cells)


def stub_source(table: Table, place: int, text: str, rows: Sequence[Row]) -> str:
    """Return what stands left of *rows*, wrapped within their lines where it is long."""
    if len(text) < LONG:
        return escape(text)
    level, share = "row" if place else "group", STUB_WIDTHS[len(table.stubs)][place]
    n_below = sum(has_below(table, row) for row in rows)
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


def _cell(cell: Cell, column: TexColumn) -> str:
    number = _NUMBER.fullmatch(cell.text) if column.whole else None
    if number is None:
        shown = _text(cell)
        shown = f"{{{shown}}}" if column.form else shown
    elif column.form and not (cell.mark or cell.dagger or cell.grey):
        shown = cell.text.replace(MINUS, "-")
    else:
        shown = _number(cell, number, column)
    shown = rf"{{\reportgrey{{{shown}}}}}" if cell.grey else shown
    return f"{shown} & {_interval(cell)}" if column.beside else shown


def _text(cell: Cell) -> str:
    text = escape(cell.text)
    if len(cell.text) > LONG:
        text = _wrapped(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    return text + (r"\reportdagger{}" if cell.dagger else "")


def _wrapped(text: str) -> str:
    return rf"\reportwrap{{{breakable(text)}}}"


def _number(cell: Cell, number: re.Match[str], column: TexColumn) -> str:
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


def _blank(text: str, column: TexColumn) -> str:
    return rf"\hphantom{{{_signed(text, column)}}}" if text else ""


def _signed(text: str, column: TexColumn) -> str:
    """Return *text* with its sign: as siunitx sets it where that sets the others, or escaped."""
    if not column.form:
        return escape(text)
    sign = {"+": "+", MINUS: r"\textminus "}.get(text[:1], "")
    return sign + escape(text.lstrip(f"+{MINUS}"))


def _below(cell: Cell, column: TexColumn) -> str:
    shown = _interval(cell)
    return f"{{{shown}}}" if column.form else shown


def _interval(cell: Cell) -> str:
    """Return an interval in small print; within the command its brackets are no argument."""
    text = escape(cell.interval).replace("{[}", "[").replace("{]}", "]")
    return rf"\reportinterval{{{text}}}" if text else ""
