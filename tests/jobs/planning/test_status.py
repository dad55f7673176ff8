"""How far a run is, as `status` counts it."""

from pathlib import Path

from tests.runs.command_line import launch, write_config, write_questions

CONFIG = """
name = "alone"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[models.therapist]
[models.echo]
prompts = ["none"]
[metrics.length]
"""


def test_a_condition_of_which_nothing_is_expected_is_complete(tmp_path: Path):
    """No question has a second answer, so that the therapist row has none to lack."""
    write_questions(tmp_path, 6)
    config = str(write_config(tmp_path, CONFIG))
    done = launch("sweep", "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    shown = launch("status", "--config", config, cwd=tmp_path).stdout

    assert "0/0" in shown
    assert "length 0%" not in shown
    assert "2 of 2 conditions are complete" in shown
