"""Preference tuning: both replies of a pair in one batch, compared with the stored reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from empathy_core.training.loop.batches import collate, row_tokens
from empathy_core.training.loop.loss import row_log_probabilities
from empathy_core.training.loop.objective import LossPart, Micro, Tensors, Whole
from empathy_core.training.loop.preference_loss import LOSSES, PairLogs
from empathy_core.training.spec import IGNORED, PreferenceRow, PreferenceSettings, TrainingRow

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE, _REAL = "reference", "real"


@dataclass(frozen=True)
class PreferenceObjective:
    """Rows are ``PreferenceRow``, each with its reference.

    The loss of a step is the mean over its pairs, and where there is an SFT term, plus its weight
    times the mean cross-entropy over the labels of the chosen replies.

    Attributes:
        settings: Loss, beta, and the weight of the SFT term.
        pad: Id that fills rows up.
        encoder_decoder: Whether prompts go to an encoder and replies to a decoder.
    """

    settings: PreferenceSettings
    pad: int
    encoder_decoder: bool
    watches: tuple[str, ...] = ("chosen_logp", "rejected_logp", "margin", "accuracy")

    def size(self, row: PreferenceRow) -> int:
        """Return the tokens of both replies, each with its prompt."""
        return self._tokens(row.chosen) + self._tokens(row.rejected)

    def _tokens(self, row: TrainingRow) -> int:
        return row_tokens(row, encoder_decoder=self.encoder_decoder)

    def batch(self, rows: Sequence[PreferenceRow]) -> tuple[Tensors, Micro]:
        """Return *rows* as tensors: first all chosen replies, then all rejected ones.

        Beside what ``collate`` gives there are ``reference``, of shape (2, pairs), 0 where it is
        not known, and ``real``, of shape (pairs,), which is 0 for pairs that only fill up.
        """
        import torch

        both = [*(row.chosen for row in rows), *(row.rejected for row in rows)]
        tensors = collate(both, self.pad, encoder_decoder=self.encoder_decoder)
        real = [row for row in rows if row.example]
        chosen = tensors["labels"][: len(rows), 0 if self.encoder_decoder else 1 :]
        n_cells = tensors["input_ids"].numel()
        n_cells += tensors["labels"].numel() if self.encoder_decoder else 0
        micro = Micro(
            examples=tuple(row.example for row in real),
            n_labels=int((chosen != IGNORED).sum()),
            n_tokens=sum(map(self.size, real)),
            n_cells=n_cells,
        )
        references = [row.reference or (0.0, 0.0) for row in rows]
        tensors[_REFERENCE] = torch.tensor(references, dtype=torch.float32).T.reshape(2, len(rows))
        tensors[_REAL] = torch.tensor([float(bool(row.example)) for row in rows])
        return tensors, micro

    def without_labels(self, row: PreferenceRow) -> PreferenceRow:
        """Return *row* as one that adds nothing to any loss."""
        chosen, rejected = (
            replace(one, labels=(IGNORED,) * len(one.labels)) for one in (row.chosen, row.rejected)
        )
        return PreferenceRow("", chosen, rejected, (0.0, 0.0))

    def part(self, model: Any, base: Any, tensors: Tensors, whole: Whole) -> LossPart:
        """Return what the pairs of a micro-batch add to the mean over the pairs of *whole*."""
        import torch

        pairs = self._logs(model, base, tensors)
        real = tensors[_REAL]
        each = LOSSES[self.settings.loss](pairs, self.settings.beta)
        loss = (each * real).sum() / max(whole.n_rows, 1)
        if self.settings.sft_weight:
            said = (pairs.chosen * real).sum() / max(whole.n_labels, 1)
            loss = loss - self.settings.sft_weight * said
        delta = pairs.delta.detach()
        watched = torch.stack(
            [pairs.chosen.detach(), pairs.rejected.detach(), delta, (delta > 0).to(delta.dtype)]
        )
        return LossPart(loss, (watched * real).sum(1) / max(whole.n_rows, 1), delta[real > 0])

    def _logs(self, model: Any, base: Any, tensors: Tensors) -> PairLogs:
        (chosen, rejected), (n_chosen, n_rejected) = log_probabilities(model, base, tensors)
        reference = tensors[_REFERENCE]
        return PairLogs(chosen, rejected, reference[0], reference[1], n_chosen, n_rejected)


def log_probabilities(
    model: Any, base: Any, tensors: Tensors
) -> tuple[tuple["Tensor", "Tensor"], tuple["Tensor", "Tensor"]]:
    """Return log-probabilities of the chosen and the rejected replies, and their labels' counts.

    Args:
        model: What is called.
        base: The transformers model.
        tensors: As ``PreferenceObjective.batch`` gives them.
    """
    text = {name: of for name, of in tensors.items() if name not in (_REFERENCE, _REAL)}
    logs, counts = row_log_probabilities(model, base, text)
    n = len(logs) // 2
    return (logs[:n], logs[n:]), (counts[:n], counts[n:])
