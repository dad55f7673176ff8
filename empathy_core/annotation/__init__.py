"""People's ratings: which answers are shown to whom, what they said, and where both are kept.

A round is one drawing of questions, the packets made of it, and what came back. It lies in the
run, under ``annotation/<round>/``, and is never changed by a sweep.
"""

from empathy_core.annotation.frames import KEY, RATINGS, SAMPLE
from empathy_core.annotation.rounds import (
    KINDS,
    Round,
    RoundDir,
    read_ratings,
    read_rounds,
    write_ratings,
    write_round,
)

__all__ = [
    "KEY", "KINDS", "RATINGS", "SAMPLE", "Round", "RoundDir", "read_ratings", "read_rounds",
    "write_ratings", "write_round",
]  # fmt: skip
