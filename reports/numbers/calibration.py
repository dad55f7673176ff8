"""Each judge held against people, on every dimension that both rated the same text of. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._standing import UNCALIBRATED, calibrated, with_standing
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.stats import (
    CONTROLS,
    Calibration,
    CalibrationRule,
    Estimate,
    JudgeAndPeople,
    Refusal,
    UnmetRequirement,
    calibrate,
    unmet,
)
from empathy_core.stats.rater_effects import rater_effects
from empathy_core.types import Condition
from reports.keys import Keys, column_keys, head_of
from reports.numbers.agreement import estimated
from reports.numbers.values import ends
from reports.rows.collect import Collected
from reports.rows.rated_tables import (
    RatedDimension,
    asked_of,
    beside,
    dimension_of,
    rated_dimensions,
)
from reports.spec import ReportSpec

STATISTICS: Mapping[str, str] = {
    "people": "people's mean",
    "bias": "judge's mean less people's, in points",
    "rmse": "root mean square difference from single ratings",
    "gain_mode": "error of people's commonest rating, less the judge's",
    "gain_mean": "error of people's mean, less the judge's",
    "gain_shuffled": "error of the judge's scores in another order, less the judge's",
    "kappa": "quadratic kappa of rounded scores with each person",
    "alpha": "interval alpha with each person",
    "alpha_people": "interval alpha of people with each other",
    "icc_a1": "ICC(A,1) with people's values",
    "icc_c1": "ICC(C,1) with people's values",
    "accuracy": "share of pairs ordered as people do, ties half",
    "decided": "share of pairs ordered as people do, of those that the judge orders",
    "judge_ties": "share of pairs that people order and the judge does not",
    "people_ties": "share of pairs that people do not order",
    "system_icc_a1": "ICC(A,1) of conditions' means",
    "system_icc_c1": "ICC(C,1) of conditions' means",
    "system_tau": "Kendall's tau-b of conditions' means",
    "omega": "share of people whom the judge may stand in for",
    "rho": "share of answers on which the judge is as near to the others as a person is",
    "omega_mode": "the same of people's commonest rating",
    "omega_mean": "the same of people's mean",
    "omega_shuffled": "the same of the judge's scores in another order",
    "length": "correlation of error and log length",
    "self_preference": "error on its own replies less that on others, in points",
    "sensitivity": "share of the answers flagged by people that it flags",
    "specificity": "share of the others that it does not flag",
}
"""What a judge is held to, in the order of tables; those of ``omega`` have no interval."""

_OF: dict[str, Any] = {
    "key": pl.String,  # what prose calls it, or what all keys of the row begin with
    "metric": pl.String,  # key
    "column": pl.String,
    "judge": pl.String,  # label
    "rubric": pl.String,
    "dimension": pl.String,
    "label": pl.String,  # of rubric and dimension
}

CALIBRATION: dict[str, Any] = _OF | {
    "statistic": pl.String,  # key of ``STATISTICS``
    "value": pl.Float64,  # null: cannot be told
    "low": pl.Float64,  # of the 95 % interval by question; null: too few, or nothing varies
    "high": pl.Float64,
    "n": pl.Int64,  # answers; of orders, answers in a pair; of omega and rho, people tested
    "n_questions": pl.Int64,
    "reason": pl.String,  # why it cannot be told; else empty
}
"""Schema of calibration, a row each judge, dimension and statistic."""

STANDING: dict[str, Any] = _OF | {
    "n": pl.Int64,  # answers that judge and people rated
    "n_raters": pl.Int64,
    "n_questions": pl.Int64,
    "calibrated": pl.Boolean,
    "standing": pl.String,  # as headings have it
    "unmet": pl.List(pl.String),  # names of requirements; see ``UnmetRequirement``
    "found": pl.List(pl.Float64),  # what was found of each; null where there is no number
    "asked": pl.List(pl.Float64),  # what the rule says; null of what is always required
    "refusal": pl.String,  # why the judge cannot be held against people; else empty
}
"""Schema of how judges stand, a row each judge and dimension that people rated."""

ALTERNATIVE: dict[str, Any] = _OF | {
    "who": pl.String,  # judge, or one of ``CONTROLS``
    "rater": pl.String,
    "advantage": pl.Float64,
    "difference": pl.Float64,
    "p": pl.Float64,  # null: no test
    "p_corrected": pl.Float64,
    "epsilon": pl.Float64,
    "n": pl.Int64,
    "n_questions": pl.Int64,
}
"""Schema of the Alternative Annotator Test, a row each judge or control and person."""

BIASES: dict[str, Any] = _OF | {
    "condition": pl.String,
    "people": pl.Float64,  # mean of people's values
    "bias": pl.Float64,  # to be added for the judge's mean on the same answers
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}
"""Schema of biases by condition, a row each judge, dimension and condition."""


POINTS: dict[str, Any] = _OF | {
    "people": pl.Float64,  # people's value, to the nearest of ``N_STEPS`` of the scale
    "judge_value": pl.Float64,  # the judge's score, likewise
    "n": pl.Int64,  # answers there
    "least": pl.Float64,  # of the scale
    "most": pl.Float64,
}
"""Schema of single answers, a row each judge, dimension and place."""
N_STEPS = 16


@dataclass(frozen=True, slots=True)
class CalibrationNumbers:
    """Judges against people.

    Attributes:
        statistics: ``CALIBRATION``.
        standing: ``STANDING``.
        alternative: ``ALTERNATIVE``.
        biases: ``BIASES``.
        points: ``POINTS``.
    """

    statistics: pl.DataFrame
    standing: pl.DataFrame
    alternative: pl.DataFrame
    biases: pl.DataFrame
    points: pl.DataFrame


def calibration_numbers(collected: Collected, spec: ReportSpec) -> CalibrationNumbers:
    """Hold every judge and jury against people; empty without ratings."""
    parts: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("statistics", "standing", "alternative", "biases", "points")
    }
    rated = {of.asked: of for of in rated_dimensions(collected, spec)}
    head, keys = head_of("calibration", spec.conditions), spec.keys()
    columns = column_keys(spec.metrics)
    for key, metric in spec.metrics.items():
        asked = asked_of(metric)
        if asked is None:
            continue
        rubric, dimension = asked
        of = rated.get((rubric.name, dimension.name, dimension_digest(rubric, dimension)))
        if of is not None:
            begins = f"{head}.{columns[key, metric.columns[0].name]}"
            for name, rows in _of_judge(collected, spec, key, of).items():
                parts[name] += [_keyed(begins, row, keys) for row in rows]
    schemas = (CALIBRATION, STANDING, ALTERNATIVE, BIASES, POINTS)
    frames = (pl.DataFrame(of, schema=s) for of, s in zip(parts.values(), schemas, strict=True))
    return CalibrationNumbers(*frames)


def _keyed(begins: str, row: dict[str, object], keys: Keys) -> dict[str, object]:
    """Return a record with its key."""
    parts = [str(row[name]) for name in ("statistic", "who", "rater") if row.get(name) is not None]
    if "condition" in row:
        parts.append(keys.condition(str(row["condition"])))
    return row | {"key": ".".join([begins, *parts])}


def with_standings(spec: ReportSpec, found: CalibrationNumbers) -> ReportSpec:
    """Return the report with headings that say which judges are calibrated."""
    standing = dict(found.standing.filter("calibrated").select("metric", "standing").iter_rows())
    if not standing:
        return spec
    metrics: dict[str, MetricProtocol] = {
        key: with_standing(metric, standing[key]) if key in standing else metric
        for key, metric in spec.metrics.items()
    }
    return replace(spec, metrics=metrics)


def _of_judge(
    collected: Collected, spec: ReportSpec, key: str, of: RatedDimension
) -> dict[str, list[dict[str, object]]]:
    metric: Any = spec.metrics[key]
    rule, column = _rule(metric, spec), metric.columns[0]
    said = _said(collected, spec.conditions, metric, key, of)
    found = calibrate(said, of.resampler, rule.epsilon)
    named = {
        "metric": key, "column": column.name, "judge": column.judge, "rubric": of.asked[0],
        "dimension": of.asked[1], "label": f"{of.rubric_label}: {of.label}",
    }  # fmt: skip
    if isinstance(found, Refusal):
        none = {"n": 0, "n_raters": 0, "n_questions": 0, "calibrated": False,
                "standing": UNCALIBRATED, "unmet": [], "found": [], "asked": []}  # fmt: skip
        return {"standing": [named | none | {"refusal": str(found)}]}
    lacking = unmet(rule, found, said.labels[-1] - said.labels[0])
    raters = _raters(said, of)
    return {
        "statistics": [named | row for row in _statistics(found)],
        "standing": [named | _stands(found, lacking)],
        "alternative": [named | row for row in _tests(found, raters)],
        "biases": [named | row for row in _by_condition(said, found, of)],
        "points": [named | row for row in _points(said)],
    }


def _rule(metric: Any, spec: ReportSpec) -> CalibrationRule:
    """Return a judge's rule; of a jury that of its judges if they share one, else the defaults."""
    members = getattr(metric, "members", None)
    judges = [metric.judge] if members is None else [m.judge for m in members.values()]
    rules = {spec.requirements.get(name, CalibrationRule()) for name in judges}
    return rules.pop() if len(rules) == 1 else CalibrationRule()


def _said(
    collected: Collected, conditions: Sequence[Condition], metric: Any, key: str, of: RatedDimension
) -> JudgeAndPeople:
    """Return what judge and people said of the same answers."""
    by_id = {c.id: c for c in conditions}
    scores = [beside(of, collected.scores[c, key], "score") for c in of.conditions]
    words = np.stack([beside(of, collected.answers[c], "words") for c in of.conditions])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_words = np.where(words > 0, np.log(words), np.nan)
    members = getattr(metric, "members", None)
    made_by = {m.fingerprint for m in ([metric] if members is None else members.values())} - {""}
    dimension = dimension_of(metric)
    return JudgeAndPeople(
        judge=np.stack(scores), ratings=of.ratings,
        labels=tuple(map(float, dimension.values)), better=dimension.direction,
        log_lengths=log_words,
        own=np.array([by_id[c].fingerprint in made_by for c in of.conditions]),
    )  # fmt: skip


def _raters(said: JudgeAndPeople, of: RatedDimension) -> list[str]:
    """Return who rated anything that the judge did, as ``calibrate`` counts them."""
    both = ~np.isnan(said.ratings) & ~np.isnan(said.judge)
    there = both.any(axis=(1, 2))
    return [name for name, has in zip(of.raters, there, strict=True) if has]


# ---------------------------------------------------------------------------- records


def _statistics(found: Calibration) -> Iterator[dict[str, object]]:
    estimates: dict[str, Estimate | str | None] = {
        "people": found.people, "bias": found.bias, "rmse": found.rmse,
        **{f"gain_{name}": found.gains[name] for name in CONTROLS},
        "kappa": found.kappa, "alpha": found.alpha, "alpha_people": found.alpha_people,
        "icc_a1": found.icc_absolute, "icc_c1": found.icc_consistency,
        "accuracy": found.order.halved, "decided": found.order.decided,
        "judge_ties": found.order.tied,
        "system_icc_a1": found.means.icc_absolute, "system_icc_c1": found.means.icc_consistency,
        "system_tau": found.means.tau,
        "length": found.length, "self_preference": found.self_preference,
    }  # fmt: skip
    rows: dict[str, dict[str, object]] = {}
    for name, of in estimates.items():
        if isinstance(of, str):
            rows[name] = {"value": None, "reason": of}
        elif of is not None:
            rows[name] = estimated(of) | {"reason": ""}
    rows |= _ties(found) | _omegas(found) | _flags(found)
    for name in STATISTICS:
        if name in rows:
            yield {"statistic": name, "reason": "", **rows[name]}


def _ties(found: Calibration) -> dict[str, dict[str, object]]:
    n_pairs = found.order.n_pairs + found.order.n_reference_ties
    share = found.order.n_reference_ties / n_pairs if n_pairs else None
    return {"people_ties": {"value": share, "n": n_pairs, "n_questions": found.n_questions}}


def _omegas(found: Calibration) -> dict[str, dict[str, object]]:
    if found.alternative is None:
        reason = "one person has rated, and the test leaves each out in turn"
        return {name: {"value": None, "reason": reason} for name in ("omega", "rho")}
    every = {"omega": found.alternative} | {f"omega_{n}": c for n, c in found.controls.items()}
    told: dict[str, dict[str, object]] = {
        name: {"value": of.winning_rate, "n": sum(r.p is not None for r in of.raters),
               "n_questions": max((r.n_questions for r in of.raters), default=0),
               "reason": "" if of.winning_rate is not None else _UNTESTED}
        for name, of in every.items()
    }  # fmt: skip
    return told | {"rho": {**told["omega"], "value": found.alternative.advantage}}


_UNTESTED = "no person has 30 answers that another rated too, or nothing differs between questions"


def _flags(found: Calibration) -> dict[str, dict[str, object]]:
    if found.flags is None:
        return {}
    shares = {"sensitivity": found.flags.sensitivity, "specificity": found.flags.specificity}
    return {
        name: {
            "value": of.value, "n": of.n, "n_questions": of.n_questions,
            **ends(of.interval),
            "reason": "" if of.n else "people say so of no answer",
        }
        for name, of in shares.items()
    }  # fmt: skip


def _stands(found: Calibration, lacking: Sequence[UnmetRequirement]) -> dict[str, object]:
    return {
        "n": found.n, "n_raters": found.n_raters, "n_questions": found.n_questions,
        "calibrated": not lacking,
        "standing": UNCALIBRATED if lacking else calibrated(found.n, found.n_raters),
        "unmet": [of.name for of in lacking], "refusal": "",
        "found": [None if of.found is None else float(of.found) for of in lacking],
        "asked": [None if of.asked is None else float(of.asked) for of in lacking],
    }  # fmt: skip


def _tests(found: Calibration, raters: Sequence[str]) -> Iterator[dict[str, object]]:
    if found.alternative is None:
        return
    for who, of in {"judge": found.alternative, **found.controls}.items():
        for one in of.raters:
            yield {
                "who": who, "rater": raters[one.rater], "advantage": one.advantage,
                "difference": one.difference, "p": one.p, "p_corrected": one.p_corrected,
                "epsilon": of.epsilon, "n": one.n, "n_questions": one.n_questions,
            }  # fmt: skip


def _by_condition(
    said: JudgeAndPeople, found: Calibration, of: RatedDimension
) -> Iterator[dict[str, object]]:
    for place, (condition, bias) in enumerate(zip(of.conditions, found.biases, strict=True)):
        rated = (~np.isnan(said.ratings[:, place])).any(axis=0) & ~np.isnan(said.judge[place])
        mean = float(said.judge[place][rated].mean()) if rated.any() else None
        people = None if mean is None or bias.value is None else mean - bias.value
        told = estimated(bias)
        yield {"condition": condition, "people": people, "bias": told["value"],
               "low": told["low"], "high": told["high"], "n": told["n"]}  # fmt: skip


def _points(said: JudgeAndPeople) -> Iterator[dict[str, object]]:
    """Yield how many answers lie at each place of the scale, by people's value and the judge's."""
    ratings = np.where(np.isnan(said.judge), np.nan, said.ratings)
    effects = rater_effects(ratings.reshape(len(ratings), -1))
    if isinstance(effects, Refusal):
        return
    least, most = said.labels[0], said.labels[-1]
    step = (most - least) / N_STEPS
    pair = np.stack([effects.items, said.judge.ravel()])[:, ~np.isnan(effects.items)]
    places, counts = np.unique(np.rint((pair - least) / step), axis=1, return_counts=True)
    for (people, judge), n in zip((least + step * places).T.tolist(), counts.tolist(), strict=True):
        yield {"people": people, "judge_value": judge, "n": n, "least": least, "most": most}
