"""Large files a part at a time, so that no more than a part of them is in memory.

Only what reads the same in parts is read so: JSON lines, CSV, TSV and parquet without a fault. For
everything else ``NeedsWholeFile`` is raised; then ``files`` reads the whole, and says what is
wrong.
"""

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from empathy_core.data import files, separators
from empathy_core.data.decoding import codec_of
from empathy_core.data.files import RawRows, Record
from empathy_core.data.specs import TextLayout
from empathy_core.errors import DataError

LARGE = 8_000_000
"""Bytes from which on a file is read in parts."""
RECORDS = 5_000
CHARACTERS = 8_000_000
"""Most that a part holds."""

_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class NeedsWholeFile(Exception):
    """A file must be read whole."""


def parts(
    path: Path, layout: TextLayout, where: str, columns: Collection[str]
) -> Iterator[RawRows]:
    """Yield the rows of a large file in parts; arguments as of ``files.parse``.

    Raises:
        NeedsWholeFile: It is no large file, or none that can be read in parts.
        DataError: A setting of the layout does nothing to it.
    """
    name, before = path.name.lower(), path.stat()
    packing = next((ending for ending in _OPEN if name.endswith(ending)), "")
    suffix = name.removesuffix(packing).rpartition(".")[2]
    if before.st_size < LARGE:
        raise NeedsWholeFile
    files.require_use(path, layout, suffix, where)
    if suffix == "parquet" and not packing:
        yield from _parquet(path, columns)
    elif suffix in ("csv", "tsv", "json", "jsonl", "ndjson"):
        as_csv = suffix in ("csv", "tsv")
        with _text(path, packing, layout, "" if as_csv else "\n") as text:
            usual = "\t" if suffix == "tsv" else ","
            yield from _csv(text, layout, usual, columns) if as_csv else _json_lines(text)
    else:
        raise NeedsWholeFile
    after = path.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        msg = f"{path} was changed while it was read: expected a file at rest; run this again"
        raise DataError(msg)


@contextmanager
def _text(path: Path, packing: str, layout: TextLayout, newline: str) -> Iterator[TextIO]:
    """Open a file as ``decoding.decoded`` would decode it."""
    opened: Callable[[Path], Any] = _OPEN.get(packing, lambda path: path.open("rb"))
    try:
        with opened(path) as file:
            codec, errors = codec_of(path, file.read(200), layout, "")
    except (OSError, EOFError, ValueError, DataError) as error:
        raise NeedsWholeFile from error
    with opened(path) as file:
        # its mark is no part of a text
        codec = "utf-8-sig" if codec == "utf-8" else codec
        yield io.TextIOWrapper(file, encoding=codec, errors=errors, newline=newline)


class _Gathered:
    """Records until there are enough of them for a part."""

    def __init__(self) -> None:
        self.first, self.size = 0, 0
        self.records: list[Record | None] = []
        self.lines: list[int] = []
        self.fault = ""

    def add(self, record: Record | None, line: int, size: int) -> None:
        self.records.append(record)
        self.lines.append(line)
        self.size += size

    @property
    def is_full(self) -> bool:
        return len(self.records) >= RECORDS or self.size >= CHARACTERS

    def taken(self, columns: Collection[str], reason: str, remedy: str) -> RawRows:
        """Return the part, and begin the next one."""
        found = RawRows(
            tuple(columns), self.records, self.lines, self.fault, reason, remedy, first=self.first
        )
        self.first, self.size = self.first + len(self.records), 0
        self.records, self.lines, self.fault = [], [], ""
        return found


def _json_lines(text: TextIO) -> Iterator[RawRows]:
    found, whole = _Gathered(), 0
    try:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            value, found.fault = files.json_line(line, number, found.fault)
            if not (found.first or found.records) and found.fault:
                raise NeedsWholeFile  # may be one value over several lines
            found.add(value, number, len(line))
            whole += value is not None
            if found.is_full:
                yield found.taken(files.keys(found.records), files.BROKEN_LINE, files.CORRECT)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise NeedsWholeFile from error
    if found.first + len(found.records) < 2 or not whole:
        raise NeedsWholeFile
    yield found.taken(files.keys(found.records), files.BROKEN_LINE, files.CORRECT)


def _csv(
    text: TextIO, layout: TextLayout, usual: str, columns: Collection[str]
) -> Iterator[RawRows]:
    reader = separators.reader(text, layout.separator or usual, layout)
    header: list[str] = []
    found, begin = _Gathered(), 1
    try:
        for row in reader:
            line, begin = begin, reader.line_num + 1
            if not row:
                continue
            if not header:
                header = row
                if layout.separator is None and not set(columns) <= set(header):
                    raise NeedsWholeFile  # perhaps another separator
                continue
            whole, found.fault = files.whole_row(row, header, line, found.fault)
            found.add(
                dict(zip(header, row, strict=True)) if whole else None, line, sum(map(len, row))
            )
            if found.is_full:
                yield found.taken(header, files.CELLS, files.UNQUOTED)
    except (OSError, EOFError, ValueError, csv.Error, lzma.LZMAError) as error:
        raise NeedsWholeFile from error
    yield found.taken(header, files.CELLS, files.UNQUOTED)


def _parquet(path: Path, columns: Collection[str]) -> Iterator[RawRows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in names if name in columns]
            for batch in file.iter_batches(RECORDS, columns=wanted):
                frame = pl.DataFrame(pl.from_arrow(batch))
                yield RawRows(names, frame.to_dicts(), first=first)
                first += batch.num_rows
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise NeedsWholeFile from error
