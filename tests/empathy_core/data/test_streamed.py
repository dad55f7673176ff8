"""Large files in parts: the same rows, counts and faults as of the whole file at once."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, PreparedRows, Source, TextLayout, streamed
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"q": f"What about {i % 37}, with.Seriously no way?",
     "a": f"Rest &amp; {'walk ' * (i % 9)}{i}.",
     "r": [f"Another {i}"] if i % 4 == 0 else None, "topic": f"t{i % 3}"}
    for i in range(300)
]  # fmt: skip
ROWS[7]["q"], ROWS[40]["a"], ROWS[41]["a"] = "", None, "n/a"


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every file be large, and note the sizes of the parts that are read."""
    sizes: list[int] = []
    whole = streamed.parts

    def noted(*arguments: Any) -> Iterator[Any]:
        for part in whole(*arguments):
            sizes.append(len(part.records))
            yield part

    monkeypatch.setattr(streamed, "LARGE", 0)
    monkeypatch.setattr(streamed, "RECORDS", 41)
    monkeypatch.setattr(streamed, "parts", noted)
    return sizes


def written(folder: Path, name: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    """Write rows in the format that a name tells."""
    path = folder / name
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if name.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    elif "csv" in name:
        flat = pl.DataFrame([{**row, "r": (row["r"] or [None])[0]} for row in rows])
        text = flat.write_csv().replace("\n", "\r\n")
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    else:
        path.write_bytes(gzip.compress(lines.encode()) if name.endswith("gz") else lines.encode())
    return path


def source(path: Path, **more: Any) -> Source:
    """Return a source that asks for all that a row may have."""
    given = {"references": ("r",), "keep": ("topic",), **more}
    return Source("s", path=str(path), context=("q",), response="a", **given)


def prepared(of: Source) -> PreparedRows:
    """Return the rows of a source."""
    return data.prepare(DataSpec((of,)), EvaluateSpec(limit=20))


def require_equal(one: PreparedRows, other: PreparedRows) -> None:
    """Prove that two preparations are the same."""
    assert one.examples.equals(other.examples)
    assert one.carried.frame.equals(other.carried.frame)
    assert json.dumps(one.audit) == json.dumps(other.audit)
    assert one.identity == other.identity


NAMES = ["d.jsonl", "d.jsonl.gz", "d.csv", "d.csv.gz", "d.parquet"]


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_the_whole(name: str, tmp_path: Path, in_parts: list[int]):
    """Ids, splits, digests, references, what is carried along, and every count of the audit."""
    of = source(written(tmp_path, name))
    parts = prepared(of)
    assert in_parts == [41] * 7 + [13]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streamed, "LARGE", 10**12)
        require_equal(parts, prepared(of))


def test_rows_are_what_they_always_were(tmp_path: Path, in_parts: list[int]):
    """Digests that an earlier version gave: runs that are there must find their rows again."""
    found = prepared(source(written(tmp_path, "d.jsonl")))

    columns = ("id", "raw_sha256", "question", "pair", "split", "block")
    rows = found.examples.sort("row").select(columns)
    assert hashlib.sha256(rows.write_csv().encode()).hexdigest() == GOLDEN
    assert found.audit["sources"][0]["dropped"] == {"empty context": 1, "empty response": 2}
    assert found.audit["splits"]["test"] == {"rows": 41, "questions": 5}


GOLDEN = "03e1251e68f4d13b6b5efc7f3e10d5c1878e3aa7f07694e8c6640ae8526bc6d2"
"""By the version of 29 November 2026, commit ad71cbf, which read each file whole."""


def test_lines_that_are_broken_are_counted_and_placed_alike(tmp_path: Path, in_parts: list[int]):
    """Dropped and counted in parts too; refused with the line's number and in the same words."""
    path = written(tmp_path, "d.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:200], "{broken\n", "\n", *lines[200:], "7\n"]))

    dropped = prepared(source(path, broken_rows="drop"))
    assert len(in_parts) == 8
    assert dropped.audit["sources"][0]["dropped"]["broken line"] == 2
    with pytest.raises(DataError, match=r"line 201 is no JSON object .*2 lines are like it"):
        prepared(source(path))


def test_a_cell_that_is_no_text_is_placed_by_its_line(tmp_path: Path, in_parts: list[int]):
    """Line 251 of the file, not of its part."""
    rows = [*ROWS[:250], {"q": "Why?", "a": ["x"], "r": None, "topic": "t"}, *ROWS[250:]]

    with pytest.raises(DataError, match=r"d\.jsonl, line 251: column 'a' holds a list"):
        prepared(source(written(tmp_path, "d.jsonl", rows)))


def test_what_cannot_be_read_in_parts_is_read_whole(tmp_path: Path, in_parts: list[int]):
    """An array of JSON, one of columns, and other encodings; a cut file is told as ever."""
    array = tmp_path / "d.json"
    array.write_text(json.dumps(ROWS, indent=1))
    assert prepared(source(array)).examples.height == 297
    wide = tmp_path / "w.jsonl"
    wide.write_bytes(written(tmp_path, "d.jsonl").read_text().encode("utf-16"))
    assert prepared(source(wide)).examples.height == 297
    assert prepared(source(wide, layout=TextLayout("utf-16"))).examples.height == 297
    packed = written(tmp_path, "d.jsonl.gz")
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(DataError, match="ended before"):
        prepared(source(packed))


def test_conversations_of_a_large_file_keep_their_numbers(tmp_path: Path, in_parts: list[int]):
    """One example for each answer; a row's number is that of the whole file."""
    path = tmp_path / "d.jsonl"
    turns = [
        {"role": r, "content": f"{r} says {i}"} for i, r in enumerate(["user", "assistant"] * 2)
    ]
    path.write_text("".join(json.dumps({"d": turns, "n": i}) + "\n" for i in range(100)))
    of = Source("s", path=str(path), context=("d",), turn_layout=TurnLayout(turns="each"))

    found = data.prepare(DataSpec((of,), duplicates="keep"), EvaluateSpec(split="all"))

    assert found.audit["sources"][0]["conversations"] == 100
    assert found.examples["id"].sort()[-1] == "s-00099-t003"
    assert found.examples["conversation"].n_unique() == 100
