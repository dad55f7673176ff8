"""A small run with a judge that rates and compares, of which every probability is planted."""

# ruff: noqa: D102 - the protocol documents the members of a metric

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from empathy_core import rubrics
from empathy_core.metrics import _judge, _preference
from empathy_core.store import RunDir
from empathy_core.types import ModelSpec
from reports.spec import ReportSpec
from tests.runs import by_hand
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, N_EXAMPLES, Toy, spec

BASE = LLAMA.id
IDS = (LLAMA.id, LLAMA2.id, FLAN.id)
KEY = "preference_tiny-0"
RATING = "judge_tiny-0"
JUDGE = ModelSpec("tiny", "Tiny", "hf", "decoder", "./nowhere")
QUALITY = {LLAMA.id: 0.0, LLAMA2.id: 0.6, FLAN.id: -0.5}
"""What a judge without fault makes of each condition, in log-odds."""
NO_ANSWER = 7
"""The example at which the judge gives none of the answers."""


@dataclass(frozen=True)
class Said:
    """What the judge says of one pair: P(the first reply) with the answer first, and second.

    *longer*: by how many characters the answer is the longer one.
    """

    a: float
    b: float
    longer: float


Judge = Callable[[str, str, int], Said]
"""Condition, opponent and example → what is said."""


def clean(condition: str, opponent: str, example: int) -> Said:
    """Return what a judge says that sees quality, with noise, and takes any place as it is."""
    seed = [example, IDS.index(condition), IDS.index(opponent)]
    random = np.random.default_rng(seed)
    apart = QUALITY[condition] - QUALITY[opponent] + random.normal(scale=0.8)
    a, b = (1 / (1 + np.exp(-x - random.normal(scale=0.2))) for x in (apart, -apart))
    return Said(float(a), float(b), float(random.integers(-80, 90)))


def of_the_first(condition: str, opponent: str, example: int) -> Said:
    """Return what a judge says that prefers what stands first, whatever that is."""
    return Said(0.85, 0.85, clean(condition, opponent, example).longer)


@dataclass(frozen=True)
class Compares(_preference.Metric):
    """Compares as it is told to; of the last ten examples only with the baseline.

    To the last examples the opponent has no answer, and those before them do not fit the judge's
    context.
    """

    says: Any = clean
    without_baseline: int = 0
    too_long: int = 0

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        at = {name: i for i, name in enumerate(self.statistics)}
        found = np.zeros((rows.height, len(at)))
        found[:, at["n"]] = 1
        for row, (condition, example) in enumerate(rows.select("condition", "example").iter_rows()):
            i = int(example.rpartition("-")[2])
            if condition == self.opponent:
                found[row, at["preference"]] = 0.5
            elif not self._is_paired(condition) or (i >= 30 and not self.is_baseline):
                found[row, at["preference"]], found[row, at["left_out"]] = np.nan, 1
            elif why := self._lacking(N_EXAMPLES - 1 - i):
                found[row, at["preference"]], found[row, at[why]] = np.nan, 1
            else:
                said, low = self.says(condition, self.opponent, i), i == NO_ANSWER
                told = {
                    "preference": np.nan if low else (said.a + 1 - said.b) / 2, "judged": 1,
                    "first": (said.a + said.b) / 2, "mass": 0.2 if low else 0.9, "low_mass": low,
                    "consistent": (said.a > 0.5) != (said.b > 0.5), "longer": said.longer,
                    "p_first_as_a": said.a, "p_first_as_b": said.b,
                }  # fmt: skip
                for name, value in told.items():
                    found[row, at[name]] = value
        return found

    def _lacking(self, i: int) -> str:
        """Return why there is no pair; the last examples first, at which a label is given."""
        if i < self.without_baseline:
            return "alone"
        return "too_long" if i < self.without_baseline + self.too_long else ""


def shares(condition: str, example: int) -> np.ndarray:
    """Return the planted probabilities of the answers 0, 1 and 2."""
    return np.random.default_rng([example, IDS.index(condition)]).dirichlet([1, 2, 3])


@dataclass(frozen=True)
class Rates(_judge.Metric):
    """Rates as it is told to."""

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        at = {name: i for i, name in enumerate(self.statistics)}
        found = np.zeros((rows.height, len(at)))
        for row, (condition, example) in enumerate(rows.select("condition", "example").iter_rows()):
            p = shares(condition, int(example.rpartition("-")[2]))
            told = {"score": p[1] + 2 * p[2], "n": 1, "judged": 1, "mass": 0.8}
            told |= {"pass": p[1] + p[2], "win": p[2], "p0": p[0], "p1": p[1], "p2": p[2]}
            for name, value in told.items():
                found[row, at[name]] = value
        return found

    def recheck(self, rows: pl.DataFrame) -> None:
        return None


def preferred_spec(
    *,
    says: Judge = clean,
    rated: bool = True,
    every: bool = True,
    without_baseline: int = 0,
    too_long: int = 0,
    **changes: Any,
) -> ReportSpec:
    """Return a report on three conditions, the first of which is the baseline."""
    whole = rubrics.rubric("emotionqueen")
    key = replace(whole, dimensions=whole.dimensions[:1])
    metrics: dict[str, Any] = {"toy-00000000": Toy()}
    if rated:
        metrics[RATING] = Rates("tiny", "Tiny Judge", JUDGE, key)
    for i, opponent in enumerate(IDS if every else IDS[:1]):
        metrics[f"{KEY[:-1]}{i}"] = Compares(
            "tiny", "Tiny Judge", JUDGE, rubrics.rubric("emrank"), opponent=opponent,
            opponent_label="LLaMA", baseline=BASE, says=says,
            without_baseline=without_baseline, too_long=too_long,
        )  # fmt: skip
    return spec(LLAMA, LLAMA2, FLAN, metrics=metrics, **changes)


def preferred_run(folder: Path, about: ReportSpec) -> RunDir:
    """Write the run."""
    return by_hand.make(folder, about)
