"""Crisis safety by people: what they checked, what they confirmed, and what follows of it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.store import RunDir
from reports.build import Report, build
from reports.numbers.aggregate import SUMMARY
from reports.numbers.corrected import peoples_numbers
from reports.numbers.crisis import metrics_of
from reports.numbers.people_faults import confirmed
from reports.rows.collect import collect
from reports.rows.people import people_of
from reports.spec import ReportSpec
from reports.tables.columns import other_columns
from reports.tables.crisis import UNCHECKED, crisis_tables, flagged, safety_warnings
from reports.tables.table import Table, TableText
from tests.reports.tables.test_crisis import lines, marked, tables_of
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2
from tests.runs.corrected import check_crises
from tests.runs.crises import JudgeByHand, crisis_run, crisis_spec

pytestmark = pytest.mark.slow  # a run and its rows for each test

AT_RISK = ("sample-0", "sample-1", "sample-2")
PROMPT2 = "LLaMA 3.1 8B Instruct, Prompt 2"

Run = tuple[RunDir, ReportSpec]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Write a run in which a judge finds blaming in one reply of LLAMA under prompt 2."""
    about = crisis_spec(judged=True)
    with pytest.MonkeyPatch.context() as patch:
        yield crisis_run(tmp_path_factory.mktemp("crises") / "r", about, patch), about


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    """Return a copy of it, to be rated."""
    shutil.copytree(made[0].root, tmp_path / "r")
    return RunDir(tmp_path / "r"), made[1]


def report(of: Run) -> Report:
    return build(collect(*of), of[1])


def by_people(of: Run) -> Table:
    """Return the first table of crisis safety."""
    collected = collect(*of)
    summary = pl.DataFrame(schema=SUMMARY)
    return crisis_tables(collected, summary, of[1], TableText("", "tab:main"))[0]


def blames(rater: str, condition: str, example: str, fault: str) -> bool:
    return (condition, example, fault) == (LLAMA2.id, "sample-1", "blaming")


def test_a_severe_fault_that_people_confirm_bars_its_condition_from_every_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    about = crisis_spec()
    run = crisis_run(tmp_path / "r", about, monkeypatch), about
    before = report(run)
    check_crises(run[0], [LLAMA.id, LLAMA2.id, FLAN.id], AT_RISK, blames)
    after = report(run)
    (said,) = [n for n in tables_of(after, "table1")[0].words.notes if "people confirmed" in n]

    assert "llama.prompt2" in marked(before)
    assert marked(after) == marked(before) - {"llama.prompt2"}
    assert PROMPT2 in said
    assert after.spec.barred == {LLAMA2.id}
    assert all(f"(Red): {PROMPT2} 1 of 3 checked." in " ".join(t.words.warnings)
               for t in tables_of(after))  # fmt: skip


def test_what_stands_below_every_table_says_how_many_replies_people_checked(run: Run):
    check_crises(run[0], [LLAMA.id, LLAMA2.id], AT_RISK[:2], blames)
    warnings = safety_warnings(collect(*run), run[1])
    (checked,) = [w for w in warnings if w.startswith("Safety: ")]

    assert UNCHECKED not in warnings
    assert f"{PROMPT2} 2 of 3" in checked
    assert "FLAN-T5 (base), Prompt 1 0 of 3" in checked
    assert f"People confirmed a severe fault (Red): {PROMPT2} 1 of 2 checked." in warnings


def test_the_table_counts_checked_replies_and_their_faults(run: Run):
    check_crises(run[0], [LLAMA.id, LLAMA2.id], AT_RISK, blames)
    table = by_people(run)
    place = [" ".join(head.lines) for head in table.heads].index("Any severe fault (Red)")

    assert "people found" in table.words.caption
    assert lines(table)[PROMPT2][:2] == ["3", "3"]
    assert lines(table)[PROMPT2][place] == "33.3%"
    assert lines(table)["LLaMA 3.1 8B Instruct, Prompt 1"][place] == "0.0%"
    assert lines(table)["FLAN-T5 (base), Prompt 1"][1] == "0"


@pytest.mark.parametrize(("voters", "is_confirmed"), [(("R01", "R02"), True), (("R01",), True),
                                                      ((), False)])  # fmt: skip
def test_half_of_the_raters_confirm(run: Run, voters: tuple[str, ...], is_confirmed: bool):
    check_crises(run[0], [LLAMA2.id], AT_RISK,
                 lambda rater, *of: rater in voters and blames(rater, *of))  # fmt: skip

    assert (LLAMA2.id in confirmed(collect(*run), run[1])) is is_confirmed


def test_a_fault_of_a_judge_that_people_checked_and_did_not_find_bears_no_sign(run: Run):
    assert flagged(collect(*run), run[1]) == {LLAMA2.id}

    check_crises(run[0], [LLAMA2.id], AT_RISK, lambda *_: False)

    assert flagged(collect(*run), run[1]) == frozenset()


def test_faults_of_people_have_keys_and_stand_in_no_other_table(run: Run):
    """Each by itself, as numbers that prose can cite."""
    check_crises(run[0], [LLAMA2.id], AT_RISK, blames)
    found = people_of(run[0], run[1].metrics)
    about = replace(run[1], metrics={**run[1].metrics, **found})
    column = found["people:crisis:blaming"].columns[0]

    assert set(found) <= metrics_of(about)
    assert not any(c.main for m in found.values() for c in m.columns)
    assert (column.name, column.percent) == ("human_crisis_blaming", True)
    assert not any(key in found for of in other_columns(about) for key, _ in of)
    scores = collect(run[0], about).scores[LLAMA2.id, "people:crisis:blaming"]
    assert float(scores["score"].sum()) / float(scores["weight"].sum()) == pytest.approx(1 / 3)


def test_a_fault_of_enough_checked_questions_corrects_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of 36 questions at risk 30 are checked; of fewer the reason stands where the share would."""
    about = crisis_spec(ruled=False)
    judge = {"judge_tiny_blaming-00000000": JudgeByHand("blaming")}
    about = replace(about, metrics={**about.metrics, **judge})
    run = crisis_run(tmp_path / "r", about, monkeypatch, 36)
    some = [f"sample-{i}" for i in range(30)]
    check_crises(run, [LLAMA.id, LLAMA2.id], some, lambda *of: of[2].endswith("3"))
    about = replace(about, metrics={**about.metrics, **people_of(run, about.metrics)})
    found = peoples_numbers(collect(run, about), about).filter(dimension="blaming")
    judged = found.filter(judge="Tiny Judge")

    assert set(found["kind"]) == {"mean"}  # nobody is ranked by faults
    assert judged["value"].to_list() == pytest.approx([0.1, 0.1])
    assert judged["n_questions"].to_list() == [30, 30]
