"""What a training minimises, as the loop sees it: rows to batches, batches to a loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, Any]
"""Name → tensor: what the model, and the loss, are given of a micro-batch."""


@dataclass(frozen=True, slots=True)
class Micro:
    """What is known of a micro-batch without asking the GPU.

    Attributes:
        examples: Ids of its rows; empty if it only fills a step up.
        n_labels: Positions the loss is taken at; of pairs, those of the chosen replies.
        n_tokens: Of prompts and answers, padding excluded.
        n_cells: The same with padding.
    """

    examples: tuple[str, ...]
    n_labels: int
    n_tokens: int
    n_cells: int


@dataclass(frozen=True, slots=True)
class Whole:
    """What the loss of a micro-batch is a part of: an optimiser step, or all validation rows.

    Attributes:
        n_rows: Rows or pairs of all its micro-batches, over all processes.
        n_labels: Their labels, as ``Micro`` counts them.
    """

    n_rows: int
    n_labels: int


@dataclass(frozen=True, slots=True)
class LossPart:
    """What one micro-batch adds to the means over the whole.

    Attributes:
        loss: With gradients.
        watched: Of each of ``Objective.watches``, in their order, without gradients; shape (n,).
        margins: Of each real row, what ``LogPoint.margins`` tells; null where rows are no pairs.
    """

    loss: "Tensor"
    watched: "Tensor"
    margins: "Tensor | None" = None


class Objective(Protocol):
    """How rows become batches and a loss. Rows are whatever the job has."""

    @property
    def watches(self) -> tuple[str, ...]:
        """Fields of ``LogPoint`` that are means over rows, beside the loss."""
        ...

    def size(self, row: Any) -> int:
        """Return the tokens of a row: rows of similar size meet in a batch."""
        ...

    def batch(self, rows: Sequence[Any]) -> tuple[Tensors, Micro]:
        """Return rows as tensors, and what is known of them."""
        ...

    def without_labels(self, row: Any) -> Any:
        """Return a row like this one that adds nothing to any loss, to fill up a step."""
        ...

    def part(self, model: Any, base: Any, tensors: Tensors, whole: Whole) -> LossPart:
        """Return what a micro-batch adds to the mean loss of *whole*.

        Args:
            model: What is called; may wrap *base*, for adapters and for several processes.
            base: The transformers model.
            tensors: Of ``batch``, on the model's device.
            whole: What it is a part of.
        """
        ...
