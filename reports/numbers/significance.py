"""Which value is best, and what is significant: the only place where either is decided. Pure.

Tables, figures, claims, ``explain`` and the macros ask here, so that they cannot disagree.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from empathy_core.stats import shuffles_for
from empathy_core.types import Column
from reports.keys import ALL
from reports.labels import count, printed
from reports.spec import ReportSpec

Mark = Literal["best", "second", ""]
Withheld = Literal["", "rows", "bounds"]

ALPHA = 0.05
"""Level of the tests."""
COMMON = "common"
"""The subset of the examples that every ranked row has a score for, metric by metric."""
LEAST_COVERED = 0.95
"""Share of a table's examples that a row must have scores for to be ranked."""
LEAST_RANKED = 3
"""Questions under which no value of a table is marked."""
DUST = 1e-12
"""Differences below it are none: binary fractions."""


# ---------------------------------------------------------------------------- two conditions


def opposed(cells: float | None, difference: float | None) -> bool:
    """Tell whether the *cells* of two conditions differ the other way than their *difference*.

    Both may then be right, the cells being of more rows than the difference, and neither decides.
    """
    if cells is None or difference is None:
        return False
    return min(abs(cells), abs(difference)) > DUST and (cells > 0) != (difference > 0)


def reversible(difference: float, least: float | None, most: float | None) -> bool:
    """Tell whether answers without a score could turn the sign of *difference*.

    *least* and *most* are what the difference may be, whatever those answers would have scored;
    null where that is not known, which excludes nothing.
    """
    end = least if difference > 0 else most
    return end is None or abs(difference) <= DUST or (end > 0) != (difference > 0) or end == 0


def significant(
    difference: float | None, p: float | None, *, opposed: bool,
    least: float | None, most: float | None,
) -> bool | None:  # fmt: skip
    """Tell whether a difference, in the direction of its sign, is more than chance.

    It needs the corrected *p*, cells that differ the same way, and a sign that no unscored answer
    could turn. Null where there is no test.
    """
    if p is None or difference is None:
        return None
    return p < ALPHA and not opposed and not reversible(difference, least, most)


def is_significant(row: Mapping[str, object], p: str) -> bool | None:
    """Return ``significant`` of a row of ``pairs.PAIRS`` or of any frame with its columns."""

    def number(name: str) -> float | None:
        found = row[name]
        return float(found) if isinstance(found, int | float) else None

    return significant(
        number("difference"), number(p), opposed=row.get("opposed") is True,
        least=number("least"), most=number("most"),
    )  # fmt: skip


# ---------------------------------------------------------------------------- a whole column


@dataclass(frozen=True, slots=True)
class Ranking:
    """The marks of one column of a table.

    Attributes:
        marks: Condition → mark; conditions without one are left out.
        withheld: Why a best value bears no mark: ``rows``, the cells are of unlike rows and on the
            rows that all have they print other values; ``bounds``, answers without a score could
            turn the order. Empty where nothing is withheld.
    """

    marks: Mapping[str, Mark]
    withheld: Withheld = ""


def ranking(
    summary: pl.DataFrame, metric: str, column: Column, barred: Collection[str] = ()
) -> Ranking:
    """Return the marks of a column; *summary*: ``aggregate.SUMMARY`` of one subset.

    Ranks are those of the printed numbers, so that what looks equal is marked equally. A condition
    of *barred* (ids) keeps its rank and bears no mark; none is marked in its place.
    """
    found = _ranking(summary, metric, column)
    kept = {c: mark for c, mark in found.marks.items() if c not in barred}
    return Ranking(kept, found.withheld)


def _ranking(summary: pl.DataFrame, metric: str, column: Column) -> Ranking:
    of_column = (pl.col("metric") == metric) & (pl.col("column") == column.name)
    rows = summary.filter(of_column, pl.col("ranked"), pl.col("score").is_not_null())
    if rows.is_empty() or int(str(rows["n_questions"].min())) < LEAST_RANKED:
        return Ranking({})
    fields = rows.select("condition", "score", "common", "least", "most")
    scores = {c: printed(score, column) for c, score, *_ in fields.iter_rows()}
    marks = rank(scores, column)
    on_common = {
        c: None if of is None else printed(of, column) for c, _, of, *_ in fields.iter_rows()
    }
    if marks and scores != on_common:
        return Ranking({}, "rows")
    bounds = {c: (least, most) for c, _, _, least, most in fields.iter_rows()}
    kept = {c: mark for c, mark in marks.items() if _holds(c, marks, bounds, scores, column)}
    if "best" not in kept.values() and marks:
        return Ranking({}, "bounds")
    return Ranking(kept, "" if kept == marks else "bounds")


def _holds(
    condition: str,
    marks: Mapping[str, Mark],
    bounds: Mapping[str, tuple[float | None, float | None]],
    scores: Mapping[str, float],
    column: Column,
) -> bool:
    """Tell whether no unscored answer could put a row below *condition* above it."""
    sign = 1 if column.better == "higher" else -1
    for other, score in scores.items():
        if sign * (scores[condition] - score) <= 0:
            continue
        end = bounds[condition][0 if sign > 0 else 1]
        theirs = bounds[other][1 if sign > 0 else 0]
        if end is None or theirs is None or sign * (end - theirs) <= 0:
            return False
    return marks[condition] != ""


def rank(values: Mapping[str, float], column: Column) -> dict[str, Mark]:
    """Return key → mark; ties share it.

    Nothing is marked where all values are equal. No second is marked where it is the last value
    and several share it, nor where it is a zero of a column in which higher is better: that is
    the lack of a score rather than a place.
    """
    distinct = sorted(set(values.values()), reverse=column.better == "higher")
    if column.better is None or len(distinct) < 2:
        return {}
    marks: dict[float, Mark] = {distinct[0]: "best"}
    several = sum(value == distinct[1] for value in values.values()) > 1
    is_zero = column.better == "higher" and distinct[1] == 0
    if not is_zero and not (several and len(distinct) == 2):
        marks[distinct[1]] = "second"
    return {key: marks[value] for key, value in values.items() if value in marks}


def ranked(summary: pl.DataFrame, metrics: Collection[str]) -> dict[str, list[str]]:
    """Return metric → ids of the rows that are ranked; *summary* is of one subset."""
    rows = summary.filter(pl.col("ranked"), pl.col("metric").is_in(list(metrics)))
    found = rows.select("metric", "condition").unique(maintain_order=True)
    return {m: found.filter(pl.col("metric") == m)["condition"].to_list() for m in metrics}


def significantly_best(
    pairs: pl.DataFrame, metric: str, column: Column, of: Ranking, rows: Sequence[str], p: str
) -> str | None:
    """Return the one best row that is significantly better than every other of *rows*.

    Null where two share the best value, and where a pair has no test.

    Args:
        pairs: ``pairs.PAIRS`` of one subset.
        metric: Key.
        column: Of the metric.
        of: Its marks.
        rows: The ranked ones.
        p: Name of the column of the corrected p.
    """
    best = [row for row, mark in of.marks.items() if mark == "best"]
    if len(best) != 1 or len(rows) < 2:
        return None
    mine = pairs.filter(
        pl.col("metric") == metric,
        pl.col("column") == column.name,
        pl.col("first").is_in(list(rows)),
        pl.col("second").is_in(list(rows)),
        (pl.col("first") == best[0]) | (pl.col("second") == best[0]),
    )
    sign = 1 if column.better == "higher" else -1
    clear = [
        bool(is_significant(row, p))
        and sign * row["difference"] * (1 if row["second"] == best[0] else -1) > 0
        for row in mine.iter_rows(named=True)
    ]
    return best[0] if len(clear) == len(rows) - 1 and all(clear) else None


def subset_of_tests(pairs: pl.DataFrame, metric: str) -> str:
    """Return the subset whose pairs decide what is best: common rows where some row lacks any."""
    common = pairs.filter(pl.col("subset") == COMMON, pl.col("metric") == metric)
    return COMMON if common.height else ALL


# ---------------------------------------------------------------------------- in words


def p_column(spec: ReportSpec) -> str:
    """Return the column of the corrected p that marks follow."""
    return f"p_{spec.analysis.correction}"


def how_tested(spec: ReportSpec, family: str, n_tests: int) -> str:
    """Return the test in words; *family*: the *n_tests* that it is corrected over."""
    shuffles = f"{count(shuffles_for(n_tests))} shuffles"
    return (
        f"p < {ALPHA} (approximate randomisation by question, two-sided, {shuffles}, "
        f"{corrected(spec)} over {family})"
    )


def corrected(spec: ReportSpec) -> str:
    """Return e.g. ``Holm-corrected``."""
    how = {"holm": "Holm", "bh": "Benjamini\N{EN DASH}Hochberg"}[spec.analysis.correction]
    return f"{how}-corrected"


Wanted = tuple[str, Column]
"""Metric key and column: what a column of a table shows."""


def columns(spec: ReportSpec, *, main: bool) -> list[list[Wanted]]:
    """Return the columns of the main table or of the detail tables, a list for each metric."""
    found = [[(k, c) for c in m.columns if c.main is main] for k, m in spec.metrics.items()]
    return [of_metric for of_metric in found if of_metric]
