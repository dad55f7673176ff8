"""Statistics of several conditions, row beside row. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from empathy_core.stats import Resampler
from reports.collect import Collected
from reports.soundness import KEY


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The rows that any of some conditions should have, in the run's order.

    Attributes:
        rows: ``example``, ``sample``, ``question``.
    """

    collected: Collected
    conditions: tuple[str, ...]
    rows: pl.DataFrame

    @classmethod
    def of(cls, collected: Collected, conditions: Iterable[str]) -> "Aligned":
        """Return the rows of *conditions* (ids)."""
        conditions = tuple(conditions)
        wanted = pl.concat([collected.expected[c].select(KEY) for c in conditions])
        questions = collected.examples.select("question", example="id").with_row_index("order")
        rows = wanted.unique().join(questions, on="example", how="left").sort("order", "sample")
        return cls(collected, conditions, rows.drop("order"))

    def within(self, examples: Collection[str] | pl.Series) -> np.ndarray:
        """Return which rows are of *examples*: shape (rows,), bool."""
        return self.rows["example"].is_in(list(examples)).to_numpy()

    def statistics(self, key: str, names: Sequence[str]) -> list[np.ndarray]:
        """Return each condition's statistics under a metric: shape (rows, names).

        A row is NaN where a condition has no score of it, or should have none.
        """
        scores = self.collected.scores
        return [statistics_of(self.rows, scores[c, key], names) for c in self.conditions]

    def values(self, condition: str, name: str) -> np.ndarray:
        """Return a number of a condition's answers (``Collected.answers``): shape (rows,).

        NaN where there is no answer.
        """
        answers = self.collected.answers[condition]
        if name not in answers.columns:
            return np.full(self.rows.height, np.nan)
        return statistics_of(self.rows, answers, [name])[:, 0]

    def resampler(self, mask: np.ndarray | None = None) -> Resampler:
        """Return a resampler whose clusters are the questions of the rows of *mask*."""
        questions = self.rows["question"]
        return Resampler.by(questions if mask is None else questions.filter(pl.Series(mask)))


def statistics_of(rows: pl.DataFrame, scores: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return statistics in the order of *rows*: shape (rows, names), NaN where there are none."""
    if not scores.height:
        return np.full((rows.height, len(names)), np.nan)
    found = scores
    if not rows.select(KEY).equals(scores.select(KEY)):  # a whole condition needs no join
        found = rows.join(scores, on=KEY, how="left", maintain_order="left")
    return found.select(names).cast(pl.Float64).fill_null(np.nan).to_numpy()


def same_rows(collected: Collected, conditions: Iterable[str]) -> dict[str, int]:
    """Return a number for each condition (ids), equal for those that should have the same rows."""
    kinds: list[pl.DataFrame] = []
    numbers: dict[str, int] = {}
    for condition in conditions:
        rows = collected.expected[condition].select(KEY)
        numbers[condition] = next(
            (i for i, kind in enumerate(kinds) if kind.equals(rows)), len(kinds)
        )
        if numbers[condition] == len(kinds):
            kinds.append(rows)
    return numbers
