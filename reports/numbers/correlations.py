"""Whether overlap metrics go with the judges: within questions, and over conditions. Pure."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core import stats
from empathy_core.stats import Correlation
from empathy_core.types import Condition
from reports.keys import ALL
from reports.numbers.judged_faults import looks_for_faults
from reports.numbers.significance import Wanted
from reports.numbers.values import ends
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.spec import ReportSpec

WITHIN, ACROSS = "within", "across"

CORRELATIONS: dict[str, Any] = {
    "level": pl.String,  # within: answers of one question; across: scores of conditions
    "metric": pl.String,  # key
    "column": pl.String,
    "judge_metric": pl.String,  # key
    "judge_column": pl.String,
    "judge": pl.String,  # label
    "pearson": pl.Float64,  # null: one of the two does not vary
    "pearson_low": pl.Float64,  # of the 95 % interval; null: too few questions or conditions
    "pearson_high": pl.Float64,
    "spearman": pl.Float64,
    "spearman_low": pl.Float64,
    "spearman_high": pl.Float64,
    "n": pl.Int64,  # within: answers with both scores; across: conditions with both
    "n_clusters": pl.Int64,  # within: their questions; across: their models
    "tied": pl.Float64,  # within: share of single answers with the column's most frequent score
    "judge_tied": pl.Float64,  # likewise, of the judge's
}
"""Schema of the correlations, a row for each level, main column and column of a judge."""


def correlations(collected: Collected, summary: pl.DataFrame, spec: ReportSpec) -> pl.DataFrame:
    """Return how every main column goes with every judge's (``CORRELATIONS``), models only.

    Empty where no column is a judge's, or where there are not two models' conditions to compare.
    *summary*: ``aggregate.SUMMARY``, whose scores are those over conditions.
    """
    words = overlap_columns(spec)
    judges = judged_columns(spec)
    conditions = [c for c in spec.conditions if not c.model.is_human]
    if not words or not judges or len(conditions) < 2:
        return pl.DataFrame(schema=CORRELATIONS)
    rows = [
        *_within(collected, spec, (words, judges), conditions),
        *_across(summary, (words, judges), conditions),
    ]
    return pl.DataFrame(rows, schema=CORRELATIONS)


def overlap_columns(spec: ReportSpec) -> list[Wanted]:
    """Return the main columns that are nobody's opinion."""
    return [
        (key, column)
        for key, column in spec.main_columns
        if not column.judge and key not in spec.rated_by_people
    ]


def judged_columns(spec: ReportSpec) -> list[Wanted]:
    """Return the columns that are a judge's opinion; faults in a crisis stand by themselves."""
    rating = ((k, m) for k, m in spec.metrics.items() if not looks_for_faults(m))
    return [(key, column) for key, metric in rating for column in metric.columns if column.judge]


Sides = tuple[Sequence[Wanted], Sequence[Wanted]]
"""Columns that are no judge's, and those that are."""


def _within(
    collected: Collected, spec: ReportSpec, sides: Sides, conditions: Sequence[Condition]
) -> Iterator[dict[str, object]]:
    """Yield the records of single answers: each scored by the metric's reduction of one row."""
    aligned = Aligned.of(collected, [c.id for c in conditions])
    own = _own_scores(aligned, spec, {key for side in sides for key, _ in side})
    words, judged = ([own[key, column.name] for key, column in side] for side in sides)
    tied = [[_tied(of) for of in side] for side in (words, judged)]
    found = stats.within_questions(words, judged, aligned.resampler())
    for i, first in enumerate(sides[0]):
        for j, second in enumerate(sides[1]):
            ties = {"tied": tied[0][i], "judge_tied": tied[1][j]}
            yield _record(WITHIN, first, second, found[i][j]) | ties


def _own_scores(
    aligned: Aligned, spec: ReportSpec, keys: Collection[str]
) -> dict[tuple[str, str], np.ndarray]:
    """Return (metric key, column) → each example's own scores: shape (conditions, examples)."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for key in keys:
        metric = spec.metrics[key]
        with np.errstate(all="ignore"):
            scored = [metric.score(of) for of in aligned.statistics(key, metric.statistics)]
        whole = np.stack(scored)
        found |= {(key, c.name): whole[..., i] for i, c in enumerate(metric.columns)}
    return found


def _tied(scores: np.ndarray) -> float | None:
    known = scores[np.isfinite(scores)]
    if not known.size:
        return None
    return float(np.unique(known, return_counts=True)[1].max() / known.size)


def _across(
    summary: pl.DataFrame, sides: Sides, conditions: Sequence[Condition]
) -> Iterator[dict[str, object]]:
    """Yield the records of whole conditions: their scores as the tables print them."""
    rows = summary.filter(pl.col("subset") == ALL).select("condition", "metric", "column", "score")
    scores = {(c, m, name): score for c, m, name, score in rows.iter_rows()}
    models = [c.model.name for c in conditions]

    def of(wanted: Wanted) -> np.ndarray:
        key, column = wanted
        found = [scores.get((c.id, key, column.name)) for c in conditions]
        return np.array([np.nan if score is None else score for score in found])

    for first in sides[0]:
        for second in sides[1]:
            found = stats.across_conditions(of(first), of(second), models)
            yield _record(ACROSS, first, second, found)


def _record(level: str, first: Wanted, second: Wanted, found: Correlation) -> dict[str, object]:
    record: dict[str, object] = {
        "level": level, "metric": first[0], "column": first[1].name,
        "judge_metric": second[0], "judge_column": second[1].name, "judge": second[1].judge,
        "n": found.n, "n_clusters": found.n_clusters,
    }  # fmt: skip
    for name, one in (("pearson", found.pearson), ("spearman", found.spearman)):
        record |= {name: one.value, **ends(one.interval, name)}
    return record
