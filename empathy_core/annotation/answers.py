"""What comes back from a rater: the formats that the packet's page writes, and its names.

The page downloads one JSON object, ``ratings-R01-<packet>.json``:

    {
      "format": "empathy-suite ratings", "version": 1,
      "packet": "…", "rater": "R01",
      "saved_at": "2026-01-31T09:30:00.000Z",   of two files of a rater, the later one counts
      "consent": true,            whether the first page's consent was given; null: not asked
      "may_train": "yes",         or "no": whether the ratings may be used to train models
      "without_crisis": false,    whether the rater left messages about suicide out
      "complete": false,          whether every item that was to be rated is rated or skipped
      "answers": [{"item": "…", "rubric": "epitome", "dimension": "explorations", "label": "2",
                   "state": "rated", "seconds": 31, "note": ""}, …]
    }

``answers`` has the columns of ``COLUMNS``, a row each item and dimension that was touched: of what
was never opened there is none. As a long table (CSV) it has the same columns, with ``packet``
before them. ``label`` is the label of a point of the scale, ``X`` (``rubrics.spec.NOT_APPLICABLE``)
or empty; ``state`` is one of ``STATES``; ``seconds`` is the time spent on the whole item.

Sheets (``packet.csv``) and other tools' files are wide: a column each dimension, called
``field_name``, with a label in each cell, or ``NOT_ASKED``.
"""

from typing import Any

import polars as pl

FORMAT = "empathy-suite ratings"
VERSION = 1

COLUMNS: dict[str, Any] = {
    "item": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "label": pl.String,  # of the scale; ``X``: not applicable; empty: skipped
    "state": pl.String,  # one of ``STATES``
    "seconds": pl.Float64,  # on the whole item, of all its rows the same; null: not known
    "note": pl.String,  # on the whole item, of all its rows the same
}
"""Schema of the answers in what a rater sends back."""
STATES = ("rated", "not_applicable", "skipped")
NOT_ASKED = "-"
"""Stands in a cell of a sheet whose dimension is not asked at the message's level of risk."""

_APART = "__"


def field_name(rubric: str, dimension: str) -> str:
    """Return what a dimension is called where each has a column: ``epitome__explorations``."""
    return f"{rubric}{_APART}{dimension}"
