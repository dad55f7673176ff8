"""Ratings stand in the next report of a run, and ``explain`` names their rounds."""

import csv
from pathlib import Path

import pytest

from empathy_core.annotation import RoundDir
from empathy_core.store import RunDir
from jobs.launch import main
from jobs.planning.plan_file import last_plan
from tests.runs.command_line import write_config
from tests.runs.rated import ROUND, add_round

CONFIG = """
name = "rated"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[models.echo]
prompts = ["none", "prompt1"]
[metrics.length]
[local]
workers = 1
threads = 1
"""
N = 40


@pytest.mark.slow
def test_ratings_come_into_the_report_of_a_run_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Nothing is scored anew: a sweep, ratings, and the report written again."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"How do I live with worry {i}?,Tell me more of {i}.\n" for i in range(N))
    (tmp_path / "made.csv").write_text("question,answer\n" + rows)
    write_config(tmp_path, CONFIG, "rated.toml")
    assert main(["sweep", "--config", "rated.toml", "--executor", "local"]) == 0
    run = RunDir(tmp_path / "runs" / "rated")
    before = {path.name for path in run.report.iterdir()}
    plan, _ = last_plan(run)

    add_round(run, [c.id for c in plan.conditions], share=0.6)
    assert main(["report", "--name", "rated"]) == 0
    after = {path.name for path in run.report.iterdir()}
    capsys.readouterr()
    assert main(["explain", "echo.none.human_mentalalign_empathy", "--name", "rated"]) == 0
    told = capsys.readouterr().out

    assert "people.csv" not in before
    assert "people.csv" in after
    with (run.report / "people.csv").open(newline="") as lines:
        found = list(csv.DictReader(lines))
    assert {row["judge"] for row in found} == {""}
    assert all(row["human"] and row["n_questions"] == str(int(0.6 * N)) for row in found)
    assert "none: people rated" in told
    assert f"{ROUND} (ratings, 3 raters), in annotation/{ROUND}" in told
    assert RoundDir.of(run, ROUND).ratings.exists()
