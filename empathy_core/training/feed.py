"""Rows on their way to the model: micro-batches in the order of the schedule."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from empathy_core.errors import ConfigError
from empathy_core.training.batches import collate, schedule
from empathy_core.training.job import TrainingJob
from empathy_core.training.spec import IGNORED, FinetuneSpec, Row


@dataclass(frozen=True, slots=True)
class Micro:
    """What is known of a micro-batch without asking the GPU.

    Attributes:
        examples: Ids of its rows; empty if it only fills a step up.
        n_labels: Positions the loss is taken at.
        n_tokens: Of prompts and answers, padding excluded.
        n_cells: The same with padding.
    """

    examples: tuple[str, ...]
    n_labels: int
    n_tokens: int
    n_cells: int


def accumulated(spec: FinetuneSpec, processes: int) -> int:
    """Return the micro-batches of one process in one optimiser step.

    Raises:
        ConfigError: The step's rows cannot be shared out evenly.
    """
    rows = spec.micro_batch * processes
    if spec.batch_size % rows:
        msg = (
            f"{spec.name}: batch_size = {spec.batch_size} cannot be dealt to {processes} "
            f"process(es) in micro-batches of {spec.micro_batch}; expected a multiple of {rows}; "
            "change batch_size, micro_batch or processes"
        )
        raise ConfigError(msg)
    return spec.batch_size // rows


def row_tokens(row: Row, *, encoder_decoder: bool) -> int:
    """Return the tokens of *row*; a decoder's labels stand inside its input."""
    return len(row.input_ids) + (len(row.labels) if encoder_decoder else 0)


class MicroBatches:
    """Gives the row numbers of one epoch's micro-batches, those of one step after each other.

    Micro-batch *i* goes to process *i* modulo their number, as accelerate deals them. Trainer
    counts micro-batches to find the ends of steps, and every process must take part in every
    exchange of gradients, but one step of an epoch has fewer rows; it is filled up with numbers
    from ``len(rows)`` on, which stand for rows without labels.
    """

    def __init__(self, job: TrainingJob) -> None:
        """Take the rows' lengths."""
        self._spec, seq2seq = job.spec, job.encoder_decoder
        self._lengths = [row_tokens(row, encoder_decoder=seq2seq) for row in job.rows]
        self._epoch = 0
        self.steps_per_epoch = len(schedule(self._lengths, self._spec, 0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self.steps_per_epoch * (self._spec.batch_size // self._spec.micro_batch)

    def __iter__(self) -> Iterator[list[int]]:
        for step in schedule(self._lengths, self._spec, self._epoch):
            yield from self._filled(step)

    def _filled(self, step: list[list[int]]) -> list[list[int]]:
        lacking = self._spec.batch_size // self._spec.micro_batch - len(step)
        shortest = min(chain.from_iterable(step), key=self._lengths.__getitem__)
        return step + [[shortest + len(self._lengths)]] * lacking


class Rows:
    """The rows by number; from ``len()`` on the same rows without labels."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        if number < len(self._rows):
            return self._rows[number]
        row = self._rows[number - len(self._rows)]
        return replace(row, example="", labels=(IGNORED,) * len(row.labels))


def batch_of(rows: Sequence[Row], job: TrainingJob) -> dict[str, Any]:
    """Return *rows* as tensors, with a ``Micro`` under ``micro``."""
    seq2seq = job.encoder_decoder
    batch: dict[str, Any] = dict(collate(rows, job.pad, encoder_decoder=seq2seq))
    labels = batch["labels"] if seq2seq else batch["labels"][:, 1:]
    real = [row for row in rows if row.example]
    batch["micro"] = Micro(
        examples=tuple(row.example for row in real),
        n_labels=int((labels != IGNORED).sum()),
        n_tokens=sum(row_tokens(row, encoder_decoder=seq2seq) for row in real),
        n_cells=batch["input_ids"].numel() + (batch["labels"].numel() if seq2seq else 0),
    )
    return batch


def validation_batches(job: TrainingJob, process: int, processes: int) -> list[dict[str, Any]]:
    """Return this process's share of the validation rows, rows of similar length together."""
    seq2seq = job.encoder_decoder
    rows = sorted(job.validation, key=lambda row: -row_tokens(row, encoder_decoder=seq2seq))
    n = job.spec.micro_batch
    batches = [rows[start : start + n] for start in range(0, len(rows), n)]
    return [batch_of(batch, job) for batch in batches[process::processes]]


def total_steps(spec: FinetuneSpec, steps_per_epoch: int) -> int:
    """Return the optimiser steps of the whole training."""
    n_steps = max(1, math.ceil(spec.epochs * steps_per_epoch))
    return min(n_steps, spec.max_steps) if spec.max_steps else n_steps


def evaluation_steps(spec: FinetuneSpec, steps_per_epoch: int, n_steps: int) -> frozenset[int]:
    """Return the steps after which is evaluated: evenly in each epoch, and the last."""
    each = max(1, spec.evaluations)
    epochs = range(math.ceil(n_steps / steps_per_epoch))
    ends = {
        epoch * steps_per_epoch + math.ceil(part * steps_per_epoch / each)
        for epoch in epochs
        for part in range(1, each + 1)
    }
    return frozenset({step for step in ends if step <= n_steps} | {n_steps})
