"""How much the prompt matters: the range over prompts, at equal length, and by model. Pure."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import polars as pl

from empathy_core import stats
from empathy_core.metrics import MetricProtocol
from empathy_core.stats import Adjusted, Spread, benjamini_hochberg, holm, length_adjusted, movers
from empathy_core.types import Column, Condition
from reports.numbers.bounds import is_mean
from reports.numbers.values import ends
from reports.rows.align import Aligned, same_rows
from reports.rows.collect import Collected
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


@dataclass(frozen=True, slots=True)
class Prompted:
    """One model under several prompts, the same decoding and rows."""

    model: str
    label: str
    decoding: str
    conditions: tuple[Condition, ...]

    @property
    def ids(self) -> list[str]:
        """The conditions' ids."""
        return [condition.id for condition in self.conditions]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One model's rows under one metric.

    Attributes:
        rows: Statistics of shape (examples, statistics), for each prompt.
        words: Words of the answers, shape (examples,), for each prompt.
    """

    group: Prompted
    rows: Sequence[np.ndarray]
    words: Sequence[np.ndarray]
    resampler: stats.Resampler


PromptedPair = tuple[Prompted, Prompted]
PlacedRecord = tuple[int, dict[str, object]]
"""The place of the model, or of the two, that a record is of, and the record."""
Item = TypeVar("Item")


def prompted(spec: ReportSpec) -> list[Prompted]:
    """Return the models that were asked with two prompts or more."""

    def of(condition: Condition) -> tuple[str, str, str]:
        return condition.model.name, condition.model.label, condition.decoding.name

    asked = sorted((c for c in spec.conditions if not c.model.is_human), key=of)
    groups = [Prompted(*key, tuple(members)) for key, members in groupby(asked, of)]
    order = [c.id for c in spec.conditions]
    groups.sort(key=lambda g: order.index(g.conditions[0].id))
    return [g for g in groups if len({c.prompt.name for c in g.conditions}) > 1]


def spreads(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return what prompts do to every main column (``SPREADS``)."""
    groups = prompted(spec)
    family = _n_tests(spec, groups)
    rows = [*_spreads(collected, spec, groups, family), *_interactions(collected, spec, groups)]
    frame = pl.DataFrame(rows, schema=SPREADS)
    return frame.with_columns(
        pl.Series(name, way(frame["p"].to_list()), dtype=pl.Float64)
        for name, way in (("p_holm", holm), ("p_bh", benjamini_hochberg))
    )


def _n_tests(spec: ReportSpec, groups: Sequence[Prompted]) -> int:
    """Return how many tests p is corrected for: ranges and interactions under all main columns."""
    return max(1, len(spec.main_columns) * (len(groups) + len(list(_crossed(groups)))))


def _in_order(lines: Iterable[PlacedRecord]) -> list[dict[str, object]]:
    return [record for _, record in sorted(lines, key=itemgetter(0))]


def _alike(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[tuple[int, Item]]]:
    """Return items of the same key together, each with its place."""
    found: dict[Hashable, list[tuple[int, Item]]] = {}
    for place, item in enumerate(items):
        found.setdefault(key(item), []).append((place, item))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Tested:
    """A metric, and the columns of it that are tested.

    Attributes:
        columns: Those of the main table, each with its place among all; where one of them is no
            ratio, all, since *score* makes them together.
        score: Of these.
    """

    metric: MetricProtocol
    columns: Sequence[tuple[int, Column]]
    score: stats.ScoreFunction


def _main(spec: ReportSpec) -> Iterator[tuple[str, _Tested]]:
    for key, metric in spec.metrics.items():
        every = list(enumerate(metric.columns))
        main = [(place, column) for place, column in every if column.main]
        ratios = stats.Ratios.of([column for _, column in main])
        if main:
            yield key, _Tested(metric, main if ratios else every, ratios or metric.score)


def _spreads(
    collected: Collected, spec: ReportSpec, groups: Sequence[Prompted], n_tests: int
) -> list[dict[str, object]]:
    """Return the spread of each model; of the same rows all at once, since they share shuffles."""
    rows = same_rows(collected, (i for group in groups for i in group.ids))

    def of(group: Prompted) -> Hashable:
        return len(group.ids), frozenset(rows[i] for i in group.ids)

    return _in_order(
        line
        for members in _alike(groups, of)
        for line in _spread_lines(collected, spec, members, n_tests)
    )


def _spread_lines(
    collected: Collected, spec: ReportSpec, members: Sequence[tuple[int, Prompted]], n_tests: int
) -> Iterator[PlacedRecord]:
    aligned = Aligned.of(collected, [i for _, group in members for i in group.ids])
    resampler = aligned.resampler().for_tests(n_tests)
    words = [aligned.values(i, "words") for i in aligned.conditions]
    k = len(members[0][1].ids)
    parts = [slice(start, start + k) for start in range(0, len(words), k)]
    metrics = dict(_main(spec))
    by_metric = {key: aligned.statistics(key, of.metric.statistics) for key, of in metrics.items()}
    judged = stats.spreads_by_metric(
        [([by_metric[key][part] for part in parts], of.score) for key, of in metrics.items()],
        resampler,
    )
    for (key, tested), found in zip(metrics.items(), judged, strict=True):
        rows = by_metric[key]
        for (place, group), part, columns in zip(members, parts, found, strict=True):
            asked = _Asked(group, rows[part], words[part], resampler)
            for record in _spread_records(asked, tested, columns):
                yield place, {"metric": key, **record}


def _spread_records(
    asked: _Asked, tested: _Tested, found: Sequence[Spread]
) -> Iterator[dict[str, object]]:
    for (place, column), one in zip(tested.columns, found, strict=True):
        i, j = one.lowest, one.highest
        if not column.main or i is None or j is None:
            continue
        scores, adjusted, words = own_scores(tested.metric, asked.rows, place), None, asked.words
        if scores is not None:
            adjusted = length_adjusted(scores[i], scores[j], words[i], words[j], asked.resampler)
        ids = (asked.group.ids[i], asked.group.ids[j])
        yield {
            **_named(asked.group), "kind": "spread", "column": column.name,
            **_spread(one, ids, adjusted),
        }  # fmt: skip


def _spread(one: Spread, ids: tuple[str, str], adjusted: Adjusted | None) -> dict[str, object]:
    return {
        "lowest": ids[0], "highest": ids[1],
        "low_score": one.low_score, "high_score": one.high_score,
        **ends(one.interval),
        "adjusted": adjusted.adjusted if adjusted else None,
        **ends(adjusted.interval if adjusted else None, "adjusted"),
        "value": one.value, "p": one.p, "n": one.n, "n_questions": one.n_clusters,
    }  # fmt: skip


def _named(group: Prompted) -> dict[str, object]:
    return {"model": group.model, "label": group.label, "decoding": group.decoding}


def own_scores(
    metric: MetricProtocol, rows: Sequence[np.ndarray], column: int
) -> list[np.ndarray] | None:
    """Return each row's own score under a column: shape (rows,) for each condition.

    Null where the score of all rows is not the mean of the rows' own, as corpus BLEU is not. A row
    that a column leaves out (ROUGE-2, where a reference has no bigram) is NaN, and not in its mean.
    """
    if not is_mean(metric, rows, column):
        return None
    with np.errstate(all="ignore"):
        return [metric.score(of)[:, column] for of in rows]


def _crossed(groups: Sequence[Prompted]) -> Iterator[PromptedPair]:
    """Yield every two models that share two prompts or more, under the same decoding."""
    for i, one in enumerate(groups):
        for other in groups[i + 1 :]:
            shared = _prompts(one) & _prompts(other)
            if len(shared) > 1 and one.decoding == other.decoding:
                yield one, other


def _prompts(group: Prompted) -> set[str]:
    return {c.prompt.name for c in group.conditions}


def _interactions(
    collected: Collected, spec: ReportSpec, groups: Sequence[Prompted]
) -> list[dict[str, object]]:
    """Return whether prompts do to one model what they do to another, for every two models."""
    rows = same_rows(collected, (i for group in groups for i in group.ids))

    def of(pair: PromptedPair) -> Hashable:
        return frozenset(rows[i] for line in _grid(pair) for i in line)

    return _in_order(
        line
        for members in _alike(_crossed(groups), of)
        for line in _interaction_lines(collected, spec, members)
    )


def _grid(pair: PromptedPair) -> list[list[str]]:
    """Return the conditions (ids) of each of the two under the prompts that both were asked."""
    shared = [c.prompt.name for c in pair[0].conditions if c.prompt.name in _prompts(pair[1])]
    by_prompt = [{c.prompt.name: c.id for c in reversed(group.conditions)} for group in pair]
    return [[ids[name] for name in shared] for ids in by_prompt]


def _interaction_lines(
    collected: Collected, spec: ReportSpec, members: Sequence[tuple[int, PromptedPair]]
) -> Iterator[PlacedRecord]:
    named = [_grid(pair) for _, pair in members]
    aligned = Aligned.of(
        collected, dict.fromkeys(i for grid in named for line in grid for i in line)
    )
    places = {i: place for place, i in enumerate(aligned.conditions)}
    grids = [[[places[i] for i in line] for line in grid] for grid in named]
    for key, tested in _main(spec):
        rows = aligned.statistics(key, tested.metric.statistics)
        found = stats.interactions(rows, grids, tested.score, aligned.resampler())
        for (place, pair), columns in zip(members, found, strict=True):
            for (_, column), one in zip(tested.columns, columns, strict=True):
                if column.main:
                    yield place, {
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
    ids = group.ids
    aligned = Aligned.of(collected, ids)
    for key, metric in spec.printed.items():
        found = movers(aligned.statistics(key, metric.statistics), metric.score, N_MOVERS)
        for column, most in zip(metric.columns, found, strict=True):
            for one in most if column.main else ():
                yield {
                    "model": group.model, "metric": key, "column": column.name,
                    "example": aligned.examples["example"][one.row],
                    "lowest": ids[one.lowest], "highest": ids[one.highest],
                    "low_score": one.low_score, "high_score": one.high_score,
                }  # fmt: skip
