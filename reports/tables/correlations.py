"""Tables of how overlap metrics go with the judges. Pure; every string is decided here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import polars as pl

from empathy_core.metrics._standing import is_calibrated
from empathy_core.stats import LEAST_CLUSTERS, LEAST_CONDITIONS, LEAST_GROUPS
from empathy_core.types import Column
from reports.labels import column_title, count, percent
from reports.numbers.correlations import ACROSS, WITHIN, judged_columns, overlap_columns
from reports.numbers.significance import Wanted
from reports.spec import ReportSpec
from reports.tables.cells import difference_cell
from reports.tables.table import Cell, Group, Row, Table, TableText, headings, line_label, panels

_KINDS = (("pearson", "Pearson"), ("spearman", "Spearman"))
_PRINTED = Column("", "", None, decimals=2)
_OFTEN = 0.5
"""Share of equal scores above which a note says that little can go with them."""

Key = tuple[str, str]
"""Metric key and name of a column."""


@dataclass(frozen=True, slots=True)
class _Level:
    """One of the two kinds of correlation, as its tables call it.

    Attributes:
        of: What *n* counts, and what its clusters are.
    """

    name: str
    caption: str
    of: tuple[str, str]
    notes: tuple[str, ...]


_LEVELS = (
    _Level(
        WITHIN,
        "Correlation with the judges within questions: answers of different models to one question",
        ("answers", "questions"),
        (
            "Within questions: the effects of example and condition are removed from both scores "
            "(additive model by least squares), so that neither easy questions nor good models "
            "make a correlation. Spearman: of the ranks within each example of what remains.",
            "Scores are those of single answers; for BLEU their mean is not the table's score.",
            "In brackets: 95% intervals (bootstrap by question), none with fewer than "
            f"{LEAST_CLUSTERS} questions; they are not corrected for the number of correlations.",
        ),
    ),
    _Level(
        ACROSS,
        "Correlation with the judges over conditions: their scores in the main table",
        ("conditions", "models"),
        (
            f"No interval with fewer than {LEAST_CONDITIONS} conditions or {LEAST_GROUPS} models: "
            "of so few, most correlations are chance.",
            "In brackets: 95% intervals by Fisher's z; the prompts of one model count as one, "
            "since they are not independent.",
        ),
    ),
)


def correlation_tables(
    found: pl.DataFrame, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    """Return the tables of *found* (``CORRELATIONS``); none if nothing is correlated."""
    if not found["pearson"].count():
        return ()
    tables = [table for level in _LEVELS for table in _tables(level, found, spec, words)]
    return tuple(
        replace(t, words=replace(t.words, label=f"{words.label}-correlations-{i}"))
        for i, t in enumerate(tables, 1)
    )


def _tables(
    level: _Level, found: pl.DataFrame, spec: ReportSpec, words: TableText
) -> Iterator[Table]:
    """Yield one level's tables, as many as hold the columns of the judges."""
    rows = {
        (row["metric"], row["column"], row["judge_metric"], row["judge_column"]): row
        for row in found.filter(pl.col("level") == level.name).iter_rows(named=True)
    }
    first = overlap_columns(spec)
    judged = judged_columns(spec)
    packed = panels([list(of) for _, of in groupby(judged, lambda w: (w[0], w[1].group))])
    for i, wanted in enumerate(packed, 1):
        part = f" ({i} of {len(packed)})" if len(packed) > 1 else ""
        shown = [rows[(*_key(a), *_key(b))] for a in first for b in wanted]
        text = replace(
            words,
            caption=f"{level.caption}{part}; {_counts(shown, level)}.",
            notes=(*_judges(wanted), *level.notes, *_directions([*first, *wanted]),
                   *_ties(shown, first, wanted)),
        )  # fmt: skip
        spans, heads = headings([_with_judge(c) for _, c in wanted], 2)
        groups = tuple(_group(one, wanted, rows) for one in first)
        yield Table(text, ("Metric", "Correlation"), spans, heads, groups, layout=spec.layout)


def _key(wanted: Wanted) -> Key:
    return wanted[0], wanted[1].name


def _with_judge(column: Column) -> Column:
    """Return a column whose heading names its judge, where its own does not."""
    if column.judge in column.group or column.judge in column.label:
        return column
    return replace(column, group=f"{column.group} ({column.judge})".strip())


def _group(first: Wanted, wanted: Sequence[Wanted], rows: Any) -> Group:
    def cell(kind: str, second: Wanted) -> Cell:
        row = rows[(*_key(first), *_key(second))]
        found = difference_cell(row[kind], row[f"{kind}_low"], row[f"{kind}_high"], _PRINTED)
        return replace(found, inline=False)

    lines = (Row((label,), tuple(cell(kind, w) for w in wanted)) for kind, label in _KINDS)
    return Group(line_label(first[1]), tuple(lines))


# ---------------------------------------------------------------------------- what is said


def _counts(shown: Sequence[dict[str, Any]], level: _Level) -> str:
    """Return e.g. ``n = 18,888 answers to 787 questions``; a range where cells differ."""
    n, clusters = ([row[name] for row in shown] for name in ("n", "n_clusters"))
    joined = "to" if level.name == WITHIN else "of"
    return f"n = {_range(n)} {level.of[0]} {joined} {_range(clusters)} {level.of[1]}"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return count(low) if low == high else f"{count(low)}\N{EN DASH}{count(high)}"


def _directions(wanted: Sequence[Wanted]) -> Iterator[str]:
    if len({c.better for _, c in wanted if c.better}) > 1:
        yield (
            "Arrows show which direction is better: where those of row and column differ, "
            "agreement is a negative correlation."
        )


def _judges(wanted: Sequence[Wanted]) -> Iterator[str]:
    names = ", ".join(dict.fromkeys(c.judge for _, c in wanted))
    n = sum(is_calibrated(c) for _, c in wanted)
    stand = "are" if n == len(wanted) else "are not all" if n else "are not"
    yield (
        f"The judges are language models ({names}) and {stand} calibrated against people. Human "
        "reference answers are left out."
    )


def _ties(
    shown: Sequence[dict[str, Any]], first: Sequence[Wanted], wanted: Sequence[Wanted]
) -> Iterator[str]:
    """Say which columns are mostly one score, so that little can go with them."""
    labels = {_key(w): column_title(w[1]) for w in (*first, *wanted)}
    shares: dict[Key, float | None] = {}
    for row in shown:
        shares[row["metric"], row["column"]] = row["tied"]
        shares[row["judge_metric"], row["judge_column"]] = row["judge_tied"]
    often = {key: of for key, of in shares.items() if of is not None and of > _OFTEN}
    if often:
        listed = ", ".join(f"{labels[key]} ({percent(of)})" for key, of in often.items())
        yield (
            "Columns in which more than half of the answers have one and the same score, which "
            f"weakens correlations: {listed}."
        )
