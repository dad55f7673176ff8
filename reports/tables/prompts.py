"""Tables of what prompts do. Pure; every string that they show is decided here."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import polars as pl

from empathy_core.types import Column
from reports.labels import NOTHING, number, p_text, row_labels
from reports.numbers.significance import ALPHA, how_tested, p_column
from reports.spec import ReportSpec
from reports.tables.table import DAGGER, Cell, Group, Head, Row, Table, Words, line_label

SHOWN = 5
"""Rows that move most, of each model and column, in the table; ``movers.csv`` has more."""


def prompt_tables(
    spec: ReportSpec, found: pl.DataFrame, most: pl.DataFrame, words: Words
) -> tuple[Table, ...]:
    """Return the tables of ranges, interactions and of the rows that move most.

    *found* is ``prompts.SPREADS`` and *most* ``prompts.MOVERS``.
    """
    tables = (
        *_ranges(spec, found.filter(pl.col("kind") == "spread"), words, _tested(found, spec)),
        *_interactions(spec, found.filter(pl.col("kind") == "interaction"), words),
        *_movers(spec, most, words),
    )
    return tuple(
        replace(t, words=replace(t.words, label=f"{words.label}-prompts-{i}"))
        for i, t in enumerate(tables, 1)
    )


def _columns(spec: ReportSpec) -> dict[tuple[str, str], Column]:
    return {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}


def _by_label(rows: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, object]]]]:
    several = rows["decoding"].n_unique() > 1

    def label(row: dict[str, object]) -> str:
        return f"{row['label']}, {row['decoding']}" if several else str(row["label"])

    for name, members in groupby(rows.iter_rows(named=True), label):
        yield name, list(members)


def _tested(found: pl.DataFrame, spec: ReportSpec) -> str:
    n_tests = found[p_column(spec)].count() or 1
    return how_tested(spec, "the ranges and interactions of all models", n_tests)


def _ranges(spec: ReportSpec, rows: pl.DataFrame, words: Words, tested: str) -> Iterator[Table]:
    if rows.is_empty():
        return
    columns, names = _columns(spec), row_labels(spec.conditions)

    def line(row: dict[str, object]) -> Row:
        column = columns[str(row["metric"]), str(row["column"])]
        ends = [names[str(row[end])] for end in ("lowest", "highest")]
        return Row(
            (line_label(column),),
            (
                Cell(ends[0]), _score(row["low_score"], column),
                Cell(ends[1]), _score(row["high_score"], column),
                _difference(row["value"], row["low"], row["high"], column),
                _difference(row["adjusted"], row["adjusted_low"], row["adjusted_high"], column),
                _p(row, spec),
            ),
        )  # fmt: skip

    heads = (
        ("Lowest",), ("Score",), ("Highest",), ("Score",), ("Range", "[95% interval]"),
        ("At equal length", "[95% interval]"), ("p",),
    )  # fmt: skip
    yield Table(
        replace(
            words,
            caption="What prompts do: the range over prompts, by model.",
            notes=(
                *words.notes,
                "Range: highest less lowest score, which is never negative; its interval is that "
                f"of the two prompts' difference. {DAGGER} "
                f"{tested}: the answers to "
                "a question change prompts. At equal "
                "length: the same difference, the answers' lengths held equal (regression of the "
                "differences of a question's answers on the difference of the logarithms of their "
                f"words); {NOTHING} where no answer has a score of its own.",
            ),
        ),
        ("Model", "Metric"),
        (),
        tuple(Head(of) for of in heads),
        tuple(Group(name, tuple(map(line, members))) for name, members in _by_label(rows)),
        layout=spec.layout,
    )


def _interactions(spec: ReportSpec, rows: pl.DataFrame, words: Words) -> Iterator[Table]:
    if rows.is_empty():
        return
    columns = _columns(spec)

    def line(row: dict[str, object]) -> Row:
        column = columns[str(row["metric"]), str(row["column"])]
        return Row((line_label(column),), (_score(row["value"], column), _p(row, spec)))

    yield Table(
        replace(
            words,
            caption="Whether prompts do to one model what they do to another.",
            notes=(
                *words.notes,
                "Interaction: root mean square of what is left of the scores when each model's "
                "and each prompt's mean is taken out; 0 if prompts do the same to both. p: "
                "Hotelling's test over questions.",
            ),
        ),
        ("Models", "Metric"),
        (),
        (Head(("Interaction",)), Head(("p",))),
        tuple(Group(name, tuple(map(line, members))) for name, members in _by_label(rows)),
        layout=spec.layout,
    )


def _movers(spec: ReportSpec, most: pl.DataFrame, words: Words) -> Iterator[Table]:
    if most.is_empty():
        return
    columns, names = _columns(spec), row_labels(spec.conditions)
    labels = {c.model.name: c.model.label for c in spec.conditions}
    first = most["metric"][0], most["column"][0]
    shown = most.filter(pl.col("metric") == first[0], pl.col("column") == first[1])
    column = columns[first]

    def line(row: dict[str, object]) -> Row:
        ends = [names[str(row[end])] for end in ("lowest", "highest")]
        scores = [_score(row[end], column) for end in ("low_score", "high_score")]
        return Row((str(row["example"]),), (Cell(ends[0]), scores[0], Cell(ends[1]), scores[1]))

    groups = tuple(
        Group(labels[str(model)], tuple(map(line, part.head(SHOWN).iter_rows(named=True))))
        for (model,), part in shown.group_by("model", maintain_order=True)
    )
    heads = (Head(("Lowest",)), Head(("Score",)), Head(("Highest",)), Head(("Score",)))
    caption = f"The examples that prompts move most, by {line_label(column)}."
    stubs = ("Model", "Example")
    yield Table(replace(words, caption=caption), stubs, (), heads, groups, layout=spec.layout)


def _score(value: object, column: Column) -> Cell:
    found = value if isinstance(value, float) else None
    return Cell(number(found, column), value=found)


def _difference(value: object, low: object, high: object, column: Column) -> Cell:
    if not isinstance(value, float):
        return Cell(NOTHING)
    text = number(value, column, signed=True)
    if isinstance(low, float) and isinstance(high, float):
        bounds = (number(bound, column, signed=True) for bound in (low, high))
        text += f" [{', '.join(bounds)}]"
    return Cell(text, value=value)


def _p(row: dict[str, object], spec: ReportSpec) -> Cell:
    p = row[p_column(spec)]
    found = p if isinstance(p, float) else None
    return Cell(p_text(found), dagger=found is not None and found < ALPHA, value=found)
