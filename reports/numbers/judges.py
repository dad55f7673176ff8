"""What a judge's own ratings show of it: how many there are, and which faults. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol, rates
from empathy_core.stats import BiasFinding, BiasPanel, JudgedPairs, JudgedScores, bias_panel
from empathy_core.types import Column, Condition
from reports.numbers.judge_agreement import judges_agreement
from reports.numbers.judge_bounds import judge_bounds
from reports.numbers.values import ends
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.rows.compared import ComparedAnswers, comparing, comparisons
from reports.spec import ReportSpec

JUDGES: dict[str, Any] = {
    "metric": pl.String,  # key
    "column": pl.String,
    "judge": pl.String,  # label
    "n": pl.Int64,  # answers that were to be rated: of some dimensions only at some risk
    "n_rated": pl.Int64,  # of these, with a rating
    "n_no_label": pl.Int64,  # no answer: too little mass, or a written one that cannot be read
    "n_not_applicable": pl.Int64,  # the judge says that the question does not apply; null: compared
    "n_too_long": pl.Int64,  # the text did not fit the judge's context
    "n_empty": pl.Int64,  # nothing of the answer is visible
    "mass": pl.Float64,  # mean probability of the labels, of what the judge was shown; null: writes
    "floor": pl.Float64,  # share of ratings nearest to the lowest label; null: it compares two
    "ceiling": pl.Float64,  # nearest to the highest
}
"""Schema of the judges, a row each column that is a rating or a preference."""

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
        bounds: ``judge_bounds.BOUNDS``.
        agreement: ``judge_agreement.AGREEMENTS``.
        people: Whether people have rated any answer.
    """

    judges: pl.DataFrame
    checks: pl.DataFrame
    bounds: pl.DataFrame
    agreement: pl.DataFrame
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
    aligned = Aligned.of(collected, [c.id for c in spec.conditions])
    for name in dict.fromkeys(metric.judge for metric in asked):  # some judges only compare
        mine = [rating for rating in ratings if rating.metric.judge == name]
        compared = [one for one in every_pair if one.metric.judge == name]
        judges += [_record(r) | _counts(collected, spec.conditions, r) for r in mine]
        judges += _compared(compared)
        checks += _checks(aligned, spec, mine, every, compared)
    rated = [(rating.key, rating.metric) for rating in ratings]
    preferred = [(key, of) for key, of in comparing(spec.metrics).items() if of.columns]
    return JudgeNumbers(
        pl.DataFrame(judges, schema=JUDGES),
        pl.DataFrame(checks, schema=CHECKS),
        judge_bounds(aligned, [*rated, *preferred]),
        judges_agreement(aligned, rated),
        collected.ratings.there,
    )


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
        "n_no_label": int(rows[rating.metric.no_answer].sum()),
        "n_not_applicable": int(rows["not_applicable"].sum()),
        "n_too_long": int(rows["too_long"].sum()),
        "n_empty": int(rows["empty"].sum()),
        "mass": judged["mass"].mean() if "mass" in rows.columns else None,
        "floor": (rows["score"] < values[0] + 0.5).mean(),
        "ceiling": (rows["score"] >= values[-1] - 0.5).mean(),
    }


def _compared(compared: Sequence[ComparedAnswers]) -> list[dict[str, object]]:
    """Return the counts of a judge's comparisons, of each question over all pairs."""
    by_question: dict[str, list[ComparedAnswers]] = {}
    for one in compared:
        by_question.setdefault(one.metric.rubric.name, []).append(one)
    return [
        _record(_comparison(mine)) | _counts_of_pairs(pl.concat([one.rows for one in mine]))
        for mine in by_question.values()
    ]


def _counts_of_pairs(rows: pl.DataFrame) -> dict[str, object]:
    return {
        "n": rows.height,
        "n_rated": rows["preference"].count(),
        "n_no_label": int(rows["low_mass"].sum()),
        "n_too_long": int(rows["too_long"].sum()),
        "n_empty": int(rows["empty"].sum()),
        "mass": rows.filter(pl.col("judged") == 1)["mass"].mean(),
    }


def _checks(
    aligned: Aligned,
    spec: ReportSpec,
    mine: Sequence[_Rating],
    every: Sequence[_Rating],
    compared: Sequence[ComparedAnswers],
) -> list[dict[str, object]]:
    """Return the findings of one judge: of each dimension, then of its comparisons."""
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
        mass=_mass(aligned, rating),
        own=np.array([c.is_by(metric.model, metric.fingerprint) for c in conditions]),
        others=_stacked(aligned, others),
        wordings=_stacked(aligned, wordings),
    )
    return bias_panel(column, aligned.resampler(), None, n_columns)


def _mass(aligned: Aligned, rating: _Rating) -> np.ndarray | None:
    """Return the mass of each answer that was shown; null for a judge that writes."""
    if "mass" not in rating.metric.statistics:
        return None
    both = aligned.statistics(rating.key, ("mass", "judged"))
    mass, shown = np.stack(both).transpose(2, 0, 1)
    return np.where(shown > 0, mass, np.nan)


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
    return {
        "check": found.check, "value": found.value, **ends(found.interval),
        "named": found.named, "fault": found.fault, "reason": found.reason,
        "n": found.n, "n_questions": found.n_clusters,
    }  # fmt: skip
