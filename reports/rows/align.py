"""Statistics of several conditions, example beside example. Pure.

The example is the unit of every comparison: an example's statistics are the mean over its samples
that have a score, so that it counts once, however often a condition answered it. Samples are told
apart only where they are what is looked at (``by_row``).
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import Resampler
from reports.rows.collect import Collected
from reports.rows.pieces import KEY


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """What any of some conditions should have answered, in the run's order.

    Attributes:
        examples: ``example``, ``question``; one row an example.
        rows: ``example``, ``sample``, ``question``; one row an answer.
        places: Shape (rows,): the place of each row's example in *examples*.
    """

    collected: Collected
    conditions: tuple[str, ...]
    examples: pl.DataFrame
    rows: pl.DataFrame
    places: np.ndarray

    @classmethod
    def of(cls, collected: Collected, conditions: Iterable[str]) -> "Aligned":
        """Return the rows of *conditions* (ids)."""
        conditions = tuple(conditions)
        wanted = pl.concat([collected.expected[c].select(KEY) for c in conditions])
        questions = collected.examples.select("question", example="id").with_row_index("order")
        rows = wanted.unique().join(questions, on="example", how="left").sort("order", "sample")
        rows = rows.drop("order")
        examples = rows.select("example", "question").unique("example", maintain_order=True)
        places = rows["example"].rle_id().to_numpy()
        return cls(collected, conditions, examples, rows, places)

    def within(self, examples: Collection[str] | pl.Series) -> np.ndarray:
        """Return which examples are among *examples*: shape (examples,), bool."""
        return self.examples["example"].is_in(list(examples)).to_numpy()

    def statistics(self, key: str, names: Sequence[str]) -> list[np.ndarray]:
        """Return each condition's statistics under a metric: shape (examples, names).

        NaN where a condition has no score of an example, or should have none.
        """
        return [self.averaged(rows) for rows in self.by_row(key, names)]

    def by_row(self, key: str, names: Sequence[str]) -> list[np.ndarray]:
        """Return the same of each answer: shape (rows, names)."""
        scores = self.collected.scores
        return [statistics_of(self.rows, scores[c, key], names) for c in self.conditions]

    def averaged(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean over each example's scored rows: (rows, names) → (examples, names)."""
        n_examples = self.examples.height
        if len(rows) == n_examples:
            return rows
        scored = ~np.isnan(rows).any(axis=1)
        sums = np.zeros((n_examples, rows.shape[1]))
        np.add.at(sums, self.places[scored], rows[scored])
        n = np.bincount(self.places[scored], minlength=n_examples)[:, None]
        return np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0)

    def expected(self, condition: str) -> np.ndarray:
        """Return which rows a condition should have answered: shape (rows,)."""
        return self._among(self.collected.expected[condition])

    def answered(self, condition: str, key: str) -> np.ndarray:
        """Return which rows a metric was asked to score, scored or not: shape (rows,)."""
        return self._among(self.collected.scores[condition, key])

    def _among(self, rows: pl.DataFrame) -> np.ndarray:
        if rows.is_empty():
            return np.zeros(self.rows.height, dtype=bool)
        there = rows.select(KEY).with_columns(there=pl.lit(True))
        found = self.rows.join(there, on=KEY, how="left", maintain_order="left")
        return found["there"].is_not_null().to_numpy()

    def counted(self, rows: np.ndarray) -> np.ndarray:
        """Return how many of *rows*, shape (rows,), belong to each example: (examples,)."""
        return np.bincount(self.places[rows], minlength=self.examples.height)

    def values(self, condition: str, name: str) -> np.ndarray:
        """Return the mean of a number of a condition's answers: shape (examples,).

        *name* is a column of ``Collected.answers``. NaN where there is no answer.
        """
        answers = self.collected.answers[condition]
        if name not in answers.columns:
            return np.full(self.examples.height, np.nan)
        return self.averaged(statistics_of(self.rows, answers, [name]))[:, 0]

    def resampler(self, mask: np.ndarray | None = None) -> Resampler:
        """Return a resampler whose clusters are the questions of the examples of *mask*."""
        questions = self.examples["question"]
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


def reduced(metric: MetricProtocol, rows: np.ndarray) -> np.ndarray:
    """Return the scores of rows (rows, statistics): shape (columns,), NaN where there is none.

    ``fsum`` is exactly rounded, so that the order of rows and pieces cannot change a digit.
    """
    scored = rows[~np.isnan(rows).any(axis=1)]
    if not len(scored):
        return np.full(len(metric.columns), math.nan)
    return np.asarray(metric.score(np.array([math.fsum(of) for of in scored.T])), dtype=float)
