"""Which rows a table is about: all, the therapists', or those of a subgroup. Pure."""

from collections.abc import Iterator, Sequence

import polars as pl

from empathy_core.data.specs import OWN_NAMES
from empathy_core.errors import ConfigError
from empathy_core.stats import LEAST_CLUSTERS
from empathy_core.types import Condition
from reports.keys import ALL
from reports.rows.collect import Collected
from reports.spec import ReportSpec

THERAPIST = "therapist"
LENGTH = "length"
"""Subgroups by words of the question, in thirds of the questions."""
TEXTS = ("context", "response")
"""Columns that divide nothing, and whose values must not stand in a table."""
MOST_VALUES = 12
"""Groups that a column makes; of more values, the less frequent stand together."""
OTHERS = "other values"
"""``all other values`` where a value is called so, too."""


def therapist(spec: ReportSpec) -> Condition | None:
    """Return the first condition in which people answered; null if there is none."""
    return next((c for c in spec.conditions if c.model.backend == "human"), None)


def subsets(collected: Collected, spec: ReportSpec) -> Iterator[tuple[str, pl.Series]]:
    """Yield each subset's name and its examples (ids).

    ``therapist`` is exactly the examples that the first human condition covers, for every
    condition, so that people and models are compared on the same questions.

    Raises:
        ConfigError: A subgroup names no column, or one that makes no groups.
    """
    yield ALL, collected.examples["id"]
    if (human := therapist(spec)) is not None:
        yield THERAPIST, collected.expected[human.id]["example"].unique(maintain_order=True)
    yield from (group for _, of in _divided(collected, spec) for group in of)


def subgroups(collected: Collected, spec: ReportSpec) -> list[tuple[str, list[str]]]:
    """Return each declared column and the names of the subsets that it makes."""
    return [(column, [name for name, _ in of]) for column, of in _divided(collected, spec)]


Subset = tuple[str, pl.Series]
"""Name, and examples (ids)."""


def _divided(collected: Collected, spec: ReportSpec) -> list[tuple[str, list[Subset]]]:
    """Return each declared column and its subsets.

    Raises:
        ConfigError: A column cannot be divided by, or two make a subset of the same name.
    """
    columns = dict.fromkeys(spec.analysis.subgroups)
    found = [(column, groups(collected.examples, column)) for column in columns]
    columns_of: dict[str, list[str]] = {}
    for column, of in found:
        for name, _ in of:
            columns_of.setdefault(name, []).append(column)
    if shared := [(name, of) for name, of in columns_of.items() if len(of) > 1]:
        name, (one, other, *_) = shared[0]
        msg = (
            f"report.subgroups: '{one}' and '{other}' both make a subgroup that is called "
            f"'{name}'; expected columns whose names, '=' and values cannot be mistaken for each "
            "other's; rename one of the columns in the data"
        )
        raise ConfigError(msg)
    return found


def groups(examples: pl.DataFrame, column: str) -> list[tuple[str, pl.Series]]:
    """Return the subsets of one column, by name; rows without a value are in none.

    Of a column of many values, those of few questions stand together, since nothing could be
    tested on them.

    Raises:
        ConfigError: There is no such column, or it does not divide the rows into groups.
    """
    if column == LENGTH:
        return list(_by_length(examples))
    if column in TEXTS:
        msg = f"report.subgroups: '{column}' is a text; try {LENGTH}, or a column of a few values"
        raise ConfigError(msg)
    if column not in examples.columns:
        carried = (name for name in examples.columns if name not in OWN_NAMES)
        msg = (
            f"report.subgroups: no column '{column}' in the data; try one of: "
            f"{', '.join((LENGTH, 'source', 'author', *carried))}; or have a source carry it "
            f'along: data.sources.<name>.keep = ["{column}"]'
        )
        raise ConfigError(msg)
    values = examples[column].cast(pl.String)
    own = _own(values, examples["question"])
    if not own:
        n = values.drop_nulls().n_unique()
        msg = (
            f"report.subgroups: '{column}' has {n} values in the evaluated rows, and none with "
            f"{LEAST_CLUSTERS} questions; choose a column that divides the rows into a few groups"
        )
        raise ConfigError(msg)
    found = [(value, values == value) for value in own]
    others = values.is_not_null() & ~values.is_in(own)
    found += [(_unlike(OTHERS, own), others)] if others.any() else []
    return [(f"{column}={name}", examples.filter(mask)["id"]) for name, mask in found]


def _unlike(name: str, values: Sequence[str]) -> str:
    """Return *name*, made longer until none of *values* is it."""
    return _unlike(f"all {name}", values) if name in values else name


def _own(values: pl.Series, questions: pl.Series) -> list[str]:
    """Return the values that make a group each, sorted; of many, the most frequent."""
    frame = pl.DataFrame({"value": values, "question": questions}).drop_nulls("value")
    sizes = frame.group_by("value").agg(pl.col("question").n_unique())
    if sizes.height > MOST_VALUES:
        enough = sizes.filter(pl.col("question") >= LEAST_CLUSTERS)
        sizes = enough.sort("question", "value", descending=[True, False]).head(MOST_VALUES - 1)
    return sorted(sizes["value"])


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
