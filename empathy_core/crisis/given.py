"""Tiers that a column of the data gives: checked once for all rows of a run."""

from collections.abc import Sequence

import polars as pl

from empathy_core.crisis.screen import RUBRIC, tiers, unknown_tiers
from empathy_core.errors import ConfigError
from empathy_core.types import digest

LISTED = 5
"""Values, and rows of each, that an error names."""


def digest_of_tiers(column: str, rows: pl.DataFrame) -> str:
    """Return the digest of the rows' ids and tiers: with other tiers, other numbers are made.

    Args:
        column: What holds the tiers.
        rows: ``id`` and that column.

    Raises:
        ConfigError: A value is no tier; the message lists the values and rows.
    """
    labels, ids = rows[column].to_list(), rows["id"].to_list()
    if wrong := unknown_tiers(labels):
        raise ConfigError(_unknown(column, wrong, ids))
    return digest(sorted(zip(ids, labels, strict=True)), 16)


def _unknown(column: str, wrong: dict[str, list[int]], ids: Sequence[str]) -> str:
    """Return what is wrong with a column of tiers; *wrong*: value → places of its rows."""
    told = []
    for value, places in list(wrong.items())[:LISTED]:
        rows = ", ".join(ids[place] for place in places[:LISTED])
        more = f" and {len(places) - LISTED} more" if len(places) > LISTED else ""
        told.append(f"'{value[:40]}' (rows {rows}{more})")
    told += [f"and {len(wrong) - LISTED} more values"] * (len(wrong) > LISTED)
    return (
        f"tier_column = '{column}' holds what is no tier: {'; '.join(told)}. Expected one of "
        f"{', '.join(tiers())}, as rubric '{RUBRIC}' describes them, or nothing where the screen "
        "is to decide. Correct the column in the data, or name another."
    )
