"""What people would say of all answers: their own means, and judges' corrected by them. Pure.

A judge's mean over all answers is not printed as a result: it is corrected by how people's ratings
of a sample differ from the judge's (``stats.corrected_mean``). Raters are taken as they are:
intervals are over other questions, not over other raters.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._people import CORRECTED, CorrectedJudge
from empathy_core.stats import (
    LEVEL,
    Corrected,
    Refusal,
    benjamini_hochberg,
    corrected_difference,
    corrected_mean,
    holm,
)
from reports.labels import percent
from reports.numbers.values import or_null
from reports.rows.collect import Collected
from reports.rows.people import RatedAnswers
from reports.rows.population import MOST_OUTSIDE, Population, population
from reports.spec import Contrast, ReportSpec

NARROW = 2 * LEVEL - 1
"""Level of the interval that a test of equivalence takes."""
MEAN, DIFFERENCE, CONTRAST = "mean", "difference", "contrast"

PEOPLE: dict[str, Any] = {
    "kind": pl.String,  # mean | difference (second less first) | contrast
    "rubric": pl.String,
    "dimension": pl.String,
    "metric": pl.String,  # key of the judge or jury that is corrected; empty: people alone
    "column": pl.String,  # of it, or of people's ratings
    "judge": pl.String,  # label; empty: people alone
    "condition": pl.String,  # id; of a difference the second
    "less": pl.String,  # id of a difference's first; else empty
    "contrast": pl.String,  # name of a declared contrast; else empty
    "human": pl.Float64,  # people's mean, weighted by 1 / chance; of answers that the judge scored
    "human_low": pl.Float64,
    "human_high": pl.Float64,
    "value": pl.Float64,  # the judge's mean, corrected; null where refused; empty: people alone
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "narrow_low": pl.Float64,  # of a difference: its 90 % interval, for a test of equivalence
    "narrow_high": pl.Float64,
    "weight": pl.Float64,  # lambda: how far the judge is relied on, 0 to 1
    "n_effective": pl.Float64,  # rated answers that would tell as much without the judge
    "raw": pl.Float64,  # the judge's own mean over all answers, which no interval holds for
    "n_rated": pl.Int64,  # answers rated by people (of a difference: of both conditions)
    "n": pl.Int64,  # answers scored by the judge
    "n_unscored": pl.Int64,  # answers that the judge did not score, left out
    "n_questions": pl.Int64,  # of the rated answers
    "n_asked": pl.Int64,  # answers that were given to raters
    "n_raters": pl.Int64,
    "response_rate": pl.Float64,  # of the answers given to raters, the share rated
    "p": pl.Float64,  # of a difference: two-sided, Student's; uncorrected
    "p_holm": pl.Float64,  # corrected over the family: one judge's question, or all contrasts
    "p_bh": pl.Float64,
    "refusal": pl.String,  # why there is no estimate; empty where there is one
}
"""Schema of people's ratings and what they make of judges, a row for each number."""


@dataclass(frozen=True, slots=True, eq=False)
class _RatedQuestion:
    """One question to people, and the judges that were asked the same.

    Attributes:
        said: By people.
        judges: Key of the metric → its column.
    """

    collected: Collected
    said: RatedAnswers
    rubric: str
    dimension: str
    judges: Mapping[str, CorrectedJudge]

    @property
    def named(self) -> dict[str, object]:
        return {
            "rubric": self.rubric, "dimension": self.dimension,
            "n_raters": self.said.raters(self.rubric, self.dimension),
        }  # fmt: skip

    def population(self, conditions: Sequence[str]) -> Population | None:
        """Return what the ratings of all of *conditions* speak for."""
        at = self.rubric, self.dimension
        return population(self.said, at, conditions, self.collected.expected)


def peoples_numbers(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return people's means and what they make of judges (``PEOPLE``); empty without ratings."""
    if collected.people is None:
        return pl.DataFrame(schema=PEOPLE)
    rows: list[dict[str, object]] = []
    for (rubric, dimension), of in collected.people.instruments.items():
        if collected.people.of(rubric, dimension).filter("drawn")["value"].count():
            judges = {
                key.removeprefix(CORRECTED): judge
                for key, judge in spec.corrected.items()
                if (judge.rubric, judge.dimension.name) == (rubric, dimension)
            }
            asked = _RatedQuestion(collected, collected.people, rubric, dimension, judges)
            rows += _of_question(asked, spec, faults=of.dimensions[0].severity is not None)
    return _tested(pl.DataFrame(rows, schema=PEOPLE))


def _of_question(
    asked: _RatedQuestion, spec: ReportSpec, *, faults: bool
) -> Iterator[dict[str, object]]:
    ids = [c.id for c in spec.conditions]
    for condition in ids:
        yield from _lines(asked, {"kind": MEAN, "condition": condition}, [condition], [])
    if faults:  # each by itself; nobody is ranked by them
        return
    for first, second in combinations(ids, 2):
        named = {"kind": DIFFERENCE, "condition": second, "less": first}
        yield from _lines(asked, named, [second], [first])
    for one in spec.analysis.contrasts:
        yield from _contrast(asked, one)


def _contrast(asked: _RatedQuestion, one: Contrast) -> Iterator[dict[str, object]]:
    firsts, seconds = zip(*one.pairs, strict=True) if one.pairs else ((), ())
    named = {"kind": CONTRAST, "contrast": one.name, "condition": "", "less": ""}
    yield from _lines(asked, named, list(seconds), list(firsts))


def _lines(
    asked: _RatedQuestion, named: Mapping[str, object], ones: Sequence[str], less: Sequence[str]
) -> Iterator[dict[str, object]]:
    """Yield the record of people alone, then that of each judge.

    Args:
        asked: The question.
        named: What the record is of.
        ones: Conditions of which the mean is taken.
        less: Those whose mean is taken from it; none: nothing is.
    """
    of = asked.population([*ones, *less])
    if of is None or not np.isfinite(of.human).any():
        return
    whole = {"metric": "", "judge": "", "less": "", "contrast": "", **asked.named, **named}
    human = _sides(of.human, len(ones))
    column = f"human_{asked.rubric}_{asked.dimension}"
    found = _estimate(human, np.zeros_like(human), of)
    yield whole | {"column": column} | _record(found, of, human, None)
    for key, judge in asked.judges.items():
        scores = _judged(asked, key, [*ones, *less], of)
        sides = _sides(scores, len(ones))
        about = {"metric": key, "column": judge.columns[0].name, "judge": judge.judge.judge}
        outside = _outside(of)
        corrected = outside or _estimate(human, sides, of)
        yield whole | about | _record(corrected, of, human, sides)


def _sides(values: np.ndarray, n_ones: int) -> np.ndarray:
    """Return means over the conditions of each side: shape (1 or 2, examples)."""
    parts = [values[:n_ones].mean(axis=0)]
    if n_ones < len(values):
        parts.append(values[n_ones:].mean(axis=0))
    return np.stack(parts)


def _estimate(human: np.ndarray, judge: np.ndarray, of: Population) -> Corrected | Refusal:
    if len(human) == 1:
        return corrected_mean(human[0], judge[0], of.sample)
    return corrected_difference(human, judge, of.sample)


def _outside(of: Population) -> Refusal | None:
    if of.outside <= MOST_OUTSIDE:
        return None
    return Refusal(
        f"people say of {percent(of.outside)} of the answers that the question does not apply, "
        "and to which of the unrated ones it does not is not known",
        f"at most {percent(MOST_OUTSIDE, 0)}",
        "Cite people's own mean, which is of the answers to which it applies",
    )


def _judged(
    asked: _RatedQuestion, key: str, conditions: Sequence[str], of: Population
) -> np.ndarray:
    """Return a judge's score of each example: shape (conditions, examples).

    Of the samples that people rated where they rated any, else the mean over all.
    """
    scores = []
    for condition in conditions:
        rows = asked.collected.scores[condition, key].select("example", "sample", "score")
        rated = asked.said.of(asked.rubric, asked.dimension).filter(
            pl.col("condition") == condition, pl.col("drawn"), pl.col("value").is_not_null()
        )
        own = rows.join(rated, on=["example", "sample"], how="semi")
        means = [r.group_by("example").agg(pl.col("score").mean()) for r in (own, rows)]
        found = of.examples.join(means[0], on="example", how="left", maintain_order="left")
        found = found.join(means[1], on="example", how="left", maintain_order="left")
        is_rated = found["example"].is_in(rated["example"].to_list())
        score = pl.when(pl.Series(is_rated)).then(pl.col("score")).otherwise(pl.col("score_right"))
        scores.append(found.select(score.fill_null(np.nan)).to_series().to_numpy())
    return np.stack(scores)


def _record(
    found: Corrected | Refusal, of: Population, human: np.ndarray, judge: np.ndarray | None
) -> dict[str, object]:
    """Return the numbers of one estimate; *judge* is null where people stand alone."""
    both = np.isfinite(human).all(axis=0)
    asked = of.sample.asked if of.sample.asked is not None else both
    counts: dict[str, Any] = {
        "n_rated": int(both.sum()), "n_asked": int((asked | both).sum()),
        "n_questions": len(np.unique(of.sample.clusters[both])), "refusal": "",
    }  # fmt: skip
    counts["response_rate"] = counts["n_rated"] / max(1, counts["n_asked"])
    if judge is not None:
        scored = np.isfinite(judge).all(axis=0)
        signs = np.array([1, -1])[: len(judge), None]
        raw = float((signs * judge)[:, scored].sum(axis=0).mean()) if scored.any() else math.nan
        counts |= {"n": int(scored.sum()), "n_unscored": int((~scored).sum()), "raw": or_null(raw)}
    if isinstance(found, Refusal):
        return counts | {"refusal": str(found)}
    told: dict[str, object] = {
        "human": found.human, "human_low": found.human_interval.low,
        "human_high": found.human_interval.high, "n_rated": found.n_rated,
        "n_questions": found.n_clusters, "standard_error": found.standard_error,
    }  # fmt: skip
    p = found.p if len(human) > 1 else None
    if judge is None:  # their own columns have a test by randomisation
        return counts | told
    narrow = (None, None) if p is None else found.within(NARROW)
    return counts | told | {
        "value": found.value, "low": found.interval.low, "high": found.interval.high,
        "narrow_low": narrow[0], "narrow_high": narrow[1], "weight": found.weight,
        "n_effective": found.n_effective, "raw": found.judge, "p": p,
    }  # fmt: skip


def _tested(rows: pl.DataFrame) -> pl.DataFrame:
    """Correct p over the differences of one judge, or of people, on one question.

    Declared contrasts are a family for each judge, over all questions.
    """
    if rows.is_empty():
        return rows
    question = pl.when(pl.col("kind") == CONTRAST).then(pl.lit("")).otherwise(
        pl.concat_str("rubric", "dimension", separator=":")
    )  # fmt: skip
    placed = rows.with_row_index("place").with_columns(family=question)
    parts = placed.partition_by("kind", "metric", "family", maintain_order=True)
    tested = [
        part.with_columns(
            pl.Series("p_holm", holm(part["p"].to_list()), dtype=pl.Float64),
            pl.Series("p_bh", benjamini_hochberg(part["p"].to_list()), dtype=pl.Float64),
        )
        for part in parts
    ]
    return pl.concat(tested).sort("place").select(list(PEOPLE))
