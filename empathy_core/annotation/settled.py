"""What people said of each answer in one value: settled flags where there are, else means. Pure.

Nothing else decides this. A settled value is for what is said of systems: their means, corrected
estimates and faults. How far raters agree, and judges with them, is computed from the original
ratings, which an adjudication never changes.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from empathy_core.annotation.frames import RATINGS
from empathy_core.annotation.points import NA, RATED
from empathy_core.annotation.round_items import ScaleName
from empathy_core.annotation.rounds import Round
from empathy_core.rubrics.spec import Dimension

ANSWER = ("condition", "example", "sample", "answer_sha256")
"""Columns that name an answer and its text."""
_QUESTION = (*ANSWER, "rubric", "dimension")
_GIVEN = pl.col("value").filter(pl.col("state") == RATED)
"""Values of those who gave one."""

SETTLED: dict[str, Any] = {
    **{name: RATINGS[name] for name in _QUESTION},
    "value": pl.Float64,  # null only where it was settled that the question does not apply
    "ratings": pl.List(pl.Float64),  # that it is made of, as they were given
    "n_raters": pl.UInt32,  # of the original ratings with a value; 0 where only the settled counts
    "adjudicated": pl.Boolean,  # whether a third person has settled it
}
"""Schema of ``settled``: a row each answer and dimension."""

DISPUTES: dict[str, Any] = {
    **{name: RATINGS[name] for name in _QUESTION},
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


def settled(
    ratings: pl.DataFrame,
    adjudicated: Collection[str],
    *,
    answer: Sequence[str] = ANSWER,
    averaged: str = "value",
) -> pl.DataFrame:
    """Return one value for each answer and dimension (``SETTLED``), what was settled last.

    Only ratings of answers count, that no rule excludes; repeats, attention items and purposive
    ones do not. Where an adjudicator has answered, the adjudicator's value is the one (the mean of
    several), or none where the adjudicator says that the question does not apply; else it is the
    mean of the raters' values. Who settles is asked only what raters differed on, so that every
    answer settles, also where a rule has left some of these raters out since. Give it the ratings
    of one round and of its adjudications where the round's chances matter.

    Args:
        ratings: ``RATINGS``.
        adjudicated: Names of the rounds that settle flags; see ``adjudications``.
        answer: Columns that name an answer; those of ``SETTLED`` that are not there are left out.
        averaged: Column with what raters' values are averaged as, for instance their ratings as
            the average rater would have given them.
    """
    at = [*answer, "rubric", "dimension"]
    own, third = _counted(ratings, adjudicated)
    rated = own.filter(pl.col("state") == RATED, pl.col("value").is_not_null())
    means = rated.group_by(at, maintain_order=True).agg(
        mean=pl.col(averaged).mean(), ratings=pl.col("value"), n_raters=pl.len()
    )
    last = third.group_by(at, maintain_order=True).agg(value=_GIVEN.mean(), ratings=_GIVEN)
    last = last.join(means.select(*at, "n_raters"), on=at, how="left", maintain_order="left")
    rest = means.join(last, on=at, how="anti", maintain_order="left").rename({"mean": "value"})
    names = [name for name in SETTLED if name in at or name not in _QUESTION]
    schema = pl.Schema({name: SETTLED[name] for name in names})
    parts = (rest.with_columns(adjudicated=False), last.with_columns(adjudicated=True))
    return pl.concat(
        part.with_columns(pl.col("n_raters").fill_null(0)).select(names).cast(schema)
        for part in parts
    )


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
    own, third = _counted(ratings, adjudicated)
    found = _disputed(own).join(flags, on=("rubric", "dimension"), how="semi")
    return found.join(third, on=_QUESTION, how="anti").sort(_QUESTION)


def _counted(
    ratings: pl.DataFrame, adjudicated: Collection[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what counts of the raters, and of who settles flags; skipping settles nothing."""
    counted = ratings.filter((pl.col("kind") == "answer") & (pl.col("excluded") == ""))
    third = pl.col("round").is_in(list(adjudicated))
    readable = (pl.col("state") == NA) | (
        (pl.col("state") == RATED) & pl.col("value").is_not_null()
    )
    return counted.filter(~third), counted.filter(third & readable)


def _disputed(counted: pl.DataFrame) -> pl.DataFrame:
    """Return on what raters differ: in a value, or in whether the question applies."""
    said = counted.filter(pl.col("state").is_in([RATED, NA]))
    found = said.group_by(_QUESTION).agg(
        n_raters=pl.len().cast(pl.UInt32), said=pl.col("value").sort(nulls_last=True)
    )
    return found.filter(pl.col("said").list.n_unique() > 1).cast(pl.Schema(DISPUTES))
