"""Several judges as one: the simple mean of what they say of the same dimension.

Judges of unlike quality are not weighted: with few human labels, simple averages win. A jury is
made where scores are read; nothing of it is kept in a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import polars as pl

from empathy_core.metrics import MetricProtocol, rates
from empathy_core.metrics._made_of_ratings import MadeOfRatings
from empathy_core.metrics._parts import Remark, signature
from empathy_core.metrics._standing import heading
from empathy_core.types import Column, digest

JURY_OF = "jury of "
"""What the label of a jury begins with; its judges follow, divided by commas."""


@dataclass(frozen=True)
class Jury(MadeOfRatings):
    """The mean rating of two judges or more, over the rows that all of them rated.

    Attributes:
        members: Metric key → judge, all of one dimension of one rubric.
    """

    members: Mapping[str, Any]

    why_unscored: ClassVar[Remark] = Remark("a judge of the jury gave no rating")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of a judge, but for the mass."""
        first = self._first
        names = ", ".join(judge.called for judge in self.members.values())
        group = heading(first.rubric.label, f"jury: {names}")
        stem = _stem(first)
        last = len(self.statistics) - 1
        kept = [column for column in first.columns if column.judge]
        return tuple(
            replace(column, name=f"{stem}_{column.name.removeprefix(f'{first.judge}_')}",
                    group=group, judge=f"{JURY_OF}{names}", ratio=(i, last))
            for i, column in enumerate(kept)
        )  # fmt: skip

    @property
    def statistics(self) -> tuple[str, ...]:
        """The score and shares of a row, and 1."""
        thresholds = (threshold.name for threshold in self._first.rubric.thresholds)
        return ("score", *thresholds, "n")

    def signature(self) -> str:
        """Name the judges by the keys of their metrics."""
        return signature(jury="+".join(self.members), score="mean", missing="any")

    def combined(self, scores: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
        """Return the jury's statistics of each row that all judges were asked about.

        Args:
            scores: Of each judge: *keys* and statistics, null where there is none.
            keys: Columns that name a row.
        """
        first, *others = scores
        names = self.statistics
        rows = first.select(*keys, *(pl.col(n).alias(f"{n}|0") for n in names))
        for i, other in enumerate(others, 1):
            more = other.select(*keys, *(pl.col(n).alias(f"{n}|{i}") for n in names))
            rows = rows.join(more, on=keys, how="inner", maintain_order="left")
        n = len(scores)
        # null where any is null
        means = [
            (pl.sum_horizontal([f"{name}|{i}" for i in range(n)], ignore_nulls=False) / n).alias(
                name
            )
            for name in names
        ]
        return rows.select(*keys, *means)

    @property
    def _first(self) -> Any:
        return next(iter(self.members.values()))


def _stem(judge: Any) -> str:
    """Return what the names of a jury begin with, by how its judges answer."""
    return "jury_written" if judge.mode else "jury"


def juries(metrics: Mapping[str, MetricProtocol]) -> dict[str, Jury]:
    """Return key → jury of every dimension that two judges or more rate in one way.

    Expected values and written labels are never one mean. Faults in a crisis have none: judges'
    findings of these stand by themselves.
    """
    by_dimension: dict[str, dict[str, Any]] = {}
    for key, metric in metrics.items():
        rated: Any = metric
        if rates(metric):
            of = rated.dimension
            if of.severity is None and not rated.rubric.paraphrase_of:
                stem = f"{_stem(rated)}_{rated.rubric.name}_{of.name}"
                asked = digest([stem, of.question, of.labels, of.values], 8)
                by_dimension.setdefault(f"{stem}|{asked}", {})[key] = metric
    return {
        f"{name.partition('|')[0]}-{digest(list(members), 8)}": Jury(members)
        for name, members in by_dimension.items()
        if len(members) > 1
    }
