"""Which rows a table is about: all, the therapists', or those of a subgroup. Pure."""

from collections.abc import Iterator

import polars as pl

from empathy_core.errors import ConfigError
from empathy_core.types import Condition
from reports.collect import Collected
from reports.keys import ALL
from reports.spec import ReportSpec

THERAPIST = "therapist"
LENGTH = "length"
"""Subgroups by words of the question, in thirds of the questions."""
TEXTS = ("context", "response")
"""Columns that divide nothing, and whose values must not stand in a table."""
MOST_VALUES = 12
"""Values that a column may have to divide the rows."""


def therapist(spec: ReportSpec) -> Condition | None:
    """Return the first condition in which people answered; null if there is none."""
    return next((c for c in spec.conditions if c.model.backend == "human"), None)


def subsets(collected: Collected, spec: ReportSpec) -> Iterator[tuple[str, pl.Series]]:
    """Yield each subset's name and its examples (ids).

    ``therapist`` is exactly the examples that the first human condition covers, for every
    condition, so that people and models are compared on the same questions.

    Raises:
        ConfigError: A subgroup names no column, or one of too many values.
    """
    yield ALL, collected.examples["id"]
    if (human := therapist(spec)) is not None:
        yield THERAPIST, collected.expected[human.id]["example"].unique(maintain_order=True)
    for column in spec.analysis.subgroups:
        yield from _groups(collected.examples, column)


def subgroups(collected: Collected, spec: ReportSpec) -> list[tuple[str, list[str]]]:
    """Return each declared column and the subsets that it makes."""
    return [
        (column, [name for name, _ in _groups(collected.examples, column)])
        for column in spec.analysis.subgroups
    ]


def _groups(examples: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.Series]]:
    if column == LENGTH:
        yield from _by_length(examples)
        return
    if column in TEXTS:
        msg = f"report.subgroups: '{column}' is a text; try {LENGTH}, or a column of a few values"
        raise ConfigError(msg)
    if column not in examples.columns:
        known = ", ".join((LENGTH, "source", "author"))
        msg = f"report.subgroups: no column '{column}' in the data; try one of: {known}"
        raise ConfigError(msg)
    values = examples[column].drop_nulls().unique(maintain_order=True).sort()
    if len(values) > MOST_VALUES:
        msg = (
            f"report.subgroups: '{column}' has {len(values)} values, more than {MOST_VALUES}; "
            "choose a column that divides the rows into a few groups"
        )
        raise ConfigError(msg)
    for value in values:
        yield f"{column}={value}", examples.filter(pl.col(column) == value)["id"]


def _by_length(examples: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Yield the thirds; rows of one question are in the same one, and equal lengths too."""
    words = examples["context"].str.split(" ").list.len()
    low, high = (int(words.quantile(q, "nearest") or 0) for q in (1 / 3, 2 / 3))
    ranges = (
        (f"{LENGTH}=up to {low} words", words <= low),
        (f"{LENGTH}={low + 1} to {high} words", (words > low) & (words <= high)),
        (f"{LENGTH}=more than {high} words", words > high),
    )
    for name, mask in ranges:
        if mask.any():
            yield name, examples.filter(mask)["id"]
