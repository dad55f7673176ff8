"""Files that are no text, packed ones, several at once, and JSON of columns."""

import bz2
import io
import json
import lzma
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import datasets
import openpyxl
import polars as pl
import pyarrow as pa
import pytest

from empathy_core.data import Source, TextLayout, reading
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.errors import ConfigError, DataError

ROWS = [
    {"q": "Why am I\nsad?", "a": 'Loss, "grief" and time.', "by": "Ann"},
    {"q": "How do I sleep?", "a": "A fixed hour.", "by": None},
]
READ = [
    (0, "Why am I\nsad?", 'Loss, "grief" and time.', "Ann"),
    (1, "How do I sleep?", "A fixed hour.", None),
]


def source(path: Path | str, **changed: Any) -> Source:
    """Return a source of these rows."""
    fields = {"context": ("q",), "response": "a", "author": "by", **changed}
    return Source("mine", path=str(path), **fields)


def read(path: Path | str, **changed: Any) -> list[tuple[Any, ...]]:
    """Return what is read."""
    rows = reading.read(source(path, **changed)).rows
    return [(r.row, r.context, r.response, r.author or None) for r in rows]


# ---------------------------------------------------------------------------- Excel


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    """Write sheets of cells."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


CELLS = [list(ROWS[0]), *([*row.values()] for row in ROWS)]


def test_a_sheet_of_excel_is_read(tmp_path: Path):
    """The first row that is not empty names the columns; blank rows are none."""
    path = workbook(tmp_path / "d.xlsx", Data=[[], CELLS[0], CELLS[1], [], CELLS[2]])

    assert read(path) == READ
    raw = reading.read(source(path))
    assert [row.place for row in raw.rows] == ["line 3", "line 5"]


def test_one_of_several_sheets_is_named(tmp_path: Path):
    """Which one is meant cannot be known."""
    path = workbook(tmp_path / "d.xlsx", Notes=[["x"]], Data=CELLS)

    assert read(path, layout=TextLayout(sheet="Data")) == READ
    with pytest.raises(
        DataError, match=r"has 2 sheets \(Notes, Data\): set data.sources.mine.sheet"
    ):
        read(path)
    with pytest.raises(DataError, match=r"no sheet 'Dta', it has: Notes, Data; correct"):
        read(path, layout=TextLayout(sheet="Dta"))


def test_a_cell_of_excel_that_is_no_text_is_refused(tmp_path: Path):
    """Numbers, as in every format; a formula without a stored value too."""
    path = workbook(tmp_path / "d.xlsx", Data=[*CELLS, ["Why?", 5, "Ann"]])
    with pytest.raises(DataError, match=r"line 4: column 'a' holds the number 5: expected text"):
        read(path)
    path = workbook(tmp_path / "d.xlsx", Data=[*CELLS, ["Why?", '="a" & "b"', "Ann"]])
    with pytest.raises(DataError, match=r"row 4 of the sheet holds a formula .*: expected values"):
        read(path)


def test_what_is_no_workbook_is_refused(tmp_path: Path):
    """Whatever its name says."""
    (tmp_path / "d.xlsx").write_bytes(b"PK\x03\x04 no workbook")

    with pytest.raises(DataError, match=r"cannot be read as an Excel file .*: expected .xlsx"):
        read(tmp_path / "d.xlsx")


# ---------------------------------------------------------------------------- SQLite


def database(path: Path, *tables: str) -> Path:
    """Write the rows into tables of a database."""
    connection = sqlite3.connect(path)
    for table in tables:
        name = table.replace('"', '""')
        connection.execute(f'CREATE TABLE "{name}" (q TEXT, a TEXT, by TEXT)')
        rows = [tuple(row.values()) for row in ROWS]
        connection.executemany(f'INSERT INTO "{name}" VALUES (?, ?, ?)', rows)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize("name", ["d.sqlite", "d.db", "d.sqlite3"])
def test_a_table_of_sqlite_is_read(tmp_path: Path, name: str):
    """The only one, or the one that is named, whatever its name."""
    assert read(database(tmp_path / name, "pairs")) == READ
    odd = database(tmp_path / f"2{name}", "pairs", 'o"dd; x')
    assert read(odd, layout=TextLayout(table='o"dd; x')) == READ
    with pytest.raises(DataError, match=r"has 2 tables \(.*pairs\): set data.sources.mine.table"):
        read(odd)


def test_what_is_no_database_is_refused(tmp_path: Path):
    """And what to do about one that is being written."""
    (tmp_path / "d.db").write_bytes(b"no database, but long enough to be looked at as one" * 20)

    with pytest.raises(DataError, match=r"is no SQLite database: expected one"):
        read(tmp_path / "d.db")
    (tmp_path / "d.db").write_bytes(b"SQLite format 3\0" + b"cut" * 500)
    with pytest.raises(DataError, match=r"cannot be read as an SQLite database .*: expected"):
        read(tmp_path / "d.db")


@pytest.mark.parametrize("key", ["sheet", "table", "encoding"])
def test_a_setting_of_another_format_is_refused(tmp_path: Path, key: str):
    """It would change nothing."""
    pl.DataFrame(ROWS).write_parquet(tmp_path / "d.parquet")

    with pytest.raises(DataError, match=rf"sources.mine.{key} does nothing to the parquet file"):
        read(tmp_path / "d.parquet", layout=TextLayout(**{key: "utf-8"}))


# ---------------------------------------------------------------------------- packed


def zipped(**members: bytes) -> bytes:
    """Return an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


LINES = "\n".join(json.dumps(row) for row in ROWS).encode()
PACKED = {
    "d.jsonl.bz2": bz2.compress(LINES),
    "d.jsonl.xz": lzma.compress(LINES),
    "d.jsonl.zst": bytes(pa.compress(LINES, "zstd", asbytes=True)),
    "d.zip": zipped(**{"__MACOSX/x": b"", "a/D.jsonl": LINES}),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_are_unpacked(tmp_path: Path, name: str):
    """By their names; of an archive its only file."""
    (tmp_path / name).write_bytes(PACKED[name])

    assert read(tmp_path / name) == READ


@pytest.mark.parametrize(
    "name", ["d.jsonl.bz2", "d.jsonl.xz", "d.jsonl.zst", "d.jsonl.gz", "d.zip"]
)
def test_a_packed_file_that_is_damaged_is_refused(tmp_path: Path, name: str):
    """Cut in its middle, or nothing of the kind; an archive of two files is not one table."""
    whole = PACKED.get(name, b"\x1f\x8b\x08")
    for data in (whole[: len(whole) // 2], b"text"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=r"cannot be read|is not JSON"):
            read(tmp_path / name)
    (tmp_path / "two.zip").write_bytes(zipped(a=b"", b=b""))
    with pytest.raises(DataError, match=r"an archive of 2 files, expected one"):
        read(tmp_path / "two.zip")


# ---------------------------------------------------------------------------- several files


def test_a_pattern_reads_files_in_the_order_of_their_names(tmp_path: Path):
    """Rows are counted through; a place names its file."""
    (tmp_path / "part-0.csv").write_text(
        'q,a,by\n"Why am I\nsad?","Loss, ""grief"" and time.",Ann\n'
    )
    (tmp_path / "part-1.csv").write_text("by,a,q\n,A fixed hour.,How do I sleep?\n")
    pattern = tmp_path / "part-*.csv"
    raw = reading.read(source(pattern))

    assert read(pattern) == READ
    assert [row.place for row in raw.rows] == ["part-0.csv, line 2", "part-1.csv, line 2"]
    assert dict(raw.content) == dict(reading.content(source(pattern)))
    (tmp_path / "part-2.csv").write_text("q,a,by\nWhy?,So.,\n")
    assert reading.content(source(pattern)) != raw.content


def test_one_file_of_a_pattern_has_the_digest_of_the_file(tmp_path: Path):
    """So that a pattern and a path are the same data."""
    (tmp_path / "part-0.jsonl").write_bytes(LINES)

    assert reading.content(source(tmp_path / "part-*.jsonl")) == reading.content(
        source(tmp_path / "part-0.jsonl")
    )


def test_a_file_of_a_pattern_that_lacks_a_column_is_named(tmp_path: Path):
    """A pattern that nothing fits is told, too."""
    (tmp_path / "part-0.jsonl").write_bytes(LINES)
    (tmp_path / "part-1.jsonl").write_text('{"q": "Why?", "answer": "So."}')

    with pytest.raises(DataError, match=r"part-1.jsonl has no column 'a'"):
        read(tmp_path / "part-*.jsonl")
    with pytest.raises(DataError, match=r"no file fits .*: expected a pattern of files; correct"):
        read(tmp_path / "none-*.jsonl")


def test_what_save_to_disk_wrote_is_read(tmp_path: Path):
    """A data set in two shards, and one split of several."""
    made = datasets.Dataset.from_list(ROWS)
    made.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": made, "test": made.select([1])}).save_to_disk(tmp_path / "all")

    assert read(tmp_path / "one") == READ
    assert read(tmp_path / "all") == READ
    assert read(tmp_path / "all", hub_split="test") == [(0, *READ[1][1:])]
    with pytest.raises(DataError, match=r"no split 'dev', it has: train, test; set .*hub_split"):
        read(tmp_path / "all", hub_split="dev")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"is a folder: expected one file, or what save_to_disk"):
        read(tmp_path / "empty")


# ---------------------------------------------------------------------------- JSON of columns

BY_NAME = {name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]}


@pytest.mark.parametrize(
    "whole",
    [
        BY_NAME,
        {name: list(column.values()) for name, column in BY_NAME.items()},
        {"x1": ROWS[0], "x2": ROWS[1]},
    ],
    ids=["pandas", "lists", "rows under names"],
)
def test_json_of_columns_is_told_by_the_columns_that_are_read(tmp_path: Path, whole: Any):
    """As pandas' to_json writes it by default, and in two other forms."""
    (tmp_path / "d.json").write_text(json.dumps(whole))

    assert read(tmp_path / "d.json") == READ


def test_the_only_conversation_of_a_file_is_no_column(tmp_path: Path):
    """Its turns are a list of texts, too."""
    (tmp_path / "d.jsonl").write_text(json.dumps({"dialog": ["Hello.", "Hi."]}))
    talk = Source(
        "t", path=str(tmp_path / "d.jsonl"), context=("dialog",),
        turn_layout=TurnLayout(turns="last"),
    )  # fmt: skip

    (row,) = reading.read(talk).rows
    assert (row.context, row.response) == ("Hello.", "Hi.")


def test_columns_of_other_names_are_still_refused(tmp_path: Path):
    """What is a row and what a column cannot be told then."""
    (tmp_path / "d.json").write_text(json.dumps(BY_NAME))

    with pytest.raises(DataError, match="one object a column"):
        read(tmp_path / "d.json", context=("question",))


def test_settings_of_files_are_not_for_the_hub():
    """A data set of the Hub has no sheet."""
    with pytest.raises(ConfigError, match=r"sheet and table are of a file; remove them"):
        Source("h", hub="a/b", context=("q",), response="a", layout=TextLayout(sheet="x")).check()


# ---------------------------------------------------------------------------- what misled


def test_merged_cells_of_a_column_that_is_read_are_refused(tmp_path: Path):
    """Of them only the first row has the text; a title over several columns does no harm."""
    path = workbook(tmp_path / "m.xlsx", one=[*CELLS, ["How?", "So.", None]])
    book = openpyxl.load_workbook(path)
    book["one"].merge_cells("A3:A4")
    book.save(path)
    with pytest.raises(DataError, match=r"m\.xlsx has merged cells \(A3:A4\)"):
        read(path)
    assert len(read(path, context=("a",), response="by", author=None)) == 3


def test_a_formula_that_failed_is_no_answer(tmp_path: Path):
    """The error is told with its row; #N/A is a missing value as ever."""
    with pytest.raises(DataError, match=r"row 3 of the sheet holds the error #REF!"):
        read(workbook(tmp_path / "f.xlsx", one=[CELLS[0], CELLS[1], ["Why?", "#REF!", None]]))
    found = read(workbook(tmp_path / "n.xlsx", one=[CELLS[0], CELLS[1], ["Why?", "#N/A", None]]))
    assert found[1][2] is None


def test_a_database_that_is_none_and_a_broken_view_are_told(tmp_path: Path):
    """An empty file ended in a MemoryError; a broken view was said to be a broken database."""
    (tmp_path / "e.db").write_bytes(b"")
    with pytest.raises(DataError, match=r"e\.db is no SQLite database"):
        read(tmp_path / "e.db")
    connection = sqlite3.connect(tmp_path / "v.db")
    connection.execute("CREATE VIEW bad AS SELECT * FROM gone")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match=r"view 'bad' that cannot be read .*gone"):
        read(tmp_path / "v.db")
