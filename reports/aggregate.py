"""Sound rows → one score for each condition, metric column and subset. Pure."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import Estimate, Resampler, interval
from empathy_core.types import Condition
from reports.collect import Collected
from reports.spec import ReportSpec

SUMMARY: dict[str, Any] = {
    "condition": pl.String,
    "model": pl.String,  # label
    "prompt": pl.String,  # label
    "decoding": pl.String,
    "subset": pl.String,  # all | therapist
    "metric": pl.String,  # key
    "column": pl.String,
    "score": pl.Float64,  # null: no row was scored
    "low": pl.Float64,  # of the 95 % interval; null: too few questions
    "high": pl.Float64,
    "n": pl.Int64,  # rows that the score is made of
    "n_unscored": pl.Int64,  # rows that the metric left out
    "n_expected": pl.Int64,
    "n_questions": pl.Int64,  # clusters that the n rows belong to
}
"""Schema of the summary, a row for each number of the tables."""

ALL, THERAPIST = "all", "therapist"


def therapist(spec: ReportSpec) -> Condition | None:
    """Return the first condition in which people answered; null if there is none."""
    return next((c for c in spec.conditions if c.model.backend == "human"), None)


def aggregate(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return the summary: every condition under every metric, on every subset.

    The subset ``therapist`` is exactly the examples that the first human condition covers, for
    every condition, so that people and models are compared on the same questions.
    """
    subsets: dict[str, pl.DataFrame | None] = {ALL: None}
    if (human := therapist(spec)) is not None:
        subsets[THERAPIST] = collected.expected[human.id].select("example").unique()
    questions = dict(collected.examples.select("id", "question").iter_rows())
    rows = [
        {**_named(condition), "subset": subset, "metric": key, **scored}
        for subset, examples in subsets.items()
        for condition in spec.conditions
        for key, metric in spec.metrics.items()
        for scored in _scores(
            metric,
            _within(collected.scores[condition.id, key], examples),
            _within(collected.expected[condition.id], examples).height,
            questions,
        )
    ]
    return pl.DataFrame(rows, schema=SUMMARY)


def _named(condition: Condition) -> dict[str, str]:
    return {
        "condition": condition.id,
        "model": condition.model.label,
        "prompt": condition.prompt.label,
        "decoding": condition.decoding.name,
    }


def _within(rows: pl.DataFrame, examples: pl.DataFrame | None) -> pl.DataFrame:
    return rows if examples is None else rows.join(examples, on="example", how="semi")


def _scores(
    metric: MetricProtocol, rows: pl.DataFrame, n_expected: int, questions: Mapping[str, str]
) -> list[Mapping[str, object]]:
    """Return a record for each column of *metric*."""
    names = metric.statistics
    scored = rows.drop_nulls(names) if rows.height else rows
    values = [math.nan] * len(metric.columns)
    estimates: tuple[Estimate | None, ...] = (None,) * len(values)
    if scored.height:
        # fsum is exactly rounded, so the order of rows and pieces cannot change a digit.
        sums = np.array([math.fsum(scored[name].to_list()) for name in names])
        values = metric.score(sums).tolist()
        clusters = Resampler.by(map(questions.__getitem__, scored["example"]))
        statistics = scored.select(names).cast(pl.Float64).to_numpy()
        estimates = interval(statistics, metric.score, clusters)
    counts = {
        "n": scored.height,
        "n_unscored": rows.height - scored.height,
        "n_expected": n_expected,
    }
    return [
        {
            "column": column.name,
            "score": None if math.isnan(value) else value,
            "low": estimate.interval.low if estimate and estimate.interval else None,
            "high": estimate.interval.high if estimate and estimate.interval else None,
            **counts,
            "n_questions": estimate.n_clusters if estimate else 0,
        }
        for column, value, estimate in zip(metric.columns, values, estimates, strict=True)
    ]
