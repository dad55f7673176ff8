"""Answers with a flag, counted by flag: empty, cut, repeated and the like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from empathy_core.types import Condition
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

KINDS = (
    ("empty", "Empty", "not empty"),
    ("cut", "At the token limit", "not at the token limit"),
    ("prompt_cut", "Question truncated", "question not truncated"),
    ("duplicate", "Repeated verbatim for another question", "not repeated verbatim"),
    ("exposed", "Question in training", "question not in training"),
)
"""What is flagged: the flag, its title in tables, and what the rows without it are called."""


THOUGHT_ONLY = ("thought_only", "Reasoning without an answer", "an answer after the reasoning")
"""The same where a model's thoughts are kept apart from its answers."""


def kinds(spec: ReportSpec) -> tuple[tuple[str, str, str], ...]:
    """Return the flags that answers of these conditions can have."""
    return (*KINDS, THOUGHT_ONLY) if any(c.reasoning for c in spec.conditions) else KINDS


@dataclass(frozen=True, slots=True, eq=False)
class FlaggedAnswers:
    """One condition's flagged answers.

    Attributes:
        n: Sound answers.
        flags: Flag → which answers have it, in the order of ``Collected.answers``.
    """

    condition: Condition
    n: int
    flags: dict[str, pl.Series]

    def count(self, flag: str) -> int:
        """Return how many answers have *flag*."""
        return int(self.flags[flag].sum())


def flagged_answers(collected: Collected, spec: ReportSpec) -> list[FlaggedAnswers]:
    """Return each condition's flagged answers."""
    questions = collected.examples.select("question", "exposed", example="id")
    found = []
    for condition in spec.conditions:
        answers = collected.answers[condition.id]
        if not answers.height:
            none = pl.Series(dtype=pl.Boolean)
            found.append(FlaggedAnswers(condition, 0, {flag: none for flag, _, _ in kinds(spec)}))
            continue
        rows = answers.join(questions, on="example", how="left", maintain_order="left")
        elsewhere = pl.col("question").n_unique().over("text_hash") > 1
        rows = rows.with_columns(duplicate=elsewhere & ~pl.col("empty"))
        flags = {flag: rows[flag] for flag, _, _ in kinds(spec)}
        found.append(FlaggedAnswers(condition, rows.height, flags))
    return found


@dataclass(frozen=True, slots=True)
class RowsWithoutFlag:
    """A condition's answers without those that have a flag; all where *flag* is empty."""

    of: FlaggedAnswers
    flag: str
    label: str

    def mask(self, aligned: Aligned) -> np.ndarray:
        """Return which rows are kept: shape (rows,)."""
        answers = aligned.collected.answers[self.of.condition.id]
        kept = answers.filter(~self.of.flags[self.flag]) if self.flag else answers
        rows = aligned.rows.join(kept, on=KEY, how="left", maintain_order="left")
        return rows["words"].is_not_null().to_numpy()


def emptiest(found: Sequence[FlaggedAnswers]) -> float:
    """Return the largest share of empty answers of any model."""
    models = [d for d in found if not d.condition.model.is_human and d.n]
    return max((d.count("empty") / d.n for d in models), default=0.0)
