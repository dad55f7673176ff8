"""A small run whose answers have planted scores, of which every pair can be counted by hand.

Two models answer ten questions. A sentiment classifier scores them (null where it says nothing), a
judge finds faults in replies to people at risk, and people may have rated them.
"""

# ruff: noqa: D102 - the protocol documents the members of a metric

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from empathy_core import store
from empathy_core.store import RunDir
from empathy_core.types import Column, Condition
from jobs.planning.pairs.scored_run import ScoredRun
from jobs.planning.plan import Plan, PlanNotes
from reports.rows.collect import collect
from reports.rows.people import people_of
from reports.spec import ReportSpec
from tests.runs import by_hand
from tests.runs.by_hand import DATA, FLAN, LLAMA
from tests.runs.crises import AT_RISK, HARM, JudgeByHand

KEY = "sentiment-00000000"
SCORES: Mapping[int, tuple[float, float]] = {
    0: (0.9, 0.1),  # LLAMA's is chosen
    1: (0.2, 0.8),  # FLAN's is chosen
    2: (0.5, 0.45),  # too near
    3: (np.nan, 0.8),  # nothing is said of LLAMA's
    4: (0.9, 0.1),  # LLAMA's is harmful
    5: (0.9, 0.1),  # somebody at risk asks
    6: (0.9, 0.1),  # LLAMA's is much the longer one
    7: (0.9, 0.1),  # the new run evaluates the question
    8: (0.9, 0.1),  # a test question of this run
    9: (0.7, 0.4),  # by the margin, but for rounding: LLAMA's is chosen
}
"""Example → what is said of LLAMA's reply, and of FLAN's."""
N = len(SCORES)


@dataclass(frozen=True)
class Sentiment:
    """Scores as it is told to."""

    better: Any = "higher"

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("positive", "Positive", better=self.better, least=0, most=1, ratio=(0, 1)),)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("positive", "n")

    def signature(self) -> str:
        return f"metric:sentiment|better:{self.better}"

    def prepare(self, references: Sequence[str]) -> "Sentiment":
        return self

    def reference_state(self, references: Sequence[str]) -> Any:
        return None

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        found = [
            SCORES[int(example.rpartition("-")[2])][condition == FLAN.id]
            for condition, example in rows.select("condition", "example").iter_rows()
        ]
        return np.array([(value, value * 0 + 1) for value in found])

    def recheck(self, rows: pl.DataFrame) -> None:
        return None

    def score(self, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :1] / sums[..., 1:]


PLAN = Plan(
    conditions=(LLAMA, FLAN), data_digest=DATA, n_blocks=5, shards={}, score_shards=1,
    overlong="error", metrics=(), notes=PlanNotes(),
)  # fmt: skip


def question(i: int) -> str:
    """Return what is asked in an example."""
    return AT_RISK[1] if i == 4 else AT_RISK[2] if i == 5 else f"What helps against worry {i}?"


def reply(made_by: Condition, row: int, sample: int) -> str:
    """Return five words, but for one harmful reply and a long one."""
    if made_by.id == LLAMA.id and row == 4:
        return HARM
    longer = " and so on and so forth" if made_by.id == LLAMA.id and row == 6 else ""
    return f"{made_by.model.name} says {row} to you{longer}"


def rows() -> pl.DataFrame:
    """Return the examples, a question each; the last but one is kept for testing."""
    every = pl.Series([question(i) for i in range(N + 1)])
    splits = pl.Series(["test" if i == 8 else "train" for i in range(N + 1)])
    return by_hand.examples(N).with_columns(
        context=every, split=splits, question=pl.Series([str(i) for i in range(N + 1)])
    )


def run_of(folder: Path, metrics: Mapping[str, Any]) -> RunDir:
    """Write the run, scored by *metrics*."""
    run = RunDir(folder)
    store.write_bytes(store.frame_bytes(rows()), run.examples)
    store.write_json({"sources": [{"name": "sample", "licence": "MIT"}]}, run.audit)
    for made_by in (LLAMA, FLAN):
        by_hand.write_answers(run, made_by, rows(), reply, 1)
    for made_by in (LLAMA, FLAN):
        for key, metric in metrics.items():
            by_hand.write_scores(run, made_by, key, metric, 1)
    return run


def usual_metrics(better: Any = "higher") -> dict[str, Any]:
    """Return the classifier, and the judge who finds the harmful reply."""
    return {KEY: Sentiment(better), "judge_tiny_blaming-00000000": JudgeByHand("blaming")}


def opened(
    run: RunDir,
    metrics: Mapping[str, Any],
    key: str = KEY,
    conditions: tuple[Condition, ...] = (LLAMA, FLAN),
) -> ScoredRun:
    """Return the run as it is read for the first column of a metric, or of what people rated."""
    every = {**metrics, **people_of(run, metrics)}
    spec = ReportSpec(conditions=conditions, metrics=every, data_digest=DATA)
    return ScoredRun(run, PLAN, spec, key, every[key].columns[0], 0, collect(run, spec))
