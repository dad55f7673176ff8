"""Ids and the embedding: a token without a row cannot be read by the model."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec
from empathy_core.weights import checkpoint, peft_adapters


def rows_of(model: Any) -> int:
    """Return how many rows the embedding of a model has."""
    return int(model.get_input_embeddings().weight.shape[0])


def fill_token(tokenizer: Any, rows: int) -> int:
    """Return the token that fills up the rows of a batch; no score sees it.

    The tokenizer's own, where it has a row: one that was added later than the weights has none.
    """
    wanted = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in wanted if token is not None and token < rows)


def check_inside(name: str, tokenizer: Any, prompts: Iterable[Sequence[int]], rows: int) -> None:
    """Refuse prompts with tokens beyond the embedding.

    Args:
        name: Of the model.
        tokenizer: What the prompts were rendered with.
        prompts: Their ids.
        rows: Of the embedding.

    Raises:
        ModelError: A token has no row.
    """
    beyond = sorted({token for prompt in prompts for token in prompt if token >= rows})
    if not beyond:
        return
    named = ", ".join(f"{tokenizer.convert_ids_to_tokens(t)!r} ({t})" for t in beyond[:3])
    msg = (
        f"{name}: prompts hold tokens that the model has no row for: {named}; its embedding has "
        f"{rows} rows; expected a tokenizer that belongs to the weights; correct 'tokenizer' or "
        "'weights', or take the tokens out of the chat template"
    )
    raise ModelError(msg)


def check_planned(
    model: ModelSpec, folder: Path, tokenizer: Any, prompts: Sequence[Sequence[int]]
) -> None:
    """Refuse such prompts before any weight is loaded.

    Args:
        model: What is asked for.
        folder: Where its weights lie.
        tokenizer: What the prompts were rendered with.
        prompts: Their ids.

    Raises:
        ModelError: A token has no row.
    """
    config = checkpoint.read_config(folder, model.name)
    rows = getattr(config.get_text_config(), "vocab_size", None)
    highest = max(map(max, prompts))
    if rows is None or highest < rows:
        return
    bones = checkpoint.skeleton(folder, model.name) if _is_there(model) else None
    if bones is not None:  # its adapter may bring rows along
        rows = peft_adapters.embedding_rows(peft_adapters.read_adapter(model), bones) or rows
    check_inside(model.name, tokenizer, prompts, rows)


def _is_there(model: ModelSpec) -> bool:
    """Tell whether the model has an adapter that is not yet to be trained."""
    name = model.adapter
    return name is not None and (not Path(name).is_absolute() or Path(name).is_dir())
