r"""Tables → LaTeX. Pure: text in, text out; whatever is printed is escaped unless it is source.

Marks hang on a number without taking part in its width, so that decimals stay aligned in siunitx's
``S`` columns and in plain ones: bold is a switch before it, the underline is drawn back over it
from its end, and a dagger overlaps what follows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports import latex
from reports.latex import Tex, escape
from reports.table import Cell, Group, Head, Row, Table

TEMPLATES = Path(__file__).parent / "templates"
PAGE_LINES = 46
"""Lines that a page's float holds beside caption and notes; one of intervals is 0.6 of one."""

_NUMBER = re.compile("([+\N{MINUS SIGN}]?)([0-9]+)\\.([0-9]+)(%?)")
_NO_NUMBER = ("", "N/A", "\N{EN DASH}")


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


def fragment(tables: Sequence[Table]) -> str:
    r"""Return LaTeX that a paper can ``\input``; its first line names the packages it needs."""
    set_ = [_Set(part) for table in tables for part in _parts(table)]
    return source("table.tex.j2", tables=set_, packages=_packages(set_))


def source(template: str, **context: object) -> str:
    """Return a template of LaTeX filled in."""
    return _tex().get_template(template).render(**context)


def standalone(fragment_name: str, stamp: str) -> str:
    """Return a document that compiles alone and holds nothing but the fragment."""
    return source("standalone.tex.j2", fragment=Tex(fragment_name), stamp=stamp)


_COMMANDS = {
    "booktabs": "toprule", "graphicx": "resizebox", "siunitx": "sisetup", "longtable": "longtable",
}  # fmt: skip


def _packages(tables: Sequence["_Set"]) -> list[tuple[str, str]]:
    """Return each package that is needed, and a command that only it defines."""
    wanted = {
        "booktabs": True,
        "graphicx": any(t.boxed for t in tables),
        "siunitx": any(t.has_siunitx for t in tables),
        "longtable": any(t.environment == "longtable" for t in tables),
    }
    return [(name, _COMMANDS[name]) for name, needed in wanted.items() if needed]


# ---------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of numbers.

    Attributes:
        form: siunitx's ``table-format``; empty: a plain column, right-aligned.
        beside: Whether intervals stand in a column of their own beside it.
        daggers: Whether a cell has one.
    """

    form: str
    beside: bool
    daggers: bool


def _column(table: Table, place: int) -> _Column:
    cells = [row.cells[place] for group in table.groups for row in group.rows]
    found = [_NUMBER.fullmatch(c.text) for c in cells if c.text not in _NO_NUMBER]
    form = ""
    if table.layout.siunitx and found and all(found):
        parts = [m.groups() for m in found if m]
        sign = "+" * any(s == "+" for s, *_ in parts) or "-" * any(s for s, *_ in parts)
        form = f"{sign}{max(len(p[1]) for p in parts)}.{max(len(p[2]) for p in parts)}"
    has_intervals = any(c.interval for c in cells)
    beside = has_intervals and table.layout.intervals in ("brackets", "plusminus")
    return _Column(form, beside, any(c.dagger for c in cells))


class _Set:
    """A table as its template sets it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.words = table.words
        self.environment = Tex(table.layout.environment.replace("auto", "table*"))
        self.boxed = table.layout.fit and self.environment != "longtable"
        self.columns = [_column(table, i) for i in range(len(table.heads))]
        self.has_siunitx = any(c.form for c in self.columns)

    @property
    def alignment(self) -> Tex:
        """Return the argument of ``tabular``."""
        found = "l" * len(self.table.stubs)
        for column in self.columns:
            found += f"S[table-format={column.form}]" if column.form else "r"
            found += "@{\\hspace{3pt}}r" if column.beside else ""
        last = self.columns[-1] if self.columns else None
        hangs = last is not None and last.daggers and not last.beside
        after = r"\hspace{4pt}" if hangs else ""
        return Tex(f"@{{}}{found}@{{{after}}}")

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.table.stubs) + sum(1 + c.beside for c in self.columns)

    @property
    def spans(self) -> list[tuple[int, str, int, int]]:
        """Return (columns covered, label, first, last) of the headings above the headings."""
        return [
            (last - first + 1, s.label, first, last)
            for s in self.table.spans
            for first, last in [(self._start(s.first), self._start(s.last + 1) - 1)]
        ]

    def _start(self, place: int) -> int:
        """Return where the column stands that is *place* without intervals beside numbers."""
        before = self.columns[: max(0, place - 1 - len(self.table.stubs))]
        return place + sum(c.beside for c in before)

    @property
    def heads(self) -> list[Tex]:
        """Return the headings of the columns of numbers."""
        return [
            _head(head, column) for head, column in zip(self.table.heads, self.columns, strict=True)
        ]

    def lines(self, row: Row) -> Iterator[Tex]:
        """Yield what stands right of a row's stubs, and the line of its intervals below."""
        pairs = [*zip(row.cells, self.columns, strict=True)]
        yield Tex("".join(f" & {_cell(cell, column)}" for cell, column in pairs))
        below = self.table.layout.intervals == "row" and any(c.interval for c in row.cells)
        if below:
            stubs = " &" * (len(self.table.stubs) - 1)
            yield Tex(stubs + "".join(f" & {_below(cell, column)}" for cell, column in pairs))


def _head(head: Head, column: _Column) -> Tex:
    lines = [escape(line) for line in head.lines]
    if head.arrow:
        lines[-1] += rf"\,{escape(head.arrow)}"
    place = "c" if column.form or column.beside else "r"
    breaks = r"\\".join(lines)
    stack = rf"\shortstack[{place}]{{{breaks}}}"
    if column.beside:
        return Tex(rf"\multicolumn{{2}}{{c}}{{{stack}}}")
    return Tex(f"{{{stack}}}" if column.form else stack)


def _cell(cell: Cell, column: _Column) -> str:
    shown = _in_siunitx(cell) if column.form else _plain(cell)
    return f"{shown} & {_small(cell.interval)}" if column.beside else shown


def _in_siunitx(cell: Cell) -> str:
    found = _NUMBER.fullmatch(cell.text)
    if found is None:
        return f"{{{escape(cell.text)}}}"
    sign, whole, decimals, percent = found.groups()
    number = f"{sign.replace(chr(0x2212), '-')}{whole}.{decimals}"
    after = r"\%" * bool(percent)
    if cell.mark == "second":
        after += rf"\reportsecond{{{escape(cell.text)}}}"
    after += r"\reportdagger" * cell.dagger
    before = r"\reportbest " * (cell.mark == "best")
    return f"{before}{number}" + (f" {{{after}}}" if after else "")


def _plain(cell: Cell) -> str:
    text = escape(cell.text)
    text = {"best": rf"{{\reportbest {text}}}", "second": rf"\underline{{{text}}}"}.get(
        cell.mark, text
    )
    return text + r"\reportdagger{}" * cell.dagger


def _below(cell: Cell, column: _Column) -> str:
    return f"{{{_small(cell.interval)}}}" if column.form else _small(cell.interval)


def _small(interval: str) -> str:
    return rf"\scriptsize {escape(interval)}" if interval else ""


# ---------------------------------------------------------------------------- long tables


def _parts(table: Table) -> Iterator[Table]:
    """Yield the table, in several if it would not fit on a page and may be divided."""
    if table.layout.environment != "auto":
        yield table
        return
    groups: list[Group] = []
    for group in table.groups:
        for part in _divided(group, table):
            if groups and _lines(table, (*groups, part)) > PAGE_LINES:
                yield replace(table, groups=tuple(groups))
                table, groups = _continued(table), []
            groups.append(part)
    yield replace(table, groups=tuple(groups))


def _lines(table: Table, groups: Sequence[Group]) -> float:
    below = 0.6 if table.layout.intervals == "row" else 0
    rows = [row for group in groups for row in group.rows]
    return len(rows) + sum(below for row in rows if any(c.interval for c in row.cells))


def _divided(group: Group, table: Table) -> Iterator[Group]:
    """Yield a group, in several if it alone is longer than a page."""
    size = PAGE_LINES if _lines(table, [group]) <= PAGE_LINES else PAGE_LINES // 2
    for start in range(0, len(group.rows), size):
        yield replace(group, rows=group.rows[start : start + size])


def _continued(table: Table) -> Table:
    words = table.words
    ending = " (continued)"
    caption = words.caption if words.caption.endswith(ending) else words.caption + ending
    label = re.sub(r"(-part(\d+))?$", lambda m: f"-part{int(m[2] or 1) + 1}", words.label, count=1)
    return replace(table, words=replace(words, caption=caption, label=label, short=""))
