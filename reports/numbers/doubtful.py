"""Answers that are not to be trusted, counted by kind."""

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
    ("prompt_cut", "Question cut", "question not cut"),
    ("duplicate", "Repeated verbatim for another question", "not repeated verbatim"),
    ("exposed", "Question in training", "question not in training"),
)
"""What makes an answer doubtful: its flag, what the audit calls it, and the rows without it."""


THOUGHT_ONLY = ("thought_only", "Reasoning without an answer", "an answer after the reasoning")
"""The same where a model's thoughts are told from its answers."""


def kinds(spec: ReportSpec) -> tuple[tuple[str, str, str], ...]:
    """Return what can make answers of these conditions doubtful."""
    return (*KINDS, THOUGHT_ONLY) if any(c.reasoning for c in spec.conditions) else KINDS


@dataclass(frozen=True, slots=True, eq=False)
class Doubtful:
    """One condition's doubtful answers.

    Attributes:
        n: Sound answers.
        flags: Flag → which answers bear it, in the order of ``Collected.answers``.
    """

    condition: Condition
    n: int
    flags: dict[str, pl.Series]

    def count(self, flag: str) -> int:
        """Return how many answers bear *flag*."""
        return int(self.flags[flag].sum())


def doubtful(collected: Collected, spec: ReportSpec) -> list[Doubtful]:
    """Return each condition's doubtful answers."""
    questions = collected.examples.select("question", "exposed", example="id")
    found = []
    for condition in spec.conditions:
        answers = collected.answers[condition.id]
        if not answers.height:
            none = pl.Series(dtype=pl.Boolean)
            found.append(Doubtful(condition, 0, {flag: none for flag, _, _ in kinds(spec)}))
            continue
        rows = answers.join(questions, on="example", how="left", maintain_order="left")
        elsewhere = pl.col("question").n_unique().over("text_hash") > 1
        rows = rows.with_columns(duplicate=elsewhere & ~pl.col("empty"))
        flags = {flag: rows[flag] for flag, _, _ in kinds(spec)}
        found.append(Doubtful(condition, rows.height, flags))
    return found


@dataclass(frozen=True, slots=True)
class Kept:
    """A condition's answers without those that bear a flag; all where *flag* is empty."""

    of: Doubtful
    flag: str
    label: str

    def mask(self, aligned: Aligned) -> np.ndarray:
        """Return which rows are kept: shape (rows,)."""
        answers = aligned.collected.answers[self.of.condition.id]
        kept = answers.filter(~self.of.flags[self.flag]) if self.flag else answers
        rows = aligned.rows.join(kept, on=KEY, how="left", maintain_order="left")
        return rows["words"].is_not_null().to_numpy()


def emptiest(found: Sequence[Doubtful]) -> float:
    """Return the largest share of empty answers of any model."""
    models = [d for d in found if d.condition.model.backend != "human" and d.n]
    return max((d.count("empty") / d.n for d in models), default=0.0)
