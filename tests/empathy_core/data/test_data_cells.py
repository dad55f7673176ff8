"""Cells that are no plain text: taken exactly, or refused with the place and the way out.

Files of answers are read letter by letter; sources of questions go through cleaning as well.
"""

import csv
import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from empathy_core.data import (
    DataSpec,
    EvaluateSpec,
    Source,
    TextLayout,
    audit_text,
    prepare,
    reading,
)
from empathy_core.errors import ConfigError, DataError
from empathy_core.imported_answers import table as answers
from tests.runs.command_line import launch, write_config

IDS = [f"mine-{i:05d}" for i in range(8)]
TEXTS = [f'I hear you, number {i}; "rest" and breathe.' for i in range(8)]
PLAIN = [f"I hear you number {i} rest and breathe" for i in range(8)]
Content = bytes | Callable[[Path], None]


def _csv(rows: list[list[str]], separator: str = ",", head: tuple[str, ...] = ("example", "text")):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator).writerows([head, *rows])
    return buffer.getvalue()


def _whole(texts: list[str] = TEXTS, **given: object) -> str:
    return _csv([[i, t] for i, t in zip(IDS, texts, strict=True)], **given)


def _by_hand(line: str, head: str = "example,text\n") -> str:
    """Return a file that somebody wrote without a library."""
    return head + "".join(line.format(i=i, t=t) for i, t in zip(IDS, PLAIN, strict=True))


def _lines(cell: Callable[[int], object]) -> bytes:
    rows = [{"example": name, "text": cell(i)} for i, name in enumerate(IDS)]
    return "\n".join(map(json.dumps, rows)).encode()


def _frame(cell: Callable[[int], object], column: pl.DataType | None = None):
    def write(path: Path) -> None:
        texts = pl.Series("text", [cell(i) for i in range(8)], dtype=column)
        pl.DataFrame({"example": IDS, "text": texts}).write_parquet(path)

    return write


def _write(path: Path, content: Content) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    return path


AS_USUAL = TextLayout()


def _read(path: Path, layout: TextLayout = AS_USUAL, **columns: str) -> answers.ImportedTexts:
    named = answers.Columns(**{"example": "example", "text": "text", **columns})
    return answers.read(path, named, layout, "answers.x")


# ---------------------------------------------------------------------------- answers: read

COLUMNS = {"example": dict(enumerate(IDS)), "text": dict(enumerate(TEXTS))}
EXACT: dict[str, tuple[str, Content, list[str]]] = {
    "quoted": ("a.csv", _whole().encode(), TEXTS),
    "byte order mark": ("a.csv", _whole().encode("utf-8-sig"), TEXTS),
    "UTF-16": ("a.csv", _whole().encode("utf-16"), TEXTS),
    "UTF-16 in JSON": ("a.jsonl", _lines(lambda i: TEXTS[i]).decode().encode("utf-16"), TEXTS),
    "carriage returns": ("a.csv", _by_hand("{i},{t}\r", "example,text\r").encode(), PLAIN),
    "no column name": ("a.csv", _by_hand("0,{i},{t}\n", ",example,text\n").encode(), PLAIN),
    "NUL": ("a.csv", _by_hand("{i},{t}\0\n").encode(), [f"{text}\0" for text in PLAIN]),
    "markup": ("a.csv", _by_hand("{i},<p>{t}</p>\n").encode(), [f"<p>{t}</p>" for t in PLAIN]),
    "words for nothing": ("a.csv", _whole(["None", "nan", "n/a", *TEXTS[3:]]).encode(),
                          ["None", "nan", "n/a", *TEXTS[3:]]),
    "null": ("a.jsonl", _lines(lambda i: TEXTS[i] if i else None), ["", *TEXTS[1:]]),
    "NaN": ("a.jsonl", _lines(lambda i: TEXTS[i] if i else float("nan")), ["", *TEXTS[1:]]),
    "NaN in parquet": ("a.parquet", _frame(lambda i: float("nan"), pl.Float64), [""] * 8),
    "categories": ("a.parquet", _frame(lambda i: PLAIN[i], pl.Categorical), PLAIN),
    "columns of pandas": ("a.json", json.dumps(COLUMNS).encode(), TEXTS),
    "enumeration": ("a.parquet", _frame(lambda i: PLAIN[i], pl.Enum(PLAIN)), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), EXACT.values(), ids=EXACT)
def test_answers_are_read_letter_by_letter(
    tmp_path: Path, name: str, content: Content, expected: list[str]
):
    """Whatever a program may have written, as long as it is text; null and NaN are empty."""
    found = _read(_write(tmp_path / name, content))

    assert found.texts.rows() == [(i, 0, t) for i, t in zip(IDS, expected, strict=True)]
    assert found.repaired == 0


def test_half_a_surrogate_pair_is_replaced_and_counted(tmp_path: Path):
    """A model's answer may be cut within an emoji; such a text cannot be stored."""
    content = _lines(lambda i: TEXTS[i] + ("\ud83d" if i == 3 else "\U0001f642"))

    found = _read(_write(tmp_path / "a.jsonl", content))

    assert found.texts["text"][3] == f"{TEXTS[3]}\ufffd"
    assert found.texts["text"][4] == f"{TEXTS[4]}\U0001f642"
    assert found.repaired == 1


LAYOUTS: dict[str, tuple[str, bytes, TextLayout, list[str]]] = {
    "cp1252": ("a.csv", _by_hand("{i},{t} caf\u00e9\n").encode("cp1252"), TextLayout("cp1252"),
               [f"{text} caf\u00e9" for text in PLAIN]),
    "UTF-16 without a mark": ("a.jsonl", _lines(lambda i: TEXTS[i]).decode().encode("utf-16-le"),
                              TextLayout("utf-16-le"), TEXTS),
    "tildes": ("a.csv", _whole(separator="~").encode(), TextLayout(separator="~"), TEXTS),
    "marks of the texts": ("a.tsv", _by_hand('{i}\t"{t}" he said\n', "example\ttext\n").encode(),
                           TextLayout(quotes=False), [f'"{text}" he said' for text in PLAIN]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "layout", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_other_layouts_are_read_when_they_are_named(
    tmp_path: Path, name: str, data: bytes, layout: TextLayout, expected: list[str]
):
    """And without that they are refused, and the error says which key to set."""
    path = _write(tmp_path / name, data)

    assert _read(path, layout).texts["text"].to_list() == expected
    named = next(value for value in (layout.encoding, layout.separator, "quotes = false") if value)
    told = "has no column" if named == "~" else rf"answers\.x\..*{named.removeprefix('quotes')}"
    with pytest.raises(DataError, match=told):
        _read(path)


def test_damaged_utf_8_is_read_when_the_author_says_that_it_is_utf_8(tmp_path: Path):
    """Each damaged answer is counted, and the others are exact."""
    data = _by_hand("{i},{t} caf\u00e9\n").encode()
    path = _write(tmp_path / "a.csv", data.replace(b"\xc3\xa9", b"\xc3", 2))

    found = _read(path, TextLayout(encoding="utf-8"))

    assert found.repaired == 2
    assert found.texts["text"][1] == f"{PLAIN[1]} caf\ufffd"
    assert found.texts["text"][2] == f"{PLAIN[2]} caf\u00e9"


# ---------------------------------------------------------------------------- answers: refused


def _nested(path: Path) -> None:
    frame = pl.DataFrame({"example": IDS, "text": [{"parts": [t]} for t in TEXTS]})
    frame.write_parquet(path)


TWICE = b'{"example": "a", "text": "one", "text": "two"}\n'
NAMES = {"example": COLUMNS["example"]}
REFUSED: dict[str, tuple[str, Content, str]] = {
    "list": ("a.jsonl", _lines(lambda i: [TEXTS[i]]), r"line 1: .*a list of 1.*'text\.0'"),
    "object": ("a.jsonl", _lines(lambda i: {"role": "model", "content": TEXTS[i]}),
               r"line 1: .*object with the fields role, content.*answers\.x.*'text\.content'"),
    "objects in a list": ("a.jsonl", _lines(lambda i: [{"role": "m", "content": "x"}]),
                          r"'text\.0\.content'"),
    "nested parquet": ("a.parquet", _nested, r"row 0 .*'text\.parts\.0'"),
    "list in parquet": ("a.parquet", _frame(lambda i: [TEXTS[i]]), r"row 0 .*a list of 1"),
    "bytes": ("a.parquet", _frame(lambda i: TEXTS[i].encode()), "row 0 .*'text' holds bytes"),
    "date": ("a.parquet", _frame(lambda i: date(2026, 1, 1)), "holds a date"),
    "number": ("a.jsonl", _lines(lambda i: 5 if i == 2 else "x"), "line 3: .*the number 5"),
    "decimal": ("a.jsonl", _lines(lambda i: 0.5), "the number 0.5"),
    "infinity": ("a.jsonl", _lines(lambda i: float("inf")), "the number inf"),
    "truth value": ("a.jsonl", _lines(lambda i: i == 0), "the truth value true"),
    "columns of other names": ("a.json", json.dumps({"texts": COLUMNS["text"], **NAMES}).encode(),
                               r'orient="records"'),
    "key twice": ("a.jsonl", _lines(lambda i: "x") + b"\n" + TWICE, "line 9 .*'text' is .* twice"),
    "column twice": ("a.csv", _by_hand("{i},{t},b\n", "example,text,text\n").encode(),
                     "has 2 columns 'text'"),
    "unquoted commas": ("a.csv", _by_hand("{i},{t}, and more\n").encode(),
                        "line 2 has 3 cells, expected 2; 8 lines"),
    "missing cell": ("a.csv", (_by_hand("{i},{t}\n") + "mine-00009\n").encode(),
                     "line 10 has 1 cell, expected 2"),
    "missing key": ("a.jsonl", _lines(lambda i: "x") + b'\n{"example": "a"}', "line 9: .*not even"),
    "torn line": ("a.jsonl", _lines(lambda i: "x")[:-4], "line 8 is no JSON object"),
    "open quote": ("a.csv", (_by_hand("{i},{t}\n") + 'a,"b\n').encode(), "line 10: quotation"),
    "half quoted": ("a.tsv", _by_hand('{i}\t"{t}" he said\n', "example\ttext\n").encode(),
                    r"line 2: .*answers\.x\.quotes = false"),
    "spaces in the header": ("a.csv", _by_hand("{i}, {t}\n", "example, text\n").encode(),
                             "Did you mean ' text'"),
    "latin-1": ("a.csv", _by_hand("{i},{t} caf\u00e9\n").encode("latin-1"),
                r'0xE9 .*line 2.*answers\.x\.encoding = "cp1252" .*“breathe caf\u00e9”\.'),
    "UTF-16 without a mark": ("a.csv", _whole().encode("utf-16-be"), 'encoding = "utf-16-be"'),
    "half of UTF-16": ("a.csv", _whole().encode("utf-16")[:-1], "is not utf-16"),
    "no id": ("a.csv", _by_hand(" ,{t}\n").encode(), "line 2: column 'example' is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_answers_that_are_no_plain_text_are_refused(
    tmp_path: Path, name: str, content: Content, said: str
):
    """With the file, the line or row, what is there, and what to set or to write."""
    path = _write(tmp_path / name, content)

    with pytest.raises(DataError, match=said) as caught:
        _read(path)

    assert str(path) in str(caught.value)


def test_a_field_within_a_cell_can_be_named(tmp_path: Path):
    """A dotted column leads to the field of an object and to an entry of a list."""
    content = _lines(lambda i: [{"role": "m", "content": TEXTS[i] if i else None}])
    path = _write(tmp_path / "a.jsonl", content)

    assert _read(path, text="text.0.content").texts["text"].to_list() == ["", *TEXTS[1:]]
    with pytest.raises(DataError, match=r"no column 'text\.0\.contents'"):
        _read(path, text="text.0.contents")


@pytest.mark.parametrize("number", ["", "-1", "1.5", "first", "99999999999"])
def test_a_sample_that_has_no_number_is_refused(tmp_path: Path, number: str):
    """A missing number is not taken for the first."""
    path = _write(tmp_path / "a.csv", f"example,text,s\na,b,0\na,c,{number}\n".encode())

    with pytest.raises(DataError, match=r"line 3: column 's' holds '.*must number the samples"):
        _read(path, sample="s")


@pytest.mark.parametrize(
    ("name", "layout"),
    [("a.jsonl", TextLayout(separator=";")), ("a.jsonl", TextLayout(quotes=False)),
     ("a.parquet", TextLayout(encoding="utf-8"))],
)  # fmt: skip
def test_a_setting_that_would_do_nothing_is_refused(tmp_path: Path, name: str, layout: TextLayout):
    """Rather than let the author believe in it."""
    with pytest.raises(DataError, match=r"answers\.x\.\w+ does nothing to the"):
        _read(_write(tmp_path / name, b"[]"), layout)


# ---------------------------------------------------------------------------- sources


def _source(path: Path, **changed: object) -> Source:
    return Source(
        "mine", path=str(path), **{"context": ("example",), "response": "text", **changed}
    )


@pytest.mark.parametrize("kind", ["list", "object", "bytes", "date", "truth value", "key twice",
                                  "column twice", "unquoted commas", "half quoted", "latin-1",
                                  "columns of other names", "number"])  # fmt: skip
def test_sources_refuse_what_answers_refuse(tmp_path: Path, kind: str):
    """And name the source."""
    name, content, _ = REFUSED[kind]

    with pytest.raises(DataError, match=r"mine|orient|column|twice"):
        reading.read(_source(_write(tmp_path / name, content)))


def test_words_for_a_missing_value_are_missing_in_sources(tmp_path: Path):
    """Programs write them; each is counted, and the list is a setting."""
    rows = [["Why?", "None"], ["How?", " NaN"], ["n/a", "Rest."], ["Who?", "Null."], ["What?", "-"]]
    path = _write(tmp_path / "d.csv", _csv(rows).encode())

    usual = prepare(DataSpec((_source(path),)), EvaluateSpec(split="all"))
    own = reading.read(_source(path, missing=("-",)))

    assert usual.examples["response"].to_list() == ["Null."]
    (counts,) = usual.audit["sources"]
    assert counts["dropped"] == {"empty context": 1, "empty response": 3}
    assert counts["repaired"][reading.MISSING_WORD] == 3
    assert [row.response for row in own.rows] == ["None", " NaN", "Rest.", "Null.", None]


def test_nan_in_json_is_missing(tmp_path: Path):
    """Questions and answers that pandas did not have are no questions and answers."""
    rows = [{"example": float("nan"), "text": "Rest."}, {"example": "Why?", "text": float("nan")},
            {"example": "How?", "text": "So."}]  # fmt: skip
    path = _write(tmp_path / "d.json", json.dumps(rows).encode())

    raw = reading.read(_source(path))

    assert [(row.context, row.response) for row in raw.rows] == [
        (None, "Rest."), ("Why?", None), ("How?", "So."),
    ]  # fmt: skip


def test_labels_may_be_numbers_and_truth_values(tmp_path: Path):
    """Who answered and what divides the tables are names; they are written as JSON writes them."""
    frame = pl.DataFrame({"q": ["Why?", "How?"], "a": ["So.", "Thus."], "by": [7, 8],
                          "score": [0.5, float("nan")], "crisis": [True, None]})  # fmt: skip
    frame.write_parquet(tmp_path / "d.parquet")
    source = Source("mine", path=str(tmp_path / "d.parquet"), context=("q",), response="a",
                    author="by", keep=("score", "crisis"))  # fmt: skip

    rows = reading.read(source).rows

    assert [(row.author, row.kept) for row in rows] == [("7", ("0.5", "true")), ("8", (None, None))]


@pytest.mark.parametrize("value", [[1], {"a": "b"}, float("inf")], ids=["list", "object", "inf"])
@pytest.mark.parametrize("key", ["author", "keep"])
def test_labels_that_are_no_name_are_refused(tmp_path: Path, key: str, value: object):
    """A list in a carried column would stand in a table."""
    path = _write(tmp_path / "d.jsonl", json.dumps({"q": "Why?", "a": "So.", "by": value}).encode())
    given = {"context": ("q",), "response": "a", key: "by" if key == "author" else ("by",)}

    with pytest.raises(DataError, match=r"column 'by' holds (a list|an object|the number)"):
        reading.read(_source(path, **given))


def test_one_column_for_question_and_answer_is_refused():
    """An echo would be a perfect answer."""
    with pytest.raises(ConfigError, match="takes 'text' for the question and for the answer"):
        _source(Path("d.csv"), context=("example", "text")).check()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[f"Question {i}?", f"Question {i}?" if i else "So it is."] for i in range(5)],
         "in 4 of 5 rows the answer is the question once more"),
        ([[f"Question {i}?", f"Topic{i}" if i else "So it is."] for i in range(5)],
         "in 4 of 5 rows the answer is a single word"),
        ([[f"Почему мне грустно {i}?", f"Because of loss {i}." if i else "Потеря, Ann, 1."]
          for i in range(5)],
         "in 4 of 5 rows the answer is in another script than the question"),
    ],
    ids=["echo", "word", "script"],
)  # fmt: skip
def test_columns_that_are_probably_wrong_are_a_warning(tmp_path: Path, rows: list, said: str):
    """In the audit, which the terminal and the page show, and in the notes of the tables."""
    path = _write(tmp_path / "d.csv", _csv(rows).encode())

    audit = prepare(DataSpec((_source(path),)), EvaluateSpec(split="all")).audit

    assert audit["warnings"] == [f"mine: {said}; check the columns of data.sources.mine."]
    assert audit_text(audit).startswith(f"WARNINGS\n  mine: {said}")


def test_answers_in_a_script_without_spaces_are_no_single_words(tmp_path: Path):
    """Nothing is said of Chinese or Thai answers."""
    rows = [[f"Question {i}?", f"\u6211\u7406\u89e3\u4f60{i}"] for i in range(5)]
    path = _write(tmp_path / "d.csv", _csv(rows).encode())

    assert prepare(DataSpec((_source(path),)), EvaluateSpec(split="all")).audit["warnings"] == []


def test_settings_of_a_file_are_none_of_the_hub():
    """And an encoding must be one that Python knows."""
    hub = Source("mine", hub="a/b", context=("q",), response="a", layout=TextLayout(separator=";"))

    with pytest.raises(ConfigError, match="are of a file"):
        hub.check()
    for encoding in ("utf-9", "rot13", "hex"):
        with pytest.raises(ConfigError, match=r"data\.sources\.mine\.encoding is '"):
            _source(Path("d.csv"), layout=TextLayout(encoding=encoding)).check()


CONFIG = """
name = "kinds"
[data.sources.mine]
path = "data.csv"
context = "q"
response = "a"
encoding = "cp1252"
separator = ";"
missing = ["-"]
broken_rows = "drop"
[evaluate]
split = "all"
[answers.x]
path = "answers.csv"
encoding = "utf-8"
quotes = false
[metrics.length]
"""


def test_a_configuration_says_how_its_files_are_written(tmp_path: Path):
    """The keys of a source and of answers reach the files, and repairs stand in the note.

    The configuration itself has a byte order mark, as editors on Windows write it.
    """
    rows = [
        ["q", "a"],
        *([f"Question {i}?", "-" if i == 4 else f"Answer {i}, caf\u00e9."] for i in range(24)),
    ]
    data = "\n".join(";".join(row) for row in rows) + "\nbroken\n"
    (tmp_path / "data.csv").write_bytes(data.encode("cp1252"))
    texts = b"".join(b'mine-%05d,"I" hear\xff\n' % i for i in range(24) if i != 4)
    (tmp_path / "answers.csv").write_bytes(b"example,text\n" + texts)
    path = write_config(tmp_path, "\ufeff" + CONFIG)

    done = launch("sweep", "--config", str(path), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(next(tmp_path.glob("runs/kinds/generations/*/*.parquet")))
    assert frame["text"].unique().to_list() == ['"I" hear\ufffd']
    notes = (tmp_path / "runs/kinds/report/table1.tex").read_text()
    assert "in 23 of the imported answers" in notes
    (tmp_path / "answers.csv").write_bytes(b"example,text\nmine-00000,I hear, and see\n")
    refused = launch("sweep", "--config", str(path), "--name", "other", cwd=tmp_path)
    assert refused.returncode == 2
    assert "line 2 has 3 cells, expected 2" in refused.stderr
    assert "Traceback" not in refused.stderr
