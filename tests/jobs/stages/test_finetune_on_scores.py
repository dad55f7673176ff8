"""A run's scored answers become pairs, as a user calls it; whatever is wrong is named."""

import json
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core.errors import EmpathyError
from empathy_core.store import RunDir
from empathy_core.training.preference.settings import PairSettings
from jobs.planning.pairs.scored_run import scored_run
from tests.runs.command_line import launch
from tests.runs.finetunes import FEELINGS, TUNED, adapters, write_experiment

DATA = TUNED[: TUNED.index("[decoding.greedy]")].replace('licence = "none"', 'licence = "MIT"')
SCORED = (
    DATA.replace('"tuned"', '"answers"')
    + """
[evaluate]
split = "all"
[answers.warm]
path = "warm.csv"
question = "question"
[answers.cold]
path = "cold.csv"
question = "question"
[metrics.bleu]
[metrics.length]
[local]
workers = 1
threads = 1
"""
)
"""Two files of answers to every question, of which one gives the reference itself."""
ON_SCORES = DATA + TUNED[TUNED.index("[decoding.greedy]") :].replace(
    'train_sizes = [16, "all"]\nepochs = 4.0', 'method = "dpo"\npairs = "scored"'
).replace("samples = 0", "samples = 2\nsample_tokens = 8").replace(
    "[metrics.bleu]",
    """[finetune.q.dpo]
learning_rate = 0.01
epochs = 2.0
beta = 1.0
[pairs.scored]
made_from = "scores"
path = "runs/answers"
column = "bleu"
margin = 0.2
licence = "MIT"
[metrics.bleu]""",
)
SETTINGS = PairSettings(path="runs/answers", made_from="scores", column="bleu", margin=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scored run; it is read here."""
    made = tmp_path_factory.mktemp("on-scores")
    write_experiment(made, ON_SCORES, "scores.toml")
    (made / "answers.toml").write_text(SCORED)
    says = {
        "warm": ("It takes courage to say {}.",) * 2,
        "cold": ("Do not be {}.", "You should never again be so very {} ."),  # shorter, longer
    }
    for name, say in says.items():
        lines = [
            f'"I feel {a} and {b}, and {c}. What can I do?","{say[i % 2].format(a)}"'
            for i, (a, b, c) in enumerate(permutations(FEELINGS, 3))
        ]
        (made / f"{name}.csv").write_text("\n".join(["question,text", *lines]) + "\n")
    done = launch("sweep", "--config", "answers.toml", cwd=made)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_an_adapter_is_tuned_on_what_a_metric_prefers(folder: Path) -> None:
    """Reference answers are chosen by their BLEU; record, card, curve and warning tell of it."""
    done = launch("finetune", "--config", "scores.toml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    run = folder / "runs" / "tuned"
    (path,) = (run / "pairs").glob("scored-*.parquet")
    frame, audit = pl.read_parquet(path), json.loads(path.with_suffix(".json").read_text())

    assert set(frame["chosen_by"].str.split(".").list.first()) == {"warm"}
    assert audit["splits"] == {"train": 32, "validation": 8}
    assert audit["dropped"] == {"the question is evaluated": 24}
    assert audit["found"] == frame.height + 24 == 64
    assert len(audit["origin"]["answers"]) == len(audit["origin"]["scores"]) == 64
    assert audit["origin"]["chosen_by"] == ["bleu"]
    (adapter,) = adapters(run).values()
    card = (adapter / "README.md").read_text()
    assert "40 of 64 pairs were kept" in card
    assert "Which reply of a pair is better was decided by BLEU" in card
    points = [json.loads(line) for line in (adapter / "log.jsonl").read_text().splitlines()]
    held_out = [p for p in points if p["validation_loss"] is not None]
    assert len(held_out) > 1
    assert all(0 < p["sample_tokens"] <= 8 for p in held_out)
    assert all(0 <= p["samples_cut"] <= 1 for p in held_out)
    assert "Select with one judge, report with another" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"column": "blue"}, "Did you mean 'bleu'?"),
        ({"column": "blue"}, "a column of another run says nothing of them"),
        ({"column": "words"}, "no better direction"),
        ({"column": None}, "column not given; expected column and margin"),
        ({"margin": None}, "margin not given"),
        ({"condition": "warm.none"}, "condition has no effect"),
        ({"conditions": ("hot",)}, "has no condition 'hot'; expected of cold.none"),
        ({"conditions": ("warm",)}, "one answer to each question"),
        ({"path": "runs/nothing"}, "is no run; expected the folder of one"),
    ],
)  # fmt: skip
def test_bad_input_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    """Before anything is trained, in three parts."""
    monkeypatch.chdir(folder)
    with pytest.raises(EmpathyError) as told:
        scored_run("scored", replace(SETTINGS, **changes))

    assert said in str(told.value)
    assert str(told.value).startswith("pairs.scored: ")
    assert "expected" in str(told.value)
    assert told.value.exit_code == 2


def test_a_run_that_is_not_whole_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gap is named, with what to do."""
    shutil.copytree(folder / "runs" / "answers", tmp_path / "answers")
    run = RunDir(tmp_path / "answers")
    next(run.generations("x").parent.glob("warm*/*.parquet")).unlink()
    with pytest.raises(EmpathyError, match="finish that run with sweep") as told:
        scored_run("scored", replace(SETTINGS, path=str(run.root)))

    assert "warm.none" in str(told.value)
    assert told.value.exit_code == 2


def test_a_column_of_people_needs_ratings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody rated what a judge is asked, either; else the column is not known."""
    monkeypatch.chdir(folder)
    with pytest.raises(EmpathyError, match="unknown column 'human_mentalalign_empathy'"):
        scored_run("scored", replace(SETTINGS, column="human_mentalalign_empathy"))
