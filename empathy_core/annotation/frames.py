"""Schemas of the frames of a round."""

from typing import Any

import polars as pl

SAMPLE: dict[str, Any] = {
    "example": pl.String,
    "question": pl.String,  # the cluster: questions are drawn, then one example of each
    "stratum": pl.String,  # e.g. the source and the crisis tier; questions are drawn within it
    "tier": pl.String,  # crisis tier of the question; empty where it has none
    "chance": pl.Float64,  # that the example was chosen: its question's over that one's examples
    "chosen": pl.Boolean,
}
"""Schema of ``sample.parquet``: every evaluated example of the run, chosen or not.

All compared conditions of a chosen example are rated, one sample of each.
"""

KEY: dict[str, Any] = {
    "item": pl.String,  # what a packet calls it: a keyed hash, another for every rater
    "rater": pl.String,  # R01, R02, …
    "page": pl.Int32,  # 0-based place of its question in the rater's packet
    "place": pl.Int32,  # 0-based place of the answer below its question
    "kind": pl.String,  # answer | repeat | attention | purposive
    "condition": pl.String,  # id
    "example": pl.String,  # whose question is shown
    "sample": pl.Int32,
    "of": pl.String,  # repeat: the item it repeats; attention: the example whose answer it is
    "answer_sha256": pl.String,  # of the text that was shown, UTF-8
}
"""Schema of ``key.parquet``: what every item of every packet is. Nobody who rates may read it.

``purposive`` answers were added because of earlier ratings and not drawn: no estimate of a mean
over questions may use them.
"""

RATINGS: dict[str, Any] = {
    "round": pl.String,
    "item": pl.String,
    "rater": pl.String,
    "kind": pl.String,  # as in KEY
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "answer_sha256": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "rubric_digest": pl.String,  # ``dimension_digest`` of the text that was asked
    "value": pl.Float64,  # on the dimension's scale; null where there is none
    "state": pl.String,  # rated | not_applicable | skipped | out_of_range | unreadable
    "excluded": pl.String,  # the declared rule that leaves it out; empty: it counts
    "seconds": pl.Float64,  # spent on the item; null where that is not known
    "file": pl.String,  # SHA-256 of the file it came from
}
"""Schema of ``ratings.parquet``: a row each rater, item and dimension; the latest word counts."""
