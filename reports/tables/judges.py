"""The tables of the judges: how they rated, and what their ratings show of them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import polars as pl

from empathy_core.metrics import rates
from empathy_core.metrics._standing import is_calibrated, rubric_of
from empathy_core.stats import BIAS_RULES
from empathy_core.types import Column
from reports.labels import NOTHING, decimal, full_name, n_of, number, percent, row_labels
from reports.numbers.judges import JudgeNumbers
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads, score_cell
from reports.tables.table import Cell, Group, Row, Table, TableText

_HEADS: Mapping[str, tuple[str, ...]] = {
    "one_label": ("One", "label"),
    "outside_labels": ("Labels", "below half"),
    "length": ("Length",),
    "verbosity": ("Longer", "reply"),
    "order": ("First", "reply"),
    "swap": ("Both", "orders"),
    "self_preference": ("Own", "replies"),
    "agreement": ("Other", "judges"),
    "repeatability": ("Other", "wordings"),
}
"""Check → heading of its column."""
_SHARES = {"one_label", "outside_labels", "order"}
_SHARE = Column("", "", None, decimals=1, percent=True)
_NUMBER = Column("", "", None, decimals=2)


def judge_tables(found: JudgeNumbers, spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return the tables of *found*; none without a judge."""
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}
    shown = (
        (_ratings, found.judges), (_checks, found.checks),
        (_bounds, found.bounds.filter(_LACKING)),
        (_agreement, found.agreement),
    )  # fmt: skip
    return tuple(
        table(found, columns, spec, replace(words, label=f"{words.label}-judges-{i}"))
        for i, (table, rows) in enumerate(shown, 1)
        if not rows.is_empty()
    )


# ---------------------------------------------------------------------------- ratings


Columns = Mapping[tuple[str, str], Column]


def _ratings(found: JudgeNumbers, columns: Columns, spec: ReportSpec, words: TableText) -> Table:
    rows = found.judges.to_dicts()
    shown = heads(
        "Answers", "Rated", ("No", "label"), ("Not", "applicable"), ("Too", "long"), "Empty",
        "Mass", "Lowest", "Highest",
    )  # fmt: skip
    text = replace(
        words,
        caption="Ratings of the judges, over the answers of all rows.",
        notes=(
            _standing(found, columns),
            *_of_writing(rows, spec),
            "No label: the labels of the scale have together less of the judge's probability than "
            f"the least that counts as an answer{_least(rows, spec)}. Such a rating is missing, "
            "never a number; what it might change is bounded wherever rows are compared.",
            "Mass: mean probability of the labels, nothing else excluded. Lowest, Highest: ratings "
            "nearest to that end of the scale.",
            *_of_comparing(rows, spec),
        ),
    )
    return Table(text, ("Judge", "Asked about"), (), shown, _groups(rows, columns, _counted),
                 layout=spec.layout)  # fmt: skip


def _least(rows: Sequence[dict[str, Any]], spec: ReportSpec) -> str:
    """Return the least mass of each judge, in brackets; once where all have the same."""
    judges: Mapping[str, Any] = {row["judge"]: spec.metrics[row["metric"]] for row in rows}
    least = {
        name: percent(judge.min_mass)
        for name, judge in judges.items()
        if hasattr(judge, "min_mass")
    }
    if not least:
        return ""
    same = len({*least.values()}) == 1
    told = next(iter(least.values())) if same else ", ".join(map(" ".join, least.items()))
    return f" ({told})"


def _standing(found: JudgeNumbers, columns: Columns) -> str:
    """Say how many of the rows count as calibrated against people."""
    if not found.people:
        return _UNCALIBRATED
    rows = found.judges.select("metric", "column").rows()
    n = sum(is_calibrated(columns[at]) for at in rows)
    return f"Calibrated against people: {n_of(n, len(rows))} rows; see the judges against people."


_UNCALIBRATED = "Uncalibrated: no person's rating has been compared with the judge's."


def _counted(rows: Sequence[dict[str, Any]]) -> tuple[Cell, ...]:
    row = rows[0]
    names = ("n", "n_rated", "n_no_label", "n_not_applicable", "n_too_long", "n_empty")
    shares = (score_cell(row[name], _SHARE) for name in ("mass", "floor", "ceiling"))
    return (*(count_cell(row[name]) for name in names), *shares)


def _of_writing(rows: Sequence[dict[str, Any]], spec: ReportSpec) -> Iterator[str]:
    """Say how judges that write their answers are to be read."""
    writing = dict.fromkeys(
        row["judge"] for row in rows if getattr(spec.metrics[row["metric"]], "mode", "")
    )
    if writing:
        yield (
            f"{', '.join(writing)}: the judge writes its answer, and no probability is read, so "
            "that there is no mass; No label: what it wrote is not exactly one rating. Its ratings "
            "are labels, not expected values, and are never averaged with these."
        )


def _of_comparing(rows: Sequence[dict[str, Any]], spec: ReportSpec) -> Iterator[str]:
    if any(not rates(spec.metrics[row["metric"]]) for row in rows):
        yield (
            "Of a rubric that compares, Answers are pairs of replies, and No label means that an "
            "answer was missing in one order or both; such a preference is missing."
        )


def _groups(rows: Sequence[dict[str, Any]], columns: Columns, cells: Any) -> tuple[Group, ...]:
    """Return a group for each judge; *cells* makes those of one column's records."""

    def at(row: dict[str, Any]) -> tuple[str, str]:
        return row["metric"], row["column"]

    return tuple(
        Group(judge, tuple(
            Row((_asked(columns[key]),), cells(list(of))) for key, of in groupby(mine, at)
        ))
        for judge, mine in groupby(rows, lambda row: row["judge"])
    )  # fmt: skip


def _asked(column: Column) -> str:
    """Return rubric and dimension, without the judge and what it is compared with."""
    return f"{rubric_of(column)}: {column.label.rpartition(': preferred to ')[0] or column.label}"


# ---------------------------------------------------------------------------- checks


def _checks(found: JudgeNumbers, columns: Columns, spec: ReportSpec, words: TableText) -> Table:
    rows = found.checks.to_dicts()
    told = [check for check in BIAS_RULES if any(r["check"] == check and _is_told(r) for r in rows)]

    def cells(of: Sequence[dict[str, Any]]) -> tuple[Cell, ...]:
        by_check = {row["check"]: row for row in of}
        return tuple(_check_cell(by_check.get(check)) for check in told)

    text = replace(
        words,
        caption="What the ratings show of the judges.",
        warnings=(*words.warnings, *_named(rows, columns)),
        notes=tuple(_notes(rows, told)),
    )
    shown = heads(*(_HEADS[check] for check in told))
    return Table(text, ("Judge", "Asked about"), (), shown, _groups(rows, columns, cells),
                 layout=spec.layout)  # fmt: skip


def _is_told(row: dict[str, Any]) -> bool:
    return row["value"] is not None


def _check_cell(row: dict[str, Any] | None) -> Cell:
    if row is None:
        return Cell(NOTHING)
    column = _SHARE if row["check"] in _SHARES else _NUMBER
    text = number(row["value"], column)
    if row["value"] is None or row["low"] is None or row["high"] is None:
        return Cell(text, value=row["value"], dagger=bool(row["named"]))
    bounds = ", ".join(number(row[end], column) for end in ("low", "high"))
    return Cell(text, value=row["value"], interval=f"[{bounds}]", dagger=bool(row["named"]))


def _named(rows: Sequence[dict[str, Any]], columns: Columns) -> Iterator[str]:
    """Yield what each judge is named for."""
    for row in rows:
        if row["named"]:
            asked = _asked(columns[row["metric"], row["column"]])
            yield f"{row['judge']} {row['fault']} ({asked})."


def _notes(rows: Sequence[dict[str, Any]], told: Sequence[str]) -> Iterator[str]:
    yield (
        "A dagger: the judge is named for a fault, since the interval, widened for the number of "
        "checks, lies outside the range that is held to be harmless. A judge without a fault is "
        "named for any in at most 5% of runs."
    )
    for check in told:
        rule = BIAS_RULES[check]
        low, high = (decimal(end, 2) for end in (rule.harmless.low, rule.harmless.high))
        name = " ".join(_HEADS[check])
        yield (
            f"{name}: {rule.number}; harmless from {low} to {high}. It cannot tell "
            f"{rule.cannot_tell}."
        )
    unnamed = dict.fromkeys(r["reason"] for r in rows if _is_told(r) and r["named"] is None)
    if unnamed:
        yield f"Of some checks no judge is named: {'; '.join(unnamed)}."
    for check in BIAS_RULES:
        reasons = dict.fromkeys(r["reason"] for r in rows if r["check"] == check and r["reason"])
        if reasons and check not in told:
            yield f"{' '.join(_HEADS[check])}: cannot be told, {'; '.join(reasons)}."
    yield f"{NOTHING}: not of this row, or cannot be told."


# ---------------------------------------------------------------------------- what is missing


_LACKING = pl.col("n_missing") > 0


def _bounds(found: JudgeNumbers, columns: Columns, spec: ReportSpec, words: TableText) -> Table:
    names = row_labels(spec.conditions)
    of = {c.id: full_name(c, names) for c in spec.conditions}
    groups = found.bounds.filter(_LACKING).group_by("metric", "column", maintain_order=True)
    text = replace(
        words,
        caption="Means of the judges if all missing ratings were the worst, or the best.",
        notes=(
            "Worst, Best: the mean if every missing rating were at that end of the scale (of a "
            "profile, which has neither: the lowest and the highest). Whatever they are, the mean "
            "lies between them. A dagger of another table holds for both.",
            "Missing: no label, not applicable, too long, or empty without a score. Rows without a "
            "missing rating are left out.",
        ),
    )
    return Table(
        text, ("Judge", "Row"), (), heads("Rated", "Missing", "Mean", "Worst", "Best"),
        tuple(
            Group(
                f"{rows['judge'][0]}, {_asked(columns[metric, column])}",
                tuple(_bounded(row, of, columns[metric, column]) for row in rows.to_dicts()),
            )
            for (metric, column), rows in groups
        ),
        layout=spec.layout,
    )  # fmt: skip


def _bounded(row: dict[str, Any], names: Mapping[str, str], column: Column) -> Row:
    counts = (count_cell(row[name]) for name in ("n", "n_missing"))
    means = (score_cell(row[name], column) for name in ("mean", "worst", "best"))
    return Row((names[row["condition"]],), (*counts, *means))


# ---------------------------------------------------------------------------- agreement


def _agreement(
    found: JudgeNumbers,
    columns: Columns,  # noqa: ARG001  every table's
    spec: ReportSpec,
    words: TableText,
) -> Table:
    text = replace(
        words,
        caption="Agreement of the judges, over the answers of all rows.",
        notes=(
            "Alpha: Krippendorff's, of squared differences, over the answers that two judges or "
            "more have rated; 1 is perfect, 0 what chance gives. A judge that is sterner than "
            "another lowers it. Consistency: ICC(C,1), as if each judge's mean were the same, over "
            "the answers that all have rated. In brackets 95% intervals over questions.",
            "Same label: pairs of ratings nearest to the same label. Where nearly all ratings are "
            "alike it is high although alpha is low.",
            "That judges agree does not say that they are right.",
        ),
    )
    rows = found.agreement.to_dicts()
    return Table(
        text, ("Rubric", "Dimension", "Judges"), (),
        heads("Answers", "Questions", "Alpha", "Consistency", ("Same", "label")),
        tuple(
            Group(rubric, tuple(map(_agreed, mine)))
            for rubric, mine in groupby(rows, lambda row: row["rubric"])
        ),
        layout=spec.layout,
    )  # fmt: skip


def _agreed(row: dict[str, Any]) -> Row:
    counts = (count_cell(row[name]) for name in ("n", "n_questions"))
    coefficients = (_with_bounds(row, name) for name in ("alpha", "consistency"))
    same = score_cell(row["same"], _SHARE)
    return Row((row["dimension"], row["judges"]), (*counts, *coefficients, same))


def _with_bounds(row: dict[str, Any], name: str) -> Cell:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    cell = score_cell(row[name], _NUMBER)
    if cell.value is None or low is None or high is None:
        return cell
    bounds = ", ".join(number(end, _NUMBER) for end in (low, high))
    return replace(cell, interval=f"[{bounds}]")
