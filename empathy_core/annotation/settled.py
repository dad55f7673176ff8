"""What people said of each answer in one value: settled flags where there are, else means. Pure.

Agreement is computed from the original ratings, which an adjudication never changes; a settled
value is for what is compared with people, such as a judge, or with another system.
"""

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from empathy_core.annotation.points import NA, RATED
from empathy_core.annotation.round_items import ScaleName
from empathy_core.annotation.rounds import Round
from empathy_core.rubrics.spec import Dimension

ANSWER = ("condition", "example", "sample", "answer_sha256")
"""Columns that name an answer and its text."""
_QUESTION = (*ANSWER, "rubric", "dimension")

SETTLED: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "answer_sha256": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "value": pl.Float64,  # null only where it was settled that the question does not apply
    "n_raters": pl.UInt32,  # of the original ratings with a value
    "adjudicated": pl.Boolean,  # whether a third person has settled it
}
"""Schema of ``settled``: a row each answer and dimension."""

DISPUTES: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "answer_sha256": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "n_raters": pl.UInt32,
    "said": pl.List(pl.Float64),  # each rater's value, in order; null for not applicable
}
"""Schema of ``disputes``: a row each answer and flag on which raters differ."""


def adjudications(rounds: Mapping[str, Round]) -> tuple[str, ...]:
    """Return the names of the rounds that settle flags."""
    return tuple(name for name, of in rounds.items() if of.kind == "adjudication")


def is_flag(of: Dimension) -> bool:
    """Tell whether a dimension is a flag: a fault, or a question of yes and no."""
    return of.severity is not None or of.is_share


def settled(ratings: pl.DataFrame, adjudicated: Collection[str]) -> pl.DataFrame:
    """Return one value for each answer and dimension (``SETTLED``), in their order.

    Only ratings of answers count, that no rule excludes; repeats, attention items and purposive
    ones do not. Where people differed on a flag and an adjudicator has answered, the adjudicator's
    value is the one (the mean of several), else it is the mean of the raters' values. Give it the
    ratings of one round and of its adjudications where the round's chances matter.

    Args:
        ratings: ``RATINGS``.
        adjudicated: Names of the rounds that settle flags; see ``adjudications``.
    """
    counted = ratings.filter((pl.col("kind") == "answer") & (pl.col("excluded") == ""))
    third = pl.col("round").is_in(list(adjudicated))
    value = pl.col("value").filter(pl.col("state") == RATED)
    own = (
        counted.filter(~third)
        .group_by(_QUESTION)
        .agg(mean=value.mean(), n_raters=value.len().cast(pl.UInt32))
    )
    said = counted.filter(third & pl.col("state").is_in([RATED, NA]))
    last = said.group_by(_QUESTION).agg(final=value.mean()).with_columns(adjudicated=True)
    disputed = _disputed(counted.filter(~third)).select(_QUESTION)
    last = last.join(disputed, on=_QUESTION, how="semi")
    both = own.join(last, on=_QUESTION, how="left").with_columns(
        pl.col("adjudicated").fill_null(value=False)
    )
    chosen = pl.when("adjudicated").then("final").otherwise("mean")
    found = both.with_columns(value=chosen).filter(
        pl.col("value").is_not_null() | pl.col("adjudicated")
    )
    return found.select(list(SETTLED)).cast(pl.Schema(SETTLED)).sort(_QUESTION)


def disputes(
    ratings: pl.DataFrame, scales: Mapping[ScaleName, Dimension], adjudicated: Collection[str]
) -> pl.DataFrame:
    """Return the flags on which raters differ and that nobody has settled yet (``DISPUTES``).

    Args:
        ratings: ``RATINGS`` of a round and of its adjudications.
        scales: (rubric, dimension) → its scale; those that are no flag are passed over.
        adjudicated: Names of the rounds that settle flags.
    """
    flags = pl.DataFrame(
        [name for name, of in scales.items() if is_flag(of)],
        schema={"rubric": pl.String, "dimension": pl.String},
        orient="row",
    )
    counted = ratings.filter((pl.col("kind") == "answer") & (pl.col("excluded") == ""))
    third = pl.col("round").is_in(list(adjudicated))
    done = counted.filter(third & pl.col("state").is_in([RATED, NA]))
    found = _disputed(counted.filter(~third)).join(flags, on=("rubric", "dimension"), how="semi")
    return found.join(done, on=_QUESTION, how="anti").sort(_QUESTION)


def _disputed(counted: pl.DataFrame) -> pl.DataFrame:
    """Return on what raters differ: in a value, or in whether the question applies."""
    said = counted.filter(pl.col("state").is_in([RATED, NA]))
    found = said.group_by(_QUESTION).agg(
        n_raters=pl.len().cast(pl.UInt32), said=pl.col("value").sort(nulls_last=True)
    )
    return found.filter(pl.col("said").list.n_unique() > 1).cast(pl.Schema(DISPUTES))
