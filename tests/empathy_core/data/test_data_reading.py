"""Every format that is read, and every way in which a file can be wrong."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.data import (
    DataSpec,
    EvaluateSpec,
    Source,
    TextLayout,
    prepare,
    reading,
    source,
    source_names,
)
from empathy_core.errors import ConfigError, DataError, UnknownName

ROWS = [
    {"id": 1, "q": "Why am I\nsad?", "a": 'Loss, "grief" and time.', "by": "Ann"},
    {"id": 2, "q": "How do I sleep?", "a": "A fixed hour.", "by": None},
]
CSV = """id,q,a,by
1,"Why am I
sad?","Loss, ""grief"" and time.",Ann
2,How do I sleep?,A fixed hour.,
"""
LAST = "2,How do I sleep?,A fixed hour.,\n"
HEAD = CSV.removesuffix(LAST)


def _source(path: Path, **changed: object) -> Source:
    fields = {"context": ("q",), "response": "a", "author": "by", **changed}
    return Source("mine", path=str(path), **fields)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def _lines(rows: list[dict]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _parquet(path: Path) -> bytes:
    pl.DataFrame(ROWS).write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.json", "d.jsonl", "D.NDJSON", "d.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, suffix: str):
    """CSV with quoted line breaks, TSV, JSON, JSON lines and parquet, plain or gzipped."""
    kind = name.lower().rpartition(".")[2]
    tsv = '\ufeffid\tq\ta\tby\r\n1\t"Why am I\nsad?"\t"Loss, ""grief"" and time."\tAnn\r\n'
    data = {
        "csv": CSV.encode,
        "tsv": (tsv + "2\tHow do I sleep?\tA fixed hour.\t\r\n").encode,
        "json": lambda: json.dumps(ROWS).encode(),
        "jsonl": lambda: _lines(ROWS),
        "ndjson": lambda: _lines(ROWS),
        "parquet": lambda: _parquet(tmp_path / "made"),
    }[kind]()

    raw = reading.read(_source(_write(tmp_path / (name + suffix), data)))

    assert [(r.row, r.context, r.response, r.author or None) for r in raw.rows] == [
        (0, "Why am I\nsad?", 'Loss, "grief" and time.', "Ann"),
        (1, "How do I sleep?", "A fixed hour.", None),
    ]
    assert not raw.dropped


def test_context_columns_are_joined_by_a_blank_line(tmp_path: Path):
    """A title and a text make one question; an absent part leaves no gap."""
    data = _lines([{"t": "Sleep", "q": "How?", "a": "So."}, {"t": None, "q": "Why?", "a": "So."}])

    raw = reading.read(_source(_write(tmp_path / "d.jsonl", data), context=("t", "q"), author=None))

    assert [row.context for row in raw.rows] == ["Sleep\n\nHow?", "Why?"]


def test_a_pattern_takes_one_column_apart(tmp_path: Path):
    """The text column of heliosbrahma's data set becomes question and answer."""
    texts = ["<HUMAN>: Why?\nReally why? \n<ASSISTANT>: Because.\nSo.", "<HUMAN>: no answer"]
    path = _write(tmp_path / "d.jsonl", _lines([{"text": text} for text in texts]))
    shipped = source("heliosbrahma")

    raw = reading.read(Source("h", path=str(path), column=shipped.column, pattern=shipped.pattern))

    assert [(r.context, r.response) for r in raw.rows] == [("Why?\nReally why?", "Because.\nSo.")]
    assert raw.dropped == {"pattern not found": 1}


BROKEN = [
    ("d.jsonl", _lines(ROWS[:1]) + b'\n{"q": "torn\n\n[1, 2]\n' + _lines(ROWS[1:]), "broken line"),
    ("d.csv", (HEAD + "2,Why,now?,So.,Bea\n3,How\n" + LAST).encode(), "too few or too many cells"),
]


@pytest.mark.parametrize(("name", "data", "reason"), BROKEN, ids=["json", "csv"])
def test_lines_that_hold_no_whole_row_are_an_error_unless_allowed(
    tmp_path: Path, name: str, data: bytes, reason: str
):
    """Then each costs one row and is counted, none is used cut, and the others keep their numbers.

    An unquoted comma moves cells: the rest of the text would be left out.
    """
    source = _source(_write(tmp_path / name, data))

    line = 2 if name == "d.jsonl" else 4
    with pytest.raises(DataError, match=rf"line {line} .*; 2 lines.*mine\.broken_rows = \"drop\""):
        reading.read(source)
    raw = reading.read(replace(source, broken_rows="drop"))

    assert [(row.row, row.context) for row in raw.rows] == [
        (0, "Why am I\nsad?"),
        (3, "How do I sleep?"),
    ]
    assert raw.dropped == {reason: 2}


BAD = [
    ("absent.csv", None, "no file"),
    ("folder.csv", "folder", "is a folder"),
    ("empty.csv", b"", "holds no row"),
    ("header.csv", b"id,q,a,by\n", "holds no row"),
    ("data.xls", b"PK", "unknown format '.xls'"),
    ("data.xlsx", b"PK", "cannot be read as an Excel file"),
    ("bad.json", b"<html>not found</html>", "is not JSON"),
    ("bad.jsonl", b'{"q": \n{"a"', "is not JSON"),
    ("empty.json", b"[]", "holds no row"),
    ("bad.parquet", b"PAR1 no", "cannot be read"),
    ("bad.csv.gz", b"raw", "cannot be read"),
    ("torn.csv.gz", gzip.compress(CSV.encode())[:-9], "cannot be read"),
    ("column.csv", CSV.replace("q,a", "question,a", 1).encode(), "no column 'q'"),
    ("nul.csv", b"id,q,a,by\n1,\x00\x00,\x00,\n2,\x00,x,\n", "no usable row (empty context: 2)"),
    ("long.csv", b"id,q,a,by\n1,Why?," + b"x" * 100_000 + b",\n", "100,000 characters or more: 1"),
]


@pytest.mark.parametrize(("name", "data", "said"), BAD, ids=[name for name, *_ in BAD])
def test_a_file_that_cannot_serve_is_one_clear_error(
    tmp_path: Path, name: str, data: bytes | str | None, said: str
):
    """The message names the file, says what is wrong, and what to do."""
    path = tmp_path / name
    if data == "folder":
        path.mkdir()
    elif isinstance(data, bytes):
        path.write_bytes(data)

    with pytest.raises(DataError) as caught:
        prepare(DataSpec((_source(path),)), EvaluateSpec(split="all"))

    assert said in str(caught.value)
    assert name in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_wrong_column_names_the_closest_and_all_others(tmp_path: Path):
    """``respons`` leads to ``response``, and the real columns are listed."""
    path = _write(tmp_path / "d.jsonl", _lines([{"context": "Why?", "response": "So.", "id": 1}]))

    with pytest.raises(DataError, match=r"'respons'.*'response'\?.*context, response, id"):
        reading.read(Source("mine", path=str(path), context=("context",), response="respons"))


def test_a_misspelt_path_names_the_closest_file(tmp_path: Path):
    """``chats.csv`` leads to ``chat.csv`` beside it."""
    _write(tmp_path / "chat.csv", CSV.encode())

    with pytest.raises(DataError, match=r"Did you mean .*chat\.csv\?"):
        reading.read(_source(tmp_path / "chats.csv"))


def test_damaged_bytes_are_repaired_row_by_row_and_counted(tmp_path: Path):
    """NUL and invalid UTF-8 cost a character, not the row, and never the rows beside it.

    The author must have said that it is UTF-8, since the file may be in another encoding.
    """
    data = b"id,q,a,by\n1,Why\xff\xfe?,So\x00.,\n2,How?,caf\xc3\xa9,\n3,Who?,\xe2\x80,\n"
    path = _write(tmp_path / "d.csv", data)

    as_it_is = _source(path, layout=TextLayout(encoding="utf-8"))
    prepared = prepare(DataSpec((as_it_is,)), EvaluateSpec(split="all"))

    rows = dict(prepared.examples.select("context", "response").iter_rows())
    assert rows == {"Why\ufffd?": "So.", "How?": "caf\u00e9"}
    (counts,) = prepared.audit["sources"]
    assert counts["repaired"] == {"NUL bytes": 1, "invalid UTF-8": 1}
    assert counts["dropped"] == {"empty response": 1}
    assert (counts["raw"], counts["kept"]) == (3, 2)


def test_json_escapes_can_break_nothing(tmp_path: Path):
    """An escaped NUL or half of a surrogate pair is repaired like its byte."""
    data = rb'{"q": "Why\u0000?", "a": "So \ud83d.", "by": {"name": "Ann"}}'
    path = _write(tmp_path / "d.jsonl", data)

    prepared = prepare(DataSpec((_source(path, author="by.name"),)), EvaluateSpec(split="all"))

    assert prepared.examples.select("context", "response", "author").rows() == [
        ("Why?", "So \ufffd.", "Ann")
    ]


def test_every_shipped_source_is_complete_but_for_its_place():
    """Each has columns and a licence; those of files only want a path."""
    names = source_names()

    assert {"amod", "mpingale", "heliosbrahma", "sample"} <= set(names)
    for name in names:
        found = source(name)
        assert found.name == name
        assert found.licence
        if name.startswith(("counselchat", "annomi", "esconv")):
            with pytest.raises(ConfigError, match=rf"data\.sources\.{name}\.path"):
                found.check()
        else:
            found.check()


def test_an_unknown_source_names_the_closest():
    """``amodd`` leads to ``amod``."""
    with pytest.raises(UnknownName, match="Did you mean 'amod'"):
        source("amodd")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"context": ("q",)}, "names no columns"),
        ({"response": "a"}, "no context column"),
        ({"column": "t", "pattern": "("}, "no regular expression"),
        ({"column": "t", "pattern": "(?P<context>.*)"}, "named groups"),
    ],
)
def test_a_source_without_columns_is_a_mistake_in_the_configuration(fields: dict, said: str):
    """Nothing is guessed: columns or a pattern must be named."""
    with pytest.raises(ConfigError, match=said):
        Source("mine", path="d.csv", **fields).check()
