"""Spread over seeds and repeated samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from empathy_core.stats import Components, components
from empathy_core.types import Condition
from reports.labels import count, full_name, row_labels
from reports.numbers.values import ends
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.spec import ReportSpec

REPEATS: dict[str, Any] = {
    "label": pl.String,  # model and prompt
    "runs": pl.String,  # what was repeated: "5 samples", "3 seeds"
    "conditions": pl.String,  # ids, joined by blanks
    "metric": pl.String,  # key
    "column": pl.String,
    "mean": pl.Float64,  # of the runs' scores; null: a run has no score
    "deviation": pl.Float64,  # standard deviation of the runs' scores
    "error_questions": pl.Float64,  # standard error of the mean over other questions
    "error": pl.Float64,  # over other questions and other runs
    "low": pl.Float64,  # of the 95 % interval over both; null: too few questions
    "high": pl.Float64,
    "share": pl.Float64,  # of the variance of one run's score: what is the run's
    "n": pl.Int64,  # rows scored in all runs
    "n_questions": pl.Int64,
}
"""Schema of the variance components, a row for each repeated condition and main column."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """What was done several times with nothing but chance between.

    Attributes:
        conditions: One that was sampled several times, or several that differ in the seed alone.
    """

    label: str
    runs: str
    conditions: tuple[str, ...]


def repeated(spec: ReportSpec) -> Iterator[Repeated]:
    """Yield conditions of several samples, then those told apart by a decoding or training seed."""
    names = row_labels(spec.conditions)
    for c in spec.conditions:
        if c.decoding.sample and c.decoding.samples > 1:
            yield Repeated(full_name(c, names), f"{c.decoding.samples} samples", (c.id,))
    sampled = [c for c in spec.conditions if c.decoding.sample]
    for same in _groups(sampled, _but_for_seed):
        label = f"{same[0].model.label}, {same[0].prompt.label}"
        yield Repeated(label, f"{len(same)} seeds", tuple(c.id for c in same))

    def trained(i: int) -> tuple[object, ...]:
        comparison = spec.finetunes[i]
        return comparison.family, comparison.base, comparison.sources, comparison.train_size

    by_id = {c.id: c for c in spec.conditions}
    for seeds in _groups(range(len(spec.finetunes)), trained):
        pairs = [spec.finetunes[i] for i in seeds]
        base = by_id[pairs[0].base]
        label = f"{base.model.label}, {base.prompt.label}, n = {count(pairs[0].train_size)}"
        yield Repeated(label, f"{len(pairs)} seeds", tuple(p.tuned for p in pairs))


def _but_for_seed(condition: Condition) -> tuple[object, ...]:
    same = replace(condition.decoding, name="", seed=0)
    return condition.model.name, condition.prompt.name, condition.chat, same


def _groups(members: Sequence[Any], key: Any) -> Iterator[list[Any]]:
    order = list(dict.fromkeys(map(key, members)))
    for _, same in groupby(sorted(members, key=lambda m: order.index(key(m))), key):
        alike = list(same)
        if len(alike) > 1:
            yield alike


def repeats(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return the variance components of whatever was repeated (``REPEATS``)."""
    rows = [row for group in repeated(spec) for row in _of(collected, spec, group)]
    return pl.DataFrame(rows, schema=REPEATS)


def _of(collected: Collected, spec: ReportSpec, one: Repeated) -> Iterator[dict[str, object]]:
    aligned = Aligned.of(collected, one.conditions)
    named = {"label": one.label, "runs": one.runs, "conditions": " ".join(one.conditions)}
    for key, metric in spec.printed.items():
        runs = _runs(aligned, key, metric.statistics)
        parts = components(runs, metric.score, aligned.resampler())
        for column, part in zip(metric.columns, parts, strict=True):
            if column.main:
                yield named | {"metric": key, "column": column.name} | _record(part)


def _runs(aligned: Aligned, key: str, names: Sequence[str]) -> list[np.ndarray]:
    """Return each run's statistics, shape (examples, names): a sample's, or a condition's."""
    if len(aligned.conditions) > 1:
        return aligned.statistics(key, names)
    samples, (rows,) = aligned.rows["sample"], aligned.by_row(key, names)
    return [rows[(samples == i).to_numpy()] for i in samples.unique().sort()]


def _record(part: Components) -> dict[str, object]:
    return {
        "mean": part.mean, "deviation": part.deviation, "error_questions": part.error_questions,
        "error": part.error, **ends(part.interval), "share": part.share,
        "n": part.n, "n_questions": part.n_clusters,
    }  # fmt: skip
