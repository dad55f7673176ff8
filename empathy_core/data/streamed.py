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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

import polars as pl

from empathy_core.data import files, separators, text_columns
from empathy_core.data.decoding import codec_of
from empathy_core.data.files import RawRows, Record
from empathy_core.data.specs import TextLayout
from empathy_core.data.text_columns import TextColumns
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
    path: Path,
    layout: TextLayout,
    where: str,
    columns: Collection[str],
    texts: Collection[str] = (),
) -> Iterator[RawRows | TextColumns]:
    """Yield the rows of a large file in parts; arguments as of ``files.parse``.

    *texts* are the columns that are read where each of them holds texts, so that a part in which
    they do may come as columns; none where parts must come as records.

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
        yield from _parquet(path, columns, texts)
    elif suffix in ("csv", "tsv", "json", "jsonl", "ndjson"):
        as_csv = suffix in ("csv", "tsv")
        with _text(path, packing, layout, "" if as_csv else "\n") as text:
            if as_csv:
                reader = _Cells(text, layout, "\t" if suffix == "tsv" else ",")
                yield from _csv(reader, columns, texts)
            else:
                yield from _json_lines(text, texts)
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


_Line = TypeVar("_Line")


class _Gathered(Generic[_Line]):
    """Lines, or rows of cells, until there are enough of them for a part.

    Attributes:
        first: Number of the first.
        fault: What is wrong with the first of all that holds no whole row.
        whole: Records of earlier parts.
    """

    def __init__(self) -> None:
        self.first, self.size, self.whole, self.fault = 0, 0, 0, ""
        self.there: list[_Line] = []
        self.lines: list[int] = []

    def add(self, there: _Line, line: int, size: int) -> bool:
        """Add one, and tell whether there are enough."""
        self.there.append(there)
        self.lines.append(line)
        self.size += size
        return len(self.there) >= RECORDS or self.size >= CHARACTERS

    def next(self) -> None:
        """Begin the next part."""
        self.first, self.size = self.first + len(self.there), 0
        self.there, self.lines = [], []

    def rows(
        self, records: list[Record | None], columns: Sequence[str], reason: str, remedy: str
    ) -> RawRows:
        """Return the records of a part."""
        return RawRows(
            tuple(columns), records, self.lines, self.fault, reason, remedy, first=self.first
        )


def _json_lines(text: TextIO, texts: Collection[str]) -> Iterator[RawRows | TextColumns]:
    found = _Gathered[str]()
    try:
        for number, line in enumerate(text, 1):
            if line.strip() and found.add(line, number, len(line)):
                yield _objects(found, texts)
                found.next()
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise NeedsWholeFile from error
    last = _objects(found, texts)
    if found.first + len(found.there) < 2 or not found.whole:
        raise NeedsWholeFile
    yield last


def _objects(found: _Gathered[str], texts: Collection[str]) -> RawRows | TextColumns:
    """Return the objects of the lines of a part."""
    if texts and (plain := text_columns.of_json_lines(found.there, texts, found.first)):
        found.whole += plain.frame.height
        return plain
    records: list[Record | None] = []
    for line, number in zip(found.there, found.lines, strict=True):
        value, found.fault = files.json_line(line, number, found.fault)
        if not (found.first or records) and found.fault:
            raise NeedsWholeFile  # may be one value over several lines
        records.append(value)
        found.whole += value is not None
    return found.rows(records, files.keys(records), files.BROKEN_LINE, files.CORRECT)


class _Cells:
    """The rows of a file of separated cells, and the line that each begins on."""

    def __init__(self, text: TextIO, layout: TextLayout, usual: str) -> None:
        self.is_named = layout.separator is not None
        self.reader = separators.reader(text, layout.separator or usual, layout)

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        """Yield rows that are not blank; the first is the header."""
        begin = 1
        for row in self.reader:
            line, begin = begin, self.reader.line_num + 1
            if row:
                yield row, line


def _csv(
    cells: _Cells, columns: Collection[str], texts: Collection[str]
) -> Iterator[RawRows | TextColumns]:
    header: list[str] = []
    found = _Gathered[list[str]]()
    try:
        for row, line in cells:
            if not header:
                header = row
                if not cells.is_named and not set(columns) <= set(header):
                    raise NeedsWholeFile  # perhaps another separator
            elif found.add(row, line, sum(map(len, row))):
                yield _rows(found, header, texts)
                found.next()
    except (OSError, EOFError, ValueError, csv.Error, lzma.LZMAError) as error:
        raise NeedsWholeFile from error
    yield _rows(found, header, texts)


def _rows(
    found: _Gathered[list[str]], header: list[str], texts: Collection[str]
) -> RawRows | TextColumns:
    """Return the rows of a part."""
    if texts and (plain := text_columns.of_cells(found.there, header, texts, found.first)):
        return plain
    records: list[Record | None] = []
    for row, line in zip(found.there, found.lines, strict=True):
        whole, found.fault = files.whole_row(row, header, line, found.fault)
        records.append(dict(zip(header, row, strict=True)) if whole else None)
    return found.rows(records, header, files.CELLS, files.UNQUOTED)


def _parquet(
    path: Path, columns: Collection[str], texts: Collection[str]
) -> Iterator[RawRows | TextColumns]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in names if name in columns]
            for batch in file.iter_batches(RECORDS, columns=wanted):
                plain = text_columns.of_table(batch, names, texts, first) if texts else None
                frame = pl.DataFrame(pl.from_arrow(batch)) if plain is None else pl.DataFrame()
                yield plain or RawRows(names, frame.to_dicts(), first=first)
                first += batch.num_rows
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise NeedsWholeFile from error
