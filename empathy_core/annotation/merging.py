"""Ratings of several files as one: the latest word on every question counts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.annotation.checks import CellProblem, shown
from empathy_core.annotation.frames import RATINGS

KEY_COLUMNS = ("rater", "item", "rubric", "dimension")
"""Of which there is one row each."""


@dataclass(frozen=True, slots=True)
class MergedRatings:
    """The ratings of a round after a file has come in.

    Attributes:
        frame: ``RATINGS``, sorted.
        n_new: Rows that were not there.
        n_same: Rows that were there with the same value.
        changed: Rows that were there with another value.
    """

    frame: pl.DataFrame
    n_new: int
    n_same: int
    changed: list[CellProblem]


def merge_ratings(
    old: pl.DataFrame, rows: Sequence[Mapping[str, Any]], rank: Mapping[str, tuple[Any, ...]]
) -> MergedRatings:
    """Return the ratings there were and those of one more file.

    Args:
        old: ``RATINGS``.
        rows: Rows of ``RATINGS`` of one file.
        rank: File → its place in time: when it was made, so far as it says, else when it was
            imported. What a later file says counts.
    """
    there = {tuple(row[c] for c in KEY_COLUMNS): row for row in old.iter_rows(named=True)}
    n_new = n_same = 0
    changed = []
    for row in rows:
        key = tuple(row[c] for c in KEY_COLUMNS)
        was = there.get(key)
        later = was is None or rank[row["file"]] >= rank.get(was["file"], ())
        if was is None:
            n_new += 1
        elif (was["value"], was["state"]) == (row["value"], row["state"]):
            n_same += 1
        else:
            first, last = (was, row) if later else (row, was)
            changed.append(
                CellProblem(
                    place="", item=row["item"], dimension=f"{row['rubric']}.{row['dimension']}",
                    kind="changed", text=f"{row['rater']}: {shown(first)}, later {shown(last)}",
                )
            )  # fmt: skip
        if later:
            there[key] = dict(row)
    frame = pl.DataFrame(list(there.values()), schema=RATINGS, orient="row")
    return MergedRatings(frame.sort(KEY_COLUMNS), n_new, n_same, changed)
