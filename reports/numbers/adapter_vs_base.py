"""Adapters beside their bases: every difference with its interval and tests. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import paired_difference
from reports.keys import ALL
from reports.numbers.bounds import possible
from reports.numbers.pairs import PAIRS, corrected, record
from reports.numbers.significance import Wanted
from reports.rows.align import Aligned, reduced
from reports.rows.collect import Collected
from reports.spec import Comparison, ReportSpec

_NOT_HERE = ("first", "second", "subset", "metric", "column", "first_score", "second_score")

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
    "base_score": pl.Float64,  # on the examples that both have scored, as are all that follow
    "tuned_score": pl.Float64,
    **{name: kind for name, kind in PAIRS.items() if name not in _NOT_HERE},
}
"""Schema of the comparisons, a row for each adapter and main column: those of ``pairs.PAIRS``, the
base first and the adapter second. A family is all differences of one fine-tune."""


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


def as_pairs(compared: pl.DataFrame) -> pl.DataFrame:
    """Return ``COMPARED`` as ``pairs.PAIRS``, the base first; of several families the first's."""
    sides = {"base": "first", "tuned": "second"}
    rows = compared.rename(sides | {f"{a}_score": f"{b}_score" for a, b in sides.items()})
    pair = ["first", "second", "metric", "column"]
    once = rows.unique(pair, keep="first", maintain_order=True)
    return once.with_columns(subset=pl.lit(ALL)).select(*PAIRS)


def ordered(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return comparisons by family, base, sources, size and seed; families as they first appear."""
    listed = list(comparisons)
    families = list(dict.fromkeys(c.family for c in listed))
    bases = list(dict.fromkeys(c.base for c in listed))
    return sorted(
        listed,
        key=lambda c: (
            families.index(c.family), bases.index(c.base), c.sources, c.train_size, c.seed,
        ),
    )  # fmt: skip


def by_base(comparisons: Iterable[Comparison]) -> list[list[Comparison]]:
    """Return the comparisons of each family and base together."""
    by = groupby(ordered(comparisons), lambda c: (c.family, c.base))
    return [list(members) for _, members in by]


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
        _named(comparison) | line
        for comparison in ordered(spec.finetunes)
        for key, metric in spec.metrics.items()
        if any(column.main for column in metric.columns)
        for line in differences(
            collected, comparison.base, comparison.tuned, key, metric, n_tests(spec, comparison)
        )
    ]
    return corrected(pl.DataFrame(rows, schema=COMPARED), ("family",))


def n_tests(spec: ReportSpec, comparison: Comparison) -> int:
    """Return how many differences the family of a comparison has, under all main columns."""
    n_compared = sum(c.family == comparison.family for c in spec.finetunes)
    return max(1, len(spec.main_columns) * n_compared)


def differences(
    collected: Collected, first: str, second: str, key: str, metric: MetricProtocol, n_tests: int
) -> Iterator[dict[str, object]]:
    """Yield *second* less *first* under each main column of a metric (``COMPARED`` in part).

    Compared on the examples that either should have; what only one has scored is left out.
    """
    aligned = Aligned.of(collected, (first, second))
    base, tuned = aligned.statistics(key, metric.statistics)
    resampler = aligned.resampler().for_tests(n_tests)
    found = paired_difference(base, tuned, metric.score, resampler, metric.columns)
    cells = reduced(metric, tuned) - reduced(metric, base)
    bounds = possible(aligned, key, metric)
    ends = bounds.difference([0], [1]) if bounds else None
    for k, (column, difference) in enumerate(zip(metric.columns, found, strict=True)):
        if column.main:
            shown = record(difference, cells[k], None if ends is None else (ends[0][k], ends[1][k]))
            scores = {"base_score": shown["first_score"], "tuned_score": shown["second_score"]}
            yield {"metric": key, "column": column.name} | scores | shown


def _named(comparison: Comparison) -> dict[str, object]:
    names = ("family", "tuned", "base", "label", "train_size", "sources", "seed")
    return {name: getattr(comparison, name) for name in names}
