"""Tables → plain text for a terminal. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from reports.tables.table import DAGGER, Cell, Span, Table

WIDEST_SPAN = 32
"""Characters of a heading over several columns; under a longer one these are a block of their own.
"""


def text(table: Table) -> str:
    """Return a table for the terminal: ``*`` follows the best of a column, ``+`` the second."""
    blocks = [line for title, part in _blocks(table) for line in _block(title, part)]
    marked = any(
        c.mark in ("best", "second") for g in table.groups for row in g.rows for c in row.cells
    )
    legend = ["", "* best, + second among models"] if marked else []
    caption = " ".join(filter(None, (table.words.caption, table.words.stamp)))
    return "\n".join([caption, *blocks, *legend])


def _blocks(table: Table) -> list[tuple[str, Table]]:
    """Return (heading, columns) of what stands below each other, the heading empty of the first."""
    n_stubs = len(table.stubs)
    long = [span for span in table.spans if len(span.label) > WIDEST_SPAN and not table.tight]
    apart = {i for span in long for i in range(span.first - n_stubs - 1, span.last - n_stubs)}
    first = [i for i in range(len(table.heads)) if i not in apart]
    spans = tuple(span for span in table.spans if span not in long)
    blocks = [("", replace(_columns(table, first), spans=_moved(spans, first, n_stubs)))]
    for span in long:
        mine = range(span.first - n_stubs - 1, span.last - n_stubs)
        blocks.append((span.label, replace(_columns(table, mine), spans=())))
    return blocks if first else blocks[1:]


def _columns(table: Table, kept: Sequence[int]) -> Table:
    groups = tuple(
        replace(group, rows=tuple(
            replace(row, cells=tuple(row.cells[i] for i in kept)) for row in group.rows
        ))
        for group in table.groups
    )  # fmt: skip
    return replace(table, heads=tuple(table.heads[i] for i in kept), groups=groups)


def _moved(spans: Sequence[Span], kept: Sequence[int], n_stubs: int) -> tuple[Span, ...]:
    """Return spans over columns of which only *kept* are left."""
    place = {column + n_stubs + 1: i + n_stubs + 1 for i, column in enumerate(kept)}
    return tuple(replace(s, first=place[s.first], last=place[s.last]) for s in spans)


def _block(title: str, table: Table) -> list[str]:
    heads = _stacked(table) if table.tight else [_joined(table)]
    lines = [[*(table.stubs if i == len(heads) - 1 else [""] * len(table.stubs)), *of]
             for i, of in enumerate(heads)]  # fmt: skip
    for group in table.groups:
        for i, row in enumerate(group.rows):
            name = "" if i else group.label
            lines.append([name, *row.stubs, *map(_marked, row.cells)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    n_stubs = len(table.stubs)
    grid = [
        "  ".join(
            word.ljust(w) if i < n_stubs else word.rjust(w)
            for i, (word, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "-" * max(map(len, grid))
    return ["", *filter(None, [title]), *grid[: len(heads)], rule, *grid[len(heads) :]]


def _joined(table: Table) -> list[str]:
    """Return the headings in one line each, the span before the head."""
    heads = [" ".join(head.lines) for head in table.heads]
    for span in table.spans:
        for i in range(span.first, span.last + 1) if span.label else ():
            at = i - len(table.stubs) - 1
            heads[at] = f"{span.label} {heads[at]}"
    return [f"{head} " for head in heads]


def _stacked(table: Table) -> list[list[str]]:
    """Return lines of headings: the spans, each over its last column, then the heads'."""
    spans = [""] * len(table.heads)
    for span in table.spans:
        spans[span.last - len(table.stubs) - 1] = span.label
    height = max(len(head.lines) for head in table.heads)
    filled = [("",) * (height - len(head.lines)) + head.lines for head in table.heads]
    lines = [spans, *map(list, zip(*filled, strict=True))]
    return [[f"{word} " for word in line] for line in lines]


def _marked(cell: Cell) -> str:
    mark = {"best": "*", "second": "+", "": ""}[cell.mark] + DAGGER * cell.dagger
    interval = f" {cell.interval}" if cell.inline and cell.interval else ""
    return cell.text + interval + (mark or " ")
