"""The suite's greedy ids of a tiny model, and those of plain transformers for the same prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from empathy_core import backends
from empathy_core.backends import Request, hf
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec

QUESTIONS = (
    "I feel sad.",
    "How can I sleep better? I am afraid at work, and I do not know whom to tell.",
    "Thank you.",
    "My partner left me, and I am anxious.",
)
"""Of unlike length: a batch of them is padded."""

N_NEW = 12


def spec(folder: Path, architecture: str = "decoder", **settings: Any) -> ModelSpec:
    """Return the settings of a model in a folder."""
    return ModelSpec("tiny", "Tiny", "hf", architecture, str(folder), **settings)  # type: ignore[arg-type]


def condition(model: ModelSpec) -> Condition:
    """Return a condition without instructions, greedy."""
    return Condition(model, prompt("none"), Decoding(max_new_tokens=N_NEW))


def ours(
    model: ModelSpec, *, alone: bool = False
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the ids of the prompts and of the answers, as the suite makes them.

    In one batch, or each *alone* where the arithmetic of a layer sees the whole batch.
    """
    backend: Any = backends.load(model)
    assert isinstance(backend, hf.HfBackend)
    asked = condition(model)
    rows = backend._rows(asked, requests())
    batches = [[one] for one in requests()] if alone else [requests()]
    answers = [a.output_ids for batch in batches for a in backend.answer(asked, batch)]
    return [row.prompt.ids for row in rows], answers


def requests() -> list[Request]:
    """Return one request for each question."""
    return [Request(str(i), 0, question) for i, question in enumerate(QUESTIONS)]


def plain(folder: Path, architecture: str = "decoder", **settings: Any) -> Any:
    """Return the model in *folder* as plain transformers loads it."""
    kind = AutoModelForCausalLM if architecture == "decoder" else AutoModelForSeq2SeqLM
    return kind.from_pretrained(folder, device_map={"": "cpu"}, **settings)


def theirs(model: Any, prompts: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return what ``generate`` of transformers or peft answers to each prompt alone."""
    found = []
    seq2seq = model.config.is_encoder_decoder
    for ids in prompts:
        given = torch.tensor([list(ids)])
        output = model.eval().generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=N_NEW,
            do_sample=False,
        )
        found.append(tuple(output[0, 1 if seq2seq else given.shape[1] :].tolist()))
    return found
