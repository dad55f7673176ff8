"""How far each rater has come. Pure."""

from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.exclusions import ExclusionRules, RaterSigns, signs
from empathy_core.annotation.points import RATED, SKIPPED
from empathy_core.annotation.round_items import AskedRound


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProgress:
    """What came back from one rater.

    Attributes:
        rater: Pseudonym.
        asked: Items of the packet.
        done: Items of which every question is answered, or the item skipped.
        partly: Items of which some questions are.
        skipped: Of those done, items that were skipped.
        ratings: Ratings with a value.
        no_value: Ratings without one that are not skips.
        excluded: Ratings that a declared rule leaves out.
        seconds: Median on an item; null where that is not known.
        signs: Signs that somebody did not read; null if nothing came back.
    """

    rater: str
    asked: int
    done: int
    partly: int
    skipped: int
    ratings: int
    no_value: int
    excluded: int
    seconds: float | None
    signs: RaterSigns | None


def rater_progress(
    ratings: pl.DataFrame, asked: AskedRound, rules: ExclusionRules
) -> list[RaterProgress]:
    """Return how far each rater of a round has come, in their order."""
    found = signs(ratings, asked.scales, rules)
    of_rater = {str(rater): own for (rater,), own in ratings.group_by("rater")}
    nothing = ratings.clear()
    return [
        _progress(rater, of_rater.get(rater, nothing), asked, found.get(rater))
        for rater in asked.raters
    ]


def _progress(
    rater: str, own: pl.DataFrame, asked: AskedRound, of: RaterSigns | None
) -> RaterProgress:
    items = asked.of_rater(rater)
    n_said = dict(own.group_by("item").len().iter_rows())
    by_item = own.group_by("item").agg(
        all_skipped=(pl.col("state") == SKIPPED).all(), seconds=pl.col("seconds").max()
    )
    median = by_item["seconds"].median()
    done = [item for item in items if n_said.get(item.item, 0) >= len(item.scales)]
    skipped = set(by_item.filter("all_skipped")["item"])
    return RaterProgress(
        rater=rater,
        asked=len(items),
        done=len(done),
        partly=sum(item.item in n_said for item in items) - sum(i.item in n_said for i in done),
        skipped=sum(item.item in skipped for item in done),
        ratings=own.filter(pl.col("state") == RATED).height,
        no_value=own.filter(~pl.col("state").is_in([RATED, SKIPPED])).height,
        excluded=own.filter(pl.col("excluded") != "").height,
        seconds=float(median) if isinstance(median, (int, float)) else None,
        signs=of,
    )
