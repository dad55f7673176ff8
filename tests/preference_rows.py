"""Pairs for small preference tunings, and a tuning in a process of its own."""

import json
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from empathy_core.training.loop.job import PreferenceTuning, StepReport, TrainingJob
from empathy_core.training.loop.trainer import train
from empathy_core.training.spec import IGNORED, Lora, PreferenceRow, PreferenceSettings, TrainingRow
from tests.training_rows import job_of, spec_of


def pair_rows(n: int, *, seed: int = 0, start: str = "p") -> tuple[PreferenceRow, ...]:
    """Return pairs whose chosen reply repeats a low token, and whose rejected one a high token.

    Replies are of 3 to 20 tokens and end in token 1.
    """
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        prompt = tuple(draw.randint(10, 290) for _ in range(draw.randint(4, 20)))
        sides = []
        for repeated in (draw.randint(10, 14), draw.randint(280, 284)):
            reply = (*[repeated] * draw.randint(3, 20), 1)
            labels = (*[IGNORED] * len(prompt), *reply)
            sides.append(TrainingRow(f"{start}{i:03d}", (*prompt, *reply), labels, len(prompt)))
        rows.append(PreferenceRow(f"{start}{i:03d}", *sides))
    return tuple(rows)


def pair_job(
    folder: Path, work: Path, *, tuning: dict[str, Any] | None = None, **changes: Any
) -> TrainingJob:
    """Return a job of 18 pairs and 6 held-out ones: five steps an epoch, without dropout."""
    given = dict(tuning or {})
    own = {k: given.pop(k) for k in ("loss", "beta", "sft_weight") if k in given}
    preference = {
        "settings": PreferenceSettings(**own),
        "start": None,
        "model": "m" * 64,
        "adapter": "",
        "references": work / "references",
    }
    spec = spec_of(folder, **{"lora": Lora(r=4, alpha=8, dropout=0.0)} | changes.pop("spec", {}))
    of: dict[str, Any] = {
        "rows": pair_rows(18),
        "validation": pair_rows(6, seed=1, start="v"),
        "preference": PreferenceTuning(**preference | given),
    }
    return replace(job_of(folder, work, spec=spec), **of | changes)


def main() -> None:
    """Tune as a JSON object on the command line says; end by a kill after ``kill_at`` steps."""
    asked = json.loads(sys.argv[1])
    job = pair_job(Path(asked["folder"]), Path(asked["work"]), attempt=asked["attempt"])

    def listen(report: StepReport) -> None:
        if report.step == asked.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    train(job, listen)


if __name__ == "__main__":
    main()
