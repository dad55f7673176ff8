"""Rows of texts alone, many at once: to the row what they are one by one."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, PreparedRows, Source, plain, streamed
from empathy_core.data import text_columns as columns
from empathy_core.data.text_columns import TextColumns
from empathy_core.data.word_counts import word_counts
from empathy_core.errors import DataError

ODD = (
    "plain words", "Really?I mean it", "n/a", " NaN ", "", "  ", "<p>one</p><br>two", "&amp;",
    "caf\u00c3\u00a9", "\u00e2\u0080\u0099s", "1.5 mg", "2 - 3", "-5", "\u2013 7", "24/7", "1. 5",
    "</s>", "\u200b", "\u00a0", "\u2019", "\U0001f642", "日本語", "a\x00b", "a\x07b", "a\rb", "\t",
    "Best, Tom", "my name is Tom", "call +1 202 555 0143", "tom@example.org", "\ufb01", "\u00df",
    '"', "\\", "\n", "\n\n\n", ".", "A",
)  # fmt: skip
TEXTS = st.one_of(st.none(), st.lists(st.sampled_from(ODD), max_size=4).map(" ".join))
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def in_parts() -> Iterator[list[Any]]:
    """Let every file be large, and note the parts that are read."""
    found: list[Any] = []
    whole = streamed.parts

    def noted(*arguments: Any) -> Iterator[Any]:
        for part in whole(*arguments):
            found.append(part)
            yield part

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streamed, "LARGE", 0)
        patched.setattr(streamed, "RECORDS", 7)
        patched.setattr(streamed, "parts", noted)
        yield found


def written(folder: Path, name: str, rows: list[tuple[str | None, ...]]) -> Path:
    """Write rows, with one that is whole in every part."""
    whole = ("Why so?", "Because.", "Ann", "g", "t")
    there = [row for i, one in enumerate(rows) for row in ([whole, one] if i % 3 == 0 else [one])]
    frame = pl.DataFrame(there, schema=["q", "a", "by", "of", "topic"], orient="row")
    frame = frame.cast(pl.String)
    path = folder / name
    if name.endswith("csv"):
        frame.write_csv(path)
    elif name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
    return path


def prepared(path: Path, **more: Any) -> PreparedRows | str:
    """Return the rows, or why they are refused."""
    of = {"context": ("q",), "response": "a", "author": "by", "group": "of", "keep": ("topic",)}
    source = Source("s", path=str(path), **(of | more))
    try:
        return data.prepare(DataSpec((source,)), EvaluateSpec(split="all"))
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.parquet"])
@pytest.mark.parametrize(
    "more", [{}, {"context": ("topic", "q"), "keep": ()}, {"redact": ("name",)}]
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_they_are_what_they_are_one_by_one(
    name: str, more: dict[str, Any], rows: Any, tmp_path: Path, in_parts: list[Any]
):
    """Rows, splits, digests, labels and every count of the audit, of odd texts in three formats."""
    path = written(tmp_path, name, rows)
    found = prepared(path, **more)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain, "may_be", lambda source: False)
        expected = prepared(path, **more)

    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return
    assert found.examples.equals(expected.examples)
    assert found.carried.frame.equals(expected.carried.frame)
    assert (found.audit, found.identity) == (expected.audit, expected.identity)


def test_texts_come_as_columns(tmp_path: Path, in_parts: list[Any]):
    """Else the test above would compare nothing; other cells come as records."""
    rows = [(f"Why {i}?", f"So {i}.", "Ann", "g", "t") for i in range(20)]
    del in_parts[:]
    prepared(written(tmp_path, "d.jsonl", rows))
    assert {type(part) for part in in_parts} == {TextColumns}

    path = tmp_path / "d.jsonl"
    path.write_text(path.read_text().replace('"topic": "t"', '"topic": 7', 1))
    del in_parts[:]
    prepared(path)
    assert len({type(part) for part in in_parts}) == 2


@pytest.mark.parametrize(
    "line",
    [
        '{"q": 1, "a": "y"}',
        '{"q": true, "a": "y"}',
        '{"q": ["x"], "a": "y"}',
        '{"q": "x", "q": "y", "a": "z"}',
        '{"q": "x", "a": "y", "b": 1, "b": 2}',
        '{"q": "x", "a": "y", "b": {"c": 1, "c": 2}}',
        '{"q": "x", "a": "y", "b": Inf}',
        '{"q": "\\ud800", "a": "y"}',
        '{"q": "x\x01", "a": "y"}',
        '{"q": "x", "a": "y"} {"q": "x", "a": "y"}',
        '{"q": "x", "a": "y"',
        '"a": "y"}',
        "[1]",
        '{"q": "x", "a": "y", "b": ' + "[" * 2_000 + "]" * 2_000 + "}",
        "\ufeff{}",
        "7",
    ],
)
def test_what_may_read_otherwise_is_read_record_by_record(line: str):
    """Other cells, names that are there twice, and all that is refused, or read, only by json."""
    lines = ['{"q": "x", "a": "y"}\n', line + "\n", ' {"q": "x", "a": "y"}\n'.lstrip()]
    assert columns.of_json_lines(lines[::2], ["q", "a"], 0)

    assert columns.of_json_lines(lines, ["q", "a"], 0) is None


def test_an_object_over_two_lines_beside_a_line_of_two_is_no_pair_of_objects():
    """The numbers of lines and of objects are the same."""
    lines = ['{"q": "x",\n', '"a": "y"} {"q": "x", "a": "z"}\n']

    assert columns.of_json_lines(lines, ["q", "a"], 0) is None


def test_a_column_without_a_text_is_not_taken_for_one_that_is_there():
    """Whether null or absent, so that a name that no line has is still refused."""
    assert columns.of_json_lines(['{"q": "x", "a": null}\n', '{"q": "x"}\n'], ["q", "a"], 0) is None


def test_words_are_counted_as_the_pattern_counts_them():
    """Between all white space that Unicode knows; controls and joiners are none."""
    rng = random.Random(0)
    spaces = " \n\t\r\x0b\x0c\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
    signs = [*spaces, *"\x00\x1c\x1f\x7f\u200b\u2019\u2014\u00e9\u2060\u180e日abc-", " ", "words"]
    texts = ["".join(rng.choices(signs, k=rng.randrange(12))) for _ in range(12_000)]
    series = pl.Series(texts)

    assert word_counts(series).to_list() == series.str.count_matches(r"\S+").to_list()
    assert word_counts(series[:0]).to_list() == []
    assert word_counts(series[7_000:7_003]).to_list() == word_counts(series)[7_000:7_003].to_list()
