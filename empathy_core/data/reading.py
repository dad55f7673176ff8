"""Files and Hub data sets into raw rows. Nothing is cleaned here, and nothing is guessed.

Bytes that are not UTF-8 survive as lone surrogates, so that cleaning can repair and count them
row by row.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from empathy_core.data import hub
from empathy_core.data.specs import Source
from empathy_core.errors import DataError, NoColumn

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as its source has it.

    Attributes:
        row: 0-based number in the raw file; a broken line has one too.
        context: Null if absent.
        response: Null if absent.
        author: Null if absent.
        kept: Of the source's ``keep``, in its order; null if absent.
    """

    row: int
    context: str | None
    response: str | None
    author: str | None = None
    kept: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """The rows of one source.

    Attributes:
        dropped: Reason → lines that hold no row at all.
        repaired: Kind → rows that were bent into shape.
        content: Key and digest of the raw content: a file's SHA-256, or the Hub's commit.
    """

    rows: tuple[RawRow, ...]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    content: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _Table:
    """Column names, and one record a raw row; null is a broken line."""

    columns: Sequence[str]
    records: Sequence[Record | None]
    ragged: int = 0


def read(source: Source) -> Raw:
    """Return all rows of *source*.

    Raises:
        ConfigError: The source does not say where or which columns.
        DataError: The place is missing or unreadable, a column is not there, or there is no row.
    """
    source.check()
    if source.path:
        data = _bytes(Path(source.path).expanduser())
        found = _parse(data, Path(source.path))
        key: dict[str, str | None] = {"sha256": hashlib.sha256(data).hexdigest()}
    else:
        columns, records, commit = hub.load(source)
        found, key = _Table(columns, records), hub.content(source, commit)
    broken = sum(record is None for record in found.records)
    if broken == len(found.records):
        msg = f"{_where(source)} holds no row: expected a header and rows; choose another file"
        raise DataError(msg)
    _require_columns(source, found.columns)
    rows = tuple(_rows(source, found.records))
    dropped = Counter({"broken line": broken, "pattern not found": -len(rows) - broken})
    dropped["pattern not found"] += len(found.records)
    return Raw(rows, +dropped, +Counter({"surplus cells": found.ragged}), key)


def content(source: Source) -> Mapping[str, str | None]:
    """Return the digest of a source's raw content without parsing it.

    Raises:
        DataError: The place is missing or unreadable.
    """
    source.check()
    if not source.path:
        return hub.content(source, hub.commit(source))
    path = Path(source.path).expanduser()
    try:
        with path.open("rb") as file:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise _unreadable(path, error) from error


def _where(source: Source) -> str:
    return source.path or f"{source.hub} (Hub)"


# ---------------------------------------------------------------------------- bytes


def _unreadable(path: Path, error: Exception) -> DataError:
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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


# ---------------------------------------------------------------------------- formats


def _parse(data: bytes, path: Path) -> _Table:
    name = path.name.lower()
    if name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(path, error) from error
        name = name.removesuffix(".gz")
    suffix = name.rpartition(".")[2]
    parsers: dict[str, Callable[[bytes, Path], _Table]] = {
        "csv": lambda d, _: _csv(d, ","),
        "tsv": lambda d, _: _csv(d, "\t"),
        "json": _json,
        "jsonl": _json,
        "ndjson": _json,
        "parquet": _parquet,
    }
    if suffix not in parsers:
        msg = f"{path} has an unknown format '.{suffix}': expected one of {', '.join(parsers)}"
        raise DataError(f"{msg} (or one of them with .gz); convert it")
    return parsers[suffix](data, path)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")


def _csv(data: bytes, delimiter: str) -> _Table:
    csv.field_size_limit(sys.maxsize)  # a cell of 10 MB is for the cleaning to judge
    reader = csv.DictReader(io.StringIO(_text(data), newline=""), delimiter=delimiter)
    records = list(reader)
    ragged = sum(None in record for record in records)
    return _Table(reader.fieldnames or (), records, ragged)


def _json(data: bytes, path: Path) -> _Table:
    text = _text(data)
    try:
        whole = json.loads(text, strict=False)
        values = whole if isinstance(whole, list) else [whole]
    except ValueError:
        values = [_json_line(line) for line in text.split("\n") if line.strip()]
    records = [value if isinstance(value, dict) else None for value in values]
    if values and not any(records):
        msg = f"{path} is not JSON that we can read: expected an array of objects or one a line"
        raise DataError(f"{msg}; convert it")
    columns = dict.fromkeys(key for record in records if record for key in record)
    return _Table(tuple(columns), records)


def _json_line(line: str) -> object:
    try:
        return json.loads(line, strict=False)
    except (ValueError, RecursionError):
        return None


def _parquet(data: bytes, path: Path) -> _Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(path, error) from error
    return _Table(frame.columns, frame.to_dicts())


# ---------------------------------------------------------------------------- columns


def _require_columns(source: Source, there: Sequence[str]) -> None:
    for column in source.columns:
        if column not in there:
            near = get_close_matches(column, there, n=1, cutoff=0.5)
            guess = f" Did you mean '{near[0]}'?" if near else ""
            msg = (
                f"{_where(source)} has no column '{column}'.{guess} It has: "
                f"{', '.join(map(str, there)) or 'none'}. Correct {source.where}."
            )
            raise NoColumn(msg)


def _rows(source: Source, records: Iterable[Record | None]) -> Iterable[RawRow]:
    """Yield rows; records that are broken or that the pattern does not match are left out."""
    regex = None if source.response else source.regex()
    for row, record in enumerate(records):
        if record is None:
            continue
        author = _cell(record.get(source.author)) if source.author else None
        kept = tuple(_cell(record.get(name)) for name in source.keep)
        if regex is None:
            parts = [cell for name in source.context if (cell := _cell(record.get(name)))]
            context, response = "\n\n".join(parts) or None, _cell(record.get(source.response))
            yield RawRow(row, context, response, author, kept)
        elif match := regex.search(_cell(record.get(source.column or "")) or ""):
            yield RawRow(row, match["context"], match["response"], author, kept)


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
