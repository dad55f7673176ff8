"""Published tables, one file each in ``published/``, and this run's values beside them."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from empathy_core.errors import UnknownName
from empathy_core.types import Column, Condition
from reports.labels import NOT_APPLICABLE, full_name, number, printed, row_labels
from reports.numbers.aggregate import ALL
from reports.spec import ReportSpec
from reports.tables.table import Cell, Group, Row, Table, TableText, headings

FOLDER = Path(__file__).parents[1] / "published"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One printed row.

    Attributes:
        model: What ``ModelSpec.published`` of our model says.
        values: Column name → value; what the paper does not give is absent.
        prompt: Name of the prompt; empty: any.
        label: As printed, where that is not *model*.
        base: The *model* of the rows of which this one is a fine-tune; empty if it is none.
    """

    model: str
    values: dict[str, float]
    prompt: str = ""
    prompt_label: str = ""
    label: str = ""
    base: str = ""

    def answers_to(self, condition: Condition, bases: Collection[str] = ()) -> bool:
        """Whether *condition* is what this row measured.

        *bases*: of a condition with an adapter, the published names of its bases; it never
        answers to a row of the model itself, though it may have inherited that one's name.
        """
        if self.prompt not in ("", condition.prompt.name):
            return False
        if condition.model.published == self.model:
            return not bases or self.model not in bases
        return bool(self.base) and self.base in bases


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One printed table."""

    name: str
    caption: str
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """The tables of one publication; *columns* are the labels and decimals it prints."""

    name: str
    title: str
    columns: tuple[Column, ...]
    tables: tuple[PublishedTable, ...]


def load(name: str) -> Published:
    """Return the publication *name*.

    Raises:
        UnknownName: No file has this name.
    """
    known = [p.stem for p in FOLDER.glob("*.toml") if not p.stem.endswith("_claims")]
    if name not in known:
        raise UnknownName("published table", name, known)
    fields = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return TypeAdapter(Published).validate_python(fields)


def published_tables(
    published: Published, summary: pl.DataFrame, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    """Return each printed table with our values and the differences below every row."""
    ours = our_scores(summary)
    return tuple(
        _table(
            published,
            table,
            (spec, ours),
            replace(
                words,
                caption=f"This run beside {table.name} of {published.name}.",
                label=f"{words.label}-{i}",
            ),
        )
        for i, table in enumerate(published.tables, 1)
    )


Ours = Mapping[tuple[str, str], float | None]
"""(condition id, column name) → score, of the first metric that has a column of this name."""


def our_scores(summary: pl.DataFrame) -> Ours:
    """Return the scores on all rows, by condition and column name."""
    found: dict[tuple[str, str], float | None] = {}
    fields = summary.filter(pl.col("subset") == ALL).select("condition", "column", "score")
    for condition, column, score in fields.iter_rows():
        found.setdefault((condition, column), score)
    return found


def _table(
    published: Published, table: PublishedTable, run: tuple[ReportSpec, Ours], words: TableText
) -> Table:
    spec, ours = run
    names, bases = row_labels(spec.conditions), _bases(spec)
    columns = [c for c in published.columns if any(c.name in row.values for row in table.rows)]

    def lines(row: PublishedRow) -> list[Row]:
        theirs = [row.values.get(c.name) for c in columns]
        first = Row((row.prompt_label, "paper"), tuple(map(_as_printed, theirs, columns)), gap=True)
        found = [c for c in spec.conditions if row.answers_to(c, bases.get(c.id, ()))]
        rows = [first]
        for condition in found:
            mine = [ours.get((condition.id, c.name)) for c in columns]
            who = "this run" if len(found) == 1 else full_name(condition, names)
            pairs = [compared(*values) for values in zip(theirs, mine, columns, strict=True)]
            rows.append(Row(("", who), tuple(value for value, _ in pairs)))
            rows.append(Row(("", "difference"), tuple(difference for _, difference in pairs)))
        return rows

    groups = tuple(
        Group(model, tuple(line for row in rows for line in lines(row)))
        for model, rows in groupby(table.rows, lambda row: row.label or row.model)
    )
    spans, heads = headings([replace(c, better=None) for c in columns], 3)
    return Table(words, ("Model", "Prompts", ""), spans, heads, groups)


def _bases(spec: ReportSpec) -> dict[str, set[str]]:
    """Return tuned condition → published names of its bases."""
    published = {c.id: c.model.published for c in spec.conditions}
    found: dict[str, set[str]] = {}
    for pair in spec.finetunes:
        found.setdefault(pair.tuned, set()).add(published[pair.base])
    return found


def _as_printed(value: float | None, column: Column) -> Cell:
    return Cell(NOT_APPLICABLE if value is None else number(value, column))


def compared(published: float | None, ours: float | None, column: Column) -> tuple[Cell, Cell]:
    """Return our value, and its difference to the published one, taken between printed values."""
    if ours is None or published is None:
        return Cell(number(ours, column)), Cell(number(None, column))
    difference = printed(ours, column) - published
    return Cell(number(ours, column)), Cell(number(difference, column, signed=True))
