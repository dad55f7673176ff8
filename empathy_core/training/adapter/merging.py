"""An adapter merged into its base, at full precision, for use without peft.

How far the merged model is from the adapter is measured on what was written, read again from the
disk: against the adapter on the whole base, which bounds it, and on the base as it was trained and
evaluated, quantised or rounded.
"""

import gc
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_core import weights
from empathy_core.backends.loading import load_model, with_adapter
from empathy_core.conversation import Context
from empathy_core.errors import ModelError
from empathy_core.prompts.rendering import Renderer, context_window
from empathy_core.prompts.stops import end_tokens
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.store import whole_folder, write_bytes, write_json
from empathy_core.store.modes import set_mode
from empathy_core.training.adapter import card
from empathy_core.types import Condition, ModelSpec
from empathy_core.weights import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

RECORD, CARD = "merge.json", "README.md"

NEW_TOKENS = 16
"""Tokens after each prompt at which logits are compared."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two models are from each other, over all compared positions.

    Attributes:
        largest: Of any logit's absolute difference.
        mean: Of all logits' absolute differences.
        equal_tokens: Share of positions with the same most probable token.
        positions: How many were compared.
    """

    largest: float
    mean: float
    equal_tokens: float
    positions: int

    def text(self) -> str:
        """Return it for a terminal."""
        return (
            f"logits differ by up to {self.largest:.2g}, on average {self.mean:.2g}; the most "
            f"probable token is the same at {self.equal_tokens:.1%} of {self.positions} positions"
        )


@dataclass(frozen=True, slots=True)
class MergeReport:
    """A merged model.

    Attributes:
        exact: Between merged model and adapter on the whole base; at most ``bound``.
        as_evaluated: Between merged model and adapter on the base as it is evaluated; null if that
            is the whole one in float32.
        untied: Whether head and embedding were one matrix and are two in the merged model.
    """

    folder: Path
    bound: float
    exact: Distance
    as_evaluated: Distance | None
    untied: bool = False

    def text(self) -> str:
        """Return both distances for a terminal."""
        lines = [
            f"against the adapter on the whole base: {self.exact.text()}; bound {self.bound:g}"
        ]
        if self.as_evaluated:
            distance = self.as_evaluated.text()
            lines.append(f"against the adapter on its base as evaluated: {distance}")
        if self.untied:
            lines.append(
                "head and embedding are one matrix in the base, and the adapter changes one of "
                "them: the merged model keeps two (tie_word_embeddings = false)"
            )
        return "\n".join(lines)


def rendered(condition: Condition, contexts: Sequence[Context]) -> list[tuple[int, ...]]:
    """Return the prompts to *contexts* as the evaluation renders them, cut where too long.

    Raises:
        ModelError: Weights or tokenizer are absent, or cannot render the prompt.
    """
    from transformers import AutoConfig

    folder = weights.locate(str(condition.model.weights), condition.model.revision)
    tokenizer = tokenizer_of(condition.model)
    window = context_window(AutoConfig.from_pretrained(folder), tokenizer)
    renderer = Renderer(condition, tokenizer, window, "truncate")
    return [prompt.ids for prompt in renderer.prompts(contexts)]


def merge(
    model: ModelSpec, out: Path, prompts: Sequence[Sequence[int]], bound: float = 1e-2
) -> MergeReport:
    """Merge the adapter of *model* into its base, and return how far the result is from it.

    *out* appears by one rename, with weights, tokenizer, generation settings and a card, or not
    at all. It is merged and saved in float32, whatever *model* is evaluated in: bfloat16 rounds a
    small update away. The models are loaded one after the other.

    Args:
        model: A base with an adapter, as it is evaluated.
        out: A folder that is not there yet.
        prompts: Token ids of a few real prompts; see ``rendered``.
        bound: Largest distance of any logit to the adapter on the whole base.

    Raises:
        ModelError: There is no adapter, *out* exists, or the distance is beyond *bound*.
    """
    _check(model, out, prompts)
    folder = weights.locate(str(model.weights), model.revision)
    _check_whole(model, folder)
    whole = replace(model, quantization=None, double_quantization=False, dtype="float32")
    with whole_folder(out.absolute()) as made:
        rows, adapted, untied = _adapted(whole, folder, made, prompts)
        plain = replace(whole, weights=str(made), revision=None, adapter=None, tokenizer=None)
        merged = _logits(load_model(plain, made), rows)
        exact = _distance(adapted, merged)
        if not exact.largest <= bound:
            raise ModelError(_beyond(model, exact, bound, untied=untied))
        evaluated = None
        if replace(model, double_quantization=False) != whole:
            evaluated = _distance(_logits(load_model(model, folder), rows), merged)
        report = MergeReport(out, bound, exact, evaluated, untied)
        _finish(made, model, report)
    return report


def _check(model: ModelSpec, out: Path, prompts: Sequence[Sequence[int]]) -> None:
    if not model.adapter:
        msg = f"{model.name} has no adapter; expected one to merge; set 'adapter' of this model"
        raise ModelError(msg)
    if out.exists():
        msg = f"{out} exists; expected a new folder; choose another --out, or delete it"
        raise ModelError(msg)
    if not prompts:
        msg = f"{model.name}: no prompts to compare the merged model on; expected at least one"
        raise ModelError(msg)


def _check_whole(model: ModelSpec, folder: Path) -> None:
    stored = checkpoint.stored_in(folder, model.name)
    if stored is not None:
        msg = (
            f"{model.name}: '{model.weights}' is quantised already ({stored.label}), and an "
            "adapter is merged into whole weights; expected the checkpoint that it was made of; "
            "set 'weights' to that, with options = { adapter_base = … } for the adapter"
        )
        raise ModelError(msg)


def _beyond(model: ModelSpec, exact: Distance, bound: float, *, untied: bool) -> str:
    shared = (
        "the adapter changes one of head and embedding, which are one matrix in this base: use it "
        "unmerged, "
        if untied
        else ""
    )
    return (
        f"{model.name}: merged model and adapter differ by up to {exact.largest:.3g} in a logit "
        f"({exact.equal_tokens:.1%} of the tokens equal); expected at most {bound:g}; nothing was "
        f"written; {shared}check that base and adapter belong together, or raise --bound"
    )


# ---------------------------------------------------------------------------- models


@dataclass(frozen=True, slots=True)
class _GeneratedRow:
    """A prompt, and the tokens that the adapted model answers it with.

    Attributes:
        start: The token that an encoder-decoder's decoder begins with; null for a decoder.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    start: int | None


def _adapted(
    whole: ModelSpec, folder: Path, made: Path, prompts: Sequence[Sequence[int]]
) -> tuple[list[_GeneratedRow], list["Tensor"], bool]:
    """Answer the prompts with the adapter on its whole base, then merge it and save that.

    The last value tells whether head and embedding had to become two matrices.
    """
    tokenizer = tokenizer_of(whole)
    base = load_model(replace(whole, adapter=None), folder)
    ends_of_base = base.get_output_embeddings(), base.get_input_embeddings()
    tuned = with_adapter(base, whole, folder).eval()
    ends = end_tokens(base.generation_config, base.config, tokenizer)
    rows = [_answered(base, prompt, ends) for prompt in prompts]
    logits = _logits(base, rows)
    untied = _untie(base, *ends_of_base)
    merged = tuned.merge_and_unload(safe_merge=True)
    merged.save_pretrained(made)
    tokenizer.save_pretrained(made)
    del base, tuned, merged, ends_of_base
    gc.collect()
    return rows, logits, untied


def _untie(base: Any, head: Any, embedding: Any) -> bool:
    """Give the head a matrix of its own, if an adapter would change one of two that are one.

    Merged into the one that they share, an update of the head would change what is read, too, and
    one of the embedding what is said.

    Args:
        base: Inside an adapter.
        head: Its own head, before the adapter.
        embedding: Its own embedding, before the adapter.
    """
    import torch

    if head is None or head.weight is not embedding.weight:
        return False
    if base.get_output_embeddings() is head and base.get_input_embeddings() is embedding:
        return False
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    for config in (base.config, base.config.get_text_config()):
        config.tie_word_embeddings = False
    return True


def _answered(model: Any, prompt: Sequence[int], ends: Sequence[int]) -> _GeneratedRow:
    """Return the prompt with its most probable continuation, the end token included."""
    import torch

    ids = torch.tensor([list(prompt)], device=model.device)
    with torch.inference_mode():
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=1,
            max_new_tokens=NEW_TOKENS,
            eos_token_id=list(ends),
            pad_token_id=ends[0],
        )
    if not model.config.is_encoder_decoder:
        return _GeneratedRow(tuple(prompt), tuple(found[0, len(prompt) :].tolist()), None)
    start, *answer = found[0].tolist()
    return _GeneratedRow(tuple(prompt), tuple(answer), start)


def _logits(model: Any, rows: Sequence[_GeneratedRow]) -> list["Tensor"]:
    """Return, for each row, logits of shape (answer tokens, vocabulary) in float32 on the CPU."""
    import torch

    with torch.inference_mode():
        return [_row_logits(model, row).float().cpu() for row in rows]


def _row_logits(model: Any, row: _GeneratedRow) -> "Tensor":
    import torch

    def tensor(ids: Sequence[int]) -> "Tensor":
        return torch.tensor([list(ids)], device=model.device)

    n = len(row.answer)
    if row.start is not None:
        read = tensor([row.start, *row.answer[:-1]])
        found = model(input_ids=tensor(row.prompt), decoder_input_ids=read).logits[0]
    else:  # the logits at one place are for the next
        found = model(input_ids=tensor([*row.prompt, *row.answer])).logits[0, -n - 1 : -1]
    return found  # type: ignore[no-any-return]


def _distance(one: Sequence["Tensor"], other: Sequence["Tensor"]) -> Distance:
    import torch

    a, b = torch.cat(list(one)), torch.cat(list(other))
    apart = (a - b).abs()
    return Distance(
        largest=float(apart.max()),
        mean=float(apart.mean()),
        equal_tokens=float((a.argmax(1) == b.argmax(1)).float().mean()),
        positions=len(a),
    )


# ---------------------------------------------------------------------------- the folder


def _finish(made: Path, model: ModelSpec, report: MergeReport) -> None:
    """Write card and record, and make what transformers wrote durable and the owner's alone."""
    adapter = weights.locate(str(model.adapter), model.adapter_revision)
    record = weights.recorded(adapter) or {}
    merged = {
        "adapter": record.get("name", adapter.name),
        "finetune": record.get("digest"),
        "weights": model.weights,
        "revision": model.revision,
        "dtype": "float32",
        "untied": report.untied,
        "bound": report.bound,
        "exact": asdict(report.exact),
        "as_evaluated": asdict(report.as_evaluated) if report.as_evaluated else None,
    }
    write_json(merged, made / RECORD)
    write_bytes(card.merged_card(model, merged, report.text()).encode(), made / CARD)
    for path in made.iterdir():
        set_mode(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
