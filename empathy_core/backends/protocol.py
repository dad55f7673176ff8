"""What a backend takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from empathy_core.conversation import Context
from empathy_core.types import Condition


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be made.

    Attributes:
        example: Id of the example; keys the noise under sampling.
        sample: Number of the sample, from 0.
        context: The question, or the conversation that ends in it.
    """

    example: str
    sample: int
    context: Context


@dataclass(frozen=True, slots=True)
class Answer:
    """One generated answer; the fields are those of ``store.GENERATIONS``.

    Attributes:
        thought: What a reasoning model wrote before its answer; never scored.
    """

    text: str
    stop: Literal["eos", "length", "none", "filter"]
    prompt_sha256: str = ""
    n_prompt_tokens: int = 0
    n_output_tokens: int = 0
    n_special_tokens: int = 0
    prompt_truncated: bool = False
    output_ids: tuple[int, ...] = ()
    thought: str = ""
    n_thought_tokens: int = 0


class BackendProtocol(Protocol):
    """What a loaded backend offers."""

    @property
    def halvings(self) -> int:
        """How often the micro-batch was halved after running out of memory."""
        ...

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer one batch; under greedy decoding equal prompts are generated once."""
        ...

    def close(self) -> None:
        """Let go of what was loaded."""
        ...
