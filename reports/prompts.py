"""How much the prompt matters: the range over prompts, at equal length, and by model. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import (
    Adjusted,
    Spread,
    benjamini_hochberg,
    holm,
    interaction,
    length_adjusted,
    movers,
    spread,
)
from empathy_core.types import Condition
from reports.aligned import Aligned
from reports.collect import Collected
from reports.spec import ReportSpec

SPREADS: dict[str, Any] = {
    "model": pl.String,  # key in the configuration; joined by " x " for an interaction
    "label": pl.String,
    "decoding": pl.String,
    "kind": pl.String,  # spread | interaction
    "metric": pl.String,  # key
    "column": pl.String,
    "lowest": pl.String,  # condition; null for an interaction, as are the next nine
    "highest": pl.String,
    "low_score": pl.Float64,
    "high_score": pl.Float64,
    "low": pl.Float64,  # of the 95 % interval of highest less lowest
    "high": pl.Float64,
    "adjusted": pl.Float64,  # highest less lowest at equal length of the answers; null: no row
    "adjusted_low": pl.Float64,  # has a score of its own, or the metric is one of length
    "adjusted_high": pl.Float64,
    "value": pl.Float64,  # highest less lowest; of an interaction, its root mean square
    "p": pl.Float64,
    "p_holm": pl.Float64,  # over all models, interactions and main columns
    "p_bh": pl.Float64,
    "n": pl.Int64,
    "n_questions": pl.Int64,
}
"""Schema of what prompts do, a row for each model or interaction and main column."""

MOVERS: dict[str, Any] = {
    "model": pl.String,
    "metric": pl.String,  # key
    "column": pl.String,
    "example": pl.String,
    "lowest": pl.String,  # condition
    "highest": pl.String,
    "low_score": pl.Float64,
    "high_score": pl.Float64,
}
"""Schema of the rows that move most from prompt to prompt."""

N_MOVERS = 10
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Prompted:
    """One model under several prompts, the same decoding and rows."""

    model: str
    label: str
    decoding: str
    conditions: tuple[Condition, ...]


def prompted(spec: ReportSpec) -> list[Prompted]:
    """Return the models that were asked with two prompts or more."""

    def of(condition: Condition) -> tuple[str, str, str]:
        return condition.model.name, condition.model.label, condition.decoding.name

    asked = sorted((c for c in spec.conditions if c.model.backend != "human"), key=of)
    groups = [Prompted(*key, tuple(members)) for key, members in groupby(asked, of)]
    order = [c.id for c in spec.conditions]
    groups.sort(key=lambda g: order.index(g.conditions[0].id))
    return [g for g in groups if len({c.prompt.name for c in g.conditions}) > 1]


def spreads(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return what prompts do to every main column (``SPREADS``)."""
    groups = prompted(spec)
    rows = [row for group in groups for row in _spreads(collected, spec, group)]
    for pair in _crossed(groups):
        rows += _interactions(collected, spec, pair)
    frame = pl.DataFrame(rows, schema=SPREADS)
    return frame.with_columns(
        pl.Series(name, way(frame["p"].to_list()), dtype=pl.Float64)
        for name, way in (("p_holm", holm), ("p_bh", benjamini_hochberg))
    )


def _spreads(
    collected: Collected, spec: ReportSpec, group: Prompted
) -> Iterator[dict[str, object]]:
    aligned = Aligned.of(collected, [c.id for c in group.conditions])
    words = [aligned.values(c.id, "words") for c in group.conditions]
    for key, metric in spec.metrics.items():
        if not any(column.main for column in metric.columns):
            continue
        rows = aligned.statistics(key, metric.statistics)
        found = spread(rows, metric.score, aligned.resampler())
        for place, (column, one) in enumerate(zip(metric.columns, found, strict=True)):
            if column.main and one.lowest is not None and one.highest is not None:
                scores, adjusted = own_scores(metric, rows, place), None
                if scores is not None:
                    i, j = one.lowest, one.highest
                    adjusted = length_adjusted(
                        scores[i], scores[j], words[i], words[j], aligned.resampler()
                    )
                ids = (group.conditions[one.lowest].id, group.conditions[one.highest].id)
                yield {
                    **_named(group), "kind": "spread", "metric": key, "column": column.name,
                    **_spread(one, ids, adjusted),
                }  # fmt: skip


def _spread(one: Spread, ids: tuple[str, str], adjusted: Adjusted | None) -> dict[str, object]:
    bounds, other = one.interval, adjusted.interval if adjusted else None
    return {
        "lowest": ids[0], "highest": ids[1],
        "low_score": one.low_score, "high_score": one.high_score,
        "low": bounds.low if bounds else None, "high": bounds.high if bounds else None,
        "adjusted": adjusted.adjusted if adjusted else None,
        "adjusted_low": other.low if other else None,
        "adjusted_high": other.high if other else None,
        "value": one.value, "p": one.p, "n": one.n, "n_questions": one.n_clusters,
    }  # fmt: skip


def _named(group: Prompted) -> dict[str, object]:
    return {"model": group.model, "label": group.label, "decoding": group.decoding}


def own_scores(
    metric: MetricProtocol, rows: Sequence[np.ndarray], column: int
) -> list[np.ndarray] | None:
    """Return each row's own score under a column: shape (rows,) for each condition.

    Null where the score of all rows is not the mean of the rows' own, as corpus BLEU is not.
    """
    with np.errstate(all="ignore"):
        own = [metric.score(of)[:, column] for of in rows]
        for of, scores in zip(rows, own, strict=True):
            kept = ~np.isnan(of).any(axis=1)
            whole = metric.score(of[kept].sum(axis=0))[column]
            if kept.any() and not abs(whole - scores[kept].mean()) <= ROUNDING * max(1, abs(whole)):
                return None
    return own


def _crossed(groups: Sequence[Prompted]) -> Iterator[tuple[Prompted, Prompted]]:
    """Yield every two models that share two prompts or more, under the same decoding."""
    for i, one in enumerate(groups):
        for other in groups[i + 1 :]:
            shared = _prompts(one) & _prompts(other)
            if len(shared) > 1 and one.decoding == other.decoding:
                yield one, other


def _prompts(group: Prompted) -> set[str]:
    return {c.prompt.name for c in group.conditions}


def _interactions(
    collected: Collected, spec: ReportSpec, pair: tuple[Prompted, Prompted]
) -> Iterator[dict[str, object]]:
    """Yield whether prompts do to one model what they do to the other."""
    shared = [c.prompt.name for c in pair[0].conditions if c.prompt.name in _prompts(pair[1])]
    grid = [
        [next(c.id for c in group.conditions if c.prompt.name == name) for name in shared]
        for group in pair
    ]
    aligned = Aligned.of(collected, [i for line in grid for i in line])
    for key, metric in spec.metrics.items():
        if not any(column.main for column in metric.columns):
            continue
        rows = aligned.statistics(key, metric.statistics)
        halves = [rows[: len(shared)], rows[len(shared) :]]
        found = interaction(halves, metric.score, aligned.resampler())
        for column, one in zip(metric.columns, found, strict=True):
            if column.main:
                yield {
                    "model": " x ".join(g.model for g in pair),
                    "label": " \N{MULTIPLICATION SIGN} ".join(g.label for g in pair),
                    "decoding": pair[0].decoding, "kind": "interaction",
                    "metric": key, "column": column.name,
                    "value": one.value, "p": one.p, "n": one.n, "n_questions": one.n_clusters,
                }  # fmt: skip


def moved(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return the rows that prompts move most (``MOVERS``), by each row's own score."""
    return pl.DataFrame(
        [row for group in prompted(spec) for row in _moved(collected, spec, group)], schema=MOVERS
    )


def _moved(collected: Collected, spec: ReportSpec, group: Prompted) -> Iterator[dict[str, object]]:
    ids = [c.id for c in group.conditions]
    aligned = Aligned.of(collected, ids)
    for key, metric in spec.metrics.items():
        found = movers(aligned.statistics(key, metric.statistics), metric.score, N_MOVERS)
        for column, most in zip(metric.columns, found, strict=True):
            for one in most if column.main else ():
                yield {
                    "model": group.model, "metric": key, "column": column.name,
                    "example": aligned.rows["example"][one.row],
                    "lowest": ids[one.lowest], "highest": ids[one.highest],
                    "low_score": one.low_score, "high_score": one.high_score,
                }  # fmt: skip
