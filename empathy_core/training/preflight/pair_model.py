"""The preflight of preference pairs with the model: what the base thinks, and whether tuning moves.

An adapter is thrown away, and the base is left as it was.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from empathy_core.training.loop import reference
from empathy_core.training.loop.machine import precision
from empathy_core.training.loop.objective import Whole
from empathy_core.training.loop.preference import PreferenceObjective
from empathy_core.training.preflight.overfit import temporary_adapter
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, PreferenceRow

PAIR_MODEL_NAMES = ("pairs-base-prefers", "pairs-stuck")
"""What is asked of pairs and base."""

_LOOKED_AT, _ENOUGH, _PREFERS = 32, 10, 0.9
_TRIED, _STEPS, _RATE, _MAX_NORM = 4, 12, 1e-2, 1.0
_MOVED, _EQUAL = 0.9, 1e-2
"""Share of log 2 below which the loss must come, and how near to it it must begin."""


def check_pair_model(
    model: Any, spec: FinetuneSpec, rows: Sequence[PreferenceRow], pad: int
) -> list[Finding]:
    """Return one finding of each of ``PAIR_MODEL_NAMES``, in that order.

    Args:
        model: The base as ``load_model`` gives it, without an adapter.
        spec: Under which the tuning goes: ``FinetuneSpec.on_pairs``.
        rows: Pairs that are trained on.
        pad: Token that fills a batch.
    """
    encoder_decoder = spec.base.is_encoder_decoder
    tuning = spec.preference
    if tuning is None:
        raise ValueError(f"{spec.name} is not tuned on pairs")
    # a small beta would ask for more steps, and tells nothing of rows and reference
    own = replace(tuning.settings, sft_weight=0.0, beta=max(tuning.settings.beta, 1.0))
    objective = PreferenceObjective(own, pad, encoder_decoder)
    known = reference.take(objective, model, spec, rows[:_LOOKED_AT])
    looked_at = reference.with_reference(rows[:_LOOKED_AT], known)
    tried = sorted(looked_at, key=objective.size)[:_TRIED]
    with temporary_adapter(model, spec):
        losses = _losses(model, spec, objective, tried)
    return [_base_prefers(looked_at), _stuck(losses)]


def _base_prefers(rows: Sequence[PreferenceRow]) -> Finding:
    """Tell whether the base finds nearly every chosen reply more probable, token by token."""
    each = [_per_token(row) for row in rows]
    n, chosen = len(each), sum(a > b for a, b in each)
    lengths = [_n_labels(row)[0] - _n_labels(row)[1] for row in rows]
    evidence = (
        f"the base finds the chosen reply more probable per token in {chosen} of {n} pairs; it is "
        f"{sum(lengths) / max(n, 1):+.1f} tokens longer on average"
    )
    if n < _ENOUGH or chosen < _PREFERS * n:
        return Finding("pairs-base-prefers", ok=True, evidence=evidence)
    return Finding(
        "pairs-base-prefers",
        ok=False,
        evidence=evidence,
        remedy=(
            "look whether chosen and rejected are reversed: a model's own answers are the more "
            "probable ones to it; if they are not, the base has this preference already"
        ),
    )


def _n_labels(row: PreferenceRow) -> tuple[int, int]:
    chosen, rejected = (
        sum(label != IGNORED for label in side.labels) for side in (row.chosen, row.rejected)
    )
    return max(chosen, 1), max(rejected, 1)


def _per_token(row: PreferenceRow) -> tuple[float, float]:
    chosen, rejected = row.reference or (0.0, 0.0)
    n_chosen, n_rejected = _n_labels(row)
    return chosen / n_chosen, rejected / n_rejected


def _losses(
    model: Any, spec: FinetuneSpec, objective: PreferenceObjective, rows: Sequence[PreferenceRow]
) -> list[float]:
    """Return the loss of a few pairs before each of a few large steps."""
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.0)
    batch, micro = objective.batch(rows)
    tensors = {name: tensor.to(model.device) for name, tensor in batch.items()}
    losses: list[float] = []
    for _ in range(_STEPS):
        optimizer.zero_grad()
        with precision(spec.base.dtype, model.device.type):
            part = objective.part(model, model, tensors, Whole(len(rows), micro.n_labels))
        losses.append(float(part.loss.detach()))
        if losses[-1] < _MOVED * math.log(2) or not math.isfinite(losses[-1]):
            break
        part.loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, _MAX_NORM)
        optimizer.step()
    return losses


def _stuck(losses: Sequence[float]) -> Finding:
    """Tell whether the loss begins at log 2, as policy and reference are one, and then falls."""
    first, last = losses[0], losses[-1]
    evidence = f"loss {first:.4f} before, {last:.4f} after {len(losses) - 1} large steps"
    if abs(first - math.log(2)) <= _EQUAL and last < _MOVED * math.log(2):
        return Finding("pairs-stuck", ok=True, evidence=evidence)
    return Finding(
        "pairs-stuck",
        ok=False,
        evidence=f"{evidence}; expected log 2 = {math.log(2):.4f}, and then less",
        remedy=(
            "the reference follows the policy, or is of another model or other rows: take stored "
            "references of the model that the tuning starts from"
        ),
    )
