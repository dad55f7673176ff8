"""Tables of prompt sensitivity. Pure; every string that they show is decided here."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import polars as pl

from empathy_core.types import Column
from reports.labels import NOTHING, row_labels
from reports.numbers.significance import ALPHA, how_tested, p_column
from reports.spec import ReportSpec
from reports.tables.cells import difference_cell, heads, p_cell, score_cell
from reports.tables.table import DAGGER, Cell, Group, Row, Table, TableText, line_label

SHOWN = 5
"""Examples in the table, of each model and column; ``movers.csv`` has more."""


def prompt_tables(
    spec: ReportSpec, found: pl.DataFrame, most: pl.DataFrame, words: TableText
) -> tuple[Table, ...]:
    """Return the tables of ranges, interactions and of the examples most affected.

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


def _ranges(spec: ReportSpec, rows: pl.DataFrame, words: TableText, tested: str) -> Iterator[Table]:
    if rows.is_empty():
        return
    columns, names = _columns(spec), row_labels(spec.conditions)

    def line(row: dict[str, object]) -> Row:
        column = columns[str(row["metric"]), str(row["column"])]
        ends = [names[str(row[end])] for end in ("lowest", "highest")]
        return Row(
            (line_label(column),),
            (
                Cell(ends[0]), score_cell(row["low_score"], column),
                Cell(ends[1]), score_cell(row["high_score"], column),
                difference_cell(row["value"], row["low"], row["high"], column),
                difference_cell(
                    row["adjusted"], row["adjusted_low"], row["adjusted_high"], column
                ),
                _p(row, spec),
            ),
        )  # fmt: skip

    text = replace(
        words,
        caption="Prompt sensitivity: the range over prompts, by model.",
        notes=(
            "Range: highest \N{MINUS SIGN} lowest score, never negative, with the 95% interval of "
            "the two prompts' difference.",
            f"{DAGGER} {tested}: the answers to a question depend on the prompt.",
            "At equal length: the same difference adjusted for the answers' lengths (regression "
            "of the differences of a question's answers on the difference of the logarithms of "
            f"their words); {NOTHING} where no answer has a score of its own.",
        ),
    )
    columns_shown = heads(
        "Lowest", "Score", "Highest", "Score", ("Range", "[95% interval]"),
        ("At equal length", "[95% interval]"), "p",
    )  # fmt: skip
    groups = tuple(Group(name, tuple(map(line, of))) for name, of in _by_label(rows))
    yield Table(text, ("Model", "Metric"), (), columns_shown, groups, layout=spec.layout)


def _interactions(spec: ReportSpec, rows: pl.DataFrame, words: TableText) -> Iterator[Table]:
    if rows.is_empty():
        return
    columns = _columns(spec)

    def line(row: dict[str, object]) -> Row:
        column = columns[str(row["metric"]), str(row["column"])]
        return Row((line_label(column),), (score_cell(row["value"], column), _p(row, spec)))

    yield Table(
        replace(
            words,
            caption="Interaction of prompt and model: whether prompts affect two models alike.",
            notes=(
                "Interaction: root mean square of the scores' residuals after each model's and "
                "each prompt's mean is removed; 0 if prompts affect both models alike.",
                "p: Hotelling's test over questions.",
            ),
        ),
        ("Models", "Metric"),
        (),
        heads("Interaction", "p"),
        tuple(Group(name, tuple(map(line, members))) for name, members in _by_label(rows)),
        layout=spec.layout,
    )


def _movers(spec: ReportSpec, most: pl.DataFrame, words: TableText) -> Iterator[Table]:
    if most.is_empty():
        return
    columns, names = _columns(spec), row_labels(spec.conditions)
    labels = {c.model.name: c.model.label for c in spec.conditions}
    first = most["metric"][0], most["column"][0]
    shown = most.filter(pl.col("metric") == first[0], pl.col("column") == first[1])
    column = columns[first]

    def line(row: dict[str, object]) -> Row:
        ends = [names[str(row[end])] for end in ("lowest", "highest")]
        scores = [score_cell(row[end], column) for end in ("low_score", "high_score")]
        return Row((str(row["example"]),), (Cell(ends[0]), scores[0], Cell(ends[1]), scores[1]))

    groups = tuple(
        Group(labels[str(model)], tuple(map(line, part.head(SHOWN).iter_rows(named=True))))
        for (model,), part in shown.group_by("model", maintain_order=True)
    )
    caption = f"Examples most affected by the prompt, by {line_label(column)}."
    shown_heads = heads("Lowest", "Score", "Highest", "Score")
    stubs = ("Model", "Example")
    yield Table(replace(words, caption=caption), stubs, (), shown_heads, groups, layout=spec.layout)


def _p(row: dict[str, object], spec: ReportSpec) -> Cell:
    p = row[p_column(spec)]
    return p_cell(p, dagger=isinstance(p, float) and p < ALPHA)
