"""What a model is shown that proposes instructions: the parent's, and its worst replies. Pure.

The instruction of the proposer ships as a prompt, ``proposer_<number>.toml``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.prompts.instructions import instruction_of
from empathy_core.types import Prompt

TEMPLATE = Path(__file__).parent / "proposer_1.toml"
"""Of the proposer; the next wording is a file beside it."""
MESSAGE_WORDS, REPLY_WORDS = 120, 90
"""Of each message and reply that is shown; a small model's context must hold some of them."""


@dataclass(frozen=True, slots=True)
class WorstRow:
    """A validation row that the parent prompt answered badly.

    Attributes:
        score: Of the column by which rows are ordered, as printed.
    """

    example: str
    message: str
    reply: str
    score: str


def dealt(worst: Sequence[WorstRow], n_proposals: int, shown: int) -> list[tuple[WorstRow, ...]]:
    """Return the rows that each proposal is shown: *shown* of the worst, in turn."""
    size = min(shown, len(worst))
    return [
        tuple(worst[(k * size + i) % len(worst)] for i in range(size)) for k in range(n_proposals)
    ]


def brief(parent: Prompt, rows: Sequence[WorstRow], number: int, called: str) -> str:
    """Return what the proposer reads for one proposal.

    Args:
        parent: Whose instruction is to be replaced.
        rows: What is shown.
        number: Of the proposal; no two briefs of a refinement are equal.
        called: What the scores are of, with their direction.
    """
    said = instruction_of(parent) or "(none: the model sees the message alone)"
    lines = [f"Version {number} is asked for.", "", "Instruction in use:", said]
    for i, row in enumerate(rows, start=1):
        lines += [
            "",
            f"Message {i}: {_short(row.message, MESSAGE_WORDS)}",
            f"Reply {i}: {_short(row.reply, REPLY_WORDS)}",
            f"{called} of reply {i}: {row.score}",
        ]
    return "\n".join(lines)


def _short(text: str, most: int) -> str:
    words = text.split()
    return " ".join(words[:most]) + (" \N{HORIZONTAL ELLIPSIS}" if len(words) > most else "")
