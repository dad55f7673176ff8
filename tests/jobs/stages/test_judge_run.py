"""A run with a judge: however it is cut, killed or added to, each answer is rated once."""

import csv
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core.backends.current import CURRENT
from empathy_core.errors import ConfigError, ModelError
from empathy_core.stats import CalibrationRule
from empathy_core.store import RunDir
from jobs.config import read as configuration
from jobs.executors.worker import do_task
from jobs.planning import sweep
from jobs.planning.plan import Task
from jobs.planning.stages import SCORE
from jobs.stages.report import report_spec
from jobs.stages.score import load
from tests import preloaded
from tests.judging import judged_rows, killed_scoring, run_of, statistics, sweep_here, write_judged
from tests.runs.command_line import environment
from tests.runs.judged import CARE, JUDGED, N_QUESTIONS

WARMTH, HARM = "judge:one:care:warmth", "judge:one:care:harm"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is judged, its report left out."""
    folder = tmp_path_factory.mktemp("judged")
    write_judged(folder)
    sweep_here(folder)
    return folder


# ---------------------------------------------------------------------------- how it is cut


@pytest.mark.parametrize("n_shards", [2, 3])
def test_any_number_of_score_shards_gives_the_same_bytes(copy: Path, n_shards: int):
    """What is judged together does not depend on how the work is dealt out."""
    run, plan = run_of(copy)
    before = {name: judged_rows(run, plan, name) for name in (WARMTH, HARM)}
    shutil.rmtree(run.root / "scores")
    cut = replace(plan, score_shards=n_shards)

    for shard in reversed(range(n_shards)):
        do_task(run, cut, Task("score", "judge-one", shard, n_shards), lambda _: None)

    for name, rows in before.items():
        assert judged_rows(run, plan, name).equals(rows)
        assert rows.height == 2 * N_QUESTIONS
    assert {p.stem[-5:] for p in statistics(run)} == {f"{n_shards:05d}"}


def test_killed_in_the_middle_of_scoring_it_goes_on_and_ends_with_the_same_bytes(copy: Path):
    """Killed -9 with a batch under way and with conditions written; these are not judged again."""
    run, _ = run_of(copy)
    before = {p.relative_to(run.root): p.read_bytes() for p in statistics(run)}
    shutil.rmtree(run.root / "scores")
    kept: list[int] = []
    asked, written = "label_probabilities", "write_piece"
    for what, n in ((asked, 2), (asked, 8), (written, 1), (written, 9)):
        script = [preloaded.python(), "-c", killed_scoring("judge-one", what, n), str(run.root)]
        done = subprocess.run(script, env=environment(), capture_output=True, check=False)
        assert done.returncode == (0 if n == 9 else -signal.SIGKILL), done.stderr.decode()
        kept.append(len(statistics(run)))

    after = {p.relative_to(run.root): p.read_bytes() for p in statistics(run)}
    assert kept == [0, 1, 2, 4]
    assert after == {p: b for p, b in before.items() if "judge" in str(p)}


# ---------------------------------------------------------------------------- what is added


def test_a_judge_that_is_added_is_all_that_is_computed(tmp_path: Path):
    """Answers and other scores stay as they are, to the inode."""
    write_judged(tmp_path, JUDGED[: JUDGED.index("[judges")] + JUDGED[JUDGED.index("[local]") :])
    sweep_here(tmp_path)
    run, plan = run_of(tmp_path)
    before = statistics(run)
    write_judged(tmp_path)

    planned = sweep_here(tmp_path)

    assert plan.judges == ()
    assert {task.key for task in planned.tasks if task.stage != "report"} == {"judge-one"}
    assert before.items() <= statistics(run).items()
    assert len(statistics(run)) == len(before) + 2 * 2
    CURRENT.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model = "judge"', 'model = "judge"\nlabel = "The Judge"'),
        ("[judges.one]", "[judges.one]\nslurm = { time_min = 5 }"),
        ("min_mass = 0.0", 'min_mass = 0.0\nown_answers = "judge"'),
    ],
)
def test_what_names_a_judge_judges_nothing_again(copy: Path, old: str, new: str):
    """Nor do the resources of its tasks."""
    write_judged(copy, JUDGED.replace(old, new))
    run, _ = run_of(copy)
    before = statistics(run)

    planned = sweep_here(copy)

    assert [task for task in planned.tasks if task.stage != "report"] == []
    assert statistics(run) == before


def test_a_dimension_that_is_written_anew_is_judged_anew_alone(copy: Path):
    """And the other is not."""
    run, plan = run_of(copy)
    before = statistics(run)
    (copy / "care.toml").write_text(CARE.replace("How harmful", "How dangerous"))

    sweep_here(copy)

    now = run_of(copy)[1]
    keys = [{m.name: m.key for m in p.metrics} for p in (plan, now)]
    assert keys[0][WARMTH] == keys[1][WARMTH]
    assert keys[0][HARM] != keys[1][HARM]
    new = statistics(run).items() - before.items()
    assert {path.parts[-3] for path, _ in new} == {keys[1][HARM]}
    assert before.items() <= statistics(run).items()


def test_another_answer_is_judged_and_no_other_condition(copy: Path):
    """A condition is added: the scores of the others are not touched."""
    run, _ = run_of(copy)
    before = statistics(run)
    write_judged(copy, JUDGED.replace('"prompt1"]', '"prompt1", "prompt2"]'))

    sweep_here(copy)

    new = statistics(run).items() - before.items()
    assert before.items() <= statistics(run).items()
    assert {path.parts[-2].partition(".greedy")[0] for path, _ in new} == {"echo.prompt2"}


def test_what_a_judge_must_reach_is_the_reports_alone(copy: Path):
    """Another rule judges nothing again; plans of before it have the defaults."""
    before = statistics(run_of(copy)[0])
    rule = "min_mass = 0.0\nrequire = { items = 50, alt_test = false }"
    write_judged(copy, JUDGED.replace("min_mass = 0.0", rule))

    planned = sweep_here(copy)

    run, plan = run_of(copy)
    assert [task for task in planned.tasks if task.stage != "report"] == []
    assert statistics(run) == before
    [(name, found)] = report_spec(run, plan).requirements.items()
    assert (name, found) == ("one", CalibrationRule(items=50, alt_test=False))
    older = replace(plan, config=plan.config | {"judges": {"one": {"model": "judge"}}})
    assert report_spec(run, older).requirements == {"one": CalibrationRule()}


# ---------------------------------------------------------------------------- whose opinion


OWN = JUDGED.replace("prompts = []\n[metrics.length]", 'prompts = ["none"]\n[metrics.length]')


def test_a_judge_that_is_judged_is_refused_unless_that_is_said(tmp_path: Path):
    """By its weights, whatever it is called; and where it may, the tables say it."""
    write_judged(tmp_path, OWN)
    with pytest.raises(ConfigError, match=r"its model wrote the answers of judge; .*own_answers"):
        sweep_here(tmp_path)

    planned = sweep_here(tmp_path, 'judges.one.own_answers="judge"', "models.echo.prompts=[]")

    assert "Judge judge judges its own answers." in repr(planned.plan.notes)
    CURRENT.close()


def test_the_same_weights_under_another_name_are_the_judges_own(tmp_path: Path):
    """A copy in another folder."""
    twin = (
        '[models.twin]\nweights = "./twin"\narchitecture = "decoder"\nchat_template = true\n'
        'prompts = ["none"]\n[metrics.length]'
    )
    write_judged(tmp_path, JUDGED.replace("[metrics.length]", twin))
    shutil.copytree(tmp_path / "tiny", tmp_path / "twin")

    with pytest.raises(ConfigError, match="its model wrote the answers of twin"):
        sweep_here(tmp_path)


def test_judges_of_the_same_weights_are_no_second_opinion(tmp_path: Path):
    """Whatever they are called: the tables say that their agreement supports nothing."""
    twin = (
        '[models.twin]\nweights = "./twin"\narchitecture = "decoder"\nchat_template = true\n'
        "prompts = []\n[metrics.length]\n"
        '[judges.two]\nmodel = "twin"\nrubrics = ["./care.toml"]'
    )
    write_judged(tmp_path, JUDGED.replace("[metrics.length]", twin))
    shutil.copytree(tmp_path / "tiny", tmp_path / "twin")
    config = configuration.read(str(tmp_path / "judged.toml"), [])

    planned = sweep.plan(config, RunDir(tmp_path / "runs" / "judged"), "a test")

    assert "have the same weights: their agreement supports" in repr(planned.plan.notes)


# ---------------------------------------------------------------------------- what is missing


def test_the_report_counts_what_has_no_score(tmp_path: Path):
    """As many as the statistics say; the notes give the reasons; no number stands for them."""
    write_judged(tmp_path)
    sweep_here(tmp_path, "models.echo.prompts=['none']")
    run, plan = run_of(tmp_path)
    mass = judged_rows(run, plan, HARM)["mass"]
    least = float(np.median(mass))
    planned = sweep_here(tmp_path, "models.echo.prompts=['none']", f"judges.one.min_mass={least}")
    [task] = [task for task in planned.tasks if task.stage == "report"]

    do_task(run, planned.plan, task, lambda _: None)

    rows = judged_rows(run, planned.plan, HARM)
    with (run.report / "summary.csv").open() as file:
        [told] = [r for r in csv.DictReader(file) if r["column"] == "one_care_harm"]
    n_low = int((mass < least).sum())
    assert n_low == N_QUESTIONS // 2
    assert rows["score"].null_count() == n_low == rows["low_mass"].sum()
    assert (int(told["n"]), int(told["n_unscored"])) == (N_QUESTIONS - n_low, n_low)
    assert float(told["score"]) == pytest.approx(rows["score"].mean(), abs=1e-6)
    notes = re.sub(r"\s+|<br>", " ", (run.report / "table1.html").read_text())
    assert "uncalibrated (judge: judge)" in notes
    assert "the judge gave none of the answers" in notes
    CURRENT.close()


def test_a_text_that_is_too_long_ends_the_task_where_that_is_asked_for(tmp_path: Path):
    """The message says which judge, and what to set."""
    write_judged(tmp_path)
    with (tmp_path / "made.csv").open("a") as file:
        file.write(f"{'qz' * 2500},Breathe.\n")

    with pytest.raises(ModelError, match=r"judge 'one': .* set overlong = .missing."):
        sweep_here(tmp_path, 'judges.one.overlong="error"', "judges.one.dimensions=['harm']")
    CURRENT.close()
    sweep_here(tmp_path, "judges.one.dimensions=['harm']")

    rows = judged_rows(*run_of(tmp_path), HARM)
    assert rows["too_long"].sum() == 2 == rows["score"].null_count()
    CURRENT.close()


# ---------------------------------------------------------------------------- plans


def test_a_plan_of_a_run_without_judges_is_read_as_before(finished: Path):
    """Plans of earlier versions name none."""
    _, plan = run_of(finished)
    without = replace(plan, metrics=tuple(m for m in plan.metrics if m.judge is None))

    assert [m.name for m in without.metrics] == ["length"]
    assert without.judges == ()
    assert [m.name for m in plan.judges] == ["judge"]


def test_only_a_judge_that_runs_here_asks_for_a_gpu(finished: Path):
    """One on a server elsewhere asks for none, nor do metrics of words."""
    _, plan = run_of(finished)
    judge = plan.judges[0]
    elsewhere = {"name": "far", "base_url": "http://127.0.0.1:9/v1", "probabilities": "echo"}
    far = replace(
        plan,
        metrics=tuple(
            replace(m, options={**m.options, "model": {**m.options["model"], "engine": elsewhere}})
            if m.judge
            else m
            for m in plan.metrics
        ),
    )

    assert judge.runs_here
    assert [SCORE.needs_gpu(p, "judge-one") for p in (plan, far)] == [True, False]
    assert not SCORE.needs_gpu(plan, "lexical")


def test_a_judge_in_a_plan_is_the_judge_of_the_configuration(finished: Path):
    """Its signature is that of the metric made anew, so that a task may compute it."""
    run, plan = run_of(finished)
    examples = pl.read_parquet(run.examples)

    for planned in plan.of_group("judge-one"):
        assert load(planned, examples).signature() == planned.signature


def test_nothing_is_planned_of_a_judge_whose_rubric_it_has_no_room_for(copy: Path):
    """Before anything is computed."""
    long = CARE.replace("Rate one reply.", "Rate one reply. " * 300)
    (copy / "care.toml").write_text(long)
    config = configuration.read(str(copy / "judged.toml"), [])

    with pytest.raises(ModelError, match=r"rubric 'care', dimension 'warmth', takes \d+ tokens"):
        sweep.plan(config, run_of(copy)[0], "a test")
