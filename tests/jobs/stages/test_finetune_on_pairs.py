"""Fine-tunes on preference pairs, as a user calls them; kills on answers and on pairs."""

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests import preloaded
from tests.patience import until
from tests.runs.command_line import environment, launch
from tests.runs.finetunes import adapters, distance, kill_whole
from tests.runs.tuned_on_pairs import ON_PAIRS, write_on_pairs

CALL = ("finetune", "--config", "pairs.toml", "--executor", "local")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose run has the adapter; it is read here."""
    folder = tmp_path_factory.mktemp("on-pairs")
    write_on_pairs(folder)
    done = launch(*CALL, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "tuned"


def test_an_adapter_is_tuned_on_from_its_answers(trained: Path) -> None:
    """Its loss begins at log 2, and held-out pairs are told apart better than by the start."""
    (adapter,) = adapters(trained).values()
    record = json.loads((adapter / "finetune.json").read_text())
    points = [json.loads(line) for line in (adapter / "log.jsonl").read_text().splitlines()]
    held_out = [p for p in points if p["validation_loss"] is not None]

    assert record["losses"]["validation_start"] == pytest.approx(0.693147, abs=1e-4)
    assert record["losses"]["validation_best"] < 0.6
    assert held_out[-1]["accuracy"] > held_out[0]["accuracy"]
    assert held_out[-1]["margin"] > 0
    assert record["settings"]["preference"]["method"] == "sft+dpo"
    assert {"pairs-stuck", "pairs-reversed"} <= set(record["findings"])
    card = (adapter / "README.md").read_text()
    assert "preference.settings.beta" in card
    assert "**It is not for deployment**" in card


def test_pairs_and_reference_are_kept_with_the_run(trained: Path) -> None:
    """The frozen frame, what was left out, that the preference is assumed, one reference."""
    (frame,) = (trained / "pairs").glob("own-*.parquet")
    audit = json.loads(frame.with_suffix(".json").read_text())
    (reference,) = (trained / "pairs" / "references").glob("*.parquet")
    pairs, known = pl.read_parquet(frame), pl.read_parquet(reference)

    assert audit["splits"] == {"train": 32, "validation": 8}
    assert "is assumed" in audit["assumed"]
    assert pairs.height == 40
    assert known["adapter"].unique().str.len_chars().to_list() == [64]  # not the bare base
    assert known.height <= 80


def test_a_kill_in_either_phase_changes_nothing(trained: Path, tmp_path: Path) -> None:
    """Kill -9 while it learns answers, and again while it is tuned: to 1e-6."""
    write_on_pairs(tmp_path)
    for where in ("answers/*/checkpoint-*/complete.json", "pairs/*/checkpoint-*/complete.json"):
        _killed_after(tmp_path, where)
    done = launch(*CALL, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    (ours,), (whole,) = adapters(tmp_path / "runs" / "tuned").values(), adapters(trained).values()
    assert distance(ours, whole) < 1e-6


def _killed_after(folder: Path, pattern: str) -> None:
    """Start the training, and kill the whole of it once a file is there."""
    command = [preloaded.python(), "-m", "jobs.launch", *CALL]
    with subprocess.Popen(
        command, cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        adapters_ = folder / "runs" / "tuned" / "adapters"
        found = until(
            lambda: process.poll() is not None or list(adapters_.glob(f".*.partial/{pattern}")),
            nap_s=0.02,
        )
        assert found
        assert process.poll() is None, "it ended before it was killed"
        kill_whole(process, folder / "runs" / "tuned")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('pairs = "own"', "", "needs pairs: name a table [pairs.<name>]"),
        ('pairs = "own"', 'pairs = "owm"', "Did you mean 'own'?"),
        ('method = "sft+dpo"\n', "", "has no effect with method = 'sft'"),
        ('method = "sft+dpo"', 'method = "sft+dpo"\nlabels = "all"', "expected 'response'"),
        ('licence = "MIT"', 'licence = "none"', "the licence is not known to allow training"),
        ('path = "answers.csv"', 'path = "elsewhere.csv"', "elsewhere.csv"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Before anything is trained, with what to do."""
    assert old in ON_PAIRS
    write_on_pairs(tmp_path, ON_PAIRS.replace(old, new))
    done = launch(*CALL, cwd=tmp_path)

    assert done.returncode == 2
    assert said in done.stderr


def test_two_processes_tune_what_one_does(tmp_path: Path) -> None:
    """Pairs are dealt out and their references gathered: the same adapter but for rounding.

    The loss stays far from 0 here: AdamW would make steps of the rounding of vanishing gradients.
    """
    slow = ("[finetune.q.dpo]\nlearning_rate = 0.01", "[finetune.q.dpo]\nlearning_rate = 0.001")
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        alone = ON_PAIRS.replace('"sft+dpo"', '"dpo"').replace(*slow)
        write_on_pairs(tmp_path / str(n), alone.replace("r = 32", f"processes = {n}\nr = 32"))
        done = launch(*CALL, cwd=tmp_path / str(n))
        assert done.returncode == 0, done.stdout + done.stderr
    [one], [two] = (adapters(tmp_path / str(n) / "runs" / "tuned").values() for n in (1, 2))

    assert one.name == two.name
    assert distance(one, two) <= 1e-4
