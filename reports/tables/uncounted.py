"""Which rows the metrics left out, and where they had nothing to count, in words. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import polars as pl

from empathy_core.metrics import MetricProtocol, Remark, remarks, why_unscored
from empathy_core.types import Condition
from reports.keys import metric_name
from reports.labels import count, full_name, row_labels
from reports.numbers.significance import Wanted
from reports.rows.collect import Collected
from reports.spec import ReportSpec


def uncounted(
    collected: Collected,
    spec: ReportSpec,
    wanted: Sequence[Wanted],
    *,
    conditions: Collection[str] | None = None,
    examples: pl.Series | None = None,
) -> list[str]:
    """Say which rows the metrics of *wanted* left out and why, and where they had nothing to count.

    Args:
        collected: Whose scores.
        spec: Of which metrics.
        wanted: Columns; what is said holds of their metrics.
        conditions: Ids; null: all.
        examples: Ids of the rows that count; null: all.
    """
    shown = [c for c in spec.conditions if conditions is None or c.id in conditions]
    notes = []
    for key in dict.fromkeys(key for key, _ in wanted):
        unscored, said = _of_metric(collected, spec.metrics[key], key, shown, examples)
        name, why = metric_name(key), why_unscored(spec.metrics[key])
        if unscored:
            notes.append(_note(f"Not scored by {name}", why, counts_of(unscored, shown)))
        notes += [_note(name, of, counts_of(counts, shown)) for of, counts in said.items()]
    return notes


def _note(who: str, remark: Remark, counts: str) -> str:
    return " ".join(filter(None, (f"{': '.join(filter(None, (who, remark.text, counts)))}.",
                                  remark.advice)))  # fmt: skip


Counted = dict[str, tuple[int, int] | None]
"""Condition id → rows that something is said of, and of how many; null: of all together."""


def _of_metric(
    collected: Collected,
    metric: MetricProtocol,
    key: str,
    shown: Sequence[Condition],
    examples: pl.Series | None,
) -> tuple[Counted, dict[Remark, Counted]]:
    """Return the rows that a metric left unscored, and what it has to say of the others."""
    unscored: Counted = {}
    said: dict[Remark, Counted] = {}
    for condition in shown:
        rows = collected.scores[condition.id, key]
        if examples is not None:
            rows = rows.filter(pl.col("example").is_in(examples.to_list()))
        if not rows.height:
            continue
        scored = rows.select(metric.statistics).drop_nulls()
        if lost := rows.height - scored.height:
            unscored[condition.id] = (lost, rows.height)
        for remark in remarks(metric, scored.sum().to_numpy()[0]) if scored.height else ():
            counts = None if remark.n is None else (remark.n, scored.height)
            said.setdefault(replace(remark, n=None), {})[condition.id] = counts
    return unscored, said


def counts_of(counts: Mapping[str, tuple[int, int] | None], shown: Sequence[Condition]) -> str:
    """Return how many rows of which conditions; once where all of several have the same."""
    first = next(iter(counts.values()))
    if len(counts) == len(shown) > 1 and len(set(counts.values())) == 1:
        return f"{count(first[0])} of {count(first[1])} in each row" if first else "every row"
    labels = row_labels(shown)
    told = []
    for condition in shown:
        if condition.id in counts:
            n = counts[condition.id]
            name = full_name(condition, labels)
            told.append(f"{name} {count(n[0])} of {count(n[1])}" if n else name)
    return "; ".join(told)


def rated(collected: Collected, spec: ReportSpec, wanted: Sequence[Wanted]) -> list[str]:
    """Say of how many answers people's columns are, where the table has any."""
    keys = [key for key in dict.fromkeys(key for key, _ in wanted) if key in spec.rated_by_people]
    if not keys:
        return []
    ns = {collected.scores[c.id, key].height for c in spec.conditions for key in keys} - {0}
    told = " to ".join(dict.fromkeys(count(n) for n in (min(ns), max(ns)))) if ns else "no"
    return [
        f"(people): n = {told} answers a row, to questions drawn by chance and weighted by "
        "1/chance; answers that nobody rated are not missing."
    ]
