"""What claims may be about where people have rated: theirs, and judges corrected by them. Pure.

``Empathy (human)`` is people's own mean; ``Empathy (corrected)`` that of a judge, corrected by
people's ratings, and ``Empathy (corrected by NAME)`` where several judges are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core.metrics._people import CORRECTED, CorrectedJudge, People
from reports.claims.evidence import Evidence, Gap, Measure, Score
from reports.keys import column_keys
from reports.numbers.corrected import DIFFERENCE, MEAN
from reports.numbers.significance import p_column
from reports.spec import ReportSpec


def names_of_people(metric: People) -> tuple[str, ...]:
    """Return what people's mean is called in a claim; the last is the surest."""
    of, rubric = metric.dimension.label, metric.instrument.label
    both = ("human", "people")
    short = [f"{of} ({who})" for who in both] + [f"{who} {of}" for who in both]
    return (*short, *(f"{rubric} {of} ({who})" for who in both))


def names_of(judge: CorrectedJudge) -> tuple[str, ...]:
    """Return what a corrected judge is called in a claim; the last is the surest."""
    of = judge.dimension.label
    by = dict.fromkeys((judge.judge.judge, judge.who))
    return (f"{of} (corrected)", f"corrected {of}", *(f"{of} (corrected by {who})" for who in by))


def with_corrected(evidence: Evidence, spec: ReportSpec, people: pl.DataFrame) -> Evidence:
    """Return evidence of a run with judges corrected by people: ``corrected.PEOPLE``."""
    columns, p = column_keys(spec.with_corrected), p_column(spec)
    keys = {c.id: spec.keys().condition(c.id) for c in spec.conditions}
    scores: dict[tuple[str, str], Score] = {}
    gaps: dict[tuple[str, str, str], Gap] = {}
    for row in people.filter(pl.col("value").is_not_null()).iter_rows(named=True):
        measure = columns[CORRECTED + row["metric"], row["column"]]
        if row["kind"] == MEAN:
            at = keys[row["condition"]], measure
            scores[at] = Score(row["value"], row["low"], row["high"], row["n_rated"])
        elif row["kind"] == DIFFERENCE:
            gaps[keys[row["condition"]], keys[row["less"]], measure] = _gap(row, p)
    gaps = {(a, b, of): _beside(gap, scores.get((a, of)), scores.get((b, of)))
            for (a, b, of), gap in gaps.items()}  # fmt: skip
    measures = [
        Measure(columns[key, column.name], column, main=False, aliases=names_of(judge))
        for key, judge in spec.corrected.items()
        for column in judge.columns
    ]
    return replace(
        evidence,
        measures=(*evidence.measures, *measures),
        scores={**evidence.scores, **scores},
        gaps={**evidence.gaps, **gaps},
        places={**evidence.places, **gaps},
    )


def _beside(gap: Gap, score: Score | None, other: Score | None) -> Gap:
    """Return a difference with the two corrected means, each with its own lambda, if both are."""
    if score is None or other is None:
        return gap
    return replace(gap, scores=(score.value, other.value))


def _gap(row: Mapping[str, Any], p: str) -> Gap:
    return Gap(
        row["value"], row["low"], row["high"], row[p], row["n_rated"], row["n_questions"],
        least=row["value"], most=row["value"],
        narrow=(row["narrow_low"], row["narrow_high"]),
    )  # fmt: skip
