"""What is sent for a row: one request a distinct prompt and draw, the same fields everywhere."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from empathy_core.backends.protocol import Request
from empathy_core.backends.reading import AnswerRules
from empathy_core.prompts.rendering import PromptTokens, Turns, digest_of_turns, turns
from empathy_core.types import Condition, Decoding, EngineSpec

MOST_SEED = 2**31 - 1
"""Servers differ in how large a seed may be; none refuses one of 31 bits."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt to be answered once.

    Attributes:
        rows: Places of the requests that get the answer; under greedy decoding equal prompts are
            asked once.
        prompt: Its token ids; null where the server renders it.
        messages: What the server renders; empty for ids.
        seed: Of the draw; null under greedy decoding, or where the server has none.
    """

    rows: tuple[int, ...]
    prompt: PromptTokens | None
    messages: Turns = ()
    seed: int | None = None

    @property
    def sha256(self) -> str:
        """Digest of what is sent."""
        if self.prompt is not None:
            return self.prompt.sha256
        return digest_of_turns(self.messages)

    @property
    def n_tokens(self) -> int:
        """Tokens of the prompt, for the budget: what is not counted is taken from its bytes."""
        if self.prompt is not None:
            return len(self.prompt.ids)
        return sum(len(text.encode()) for _, text in self.messages)  # never more tokens than bytes


def questions(
    condition: Condition,
    requests: Sequence[Request],
    prompts: Sequence[PromptTokens] | None,
    engine: EngineSpec,
) -> list[Question]:
    """Return what is asked for *requests*, in their order.

    Args:
        condition: Whose prompts and decoding they have.
        requests: The rows.
        prompts: Their rendered prompts; null where the server renders them.
        engine: What is asked.
    """
    sampled = condition.decoding.sample
    grouped: dict[object, list[int]] = {}
    for i, request in enumerate(requests):
        what = prompts[i].ids if prompts is not None else turns(condition, request.context)
        key = (what, request.example, request.sample) if sampled else what
        grouped.setdefault(key, []).append(i)
    found = []
    for rows in grouped.values():
        first = requests[rows[0]]
        prompt = prompts[rows[0]] if prompts is not None else None
        messages = () if prompt is not None else turns(condition, first.context)
        draw = seed_of(condition.decoding, first) if sampled and engine.seeds else None
        found.append(Question(tuple(rows), prompt, messages, draw))
    return found


def seed_of(decoding: Decoding, request: Request) -> int:
    """Return the seed of one row and sample: its own, whatever is asked beside it."""
    text = f"{decoding.seed}|{request.example}|{request.sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & MOST_SEED


def fields(decoding: Decoding, engine: EngineSpec, seed: int | None) -> dict[str, Any]:
    """Return how answers are to be made, as the protocol has it: what is usual is left out.

    Args:
        decoding: Of the condition.
        engine: What is asked.
        seed: Of the draw, if there is one.
    """
    found: dict[str, Any] = {"max_tokens": decoding.max_new_tokens, "temperature": 0.0}
    if decoding.sample:
        found["temperature"] = float(decoding.temperature)
        if "top_p" in engine.takes:
            found["top_p"] = float(decoding.top_p)
        if "top_k" in engine.takes:
            found["top_k"] = decoding.top_k or -1
    if decoding.min_new_tokens:
        found["min_tokens"] = decoding.min_new_tokens
    if decoding.repetition_penalty != 1.0:
        found["repetition_penalty"] = float(decoding.repetition_penalty)
    if seed is not None:
        found["seed"] = seed
    return found | guided_fields(decoding.schema, engine)


def guided_fields(schema: str, engine: EngineSpec) -> dict[str, Any]:
    """Return what holds an answer to a JSON schema; nothing where the server cannot be told."""
    if not schema or engine.guided is None:
        return {}
    asked = json.loads(schema)
    if engine.guided == "json_schema":
        return {"json_schema": asked}
    named = {"name": "answer", "schema": asked, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def token_fields(rules: AnswerRules, engine: EngineSpec) -> dict[str, Any]:
    """Return where answers to token ids end: at the suite's ends and nowhere else."""
    found: dict[str, Any] = {}
    if engine.returns_tokens:
        found |= {"return_token_ids": True, "ignore_eos": True, "stop_token_ids": [*rules.ends]}
    # a text within a thought ends nothing, and only the suite tells thoughts apart
    if rules.texts and rules.reasoning is None:
        found["stop"] = list(rules.texts)
    return found
