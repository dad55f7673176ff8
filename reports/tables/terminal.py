"""Tables → plain text for a terminal. Pure."""

from reports.tables.table import DAGGER, Cell, Table


def text(table: Table) -> str:
    """Return a table for the terminal: ``*`` follows the best of a column, ``+`` the second."""
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
    marked = any(
        c.mark in ("best", "second") for g in table.groups for row in g.rows for c in row.cells
    )
    legend = ["", "* best, + second among models"] if marked else []
    caption = " ".join(filter(None, (table.words.caption, table.words.stamp)))
    rule = "-" * max(map(len, grid))
    return "\n".join([caption, "", *grid[: len(heads)], rule, *grid[len(heads) :], *legend])


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
