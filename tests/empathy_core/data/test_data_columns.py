"""Columns that are carried along: kept beside the rows, and no part of them."""

import csv
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, Source, TextLayout
from empathy_core.errors import ConfigError, Damaged, DataError
from empathy_core.store import RunDir
from tests.runs.command_line import launch, write_config

ALL = EvaluateSpec(split="all")
TOPICS = ("anxiety", "family & friends", "", "sleep\xff")
CONFIG = """
name = "r"
[data.sources.own]
path = "own.csv"
context = "q"
response = "a"
encoding = "utf-8"
[evaluate]
split = "all"
[decoding.greedy]
max_new_tokens = 8
[models.echo]
prompts = ["none", "prompt1"]
[metrics.rouge]
"""


def rows(n: int = 48) -> list[dict[str, str]]:
    return [
        {"q": f"Question {i}?", "a": f"Answer {i}.", "topic": TOPICS[i % 4], "votes": str(i)}
        for i in range(n)
    ]


@pytest.fixture
def own(tmp_path: Path) -> Source:
    path = tmp_path / "own.csv"
    with path.open("w", encoding="latin-1", newline="") as file:
        table = csv.DictWriter(file, ["q", "a", "topic", "votes"])
        table.writeheader()
        table.writerows(rows())
    return Source(
        "own", path=str(path), context=("q",), response="a", keep=("topic",),
        layout=TextLayout(encoding="utf-8"),
    )  # fmt: skip


def test_every_row_carries_what_its_source_keeps(own: Source):
    """Cleaned as texts are; an empty cell is null, and so is what another source does not have."""
    carried = data.prepare(DataSpec((own, data.source("sample"))), ALL).carried.frame

    topics = dict(carried.iter_rows())
    assert [topics[f"own-{i:05d}"] for i in range(4)] == [*TOPICS[:2], None, "sleep\ufffd"]
    assert set(topics.values()) == {*TOPICS[:2], None, "sleep\ufffd"}


def test_a_row_that_is_dropped_carries_nothing(own: Source, tmp_path: Path):
    """Only rows of the run are there."""
    path = tmp_path / "own.csv"
    path.write_bytes(path.read_bytes() + b"Question 0?,Answer 0.,other,1\r\n,Answer.,other,1\r\n")
    prepared = data.prepare(DataSpec((own,)), ALL)

    assert "other" not in prepared.carried.frame["topic"].to_list()
    assert sorted(prepared.carried.frame["id"]) == sorted(prepared.examples["id"])


def test_no_row_depends_on_it(own: Source, tmp_path: Path):
    """Identity, rows and their bytes are those of a run without."""
    without = data.prepare(DataSpec((replace(own, keep=()),)), ALL)
    kept = data.prepare(DataSpec((own,)), ALL)
    plain, carrying = RunDir(tmp_path / "plain"), RunDir(tmp_path / "carrying")
    data.freeze(without, plain)
    data.freeze(kept, carrying)

    assert kept.identity == without.identity
    assert carrying.examples.read_bytes() == plain.examples.read_bytes()
    assert not plain.columns.exists()
    assert data.columns.load(carrying).frame.equals(kept.carried.frame)
    assert data.columns.load(plain).frame.is_empty()


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_changed_file_is_refused(own: Source, tmp_path: Path, harm: str):
    """The error says what to do."""
    run = RunDir(tmp_path / "run")
    data.freeze(data.prepare(DataSpec((own,)), ALL), run)
    if harm == "remove":
        run.columns.unlink()
    else:
        run.columns.write_bytes(run.columns.read_bytes()[:-1] + b"!")

    with pytest.raises(Damaged, match=r"columns\.parquet .*run sweep again"):
        data.columns.load(run)


@pytest.mark.parametrize("name", ["q", "a", "split", "length", "id"])
def test_texts_and_own_names_are_not_carried(own: Source, name: str):
    """A text would stand in tables, and a name of ours would hide ours."""
    with pytest.raises(ConfigError, match=f"keep names '{name}'"):
        data.prepare(DataSpec((replace(own, keep=(name,)),)), ALL)


def test_a_column_that_is_not_there_is_named_with_the_nearest(own: Source):
    """Before anything else is done."""
    with pytest.raises(DataError, match=r"no column 'topics'\. Did you mean 'topic'"):
        data.prepare(DataSpec((replace(own, keep=("topics",)),)), ALL)


def test_tables_by_a_column_that_was_chosen_after_the_answers(own: Source, tmp_path: Path):
    """Nothing is answered again; a column that nobody carries is refused at once."""
    config = str(write_config(tmp_path, CONFIG))
    first = launch("sweep", "--config", config, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    run = RunDir(tmp_path / "runs/r")
    answers = {path: path.stat().st_mtime_ns for path in run.root.glob("generations/*/*.parquet")}
    by_topic = ("sweep", "--config", config, "--set", 'report.subgroups=["topic"]')

    refused = launch(*by_topic, cwd=tmp_path)
    assert refused.returncode == 2
    assert 'data.sources.<name>.keep = ["topic"]' in refused.stderr
    done = launch(*by_topic, "--set", 'data.sources.own.keep=["topic"]', cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert answers == {path: path.stat().st_mtime_ns for path in answers}
    summary = pl.read_csv(run.report / "summary.csv")
    sizes = summary.group_by("subset").agg(pl.col("n_expected").max())
    assert {name: n for name, n in sizes.iter_rows() if name.startswith("topic=")} == {
        "topic=anxiety": 12, "topic=family & friends": 12, "topic=sleep\ufffd": 12,
    }  # fmt: skip
    run.columns.write_bytes(b"cut short")
    torn = launch(*by_topic, "--set", 'data.sources.own.keep=["topic"]', cwd=tmp_path)
    assert torn.returncode == 0, torn.stderr
    assert set(data.columns.load(run).frame["topic"]) == {*TOPICS[:2], None, "sleep\ufffd"}
    again = launch("sweep", "--config", config, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert not run.columns.exists()
