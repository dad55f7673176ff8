"""Tables that are no text: sheets of Excel, tables of SQLite, Arrow as datasets saves it."""

import io
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile, ZipFile

import polars as pl


class NoTable(ValueError):
    """A file holds no such table; the rest of a sentence, remedy included."""


@dataclass(frozen=True, slots=True)
class BinaryTable:
    """Names of columns, and one record a row.

    Attributes:
        lines: Row of each record in its sheet, from 1; empty where there are no such rows.
    """

    columns: Sequence[str]
    records: Sequence[dict[str, object]]
    lines: Sequence[int] = ()


def of_frame(frame: pl.DataFrame) -> BinaryTable:
    """Return the rows of a frame."""
    return BinaryTable(frame.columns, frame.to_dicts())


def arrow(data: bytes) -> BinaryTable:
    """Return the rows of an Arrow file, be it a stream (as datasets writes) or not.

    Raises:
        NoTable: It is neither.
    """
    errors = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
    try:
        if data.startswith(b"ARROW1"):
            return of_frame(pl.read_ipc(io.BytesIO(data)))
        return of_frame(pl.read_ipc_stream(io.BytesIO(data)))
    except errors as error:
        said = (str(error).splitlines() or [""])[0]
        raise NoTable(f"is no Arrow file ({said}): expected one; save it again") from error


# ---------------------------------------------------------------------------- SQLite


def sqlite(data: bytes, name: str | None, where: str) -> BinaryTable:
    """Return the rows of a table or view.

    Args:
        data: The database.
        name: Of the table; null where there is only one.
        where: Dotted name of the configuration's table, for what is said.

    Raises:
        NoTable: It is no database, or has no such table.
    """
    if not data.startswith(b"SQLite format 3\0"):
        raise NoTable("is no SQLite database: expected one; check the file, or convert it")
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(data)
        query = (
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        there = [str(row[0]) for row in connection.execute(query)]
        chosen = _chosen(there, name, "table", where)
        return _rows_of(connection, chosen, where)
    except sqlite3.DatabaseError as error:
        raise NoTable(
            f"cannot be read as an SQLite database ({error}): expected a whole one in one file; "
            "close the program that writes it, or run 'PRAGMA journal_mode = DELETE' in it"
        ) from error
    finally:
        connection.close()


def _rows_of(connection: sqlite3.Connection, table: str, where: str) -> BinaryTable:
    quoted = table.replace('"', '""')
    try:
        cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  a name, quoted
        columns = [str(column[0]) for column in cursor.description]
        return BinaryTable(columns, [dict(zip(columns, row, strict=True)) for row in cursor])
    except sqlite3.OperationalError as error:
        raise NoTable(
            f"has a table or view '{table}' that cannot be read ({error}): expected one that "
            f"SQLite itself can read; correct it, or choose another as {where}.table"
        ) from error


def _chosen(there: Sequence[str], name: str | None, kind: str, where: str) -> str:
    listed = ", ".join(there)[:300] or "none"
    if name is None and len(there) == 1:
        return there[0]
    if name is None:
        raise NoTable(f'has {len(there)} {kind}s ({listed}): set {where}.{kind} = "…" to one')
    if name not in there:
        raise NoTable(f"has no {kind} '{name}', it has: {listed}; correct {where}.{kind}")
    return name


# ---------------------------------------------------------------------------- Excel


def excel(data: bytes, sheet: str | None, where: str, wanted: Collection[str] = ()) -> BinaryTable:
    """Return the rows of a sheet; its first row that is not empty has the names of the columns.

    Args:
        data: An .xlsx file.
        sheet: Name of the sheet; null where there is only one.
        where: Dotted name of the configuration's table, for what is said.
        wanted: Columns that are read, in which no cell may be that of several rows.

    Raises:
        NoTable: It is no such file, has no such sheet, a formula in it was never computed or has
            failed, or cells are merged.
    """
    rows = _cells(data, sheet, where, computed=False)
    formulas = [
        (line, place) for line, row in rows for place, cell in enumerate(row) if _is_formula(cell)
    ]
    if formulas:
        rows = _cells(data, sheet, where, computed=True)
        values = dict(rows)
        for line, place in formulas:
            if line not in values or values[line][place] is None:
                raise NoTable(
                    f"row {line} of the sheet holds a formula whose value is not in the file: "
                    "expected values; open it in a spreadsheet program and save it again"
                )
    for line, row in rows:
        if failed := next((cell for cell in row if cell in _FAILED), None):
            raise NoTable(
                f"row {line} of the sheet holds the error {failed}: expected a value; correct the "
                "formula, or empty the cell, and save it again"
            )
    if not rows:
        return BinaryTable((), ())
    (_, header), *body = rows
    columns = {i: str(name) for i, name in enumerate(header) if name is not None}
    _require_single(data, sheet, {i + 1 for i, name in columns.items() if name in wanted})
    return BinaryTable(
        list(columns.values()),
        [{name: row[i] for i, name in columns.items()} for _, row in body],
        [line for line, _ in body],
    )


def _require_single(data: bytes, sheet: str | None, columns: set[int]) -> None:
    """Refuse cells that are merged over several rows: all but the first of them would be empty."""
    import openpyxl

    with ZipFile(io.BytesIO(data)) as archive:
        parts = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(b"<mergeCell " in archive.read(name) for name in parts):
            return
    book = openpyxl.load_workbook(io.BytesIO(data))
    for merged in (book[sheet] if sheet else book.worksheets[0]).merged_cells.ranges:
        of = set(range(merged.min_col, merged.max_col + 1))
        if merged.max_row > merged.min_row and of & columns:
            raise NoTable(
                f"has merged cells ({merged.coord}), of which only the first holds the value: "
                "expected a value in each row; unmerge them, fill them down, and save it again"
            )


_FAILED = ("#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!")
"""What a spreadsheet shows in place of a value; ``#N/A`` is a missing one."""


def _is_formula(cell: object) -> bool:
    return (isinstance(cell, str) and cell.startswith("=")) or type(cell).__name__ in (
        "ArrayFormula", "DataTableFormula",
    )  # fmt: skip


def _cells(
    data: bytes, sheet: str | None, where: str, *, computed: bool
) -> list[tuple[int, tuple[Any, ...]]]:
    """Return number and values of the rows of a sheet that are not empty, all of one length."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=computed)
    except (InvalidFileException, BadZipFile, KeyError, OSError, ValueError) as error:
        raise NoTable(
            f"cannot be read as an Excel file ({error}): expected .xlsx; save it as such"
        ) from error
    names = [of.title for of in book.worksheets]
    found = book[_chosen(names, sheet, "sheet", where)].iter_rows(values_only=True)
    rows = [
        (line, tuple(row)) for line, row in enumerate(found, 1) if any(c is not None for c in row)
    ]
    book.close()
    width = max((len(row) for _, row in rows), default=0)
    return [(line, row + (None,) * (width - len(row))) for line, row in rows]
