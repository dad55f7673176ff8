"""``[pairs.*]`` of scores: a run's answers to one question, of which a column prefers one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from empathy_core.data.cleaning import clean
from empathy_core.metrics._people import People
from empathy_core.store import read_json
from empathy_core.training.preference.candidates import FoundPairs
from empathy_core.training.preference.pairs import FEW_RATERS, LOW_MASS, MISSING
from empathy_core.training.preference.scored import (
    AnsweredQuestion,
    ComparedReplies,
    WrittenReply,
    as_candidates,
)
from empathy_core.training.preference.settings import PairSettings
from empathy_core.types import Condition
from jobs.planning.pairs.said_of_replies import said_of_replies
from jobs.planning.pairs.scored_run import ScoredRun, scored_run
from reports.labels import n_of
from reports.numbers.calibration import calibration_numbers
from reports.rows.compared import comparisons
from reports.rows.people import RatedAnswers, read_people
from reports.rows.pieces import KEY
from reports.rows.rated_tables import asked_of

VALUES = {"condition": pl.String, "example": pl.String, "sample": pl.Int32, "value": pl.Float64,
          "missing": pl.String}  # fmt: skip
"""A row each answer: what the column says of it; null where it says nothing, and then why."""


def scored_pairs(name: str, settings: PairSettings) -> FoundPairs:
    """Return the candidates that ``[pairs.<name>]`` finds among a run's answers.

    Raises:
        ConfigError: See ``scored_run``.
        DataError: Likewise.
    """
    return found_pairs(scored_run(name, settings), settings)


def found_pairs(of: ScoredRun, settings: PairSettings) -> FoundPairs:
    """Return the candidates among the answers of a run that was read."""
    replies = _replies(of, settings)
    compared = list(
        _compared(of, settings, replies)
        if getattr(of.metric, "opponent", "")
        else _beside(of, settings, replies)
    )
    judged = as_candidates(compared, settings.margin or 0.0)
    said = said_of_replies(of.collected, of.spec)
    if isinstance(of.metric, People):  # they would agree with themselves
        said = replace(said, people={})
    return said.marked(
        FoundPairs(
            judged.candidates, _origin(of, compared), judged.left_out, judged.differences,
            _dimension(of), (_chosen_by(of, settings),), tuple(_warnings(of)),
        )
    )  # fmt: skip


# ---------------------------------------------------------------------------- replies


@dataclass(frozen=True, slots=True)
class _AskedReplies:
    """Answers by condition, example and sample, and the examples' questions, in order."""

    questions: Mapping[str, AnsweredQuestion]
    replies: Mapping[tuple[str, str, int], WrittenReply]


def _replies(of: ScoredRun, settings: PairSettings) -> _AskedReplies:
    licences = {s["name"]: s["licence"] for s in read_json(of.run.audit)["sources"]}
    columns = of.collected.examples.select("id", "context", "source", "split")
    questions = {
        example: AnsweredQuestion(context, source, licences.get(source, ""), split == "test")
        for example, context, source, split in columns.iter_rows()
    }
    found = {}
    for condition in of.spec.conditions:
        licence = _licence(condition, settings)
        rows = of.collected.texts(condition.id, list(questions)).select(*KEY, "text", "stop")
        for example, sample, text, stop in rows.iter_rows():
            by = f"{condition.id}#{sample}"
            reply = WrittenReply(by, clean(text)[0], licence, cut=stop == "length")
            found[condition.id, example, sample] = reply
    return _AskedReplies(questions, found)


def _licence(condition: Condition, settings: PairSettings) -> str | None:
    if condition.model.is_human:
        return None
    return condition.model.licence or settings.licence or ""


# ---------------------------------------------------------------------------- scores of answers


def _beside(
    of: ScoredRun, settings: PairSettings, known: _AskedReplies
) -> Iterator[ComparedReplies]:
    """Yield every two answers to an example, with what the column says of each."""
    sign = 1 if of.column.better == "higher" else -1
    said = _allowed(of)
    values = pl.concat([_values(of, settings, c.id, said) for c in of.spec.conditions])
    rows = values.rows_by_key("example", named=True)
    for example, question in known.questions.items():
        for a, b in combinations(rows.get(example, ()), 2):
            first, second = (known.replies[r["condition"], example, r["sample"]] for r in (a, b))
            missing = a["missing"] or b["missing"]
            scores = None if missing else (a["value"], b["value"])
            apart = (sign * (scores[0] - scores[1]),) if scores else ()
            yield ComparedReplies(question, first, second, scores, apart, missing)


def _values(
    of: ScoredRun, settings: PairSettings, condition: str, said: RatedAnswers | None
) -> pl.DataFrame:
    """Return ``VALUES`` of a condition, a row each of its answers."""
    rows = of.collected.answers[condition].select(KEY)
    if isinstance(of.metric, People):
        found = _of_people(of, settings, condition, said)
    else:
        found = _of_metric(of, settings, condition)
    rows = rows.join(found, on=KEY, how="left", maintain_order="left")
    lacking = pl.col("value").is_null() | pl.col("value").is_nan()
    usual = FEW_RATERS if isinstance(of.metric, People) else MISSING
    why = pl.when(pl.col("missing") != "").then(pl.col("missing")).otherwise(pl.lit(usual))
    rows = rows.with_columns(missing=pl.when(lacking | (pl.col("missing") != "")).then(
        why.fill_null(usual)).otherwise(pl.lit("")))  # fmt: skip
    return rows.select(condition=pl.lit(condition), **{n: pl.col(n) for n in list(VALUES)[1:]})


def _of_metric(of: ScoredRun, settings: PairSettings, condition: str) -> pl.DataFrame:
    scores, metric = of.collected.scores[condition, of.key], of.metric
    statistics = scores.select(metric.statistics).cast(pl.Float64).fill_null(np.nan).to_numpy()
    with np.errstate(invalid="ignore"):
        values = np.asarray(metric.score(statistics), float)[:, of.place]
    rows = scores.select(KEY).with_columns(value=pl.Series(values, dtype=pl.Float64))
    if not {"mass", "low_mass", "judged"} <= set(metric.statistics):
        return rows.with_columns(missing=pl.lit(""))
    low = (scores["low_mass"] == 1) | (
        (scores["judged"] == 1) & (scores["mass"] < (settings.least_mass or 0.0))
    )
    return rows.with_columns(
        missing=pl.when(low.fill_null(value=False)).then(pl.lit(LOW_MASS)).otherwise(pl.lit(""))
    )


def _allowed(of: ScoredRun) -> RatedAnswers | None:
    """Return what people said who let models be trained on it; null if nobody, or not asked for."""
    if not isinstance(of.metric, People):
        return None
    conditions = [c.id for c in of.spec.conditions]
    return read_people(of.run, of.spec.metrics, conditions, of.collected.texts, to_train=True)


def _of_people(
    of: ScoredRun, settings: PairSettings, condition: str, said: RatedAnswers | None
) -> pl.DataFrame:
    """Return what people said of answers, where enough of them did, or one has settled it."""
    if said is None:
        return pl.DataFrame(schema={name: VALUES[name] for name in list(VALUES)[1:]})
    rows = said.of(*of.metric.asked).filter(pl.col("condition") == condition)
    n_raters = pl.col("ratings").list.len().fill_null(0)
    enough = pl.col("adjudicated") | (n_raters >= settings.least_raters)
    return rows.filter(enough).select(*KEY, "value", missing=pl.lit(""))


# ---------------------------------------------------------------------------- comparisons


def _compared(
    of: ScoredRun, settings: PairSettings, known: _AskedReplies
) -> Iterator[ComparedReplies]:
    """Yield every two answers that a judge compared, with what it said in either order."""
    sign = 1 if of.column.better == "higher" else -1
    samples = {c.id: c.decoding.n_samples for c in of.spec.conditions}
    for one in comparisons(of.collected, of.spec):
        for row in one.rows.iter_rows(named=True):
            example, sample = row["example"], row["sample"]
            other = sample if samples[one.opponent] > 1 else 0
            first = known.replies.get((one.condition, example, sample))
            second = known.replies.get((one.opponent, example, other))
            if first is None or second is None:
                continue
            missing = _lacking(row, settings)
            scores = None if missing else (row["preference"], 1 - row["preference"])
            apart = tuple(sign * d for d in _orders(row)) if not missing else ()
            yield ComparedReplies(
                known.questions[example], first, second, scores, apart, missing
            )  # fmt: skip


def _lacking(row: Mapping[str, Any], settings: PairSettings) -> str:
    """Return why a comparison says nothing; empty if it does."""
    if row["low_mass"] == 1 or (row["judged"] == 1 and row["mass"] < (settings.least_mass or 0.0)):
        return LOW_MASS
    return MISSING if row["preference"] is None or np.isnan(row["preference"]) else ""


def _orders(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return by how much more probably the answer is preferred than the other, in each order.

    What no judge must see (equal texts, an empty one) is one verdict.
    """
    if row["judged"] != 1:
        return (2 * row["preference"] - 1,)
    return 2 * row["p_first_as_a"] - 1, 1 - 2 * row["p_first_as_b"]


# ---------------------------------------------------------------------------- provenance


def _origin(of: ScoredRun, compared: list[ComparedReplies]) -> dict[str, Any]:
    """Return what the pairs are made from; ``answers`` and ``scores`` change when these do."""
    texts = sorted({(r.by, q.context, r.text) for c in compared for q in (c.question,)
                    for r in (c.first, c.second)})  # fmt: skip
    said = sorted((c.first.by, c.second.by, c.question.context, c.scores or (), c.differences,
                   c.missing) for c in compared)  # fmt: skip
    members = getattr(of.metric, "members", None)
    keys = [of.key] if members is None else list(members)
    planned = [m for m in of.plan.metrics if m.key in keys]
    return {
        "run": of.run.root.name,
        "conditions": [c.id for c in of.spec.conditions],
        "column": of.column.name,
        "label": of.column.label,
        "judge": of.column.judge,
        "signature": of.metric.signature(),
        "chosen_by": [m.judged_by or m.name for m in planned],
        "rounds": sorted(of.collected.people.rounds) if of.collected.people else [],
        "answers": _digest(texts),
        "scores": _digest(said),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def _dimension(of: ScoredRun) -> str:
    asked = asked_of(of.metric)
    return f"{asked[0].name}.{asked[1].name}" if asked else ""


def _chosen_by(of: ScoredRun, settings: PairSettings) -> str:
    """Return in a sentence how the better reply was found."""
    column = of.column
    who = f"the judge {column.judge} ({column.label})" if column.judge else column.label
    if isinstance(of.metric, People):
        who = f"{column.label}, at least {settings.least_raters} raters or an adjudication"
    return (
        f"Which reply of a pair is better was decided by {who}, where two differ by "
        f"{settings.margin:g} or more."
    )


def _warnings(of: ScoredRun) -> Iterator[str]:
    column = of.column
    if isinstance(of.metric, People) and of.collected.people:
        every, allowed = of.collected.people, _allowed(of)
        n = every.raters(*of.metric.asked)
        lost = n - (allowed.raters(*of.metric.asked) if allowed else 0)
        if lost:
            yield (
                f"{n_of(lost, n)} raters have not agreed that models may be trained on their "
                "ratings, which decide no pair."
            )
    if column.judge and not _is_calibrated(of):
        yield (
            f"{column.judge} is uncalibrated on {column.label}: people's ratings do not confirm "
            "that what it prefers is better."
        )


def _is_calibrated(of: ScoredRun) -> bool:
    """Tell whether people's ratings of that run make the judge count as calibrated."""
    metrics = {key: m for key, m in of.spec.metrics.items() if key == of.key}
    found = calibration_numbers(of.collected, replace(of.spec, metrics=metrics))
    return bool(found.standing.filter(pl.col("calibrated"), pl.col("metric") == of.key).height)
