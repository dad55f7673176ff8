"""Which tokenizer a model is asked through, and whether another one lies beside its adapter."""

import json
from pathlib import Path
from typing import Any

from empathy_core import weights
from empathy_core.errors import ModelError, first_line
from empathy_core.types import ModelSpec
from empathy_core.weights.peft_adapters import Adapter


def tokenizer_of(model: ModelSpec) -> Any:
    """Return the tokenizer that *model* is asked through, its chat template with it.

    Raises:
        ModelError: There is none, or it needs code of its own.
    """
    return load_tokenizer(weights.tokenizer_folder(model))


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer in *folder*.

    Raises:
        ModelError: There is none, or it needs code of its own.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a damaged file breaks its reader anywhere, with any exception
        reason = first_line(error)
        msg = (
            f"{folder} has no tokenizer that can be loaded ({reason[:160]}); "
            "expected tokenizer.json beside the weights; save the tokenizer there with "
            "save_pretrained (code shipped with a model is never run)"
        )
        raise ModelError(msg) from error


def check_beside(model: ModelSpec, adapter: Adapter, folder: Path) -> None:
    """Refuse to choose between two tokenizers: the model's settings must say which.

    Args:
        model: What is asked for.
        adapter: Its adapter.
        folder: Where its weights lie.

    Raises:
        ModelError: The tokenizer beside the adapter is another than the base's, and *model* does
            not say which of them it is asked through.
    """
    if model.tokenizer is not None or not adapter.has_tokenizer:
        return
    unlike = differences(load_tokenizer(folder), load_tokenizer(adapter.folder), model)
    if not unlike:
        return
    msg = (
        f"{model.name}: the tokenizer beside adapter {adapter.folder} differs from the one of "
        f"'{model.weights}' in its {' and '.join(unlike)}; expected to be told which one prompts "
        'go through; set tokenizer = "adapter" if the adapter was trained with its own, or '
        f'tokenizer = "{model.weights}" for the base\'s'
    )
    raise ModelError(msg)


def differences(base: Any, other: Any, model: ModelSpec) -> list[str]:
    """Return in what two tokenizers differ that changes a prompt or an answer of *model*."""
    found = []
    if _vocabulary(base) != _vocabulary(other):
        found.append("vocabulary")
    if _splitting(base) != _splitting(other):
        found.append("way to split texts")
    special = ("bos_token", "eos_token", "unk_token")
    if [getattr(base, t) for t in special] != [getattr(other, t) for t in special]:
        found.append("special tokens")
    if model.chat_template and base.chat_template != other.chat_template:
        found.append("chat template")
    return found


def _vocabulary(tokenizer: Any) -> dict[str, int]:
    return dict(tokenizer.get_vocab())


def _splitting(tokenizer: Any) -> object:
    """Return all else that makes ids of a text; cutting and padding are settings of a training."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return type(tokenizer).__name__
    settings = json.loads(backend.to_str())
    for absent in ("truncation", "padding", "added_tokens"):
        settings.pop(absent, None)
    settings.get("model", {}).pop("vocab", None)
    return settings
