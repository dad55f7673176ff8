"""What a stage tells whoever runs it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step forward.

    Attributes:
        rows: Rows answered, batches scored, steps trained.
        tokens: Made.
        kept: Whether what has been done survives the end of this process: it stands in a journal,
            a piece or a checkpoint.
    """

    rows: int
    tokens: int = 0
    kept: bool = True


Listener = Callable[[Progress], bool | None]
"""Told of every step forward; answers true where the work is to save its state and end."""


class Saved(Exception):
    """The work has saved its state and ended before it was done, as its listener asked."""
