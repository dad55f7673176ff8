"""The table of stages: its order, and a stage that a user adds, on this machine."""

import json
from pathlib import Path

import polars as pl
import pytest

from empathy_core.errors import RunMismatch
from jobs.planning import stages
from jobs.planning.stages import GENERATE, REPORT, TABLE
from tests.old_runs import launch
from tests.runs.command_line import ECHO, write_config
from tests.words_stage import with_words

FEW = ECHO.replace("block_size = 4", "block_size = 4\nlimit = 16")
TWO_PROMPTS = FEW.replace('"prompt1", "prompt2"]', '"prompt1"]')


def counts(run: Path) -> dict[str, int]:
    """Return condition id → words, as the stage counted them."""
    return {p.stem: json.loads(p.read_text())["words"] for p in run.glob("words/*.json")}


def expected(run: Path) -> dict[str, int]:
    """Return condition id → words, counted by polars."""
    n_words = pl.col("text").str.count_matches(r"\S+").sum()
    pieces = run.glob("generations/*/0*.parquet")
    frame = pl.concat([pl.read_parquet(path, columns=["condition", "text"]) for path in pieces])
    return dict(frame.group_by("condition").agg(n_words).iter_rows())


def files(run: Path) -> dict[str, int]:
    """Return result file → when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in run.glob("words/*.json")}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the suite with the stage."""
    return with_words(tmp_path_factory.mktemp("suite") / "copy")


def test_a_stage_that_is_added_runs_after_the_answers_and_is_done_once(suite: Path, tmp_path: Path):
    """It counts every answer; nothing is done twice, and what a new prompt makes stale is."""
    write_config(tmp_path, TWO_PROMPTS)
    run = tmp_path / "runs" / "echo"
    command = ("sweep", "--config", "echo.toml")
    first = launch(*command, cwd=tmp_path, suite=suite)
    assert first.returncode == 0, first.stderr
    before, counted = files(run), counts(run)
    again = launch(*command, cwd=tmp_path, suite=suite)
    unchanged = files(run)
    write_config(tmp_path, FEW)
    grown = launch(*command, cwd=tmp_path, suite=suite)

    assert len(counted) == 3
    assert min(counted.values()) > 0
    assert again.returncode == grown.returncode == 0, again.stderr + grown.stderr
    assert unchanged == before
    assert counts(run) == expected(run)
    assert len(counts(run)) == 4
    [therapist] = [name for name in before if name.startswith("therapist")]
    assert files(run)[therapist] == before[therapist]
    assert "PARTIAL" not in (run / "report" / "table1.tex").read_text()


def test_a_stage_that_fails_is_named_with_its_log(suite: Path, tmp_path: Path):
    """The task, the reason and the log are told, and the next sweep does it."""
    write_config(tmp_path, TWO_PROMPTS)
    done = launch(
        "sweep", "--config", "echo.toml", "--name", "BROKEN", cwd=tmp_path, suite=suite
    )  # fmt: skip

    assert done.returncode == 1
    assert "words-echo-00000-of-00001 failed: ValueError: this stage is broken" in done.stderr
    assert "\n  and 1 other task failed alike\n" in done.stderr
    log = tmp_path / "runs/BROKEN/logs/words-echo-00000-of-00001.log"
    assert log.is_file()

    def said(*words: str) -> str:
        asked = launch(*words, "--name", "BROKEN", cwd=tmp_path, suite=suite)
        assert (asked.returncode, asked.stderr) == (0, "")  # nothing of Slurm is said
        return asked.stdout

    lines = [line.split() for line in said("status").splitlines()]
    assert ["generate", "echo", "3", "0", "0", "0"] in lines  # done, running, to do, failed
    assert ["score", "lexical", "1", "0", "0", "0"] in lines
    assert ["words", "echo", "0", "0", "0", "1"] in lines
    stages = json.loads(said("status", "--json"))["stages"]
    assert [s["failed"] for s in stages if s["stage"] == "words"] == [{"exception": 1}] * 2
    explained = said("explain", "--failed")
    assert explained.startswith("2 failed: exception: ValueError: this stage is broken\n")
    assert "words-therapist-00000-of-00001: on this machine" in explained  # the plan's first
    assert f"log: {log.with_name('words-therapist-00000-of-00001.log')}" in explained
    assert "generate" not in explained
    assert "Traceback" in said("logs", "--failed")
    assert "blocks found" in said("logs", "echo")


def test_a_task_whose_results_are_not_there_has_failed(suite: Path, tmp_path: Path):
    """A body that ends well and writes nothing is named, counted, and explained."""
    write_config(tmp_path, TWO_PROMPTS)
    options = ("--config", "echo.toml", "--name", "SILENT")
    done = launch("sweep", *options, cwd=tmp_path, suite=suite)
    explained = launch("explain", "--failed", *options, cwd=tmp_path, suite=suite)

    assert done.returncode == 1
    wrong = "words-echo-00000-of-00001 failed: it ended without an error, but stage 'words' does"
    assert wrong in done.stderr
    assert "2 tasks failed" in done.stderr
    assert not (tmp_path / "runs/SILENT/report").exists()
    assert explained.stdout.count("2 failed: not done: ") == 1  # one cause


def test_every_stage_stands_below_what_it_waits_for():
    """Jobs are submitted in the order of the table: what they wait for must be known."""
    for place, stage in enumerate(TABLE):
        others = [other for _, other in stages.awaited_by(stage)]

        assert set(others) <= set(TABLE[:place])


def test_the_report_waits_for_every_other_stage():
    """A stage that is added is waited for without a change of the report's entry."""
    assert [other for _, other in stages.awaited_by(REPORT)] == [*TABLE[:-1]]
    assert TABLE[-1] is REPORT
    assert REPORT.takes_what_is_there
    assert not GENERATE.takes_what_is_there


@pytest.mark.parametrize("stage", TABLE, ids=lambda stage: stage.name)
def test_every_stage_has_its_body(stage: stages.Stage):
    """The body is the function of the stage's name, in the module of its name."""
    assert stage.body().__module__ == f"jobs.stages.{stage.name}"


def test_a_stage_of_another_version_is_refused_in_words():
    """A run that was submitted with a stage more says which version it needs."""
    with pytest.raises(RunMismatch, match=r"no stage 'words'; expected one of finetune, generate"):
        stages.stage_of("words")
