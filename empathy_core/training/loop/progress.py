"""How far a training is: its curve, its best evaluation, what it has cost. No torch in here."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from empathy_core.store import append_json_line, write_bytes
from empathy_core.training.loop.job import LogPoint, Losses, StepReport

log = logging.getLogger(__name__)


class Lines:
    """A file of JSON lines that one process appends to; a line torn by a kill is rewritten."""

    def __init__(self, path: Path, lines: Iterable[Mapping[str, object]]) -> None:
        """Write *lines* in the place of what stood there."""
        write_bytes("".join(map(_line, lines)).encode(), path)
        self.path = path

    def append(self, line: Mapping[str, object]) -> None:
        """Add a line; it may be lost with the machine, as it can be trained again."""
        append_json_line(line, self.path, flush=False)


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


@dataclass(slots=True)
class TrainingProgress:
    """The part of a training's state that is ours; the rest is transformers'.

    Attributes:
        best_loss: Lowest validation loss after step 0; null before.
        best_step: Where it was; null before.
        stale: Evaluations since then.
        seconds: Of all attempts, up to the last point.
        finished: Nothing is left to train.
    """

    n_steps: int
    curve: list[LogPoint] = field(default_factory=list)
    samples: list[dict[str, object]] = field(default_factory=list)
    best_loss: float | None = None
    best_step: int | None = None
    stale: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    finished: bool = False

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "TrainingProgress":
        """Return what ``as_json`` gave."""
        return cls(**{**value, "curve": [LogPoint(**point) for point in value["curve"]]})

    def as_json(self) -> dict[str, object]:
        """Return it as JSON; floats come back equal to the bit."""
        return asdict(self)

    def evaluated(self, step: int, loss: float, patience: int) -> bool:
        """Note a validation loss; return whether training has waited long enough for a lower one.

        Step 0 is the base itself and is not a candidate.
        """
        if step == 0:
            return False
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_step, self.stale = loss, step, 0
        else:
            self.stale += 1
        return 0 < patience <= self.stale

    def losses(self) -> Losses:
        """Return the losses a model card tells."""
        steps = [point.loss for point in self.curve if point.loss is not None]
        at = {p.step: p.validation_loss for p in self.curve if p.validation_loss is not None}
        return Losses(
            first=steps[0],
            last=steps[-1],
            validation_start=at.get(0),
            validation_best=self.best_loss,
            validation_last=at[max(at)] if at else None,
        )


@dataclass(slots=True)
class Meter:
    """Time and tokens of this attempt since the last step, over all processes."""

    _started: float = field(default_factory=time.monotonic)
    _step_started: float = field(default_factory=time.monotonic)
    _lap_started: float = field(default_factory=time.monotonic)
    _steps: int = 0
    _tokens: int = 0
    _cells: int = 0

    def count(self, n_tokens: int, n_cells: int) -> None:
        """Add the tokens of a step that is about to be trained on; cells are with padding."""
        self._tokens, self._cells = n_tokens, n_cells

    def begin(self) -> None:
        """Start the clock: what came before was loading."""
        self._started = self._step_started = self._lap_started = time.monotonic()

    def lap(self) -> float:
        """Return the seconds since the last lap, or since the beginning."""
        now = time.monotonic()
        took, self._lap_started = now - self._lap_started, now
        return took

    def pause(self, seconds: float) -> None:
        """Take *seconds* of evaluation or writing out of the pace of the next step."""
        self._step_started += seconds

    def report(
        self, step: int, n_steps: int, loss: float, memory_mb: float
    ) -> tuple[StepReport, float]:
        """Return the report of *step*, and its share of padding."""
        now = time.monotonic()
        self._steps += 1
        pace = (now - self._started) / self._steps
        took = max(now - self._step_started, 1e-9)
        self._step_started = now
        return StepReport(
            step=step,
            n_steps=n_steps,
            loss=loss,
            n_tokens=self._tokens,
            tokens_per_s=self._tokens / took,
            eta_s=pace * (n_steps - step),
            memory_mb=memory_mb,
        ), 1 - self._tokens / max(self._cells, 1)
