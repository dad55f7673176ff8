"""Adapters beside their bases: every difference with its interval and tests. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from empathy_core.stats import Difference, holm, paired_difference
from reports.aligned import Aligned
from reports.collect import Collected
from reports.spec import Comparison, ReportSpec
from reports.table import Wanted

COMPARED: dict[str, Any] = {
    "family": pl.String,
    "tuned": pl.String,  # condition
    "base": pl.String,  # condition
    "label": pl.String,
    "train_size": pl.Int64,
    "sources": pl.String,
    "seed": pl.Int64,
    "metric": pl.String,  # key
    "column": pl.String,
    "base_score": pl.Float64,  # on the rows that both have scored, as are all that follow
    "tuned_score": pl.Float64,
    "difference": pl.Float64,  # tuned less base; null: no row is scored by both
    "low": pl.Float64,  # of the 95 % interval; null: too few questions
    "high": pl.Float64,
    "p_bootstrap": pl.Float64,
    "p_randomization": pl.Float64,
    "p_holm": pl.Float64,  # p_randomization, corrected over all of the family's
    "n": pl.Int64,  # rows that both have scored
    "n_left_out": pl.Int64,  # rows that one of them has not
    "n_questions": pl.Int64,
}
"""Schema of the comparisons, a row for each adapter and main column."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the tables of comparisons are made of.

    Attributes:
        compared: ``COMPARED``.
        wanted: Their lines.
    """

    collected: Collected
    summary: pl.DataFrame
    compared: pl.DataFrame
    spec: ReportSpec
    wanted: tuple[Wanted, ...]


def ordered(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return comparisons by family, base, sources, size and seed; families as they first appear."""
    found = list(comparisons)
    families = list(dict.fromkeys(c.family for c in found))
    bases = list(dict.fromkeys(c.base for c in found))
    return sorted(
        found,
        key=lambda c: (
            families.index(c.family), bases.index(c.base), c.sources, c.train_size, c.seed,
        ),
    )  # fmt: skip


def by_base(comparisons: Iterable[Comparison]) -> list[list[Comparison]]:
    """Return the comparisons of each family and base together."""
    return [list(of) for _, of in groupby(ordered(comparisons), lambda c: (c.family, c.base))]


def labels(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Return tuned condition → label, made unique among *comparisons*.

    What tells them apart: family, sources, seed, or in the end the condition.
    """
    named = {c.tuned: c.label for c in comparisons}
    parts = (lambda c: c.family, lambda c: c.sources, lambda c: f"seed {c.seed}", lambda c: c.tuned)
    for part in parts:
        for c in comparisons:
            same = [d for d in comparisons if named[d.tuned] == named[c.tuned]]
            if len({part(d) for d in same}) > 1:
                named |= {d.tuned: f"{named[d.tuned]}, {part(d)}" for d in same}
    return named


def compare(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return every adapter beside its base under the main columns (``COMPARED``).

    The questions are the clusters, and the draws are the same for all, so that adapters can be
    compared with each other as well.
    """
    rows = [
        {**_named(comparison), "metric": key, "column": column.name, **_shown(difference)}
        for comparison in ordered(spec.finetunes)
        for key, metric in spec.metrics.items()
        if any(column.main for column in metric.columns)
        for column, difference in zip(
            metric.columns, _differences(collected, spec, comparison, key), strict=True
        )
        if column.main
    ]
    return _corrected(pl.DataFrame(rows, schema=COMPARED))


def _differences(
    collected: Collected, spec: ReportSpec, comparison: Comparison, key: str
) -> tuple[Difference, ...]:
    """Compare on the rows that either should have; what only one has scored is left out."""
    metric = spec.metrics[key]
    aligned = Aligned.of(collected, (comparison.base, comparison.tuned))
    base, tuned = aligned.statistics(key, metric.statistics)
    return paired_difference(base, tuned, metric.score, aligned.resampler())


def _named(comparison: Comparison) -> dict[str, object]:
    names = ("family", "tuned", "base", "label", "train_size", "sources", "seed")
    return {name: getattr(comparison, name) for name in names}


def _shown(found: Difference) -> dict[str, object]:
    return {
        "base_score": found.first,
        "tuned_score": found.second,
        "difference": found.value,
        "low": found.interval.low if found.interval else None,
        "high": found.interval.high if found.interval else None,
        "p_bootstrap": found.p_bootstrap,
        "p_randomization": found.p_randomization,
        "n": found.n,
        "n_left_out": found.n_left_out,
        "n_questions": found.n_clusters,
    }


def _corrected(compared: pl.DataFrame) -> pl.DataFrame:
    families = compared.partition_by("family", maintain_order=True)
    parts = [
        of.with_columns(p_holm=pl.Series(holm(of["p_randomization"].to_list()), dtype=pl.Float64))
        for of in families
    ]
    return pl.concat(parts).select(*COMPARED) if parts else compared
