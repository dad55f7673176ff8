"""How far all judges of one dimension agree, beyond what a judge's own checks show. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core.stats import Estimate, judge_agreement
from reports.numbers.values import ends
from reports.rows.align import Aligned

AGREEMENTS: dict[str, Any] = {
    "rubric": pl.String,  # label
    "dimension": pl.String,  # label
    "judges": pl.String,  # labels, by commas
    "n": pl.Int64,  # answers that two judges or more have rated
    "n_questions": pl.Int64,  # their questions
    "alpha": pl.Float64,  # Krippendorff's, interval; null: nothing varies, or one answer
    "alpha_low": pl.Float64,  # of its 95 % interval; null: too few questions
    "alpha_high": pl.Float64,
    "consistency": pl.Float64,  # ICC(C,1), over the answers that all have rated
    "consistency_low": pl.Float64,
    "consistency_high": pl.Float64,
    "n_all": pl.Int64,  # answers that all judges have rated
    "same": pl.Float64,  # share of pairs of ratings that are nearest to the same label
}
"""Schema of the agreement of judges, a row each dimension that two or more rate."""


def judges_agreement(aligned: Aligned, rated: Sequence[tuple[str, Any]]) -> pl.DataFrame:
    """Return ``AGREEMENTS``.

    Args:
        aligned: Rows of all conditions.
        rated: Key and metric of everything that a judge rates.
    """
    records = [_record(aligned, members) for members in _questions(rated)]
    return pl.DataFrame(records, schema=AGREEMENTS)


def _questions(rated: Sequence[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """Yield the judges of each question that two or more are asked."""
    asked: dict[tuple[str, Any], list[tuple[str, Any]]] = {}
    for key, metric in rated:
        asked.setdefault((metric.rubric.name, metric.dimension), []).append((key, metric))
    return (members for members in asked.values() if len(members) > 1)


def _record(aligned: Aligned, members: Sequence[tuple[str, Any]]) -> dict[str, object]:
    metric = members[0][1]
    ratings = np.stack([
        np.concatenate([rows[:, 0] for rows in aligned.statistics(key, ("score",))])
        for key, _ in members
    ])  # fmt: skip
    cells = aligned.resampler().repeated(len(aligned.conditions))
    found = judge_agreement(ratings, cells)
    return {
        "rubric": metric.rubric.label, "dimension": metric.dimension.label,
        "judges": ", ".join(judge.columns[0].judge for _, judge in members),
        "n": found.alpha.n, "n_questions": found.alpha.n_clusters,
        **_estimate("alpha", found.alpha), **_estimate("consistency", found.consistency),
        "n_all": found.consistency.n, "same": found.same.value,
    }  # fmt: skip


def _estimate(name: str, of: Estimate) -> dict[str, object]:
    return {
        name: of.value if of.n > 1 else None,  # of one answer it would be 0 whatever was said
        **ends(of.interval, name),
    }
