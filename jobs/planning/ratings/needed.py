"""How much people must rate to see a difference, from what a run knows of its own spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
import polars as pl

from empathy_core.annotation import read_ratings
from empathy_core.annotation.asked import AskedDimension, asked_dimensions
from empathy_core.annotation.known_spreads import known_spread
from empathy_core.errors import Damaged
from empathy_core.metrics import JUDGE
from empathy_core.stats import (
    LEAST_CLUSTERS,
    PairedSpread,
    difference_found,
    paired_spread,
    questions_needed,
    questions_with_judge,
)
from empathy_core.store import EVALUATED, RunDir
from empathy_core.types import Condition
from jobs.config.annotate import AnnotateTable
from jobs.config.asked_of_people import conditions_asked, rubrics_asked
from jobs.planning.plan import Plan, PlannedMetric
from jobs.planning.progress import read_scores

SHARES = (0.075, 0.05, 0.025)
"""Of a scale's length: differences that are planned for where none is given; 0.3, 0.2 and 0.1 on a
scale from 1 to 5."""
RATERS = (2, 3, 5)
"""Of an answer, that are compared where raters are known to differ."""


@dataclass(frozen=True)
class DimensionPlan:
    """What one dimension needs.

    Attributes:
        asked: The dimension.
        spreads: Of the pairs of conditions, or the one that was measured elsewhere.
        source: Where they are from, in words.
        of: ``ratings``, ``judge`` or ``table``.
        correlation: Median over pairs, of people's and the judge's differences; null: not known.
        judge: Whose; empty where no correlation is known.
    """

    asked: AskedDimension
    spreads: tuple[PairedSpread, ...]
    source: str
    of: str
    correlation: float | None = None
    judge: str = ""

    def deviation(self, raters: int) -> float:
        """Return the median over pairs of the deviation of a mean over *raters*."""
        return float(np.median([spread.deviation(raters) for spread in self.spreads]))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest deviation of one rating among the pairs."""
        found = [spread.deviation(1) for spread in self.spreads]
        return min(found), max(found)

    @property
    def knows_raters(self) -> bool:
        """Whether it is known how raters of one answer differ."""
        return all(spread.raters is not None for spread in self.spreads)

    def differences(self, wanted: float | None) -> tuple[float, ...]:
        """Return the differences that are planned for, in points of the scale."""
        values = self.asked.dimension.values
        return (wanted,) if wanted else tuple(s * (values[-1] - values[0]) for s in SHARES)

    def needed(self, difference: float, raters: int) -> int:
        """Return the questions that *difference* needs."""
        return questions_needed(difference, self.deviation(raters))

    def found(self, questions: int, raters: int) -> float:
        """Return the least difference that so many questions find."""
        return difference_found(max(2, questions), self.deviation(raters))

    def beside_judge(self, needed: int, n: int) -> tuple[int, int | None]:
        """Return the fewest that a judge of all n could lower it to, and what this judge would."""
        own = (
            None if self.correlation is None else questions_with_judge(needed, self.correlation, n)
        )
        return questions_with_judge(needed, 1.0, n), own


@dataclass(frozen=True)
class RatingPlan:
    """How much people must rate.

    Attributes:
        table: ``[annotate]``.
        conditions: That are compared.
        n_questions: Of the run.
        dimensions: What each needs.
    """

    table: AnnotateTable
    conditions: tuple[Condition, ...]
    n_questions: int
    dimensions: tuple[DimensionPlan, ...]

    def items(self, questions: int) -> int:
        """Return how many answers each rater reads, repeats and attention items among them."""
        each = questions * self.table.raters_per_item / self.table.raters * len(self.conditions)
        return ceil(each * (1 + self.table.repeats + self.table.attention))

    def minutes(self, questions: int) -> int:
        """Return how long that takes."""
        return ceil(self.items(questions) * self.table.minutes_per_item)


def rating_plan(run: RunDir, plan: Plan, table: AnnotateTable) -> RatingPlan:
    """Return how much people must rate, from ratings that are there, else a judge's, else a table.

    Raises:
        ConfigError: A rubric or condition cannot be asked about.
        Damaged: Rows cannot be read.
    """
    conditions = conditions_asked(table, plan.conditions)
    question = _questions(run)
    known = _Known(run, plan, [c.id for c in conditions], question)
    dimensions = tuple(map(known.of, asked_dimensions(rubrics_asked(table))))
    return RatingPlan(table, conditions, len(set(question.values())), dimensions)


def _questions(run: RunDir) -> dict[str, str]:
    """Return evaluated example → its question."""
    try:
        rows = pl.read_parquet(run.examples, columns=["id", "question", "block"])
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{run.examples} cannot be read ({error}): expected the run's rows; run sweep again"
        raise Damaged(msg) from error
    return dict(rows.filter(EVALUATED).select("id", "question").iter_rows())


_Rated = Mapping[tuple[str, str], float]
"""(question, rater) → rating of a condition."""


@dataclass(frozen=True)
class _Known:
    """What a run knows of how its conditions differ."""

    run: RunDir
    plan: Plan
    conditions: Sequence[str]
    question: Mapping[str, str]

    def of(self, asked: AskedDimension) -> DimensionPlan:
        """Return what is known of one dimension."""
        people = self._of_people(asked)
        judges = self._of_judges(asked)
        spreads = _spreads(people)
        if spreads:
            judge, correlation = _best_judge(people, judges)
            n = max(spread.n_questions for spread in spreads)
            source = f"ratings in this run ({n:,} questions)"
            return DimensionPlan(asked, spreads, source, "ratings", correlation, judge)
        for name, scores in judges.items():
            if spreads := _spreads(scores):
                n = max(spread.n_questions for spread in spreads)
                source = f"judge {name} ({n:,} questions), whose ratings spread less than people's"
                return DimensionPlan(asked, spreads, source, "judge")
        spread, source = known_spread(asked.dimension)
        return DimensionPlan(asked, (spread,), source, "table")

    def _of_people(self, asked: AskedDimension) -> dict[str, _Rated]:
        """Return condition → what people rated, of the rounds that asked this very text."""
        rows = read_ratings(self.run).filter(
            (pl.col("state") == "rated") & (pl.col("excluded") == "")
            & (pl.col("kind") == "answer") & (pl.col("rubric_digest") == asked.digest)
        ).with_columns(who=pl.format("{} {}", "round", "rater"))  # fmt: skip
        return self._by_condition(rows.select("condition", "example", "who", "value"))

    def _of_judges(self, asked: AskedDimension) -> dict[str, dict[str, _Rated]]:
        """Return judge → condition → what it rated."""
        ending = f":{asked.rubric.name}:{asked.dimension.name}"
        return {
            str(metric.options.get("judge", metric.name)): self._by_condition(rows)
            for metric in self.plan.metrics
            if metric.name.startswith(JUDGE) and metric.name.endswith(ending)
            if not (rows := self._scores(metric)).is_empty()
        }

    def _scores(self, metric: PlannedMetric) -> pl.DataFrame:
        parts = [
            pl.read_parquet(path, columns=["condition", "example", "score"])
            for condition in self.conditions
            for path in read_scores(
                self.run, metric.key, condition, self.plan.data_digest, metric.signature
            ).paths
        ]
        schema = {"condition": pl.String, "example": pl.String, "score": pl.Float64}
        rows = pl.concat([pl.DataFrame(schema=schema), *parts])
        return rows.select("condition", "example", who=pl.lit(""), value="score")

    def _by_condition(self, rows: pl.DataFrame) -> dict[str, _Rated]:
        """Return condition → (question, rater) → mean rating."""
        known = pl.DataFrame(
            {"example": list(self.question), "question": list(self.question.values())},
            schema={"example": pl.String, "question": pl.String},
        )
        means = (
            rows.filter(pl.col("value").is_finite())
            .join(known, on="example")
            .group_by("condition", "question", "who")
            .agg(pl.col("value").mean())
        )
        found: dict[str, dict[tuple[str, str], float]] = {c: {} for c in self.conditions}
        for condition, question, who, value in means.iter_rows():
            if condition in found:
                found[condition][question, who] = value
        return {condition: rated for condition, rated in found.items() if rated}


def _spreads(rated: Mapping[str, _Rated]) -> tuple[PairedSpread, ...]:
    """Return the spread of each pair of conditions with enough questions."""
    tables = (_table(rated[a], rated[b]) for a, b in combinations(rated, 2))
    found = (paired_spread(table) for table in tables if len(table) >= LEAST_CLUSTERS)
    return tuple(spread for spread in found if spread is not None)


def _table(first: _Rated, second: _Rated) -> np.ndarray:
    """Return differences (questions, raters) of two conditions; NaN where one is not rated."""
    both = sorted(first.keys() & second.keys())
    questions = {q: i for i, q in enumerate(dict.fromkeys(q for q, _ in both))}
    raters = {r: i for i, r in enumerate(sorted({r for _, r in both}))}
    table = np.full((len(questions), max(1, len(raters))), np.nan)
    for question, rater in both:
        place = questions[question], raters[rater]
        table[place] = first[question, rater] - second[question, rater]
    return table


def _best_judge(
    people: Mapping[str, _Rated], judges: Mapping[str, Mapping[str, _Rated]]
) -> tuple[str, float | None]:
    """Return the judge whose differences follow people's most, and their correlation."""
    found = {name: _correlation(people, scores) for name, scores in judges.items()}
    known = {name: value for name, value in found.items() if value is not None}
    if not known:
        return "", None
    best = max(known, key=lambda name: known[name])
    return best, known[best]


def _correlation(people: Mapping[str, _Rated], judge: Mapping[str, _Rated]) -> float | None:
    """Return the median over pairs of the correlation within them; null if there is none."""
    found = []
    for a, b in combinations([c for c in people if c in judge], 2):
        mean = _by_question(people[a], people[b])
        other = _by_question(judge[a], judge[b])
        both = sorted(mean.keys() & other.keys())
        values = np.array([[mean[q] for q in both], [other[q] for q in both]])
        if len(both) >= LEAST_CLUSTERS and (values.std(axis=1) > 0).all():
            found.append(float(np.corrcoef(values)[0, 1]))
    return float(np.median(found)) if found else None


def _by_question(first: _Rated, second: _Rated) -> dict[str, float]:
    """Return question → mean difference over raters of both."""
    found: dict[str, list[float]] = {}
    for question, rater in first.keys() & second.keys():
        found.setdefault(question, []).append(first[question, rater] - second[question, rater])
    return {question: float(np.mean(values)) for question, values in found.items()}
