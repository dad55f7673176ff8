"""Which questions and conditions reveal gaps: low, disputed, or judged otherwise. Pure.

Everything is on the length of a scale, from 0 to 1: the shortfall of the mean from the better end,
the distance between the highest and the lowest rating, and that between the mean and a judge's
score. A rating is low, disputed or judged otherwise from half of the scale on.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from empathy_core.annotation.points import RATED
from empathy_core.annotation.round_items import ScaleName
from empathy_core.rubrics.spec import Dimension

HALF = 0.5
"""Of a scale: from here on a rating is low, disputed, or far from a judge's."""

ANSWER_GAPS: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "n_raters": pl.UInt32,
    "mean": pl.Float64,
    "short": pl.Float64,  # of the better end; null where neither end is better
    "spread": pl.Float64,  # null below two raters
    "far": pl.Float64,  # from the judges' mean; null where none has scored it
}
"""Schema of ``answer_gaps``: a row each answer and dimension that people rated."""

GAPS: dict[str, Any] = {
    "name": pl.String,  # of the example, or of the condition
    "n": pl.UInt32,  # answers and dimensions that were rated
    "low": pl.UInt32,
    "disputed": pl.UInt32,
    "far": pl.UInt32,
    "weakest": pl.String,  # ``rubric.dimension`` with the largest gap
    "gap": pl.Float64,  # mean of what is known of the three, summed; from 0 to 3
}
"""Schema of ``ranked_gaps``, the largest gap first."""


def answer_gaps(
    ratings: pl.DataFrame,
    scales: Mapping[ScaleName, Dimension],
    judged: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return how far each rated answer falls short (``ANSWER_GAPS``).

    Args:
        ratings: ``RATINGS``; only those of answers count that no rule excludes.
        scales: (rubric, dimension) → its scale.
        judged: Judges' scores: condition, example, rubric, dimension, score; null where there are
            none.
    """
    ends = pl.DataFrame(
        [(*name, float(of.values[0]), float(of.values[-1]), of.direction)
         for name, of in scales.items()],
        schema={"rubric": pl.String, "dimension": pl.String, "least": pl.Float64,
                "most": pl.Float64, "direction": pl.String}, orient="row",
    )  # fmt: skip
    kinds = pl.col("kind").is_in(["answer", "purposive"])
    counted = ratings.filter(kinds & (pl.col("excluded") == "") & (pl.col("state") == RATED))
    keys = ("condition", "example", "rubric", "dimension")
    value = pl.col("value")
    own = counted.group_by(keys).agg(
        n_raters=pl.len(), mean=value.mean(), between=value.max() - value.min()
    )
    scores = pl.DataFrame(schema={**dict.fromkeys(keys, pl.String), "score": pl.Float64})
    if judged is not None:
        scores = judged.group_by(keys).agg(score=pl.col("score").mean())
    length, mean = pl.col("most") - pl.col("least"), pl.col("mean")
    short = (
        pl.when(pl.col("direction") == "higher").then(pl.col("most") - mean)
        .when(pl.col("direction") == "lower").then(mean - pl.col("least"))
    )  # fmt: skip
    found = own.join(ends, on=("rubric", "dimension")).join(scores, on=keys, how="left")
    return (
        found.with_columns(
            short=short / length,
            spread=pl.when(pl.col("n_raters") > 1).then(pl.col("between") / length),
            far=(pl.col("score") - mean).abs() / length,
        )
        .select(list(ANSWER_GAPS))
        .cast(pl.Schema(ANSWER_GAPS))
        .sort(keys)
    )


def ranked_gaps(gaps: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return questions (*by* ``example``) or conditions by their gaps (``GAPS``), largest first."""
    parts = [pl.col(name).fill_null(0) for name in ("short", "spread", "far")]
    each = gaps.with_columns(gap=sum(parts[1:], parts[0]))
    weakest = (
        each.group_by(by, "rubric", "dimension")
        .agg(pl.col("gap").mean())
        .sort("gap", "rubric", "dimension", descending=[True, False, False])
        .group_by(by, maintain_order=True)
        .first()
        .select(by, weakest=pl.format("{}.{}", "rubric", "dimension"))
    )
    total = each.group_by(by).agg(
        n=pl.len(),
        low=(pl.col("short") >= HALF).sum(),
        disputed=(pl.col("spread") >= HALF).sum(),
        far=(pl.col("far") >= HALF).sum(),
        gap=pl.col("gap").mean(),
    )
    found = total.join(weakest, on=by).rename({by: "name"})
    return (
        found.select(list(GAPS)).cast(pl.Schema(GAPS)).sort("gap", "name", descending=[True, False])
    )
