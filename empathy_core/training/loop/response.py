"""Supervised fine-tuning: the mean cross-entropy over the labels of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from empathy_core.training.loop.batches import batch_of, row_tokens
from empathy_core.training.loop.job import TrainingJob
from empathy_core.training.loop.loss import loss_sum
from empathy_core.training.loop.objective import LossPart, Micro, Tensors, Whole
from empathy_core.training.spec import IGNORED, TrainingRow


@dataclass(frozen=True)
class ResponseObjective:
    """Rows are ``TrainingRow``; nothing is watched but the loss."""

    job: TrainingJob
    watches: tuple[str, ...] = ()

    def size(self, row: TrainingRow) -> int:
        """Return the tokens of *row*."""
        return row_tokens(row, encoder_decoder=self.job.encoder_decoder)

    def batch(self, rows: Sequence[TrainingRow]) -> tuple[Tensors, Micro]:
        """Return *rows* as tensors, and what is known of them."""
        return batch_of(rows, self.job)

    def without_labels(self, row: TrainingRow) -> TrainingRow:
        """Return *row* as one that no loss is taken on."""
        return replace(row, example="", labels=(IGNORED,) * len(row.labels))

    def part(self, model: Any, base: Any, tensors: Tensors, whole: Whole) -> LossPart:
        """Return the sum of the micro-batch's cross-entropies over all labels of *whole*."""
        loss = loss_sum(model, base, tensors) / max(whole.n_labels, 1)
        return LossPart(loss, loss.detach().new_zeros(0))
