"""The learning rates: every step of any training learns, and the preflight names the shortest."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import get_scheduler

from empathy_core.errors import ModelError
from empathy_core.training.loop.job import Trained
from empathy_core.training.loop.rates import FEWEST_STEPS, full_rate_steps, rate_of, warmup_steps
from empathy_core.training.loop.trainer import Interrupted, train
from empathy_core.training.spec import TRAINING_VERSION
from jobs.planning.plan import PlannedFinetune
from jobs.stages.finetune import check_version
from tests.runs.command_line import launch
from tests.runs.finetunes import TUNED, write_experiment
from tests.training_rows import job_of, llama, spec_of

ANYWHERE = Path("nowhere")
SCHEDULES = st.sampled_from(["cosine", "linear", "constant"])
THEIRS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("llama"))


@given(n_steps=st.integers(1, 400), warmup=st.floats(0, 1), schedule=SCHEDULES)
@example(n_steps=1, warmup=0.03, schedule="cosine")
@example(n_steps=2, warmup=0.03, schedule="cosine")
@example(n_steps=5, warmup=1.0, schedule="linear")
def test_every_step_learns_and_one_at_the_full_rate(
    n_steps: int, warmup: float, schedule: Any
) -> None:
    """No rate is 0, none is above the full one; they rise, no longer than said, then fall."""
    rate = rate_of(spec_of(ANYWHERE, warmup=warmup, schedule=schedule), n_steps)
    rates = [rate(step) for step in range(n_steps)]
    peak = rates.index(1.0)

    assert min(rates) > 0
    assert max(rates) == 1.0
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= warmup * n_steps + 1e-6


@given(n_steps=st.integers(1, 120), warmup=st.floats(0, 1), schedule=SCHEDULES)
def test_the_fall_is_transformers_own(n_steps: int, warmup: float, schedule: Any) -> None:
    """From the full rate on, and a rise that begins one step later than theirs."""
    rise = warmup_steps(warmup, n_steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(THEIRS[schedule], optimizer, rise, n_steps)
    [their_rate] = theirs.lr_lambdas
    rate = rate_of(spec_of(ANYWHERE, warmup=warmup, schedule=schedule), n_steps)

    for step in range(rise, n_steps):
        assert rate(step) == pytest.approx(their_rate(step), abs=1e-12)
    assert [rate(s) for s in range(rise)] == pytest.approx(
        [(s + 1) / (rise + 1) for s in range(rise)]
    )


@pytest.mark.parametrize(
    ("n_steps", "warmup", "rise"),
    [(1, 0.03, 0), (2, 0.03, 0), (33, 0.03, 0), (34, 0.03, 1), (100, 0.03, 3), (100, 0.29, 29),
     (2, 0.5, 1), (1, 1.0, 0), (4, 1.0, 3), (4, 0.0, 0)],
)  # fmt: skip
def test_a_rise_takes_whole_steps_and_never_all(n_steps: int, warmup: float, rise: int) -> None:
    """By hand."""
    assert warmup_steps(warmup, n_steps) == rise


# ---------------------------------------------------------------------------- trained


def trained(base: Path, work: Path, **settings: Any) -> Trained:
    return train(job_of(base, work, spec=spec_of(base, **settings), validation=()), lambda _: None)


def rates(done: Trained) -> list[float]:
    return [p.learning_rate for p in done.curve if p.learning_rate is not None]


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_each_of_few_steps_has_its_rate(base: Path, tmp_path: Path, n_steps: int) -> None:
    """What was in force at each step, as the log has it."""
    done = trained(base, tmp_path, max_steps=n_steps, learning_rate=1.0e-3)

    cosine = [0.5e-3 * (1 + math.cos(math.pi * k / n_steps)) for k in range(n_steps)]
    assert rates(done) == pytest.approx(cosine)


def test_one_step_moves_every_weight_by_its_rate(base: Path, tmp_path: Path) -> None:
    """AdamW's first step is the rate itself, against the sign of the gradient: B leaves 0."""
    done = trained(base, tmp_path, max_steps=1, learning_rate=1.0e-3)

    weights = load_file(done.folder / "adapter_model.safetensors")
    moved = [w for name, w in weights.items() if "lora_B" in name]
    assert len(moved) == 4
    for weight in moved:
        assert float(weight.abs().median()) == pytest.approx(1e-3, rel=1e-3)


def test_the_rates_are_the_same_after_an_end_in_the_rise(base: Path, tmp_path: Path) -> None:
    """Ended after the second of five rising steps and taken up again: to the bit."""
    settings = {"warmup": 0.5, "epochs": 2.0, "schedule": "linear"}
    whole = trained(base, tmp_path / "whole", **settings)
    spec, steps = spec_of(base, **settings), []

    def first(**more: Any) -> Any:
        return job_of(base, tmp_path / "cut", spec=spec, validation=(), **more)

    with pytest.raises(Interrupted):
        train(first(stop_soon=lambda: len(steps) == 2), steps.append)
    again = train(first(attempt="second"), steps.append)

    assert rates(whole) == rates(again)
    assert rates(whole)[:6] == pytest.approx([5e-3 * s / 6 for s in range(1, 7)])
    one, other = (load_file(t.folder / "adapter_model.safetensors") for t in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------------------- counted


def test_steps_are_counted_by_their_rates() -> None:
    """By hand: half of a cosine's steps and one half more; constant ones after a rise to 1."""
    assert full_rate_steps(spec_of(ANYWHERE, warmup=0.0), 8) == pytest.approx(4.5)
    rising = spec_of(ANYWHERE, warmup=0.5, schedule="constant")
    assert full_rate_steps(rising, 4) == pytest.approx(1 / 3 + 2 / 3 + 2)
    assert FEWEST_STEPS == 4


# ---------------------------------------------------------------------------- planned


def test_a_training_of_few_steps_is_refused_at_planning(tmp_path: Path) -> None:
    """Before anything is submitted, with the name by which it can be allowed; then it is told."""
    write_experiment(tmp_path, TUNED.replace("epochs = 4.0", "epochs = 1.0"))
    command = ("sweep", "--config", "tuned.toml", "--dry-run")

    refused = launch(*command, cwd=tmp_path)
    allowed = launch(*command, "--allow", "few-steps", cwd=tmp_path)

    assert refused.returncode == 2
    assert "16 rows in batches of 8 are 2 steps" in refused.stderr
    assert "--allow few-steps" in refused.stderr
    assert allowed.returncode == 0, allowed.stderr


def test_what_another_version_planned_is_not_trained(base: Path, tmp_path: Path) -> None:
    """Its record would ascribe the adapter of today's code to that version."""
    spec = replace(spec_of(base), training_version=TRAINING_VERSION - 1)
    planned = PlannedFinetune(
        id="small-0", digest="0" * 64, family="small", spec=spec, base_fingerprint="0" * 64,
        sources="all", n_rows=4, findings=(), prompt_chosen="beforehand",
    )  # fmt: skip
    with pytest.raises(ModelError, match=f"planned by version {TRAINING_VERSION - 1} of the"):
        check_version(planned)
