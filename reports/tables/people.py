"""The tables of people's ratings, and of judges that these correct. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from empathy_core.counted import counted
from empathy_core.metrics._people import CORRECTED, people_key
from empathy_core.stats import LEAST_CLUSTERS, LEVEL, Interval
from empathy_core.types import Column, Condition
from reports.keys import Keys
from reports.labels import NOTHING, count, decimal, full_name, general, n_of, number, row_labels
from reports.numbers.aggregate import ALL, Aggregated, therapist
from reports.numbers.corrected import DIFFERENCE, MEAN
from reports.numbers.significance import ALPHA, corrected, p_column
from reports.numbers.values import Value, values_of
from reports.rows.collect import Collected
from reports.rows.people import RatedAnswers
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, difference_cell, heads, p_cell
from reports.tables.table import DAGGER, Cell, Group, Row, Span, Table, TableText, interval_text

MOST_PAIRS = 15
"""Pairs of a question that a table lists; of more, those with the reference: ``people.csv`` has
all."""
MOST_ROWS = 36
"""Rows of a table, whole questions together."""
LAMBDA = "\N{GREEK SMALL LETTER LAMDA}"


@dataclass(frozen=True, slots=True)
class _PeopleShown:
    """What the tables share.

    Attributes:
        rows: ``numbers.corrected.PEOPLE``.
        said: By people.
        keys: Of all numbers.
    """

    rows: pl.DataFrame
    numbers: Aggregated
    said: RatedAnswers
    spec: ReportSpec
    words: TableText
    keys: Keys

    def column(self, rubric: str, dimension: str) -> Column:
        """Return how people's mean of a question is printed."""
        of = self.said.instruments[rubric, dimension].dimensions[0]
        return Column(
            f"human_{rubric}_{dimension}", of.label, better=of.direction,
            decimals=1 if of.is_share else 2, percent=of.is_share,
            least=of.values[0], most=of.values[-1],
        )  # fmt: skip

    def alone(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the row of people's own number beside which a judge's stands."""
        of = {name: row[name] for name in ("kind", "rubric", "dimension", "condition", "less")}
        return self.rows.filter(metric="", contrast="", **of).row(0, named=True)


def people_tables(
    rows: pl.DataFrame, collected: Collected, numbers: Aggregated, spec: ReportSpec,
    words: TableText,
) -> tuple[Table, ...]:  # fmt: skip
    """Return a table of means and one of differences for each rubric and judge.

    A question to which no judge gave an answer has people's means alone.

    Args:
        rows: ``numbers.corrected.PEOPLE``.
        collected: With people's ratings.
        numbers: Of people's own columns: their intervals and pairs.
        spec: What the report is about.
        words: Around every table.
    """
    if collected.people is None or rows.is_empty():
        return ()
    keys = spec.keys(numbers.summary["subset"])
    shown = _PeopleShown(rows, numbers, collected.people, spec, words, keys)
    made = [table for make in (_means, _differences) for table in make(shown)]
    return tuple(
        replace(table, words=replace(table.words, label=f"{words.label}-people-{i}"))
        for i, table in enumerate(made, 1)
    )


# ---------------------------------------------------------------------------- means


def _means(shown: _PeopleShown) -> Iterator[Table]:
    means = _worth_showing(shown, shown.rows.filter(pl.col("kind") == MEAN))
    for (rubric, judge), of in means.group_by("rubric", "judge", maintain_order=True):
        if judge or _is_alone(means, str(rubric)):
            parts = _packed([part for _, part in of.group_by("dimension", maintain_order=True)])
            for i, part in enumerate(parts, 1):
                which = f" ({i} of {len(parts)})" if len(parts) > 1 else ""
                yield _of_judge(shown, str(rubric), str(judge), part, which)


def _is_alone(rows: pl.DataFrame, rubric: str) -> bool:
    """Tell whether no judge was asked what people were."""
    return set(rows.filter(pl.col("rubric") == rubric)["judge"]) == {""}


def _worth_showing(shown: _PeopleShown, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows but for faults of which nothing can be said: these have tables of counts."""
    kept = [
        not _is_fault(shown, row) or row["value"] is not None for row in rows.iter_rows(named=True)
    ]
    return rows.filter(pl.Series(kept, dtype=pl.Boolean))


def _is_fault(shown: _PeopleShown, row: Mapping[str, Any]) -> bool:
    of = shown.said.instruments[row["rubric"], row["dimension"]]
    return of.dimensions[0].severity is not None


def _packed(parts: Sequence[pl.DataFrame]) -> list[list[pl.DataFrame]]:
    packed: list[list[pl.DataFrame]] = []
    for part in parts:
        if packed and sum(p.height for p in packed[-1]) + part.height <= MOST_ROWS:
            packed[-1].append(part)
        else:
            packed.append([part])
    return packed


def _of_judge(
    shown: _PeopleShown, rubric: str, judge: str, parts: Sequence[pl.DataFrame], which: str
) -> Table:
    named, label = _names(shown.spec), _label(shown, rubric)
    values = values_of(shown.numbers.summary.filter(pl.col("subset") == ALL))

    def line(row: Mapping[str, Any]) -> Row:
        return Row((named[row["condition"]],), _mean_cells(shown, row, values))

    groups = tuple(
        Group(
            shown.column(rubric, part["dimension"][0]).label,
            tuple(line(row) for row in _people_first(shown.spec, part.to_dicts())),
        )
        for part in parts
    )
    every = pl.concat(parts)
    told, brief = _mean_notes(shown, every, judge)
    text = replace(
        shown.words,
        caption=f"{label}: {_what(judge)}{which}.",
        notes=told,
        brief=brief,
        interval_note=_interval_note(groups),
    )
    first = heads("Mean", "n")
    if not judge:
        return Table(text, ("Question", "Condition"), (), first, groups, layout=shown.spec.layout)
    spans = (Span("People", 3, 4), Span(f"{judge}, corrected by people", 5, 7), Span("", 8, 8))
    whole = (*first, *heads("Mean", LAMBDA, ("Effective", "n"), ("Judge", "alone")))
    return Table(text, ("Question", "Condition"), spans, whole, groups, layout=shown.spec.layout)


def _what(judge: str) -> str:
    if not judge:
        return "people's ratings"
    return f"people's ratings of a sample, and {judge} corrected by them"


def _label(shown: _PeopleShown, rubric: str) -> str:
    return next(of.label for (name, _), of in shown.said.instruments.items() if name == rubric)


def _names(spec: ReportSpec) -> dict[str, str]:
    labels = row_labels(spec.conditions)
    return {c.id: full_name(c, labels) for c in spec.conditions}


def _people_first(spec: ReportSpec, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    human = {c.id: c.model.is_human for c in spec.conditions}
    return sorted(rows, key=lambda row: not human[row["condition"]])


def _mean_cells(
    shown: _PeopleShown, row: Mapping[str, Any], values: Mapping[tuple[str, str, str], Value]
) -> tuple[Cell, ...]:
    column = shown.column(row["rubric"], row["dimension"])
    at = people_key(row["rubric"], row["dimension"]), column.name
    own = values.get((row["condition"], *at))
    keys = shown.keys
    people = _cell(own.score, own.bounds, column, shown.spec) if own else _human(row, column, shown)
    key = keys.score(row["condition"], at) if own else ""
    cells = (replace(people, key=key), _n_cell(shown.alone(row)))
    if not row["judge"]:
        return cells
    key = keys.score(row["condition"], (CORRECTED + row["metric"], row["column"]))
    value = _cell(row["value"], _bounds(row["low"], row["high"]), column, shown.spec)
    return (
        *cells,
        replace(value, key=key if value.value is not None else ""),
        *_reliance(row),
        Cell(number(row["raw"], column), value=row["raw"], grey=True),
    )


def _human(row: Mapping[str, Any], column: Column, shown: _PeopleShown) -> Cell:
    return _cell(row["human"], _bounds(row["human_low"], row["human_high"]), column, shown.spec)


def _cell(value: float | None, bounds: Interval | None, column: Column, spec: ReportSpec) -> Cell:
    return Cell(
        number(value, column), interval=interval_text(bounds, column, spec.layout), value=value
    )


def _bounds(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else Interval(low, high)


def _n_cell(row: Mapping[str, Any]) -> Cell:
    """Return how many answers are rated, and of how many that were given to raters if not all."""
    n, asked = row["n_rated"], row["n_asked"]
    return Cell(count(n) if n == asked else n_of(n, asked), value=n)


def _reliance(row: Mapping[str, Any]) -> tuple[Cell, Cell]:
    effective = row["n_effective"]
    return (
        Cell(decimal(row["weight"], 2), value=row["weight"]),
        count_cell(None if effective is None else round(effective)),
    )


def _interval_note(groups: Sequence[Group]) -> str:
    if not any(cell.interval for g in groups for row in g.rows for cell in row.cells):
        return ""
    return f"In brackets: {general(100 * LEVEL)}% intervals by question; raters are taken as fixed."


# ---------------------------------------------------------------------------- differences


def _differences(shown: _PeopleShown) -> Iterator[Table]:
    rows = shown.rows.filter(pl.col("kind") == DIFFERENCE, pl.col("judge") != "")
    for (rubric, judge), of in rows.group_by("rubric", "judge", maintain_order=True):
        by = of.group_by("dimension", maintain_order=True)
        parts = [_listed(shown.spec, part) for _, part in by]
        packed = _packed(parts)
        for i, part in enumerate(packed, 1):
            which = f" ({i} of {len(packed)})" if len(packed) > 1 else ""
            yield _of_pairs(shown, str(rubric), str(judge), part, which)


def _listed(spec: ReportSpec, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return all pairs, or those with the reference where there are many."""
    if pairs.height <= MOST_PAIRS:
        return pairs
    reference = _reference(spec, pairs).id
    return pairs.filter((pl.col("condition") == reference) | (pl.col("less") == reference))


def _reference(spec: ReportSpec, pairs: pl.DataFrame) -> Condition:
    """Return the therapists where they were rated, else the first condition that was."""
    rated = {*pairs["condition"], *pairs["less"]}
    human = therapist(spec)
    if human is not None and human.id in rated:
        return human
    return next(c for c in spec.conditions if c.id in rated)


def _of_pairs(
    shown: _PeopleShown, rubric: str, judge: str, parts: Sequence[pl.DataFrame], which: str
) -> Table:
    named, p = _names(shown.spec), p_column(shown.spec)
    own = {
        (row["second"], row["first"], row["metric"]): row
        for row in shown.numbers.pairs.filter(pl.col("subset") == ALL).iter_rows(named=True)
    }

    def line(row: Mapping[str, Any]) -> Row:
        stub = f"{named[row['condition']]} \N{MINUS SIGN} {named[row['less']]}"
        return Row((stub,), _difference_cells(shown, row, own, p))

    groups = tuple(
        Group(shown.column(rubric, part["dimension"][0]).label, tuple(map(line, part.to_dicts())))
        for part in parts
    )
    every = pl.concat(parts)
    told, brief = _difference_notes(shown, every, judge, groups)
    text = replace(
        shown.words,
        caption=f"{_label(shown, rubric)}: differences, by people and by {judge} corrected by "
        f"them{which}.",
        notes=told,
        brief=brief,
        interval_note=_interval_note(groups),
    )
    spans = (Span("People", 3, 4), Span(f"{judge}, corrected by people", 5, 8), Span("", 9, 9))
    head = heads(
        "Difference", "n", "Difference", LAMBDA, ("Effective", "n"), "p", ("Judge", "alone")
    )
    return Table(text, ("Question", "Conditions"), spans, head, groups, layout=shown.spec.layout)


def _difference_cells(
    shown: _PeopleShown, row: Mapping[str, Any], own: Mapping[tuple[str, str, str], dict[str, Any]],
    p: str,
) -> tuple[Cell, ...]:  # fmt: skip
    column, keys = shown.column(row["rubric"], row["dimension"]), shown.keys
    at = people_key(row["rubric"], row["dimension"]), column.name
    ends = row["condition"], row["less"]
    of = own.get((*ends, at[0]))
    names = ("difference", "low", "high") if of else ("human", "human_low", "human_high")
    low, value, high = ((of or row)[name] for name in (names[1], names[0], names[2]))
    people = difference_cell(value, low, high, column)
    own_p = row[p]
    fixed = difference_cell(row["value"], row["low"], row["high"], column)
    key = keys.difference(*ends, (CORRECTED + row["metric"], row["column"]))
    return (
        replace(people, key=keys.difference(*ends, at) if of else ""),
        _n_cell(shown.alone(row)),
        replace(fixed, key=key if fixed.value is not None else ""),
        *_reliance(row),
        p_cell(own_p, dagger=own_p is not None and own_p < ALPHA),
        Cell(number(row["raw"], column, signed=True), value=row["raw"], grey=True),
    )


# ---------------------------------------------------------------------------- sentences


def _mean_notes(
    shown: _PeopleShown, rows: pl.DataFrame, judge: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a page says, and what is said in print."""
    told = [_people_note(shown, rows)]
    if judge:
        told += [*_corrected_note(judge), *_unscored(shown, rows), *_refused(rows)]
    brief = [told[0], *told[1:2], *_refused(rows, short=True)] if judge else told
    return (*told, *_severity_notes(shown, rows), *_rest_notes(shown, rows)), tuple(brief)


def _people_note(shown: _PeopleShown, rows: pl.DataFrame) -> str:
    """Say who rated how many answers, and how these were chosen."""
    n_raters = sorted(set(rows["n_raters"].drop_nulls()))
    who = " to ".join(dict.fromkeys(count(n) for n in (n_raters[0], n_raters[-1])))
    questions = count(int(rows["n_questions"].max()))  # type: ignore[arg-type]  # of a whole table
    asked = rows.select("rubric", "dimension").unique()
    mine = shown.said.answers.join(asked, on=["rubric", "dimension"], how="semi")
    valued = mine.filter(pl.col("drawn"), pl.col("value").is_not_null())
    adjudicated = int(valued["adjudicated"].sum())
    settled = f", {counted(adjudicated, 'answer')} by what settled it" if adjudicated else ""
    return (
        f"People: mean of {who} raters{settled}, of answers to up to {questions} questions drawn "
        "by chance, weighted by 1/chance; n: rated answers, of those given to raters where not all."
    )


def _corrected_note(judge: str) -> Iterator[str]:
    yield (
        f"Corrected: what people would say of all answers, from their ratings and {judge}'s of all "
        f"(PPI++, H\N{LATIN SMALL LETTER A WITH ACUTE}jek form); {LAMBDA}: how far the judge is "
        "relied on, 0 to 1; effective n: rated answers that would tell as much without it."
    )
    yield (
        "Judge alone: its own mean over all answers, for comparison; no interval holds for it, and "
        "it is not to be cited."
    )


def _unscored(shown: _PeopleShown, rows: pl.DataFrame) -> Iterator[str]:
    """Say how many rated answers are in people's number alone, for want of a judge's score."""
    gaps = [shown.alone(row)["n_rated"] - row["n_rated"] for row in rows.iter_rows(named=True)]
    if most := max(gaps, default=0):
        yield (
            f"Of one line up to {counted(most, 'rated answer')} lack a score of the judge: these "
            "are in people's number alone."
        )


_COUNTS = re.compile(r"(?<=since only )[\d,]+(?= questions)")


def _refused(rows: pl.DataFrame, *, short: bool = False) -> Iterator[str]:
    """Say where nothing is estimated, and why: reasons that differ in a count are one."""
    alike: dict[str, list[tuple[str, int]]] = {}
    refused = rows.filter(pl.col("refusal") != "")
    for reason, n in refused.group_by("refusal", maintain_order=True).len().iter_rows():
        text = reason.partition(". Expected:")[0] if short else reason.rstrip(".")
        whole = f"since {text}"
        found = _COUNTS.search(whole)
        alike.setdefault(_COUNTS.sub("{}", whole), []).append((found[0] if found else "", n))
    for text, of in alike.items():
        numbers = sorted({n for n, _ in of}, key=lambda n: int(n.replace(",", "") or 0))
        which = text.replace("{}", " to ".join(dict.fromkeys((numbers[0], numbers[-1]))))
        yield f"{NOTHING}: not estimated in {counted(sum(n for _, n in of), 'row')}, {which}."


def _severity_notes(shown: _PeopleShown, rows: pl.DataFrame) -> Iterator[str]:
    """Say how unlike raters are, and whether that is taken off."""
    asked = rows.select("rubric", "dimension").unique(maintain_order=True)
    strict = shown.said.severities.join(asked, on=["rubric", "dimension"], how="semi")
    if strict.is_empty():
        return
    if not strict["connected"].all():
        yield (
            "How strict raters are cannot be told: they share too few answers. Means are as rated."
        )
        return
    by = strict.group_by("rubric", "dimension").agg(
        pl.col("effect").max() - pl.col("effect").min(), pl.col("taken_off").any()
    )
    most = decimal(float(by["effect"].max()), 2)  # type: ignore[arg-type]  # not empty
    how = (
        "taken off where raters rated unlike answers (answer + rater, least squares)"
        if by["taken_off"].any()
        else "all rated the same answers, so that it is in every mean alike"
    )
    yield f"Raters differ in how high they rate by up to {most} points: {how}."


def _rest_notes(shown: _PeopleShown, rows: pl.DataFrame) -> Iterator[str]:
    asked = rows.select("rubric", "dimension").unique(maintain_order=True)
    mine = shown.said.answers.join(asked, on=["rubric", "dimension"], how="semi")
    if outside := int(mine.filter("drawn")["not_applicable"].sum()):
        n = counted(outside, "answer")
        yield f"People say that the question does not apply: {n}, left out."
    for n_then, n_now in sorted(set(shown.said.drawn_of.values())):
        yield (
            f"Ratings were drawn when {count(n_then)} of the {count(n_now)} evaluated rows were "
            "there, and are of these alone."
        )
    chosen = mine.filter(~pl.col("drawn"), pl.col("value").is_not_null()).height
    if chosen:
        yield (
            f"{counted(chosen, 'rating')} of answers that were chosen by looking at ratings "
            "(refinement, adjudication) speak for no others and are left out."
        )
    if rows["n_questions"].min() is not None and int(rows["n_questions"].min()) < LEAST_CLUSTERS:  # type: ignore[arg-type]
        yield f"No interval with fewer than {LEAST_CLUSTERS} rated questions."


def _over_pairs(k: int, spec: ReportSpec) -> str:
    """Return over how many pairs p is corrected: over one there is nothing to correct."""
    if k == 1:
        return "of the one pair of a question"
    return f"{corrected(spec)} over the {count(k)} pairs of a question"


def _difference_notes(
    shown: _PeopleShown, rows: pl.DataFrame, judge: str, groups: Sequence[Group]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    spec = shown.spec
    n = rows.group_by("dimension").len()["len"].max()
    whole = shown.rows.filter(
        pl.col("kind") == DIFFERENCE, pl.col("metric").is_in(rows["metric"].unique().implode())
    )
    k = max((part["p"].count() for _, part in whole.group_by("metric", "dimension")), default=0)
    is_dagger = any(c.dagger for g in groups for row in g.rows for c in row.cells)
    tested = (
        f"p: two-sided, Student's, {_over_pairs(k, spec)}"
        f"{f'; {DAGGER} p < {general(ALPHA)}' if is_dagger else ''}."
    )
    few: tuple[str, ...] = ()
    if whole.group_by("metric", "dimension").len()["len"].max() != n:
        named = _names(spec)[_reference(spec, whole).id]
        few = (f"Pairs with {named}; all are in people.csv.",)
    told = (
        "Difference: first \N{MINUS SIGN} second, on the questions of which both were rated, so "
        "that how strict a rater is, and how mild a judge, falls out.",
        tested, *_corrected_note(judge), *few, *_unscored(shown, rows), *_refused(rows),
    )  # fmt: skip
    return told, (tested, told[0], *few, *_refused(rows, short=True))
