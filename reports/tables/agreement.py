"""The tables of people's agreement: single answers and means, raters, adjusted means. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import polars as pl

from empathy_core.stats import LEAST_CLUSTERS
from reports.labels import NOTHING, count, decimal, full_name, percent, row_labels
from reports.numbers.agreement import RESPONSE, SYSTEM, AgreementNumbers
from reports.numbers.people_results import interval, printed
from reports.rows.ratings import reasons
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText

_LEVELS = {RESPONSE: "single answers", SYSTEM: "means of conditions"}
_COEFFICIENTS: Mapping[str, tuple[str, ...]] = {
    "alpha_ordinal": ("Alpha,", "ordinal"),
    "alpha_interval": ("Alpha,", "interval"),
    "kappa": ("Kappa,", "quadratic"),
    "raw": ("Raw", "agreement"),
    "commonest": ("Commonest", "rating"),
}
_INTRACLASS: Mapping[str, tuple[str, ...]] = {
    "icc_a1": ("ICC(A,1)",),
    "icc_ak": ("ICC(A,k)",),
    "icc_c1": ("ICC(C,1)",),
    "icc_ck": ("ICC(C,k)",),
    "tau": ("Kendall's", "tau-b"),
}


def agreement_tables(
    found: AgreementNumbers, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    """Return the tables of *found*; none where nobody has rated."""
    if not found.ratings.there:
        return ()
    tables = [
        *(_agreement(found, spec, words) if found.agreement.height else ()),
        *([_raters(found, spec, words)] if found.raters.height else []),
        *([_means(found, spec, words)] if found.means.height else []),
    ]
    lost = tuple(_left_out(found.ratings.left_out))
    if not tables:
        tables = [_nothing(spec, words)]
    first = replace(tables[0].words, warnings=(*tables[0].words.warnings, *lost))
    named = [replace(tables[0], words=first), *tables[1:]]
    return tuple(
        replace(t, words=replace(t.words, label=f"{words.label}-agreement-{i}"))
        for i, t in enumerate(named, 1)
    )


def statistic_cell(row: Mapping[str, Any] | None) -> Cell:
    """Return a number of agreement or calibration with its interval."""
    if row is None:
        return Cell(NOTHING)
    name = row["statistic"]
    return Cell(
        printed(name, row["value"]), interval=interval(name, row.get("low"), row.get("high")),
        value=row["value"], key=row["key"],
    )  # fmt: skip


def shared_rubric(labels: Iterable[str]) -> str:
    """Return the rubric of all dimensions, as a heading; *labels* are ``<rubric>: <dimension>``."""
    rubrics = {label.partition(": ")[0] for label in labels}
    return rubrics.pop() if len(rubrics) == 1 else "Asked about"


def short_labels(labels: Iterable[str]) -> dict[str, str]:
    """Return label → what stands in a line: the dimension alone where all are of one rubric."""
    every = [*labels]
    is_shared = len({label.partition(": ")[0] for label in every}) == 1
    return {label: label.partition(": ")[2] if is_shared else label for label in every}


def _left_out(left_out: pl.DataFrame) -> Iterator[str]:
    """Say how many ratings count nowhere, and why; a sentence at most."""
    if left_out.is_empty():
        return
    by = left_out.group_by("reason", "rule", maintain_order=True).agg(pl.col("n").sum())
    told = [f"{count(n)} {words}" for words, n in reasons(by)]
    yield f"Ratings that count in no number: {'; '.join(told)}."


def _nothing(spec: ReportSpec, words: TableText) -> Table:
    text = replace(words, caption="Agreement of people: no rating counts.")
    return Table(text, ("",), (), (), (), layout=spec.layout)


# ---------------------------------------------------------------------------- agreement


def _agreement(found: AgreementNumbers, spec: ReportSpec, words: TableText) -> Iterator[Table]:
    text = replace(
        words,
        caption="Agreement of people with each other.",
        notes=tuple(_agreement_notes(found)),
        brief=tuple(_brief(found)),
    )
    yield _levels(found, spec, text, _COEFFICIENTS)
    text = replace(
        words,
        caption="Agreement of people with each other: intraclass and rank correlations.",
        notes=tuple(_intraclass_notes(found)),
        brief=tuple(_intraclass_notes(found)),
    )
    yield _levels(found, spec, text, _INTRACLASS)


def _levels(
    found: AgreementNumbers, spec: ReportSpec, words: TableText, shown: Mapping[str, Sequence[str]]
) -> Table:
    """Return a table of dimensions, a line for each level."""
    groups, short = [], short_labels(found.agreement["label"])
    for label, mine in groupby(found.agreement.to_dicts(), lambda row: row["label"]):
        lines = [
            Row((_LEVELS[level],), _cells(list(of), shown))
            for level, of in groupby(mine, lambda row: row["level"])
        ]
        groups.append(Group(short[label], tuple(lines)))
    titles = heads("n", "Raters", *shown.values())
    words = replace(words, interval_note=_INTERVALS)
    stubs = shared_rubric(found.agreement["label"]), "Of"
    return Table(words, stubs, (), titles, tuple(groups), layout=spec.layout)


_INTERVALS = "In brackets: 95% intervals (bootstrap by question)."


def _cells(rows: Sequence[dict[str, Any]], shown: Mapping[str, object]) -> tuple[Cell, ...]:
    by = {row["statistic"]: row for row in rows}
    first = rows[0]
    n = first["n"] if first["level"] == RESPONSE else first["n_conditions"]
    cells = (statistic_cell(by.get(name)) for name in shown)
    return (count_cell(n), count_cell(first["n_raters"]), *cells)


def _brief(found: AgreementNumbers) -> Iterator[str]:
    yield (
        "n: answers that two or more people rated, or conditions. Alpha: Krippendorff's. Kappa: "
        "mean over pairs of raters."
    )
    yield from _ceilings(found)


def _agreement_notes(found: AgreementNumbers) -> Iterator[str]:
    yield from _ceilings(found)
    yield (
        "n: answers that at least two people rated, or conditions; the two levels are not to be "
        "mixed up: over few means agreement is far higher than over single answers."
    )
    yield (
        "Alpha: Krippendorff's, any ratings missing; 0 is chance, 1 perfect. Kappa: Cohen's with "
        "quadratic weights, mean over pairs of raters. Raw agreement: share of equal ratings among "
        "pairs of ratings of one answer. Commonest rating: its share of all."
    )
    yield (
        f"In brackets: 95% intervals (bootstrap by question, BCa), none with fewer than "
        f"{LEAST_CLUSTERS} questions. {NOTHING}: not defined: kappa and raw agreement are of "
        "labels, not of means."
    )


def _ceilings(found: AgreementNumbers) -> Iterator[str]:
    ceilings = found.ceilings
    if not ceilings:
        return
    told = "; ".join(f"{label} {percent(share)}" for label, share in ceilings.items())
    yield (
        f"Most ratings are one and the same ({told}): raw agreement is then high by chance, and "
        "alpha and kappa can be low though people seldom differ. Read them together."
    )


def _intraclass_notes(found: AgreementNumbers) -> Iterator[str]:
    yield (
        "ICC(A): ratings as they are; ICC(C): as if each rater's mean were the same. 1: of one "
        "rater; k: of the mean of all raters. McGraw and Wong (1996)."
    )
    if found.agreement["by_pair"].any():
        yield "Where no answer was rated by all, ICC of answers are means over pairs of raters."
    yield ("n: answers or conditions with two raters or more; ICC use those that all have rated.")


# ---------------------------------------------------------------------------- raters


def _raters(found: AgreementNumbers, spec: ReportSpec, words: TableText) -> Table:
    text = replace(
        words,
        caption="The raters.",
        notes=(
            "Severity: how much higher the person rates than the average rater does the same "
            "answers (additive model of answers and raters, least squares); in brackets 95% "
            "intervals (bootstrap by question).",
            "Same again: share of hidden repeats that were rated as before, with an exact "
            "interval; Apart: mean absolute difference, in points.",
        ),
        interval_note="In brackets: 95% intervals.",
    )  # fmt: skip
    short = short_labels(found.raters["label"])
    groups = tuple(
        Group(short[label], tuple(Row((row["rater"],), _rater(row)) for row in mine))
        for label, mine in groupby(found.raters.to_dicts(), lambda row: row["label"])
    )
    shown = heads(
        "Ratings", "Mean", "SD", "Severity", "Repeats", ("Same", "again"), "Apart"
    )  # fmt: skip
    stubs = shared_rubric(found.raters["label"]), "Rater"
    return Table(text, stubs, (), shown, groups, layout=spec.layout)


def _rater(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    def cell(name: str, low: str = "", high: str = "") -> Cell:
        return statistic_cell({
            "key": f"{row['key']}.{name}", "statistic": name, "value": row[name],
            "low": row.get(low), "high": row.get(high),
        })  # fmt: skip

    return (
        count_cell(row["n"]), cell("mean"), cell("deviation"),
        cell("severity", "severity_low", "severity_high"), count_cell(row["n_again"]),
        cell("same_again", "same_low", "same_high"), cell("apart_again"),
    )  # fmt: skip


# ---------------------------------------------------------------------------- means


def _means(found: AgreementNumbers, spec: ReportSpec, words: TableText) -> Table:
    labels = row_labels(spec.conditions)
    names = {c.id: full_name(c, labels) for c in spec.conditions}
    reasons = dict.fromkeys(r for r in found.means["refusal"] if r)
    text = replace(
        words,
        caption="People's means of the rated answers.",
        notes=(
            "Mean: of all ratings, whoever gave them. Adjusted: as a rater of average severity "
            "would rate, which is what to compare where not all people rated all answers.",
            *(f"Adjusted: {reason}" for reason in reasons),
            "Of the answers that were rated, not of all: the table of corrected means speaks of "
            "all.",
        ),
        interval_note=_INTERVALS,
    )
    short = short_labels(found.means["label"])
    groups = tuple(
        Group(short[label], tuple(Row((names[row["condition"]],), _mean(row)) for row in mine))
        for label, mine in groupby(found.means.to_dicts(), lambda row: row["label"])
    )
    shown = heads("n", "Mean", "Adjusted")
    stubs = shared_rubric(found.means["label"]), "Condition"
    return Table(text, stubs, (), shown, groups, layout=spec.layout)


def _mean(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    bounds = ", ".join(decimal(row[end], 2) for end in ("low", "high"))
    return (
        count_cell(row["n"]),
        Cell(decimal(row["mean"], 2), value=row["mean"], key=f"{row['key']}.mean"),
        Cell(decimal(row["adjusted"], 2), value=row["adjusted"], key=f"{row['key']}.adjusted",
             interval=f"[{bounds}]" if row["low"] is not None else ""),
    )  # fmt: skip
