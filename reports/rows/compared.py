"""Answers beside others to the same question, as judges compared them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.metrics import MetricProtocol
from reports.rows.collect import Collected
from reports.spec import ReportSpec


@dataclass(frozen=True, slots=True)
class ComparedAnswers:
    """One condition's answers beside another's.

    Attributes:
        key: Of the metric.
        metric: A judge's, as planned.
        condition: Id of what is scored.
        opponent: Id of what it is compared with.
        rows: Statistics of the pairs that were drawn and have both answers, and ``cluster``, their
            question.
    """

    key: str
    metric: Any
    condition: str
    opponent: str
    rows: pl.DataFrame


def comparing(metrics: Mapping[str, MetricProtocol]) -> dict[str, Any]:
    """Return key → metric of those that compare."""
    return {key: metric for key, metric in metrics.items() if getattr(metric, "opponent", "")}


def comparisons(collected: Collected, spec: ReportSpec) -> tuple[ComparedAnswers, ...]:
    """Return every two conditions that a judge compared; none beside itself."""
    clusters = collected.examples.select(example="id", cluster="question")
    return tuple(
        ComparedAnswers(
            key, metric, c.id, metric.opponent, _drawn(collected.scores[c.id, key], clusters)
        )
        for key, metric in comparing(spec.metrics).items()
        for c in spec.conditions
        if c.id != metric.opponent
    )


def _drawn(rows: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    drawn = rows.filter(pl.col("left_out") == 0, pl.col("alone") == 0)
    return drawn.join(clusters, on="example", how="left", maintain_order="left")
