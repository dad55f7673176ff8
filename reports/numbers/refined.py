"""Prompts beside their parent on the rows of one run or of several. Pure.

The rounds of a refinement are runs of different rows, so that statistics of the rows add up: a
candidate's score after round r is that of all rows of rounds 1 to r.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from empathy_core.errors import ConfigError, Incomplete, RunMismatch
from empathy_core.metrics import MetricProtocol
from empathy_core.stats import Difference, Resampler, holm, paired_difference
from empathy_core.stats.halving import best_first, survivors
from empathy_core.types import Column, Condition
from reports.numbers.significance import Wanted
from reports.numbers.values import or_null
from reports.refined import MovedColumn, PromptGain
from reports.rows.align import Aligned, reduced
from reports.rows.collect import Collected
from reports.spec import ReportSpec

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class RowsOfRun:
    """The proven rows of one step, and what they are of.

    Attributes:
        known: Every name of a column → metric key and column.
    """

    collected: Collected
    spec: ReportSpec
    known: Mapping[str, Wanted]

    def condition(self, prompt: str) -> Condition:
        """Return the condition of a prompt."""
        return next(c for c in self.spec.conditions if c.prompt.name == prompt)

    def column(self, name: str) -> tuple[str, Column]:
        """Return a column by its name.

        Raises:
            Incomplete: It is of people's ratings, and there are none.
            ConfigError: There is no such column.
        """
        if name in self.known:
            return self.known[name]
        if name.startswith("human_"):
            msg = (
                f"nobody has rated the answers of this step, so that there is no column '{name}': "
                "expected ratings of people"
            )
            raise Incomplete(msg)
        raise ConfigError(f"this step has no column '{name}'; expected one of {sorted(self.known)}")


@dataclass(frozen=True, slots=True, eq=False)
class PromptRows:
    """Some prompts under one column, on the same rows.

    Attributes:
        metric: Of the column.
        place: Of the column among its metric's.
        rows: Prompt → statistics of shape (rows, statistics), NaN where unscored.
        questions: Of each row.
    """

    metric: MetricProtocol
    column: Column
    place: int
    rows: dict[str, np.ndarray]
    questions: tuple[str, ...]

    @classmethod
    def of(cls, parts: Sequence[RowsOfRun], prompts: Sequence[str], name: str) -> "PromptRows":
        """Return the rows of all *parts*, one after another.

        Raises:
            RunMismatch: A model is not the same in all parts.
        """
        found: dict[str, list[np.ndarray]] = {prompt: [] for prompt in prompts}
        questions: list[str] = []
        for part in parts:
            key, column = part.column(name)
            metric = part.spec.metrics[key]
            aligned = Aligned.of(part.collected, [part.condition(p).id for p in prompts])
            for prompt, rows in zip(
                prompts, aligned.statistics(key, metric.statistics), strict=True
            ):
                found[prompt].append(rows)
            questions += aligned.examples["question"].to_list()
        _require_one_model(parts, prompts[0])
        stacked = {prompt: np.concatenate(rows) for prompt, rows in found.items()}
        return cls(metric, column, metric.columns.index(column), stacked, tuple(questions))

    def score(self, prompt: str) -> float | None:
        """Return the score of a prompt on its scored rows; null without any."""
        return or_null(reduced(self.metric, self.rows[prompt])[self.place])

    def n_scored(self, prompt: str) -> int:
        """Return how many rows of a prompt have a score."""
        return int((~np.isnan(self.rows[prompt]).any(axis=1)).sum())

    def advantage(self, parent: str, prompt: str, better: Better) -> float | None:
        """Return how much better a prompt is than its parent on rows that both have scored."""
        both = self.rows[parent], self.rows[prompt]
        kept = ~np.isnan(both[0]).any(axis=1) & ~np.isnan(both[1]).any(axis=1)
        one, other = (reduced(self.metric, rows[kept])[self.place] for rows in both)
        return or_null((other - one) * (1 if better == "higher" else -1))

    def each(self, prompt: str) -> np.ndarray:
        """Return the score of each row alone: shape (rows,), NaN where unscored."""
        return np.array([reduced(self.metric, row[None])[self.place] for row in self.rows[prompt]])

    def gain(self, parent: str, prompt: str, better: Better) -> PromptGain:
        """Return the same with its interval and test."""
        found = self._difference(parent, prompt)
        sign = 1 if better == "higher" else -1
        ends = (found.interval.low, found.interval.high) if found.interval else (None, None)
        low, high = ends if sign == 1 else ends[::-1]
        return PromptGain(
            found.first, found.second, _signed(found.value, sign), _signed(low, sign),
            _signed(high, sign), found.p_randomization, found.n, found.n_left_out,
        )  # fmt: skip

    def _difference(self, parent: str, prompt: str) -> Difference:
        return paired_difference(
            self.rows[parent], self.rows[prompt], self.metric.score,
            Resampler.by(self.questions), self.metric.columns,
        )[self.place]  # fmt: skip


RANKINGS: dict[str, Any] = {
    "round": pl.Int64,
    "candidate": pl.String,
    "place": pl.Int64,  # from 1, the best; 0 is the parent, which is no candidate
    "score": pl.Float64,  # of the target, on all rows so far that have one; null: none
    "advantage": pl.Float64,  # over the parent, on rows that both have; above 0 is better
    "rows": pl.Int64,  # validation rows so far
    "scored": pl.Int64,  # of these, with a score
    "kept": pl.Boolean,  # goes on; after the last round: may be tested
}
"""Columns of ``rankings.csv``."""


@dataclass(frozen=True, slots=True, eq=False)
class RoundResult:
    """Where candidates stand after a round.

    Attributes:
        rows: Of the parent and of them, on all rows so far.
        advantages: Over the parent, of each; null where no row is scored by both.
        order: Their places in *names*, the best first.
        kept: Likewise, of those that go on.
    """

    number: int
    names: tuple[str, ...]
    rows: PromptRows
    advantages: tuple[float | None, ...]
    order: tuple[int, ...]
    kept: frozenset[int]

    def lines(self, parent: str) -> list[dict[str, Any]]:
        """Return what ``RANKINGS`` says of it, the parent first."""
        own = self._line(parent) | {"place": 0, "advantage": 0.0, "kept": True}
        return [own] + [
            self._line(self.names[i])
            | {"place": place, "advantage": self.advantages[i], "kept": i in self.kept}
            for place, i in enumerate(self.order, start=1)
        ]

    def _line(self, name: str) -> dict[str, Any]:
        return {
            "round": self.number, "candidate": name, "score": self.rows.score(name),
            "rows": len(self.rows.questions), "scored": self.rows.n_scored(name),
        }  # fmt: skip


def round_result(
    number: int,
    rows: PromptRows,
    parent: str,
    names: tuple[str, ...],
    better: Better,
    going_on: tuple[float, int],
) -> RoundResult:
    """Return where candidates stand after a round, and which of them go on.

    Args:
        number: Of the round, from 1.
        rows: On all validation rows so far.
        parent: What they are compared with.
        names: The candidates of the round.
        better: Which values of the column are good.
        going_on: Share of the candidates that goes on, and how many do at least.
    """
    advantages = tuple(rows.advantage(parent, name, better) for name in names)
    kept = survivors(advantages, "higher", *going_on)
    order = best_first(advantages, "higher")
    return RoundResult(number, names, rows, advantages, order, frozenset(kept))


def moved(part: RowsOfRun, parent: str, prompt: str) -> dict[Wanted, MovedColumn]:
    """Return metric key and column → how it moved in a step: a prompt beside its parent."""
    aligned = Aligned.of(part.collected, [part.condition(p).id for p in (parent, prompt)])
    found = {}
    for key, metric in part.spec.printed.items():
        first, second = aligned.statistics(key, metric.statistics)
        differences = paired_difference(
            first, second, metric.score, aligned.resampler(), metric.columns
        )
        for column, one in zip(metric.columns, differences, strict=True):
            low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
            found[key, column] = MovedColumn(
                column, one.first, one.second, one.value, low, high, one.p_randomization, one.n
            )
    return found


def corrected(gains: Sequence[PromptGain]) -> tuple[float | None, ...]:
    """Return the p of what reached the test, by Holm."""
    return holm([gain.p for gain in gains])


def _require_one_model(parts: Sequence[RowsOfRun], prompt: str) -> None:
    first = parts[0].condition(prompt)
    if all(part.condition(prompt).fingerprint == first.fingerprint for part in parts):
        return
    msg = (
        f"{first.model.label} has other weights in a later round than in the first: expected one "
        "model, since rows of all rounds are added up; restore the weights, or begin a refinement "
        "of another name"
    )
    raise RunMismatch(msg)


def _signed(value: float | None, sign: int) -> float | None:
    return None if value is None else value * sign + 0.0
