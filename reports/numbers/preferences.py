"""Preferences of judges: at equal length, by the place of a reply, and as strengths. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core import stats
from empathy_core.stats import AdjustedPreference, Strengths
from empathy_core.types import Condition
from reports.keys import ALL
from reports.labels import full_name, row_labels
from reports.numbers.values import ends
from reports.rows.collect import Collected
from reports.rows.compared import ComparedAnswers, comparing, comparisons
from reports.spec import ReportSpec

PREFERENCES: dict[str, Any] = {
    "metric": pl.String,  # key of the comparison with the baseline
    "column": pl.String,
    "judge": pl.String,  # label
    "condition": pl.String,
    "baseline": pl.String,  # id of the condition that it is compared with
    "preferred": pl.Float64,  # mean preference over the baseline; null: no comparison has one
    "low": pl.Float64,  # of its 95 % interval; null: too few questions, or nothing varies
    "high": pl.Float64,
    "adjusted": pl.Float64,  # the same at equal length; null: see "refusal"
    "adjusted_low": pl.Float64,
    "adjusted_high": pl.Float64,
    "moved": pl.Boolean,  # the adjustment is larger than ten points
    "refusal": pl.String,  # why there is no adjusted preference, or no interval; empty if there is
    "first": pl.Float64,  # probability of the reply that stands first, over both orders
    "consistent": pl.Float64,  # share of comparisons with one verdict in both orders
    "n": pl.Int64,  # comparisons with a preference
    "n_missing": pl.Int64,  # comparisons of two answers that have none
    "n_no_label": pl.Int64,  # of these, the labels had too little of the probability in an order
    "n_too_long": pl.Int64,  # of these, a text did not fit the judge's context
    "n_alone": pl.Int64,  # answers with nothing to compare: the baseline has none to that question
    "mass": pl.Float64,  # mean probability of the labels, over both orders
    "strength": pl.Float64,  # Bradley-Terry, log-odds with a mean of zero; null: see "unranked"
    "strength_low": pl.Float64,
    "strength_high": pl.Float64,
    "unranked": pl.String,  # why there are no strengths, or no intervals of them
}
"""Schema of the preferences, a row a judge's question and condition."""


def preferences(collected: Collected, summary: pl.DataFrame, spec: ReportSpec) -> pl.DataFrame:
    """Return what every judge prefers (``PREFERENCES``); *summary*: ``aggregate.SUMMARY``."""
    compared = comparisons(collected, spec)
    rows = [
        row
        for key, metric in comparing(spec.metrics).items()
        if metric.columns  # the comparison with the baseline; the others have none
        for row in _of_question(collected, summary, spec.conditions, key, metric, compared)
    ]
    return pl.DataFrame(rows, schema=PREFERENCES)


def _of_question(
    collected: Collected,
    summary: pl.DataFrame,
    conditions: Sequence[Condition],
    key: str,
    metric: Any,
    compared: Sequence[ComparedAnswers],
) -> Iterator[dict[str, object]]:
    """Yield the record of each condition; *key* is of the comparison with the baseline."""
    mine = [one for one in compared if _same(one.metric, metric)]
    beside = {one.condition: one.rows for one in mine if one.key == key}
    column = metric.columns[0]
    at = (pl.col("subset") == ALL) & (pl.col("metric") == key) & (pl.col("column") == column.name)
    scores = {row["condition"]: row for row in summary.filter(at).iter_rows(named=True)}
    labels = row_labels(conditions)
    shown = {c.id: full_name(c, labels) for c in conditions}
    ranked = _strengths(mine, shown)
    for condition in conditions:
        record: dict[str, object] = {
            "metric": key, "column": column.name, "judge": column.judge,
            "condition": condition.id, "baseline": metric.opponent,
        }  # fmt: skip
        rows = beside.get(condition.id)
        if rows is not None:
            record |= {"n_alone": _n_alone(collected.scores[condition.id, key])}
        if rows is not None and rows.height:
            score = scores.get(condition.id, {})
            record |= {"preferred": score.get("score")}
            record |= {name: score.get(name) for name in ("low", "high")}
            record |= _beside(rows)
        yield record | _strength(ranked, shown[condition.id])


def _same(one: Any, other: Any) -> bool:
    """Tell whether two comparisons are one judge's answers to one question."""
    return bool(one.judge == other.judge and one.rubric == other.rubric)


def _beside(rows: pl.DataFrame) -> dict[str, object]:
    """Return what stands beside a mean preference."""
    y = rows["preference"].fill_null(np.nan).to_numpy()
    longer = rows["longer"].to_numpy()
    _, clusters = np.unique(rows["cluster"].to_numpy(), return_inverse=True)
    found = stats.preference_at_equal_length(y, longer, np.zeros_like(longer), clusters)
    judged = rows.filter(pl.col("judged") == 1, pl.col("low_mass") == 0)
    return {
        **_adjusted(found),
        "first": judged["first"].mean(),
        "consistent": judged["consistent"].mean(),
        "n": found.n,
        "n_missing": found.n_left_out,
        "n_no_label": int(rows["low_mass"].sum()),
        "n_too_long": int(rows["too_long"].sum()),
        "mass": rows.filter(pl.col("judged") == 1)["mass"].mean(),
    }


def _n_alone(rows: pl.DataFrame) -> int:
    """Return how many answers stand alone."""
    return rows.filter(pl.col("left_out") == 0, pl.col("alone") == 1).height


def _adjusted(found: AdjustedPreference) -> dict[str, object]:
    return {
        "adjusted": found.adjusted,
        **ends(found.interval, "adjusted"),
        "moved": found.moved,
        "refusal": str(found.refusal) if found.refusal else "",
    }


def _strengths(compared: Sequence[ComparedAnswers], names: Mapping[str, str]) -> Strengths | None:
    """Return the strengths of conditions, *names* by id; null where fewer than three are compared.

    They bear the names that tables print, since a refusal lists them.
    """
    place = {of: i for i, of in enumerate(names)}
    mine = [one for one in compared if one.rows.height and one.opponent in place]
    if len({name for one in mine for name in (one.condition, one.opponent)}) < 3:
        return None
    whole = pl.concat([
        one.rows.select(
            pl.lit(place[one.condition]).alias("first"),
            pl.lit(place[one.opponent]).alias("second"),
            pl.col("preference").fill_null(np.nan),
            "cluster",
        )
        for one in mine
    ])  # fmt: skip
    _, clusters = np.unique(whole["cluster"].to_numpy(), return_inverse=True)
    first, second, y = (whole[name].to_numpy() for name in ("first", "second", "preference"))
    return stats.strengths(first, second, y, clusters, [*names.values()])


def _strength(ranked: Strengths | None, condition: str) -> dict[str, object]:
    if ranked is None:
        return {"unranked": ""}
    one = ranked.of(condition)
    return {
        "strength": one.value if one else None,
        **ends(one.interval if one else None, "strength"),
        "unranked": str(ranked.refusal) if ranked.refusal else "",
    }
