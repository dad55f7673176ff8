"""Sound rows → a score for each condition, column and subset, and every difference. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.stats import Estimate, compare_all, contrast
from empathy_core.types import Condition
from reports.keys import ALL
from reports.numbers.bounds import Possible, possible
from reports.numbers.pairs import CONTRASTS, PAIRS, corrected, record
from reports.numbers.significance import COMMON, LEAST_COVERED
from reports.numbers.values import ends, or_null
from reports.rows.align import Aligned, reduced
from reports.rows.collect import Collected
from reports.rows.subsets import THERAPIST, subsets, therapist
from reports.spec import Contrast, ReportSpec

__all__ = ["ALL", "COMMON", "SUMMARY", "THERAPIST", "Aggregated", "aggregate", "therapist"]

SUMMARY: dict[str, Any] = {
    "condition": pl.String,
    "model": pl.String,  # label
    "prompt": pl.String,  # label
    "decoding": pl.String,
    "subset": pl.String,  # all | common | therapist | <column>=<value>
    "metric": pl.String,  # key
    "column": pl.String,
    "score": pl.Float64,  # each example once, its samples averaged; null: no row was scored
    "low": pl.Float64,  # of the 95 % interval; null: too few questions, or they do not vary
    "high": pl.Float64,
    "one_sided": pl.Boolean,  # the interval is one bound; the other end is that of the scale
    "n": pl.Int64,  # answers that the score is made of
    "n_unscored": pl.Int64,  # answers that the metric could not score
    "n_expected": pl.Int64,
    "n_questions": pl.Int64,  # clusters that the n answers belong to
    "n_examples": pl.Int64,  # examples that they are answers to
    "ranked": pl.Boolean,  # a model with scores for 95 % of what any model has scores for
    "common": pl.Float64,  # score on the examples that all ranked rows have; null: not ranked
    "n_common": pl.Int64,  # those examples
    "least": pl.Float64,  # least score on the examples that all ranked rows answered, whatever
    "most": pl.Float64,  # the unscored answers would get; the greatest; null: cannot be bounded
}
"""Schema of the summary, a row for each number of the tables."""


@dataclass(frozen=True, slots=True)
class Aggregated:
    """All numbers of a report.

    Attributes:
        summary: ``SUMMARY``. The subset ``common`` is there only where a ranked row lacks scores
            that another one has: every ranked row on the examples that all of them have.
        pairs: ``pairs.PAIRS``: every two conditions on all rows, and every two ranked ones on the
            common rows where there are such.
        contrasts: ``pairs.CONTRASTS``: what the configuration declares.
    """

    summary: pl.DataFrame
    pairs: pl.DataFrame
    contrasts: pl.DataFrame


Lines = list[dict[str, object]]


def aggregate(collected: Collected, spec: ReportSpec) -> Aggregated:
    """Return every condition under every metric, on every subset, and beside every other."""
    aligned = Aligned.of(collected, [c.id for c in spec.conditions])
    masks = {name: aligned.within(examples) for name, examples in subsets(collected, spec)}
    summary: Lines = []
    pairs: Lines = []
    declared: Lines = []
    n_declared = max(1, len(spec.main_columns) * len(spec.analysis.contrasts))
    for key, metric in spec.printed.items():
        whole = _Scored.of(aligned, spec.conditions, key, metric)
        for subset, mask in masks.items():
            part = whole.within(mask)
            lines, of_pairs = _numbers(part, subset, pairs=subset == ALL)
            summary += lines
            pairs += of_pairs
            if subset == ALL and not part.complete:
                lines, of_pairs = _numbers(part.on_common_rows(), COMMON, pairs=True)
                summary += lines
                pairs += of_pairs
        declared += _contrasts(spec.analysis.contrasts, whole, n_declared)
    frames = pl.DataFrame(summary, schema=SUMMARY), pl.DataFrame(pairs, schema=PAIRS)
    summarised, paired = _with_common(*frames)
    return Aggregated(
        _in_order(summarised, spec, [ALL, COMMON, *(name for name in masks if name != ALL)]),
        corrected(paired, ("subset", "metric", "column")),
        corrected(pl.DataFrame(declared, schema=CONTRASTS), ()),
    )


def _with_common(summary: pl.DataFrame, pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the metrics without a gap to the subset ``common``, so that its table is whole."""
    incomplete = summary.filter(pl.col("subset") == COMMON)["metric"].unique()
    if incomplete.is_empty():
        return summary, pairs
    others = (pl.col("subset") == ALL) & ~pl.col("metric").is_in(incomplete.implode())
    of_all = summary.filter(others, pl.col("ranked"))
    ids = of_all.select("metric", condition="condition").unique()
    between = pairs.filter(others)
    for side in ("first", "second"):
        between = between.join(
            ids, left_on=("metric", side), right_on=("metric", "condition"), how="semi"
        )
    named = pl.lit(COMMON).alias("subset")
    return (
        pl.concat([summary, of_all.with_columns(named)]),
        pl.concat([pairs, between.with_columns(named)]),
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


# ---------------------------------------------------------------------------- one metric


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Some conditions under one metric, on some examples.

    Attributes:
        rows: Statistics of shape (examples, statistics) for each condition, NaN where unscored.
        counts: For each condition the answers expected, asked about and scored of each example:
            shape (3, examples).
        possible: Null where every answer has a score.
        mask: Shape (examples,): which of the examples of *aligned* these are.
    """

    aligned: Aligned
    conditions: tuple[Condition, ...]
    key: str
    metric: MetricProtocol
    rows: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]
    possible: Possible | None
    mask: np.ndarray

    @classmethod
    def of(
        cls, aligned: Aligned, conditions: tuple[Condition, ...], key: str, metric: MetricProtocol
    ) -> "_Scored":
        """Return all examples of *aligned*."""
        by_row = aligned.by_row(key, metric.statistics)
        counts = tuple(
            np.stack([
                aligned.counted(aligned.expected(c.id)),
                aligned.counted(aligned.answered(c.id, key)),
                aligned.counted(~np.isnan(of).any(axis=1)),
            ])
            for c, of in zip(conditions, by_row, strict=True)
        )  # fmt: skip
        rows = tuple(map(aligned.averaged, by_row))
        whole = np.ones(aligned.examples.height, dtype=bool)
        bounds = possible(aligned, key, metric)
        return cls(aligned, conditions, key, metric, rows, counts, bounds, whole)

    def within(self, mask: np.ndarray) -> "_Scored":
        """Return those of the examples of *mask*, of the shape of all of *aligned*."""
        return _Scored(
            self.aligned, self.conditions, self.key, self.metric,
            tuple(of[mask] for of in self.rows),
            tuple(of[:, mask] for of in self.counts),
            self.possible and self.possible.within(mask), mask,
        )  # fmt: skip

    @property
    def scored(self) -> np.ndarray:
        """Return which examples have a score: shape (conditions, examples)."""
        return np.stack([~np.isnan(of).any(axis=1) for of in self.rows])

    @property
    def ranked(self) -> list[int]:
        """Return the places of the conditions that are compared with each other: of equal cost."""
        models = [
            i for i, c in enumerate(self.conditions) if not c.model.is_human and c.choice is None
        ]
        scored = self.scored
        n_wanted = int(scored[models].any(axis=0).sum())
        return [i for i in models if n_wanted and scored[i].sum() >= LEAST_COVERED * n_wanted]

    @property
    def common(self) -> np.ndarray:
        """Return which examples all ranked rows have a score for: shape (examples,)."""
        return np.asarray(self.scored[self.ranked].all(axis=0))

    @property
    def complete(self) -> bool:
        """Whether every ranked row has the same examples."""
        ranked = self.ranked
        return not ranked or bool((self.scored[ranked] == self.common).all())

    def decisive(self) -> dict[int, dict[str, np.ndarray]]:
        """Return what decides the place of each ranked row: shape (columns,) each.

        Keyed by the condition's place: ``common``, ``least`` and ``most`` of ``SUMMARY``.
        """
        ranked, common = self.ranked, self.common
        found = {i: reduced(self.metric, self.rows[i][common]) for i in ranked}
        least = most = [found[i] for i in ranked]
        if self.possible and ranked:
            least, most = map(list, self.possible.scores(ranked))
        return {
            i: {"common": found[i], "least": low, "most": high}
            for i, low, high in zip(ranked, least, most, strict=True)
        }

    def on_common_rows(self) -> "_Scored":
        """Return the ranked conditions on the common examples."""
        ranked, common = self.ranked, self.common
        mask = np.zeros_like(self.mask)
        mask[np.flatnonzero(self.mask)[common]] = True
        return _Scored(
            self.aligned, tuple(self.conditions[i] for i in ranked), self.key, self.metric,
            tuple(self.rows[i][common] for i in ranked),
            tuple(self.counts[i][:, common] for i in ranked),
            self.possible and self.possible.of(ranked), mask,
        )  # fmt: skip


def _numbers(of: _Scored, subset: str, *, pairs: bool) -> tuple[Lines, Lines]:
    """Return the records of the summary and of the pairs."""
    n_pairs = math.comb(len(of.rows), 2) if pairs else 0
    found = compare_all(
        of.rows,
        of.metric.score,
        of.aligned.resampler(of.mask).for_tests(max(1, n_pairs)),
        None if pairs else [],
        of.metric.columns,
    )
    scores = [reduced(of.metric, rows) for rows in of.rows]
    named = {"subset": subset, "metric": of.key}
    summary = [named | line for line in _summary(of, scores, found.estimates)]
    places = [column.name for column in of.metric.columns]
    differences: Lines = []
    for (i, j), columns in found.differences.items():
        bounds = of.possible.difference([i], [j]) if of.possible else None
        cells = scores[j] - scores[i]
        ids = {"first": of.conditions[i].id, "second": of.conditions[j].id}
        differences += [
            ids | named | {"column": name}
            | record(one, cells[k], None if bounds is None else (bounds[0][k], bounds[1][k]))
            for k, (name, one) in enumerate(zip(places, columns, strict=True))
        ]  # fmt: skip
    return summary, differences


def _summary(
    of: _Scored, scores: Sequence[np.ndarray], estimates: Sequence[Sequence[Estimate]]
) -> Iterator[dict[str, object]]:
    """Yield the records of each condition and column."""
    scored, decisive, n_common = of.scored, of.decisive(), int(of.common.sum())
    for i, condition in enumerate(of.conditions):
        n_expected, n_asked, n_scored = (int(n) for n in of.counts[i].sum(axis=1))
        counts = {
            "n": n_scored, "n_unscored": n_asked - n_scored, "n_expected": n_expected,
            "n_examples": int(scored[i].sum()), "ranked": i in decisive,
        }  # fmt: skip
        for k, (column, estimate) in enumerate(zip(of.metric.columns, estimates[i], strict=True)):
            interval = estimate.interval
            printed = {name: or_null(found[k]) for name, found in decisive.get(i, {}).items()}
            yield _named(condition) | counts | printed | {
                "column": column.name,
                "score": or_null(scores[i][k]),
                **ends(interval),
                "one_sided": interval.one_sided if interval else None,
                "n_questions": estimate.n_clusters,
                "n_common": n_common if i in decisive else None,
            }  # fmt: skip


def _named(condition: Condition) -> dict[str, object]:
    return {
        "condition": condition.id,
        "model": condition.model.label,
        "prompt": condition.prompt.label,
        "decoding": condition.decoding.name,
    }


# ---------------------------------------------------------------------------- declared contrasts


def _contrasts(
    declared: Sequence[Contrast], of: _Scored, n_tests: int
) -> Iterator[dict[str, object]]:
    """Yield the records of the main columns; *n_tests*: of the family, all metrics together."""
    if not any(column.main for column in of.metric.columns):
        return
    places = {c.id: i for i, c in enumerate(of.conditions)}
    scores = [reduced(of.metric, rows) for rows in of.rows]
    for one in declared:
        first, second = ([places[pair[side]] for pair in one.pairs] for side in (0, 1))
        left, right = ([of.rows[i] for i in side] for side in (first, second))
        resampler = of.aligned.resampler().for_tests(n_tests)
        found = contrast(left, right, of.metric.score, resampler, of.metric.columns)
        cells = np.mean([scores[j] - scores[i] for i, j in zip(first, second, strict=True)], axis=0)
        bounds = of.possible.difference(first, second) if of.possible else None
        named = {"name": one.name, "label": one.label, "pairs": len(one.pairs), "metric": of.key}
        for k, (column, line) in enumerate(zip(of.metric.columns, found, strict=True)):
            if column.main:
                ends = None if bounds is None else (bounds[0][k], bounds[1][k])
                yield named | {"column": column.name} | record(line, cells[k], ends)
