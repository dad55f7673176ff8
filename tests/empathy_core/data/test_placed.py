"""Sides of the split that are given, and groups that must not be torn."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import networkx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, Source
from empathy_core.data.placed import in_groups
from empathy_core.errors import ConfigError, DataError
from empathy_core.imported_answers import human
from empathy_core.store import EXAMPLES

ALL = EvaluateSpec(split="all")


def source(path: Path, rows: list[dict[str, Any]], **more: Any) -> Source:
    """Write rows, and return the source of them."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return Source("s", path=str(path), context=("q",), response="a", **more)


def rows(n: int, **columns: Any) -> list[dict[str, Any]]:
    """Return n rows of n questions; a column is a function of the row's number."""
    return [
        {"q": f"Question {i}?", "a": f"Answer {i}."} | {k: of(i) for k, of in columns.items()}
        for i in range(n)
    ]


# ---------------------------------------------------------------------------- groups


def test_rows_of_a_patient_are_on_one_side_and_one_cluster(tmp_path: Path):
    """Whatever their questions are; shares of the split are kept to a row."""
    made = rows(120, patient=lambda i: f"P{i // 3}")
    spec = DataSpec((source(tmp_path / "d.csv", made, group="patient"),))
    found = data.prepare(spec, ALL).examples

    by_patient = found.group_by("group").agg(pl.col("split", "question").n_unique())
    assert by_patient.height == 40
    assert by_patient["split"].max() == by_patient["question"].max() == 1
    assert found["question"].n_unique() == 40
    assert dict(found["split"].value_counts().iter_rows()) == {
        "train": 90, "validation": 15, "test": 15,
    }  # fmt: skip
    assert dict(found.schema) == {**EXAMPLES, "group": pl.String}


@given(st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(0, 4)), max_size=25))
def test_clusters_are_the_connected_parts_of_questions_and_groups(
    pairs: list[tuple[int, int | None]],
):
    """As networkx finds them: a question of two patients binds both."""
    names = [(f"q{question}", None if group is None else f"g{group}") for question, group in pairs]
    frame = pl.DataFrame(names, schema={"question": pl.String, "group": pl.String}, orient="row")
    graph = networkx.Graph()
    for question, group in names:
        graph.add_edge(question, group or question)
    expected = {q: i for i, part in enumerate(networkx.connected_components(graph)) for q in part}

    seen = defaultdict(set)
    for (question, _), key in zip(names, in_groups(frame)["question"], strict=True):
        seen[key].add(expected[question])
    assert all(len(parts) == 1 for parts in seen.values())
    assert len(seen) == len({expected[question] for question, _ in names})


def test_another_therapist_answers_the_same_question_not_the_same_patient(tmp_path: Path):
    """Answers to other questions of a patient are no second answers."""
    made = [
        {"q": "Why?", "a": "One.", "p": 1},
        {"q": "Why?", "a": "Two.", "p": 1},
        {"q": "How?", "a": "Three.", "p": 1},
    ]
    found = data.prepare(DataSpec((source(tmp_path / "d.csv", made, group="p"),)), ALL).examples

    assert found["question"].n_unique() == 1
    assert sorted(human.answers(found)["text"]) == ["One.", "Two."]


def test_groups_are_not_split_row_by_row(tmp_path: Path):
    """The paper's protocol would tear them."""
    spec = DataSpec(
        (source(tmp_path / "d.csv", rows(3, p=lambda i: i), group="p"),), protocol="row"
    )

    with pytest.raises(ConfigError, match=r"would tear the groups .*: expected \"question\"; set"):
        data.prepare(spec, ALL)


# ---------------------------------------------------------------------------- given sides

FOLDS = {0: "Train", 1: "dev", 2: "test", 3: "training"}


def test_a_column_of_sides_is_taken_as_it_is(tmp_path: Path):
    """In the words that data sets use; nothing is drawn."""
    made = rows(40, fold=lambda i: FOLDS[i % 4])
    spec = DataSpec((source(tmp_path / "d.csv", made, split="fold"),), fractions=(0.1, 0.1, 0.8))
    found = data.prepare(spec, ALL).examples

    expected = ["train", "validation", "test", "train"] * 10
    assert found.sort("row")["split"].to_list() == expected
    assert dict(found.schema) == EXAMPLES


def test_other_words_are_named(tmp_path: Path):
    """Fold 0 is the test split, say; a word that is not named is told with its row."""
    made = rows(4, fold=lambda i: i % 4)
    sides = (("0", "test"), ("1", "validation"), ("2", "train"), ("3", "train"))
    named = source(tmp_path / "d.csv", made, split="fold", sides=sides)
    found = data.prepare(DataSpec((named,)), ALL).examples

    assert found.sort("row")["split"].to_list() == ["test", "validation", "train", "train"]
    with pytest.raises(
        DataError, match=r"line 2: column 'fold' holds '0', expected one of train.*sides = \{ \"0\""
    ):
        data.prepare(DataSpec((source(tmp_path / "d.csv", made, split="fold"),)), ALL)


def test_a_column_that_tears_a_question_is_refused_or_taken_by_name(tmp_path: Path):
    """CounselChat's own split does; with the paper's protocol the audit counts it."""
    made = rows(10, fold=lambda i: FOLDS[i % 3])
    made.append({"q": "question 0", "a": "Another.", "fold": "test"})
    torn = source(tmp_path / "d.csv", made, split="fold")

    with pytest.raises(
        DataError, match=r"put 1 question .* s-00000 \(train\) and s-00010 \(test\): expected"
    ):
        data.prepare(DataSpec((torn,)), ALL)
    found = data.prepare(DataSpec((torn,), protocol="row"), ALL)
    assert found.examples.sort("row")["split"].to_list()[-1] == "test"
    assert found.audit["leaks"]["questions"] == 1


def test_sources_without_the_column_are_drawn(tmp_path: Path):
    """A question that both hold follows the side that is given."""
    given_rows = rows(8, fold=lambda i: "test")
    free = [{"q": f"Question {i}?", "a": f"Other {i}."} for i in range(4)] + [
        {"q": f"Free {i}?", "a": f"Third {i}."} for i in range(40)
    ]
    one = source(tmp_path / "a.csv", given_rows, split="fold")
    other = Source("t", path=source(tmp_path / "b.csv", free).path, context=("q",), response="a")
    found = data.prepare(DataSpec((one, other), fractions=(0.5, 0.25, 0.25)), ALL).examples

    by_source = found.group_by("source", "split").len()
    assert by_source.filter(pl.col("source") == "s").rows() == [("s", "test", 8)]
    asked_twice = found.filter(pl.col("response").str.starts_with("Other"))
    assert set(asked_twice["split"]) == {"test"}
    drawn = found.filter(pl.col("response").str.starts_with("Third"))["split"].value_counts()
    assert dict(drawn.iter_rows()) == {"train": 20, "validation": 10, "test": 10}


def test_a_list_of_test_rows_is_the_test_split(tmp_path: Path):
    """Their questions' other rows with them; the rest has the two other sides alone."""
    made = rows(30)
    made.append({"q": "question 3", "a": "Another."})
    path, listed = tmp_path / "d.csv", tmp_path / "test.txt"
    listed.write_text("s-00003\n\n s-00007 \n")
    spec = DataSpec((source(path, made),), fractions=(0.6, 0.2, 0.2), test_ids=str(listed))
    found = data.prepare(spec, ALL)

    sides = defaultdict(list)
    for name, side in found.examples.select("id", "split").iter_rows():
        sides[side].append(name)
    assert sorted(sides["test"]) == ["s-00003", "s-00007", "s-00030"]
    assert len(sides["train"]) == 21  # three quarters of 28
    assert len(sides["validation"]) == 7
    then = json.dumps(found.identity)
    listed.write_text("s-00007\ns-00003\n")
    assert json.dumps(data.identity(spec, ALL)) == then
    listed.write_text("s-00007\n")
    assert data.changes(found.identity, data.identity(spec, ALL))[0].startswith("test_ids: ")


def test_test_rows_that_are_not_there_are_refused(tmp_path: Path):
    """As is an empty list."""
    listed = tmp_path / "test.txt"
    listed.write_text("s-00099\n")
    spec = DataSpec((source(tmp_path / "d.csv", rows(4)),), test_ids=str(listed))

    with pytest.raises(DataError, match=r"names 1 examples that are not there \(e.g. s-00099\)"):
        data.prepare(spec, ALL)
    listed.write_text("\n")
    with pytest.raises(DataError, match=r"holds no id: expected one a line; write them"):
        data.prepare(spec, ALL)


def test_runs_without_any_of_it_have_the_identity_of_before(tmp_path: Path):
    """No key is new."""
    found = data.identity(DataSpec((source(tmp_path / "d.csv", rows(3)),)), ALL)

    assert not {"group", "split", "sides"} & set(found["sources"]["s"])
    assert "test_ids" not in found
