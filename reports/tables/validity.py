"""Data quality and validity checks: flagged answers, and the scores without them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from empathy_core.stats import Estimate, Ratios, compare_all
from empathy_core.types import Column
from reports.labels import full_name, number, row_labels, share
from reports.numbers.flagged import FlaggedAnswers, RowsWithoutFlag, kinds
from reports.numbers.significance import Wanted, columns
from reports.rows.align import Aligned
from reports.rows.collect import Collected
from reports.spec import Layout, ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import (
    Cell,
    Group,
    Row,
    Span,
    Table,
    TableText,
    headings,
    interval_text,
    signed,
)


def validity_tables(
    collected: Collected, spec: ReportSpec, found: Sequence[FlaggedAnswers], words: TableText
) -> tuple[Table, ...]:
    """Return the counts of flagged answers, and the main scores without them where there are."""
    counts = _counts(spec, found, words)
    without = tuple(_without(collected, spec, found, words))
    return (counts, *without)


def _counts(spec: ReportSpec, found: Sequence[FlaggedAnswers], words: TableText) -> Table:
    names = row_labels(spec.conditions)
    shown = headings([Column(flag, title, None) for flag, title, _ in kinds(spec)], 2)[1]

    def cells(of: FlaggedAnswers) -> tuple[Cell, ...]:
        shares = (share(of.count(flag), of.n) for flag, _, _ in kinds(spec))
        return (count_cell(of.n), *map(Cell, shares))

    groups = tuple(
        Group(signed(full_name(d.condition, names), d.condition.id, words), (Row((), cells(d)),))
        for d in found
    )
    words = replace(
        words,
        caption="Data quality and validity checks: shares of the answers.",
        label=f"{words.label}-validity",
        notes=(
            "One answer may be counted several times.",
            "Repeated verbatim for another question: the same text answers another question as "
            "well.",
            "Question in training: the question is also in the training split, with this answer "
            "or another.",
        ),
    )
    return Table(words, ("Condition",), (), (*heads("Answers"), *shown), groups, tight=True)


def _without(
    collected: Collected, spec: ReportSpec, found: Sequence[FlaggedAnswers], words: TableText
) -> Iterator[Table]:
    wanted = [w for of_metric in columns(spec, main=True) for w in of_metric]
    names = row_labels(spec.conditions)
    kept = [
        RowsWithoutFlag(of, flag, text)
        for of in found
        if any(of.count(flag) for flag, _, _ in kinds(spec))
        for flag, text in (("", "all"), *((flag, text) for flag, _, text in kinds(spec)))
        if not flag or of.count(flag)
    ]
    if not kept:
        return
    lines = _lines(collected, spec, kept, wanted)
    groups = [
        Group(
            signed(full_name(condition, names), condition.id, words),
            tuple(line for _, line in members),
        )
        for condition, members in groupby(
            zip(kept, lines, strict=True), lambda pair: pair[0].of.condition
        )
    ]
    spans, shown = headings([c for _, c in wanted], 3)
    spans = (Span("", 3, 3), *spans)
    words = replace(
        words,
        caption="Scores of all answers, and without the flagged ones.",
        label=f"{words.label}-without",
        warnings=(
            *words.warnings,
            "The rows that remain answer different questions, so rows of different conditions "
            "cannot be compared.",
        ),
        notes=("Each row leaves out one kind of flagged answer.",),
    )
    stubs, layout = ("Condition", "Answers"), spec.layout
    yield Table(words, stubs, spans, (*heads("n"), *shown), tuple(groups), layout=layout)


def _lines(
    collected: Collected,
    spec: ReportSpec,
    kept: Sequence[RowsWithoutFlag],
    wanted: Sequence[Wanted],
) -> list[Row]:
    """Return the scores of each; all under one metric at once, since they share the resamples."""
    aligned = Aligned.of(collected, dict.fromkeys(one.of.condition.id for one in kept))
    masks = [one.mask(aligned) for one in kept]
    cells: list[dict[Wanted, Cell]] = [{} for _ in kept]
    for key, metric in spec.metrics.items():
        main = [column for column in metric.columns if column.main]
        if not main:
            continue
        shown = main if Ratios.of(main) else metric.columns
        by_id = dict(zip(aligned.conditions, aligned.by_row(key, metric.statistics), strict=True))
        rows = [
            aligned.averaged(np.where(mask[:, None], by_id[one.of.condition.id], np.nan))
            for one, mask in zip(kept, masks, strict=True)
        ]
        found = compare_all(rows, metric.score, aligned.resampler(), pairs=(), columns=shown)
        for line, estimates in zip(cells, found.estimates, strict=True):
            for column, estimate in zip(shown, estimates, strict=True):
                line[key, column] = _cell(estimate, column, spec.layout)
    return [
        Row((one.label,), (count_cell(int(mask.sum())), *(line[of] for of in wanted)))
        for one, mask, line in zip(kept, masks, cells, strict=True)
    ]


def _cell(estimate: Estimate, column: Column, layout: Layout) -> Cell:
    told = interval_text(estimate.interval, column, layout)
    return Cell(number(estimate.value, column), interval=told, value=estimate.value)
