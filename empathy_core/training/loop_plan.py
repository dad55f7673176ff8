"""What the parts of one training share, and what is due after each of its steps."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from empathy_core.training.feed import MicroBatches, evaluation_steps
from empathy_core.training.job import StepReport, TrainingJob
from empathy_core.training.progress import Lines, Meter, Progress

_Base: Any = object
"""Stands for a class of transformers, which is not imported at the top of a module."""


@dataclass(slots=True)
class Run:
    """What the parts of one training share.

    Attributes:
        accumulation: Micro-batches of one process in a step.
        log: ``log.jsonl``; null in all processes but the main one.
        latest: The newest checkpoint of this attempt; null before the first.
        gradients_seen: Whether every tensor of the adapter had a gradient in the first step.
    """

    job: TrainingJob
    progress: Progress
    batches: MicroBatches
    accumulation: int
    listen: Callable[[StepReport], None]
    log: Lines | None
    latest: Path | None
    meter: Meter = field(default_factory=Meter)
    gradients_seen: bool = False
    evaluate_at: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        per_epoch = self.batches.steps_per_epoch
        self.evaluate_at = evaluation_steps(self.job.spec, per_epoch, self.progress.n_steps)

    @property
    def kept(self) -> str:
        """What an error says of the checkpoints."""
        last = self.latest
        return f"the last good checkpoint is {last}" if last else "no checkpoint was due yet"


class PlanMixin(_Base):  # type: ignore[misc] # joined with transformers.TrainerCallback
    """Says at each step what is due."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Start the clock, when all is known of the model that takes a forward pass."""
        self._trainer.find_out()
        self._trainer.run.meter.begin()

    def on_epoch_begin(self, _args: object, state: Any, *_: object, **__: object) -> None:
        """Choose the epoch's order; accelerate does not hand the epoch through after a resume."""
        batches = self._trainer.run.batches
        batches.set_epoch(state.global_step // batches.steps_per_epoch)

    def on_step_end(self, _args: object, state: Any, control: Any, **_: object) -> Any:
        """Ask for an evaluation, a checkpoint, or an end."""
        run, step = self._trainer.run, state.global_step
        if step in run.evaluate_at:
            control.should_evaluate = control.should_save = True
        if step % run.job.spec.checkpoint_steps == 0:
            control.should_save = True
        if self._trainer._sum(int(run.job.stop_soon()))[0]:
            control.should_save = control.should_training_stop = True
        return control


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random states of Python, numpy and torch as they were."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    random.setstate(python)
    np.random.set_state(numpy)
