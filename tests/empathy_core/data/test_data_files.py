"""Random files: read exactly, or refused with an error of ours; nothing is altered silently."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import DataSpec, EvaluateSpec, Source, TextLayout, prepare, reading
from empathy_core.data.cleaning import clean_rows
from empathy_core.errors import EmpathyError
from empathy_core.imported_answers import lm_eval
from empathy_core.imported_answers import table as answers

NAMES = ("q", "a", "by")
TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ['"', '""', "a,b", "a\tb", "a;b", "\n", "\r\n", "\r", " x ", "\ufeff", "\0", "None"]
    ),
)
ROWS = st.lists(st.tuples(*[TEXT] * len(NAMES)), min_size=1, max_size=6)
MARKED = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
NAMED = ("utf-16-le", "utf-16-be", "gb18030", "utf-8")


def _csv(rows: Sequence[Sequence[str]], separator: str, quoting: int) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator, quoting=quoting).writerows([NAMES, *rows])
    return buffer.getvalue()


@st.composite
def text_files(draw: st.DrawFn) -> tuple[str, bytes, TextLayout, list[tuple[str, ...]]]:
    """Return a file's name, its bytes, how it is written, and the rows that it holds."""
    rows = draw(ROWS)
    suffix = draw(st.sampled_from(["csv", "tsv", "json", "jsonl"]))
    separator = draw(st.sampled_from([None, ";", "|"])) if suffix in ("csv", "tsv") else None
    records = [dict(zip(NAMES, row, strict=True)) for row in rows]
    ascii_only = draw(st.booleans())
    if suffix in ("csv", "tsv"):
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        text = _csv(rows, separator or {"csv": ",", "tsv": "\t"}[suffix], quoting)
    elif suffix == "json":
        text = json.dumps(records, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])))
    else:
        text = "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    named = draw(st.booleans())
    encoding = draw(st.sampled_from(NAMED if named else MARKED))
    data, zipped = text.encode(encoding), draw(st.booleans())
    name = f"d.{suffix}{'.gz' if zipped else ''}"
    layout = TextLayout(encoding if named else None, separator)
    return name, gzip.compress(data) if zipped else data, layout, rows


def _source(folder: str, name: str, data: bytes, layout: TextLayout) -> Source:
    path = Path(folder) / name
    path.write_bytes(data)
    return Source(
        "own", path=str(path), context=("q",), response="a", author="by", layout=layout, missing=()
    )


@given(text_files())
def test_whatever_a_library_wrote_is_read_exactly(written: tuple):
    """Any text in any column, format, encoding and separator; compressed or not."""
    name, data, layout, rows = written
    with tempfile.TemporaryDirectory() as folder:
        raw = reading.read(_source(folder, name, data, layout))

    assert [(row.context or "", row.response, row.author) for row in raw.rows] == rows
    assert not raw.dropped
    assert not raw.repaired


@given(ROWS)
def test_parquet_is_read_exactly(rows: list[tuple[str, ...]]):
    """Categories, too."""
    frame = pl.DataFrame(rows, schema=NAMES, orient="row")
    frame = frame.cast({"by": pl.Categorical})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    with tempfile.TemporaryDirectory() as folder:
        raw = reading.read(_source(folder, "d.parquet", buffer.getvalue(), TextLayout()))

    assert [(row.context or "", row.response, row.author) for row in raw.rows] == rows


# ---------------------------------------------------------------------------- damaged files

PIECES = [b"q", b"a", b"by", b"Why?", b"So.", b",", b";", b"\t", b'"', b"\n", b"\r", b"\0", b" ",
          b"{", b"}", b"[", b"]", b":", b'{"q": "Why?", "a": "So.", "by": 1}\n', b"q,a,by\n",
          b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xc3\xa9", b"\\ud83d", b"NaN", b"null",
          b"1e999"]  # fmt: skip


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes, TextLayout]:
    """Return any bytes under any name: random, of pieces of a file, or a file that was changed."""
    name, data, layout, _ = draw(text_files())
    made = draw(st.sampled_from(["random", "pieces", "changed"]))
    if made == "random":
        return name, draw(st.binary(max_size=60)), layout
    if made == "pieces":
        head = draw(st.sampled_from([b"", b"q,a,by\n", b"q\ta\tby\n", b"q;a;by\n"]))
        quotes = TextLayout(layout.encoding, layout.separator, quotes=layout.separator is None)
        body = b"".join(draw(st.lists(st.sampled_from(PIECES), max_size=12)))
        return draw(st.sampled_from(["d.csv", "d.tsv", "d.json"])), head + body, quotes
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=2)) + data[place + draw(st.integers(0, 2)) :]
    return name, data, layout


def _decoded(name: str, data: bytes, layout: TextLayout) -> str:
    """Return the text of a file that was accepted, by the rules that the README gives."""
    plain = gzip.decompress(data) if name.endswith(".gz") else data
    if layout.encoding:
        return plain.decode(
            layout.encoding, "surrogateescape" if layout.encoding == "utf-8" else "strict"
        )
    encodings = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
                 b"\xfe\xff": "utf-16"}  # fmt: skip
    marked = next((e for mark, e in encodings.items() if plain.startswith(mark)), "utf-8")
    return plain.decode(marked)


def _json_texts(text: str) -> set[object]:
    """Return all values in a text of JSON, or of JSON lines."""
    found: set[object] = set()

    def note(pairs: list[tuple[str, object]]) -> None:
        found.update(value for _, value in pairs if isinstance(value, str))

    try:
        json.loads(text.removeprefix("\ufeff"), strict=False, object_pairs_hook=note)
    except ValueError:
        for line in text.removeprefix("\ufeff").split("\n"):
            if line.strip():
                json.loads(line, strict=False, object_pairs_hook=note)
    return found


@given(damaged_files())
def test_any_bytes_are_read_exactly_or_refused(written: tuple[str, bytes, TextLayout]):
    """Never a traceback; and what is read stands in the file, letter by letter and whole."""
    name, data, layout = written
    with tempfile.TemporaryDirectory() as folder:
        try:
            raw = reading.read(_source(folder, name, data, layout))
        except EmpathyError as error:
            str(error).encode()  # can be printed
            return

    text = _decoded(name, data, layout)
    if "json" in name:
        values = _json_texts(text)
        assert {row.context for row in raw.rows} <= {*values, None}
        assert {row.response for row in raw.rows} <= {*values, None}
        return
    for row in raw.rows:
        for cell in (row.context or "", row.response, row.author):
            assert cell is not None
            assert cell in text or cell.replace('"', '""') in text
    if '"' not in text or not layout.quotes:  # a line is a row, and no letter of it is lost
        lines = [
            line
            for line in text.removeprefix("\ufeff")
            .replace("\r\n", "\n")
            .replace("\r", "\n")
            .split("\n")
            if line
        ]
        cells = [[row.context or "", row.response, row.author] for row in raw.rows]
        assert len(cells) == len(lines) - 1
        head = lines[0].split(layout.separator or ("\t" if "tsv" in name else ","))
        if len(head) == len(NAMES):
            in_order = [[row[NAMES.index(column)] for column in head] for row in cells]
            assert [sum(map(len, row)) + len(NAMES) - 1 for row in in_order] == [
                len(line) for line in lines[1:]
            ]


@given(damaged_files())
def test_any_bytes_are_answers_or_refused(written: tuple[str, bytes, TextLayout]):
    """As a table and as a log: never a traceback, and what is read can be stored."""
    name, data, layout = written
    with tempfile.TemporaryDirectory() as folder:
        path = Path(_source(folder, name, data, layout).path or "")
        for read in (
            lambda: answers.read(path, answers.Columns("q", "a"), layout, "answers.x"),
            lambda: lm_eval.read(path, "q", TextLayout(layout.encoding), "answers.x"),
        ):
            try:
                found = read()
            except EmpathyError:
                continue
            assert found.texts.height
            found.texts.write_parquet(io.BytesIO())


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=6))
def test_any_texts_are_prepared_or_refused(rows: list[tuple[str, str]]):
    """Lone surrogates and all: the rows can be stored, and no row is lost without being counted."""
    lines = "\n".join(json.dumps({"q": q, "a": a, "by": None}) for q, a in rows)
    with tempfile.TemporaryDirectory() as folder:
        source = _source(folder, "d.jsonl", lines.encode(), TextLayout())
        if not clean_rows(reading.read(source).rows, "own").frame.height:
            return
        prepared = prepare(DataSpec((source,), duplicates="keep"), EvaluateSpec(split="all"))

    (counts,) = prepared.audit["sources"]
    assert counts["raw"] == len(rows) == counts["kept"] + sum(counts["dropped"].values())
    prepared.examples.write_parquet(io.BytesIO())


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251", "shift_jis", "utf-16-le"])
def test_no_other_encoding_is_taken_for_utf_8(tmp_path: Path, encoding: str):
    """What is not UTF-8 is refused; nothing becomes U+FFFD without being asked for."""
    letters = {"cp1251": "\u043f\u0440\u0438", "shift_jis": "\u3042\u3044"}.get(
        encoding, "caf\u00e9"
    )
    data = f"q,a,by\nWhy?,{letters},x\n".encode(encoding)

    with pytest.raises(EmpathyError, match=r"data\.sources\.own\.encoding"):
        reading.read(_source(str(tmp_path), "d.csv", data, TextLayout()))
    read = reading.read(_source(str(tmp_path), "d.csv", data, TextLayout(encoding)))
    assert read.rows[0].response == letters
