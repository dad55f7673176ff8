"""What numbers are called, and two runs beside each other."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.types import Condition, Decoding
from reports.build import build
from reports.keys import column_keys, condition_keys, difference_key, score_key
from reports.numbers.results import Result, frame
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.tables.run_diff import ComparedRun, RunDiff, changes_table, compare_runs
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, Toy, condition, make, plain_answer, spec

KEY = "toy-00000000"


# ---------------------------------------------------------------------------- keys


def test_a_condition_is_its_model_and_prompt():
    """Decoding stands in the key only where it tells two apart, and the digest only then too."""
    hot = replace(LLAMA, decoding=Decoding(name="hot", sample=True, max_new_tokens=9))
    chat = replace(hot, chat="template")

    keys = condition_keys([LLAMA, LLAMA2, hot, chat])

    assert keys[LLAMA2.id] == "llama.prompt2"
    assert keys[LLAMA.id] == f"llama.prompt1.{LLAMA.decoding.name}"
    assert keys[hot.id].startswith("llama.prompt1.hot.")
    assert len(set(keys.values())) == 4


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_keys_are_plain_whatever_the_names(names: list[str]):
    """They stand in LaTeX commands and on command lines."""
    keys = condition_keys(condition(name, name) for name in names)

    assert all(re.fullmatch(r"[A-Za-z0-9_.=+-]+", key) for key in keys.values())
    assert len(set(keys.values())) == len(keys)


def test_columns_of_equal_name_bear_their_metric():
    """Two metrics may give a column the same name."""
    keys = column_keys({"a-1": Toy(), "b-2": Toy(), "c-3": Toy("other")})

    assert keys["a-1", "toy_words"] == "a-1.toy_words"
    assert keys["c-3", "other_words"] == "other_words"


def test_subsets_and_differences_have_keys():
    """What stands in a subset's key is plain too."""
    assert score_key("a.none", "bleu", "length=up to 9 words") == "a.none.bleu@length=up-to-9-words"
    assert difference_key("b.none", "a.none", "bleu") == "b.none-vs-a.none.bleu"


# ---------------------------------------------------------------------------- results


def results(root: Path, about: ReportSpec) -> dict[str, Result]:
    """Return key → result of a small run."""
    found = build(collect(make(root, about), about), about).results
    assert len({r.key for r in found}) == len(found)
    return {r.key: r for r in found}


def test_a_number_is_what_the_table_prints(tmp_path: Path):
    """Digits, interval and p are the tables' own strings."""
    about = spec(LLAMA, FLAN)
    found = results(tmp_path / "run", about)

    score = found["llama.prompt1.toy_overlap"]
    report = build(collect(make(tmp_path / "two", about), about), about)
    cells = {c.key: c for g in report.sections[0].tables[0].groups for r in g.rows for c in r.cells}
    assert cells[score.key].text == score.text
    assert cells[score.key].interval == f"[{score.low_text}, {score.high_text}]"
    assert (score.p, score.p_text) == (None, "")


def test_a_difference_is_there_in_both_directions(tmp_path: Path):
    """Turned round, value and bounds change their signs; p does not."""
    found = results(tmp_path / "run", spec(LLAMA, FLAN))

    one = found["flan_t5.prompt1-vs-llama.prompt1.toy_overlap"]
    other = found["llama.prompt1-vs-flan_t5.prompt1.toy_overlap"]

    assert one.value == pytest.approx(-other.value)  # type: ignore[operator]
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))  # type: ignore[operator]
    assert one.p_text == other.p_text
    assert {one.text[0], other.text[0]} == {"+", "\N{MINUS SIGN}"}
    assert frame(list(found.values())).height == len(found)


# ---------------------------------------------------------------------------- two runs


def side(root: Path, name: str, *conditions: Condition, **changes: object) -> ComparedRun:
    """Return a run of *conditions*; *changes* are those of ``make``."""
    about = spec(*conditions, provenance={"commit": name})
    run = make(root / name, about, **changes)  # type: ignore[arg-type]
    return ComparedRun(name, about, collect(run, about), {"data": {"seed": 0}, "name": name})


def compared(root: Path, first: ComparedRun, second: ComparedRun) -> RunDiff:
    """Compare, and see that the table can be made."""
    found = compare_runs(first, second)
    assert len(changes_table(first, second, found).groups) == len({*found.changes["condition"]})
    return found


def shorter(made_by: Condition, row: int, sample: int) -> str:
    """Return an answer that has one word less than ``plain_answer``'s."""
    return plain_answer(made_by, row, sample).rsplit(" ", 1)[0]


def test_equal_runs_do_not_differ(tmp_path: Path):
    """Every difference is zero with p = 1; what tells them apart is named."""
    found = compared(tmp_path, side(tmp_path, "a", LLAMA, FLAN), side(tmp_path, "b", LLAMA, LLAMA2))

    assert found.settings == {"name": ("a", "b")}
    assert found.provenance == {"commit": ("a", "b")}
    assert (found.only_first, found.only_second) == (("flan_t5.prompt1",), ("llama.prompt2",))
    assert set(found.changes["condition"]) == {"llama.prompt1"}
    assert found.changes["difference"].to_list() == [0, 0]
    assert found.changes["p"].to_list() == [1, 1]


def test_what_changed_is_paired_on_the_rows_of_both(tmp_path: Path):
    """The second run has more rows; only those of both count, and the others are told."""
    one = side(tmp_path, "a", LLAMA, n=40)
    two = side(tmp_path, "b", LLAMA, n=50, answer=shorter)

    rows = {row["column"]: row for row in compared(tmp_path, one, two).changes.to_dicts()}

    words = rows["toy_words"]
    assert words["difference"] == pytest.approx(-1)
    assert (words["n"], words["n_left_out"], words["n_questions"]) == (40, 10, 20)
    assert words["p_holm"] < 0.001


def test_another_metric_of_the_same_name_is_not_compared(tmp_path: Path):
    """The reason stands where the numbers would."""
    one = side(tmp_path, "a", LLAMA)
    about = spec(LLAMA, metrics={"toy-11111111": Toy()})
    two = replace(one, name="b", spec=about, collected=collect(make(tmp_path / "b", about), about))

    found = compared(tmp_path, one, two)

    assert set(found.changes["why_not"]) == {"the metric's signature differs"}
    assert found.changes["difference"].null_count() == 2
