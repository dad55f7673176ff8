"""The table of preferences: who is preferred to the baseline, and how far that can be trusted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.types import Column, Condition
from reports.labels import NOTHING, count, full_name, number, row_labels
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText
from reports.tables.uncounted import counts_of

_SHARE = Column("", "", None, decimals=1, percent=True)
_LOG_ODDS = Column("", "", None, decimals=2)
_COUNTED = ("n", "n_missing", "n_no_label", "n_too_long", "n_alone")


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
        notes=(
            *_notes(column, rows, name, is_ranked=is_ranked),
            *_missing(rows, spec.conditions, name),
            *_refusals(rows, spec.conditions),
            f"{NOTHING}: the baseline is not compared with itself.",
        ),
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
    yield f"{NOTHING}: the baseline is not compared with itself."


def _missing(
    rows: Sequence[dict[str, Any]], conditions: Sequence[Condition], baseline: str
) -> Iterator[str]:
    """Yield which answers have no preference, and why, in how many of each row."""
    shown = [c for c in conditions if c.id != rows[0]["baseline"]]
    frame = pl.DataFrame(rows).select("condition", *_COUNTED).fill_null(0)
    for reason, of in (
        (f"{baseline} has no answer to the question", pl.col("n_alone")),
        ("a text does not fit the judge's context", pl.col("n_too_long")),
        ("the judge gave none of the answers in an order", pl.col("n_no_label")),
    ):
        every = pl.sum_horizontal("n", "n_missing", "n_alone")
        lost = frame.select("condition", of.alias("lost"), every.alias("every"))
        found = {name: (n, of_all) for name, n, of_all in lost.iter_rows() if n}
        if found:
            yield f"Without a preference, since {reason}: {counts_of(found, shown)}."


def _refusals(rows: Sequence[dict[str, Any]], conditions: Sequence[Condition]) -> Iterator[str]:
    """Yield why numbers are not there: of which rows, where it is not a reason for all."""
    labels = row_labels(conditions)
    names = {c.id: full_name(c, labels) for c in conditions}
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["refusal"]:
            reasons.setdefault(row["refusal"], []).append(names[row["condition"]])
    for reason, of in reasons.items():
        yield f"At equal length ({'; '.join(of)}): {reason}"
    for reason in dict.fromkeys(row["unranked"] for row in rows if row["unranked"]):
        yield f"Strength: {reason}"
