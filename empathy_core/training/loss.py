"""The loss of a batch, with logits only where there is a label.

A language head of 32,000 to 256,000 rows costs more than the layers below it in small models,
and its logits more memory in all of them. Prompts and padding have no label, so the head is
given the hidden states of the other positions only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from empathy_core.training.spec import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


def loss_sum(model: Any, base: Any, batch: dict[str, "Tensor"]) -> "Tensor":
    """Return the sum, in float32 or finer, of the cross-entropies of all labels of *batch*.

    Args:
        model: What is called; may wrap *base*, for adapters and for several processes.
        base: The transformers model.
        batch: ``input_ids``, ``attention_mask`` and ``labels``, padded on the right.
    """
    labels = batch["labels"]
    if base.config.is_encoder_decoder:
        starts = base.prepare_decoder_input_ids_from_labels(labels=labels)
        inputs = {
            "input_ids": batch["input_ids"],
            "attention_mask": batch["attention_mask"],
            "decoder_input_ids": starts,
        }
        targets = labels
    else:
        # Padding stands on the right, where no real token looks; without a mask torch may
        # take its faster causal kernels.
        inputs = {"input_ids": batch["input_ids"]}
        targets = labels.roll(-1, dims=1)  # the token at t is predicted at t - 1
        targets[:, -1] = IGNORED
    wanted = targets != IGNORED  # (rows, tokens)
    with _only(base.get_output_embeddings(), wanted):
        logits = model(**inputs, use_cache=False).logits
    if logits.dim() == 3:  # the head was not reached through the module it is
        logits = logits[wanted]
    return _cross_entropy_sum(logits, targets[wanted])


@contextmanager
def _only(head: Any, wanted: "Tensor") -> Iterator[None]:
    """Give *head* the hidden states where *wanted*, as (labels, hidden), while inside."""

    def select(_module: Any, inputs: tuple["Tensor", ...]) -> tuple["Tensor", ...] | None:
        hidden = inputs[0]
        return (hidden[wanted], *inputs[1:]) if hidden.shape[:-1] == wanted.shape else None

    hook = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def _cross_entropy_sum(logits: "Tensor", targets: "Tensor") -> "Tensor":
    import torch

    if torch.is_grad_enabled():
        return _cross_entropy().apply(logits, targets)  # type: ignore[no-any-return]
    exact = torch.promote_types(logits.dtype, torch.float32)
    return torch.nn.functional.cross_entropy(logits.to(exact), targets, reduction="sum")


@cache
def _cross_entropy() -> Any:
    """Return the function; its gradient, softmax minus one-hot, is made in the place of the loss.

    torch's own keeps the log-probabilities and makes two more tensors of (labels, vocabulary)
    on the way back; this keeps one, in the dtype of the logits.
    """
    import torch

    class CrossEntropySum(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: "Tensor", targets: "Tensor") -> "Tensor":
            exact = torch.promote_types(logits.dtype, torch.float32)
            log_p = torch.log_softmax(logits, dim=-1, dtype=exact)
            at = targets.unsqueeze(1)
            loss = -log_p.gather(1, at).sum()
            slope = log_p.exp_().scatter_add_(1, at, log_p.new_full(at.shape, -1.0))
            ctx.save_for_backward(slope.to(logits.dtype))
            return loss

        @staticmethod
        def backward(ctx: Any, *grads: "Tensor") -> tuple["Tensor", None]:
            (slope,) = ctx.saved_tensors
            return slope.mul_(grads[0].to(slope.dtype)), None

    return CrossEntropySum
