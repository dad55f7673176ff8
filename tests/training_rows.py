"""Rows, settings and jobs for small trainings, and a training in a process of its own."""

import json
import os
import random
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from empathy_core.prompts import prompt
from empathy_core.training.loop.job import StepReport, TrainingJob
from empathy_core.training.loop.train_loop import EvaluationMixin
from empathy_core.training.loop.trainer import train
from empathy_core.training.spec import IGNORED, FinetuneSpec, Lora, TrainingRow
from empathy_core.types import ModelSpec
from tests.tiny_models import tiny_llama, tiny_t5

IDENTITY = "a" * 64


def decoder_rows(n: int, *, seed: int = 0, start: str = "q") -> tuple[TrainingRow, ...]:
    """Return rows of 8 to 40 tokens whose answers repeat their prompt's last token."""
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        prompt_ids = [draw.randint(10, 290) for _ in range(draw.randint(4, 20))]
        answer = [prompt_ids[-1]] * draw.randint(3, 20) + [1]
        labels = [IGNORED] * len(prompt_ids) + answer
        rows.append(
            TrainingRow(f"{start}{i:03d}", (*prompt_ids, *answer), tuple(labels), len(prompt_ids))
        )
    return tuple(rows)


def encoder_rows(n: int, *, seed: int = 0) -> tuple[TrainingRow, ...]:
    """Return the same for an encoder-decoder: the answer stands in the labels alone."""
    return tuple(
        replace(
            row,
            input_ids=row.input_ids[: row.n_prompt],
            labels=tuple(label for label in row.labels if label != IGNORED),
            start=0,
        )
        for row in decoder_rows(n, seed=seed)
    )


def spec_of(folder: Path, **changes: Any) -> FinetuneSpec:
    """Return settings for a small training of the model in *folder*; base's fields by name."""
    base = {"architecture": "decoder"} | {
        name: changes.pop(name)
        for name in ("architecture", "dtype", "quantization", "double_quantization")
        if name in changes
    }
    model = ModelSpec("tiny", "Tiny", "hf", weights=str(folder), **base)
    settings: dict[str, Any] = {
        "lora": Lora(r=4, alpha=8, dropout=0.1),
        "batch_size": 4,
        "micro_batch": 2,
        "epochs": 2.0,
        "learning_rate": 5e-3,
        "checkpoint_steps": 3,
        "trackers": (),
    }
    return FinetuneSpec("small", "Small", model, prompt("none"), False, **settings | changes)


def job_of(
    folder: Path, work: Path, *, spec: FinetuneSpec | None = None, **changes: Any
) -> TrainingJob:
    """Return a job of 18 rows and 6 validation rows: five steps an epoch, the last a short one."""
    given: dict[str, Any] = {
        "spec": spec or spec_of(folder),
        "folder": folder,
        "rows": decoder_rows(18),
        "validation": decoder_rows(6, seed=1, start="v"),
        "pad": 2,
        "work": work,
        "attempt": "first",
        "identity": IDENTITY,
    }
    return TrainingJob(**given | changes)


def llama(folder: Path) -> Path:
    """Return a tiny Llama in *folder*, made on first use."""
    return folder if (folder / "config.json").is_file() else tiny_llama(folder)


def t5(folder: Path) -> Path:
    """Return a tiny T5 in *folder*, made on first use."""
    return folder if (folder / "config.json").is_file() else tiny_t5(folder)


def worse_away_from(step: int) -> Any:
    """Return a patch under which validation is best at *step*, however the training goes.

    The loss is the real one there; at other steps far more is added than losses differ by.
    """
    real = EvaluationMixin._validation_loss

    def scripted(self: Any) -> float | None:
        loss = real(self)
        return None if loss is None else loss + 1000 * abs(self.state.global_step - step)

    return mock.patch.object(EvaluationMixin, "_validation_loss", scripted)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the values of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Train as a JSON object on the command line says; end by a kill after ``kill_at`` steps."""
    asked = json.loads(sys.argv[1])
    folder, work = Path(asked["folder"]), Path(asked["work"])
    changes = asked.get("spec", {})
    if "lora" in changes:
        changes["lora"] = Lora(**changes["lora"])
    job = job_of(
        folder, work, spec=spec_of(folder, **changes), attempt=asked["attempt"],
        **{"validation": ()} if asked.get("no_validation") else {},
    )  # fmt: skip

    def listen(report: StepReport) -> None:
        if report.step == asked.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    best = asked.get("best_step")
    with worse_away_from(best) if best else nullcontext():
        train(job, listen)


if __name__ == "__main__":
    main()
