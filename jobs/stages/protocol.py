"""What a stage tells whoever runs it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step forward: rows answered (batches scored, steps trained), and tokens made."""

    rows: int
    tokens: int = 0


Listener = Callable[[Progress], bool | None]
"""Told of every step forward; answers true where the work is to save its state and end."""


class Saved(Exception):
    """The work has saved its state and ended before it was done, as its listener asked."""
