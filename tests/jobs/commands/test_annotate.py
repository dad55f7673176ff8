"""``annotate plan`` and ``annotate export`` as they are typed."""

import json
from pathlib import Path

import pytest

from tests.runs.command_line import ECHO, contents, launch, write_config

ANNOTATE = """
[annotate]
rubrics = ["epitome"]
questions = 12
helpline = "Samaritans, 116 123"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``echo``, whose configuration asks people."""
    folder = tmp_path_factory.mktemp("annotated")
    done = launch("sweep", "--config", str(write_config(folder, ECHO + ANNOTATE)), cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_a_plan_writes_nothing_and_names_where_its_spread_is_from(finished: Path):
    before = contents(finished)
    plan = launch("annotate", "plan", "--config", "echo.toml", cwd=finished)
    wrong = launch("annotate", "plan", "--config", "echo.toml", "--difference", "0", cwd=finished)

    assert plan.returncode == 0, plan.stderr
    assert "public ratings (MentalAlign-70k, empathy)" in plan.stdout
    assert "As configured: 12 questions, 3 packets of" in plan.stdout
    assert wrong.returncode == 2
    assert "expected points of the scale above 0" in wrong.stderr
    assert contents(finished) == before


def test_an_export_is_made_once_and_a_run_is_enough_to_name(finished: Path):
    """By configuration, then by the run's name alone; nothing else of the run changes."""
    before = contents(finished)
    made = launch("annotate", "export", "--config", "echo.toml", cwd=finished)
    there = contents(finished)
    again = launch("annotate", "export", "--name", "echo", "--json", cwd=finished)
    found = json.loads(again.stdout)

    assert made.returncode == 0, made.stderr
    assert "round-001: made" in made.stdout
    assert "drawn within each source and crisis tier; with + where" in made.stdout
    assert "annotate.consent is empty" in made.stderr
    assert "nobody who rates may read key.parquet" in made.stderr
    assert again.returncode == 0, again.stderr
    assert (found["round"], found["new"]) == ("round-001", False)
    assert all(Path(one["page"]).is_file() for one in found["packets"])
    assert contents(finished) == there
    assert before.items() <= there.items()
    new = {name for name in there.keys() - before.keys() if not name.endswith(".lock")}
    assert all("/annotation/round-001/" in name for name in new), new


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("annotate.helpline=''",), "annotate.helpline is empty"),
        (("annotate.questions=5000",), "to draw from; expected"),
        (("data.sources.sample.licence=''",), "annotate changes only [annotate]"),
    ],
)
def test_what_cannot_be_exported_is_exit_2(finished: Path, changes: tuple[str, ...], said: str):
    options = [word for change in changes for word in ("--set", change)]
    done = launch("annotate", "export", "--name", "echo", *options, cwd=finished)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_rubric_is_said_with_those_there_are(finished: Path):
    done = launch("annotate", "export", "--name", "echo", "--set", "annotate.rubrics=[]",
                  cwd=finished)  # fmt: skip

    assert done.returncode == 2
    assert "annotate.rubrics names no rubric" in done.stderr
    assert "epitome" in done.stderr
