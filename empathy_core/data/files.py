"""The bytes of a file into records of named cells, exactly; what cannot be read so is refused."""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.data import binary_tables, separators
from empathy_core.data.decoding import decoded
from empathy_core.data.specs import TextLayout
from empathy_core.data.unpacked import ENDINGS, unpacked
from empathy_core.errors import DataError

Record = Mapping[str, object]

SUFFIXES = (
    "csv", "tsv", "json", "jsonl", "ndjson", "parquet", "arrow", "xlsx", "sqlite", "sqlite3", "db",
)  # fmt: skip
_SQLITE = ("sqlite", "sqlite3", "db")

BROKEN_LINE, CELLS = "broken line", "too few or too many cells"
"""What lines that hold no whole row are called in counts."""
CORRECT = "Correct the file"
UNQUOTED = (
    "A text that holds the separator needs quotation marks around it: let a CSV library write the "
    "file, or use JSON lines"
)


@dataclass(frozen=True, slots=True)
class RawRows:
    """Column names, and one record a raw row.

    Attributes:
        columns: As often as they are there.
        records: Null where a line holds no whole row.
        lines: Where each record begins in the file, from 1; empty where a format has no lines.
        fault: What is wrong with the first line that holds no whole row.
        reason: What such lines are called in counts.
        remedy: What to do about them.
        parts: Names and rows of the files, where there are several.
        first: Number of the first record, where these are a part of all.
    """

    columns: Sequence[str]
    records: Sequence[Record | None]
    lines: Sequence[int] = ()
    fault: str = ""
    reason: str = BROKEN_LINE
    remedy: str = CORRECT
    parts: tuple[tuple[str, "RawRows"], ...] = ()
    first: int = 0

    def numbered(self) -> Iterator[tuple[int, Record | None]]:
        """Yield each record with its number."""
        return enumerate(self.records, self.first)

    def record(self, row: int) -> Record | None:
        """Return the record of a number."""
        return self.records[row - self.first]

    def file(self, row: int) -> str:
        """Return the name of the file that a row is in; empty where there is only one."""
        for name, part in self.parts:
            if row < len(part.records):
                return name
            row -= len(part.records)
        return ""

    def place(self, row: int) -> str:
        """Return where a person finds a row."""
        for name, part in self.parts:
            if row < part.first + len(part.records):
                return f"{name}, {part.place(row)}"
            row -= len(part.records)
        at = row - self.first
        return f"line {self.lines[at]}" if self.lines else f"row {row} (counted from 0)"


@dataclass(frozen=True, slots=True)
class _File:
    """A file's bytes, and what the configuration says of it.

    Attributes:
        where: Dotted name of the table that names the file.
        columns: What is read of it.
    """

    path: Path
    data: bytes
    layout: TextLayout
    where: str
    columns: frozenset[str]


def read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: The file is missing or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """Return what to tell of a file that cannot be opened, with the nearest name beside it."""
    if isinstance(error, FileNotFoundError):
        near = get_close_matches(path.name, _neighbours(path), n=1)
        guess = f" Did you mean {path.parent / near[0]}?" if near else ""
        return DataError(f"no file {path}.{guess} Set the source's path to a file that is there.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path} is a folder: expected one file; set the source's path to it")
    return DataError(f"{path} cannot be read ({error}): check it, or choose another file")


def _neighbours(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return []


def joined(parts: Sequence[tuple[str, RawRows]]) -> RawRows:
    """Return the rows of several files as those of one; *parts* has a name for each."""
    if len(parts) == 1:
        return parts[0][1]
    faulty = next(((name, rows) for name, rows in parts if rows.fault), parts[0])
    return RawRows(
        tuple(dict.fromkeys(column for _, rows in parts for column in rows.columns)),
        [record for _, rows in parts for record in rows.records],
        fault=f"{faulty[0]}, {faulty[1].fault}" if faulty[1].fault else "",
        reason=faulty[1].reason,
        remedy=faulty[1].remedy,
        parts=tuple(parts),
    )


def parse(
    path: Path, data: bytes, layout: TextLayout, where: str, columns: Collection[str] = ()
) -> RawRows:
    """Return the rows of a file.

    Args:
        path: Its name tells the format.
        data: Its bytes.
        layout: How it is written.
        where: Dotted name of the table that names the file, for what is said.
        columns: What is read of it, by which JSON of columns is told from JSON of rows.

    Raises:
        DataError: The file cannot be read exactly as it is described.
    """
    try:
        name, data = unpacked(path.name.lower(), data)
    except ValueError as error:
        raise unreadable(path, error) from error
    suffix = name.rpartition(".")[2]
    if suffix not in SUFFIXES:
        msg = f"{path} has an unknown format '.{suffix}': expected one of {', '.join(SUFFIXES)}"
        raise DataError(f"{msg} (or one of them with {', '.join(ENDINGS)}); convert it")
    file = _File(path, data, layout, where, frozenset(columns))
    require_use(path, layout, suffix, where)
    if suffix in ("arrow", "xlsx", *_SQLITE):
        return _binary(file, suffix)
    if suffix == "parquet":
        return _parquet(file)
    return _csv(file, "\t" if suffix == "tsv" else ",") if suffix in ("csv", "tsv") else _json(file)


def require_use(path: Path, layout: TextLayout, suffix: str, where: str) -> None:
    """Refuse a setting of the layout that would change nothing.

    Raises:
        DataError: There is one.
    """
    texts = ("csv", "tsv", "json", "jsonl", "ndjson")
    unused = {
        "encoding": layout.encoding is not None and suffix not in texts,
        "sheet": layout.sheet is not None and suffix != "xlsx",
        "table": layout.table is not None and suffix not in _SQLITE,
    }
    cells = {"separator": layout.separator is not None, "quotes": not layout.quotes}
    unused |= {key: given and suffix not in ("csv", "tsv") for key, given in cells.items()}
    for key in (key for key, useless in unused.items() if useless):
        raise DataError(f"{where}.{key} does nothing to the {suffix} file {path}: remove it")


# ---------------------------------------------------------------------------- formats


def _text(file: _File) -> str:
    return decoded(file.path, file.data, file.layout, file.where)


def _csv(file: _File, usual: str) -> RawRows:
    text = _text(file)
    separator = separators.separator(text, file.layout, usual, file.columns)
    if isinstance(separator, separators.Ambiguous):
        raise DataError(f"{file.path} {separator.told(file.where)}")
    header: list[str] = []
    records: list[Record | None] = []
    lines, fault, begin = [], "", 1
    reader = separators.reader(io.StringIO(text, newline=""), separator, file.layout)
    try:
        for row in reader:
            line, begin = begin, reader.line_num + 1
            if not row:  # a blank line
                continue
            if not header:
                header = row
                continue
            whole, fault = whole_row(row, header, line, fault)
            records.append(dict(zip(header, row, strict=True)) if whole else None)
            lines.append(line)
    except csv.Error as error:
        head = text.partition("\n")[0]
        guess = "" if separator in head else another_separator(head, file.where)
        raise DataError(_misquoted(file, begin, error) + guess) from error
    return RawRows(header, records, lines, fault, CELLS, UNQUOTED)


def whole_row(row: Sequence[str], header: Sequence[str], line: int, fault: str) -> tuple[bool, str]:
    """Tell whether a row has all cells, and return the first fault there was so far."""
    whole = len(row) == len(header)
    if not whole and not fault:
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        fault = f"line {line} has {cells}, expected {len(header)}"
    return whole, fault


def _misquoted(file: _File, line: int, error: Exception) -> str:
    return (
        f"{file.path}, line {line}: quotation marks do not enclose a whole cell ({error}): "
        "expected marks at its begin and end, and marks within it doubled. Let a CSV library "
        f"write the file, or set {file.where}.quotes = false if the marks belong to the texts."
    )


def another_separator(head: str, where: str) -> str:
    """Return the advice to name the separator that a header of one cell holds; empty if none."""
    mark = next((mark for mark in ";\t|," if mark in head), "")
    shown = "\\t" if mark == "\t" else mark
    return (
        f' Cells seem to be separated otherwise: set {where}.separator = "{shown}".' if mark else ""
    )


class _Twice(ValueError):
    """An object has a key twice."""


def load_json(text: str) -> object:
    """Return the value of a JSON text; control characters within strings are allowed.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or an object has a key twice.
    """
    try:
        return json.loads(text, strict=False, object_pairs_hook=_object)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key '{twice}' is there twice"
        raise _Twice(msg)
    return made


def _json(file: _File) -> RawRows:
    text = _text(file)
    try:
        whole = load_json(text)
    except ValueError as error:
        return _json_lines(file, text, error)
    values = whole if isinstance(whole, list) else [whole]
    if len(values) == 1 and isinstance(values[0], dict):
        values = by_column(values[0], file.columns) or values
    _require_rows_first(file, values)
    records = [value if isinstance(value, dict) else None for value in values]
    first = next((i for i, record in enumerate(records) if record is None), 0)
    fault = f"row {first} (counted from 0) is no object"
    if values and not any(record is not None for record in records):
        raise DataError(_no_json(file, fault))
    return RawRows(keys(records), records, (), fault)


def _json_lines(file: _File, text: str, error: ValueError) -> RawRows:
    records: list[Record | None] = []
    lines, fault = [], ""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        record, fault = json_line(line, number, fault)
        records.append(record)
        lines.append(number)
    if not any(record is not None for record in records):
        raise DataError(_no_json(file, str(error)))
    return RawRows(keys(records), records, lines, fault)


def json_line(line: str, number: int, fault: str) -> tuple[Record | None, str]:
    """Return the object of a line, null if it is none, and the first fault there was so far."""
    try:
        value = load_json(line)
        said = "it is no object"
    except ValueError as found:
        value, said = None, str(found)
    if isinstance(value, dict):
        return value, fault
    return None, fault or f"line {number} is no JSON object ({said})"


def _no_json(file: _File, said: str) -> str:
    return (
        f"{file.path} is not JSON that we can read ({said}): expected an array of objects, or one "
        "object a line; convert it"
    )


def keys(records: Sequence[Record | None]) -> tuple[str, ...]:
    """Return the names of all fields."""
    return tuple(dict.fromkeys(key for record in records if record for key in record))


def _require_rows_first(file: _File, values: Sequence[object]) -> None:
    """Refuse a file of columns, as pandas' ``to_json`` writes by default."""
    if len(values) != 1 or not isinstance(values[0], dict):
        return
    columns = list(values[0].values())
    tables = columns and all(isinstance(column, dict) and column for column in columns)
    if tables and not _has_turns(columns) and len({tuple(column) for column in columns}) == 1:
        msg = (
            f"{file.path} holds one object a column ({', '.join(values[0])[:80]}), or one a row "
            "under its name: expected an array of objects, or one object a line; write it with "
            'orient="records" (pandas: to_json(path, orient="records", lines=True))'
        )
        raise DataError(msg)


def by_column(whole: Mapping[str, Any], wanted: Collection[str]) -> list[object]:
    """Return the rows of an object of columns, or of rows under their names; empty if it is none.

    Which of both it is can be told by the names that are read of it. A column is an object with
    the same keys as its neighbours, as pandas writes it, or a list of texts and numbers.
    """
    cells, there = list(whole.values()), bool(wanted) and set(wanted) <= set(whole)
    if there and all(isinstance(column, dict) for column in cells):
        keys = {tuple(column) for column in cells}
        if len(keys) == 1 and not _has_turns(cells):
            return [{name: column[key] for name, column in whole.items()} for key in keys.pop()]
    # a single list may be the turns of the only conversation in a file
    if there and len(wanted) > 1 and all(map(_is_flat, cells)) and len(set(map(len, cells))) == 1:
        return [dict(zip(whole, row, strict=True)) for row in zip(*cells, strict=True)]
    if wanted and all(isinstance(row, dict) and set(wanted) <= set(row) for row in cells):
        return cells
    return []


def _has_turns(cells: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether objects are the turns of the only conversation of a file, a list a field."""
    fields = [(name, of) for each in cells for name, of in each.items()]
    return any(isinstance(of, list) and not name.isdecimal() for name, of in fields)


def _is_flat(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value)


def _binary(file: _File, suffix: str) -> RawRows:
    try:
        if suffix == "arrow":
            found = binary_tables.arrow(file.data)
        elif suffix == "xlsx":
            sheet = file.layout.sheet
            found = binary_tables.excel(file.data, sheet, file.where, file.columns)
        else:
            found = binary_tables.sqlite(file.data, file.layout.table, file.where)
    except binary_tables.NoTable as error:
        msg = f"{file.path} {error}"
        raise DataError(msg) from error
    return RawRows(found.columns, found.records, found.lines)


def _parquet(file: _File) -> RawRows:
    try:
        frame = pl.read_parquet(io.BytesIO(file.data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise unreadable(file.path, error) from error
    return RawRows(frame.columns, frame.to_dicts())
