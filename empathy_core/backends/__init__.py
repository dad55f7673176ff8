"""Backends: what turns a question into an answer. One file each.

A backend takes one batch of requests and returns one answer each, in order. It knows nothing of
blocks, shards, files or Slurm; the caller decides what forms a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from empathy_core.errors import ModelError
from empathy_core.types import Condition, ModelSpec


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be made.

    Attributes:
        example: Id of the example; keys the noise under sampling.
        sample: Number of the sample, from 0.
        context: The question.
    """

    example: str
    sample: int
    context: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One generated answer; the fields are those of ``store.GENERATIONS``.

    Attributes:
        thought: What a reasoning model wrote before its answer; never scored.
    """

    text: str
    stop: Literal["eos", "length", "none"]
    prompt_sha256: str = ""
    n_prompt_tokens: int = 0
    n_output_tokens: int = 0
    n_special_tokens: int = 0
    prompt_truncated: bool = False
    output_ids: tuple[int, ...] = ()
    thought: str = ""
    n_thought_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the planner learns when all prompts of a condition are rendered.

    Attributes:
        digest: Of all rendered token ids, in order of the examples.
        first: The first prompt as the model sees it, special tokens included.
        preamble: Text that the chat template adds by itself and that was kept; empty if none.
        notes: What was done to the prompts so that an answer can follow them.
        template_digest: SHA-256 of the chat template; empty where none is used.
        max_prompt_tokens: Length of the longest prompt.
        context_window: The model's limit of prompt and answer together; null if it has none.
        overlong: Ids of the examples whose prompt and answer do not fit.
        n_special_in_text: Examples whose text holds a special token's spelling.
    """

    digest: str
    first: str
    preamble: str = ""
    notes: tuple[str, ...] = ()
    template_digest: str = ""
    max_prompt_tokens: int = 0
    context_window: int | None = None
    overlong: tuple[str, ...] = ()
    n_special_in_text: int = 0


class BackendProtocol(Protocol):
    """What a loaded backend offers."""

    @property
    def halvings(self) -> int:
        """How often the micro-batch was halved after running out of memory."""
        ...

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer one batch; under greedy decoding equal prompts are generated once."""
        ...


def load(model: ModelSpec, overlong: Literal["error", "truncate"] = "error") -> BackendProtocol:
    """Load what answers for *model*; slow, and takes the memory of its weights.

    Args:
        model: With backend ``hf`` or ``echo``; the others' answers exist already.
        overlong: ``truncate`` cuts questions that do not fit the context window.

    Raises:
        ModelError: The weights cannot be used here.
    """
    if model.backend == "echo":
        from empathy_core.backends.echo import EchoBackend

        return EchoBackend(model)
    if model.backend == "hf":
        from empathy_core.backends.hf import load as load_hf

        return load_hf(model, overlong)
    msg = (
        f"model '{model.name}' has backend '{model.backend}', which generates nothing; expected "
        "hf or echo; its answers are written when the sweep is planned"
    )
    raise ModelError(msg)


def render(
    condition: Condition,
    examples: Sequence[tuple[str, str]],
    overlong: Literal["error", "truncate"] = "error",
) -> Rendering:
    """Render the prompts of *condition* for all examples (pairs of id and question).

    Needs the model's tokenizer, not its weights. Without a tokenizer only ``first`` is filled.

    Raises:
        ModelError: The tokenizer is absent, or cannot render the prompt.
    """
    if condition.model.backend != "hf" or condition.model.weights is None:
        return Rendering(digest="", first=condition.prompt.plain(examples[0][1]))
    from empathy_core import weights
    from empathy_core.backends import rendering

    folder = weights.locate(condition.model.weights, condition.model.revision)
    return rendering.render(condition, folder, examples, overlong)
