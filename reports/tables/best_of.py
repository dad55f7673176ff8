"""The table of what was chosen among samples, and what every table must say of it. Pure."""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from empathy_core.choice import SampleChoice
from empathy_core.types import Condition
from reports.labels import CHOSEN, count, decimal, full_name, n_of, row_labels
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText, signed


def best_of_tables(spec: ReportSpec, found: pl.DataFrame, words: TableText) -> tuple[Table, ...]:
    """Return the table of choices and their costs; *found* is ``numbers.best_of.BEST_OF``."""
    if found.is_empty():
        return ()
    named = {c.id: c for c in spec.conditions}
    labels = row_labels(spec.conditions)
    groups = tuple(
        Group(
            signed(full_name(named[row["condition"]], labels), row["condition"], words),
            (Row((chooser(choice),), _cells(row)),),
        )
        for row in found.iter_rows(named=True)
        if (choice := named[row["condition"]].choice)
    )
    shown = heads(
        "Chosen", ("None may", "be chosen"), "Tied", ("Samples", "unscored"),
        ("Samples", "faulty"), ("Tokens", "generated"), ("Tokens", "judges read"),
        ("Tokens of", "one sample"),
    )  # fmt: skip
    caption = "Best of n: what was chosen, and what a choice costs, in tokens an answer."
    told = replace(words, caption=caption, label=f"{words.label}-best-of", notes=_NOTES)
    return (Table(told, ("Row", "Chosen by"), (), shown, groups, layout=spec.layout),)


_NOTES = (
    "Chosen: questions with an answer, of all. Tied: several samples have the best score; which is "
    "taken is drawn by a hash of the question's id and the sample's number, whatever they say.",
    "None may be chosen: every sample has a severe fault (Red), or no score; such a question has "
    "no answer in the row, and is counted here. Faulty: a judge found a severe fault, or could not "
    "say whether there is one.",
    "Tokens generated: of all samples of a question, on average; one sample's stand last. Tokens "
    "that judges read: prompts of all ratings that the choice is made of, those that look for "
    "faults as well; a server that renders its own prompts does not tell.",
)


def _cells(row: dict[str, object]) -> tuple[Cell, ...]:
    n = {name: int(str(row[name])) for name in row if name.startswith("n_")}
    samples = n["n_samples"]
    return (
        Cell(n_of(n["n_chosen"], n["n_chosen"] + n["n_none"]), value=n["n_chosen"]),
        count_cell(n["n_none"]),
        count_cell(n["n_tied"]),
        Cell(n_of(n["n_unscored"], samples), value=n["n_unscored"]),
        Cell(n_of(n["n_red"], samples), value=n["n_red"]),
        *(_mean(row[name]) for name in ("output_tokens", "judge_tokens", "one_output_tokens")),
    )


def _mean(value: object) -> Cell:
    known = value if isinstance(value, float) else None
    return Cell(decimal(known, 1), value=known)


def chooser(choice: SampleChoice) -> str:
    """Return what chooses, e.g. ``Warmth by LLaMA``."""
    return f"{choice.label} by {choice.judge}" if choice.judge else choice.label


# ---------------------------------------------------------------------------- under every table


def with_costs(table: Table, spec: ReportSpec) -> Table:
    """Return the table with what it must say of its rows that cost more than one answer."""
    chosen = [c for c in spec.conditions if c.choice is not None]
    if not chosen or not _shows(table):
        return table
    notes = tuple(dict.fromkeys(note for c in chosen for note in _cost(c)))
    words = replace(table.words, warnings=(*table.words.warnings, *notes))
    return replace(table, words=words)


def _shows(table: Table) -> bool:
    """Tell whether a row or a heading of a table is of chosen answers."""
    rows = (row for group in table.groups for row in group.rows)
    texts = [*(g.label for g in table.groups), *(stub for row in rows for stub in row.stubs)]
    texts += [line for head in table.heads for line in head.lines]
    texts += [cell.text for g in table.groups for row in g.rows for cell in row.cells]
    return any(CHOSEN in text for text in texts)


def _cost(condition: Condition) -> Iterator[str]:
    choice = condition.choice
    if choice is None:
        return
    itself = f"Ratings by {choice.judge}" if choice.judge else f"Scores by {choice.label}"
    yield (
        f"{CHOSEN} {condition.decoding.name}: best of {count(choice.n)}, the answer with the best "
        f"score ({chooser(choice)}) among so many samples. It costs all of these and their rating, "
        "and is not ranked: compare it at equal cost with one sample, drawn by chance, which is "
        "the mean over the samples."
    )
    yield f"{itself} of what it chose (grey): too good by construction; read others, or people."
