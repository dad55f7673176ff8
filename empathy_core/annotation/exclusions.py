"""Signs that somebody did not read, and the declared rules that leave ratings out. Pure.

The signs are always reported. Ratings are left out only where ``[annotate.exclude]`` says so, and
then carry the rule's name (``excluded`` of ``RATINGS``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from empathy_core.annotation.points import RATED, SKIPPED
from empathy_core.annotation.round_items import ScaleName
from empathy_core.bounds import Above0, NotNegative
from empathy_core.rubrics.spec import Dimension

LEAST_RATINGS = 20
"""Of one rater, before the same answer everywhere means anything."""
FAST_S = 5.0
"""Seconds on an item below which it is reported, where no rule names others."""
STRAIGHT = 0.95
"""Share of one and the same point from which on it is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionRules:
    """``[annotate.exclude]``: which ratings are left out; what is null is only reported.

    Attributes:
        straight_lining: Leave a rater out if at least this share of the ratings, on scales of
            three points and more, is one and the same point (from 20 ratings on).
        attention: Leave a rater out who failed more attention items than this.
        seconds: Leave out the ratings of items that were answered in less than this.
    """

    straight_lining: Annotated[float, Field(gt=0.5, le=1)] | None = None
    attention: NotNegative | None = None
    seconds: Above0 | None = None


NO_RULES = ExclusionRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterSigns:
    """What a rater's answers look like.

    Attributes:
        rater: Pseudonym.
        n_scaled: Ratings on scales of three points and more.
        same_point: Largest share of one point among these; null below ``LEAST_RATINGS``.
        attention: Attention items that were answered.
        attention_failed: Of these, items whose reply was not found to be wrong for its message.
        fast: Items answered in less than the rule's seconds, or ``FAST_S``; of those without a
            known time, none.
    """

    rater: str
    n_scaled: int
    same_point: float | None
    attention: int
    attention_failed: int
    fast: int

    @property
    def is_straight(self) -> bool:
        """Whether nearly all answers are one and the same point."""
        return self.same_point is not None and self.same_point >= STRAIGHT


def signs(
    ratings: pl.DataFrame, scales: Mapping[ScaleName, Dimension], rules: ExclusionRules = NO_RULES
) -> dict[str, RaterSigns]:
    """Return what each rater's ratings look like, by pseudonym."""
    found = {}
    for (rater,), own in ratings.sort("rater").group_by("rater", maintain_order=True):
        rated = own.filter(pl.col("state") == RATED)
        n, share = _same_point(rated, scales)
        failed = [_is_failed(of, scales) for _, of in _items(rated, "attention")]
        known = [one for one in failed if one is not None]
        found[str(rater)] = RaterSigns(
            rater=str(rater),
            n_scaled=n,
            same_point=share,
            attention=len(known),
            attention_failed=sum(known),
            fast=len(_fast(own, rules.seconds or FAST_S)),
        )
    return found


def _items(rated: pl.DataFrame, kind: str) -> list[tuple[Any, pl.DataFrame]]:
    chosen = rated.filter(pl.col("kind") == kind)
    return list(chosen.group_by("item", maintain_order=True))


def _same_point(
    rated: pl.DataFrame, scales: Mapping[ScaleName, Dimension]
) -> tuple[int, float | None]:
    """Return how many ratings there are on longer scales, and the share of the commonest point.

    Points are compared by their place on the scale, from 0 to 1: who always chooses the last one
    does so on scales of different lengths, too.
    """
    ends = {name: (of.values[0], of.values[-1]) for name, of in scales.items()
            if len(of.values) > 2}  # fmt: skip
    places = [
        (value - ends[rubric, name][0]) / (ends[rubric, name][1] - ends[rubric, name][0])
        for rubric, name, value in rated.select("rubric", "dimension", "value").iter_rows()
        if (rubric, name) in ends
    ]
    if len(places) < LEAST_RATINGS:
        return len(places), None
    return len(places), max(places.count(place) for place in set(places)) / len(places)


def _is_failed(of_item: pl.DataFrame, scales: Mapping[ScaleName, Dimension]) -> bool | None:
    """Return whether a reply to another message was found good; null if no question can tell.

    It is passed by one rating in the lower half of a scale whose higher end is better.
    """
    low = []
    for rubric, name, value in of_item.select("rubric", "dimension", "value").iter_rows():
        of = scales[rubric, name]
        if of.direction == "higher":
            low.append(2 * value < of.values[0] + of.values[-1])
    return not any(low) if low else None


def _fast(own: pl.DataFrame, seconds: float) -> list[str]:
    """Return the items on which less was spent; one that was skipped takes no time."""
    answered = own.filter((pl.col("seconds") < seconds) & (pl.col("state") != SKIPPED))
    return answered["item"].unique().sort().to_list()


def excluded(
    ratings: pl.DataFrame, scales: Mapping[ScaleName, Dimension], rules: ExclusionRules
) -> pl.DataFrame:
    """Return ratings (``RATINGS``) with ``excluded`` as the rules say, and as nothing else does."""
    found = signs(ratings, scales, rules)
    straight = [
        s.rater for s in found.values()
        if rules.straight_lining is not None and (s.same_point or 0) >= rules.straight_lining
    ]  # fmt: skip
    inattentive = [
        s.rater for s in found.values()
        if rules.attention is not None and s.attention_failed > rules.attention
    ]  # fmt: skip
    fast = pl.lit(value=False)
    if rules.seconds is not None:
        fast = (pl.col("seconds") < rules.seconds) & (pl.col("state") != SKIPPED)
    marks = [
        pl.when(pl.col("rater").is_in(straight)).then(pl.lit("straight_lining")),
        pl.when(pl.col("rater").is_in(inattentive)).then(pl.lit("attention")),
        pl.when(fast).then(pl.lit("seconds")),
    ]
    return ratings.with_columns(excluded=pl.concat_str(marks, separator=", ", ignore_nulls=True))
