"""The cells that tables share: a score, a difference with its interval, a p, a count. Pure."""

from collections.abc import Sequence

from empathy_core.types import Column
from reports.labels import NOTHING, count, number, p_text
from reports.tables.table import Cell, Head


def heads(*labels: str | Sequence[str]) -> tuple[Head, ...]:
    """Return the headings of columns, each a line or several."""
    return tuple(Head((label,) if isinstance(label, str) else tuple(label)) for label in labels)


def score_cell(value: object, column: Column, *, signed: bool = False) -> Cell:
    """Return a score, or a difference of scores without an interval; null prints ``NOTHING``."""
    known = value if isinstance(value, float) else None
    return Cell(number(known, column, signed=signed), value=known)


def difference_cell(
    value: object, low: object, high: object, column: Column, *, dagger: bool = False
) -> Cell:
    """Return e.g. ``+0.0028`` with ``[+0.0004, +0.0051]``; null bounds leave the interval out."""
    cell = score_cell(value, column, signed=True)
    bounds = [bound for bound in (low, high) if isinstance(bound, float)]
    if cell.value is None or len(bounds) < 2:
        return cell
    shown = ", ".join(number(bound, column, signed=True) for bound in bounds)
    return Cell(cell.text, dagger=dagger, interval=f"[{shown}]", value=cell.value, inline=True)


def p_cell(p: object, *, dagger: bool = False) -> Cell:
    """Return a p as it is printed."""
    known = p if isinstance(p, float) else None
    return Cell(p_text(known), dagger=dagger, value=known)


def count_cell(n: int | None) -> Cell:
    """Return a number of things; null prints ``NOTHING``."""
    return Cell(NOTHING if n is None else count(n), value=n)
