"""The bytes of a returned file as text, as JSON and as a table, whichever they are."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from empathy_core.annotation.points import plain
from empathy_core.errors import DataError

_SEPARATORS: tuple[str, ...] = (",", ";", "\t", "|")
_MOST = 100_000_000
"""Bytes: a packet's answers are a thousand times smaller."""
csv.field_size_limit(10_000_000)


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row of a table: the line of the file on which it ends, and its cells."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class FileContent:
    """A file, whatever is in it.

    Attributes:
        name: As it is called in messages.
        data: Its bytes.
        notes: What had to be done to read it; grows while it is read.
    """

    name: str
    data: bytes
    notes: list[str] = field(default_factory=list)

    @cached_property
    def text(self) -> str:
        """Its text, without a byte-order mark.

        Raises:
            DataError: It is no text: a workbook, say.
        """
        data = self.data
        if len(data) > _MOST:
            msg = f"{self.name} has {len(data):,} bytes; expected the answers of one packet"
            raise DataError(f"{msg}; give the file that the rater returned")
        if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
            msg = (
                f"{self.name} is a workbook or an archive; expected text; open it in the "
                "spreadsheet and save the sheet as 'CSV UTF-8', or unpack it"
            )
            raise DataError(msg)
        encoding = self._encoding()
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
            self.notes.append("read as Windows-1252: it is not UTF-8")
        else:
            if encoding.startswith("utf-16"):
                self.notes.append("read as UTF-16")
        if "\0" in text:
            msg = (
                f"{self.name} is no text; expected the file that a rater returned; see docs/people"
            )
            raise DataError(f"{msg}.md for the formats")
        return text.removeprefix("\ufeff")

    def _encoding(self) -> str:
        """Return how the bytes are to be decoded."""
        head = self.data[:400]
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        if len(head) > 3 and head[1::2].count(0) > len(head) // 3:
            return "utf-16-le"
        if len(head) > 3 and head[::2].count(0) > len(head) // 3:
            return "utf-16-be"
        return "utf-8-sig"

    @cached_property
    def json(self) -> Any:
        """Its value if it is JSON, a list of the values of its lines if it is JSON lines; or null.

        Raises:
            DataError: It begins as JSON and breaks off.
        """
        text = self.text.strip()
        if text[:1] not in ("{", "["):
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            if text[0] == "{" and (lines := _json_lines(text, self.name)):
                return lines
            raise DataError(_broken(self.name, str(error))) from error

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Its objects, if it is a JSON list or JSON lines of nothing else; otherwise none."""
        found = self.json
        whole = isinstance(found, list) and all(isinstance(one, dict) for one in found)
        return found if whole else []

    @cached_property
    def lines(self) -> list[TableLine]:
        """The rows of a table with at least one cell that is not blank, the header first."""
        if self.json is not None:
            return list(_flat(self.records))
        best: list[TableLine] = []
        text = self.text
        separators = _SEPARATORS
        first = text.splitlines()[0].strip() if text.strip() else ""
        if first.lower().startswith("sep=") and len(first) <= 5:  # Excel's own first line
            text, separators = text.split("\n", 1)[-1], (first[4:] or "\t",)
        for separator in separators:
            rows = _rows(text, separator, first_line=1 + (text is not self.text))
            if not best or len(rows[0].cells) > len(best[0].cells):
                best = rows or best
        return best

    @cached_property
    def header(self) -> tuple[str, ...]:
        """The names of the columns of a table, cleaned; without a table, none."""
        return tuple(plain(cell) for cell in self.lines[0].cells) if self.lines else ()

    def column(self, *names: str) -> int | None:
        """Return the place of the first column that is called one of *names*, whatever its case.

        Raises:
            DataError: There are two of that name.
        """
        lower = [name.casefold() for name in self.header]
        for name in names:
            if lower.count(name.casefold()) > 1:
                msg = (
                    f"{self.name} has more than one column '{name}'; expected one; remove the other"
                )
                raise DataError(msg)
            if name.casefold() in lower:
                return lower.index(name.casefold())
        return None

    def cells(self, skipped: int = 0) -> Iterator[tuple[str, list[str]]]:
        """Yield the place and the cells of each row, *skipped* rows after the header left out."""
        width = len(self.header)
        for line in self.lines[1 + skipped :]:
            cells = [*line.cells, *[""] * (width - len(line.cells))]
            yield f"line {line.number}", cells


def _json_lines(text: str, name: str) -> list[Any]:
    """Return the values of JSON lines; none if the first line is no value.

    Raises:
        DataError: A later line is none.
    """
    found: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            if not found:
                return []
            raise DataError(_broken(name, f"line {number}: {error}")) from error
    return found


def _broken(name: str, why: str) -> str:
    return (
        f"{name} begins as JSON and cannot be read ({why}): expected a whole file; download or "
        "export it again"
    )


def _rows(text: str, separator: str, first_line: int) -> list[TableLine]:
    """Return the rows of a text that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[TableLine] = []
    with suppress(csv.Error):  # a quotation that does not end, say: not the right separator
        rows += (
            TableLine(reader.line_num + first_line - 1, tuple(cells))
            for cells in reader
            if any(cell.strip() for cell in cells)
        )
    return rows


def _flat(records: list[dict[str, Any]]) -> Iterator[TableLine]:
    """Yield a list of flat objects as a table: its keys, then a row each."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    if not keys:
        return
    yield TableLine(0, tuple(keys))
    for number, record in enumerate(records, start=1):
        cells = tuple(as_cell(record.get(key)) for key in keys)
        if any(cells):
            yield TableLine(number, cells)


def as_cell(value: Any) -> str:
    """Return what a JSON value would be in a cell: null is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def seconds_of(said: Any) -> float | None:
    """Return a number of seconds; null if it is none."""
    try:
        number = float(str(said).replace(",", "."))
    except ValueError:
        return None
    return number if 0 <= number < 1e7 else None
