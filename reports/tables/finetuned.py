"""Table 2: base and fine-tuned, metrics as lines, as the paper has it. Pure.

A table holds one base and as many adapters as a page does; the seeds of one size have a table of
their means beside.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl

from empathy_core.types import Column
from reports.labels import count, full_name, number, row_labels
from reports.numbers.adapter_vs_base import Numbers, by_base, labels
from reports.numbers.aggregate import ALL
from reports.numbers.significance import Wanted, columns, is_significant, p_column
from reports.numbers.values import NO_VALUE, values_of
from reports.rows.collect import Collected
from reports.spec import Comparison, ReportSpec
from reports.tables.cells import difference_cell
from reports.tables.finetuned_notes import (
    BROKEN,
    SEEDS,
    emptied,
    seed_warnings,
    table_notes,
    table_warnings,
)
from reports.tables.table import (
    Cell,
    Group,
    Head,
    Row,
    Span,
    Table,
    TableText,
    line_label,
    signed,
    value_text,
)

PANEL_COMPARISONS = 2
"""Adapters that a page of two-column print holds beside their base."""
PANEL_SIZES = 3
"""Train sizes that it holds, with mean and standard deviation."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Neighbouring columns under one heading: the text of each cell of a line."""

    title: str
    heads: tuple[Head, ...]
    cells: Callable[[Wanted], tuple[Cell, ...]]


def finetuned_tables(
    collected: Collected,
    summary: pl.DataFrame,
    compared: pl.DataFrame,
    spec: ReportSpec,
    words: TableText,
) -> tuple[Table, ...]:
    """Return a table for each base and its adapters, several where a page does not hold them."""
    wanted = tuple(w for of_metric in columns(spec, main=True) for w in of_metric)
    numbers = Numbers(collected, summary, compared, spec, wanted)
    found = [*_beside_bases(numbers, words), *_over_seeds(numbers, words)]
    return tuple(
        replace(table, words=replace(table.words, label=f"{words.label}-finetuned-{i}"))
        for i, table in enumerate(found, 1)
    )


def _beside_bases(numbers: Numbers, words: TableText) -> Iterator[Table]:
    for members in by_base(numbers.spec.finetunes):
        named = labels(members)
        heads = {tuned: signed(label, tuned, words) for tuned, label in named.items()}
        size = -(-len(members) // -(-len(members) // PANEL_COMPARISONS))
        panels = [members[i : i + size] for i in range(0, len(members), size)]
        for i, panel in enumerate(panels, 1):
            which = f" ({i} of {len(panels)})" if len(panels) > 1 else ""
            yield _table(
                [_base(numbers, panel[0], words), *(_adapter(numbers, c, heads) for c in panel)],
                numbers.wanted,
                replace(
                    words,
                    caption=f"Base and fine-tuned: {base_name(numbers.spec, panel[0])}{which}.",
                    warnings=table_warnings(numbers, panel, named),
                    notes=table_notes(numbers, panel, named),
                ),
            )


def base_name(spec: ReportSpec, comparison: Comparison) -> str:
    """Return the base, e.g. ``LLaMA, Prompt 2 (nf4)``, and the family where several share it."""
    base = next(c for c in spec.conditions if c.id == comparison.base)
    how = base.model.quantization
    named = how is None or f"({how}" in base.model.label
    shared = {c.family for c in spec.finetunes if c.base == base.id}
    family = f", {comparison.family}" if len(shared) > 1 else ""
    return full_name(base, row_labels(spec.conditions)) + ("" if named else f" ({how})") + family


def _table(parts: Sequence[_Part], wanted: Sequence[Wanted], words: TableText) -> Table:
    spans, position = [], 2
    for part in parts:
        last = position + len(part.heads) - 1
        spans.append(Span(part.title, position, last))
        position = last + 1
    groups = tuple(
        Group(line_label(w[1]), (Row((), tuple(c for part in parts for c in part.cells(w))),))
        for w in wanted
    )
    heads = tuple(head for part in parts for head in part.heads)
    return Table(words, ("Metric",), tuple(spans), heads, groups, tight=True)


def _base(numbers: Numbers, comparison: Comparison, words: TableText) -> _Part:
    values = values_of(numbers.summary.filter(pl.col("subset") == ALL))
    shown = [(comparison.base, Head((signed("Base", comparison.base, words),)))]
    if comparison.unquantized is not None:
        shown.insert(0, (comparison.unquantized, Head(("Base, not", "quantised"))))

    def cells(wanted: Wanted) -> tuple[Cell, ...]:
        key, column = wanted
        of = (values.get((condition, key, column.name)) for condition, _ in shown)
        return tuple(Cell(value_text(value, column)) for value in of)

    return _Part("", tuple(head for _, head in shown), cells)


def _adapter(numbers: Numbers, comparison: Comparison, named: Mapping[str, str]) -> _Part:
    values = values_of(numbers.summary.filter(pl.col("subset") == ALL))
    pair = (pl.col("tuned") == comparison.tuned) & (pl.col("base") == comparison.base)
    mine = numbers.compared.filter(pair, pl.col("family") == comparison.family)
    rows = {(row["metric"], row["column"]): row for row in mine.iter_rows(named=True)}

    def cells(wanted: Wanted) -> tuple[Cell, ...]:
        key, column = wanted
        score = value_text(values.get((comparison.tuned, key, column.name)), column)
        row = rows[key, column.name]
        marked = not numbers.collected.partial and is_significant(row, p_column(numbers.spec))
        return Cell(score), difference(row, column, marked=marked is True)

    broken = f" {BROKEN}" if emptied(numbers.collected, comparison) else ""
    heads = (Head(("Fine-tuned",)), Head(("Difference", "[95% interval]")))
    return _Part(named[comparison.tuned] + broken, heads, cells)


def difference(row: Mapping[str, float | None], column: Column, *, marked: bool) -> Cell:
    """Return e.g. ``+0.0028`` and ``[+0.0004, +0.0051]``, with a dagger where it is *marked*.

    In a partial run nothing is: the rows that happen to be there decide nothing.
    """
    cell = difference_cell(row["difference"], row["low"], row["high"], column, dagger=marked)
    is_untested = row["difference"] is not None and not cell.interval
    return replace(cell, interval="[n/a]", inline=True) if is_untested else cell


# ---------------------------------------------------------------------------- seeds


def _over_seeds(numbers: Numbers, words: TableText) -> Iterator[Table]:
    """Yield tables of means over seeds, for the bases of which a size has two or more."""
    for members in by_base(numbers.spec.finetunes):
        for sources, of in groupby(members, lambda c: c.sources):
            sizes = [list(seeds) for _, seeds in groupby(of, lambda c: c.train_size)]
            if max(map(len, sizes)) < 2:
                continue
            for i in range(0, len(sizes), PANEL_SIZES):
                shown = sizes[i : i + PANEL_SIZES]
                trained = "" if sources == "all" else f", trained on {sources}"
                name = base_name(numbers.spec, members[0])
                yield _table(
                    [_seeds(numbers, seeds) for seeds in shown],
                    numbers.wanted,
                    replace(
                        words,
                        caption=f"Fine-tuned, mean over seeds: {name}{trained}.",
                        warnings=seed_warnings(numbers, shown, labels(members)),
                        notes=(SEEDS,),
                    ),
                )


def _seeds(numbers: Numbers, seeds: Sequence[Comparison]) -> _Part:
    tuned = [c.tuned for c in seeds]
    values = values_of(numbers.summary.filter(pl.col("subset") == ALL))
    family = pl.col("family") == seeds[0].family
    mine = numbers.compared.filter(family, pl.col("tuned").is_in(tuned))
    of = {key: part["difference"] for key, part in mine.group_by("metric", "column")}

    def cells(wanted: Wanted) -> tuple[Cell, ...]:
        key, column = wanted
        scores = [values.get((i, key, column.name), NO_VALUE).score for i in tuned]
        return (
            Cell(_spread(scores, column)),
            Cell(_spread(of[key, column.name].to_list(), column, signed=True)),
        )

    n = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    title = f"n = {count(seeds[0].train_size)}, {n}"
    return _Part(title, (Head(("Fine-tuned",)), Head(("Difference",))), cells)


def _spread(values: Sequence[float | None], column: Column, *, signed: bool = False) -> str:
    """Return e.g. ``0.2436 ± 0.0012``: mean and standard deviation; one value stands alone."""
    found = [value for value in values if value is not None]
    mean = statistics.fmean(found) if found else None
    text = number(mean, column, signed=signed)
    if len(found) < 2:
        return text
    return f"{text} \N{PLUS-MINUS SIGN} {number(statistics.stdev(found), column)}"
