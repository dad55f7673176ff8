"""The losses of a batch's labels, with logits only where there is one, and few of them at a time.

A language head of 32,000 to 256,000 rows costs more than the layers below it in small models,
and its logits more memory in all of them. Prompts and padding have no label, so the head is
given the hidden states of the other positions only; and since the head is frozen, each of these
gives its gradient as soon as its logits are there, which are then forgotten.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from empathy_core.training.spec import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**25}
"""Entries of the largest matrix of logits: 32 and 128 MB. A processor's time does not depend on
it; a GPU needs some hundred rows at once to be busy."""

_bare: MutableMapping[Any, bool] = WeakKeyDictionary()
"""Head → whether its model's logits are what it puts out. Gemma and others change them after."""


def loss_sum(model: Any, base: Any, batch: dict[str, "Tensor"]) -> "Tensor":
    """Return the sum, in float32 or finer, of the cross-entropies of all labels of *batch*.

    Args:
        model: What is called; may wrap *base*, for adapters and for several processes.
        base: The transformers model.
        batch: ``batches.collate``'s, padded on the right.
    """
    return _label_losses(model, base, batch)[0].sum()


def row_log_probabilities(
    model: Any, base: Any, batch: dict[str, "Tensor"]
) -> tuple["Tensor", "Tensor"]:
    """Return, for each row of *batch*, the log-probability of its labels, and how many they are.

    Args:
        model: As for ``loss_sum``.
        base: As for ``loss_sum``.
        batch: As for ``loss_sum``.

    Returns:
        Sums of natural logarithms, and counts, both of shape (rows,); of a row without labels 0.
    """
    losses, wanted = _label_losses(model, base, batch)
    rows = wanted.nonzero()[:, 0]
    sums = losses.new_zeros(len(wanted)).index_add(0, rows, -losses)
    return sums, wanted.sum(1)


def _label_losses(model: Any, base: Any, batch: dict[str, "Tensor"]) -> tuple["Tensor", "Tensor"]:
    """Return the cross-entropies of all labels, row by row, and where they stand in the batch."""
    inputs, targets = _aligned(base, batch)
    wanted = targets != IGNORED  # (rows, tokens)
    head = base.get_output_embeddings()
    alone = _may_stand_alone(head)
    with _only(head, wanted, one=alone) as seen:
        logits = model(**inputs, use_cache=False).logits
    if alone and seen and _is_bare(head, seen[0], logits):
        return _head_loss().apply(seen[0], head.weight, head.bias, targets[wanted]), wanted
    if alone and seen:  # found out just now: what comes after the head must see all its logits
        with _only(head, wanted, one=False):
            logits = model(**inputs, use_cache=False).logits
    if logits.dim() == 3:  # the head was not reached through the module it is
        logits = logits[wanted]
    return _cross_entropies(logits, targets[wanted]), wanted


def find_out(model: Any, base: Any, batch: dict[str, "Tensor"]) -> None:
    """Learn how *base* treats its logits, before it is trained: to learn costs a forward pass."""
    import torch

    model.eval()
    with torch.inference_mode():
        loss_sum(model, base, batch)


def _aligned(base: Any, batch: dict[str, "Tensor"]) -> tuple[dict[str, "Tensor"], "Tensor"]:
    """Return what the model takes, and which token each position is to predict."""
    labels = batch["labels"]
    if base.config.is_encoder_decoder:
        return {name: tensor for name, tensor in batch.items() if name != "labels"}, labels
    targets = labels.roll(-1, dims=1)  # the token at t is predicted at t - 1
    targets[:, -1] = IGNORED
    # Padding stands on the right, where no real token looks; without a mask torch may take its
    # faster causal kernels.
    return {"input_ids": batch["input_ids"]}, targets


@contextmanager
def _only(head: Any, wanted: "Tensor", *, one: bool) -> Iterator[list["Tensor"]]:
    """Give *head* the hidden states where *wanted*, as (labels, hidden), while inside.

    With *one* it is given the first of them only; all are in the list that is yielded.
    """
    seen: list[Tensor] = []

    def select(_module: Any, inputs: tuple["Tensor", ...]) -> tuple["Tensor", ...] | None:
        hidden = inputs[0]
        if hidden.shape[:-1] != wanted.shape:
            return None
        seen.append(hidden[wanted])
        return (seen[0][:1] if one else seen[0], *inputs[1:])

    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield seen
    finally:
        if hook is not None:
            hook.remove()


def _may_stand_alone(head: Any) -> bool:
    """Tell whether *head* is a frozen matrix, and not known to be only a part of the way."""
    import torch

    frozen = type(head) is torch.nn.Linear and not head.weight.requires_grad
    return frozen and _bare.get(head, True)


def _is_bare(head: Any, hidden: "Tensor", logits: "Tensor") -> bool:
    """Tell, from one position, whether the model's logits are those of *head*; ask once."""
    import torch

    if head not in _bare and len(hidden):
        with torch.no_grad():
            _bare[head] = torch.equal(head(hidden[:1]), logits)
    return _bare.get(head, True)


def _cross_entropies(logits: "Tensor", targets: "Tensor") -> "Tensor":
    import torch

    exact = torch.promote_types(logits.dtype, torch.float32)
    return torch.nn.functional.cross_entropy(logits.to(exact), targets, reduction="none")


@cache
def _head_loss() -> Any:
    """Return the function from hidden states (labels, hidden) to the losses of a frozen head.

    The gradient of a label's loss by its logits is softmax minus one-hot; times the head it is the
    gradient by the hidden state, which is all that is kept until the way back. A label's loss
    depends on its own hidden state alone, so that any sum of them needs nothing else.
    """
    import torch

    class HeadLoss(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, hidden: "Tensor", weight: "Tensor", bias: "Tensor | None", targets: "Tensor"
        ) -> "Tensor":
            exact = torch.promote_types(weight.dtype, torch.float32)
            losses = hidden.new_empty(len(hidden), dtype=exact)
            slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
            size = max(1, LOGITS_AT_ONCE.get(hidden.device.type, 2**23) // len(weight))
            for start in range(0, len(hidden), size):
                part, at = hidden[start : start + size], targets[start : start + size, None]
                logits = torch.nn.functional.linear(part.to(weight.dtype), weight, bias).to(exact)
                highest = logits.amax(1, keepdim=True)
                said = logits.gather(1, at)
                total = logits.sub_(highest).exp_().sum(1, keepdim=True)
                losses[start : start + size] = (total.log() + highest - said)[:, 0]
                if slopes is not None:
                    p = logits.div_(total).scatter_add_(1, at, logits.new_full(at.shape, -1.0))
                    slopes[start : start + size] = p.to(weight.dtype) @ weight
            if slopes is not None:
                ctx.save_for_backward(slopes)
            return losses

        @staticmethod
        def backward(ctx: Any, *grads: "Tensor") -> tuple["Tensor", None, None, None]:
            (slopes,) = ctx.saved_tensors
            return slopes * grads[0].to(slopes.dtype)[:, None], None, None, None

    return HeadLoss
