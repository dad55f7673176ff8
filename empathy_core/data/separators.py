"""What stands between the cells of a text file: named, or found by the columns that are read. Pure.

Nothing is guessed from the texts, which may hold any of these characters: the header decides.
"""

import csv
import io
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from empathy_core.data.specs import TextLayout

if TYPE_CHECKING:
    from _csv import Reader

MARKS = (",", ";", "\t", "|")
"""What may be found; any other character must be named."""
_NAMES = {",": ",", ";": ";", "\t": "\\t", "|": "|"}


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several characters that may each separate the cells.

    Attributes:
        marks: The characters, at least two.
        columns: Of each: the first line as it would be read.
    """

    marks: Sequence[str]
    columns: Sequence[Sequence[str]]

    def told(self, where: str) -> str:
        """Return the rest of a sentence; *where*: the table of the configuration."""
        readings = "; ".join(
            f'{where}.separator = "{_NAMES[mark]}" reads {_listed(columns)}'
            for mark, columns in zip(self.marks, self.columns, strict=True)
        )
        return (
            "can be read in several ways, and none of them stands out by the columns that are "
            f"named: expected one. Set the one that is right: {readings}"
        )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:4])[:80]
    return f"{len(columns)} columns ({shown}{', …' if len(columns) > 4 else ''})"


def reader(lines: Iterable[str], separator: str, layout: TextLayout) -> "Reader":
    """Return a reader of the rows of a table; it raises where quotation marks are misplaced."""
    csv.field_size_limit(sys.maxsize)  # a cell of 10 MB is for the cleaning to judge
    return csv.reader(
        lines,
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE,
        strict=True,  # else a mark behind a quoted cell vanishes
    )


def separator(
    text: str, layout: TextLayout, usual: str, wanted: Collection[str]
) -> str | Ambiguous:
    """Return what separates the cells of a text.

    The layout's, if it names one. Else the one by which the header has all columns that are read,
    *usual* before others. Else *usual*, if it separates anything, or the only one that does: what
    is missing can then be told by the names that are there.

    Args:
        text: Of the file.
        layout: How it is written.
        usual: A comma in CSV, a tab in TSV.
        wanted: Columns that are read of it.
    """
    if layout.separator is not None:
        return layout.separator
    headers = {mark: _header(text, mark, layout) for mark in (usual, *MARKS)}
    fits = [mark for mark, header in headers.items() if wanted and set(wanted) <= set(header)]
    divides = [mark for mark, header in headers.items() if len(header) > 1]
    if usual in fits or (usual in divides and not fits):
        return usual
    may = fits or divides
    if len(may) > 1:
        return Ambiguous(may, [headers[mark] for mark in may])
    return may[0] if may else usual


def _header(text: str, mark: str, layout: TextLayout) -> Sequence[str]:
    """Return the cells of the first row that is not blank; none if it cannot be read so."""
    try:
        return next((row for row in reader(io.StringIO(text, newline=""), mark, layout) if row), [])
    except csv.Error:
        return []
