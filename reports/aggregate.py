"""Sound rows → a score for each condition, column and subset, and every difference. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import AllPairs, Difference, Estimate, compare_all, contrast
from empathy_core.types import Condition
from reports.aligned import Aligned
from reports.collect import Collected
from reports.keys import ALL
from reports.layout import Contrast
from reports.pairs import CONTRASTS, PAIRS, corrected, record
from reports.spec import ReportSpec
from reports.subsets import THERAPIST, subsets, therapist

__all__ = ["ALL", "SUMMARY", "THERAPIST", "Aggregated", "aggregate", "therapist"]

SUMMARY: dict[str, Any] = {
    "condition": pl.String,
    "model": pl.String,  # label
    "prompt": pl.String,  # label
    "decoding": pl.String,
    "subset": pl.String,  # all | therapist | <column>=<value>
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


@dataclass(frozen=True, slots=True)
class Aggregated:
    """All numbers of a report.

    Attributes:
        summary: ``SUMMARY``.
        pairs: ``pairs.PAIRS``: every two conditions, on all rows.
        contrasts: ``pairs.CONTRASTS``: what the configuration declares.
    """

    summary: pl.DataFrame
    pairs: pl.DataFrame
    contrasts: pl.DataFrame


def aggregate(collected: Collected, spec: ReportSpec) -> Aggregated:
    """Return every condition under every metric, on every subset, and beside every other."""
    ids = [c.id for c in spec.conditions]
    aligned = Aligned.of(collected, ids)
    places = {i: place for place, i in enumerate(ids)}
    summary: list[dict[str, object]] = []
    pairs: list[dict[str, object]] = []
    declared: list[dict[str, object]] = []
    masks = {name: aligned.within(examples) for name, examples in subsets(collected, spec)}
    for key, metric in spec.metrics.items():
        rows = aligned.statistics(key, metric.statistics)
        for subset, mask in masks.items():
            found = compare_all(
                [of[mask] for of in rows],
                metric.score,
                aligned.resampler(mask),
                None if subset == ALL else [],
            )
            summary += _summary(
                spec, aligned, (key, subset), mask, [of[mask] for of in rows], found
            )
            pairs += _pairs(ids, key, metric, subset, found)
        declared += _contrasts(spec.analysis.contrasts, key, metric, rows, (places, aligned))
    return Aggregated(
        _in_order(pl.DataFrame(summary, schema=SUMMARY), spec, list(masks)),
        corrected(pairs, PAIRS, ("subset", "metric", "column")),
        corrected(declared, CONTRASTS, ()),
    )


def _in_order(summary: pl.DataFrame, spec: ReportSpec, names: Sequence[str]) -> pl.DataFrame:
    """Return the summary by subset, condition and metric, as the tables have them."""
    orders = {
        "subset": names,
        "condition": [c.id for c in spec.conditions],
        "metric": list(spec.metrics),
    }
    by = [
        pl.col(name).replace_strict(list(values), range(len(values)), return_dtype=pl.Int32)
        for name, values in orders.items()
    ]
    return summary.sort(by, maintain_order=True)


def _summary(
    spec: ReportSpec,
    aligned: Aligned,
    of: tuple[str, str],
    mask: np.ndarray,
    rows: Sequence[np.ndarray],
    found: AllPairs,
) -> Iterator[dict[str, object]]:
    """Yield the records of one metric on one subset; *of* is the metric's key and the subset."""
    key, subset = of
    metric = spec.metrics[key]
    examples = aligned.rows.filter(pl.Series(mask)).select("example").unique()
    for condition, mine, estimates in zip(spec.conditions, rows, found.estimates, strict=True):
        expected = aligned.collected.expected[condition.id]
        stored = aligned.collected.scores[condition.id, key]
        named = _named(condition) | {"subset": subset, "metric": key}
        counts = {
            "n_expected": _within(expected, examples).height,
            "n_unscored": _within(stored, examples).height,
        }
        for record_ in _scores(metric, mine, estimates):
            counts_now = counts | {"n_unscored": counts["n_unscored"] - int(str(record_["n"]))}
            yield named | record_ | counts_now


def _named(condition: Condition) -> dict[str, object]:
    return {
        "condition": condition.id,
        "model": condition.model.label,
        "prompt": condition.prompt.label,
        "decoding": condition.decoding.name,
    }


def _within(rows: pl.DataFrame, examples: pl.DataFrame) -> pl.DataFrame:
    return rows.join(examples, on="example", how="semi") if rows.height else rows


def _scores(
    metric: MetricProtocol, rows: np.ndarray, estimates: Sequence[Estimate]
) -> Iterator[dict[str, object]]:
    """Yield a record for each column of *metric*."""
    scored = rows[~np.isnan(rows).any(axis=1)]
    values = [math.nan] * len(metric.columns)
    if len(scored):
        # fsum is exactly rounded, so the order of rows and pieces cannot change a digit.
        values = metric.score(np.array([math.fsum(of) for of in scored.T])).tolist()
    for column, value, estimate in zip(metric.columns, values, estimates, strict=True):
        bounds = estimate.interval
        yield {
            "column": column.name,
            "score": None if math.isnan(value) else value,
            "low": bounds.low if bounds else None,
            "high": bounds.high if bounds else None,
            "n": len(scored),
            "n_questions": estimate.n_clusters,
        }


def _pairs(
    ids: Sequence[str], key: str, metric: MetricProtocol, subset: str, found: AllPairs
) -> Iterator[dict[str, object]]:
    for (i, j), differences in found.differences.items():
        named = {"first": ids[i], "second": ids[j], "subset": subset}
        yield from _recorded(named, key, metric, differences)


def _contrasts(
    declared: Sequence[Contrast],
    key: str,
    metric: MetricProtocol,
    rows: Sequence[np.ndarray],
    at: tuple[Mapping[str, int], Aligned],
) -> Iterator[dict[str, object]]:
    """Yield the records of the main columns; *at* says where a condition's rows are."""
    places, aligned = at
    if not any(column.main for column in metric.columns):
        return
    for one in declared:
        first, second = ([rows[places[pair[side]]] for pair in one.pairs] for side in (0, 1))
        found = contrast(first, second, metric.score, aligned.resampler())
        named = {"name": one.name, "label": one.label, "pairs": len(one.pairs)}
        for line, column in zip(_recorded(named, key, metric, found), metric.columns, strict=True):
            if column.main:
                yield line


def _recorded(
    named: Mapping[str, object], key: str, metric: MetricProtocol, found: Sequence[Difference]
) -> Iterator[dict[str, object]]:
    for column, difference in zip(metric.columns, found, strict=True):
        yield {**named, "metric": key, "column": column.name, **record(difference)}
