"""What the numbers rest on: doubtful answers, and the scores without them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from empathy_core.stats import interval
from empathy_core.types import Column, Condition
from reports.aligned import Aligned
from reports.collect import Collected
from reports.labels import full_name, number, row_labels, share
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
            found.append(Doubtful(condition, 0, {flag: none for flag, _, _ in KINDS}))
            continue
        rows = answers.join(questions, on="example", how="left", maintain_order="left")
        elsewhere = pl.col("question").n_unique().over("text_hash") > 1
        rows = rows.with_columns(duplicate=elsewhere & ~pl.col("empty"))
        found.append(Doubtful(condition, rows.height, {flag: rows[flag] for flag, _, _ in KINDS}))
    return found


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
    heads = headings([Column(flag, title, None) for flag, title, _ in KINDS], 2)[1]

    def cells(of: Doubtful) -> tuple[Cell, ...]:
        shares = (share(of.count(flag), of.n) for flag, _, _ in KINDS)
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
    groups = []
    for of in found:
        kinds = [(flag, text) for flag, _, text in KINDS if of.count(flag) > 0]
        if kinds:
            lines = [_line(collected, spec, of, wanted, kind) for kind in (("", "all"), *kinds)]
            groups.append(Group(full_name(of.condition, names), tuple(lines)))
    if not groups:
        return
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


def _line(
    collected: Collected,
    spec: ReportSpec,
    of: Doubtful,
    wanted: Sequence[Wanted],
    kind: tuple[str, str],
) -> Row:
    """Return the scores of the answers without a flag; *kind* is it and the row's label."""
    flag, label = kind
    answers = collected.answers[of.condition.id]
    kept = answers.filter(~of.flags[flag]) if flag else answers
    aligned = Aligned.of(collected, (of.condition.id,))
    mask = aligned.rows.join(kept, on=KEY, how="left", maintain_order="left")["words"].is_not_null()
    cells = {}
    for key, metric in spec.metrics.items():
        (rows,) = aligned.statistics(key, metric.statistics)
        rows = np.where(mask.to_numpy()[:, None], rows, np.nan)
        estimates = interval(rows, metric.score, aligned.resampler())
        for column, estimate in zip(metric.columns, estimates, strict=True):
            text = number(estimate.value, column)
            bounds = (estimate.interval.low, estimate.interval.high) if estimate.interval else None
            told = interval_text(bounds, column, spec.layout)
            cells[key, column.name] = Cell(text, interval=told, value=estimate.value)
    shown = (cells[key, column.name] for key, column in wanted)
    return Row((label,), (Cell(f"{kept.height:,}", value=kept.height), *shown))
