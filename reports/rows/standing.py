"""Which texts rated answers have as they stand, to tell ratings of other texts apart. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl

from empathy_core.annotation.packets import text_digest
from empathy_core.visible import as_read
from reports.rows.pieces import KEY

Texts = Callable[[str, Sequence[str]], pl.DataFrame]
"""Condition and examples → the answers that stand in the run: ``example``, ``sample``, ``text``."""

_STAND: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "stand": pl.List(pl.String),
}

SAME_TEXT = pl.col("stand").list.contains(pl.col("answer_sha256"))
"""Whether a rating is of the text that stands; null where no answer does."""


def with_standing(ratings: pl.DataFrame, conditions: Iterable[str], texts: Texts) -> pl.DataFrame:
    """Return ratings with ``stand``: the digests that the answer's text may have been shown under.

    A packet may show a text as it is, without blanks at its ends, or as it is read when scored.

    Args:
        ratings: ``annotation.RATINGS``, and other columns.
        conditions: Ids; ``stand`` is null for others, and where the run has no such answer.
        texts: Gives their answers.
    """
    rows: list[tuple[str, str, int, list[str]]] = []
    for condition in conditions:
        mine = ratings.filter(pl.col("condition") == condition)["example"].unique().to_list()
        if not mine:
            continue
        for example, sample, text in texts(condition, mine).select(*KEY, "text").iter_rows():
            ways = {text, text.strip(), as_read(text)}
            rows.append((condition, example, sample, [text_digest(of) for of in sorted(ways)]))
    found = pl.DataFrame(rows, schema=_STAND, orient="row")
    return ratings.join(found, on=["condition", *KEY], how="left", maintain_order="left")
