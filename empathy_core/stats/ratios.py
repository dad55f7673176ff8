"""Scores that are ratios of two sums: only the statistics that they are made of are drawn. Pure.

A metric keeps more of a row than its scores need: a judge, the probability of each of its labels.
A row is scored by all of its statistics; which are then summed, drawn and shuffled changes no sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from empathy_core.stats.resampling import ScoreFunction
from empathy_core.types import Column


@dataclass(frozen=True, slots=True)
class Ratios:
    """The ``ScoreFunction`` of columns that are all ratios.

    Attributes:
        places: Of each column, the numbers of its two statistics: above, below.
    """

    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "Ratios | None":
        """Return that of *columns*; null if there is none, or one is made otherwise."""
        known = tuple(column.ratio for column in columns if column.ratio is not None)
        return cls(known) if columns and len(known) == len(columns) else None

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """Return scores (..., columns) of sums (..., statistics); NaN where it divides by 0."""
        sums = np.asarray(sums, float)
        found = np.empty((*sums.shape[:-1], len(self.places)))
        for column, (above, below) in enumerate(self.places):
            found[..., column] = _ratio(sums[..., above], sums[..., below])
        return found

    @property
    def statistics(self) -> tuple[int, ...]:
        """The numbers of the statistics that any column needs, each once, in order."""
        return tuple(sorted({number for pair in self.places for number in pair}))

    @property
    def own(self) -> "Ratios":
        """The same of ``statistics`` alone, numbered anew."""
        at = {number: place for place, number in enumerate(self.statistics)}
        return Ratios(tuple((at[above], at[below]) for above, below in self.places))


def narrowed(
    stack: np.ndarray, score: ScoreFunction, columns: Sequence[Column]
) -> tuple[np.ndarray, ScoreFunction, Sequence[Column]]:
    """Return the statistics (..., statistics) that *columns* need, and what scores these.

    All as they are where a column is no ratio. Ask which rows are scored before.
    """
    ratios = Ratios.of(columns)
    if ratios is None:
        return stack, score, columns
    own = ratios.own
    renumbered = [replace(c, ratio=pair) for c, pair in zip(columns, own.places, strict=True)]
    return stack[..., ratios.statistics], own, renumbered


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(above / below)
    nothing = below == 0
    if nothing.any():
        found[nothing] = np.nan
    return found
