"""How attention is computed is a setting of the model, and part of a condition if it is given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from empathy_core import backends, prompts
from empathy_core.backends import Request
from empathy_core.errors import ModelError
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.tiny_models import tiny_llama


def test_attention_is_the_one_that_is_asked_for(tmp_path: Path):
    """In float32 both give the same ids; their conditions are two."""
    model = ModelSpec("m", "M", "hf", "decoder", str(tiny_llama(tmp_path / "llama")))
    made, ids = {}, set()
    for attention in (None, "eager", "sdpa"):
        spec = replace(model, attention=attention)
        backend: Any = backends.load(spec)
        condition = Condition(spec, prompts.prompt("none"), Decoding(max_new_tokens=8))
        answers = backend.answer(condition, [Request("q", 0, "Why am I sad?")])
        made[attention] = (backend._model.config._attn_implementation, answers)
        ids.add(condition.id)

    assert made["eager"][0] == "eager"
    assert made["sdpa"][0] == made[None][0] == "sdpa"
    assert made["eager"][1] == made["sdpa"][1] == made[None][1]
    assert len(ids) == 3


def test_attention_that_is_not_installed_is_told(tmp_path: Path):
    folder = tiny_llama(tmp_path / "llama")
    model = ModelSpec("m", "M", "hf", "decoder", str(folder), attention="flash_attention_2")

    with pytest.raises(ModelError, match="cannot be loaded"):
        backends.load(model)
