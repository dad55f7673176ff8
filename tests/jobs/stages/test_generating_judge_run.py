"""A run with a judge of each kind: one whose probabilities are read, one that writes its answer."""

import csv
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.backends.current import CURRENT
from empathy_core.backends.hf import HfBackend
from jobs.commands.views.plan_preview import as_json, text
from jobs.config import read as configuration
from jobs.executors.worker import do_task
from jobs.planning import sweep
from jobs.planning.plan import Task
from jobs.planning.stages import REPORT
from tests import preloaded
from tests.judging import (
    judged_rows,
    killed_scoring,
    run_of,
    statistics,
    sweep_here,
    tokens_by_number,
    write_judged,
)
from tests.pages import examples_of
from tests.runs.command_line import environment
from tests.runs.judged import JUDGED, N_QUESTIONS

BOTH = JUDGED.replace(
    "[local]",
    '[judges.two]\nmodel = "judge"\nrubrics = ["./care.toml"]\nanswer = "generated"\n'
    "answer_tokens = 24\nbatch_size = 4\n[local]",
)
LABELS, WRITTEN = "judge:one:care:warmth", "generated:two:care:warmth"
N_ANSWERS = 2 * N_QUESTIONS


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that both have judged, its report left out."""
    folder = tmp_path_factory.mktemp("both")
    write_judged(folder, BOTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HfBackend, "_new_tokens", tokens_by_number)
        sweep_here(folder)
    CURRENT.close()
    return folder


@pytest.fixture
def copy(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, whose judge writes what is planted."""
    monkeypatch.setattr(HfBackend, "_new_tokens", tokens_by_number)
    return copy


def test_a_judge_of_each_kind_rates_the_same_answers_in_columns_of_its_own(finished: Path):
    """Names, statistics and signatures tell them apart; the numbers are what was planted."""
    run, plan = run_of(finished)
    labels, written = judged_rows(run, plan, LABELS), judged_rows(run, plan, WRITTEN)
    by_name = {m.name: m for m in plan.metrics}

    assert labels.height == written.height == N_ANSWERS
    assert ("mass" in labels.columns, "mass" in written.columns) == (True, False)
    assert written["unreadable"].sum() == N_ANSWERS // 4 == written["score"].null_count()
    assert written["score"].mean() == 1.0
    assert by_name[WRITTEN].key.startswith("generated_two_care_warmth-")
    assert [by_name[name].group for name in (LABELS, WRITTEN)] == ["judge-one", "judge-two"]
    assert [model.name for model in plan.judges] == ["judge"]
    assert by_name[WRITTEN].judge is not None


def test_the_way_to_answer_is_part_of_what_a_rating_is(copy: Path):
    """Changed, everything of this judge is rated anew; changed back, nothing is."""
    run, _ = run_of(copy)
    before = statistics(run)
    write_judged(copy, BOTH.replace("answer_tokens = 24", "reason = true"))
    planned = sweep.plan(configuration.read(str(copy / "judged.toml"), []), run, "a test")
    assert {task.key for task in planned.tasks if task.stage == "score"} == {"judge-two"}

    write_judged(copy, BOTH)
    planned = sweep_here(copy)

    assert [task for task in planned.tasks if task.stage != "report"] == []
    assert statistics(run) == before


@pytest.mark.parametrize("n_shards", [3])
def test_any_number_of_score_shards_gives_the_same_rows(copy: Path, n_shards: int):
    """What is asked together does not depend on how the work is dealt out."""
    run, plan = run_of(copy)
    before = judged_rows(run, plan, WRITTEN)
    [key] = [m.key for m in plan.metrics if m.name == WRITTEN]
    shutil.rmtree(run.root / "scores" / key)
    cut = replace(plan, score_shards=n_shards)

    for shard in reversed(range(n_shards)):
        do_task(run, cut, Task("score", "judge-two", shard, n_shards), lambda _: None)

    assert judged_rows(run, plan, WRITTEN).equals(before)


def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(copy: Path):
    """Killed -9 with a batch under way and with conditions written; these are not asked again."""
    run, plan = run_of(copy)
    keys = [m.key for m in plan.of_group("judge-two")]
    mine = {p: p.read_bytes() for p in statistics(run) if p.parts[-3] in keys}
    for key in keys:
        shutil.rmtree(run.root / "scores" / key)
    kept: list[int] = []
    for what, n in (("answer", 1), ("answer", 7), ("write_piece", 9)):
        script = [preloaded.python(), "-c", killed_scoring("judge-two", what, n), str(run.root)]
        done = subprocess.run(script, env=environment(), capture_output=True, check=False)
        assert done.returncode == (0 if n == 9 else -signal.SIGKILL), done.stderr.decode()
        kept.append(sum(p.parts[-3] in keys for p in statistics(run)))

    assert kept == [0, 1, 4]
    assert {p: p.read_bytes() for p in statistics(run) if p.parts[-3] in keys} == mine


def test_a_dry_run_says_how_much_may_be_written(copy: Path):
    """Answers times dimensions times the limit; of the other judge nothing is written."""
    run, _ = run_of(copy)
    planned = sweep.plan(configuration.read(str(copy / "judged.toml"), []), run, "a test")

    found = {judge["name"]: judge for judge in as_json(planned)["judges"]}

    assert [found[name]["n_prompts"] for name in ("one", "two")] == [2 * N_ANSWERS] * 2
    assert [found[name]["n_output_tokens"] for name in ("one", "two")] == [0, 2 * N_ANSWERS * 24]
    assert '{"answer": "..."}' in found["two"]["sees"]
    shown = text(planned)
    assert "judge two reads at most 80 prompts and writes at most 1,920 tokens; it sees:" in shown
    assert "judge one reads at most 80 prompts; it sees:" in shown


def test_the_report_shows_no_mass_of_a_judge_that_writes_and_says_so(copy: Path):
    """Tables, page, notes and checks; ratings of the two ways are never one mean."""
    run, plan = run_of(copy)
    [task] = REPORT.tasks(plan)

    do_task(run, plan, task, lambda _: None)

    with (run.report / "judge-ratings.csv").open() as file:
        rated = {row["column"]: row for row in csv.DictReader(file)}
    one, two = rated["one_care_warmth"], rated["two_care_warmth"]
    assert (one["mass"] != "", two["mass"]) == (True, "")
    assert (two["n"], two["n_rated"], two["n_no_label"]) == ("40", "30", "10")
    with (run.report / "judge-checks.csv").open() as file:
        checks = {(r["column"], r["check"]): r for r in csv.DictReader(file)}
    assert checks["one_care_warmth", "outside_labels"]["value"] != ""
    untold = checks["two_care_warmth", "outside_labels"]
    assert (untold["value"], "writes its answer" in untold["reason"]) == ("", True)
    page = re.sub(r"\s+", " ", (run.report / "index.html").read_text())
    assert "Care, uncalibrated (judge: judge (written))" in page
    assert "no probability is read, so that there is no mass" in page
    assert "(jury:" not in page
    index, scores, _ = examples_of((run.report / "index.html").read_text())
    keys = [column["key"] for column in index["columns"]]
    [unread] = [i for i, key in enumerate(keys) if key.endswith("two_care_warmth_unreadable")]
    assert sorted(scores[0][unread]) == [0] * 15 + [100] * 5
    assert not [key for key in keys if "two_care" in key and "mass" in key]
    assert [key for key in keys if key.endswith("one_care_warmth_mass")]
    with (run.report / "judge-bounds.csv").open() as file:
        bounds = [r for r in csv.DictReader(file) if r["column"] == "two_care_warmth"]
    assert len(bounds) == 2
    for row in bounds:
        assert [float(row[of]) for of in ("worst", "mean", "best")] == [0.75, 1.0, 1.25]
    with (run.report / "judge-agreement.csv").open() as file:
        [warmth, harm] = csv.DictReader(file)
    assert (warmth["judges"], warmth["dimension"], harm["dimension"]) == (
        "judge, judge (written)", "Warmth", "Harm",
    )  # fmt: skip
    assert int(warmth["n"]) <= 30


def test_two_judges_that_write_are_a_jury_of_their_own(copy: Path):
    """Its name and heading say so; the other judge is no member."""
    run, _ = run_of(copy)
    three = BOTH[BOTH.index("[judges.two]") : BOTH.index("[local]")].replace("two", "three")
    write_judged(copy, BOTH.replace("[local]", f'{three}label = "Third"\n[local]'))
    planned = sweep_here(copy)
    [task] = [task for task in planned.tasks if task.stage == "report"]

    do_task(run, planned.plan, task, lambda _: None)

    frame = pl.read_csv(run.report / "summary.csv")
    assert "jury_written_care_warmth" in frame["column"].to_list()
    assert "jury_care_warmth" not in frame["column"].to_list()
    page = re.sub(r"\s+", " ", (run.report / "index.html").read_text())
    assert "(jury: judge (written), Third (written))" in page
