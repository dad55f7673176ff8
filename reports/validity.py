"""What the numbers rest on: doubtful answers, and the scores without them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import polars as pl

from empathy_core.stats import Estimate, compare_all
from empathy_core.types import Column, Condition
from reports.aligned import Aligned
from reports.collect import Collected
from reports.labels import full_name, number, row_labels, share
from reports.layout import Layout
from reports.soundness import KEY
from reports.spec import ReportSpec
from reports.table import (
    Cell,
    Group,
    Head,
    Row,
    Span,
    Table,
    Wanted,
    Words,
    columns,
    headings,
    interval_text,
)

KINDS = (
    ("empty", "Empty", "not empty"),
    ("cut", "At the token limit", "not at the token limit"),
    ("prompt_cut", "Question cut", "question not cut"),
    ("duplicate", "Said elsewhere too", "not said elsewhere"),
    ("exposed", "Question in training", "question not in training"),
)
"""What makes an answer doubtful: its flag, what the audit calls it, and the rows without it."""

THOUGHT_ONLY = ("thought_only", "Reasoning without an answer", "an answer behind the reasoning")
"""The same where a model's thoughts are told from its answers."""


def kinds(spec: ReportSpec) -> tuple[tuple[str, str, str], ...]:
    """Return what can make answers of these conditions doubtful."""
    return (*KINDS, THOUGHT_ONLY) if any(c.reasoning for c in spec.conditions) else KINDS


@dataclass(frozen=True, slots=True, eq=False)
class Doubtful:
    """One condition's doubtful answers.

    Attributes:
        n: Sound answers.
        flags: Flag → which answers bear it, in the order of ``Collected.answers``.
    """

    condition: Condition
    n: int
    flags: dict[str, pl.Series]

    def count(self, flag: str) -> int:
        """Return how many answers bear *flag*."""
        return int(self.flags[flag].sum())


def doubtful(collected: Collected, spec: ReportSpec) -> list[Doubtful]:
    """Return each condition's doubtful answers."""
    questions = collected.examples.select("question", "exposed", example="id")
    found = []
    for condition in spec.conditions:
        answers = collected.answers[condition.id]
        if not answers.height:
            none = pl.Series(dtype=pl.Boolean)
            found.append(Doubtful(condition, 0, {flag: none for flag, _, _ in kinds(spec)}))
            continue
        rows = answers.join(questions, on="example", how="left", maintain_order="left")
        elsewhere = pl.col("question").n_unique().over("text_hash") > 1
        rows = rows.with_columns(duplicate=elsewhere & ~pl.col("empty"))
        flags = {flag: rows[flag] for flag, _, _ in kinds(spec)}
        found.append(Doubtful(condition, rows.height, flags))
    return found


@dataclass(frozen=True, slots=True)
class Kept:
    """A condition's answers without those that bear a flag; all where *flag* is empty."""

    of: Doubtful
    flag: str
    label: str

    def mask(self, aligned: Aligned) -> np.ndarray:
        """Return which rows are kept: shape (rows,)."""
        answers = aligned.collected.answers[self.of.condition.id]
        kept = answers.filter(~self.of.flags[self.flag]) if self.flag else answers
        rows = aligned.rows.join(kept, on=KEY, how="left", maintain_order="left")
        return rows["words"].is_not_null().to_numpy()


def emptiest(found: Sequence[Doubtful]) -> float:
    """Return the largest share of empty answers of any model."""
    models = [d for d in found if d.condition.model.backend != "human" and d.n]
    return max((d.count("empty") / d.n for d in models), default=0.0)


def validity_tables(
    collected: Collected, spec: ReportSpec, found: Sequence[Doubtful], words: Words
) -> tuple[Table, ...]:
    """Return the counts of doubtful answers, and the main scores without them where there are."""
    counts = _counts(spec, found, words)
    without = tuple(_without(collected, spec, found, words))
    return (counts, *without)


def _counts(spec: ReportSpec, found: Sequence[Doubtful], words: Words) -> Table:
    names = row_labels(spec.conditions)
    heads = headings([Column(flag, title, None) for flag, title, _ in kinds(spec)], 2)[1]

    def cells(of: Doubtful) -> tuple[Cell, ...]:
        shares = (share(of.count(flag), of.n) for flag, _, _ in kinds(spec))
        return (Cell(f"{of.n:,}", value=of.n), *map(Cell, shares))

    groups = tuple(Group(full_name(d.condition, names), (Row((), cells(d)),)) for d in found)
    words = replace(
        words,
        caption="What the numbers rest on: shares of the answers.",
        label=f"{words.label}-validity",
        notes=(
            *words.notes,
            "One answer may be counted several times. Said elsewhere too: the same text answers "
            "another question as well. Question in training: the question stands in the training "
            "split too, with this answer or another.",
        ),
    )
    return Table(words, ("Condition",), (), (Head(("Answers",)), *heads), groups, tight=True)


def _without(
    collected: Collected, spec: ReportSpec, found: Sequence[Doubtful], words: Words
) -> Iterator[Table]:
    wanted = [w for of_metric in columns(spec, main=True) for w in of_metric]
    names = row_labels(spec.conditions)
    kept = [
        Kept(of, flag, text)
        for of in found
        if any(of.count(flag) for flag, _, _ in kinds(spec))
        for flag, text in (("", "all"), *((flag, text) for flag, _, text in kinds(spec)))
        if not flag or of.count(flag)
    ]
    if not kept:
        return
    lines = _lines(collected, spec, kept, wanted)
    groups = [
        Group(full_name(condition, names), tuple(line for _, line in members))
        for condition, members in groupby(
            zip(kept, lines, strict=True), lambda pair: pair[0].of.condition
        )
    ]
    spans, heads = headings([c for _, c in wanted], 3)
    spans = (Span("", 3, 3), *spans)
    words = replace(
        words,
        caption="Scores of all answers, and without the doubtful ones.",
        label=f"{words.label}-without",
        notes=(
            *words.notes,
            "Each row leaves out one kind of answer. What is left are other questions for each "
            "row, so that rows of different conditions cannot be compared.",
        ),
    )
    stubs, layout = ("Condition", "Answers"), spec.layout
    yield Table(words, stubs, spans, (Head(("n",)), *heads), tuple(groups), layout=layout)


def _lines(
    collected: Collected, spec: ReportSpec, kept: Sequence[Kept], wanted: Sequence[Wanted]
) -> list[Row]:
    """Return the scores of each; all under one metric at once, since they share the resamples."""
    aligned = Aligned.of(collected, dict.fromkeys(one.of.condition.id for one in kept))
    masks = [one.mask(aligned) for one in kept]
    cells: list[dict[Wanted, Cell]] = [{} for _ in kept]
    for key, metric in spec.metrics.items():
        by_id = dict(zip(aligned.conditions, aligned.by_row(key, metric.statistics), strict=True))
        rows = [
            aligned.averaged(np.where(mask[:, None], by_id[one.of.condition.id], np.nan))
            for one, mask in zip(kept, masks, strict=True)
        ]
        found = compare_all(
            rows, metric.score, aligned.resampler(), pairs=(), columns=metric.columns
        )
        for line, estimates in zip(cells, found.estimates, strict=True):
            for column, estimate in zip(metric.columns, estimates, strict=True):
                line[key, column] = _cell(estimate, column, spec.layout)
    return [
        Row((one.label,), (_count(mask), *(line[of] for of in wanted)))
        for one, mask, line in zip(kept, masks, cells, strict=True)
    ]


def _count(mask: np.ndarray) -> Cell:
    n = int(mask.sum())
    return Cell(f"{n:,}", value=n)


def _cell(estimate: Estimate, column: Column, layout: Layout) -> Cell:
    told = interval_text(estimate.interval, column, layout)
    return Cell(number(estimate.value, column), interval=told, value=estimate.value)
