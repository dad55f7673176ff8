"""What a judge's own ratings show of it: how many there are, and which faults. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol, rates
from empathy_core.stats import BiasFinding, BiasPanel, JudgedPairs, JudgedScores, bias_panel
from empathy_core.types import Column, Condition
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.rows.compared import ComparedAnswers, comparisons
from reports.spec import ReportSpec

JUDGES: dict[str, Any] = {
    "metric": pl.String,  # key
    "column": pl.String,
    "judge": pl.String,  # label
    "n": pl.Int64,  # answers that were to be rated: of some dimensions only at some risk
    "n_rated": pl.Int64,  # of these, with a rating
    "n_no_label": pl.Int64,  # the labels had less than the least share of the probability
    "n_not_applicable": pl.Int64,  # the judge says that the question does not apply
    "n_too_long": pl.Int64,  # the text did not fit the judge's context
    "n_empty": pl.Int64,  # nothing of the answer is visible
    "mass": pl.Float64,  # mean probability of the labels, of the answers that the judge was shown
    "floor": pl.Float64,  # share of ratings nearest to the lowest label
    "ceiling": pl.Float64,  # nearest to the highest
}
"""Schema of the judges, a row each column that is a rating."""

CHECKS: dict[str, Any] = {
    "metric": pl.String,  # key
    "column": pl.String,
    "judge": pl.String,  # label
    "check": pl.String,  # key of ``stats.BIAS_RULES``
    "value": pl.Float64,  # null: cannot be told
    "low": pl.Float64,  # of its 95 % interval; null: too few questions, or nothing varies
    "high": pl.Float64,
    "named": pl.Boolean,  # whether the judge is named for the fault; null: cannot be told
    "fault": pl.String,  # empty where it is not named
    "reason": pl.String,  # why it cannot be told; empty where it can
    "n": pl.Int64,  # replies, pairs or questions that the value is made of
    "n_questions": pl.Int64,  # their questions
}
"""Schema of the checks, a row each rating and check."""


OF_PAIRS = ("verbosity", "order", "swap")
"""Checks of what a judge prefers, and not of how it rates."""


@dataclass(frozen=True, slots=True)
class JudgeNumbers:
    """What is known of all judges.

    Attributes:
        judges: ``JUDGES``.
        checks: ``CHECKS``.
        people: Whether people have rated any answer.
    """

    judges: pl.DataFrame
    checks: pl.DataFrame
    people: bool = False


@dataclass(frozen=True, slots=True)
class _Rating:
    """One dimension that a judge rates."""

    key: str
    metric: Any  # a judge's, as planned
    column: Column

    @property
    def paraphrases(self) -> tuple[str, str, str]:
        """Judge, rubric and dimension of which this is another wording; no rubric: of none."""
        return self.metric.judge, self.metric.rubric.paraphrase_of, self.metric.dimension.name


def judge_numbers(collected: Collected, spec: ReportSpec) -> JudgeNumbers:
    """Return how every judge rated, and the faults that its ratings show."""
    every = _ratings(spec.metrics)
    ratings = [rating for rating in every if not rating.metric.rubric.paraphrase_of]
    judges: list[dict[str, object]] = []
    checks: list[dict[str, object]] = []
    every_pair = comparisons(collected, spec)
    asked = [r.metric for r in ratings] + [one.metric for one in every_pair]
    for name in dict.fromkeys(metric.judge for metric in asked):  # some judges only compare
        mine = [rating for rating in ratings if rating.metric.judge == name]
        compared = [one for one in every_pair if one.metric.judge == name]
        judges += [_record(r) | _counts(collected, spec.conditions, r) for r in mine]
        checks += _checks(collected, spec, mine, every, compared)
    return JudgeNumbers(
        pl.DataFrame(judges, schema=JUDGES), pl.DataFrame(checks, schema=CHECKS),
        collected.ratings.there,
    )  # fmt: skip


def _ratings(metrics: Mapping[str, MetricProtocol]) -> list[_Rating]:
    """Return what judges rate, paraphrases among it, comparisons left out."""
    return [
        _Rating(key, metric, metric.columns[0]) for key, metric in metrics.items() if rates(metric)
    ]


def _record(rating: _Rating) -> dict[str, object]:
    column = rating.column
    return {"metric": rating.key, "column": column.name, "judge": column.judge}


def _counts(
    collected: Collected, conditions: Sequence[Condition], rating: _Rating
) -> dict[str, object]:
    rows = pl.concat([collected.scores[c.id, rating.key] for c in conditions])
    judged, values = rows.filter(pl.col("judged") == 1), rating.metric.dimension.values
    return {
        "n": sum(int(rows[name].sum()) for name in ("judged", "too_long", "empty")),
        "n_rated": rows["score"].count(),
        "n_no_label": int(rows["low_mass"].sum()),
        "n_not_applicable": int(rows["not_applicable"].sum()),
        "n_too_long": int(rows["too_long"].sum()),
        "n_empty": int(rows["empty"].sum()),
        "mass": judged["mass"].mean(),
        "floor": (rows["score"] < values[0] + 0.5).mean(),
        "ceiling": (rows["score"] >= values[-1] - 0.5).mean(),
    }


def _checks(
    collected: Collected,
    spec: ReportSpec,
    mine: Sequence[_Rating],
    every: Sequence[_Rating],
    compared: Sequence[ComparedAnswers],
) -> list[dict[str, object]]:
    """Return the findings of one judge: of each dimension, then of its comparisons."""
    aligned = Aligned.of(collected, [c.id for c in spec.conditions])
    found = [
        _record(rating) | _finding(finding)
        for rating in mine
        for finding in _panel(aligned, spec.conditions, rating, every, len(mine)).findings
        if finding.check not in OF_PAIRS
    ]
    if (pairs := _pairs(compared)) is None:
        return found
    record = _record(_comparison(compared))
    panel = bias_panel(_no_scores(aligned), aligned.resampler(), pairs, max(1, len(mine)))
    return found + [record | _finding(of) for of in panel.findings if of.check in OF_PAIRS]


def _no_scores(aligned: Aligned) -> JudgedScores:
    """Return scores without any: what a judge prefers is looked at without how it rates."""
    nothing = np.full((1, aligned.examples.height), np.nan)
    return JudgedScores(nothing, nothing, (0.0, 1.0))


def _comparison(compared: Sequence[ComparedAnswers]) -> _Rating:
    """Return what stands for all comparisons: that with the baseline."""
    one = next(one for one in compared if one.metric.columns)
    return _Rating(one.key, one.metric, one.metric.columns[0])


def _panel(
    aligned: Aligned,
    conditions: Sequence[Condition],
    rating: _Rating,
    every: Sequence[_Rating],
    n_columns: int,
) -> BiasPanel:
    metric = rating.metric
    mass, shown = np.stack(aligned.statistics(rating.key, ("mass", "judged"))).transpose(2, 0, 1)
    words = np.stack([aligned.values(c.id, "words") for c in conditions])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_words = np.where(words > 0, np.log(words), np.nan)
    named = (metric.judge, metric.rubric.name, metric.dimension.name)
    wordings = [r.key for r in every if r.paraphrases == named]
    others = [r.key for r in every if _same_question(r.metric, metric) and r.key != rating.key]
    column = JudgedScores(
        scores=_scores(aligned, rating.key),
        log_lengths=log_words,
        labels=tuple(map(float, metric.dimension.values)),
        mass=np.where(shown > 0, mass, np.nan),
        own=np.array([c.fingerprint == metric.fingerprint for c in conditions]),
        others=_stacked(aligned, others),
        wordings=_stacked(aligned, wordings),
    )
    return bias_panel(column, aligned.resampler(), None, n_columns)


def _scores(aligned: Aligned, key: str) -> np.ndarray:
    return np.stack([of[:, 0] for of in aligned.statistics(key, ("score",))])


def _stacked(aligned: Aligned, keys: Sequence[str]) -> np.ndarray | None:
    return np.stack([_scores(aligned, key) for key in keys]) if keys else None


def _same_question(one: Any, other: Any) -> bool:
    """Tell whether two judges rate the same dimension of the same rubric."""
    return bool(
        one.judge != other.judge
        and one.rubric.name == other.rubric.name
        and one.dimension == other.dimension
    )


def _pairs(compared: Sequence[ComparedAnswers]) -> JudgedPairs | None:
    """Return what a judge prefers; null where it was not asked."""
    mine = [one for one in compared if one.rows.height]
    if not mine:
        return None
    answered = (pl.col("judged") == 1) & (pl.col("low_mass") == 0)
    whole = pl.concat([
        one.rows.with_columns(pair=pl.lit(i)).filter(answered)
        for i, one in enumerate(mine)
    ])  # fmt: skip
    return JudgedPairs(
        first_of_ab=whole["p_first_as_a"].to_numpy(),
        first_of_ba=whole["p_first_as_b"].to_numpy(),
        longer=whole["longer"].to_numpy(),
        pairs=whole["pair"].to_numpy(),
        clusters=np.unique(whole["cluster"].to_numpy(), return_inverse=True)[1],
    )


def _finding(found: BiasFinding) -> dict[str, object]:
    bounds = found.interval
    return {
        "check": found.check, "value": found.value,
        "low": bounds.low if bounds else None, "high": bounds.high if bounds else None,
        "named": found.named, "fault": found.fault, "reason": found.reason,
        "n": found.n, "n_questions": found.n_clusters,
    }  # fmt: skip
