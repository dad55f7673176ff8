"""The table of preferences: who is preferred to the baseline, and how far that can be trusted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.types import Column
from reports.labels import NOTHING, count, full_name, number, row_labels
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText

_SHARE = Column("", "", None, decimals=1, percent=True)
_LOG_ODDS = Column("", "", None, decimals=2)


def preference_tables(found: pl.DataFrame, spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return a table for each judge's question of *found* (``PREFERENCES``)."""
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}
    parts = found.group_by("metric", "column", maintain_order=True)
    return tuple(
        _table(columns[metric, column], rows.to_dicts(), spec, replace(
            words, label=f"{words.label}-preferences-{i}"
        ))
        for i, ((metric, column), rows) in enumerate(parts, 1)
    )  # fmt: skip


def _table(
    column: Column, rows: Sequence[dict[str, Any]], spec: ReportSpec, words: TableText
) -> Table:
    labels = row_labels(spec.conditions)
    by_id = {row["condition"]: row for row in rows}
    baseline = next(c for c in spec.conditions if c.id == rows[0]["baseline"])
    is_ranked = any(row["strength"] is not None for row in rows)
    groups: dict[str, list[Row]] = {}
    for condition in spec.conditions:
        cells = _cells(by_id[condition.id], is_ranked=is_ranked)
        row = Row((labels[condition.id],), cells)
        groups.setdefault(condition.model.label, []).append(row)
    human = {c.model.label for c in spec.conditions if c.model.is_human}
    shown = heads(
        "n", "Missing", "Mass", "Preferred", ("At equal", "length"), ("First", "reply"),
        ("Same in", "both orders"),
        *(["Strength"] if is_ranked else []),
    )  # fmt: skip
    name = full_name(baseline, labels)
    text = replace(
        words,
        caption=f"{column.group}: preference over {name}.",
        notes=tuple(_notes(column, rows, name, is_ranked=is_ranked)),
    )
    lines = tuple(Group(label, tuple(of), label in human) for label, of in groups.items())
    return Table(text, ("Model", "Prompts"), (), shown, lines, layout=spec.layout)


def _cells(row: dict[str, Any], *, is_ranked: bool) -> tuple[Cell, ...]:
    cells = (
        count_cell(row["n"]),
        count_cell(row["n_missing"]),
        Cell(number(row["mass"], _SHARE), value=row["mass"]),
        _with_interval(row, "preferred", ("low", "high"), _SHARE),
        _with_interval(row, "adjusted", ("adjusted_low", "adjusted_high"), _SHARE),
        Cell(number(row["first"], _SHARE), value=row["first"]),
        Cell(number(row["consistent"], _SHARE), value=row["consistent"]),
    )
    if not is_ranked:
        return cells
    ends = ("strength_low", "strength_high")
    return (*cells, _with_interval(row, "strength", ends, _LOG_ODDS, signed=True))


def _with_interval(
    row: dict[str, Any], name: str, ends: tuple[str, str], column: Column, *, signed: bool = False
) -> Cell:
    low, high = (row[end] for end in ends)
    text = number(row[name], column, signed=signed)
    if row[name] is None or low is None or high is None:
        return Cell(text, value=row[name])
    bounds = ", ".join(number(end, column, signed=signed) for end in (low, high))
    return Cell(text, interval=f"[{bounds}]", value=row[name])


def _notes(
    column: Column, rows: Sequence[dict[str, Any]], baseline: str, *, is_ranked: bool
) -> Iterator[str]:
    yield (
        f"Preferred: mean probability with which {column.judge} prefers the answer to that of "
        f"{baseline} to the same question, over both orders; 50% where it prefers neither."
    )
    yield (
        "At equal length: the same where both answers have as many characters (fractional logit "
        "on the difference in length, questions as clusters)."
    )
    if moved := [row for row in rows if row["moved"]]:
        yield (
            f"Length explains more than ten points of {count(len(moved))} of these preferences: "
            "cite those at equal length."
        )
    yield (
        "First reply: probability of the reply that stands first, 50% for a judge that does not "
        "look at the place. Same in both orders: comparisons with one verdict, whichever stands "
        "first."
    )
    if is_ranked:
        yield (
            "Strength: Bradley\N{EN DASH}Terry, log-odds with a mean of zero, fitted to the "
            "preferences of all pairs that were compared; in brackets 95% intervals (sandwich "
            "variance by question)."
        )
    yield (
        "Mass: mean probability of the labels over both orders, nothing else excluded. Missing: "
        "comparisons without a preference, never taken for one half."
    )
    for name, why in (
        ("n_no_label", "the judge gave none of the answers in an order"),
        ("n_too_long", "a text did not fit the judge's context"),
    ):
        if missing := sum(row[name] or 0 for row in rows):
            yield f"Without a preference, since {why}: {count(missing)}."
    for name, what in (("refusal", "At equal length"), ("unranked", "Strength")):
        reasons = dict.fromkeys(row[name] for row in rows if row[name])
        yield from (f"{what}: {reason}" for reason in reasons)
    yield f"{NOTHING}: the baseline is not compared with itself."
