"""Crisis safety in numbers: questions by level of risk, faults and their intervals. No strings.

Every fault by itself: no average over faults is formed, here or anywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from empathy_core.crisis.screen import NONE, tier, tiers, tiers_of, unknown_tiers
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._people import People
from empathy_core.stats import LEAST_CLUSTERS, LEVEL, of_few_clusters
from empathy_core.types import Column
from reports.keys import ALL, metric_name
from reports.numbers.judged_faults import CrisisShare, looks_for_faults
from reports.numbers.values import NO_VALUE, Value, values_of
from reports.rows.align import statistics_of
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

RULES = "crisis"
"""The metric that counts by rule."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskTiers:
    """The level of risk of each question's message.

    Attributes:
        rows: ``example``, ``question``, ``tier``, and ``given``, what a column says or null.
        column: Of the data, that says the tiers; empty where the screen alone does.
    """

    rows: pl.DataFrame
    column: str

    @property
    def at_risk(self) -> pl.DataFrame:
        """Return the rows at risk."""
        return self.rows.filter(pl.col("tier") != NONE)

    @property
    def n_screened(self) -> int:
        """Return how many examples the screen decided on."""
        return int(self.rows["given"].null_count())

    @property
    def n_contradictory(self) -> int:
        """Return how many questions have rows of different tiers."""
        levels = self.rows.group_by("question").agg(n=pl.col("tier").n_unique())
        return int((levels["n"] > 1).sum())

    def n_questions(self) -> dict[str, int]:
        """Return tier → different questions with a row of it."""
        counted = self.rows.group_by("tier").agg(pl.col("question").n_unique())
        found = dict(counted.iter_rows())
        return {name: found.get(name, 0) for name in tiers()}


@dataclass(frozen=True, slots=True)
class ScreenChecked:
    """The screen beside the tiers that people gave, by different questions.

    Attributes:
        found: At risk by both; *at_risk*: at risk by the column, in any of its rows.
        wrong: At risk by the screen alone; *safe*: without risk by the column.
    """

    found: int
    at_risk: int
    wrong: int
    safe: int


# ---------------------------------------------------------------------------- which metrics


def rules(spec: ReportSpec) -> tuple[str, MetricProtocol] | None:
    """Return key and metric of the rules; null if they are not in the run."""
    return next(((k, m) for k, m in spec.metrics.items() if metric_name(k) == RULES), None)


def metrics_of(spec: ReportSpec) -> frozenset[str]:
    """Return the keys of the metrics whose columns stand in the tables of crisis safety alone."""
    own = rules(spec)
    judged = (key for key, metric in spec.metrics.items() if looks_for_faults(metric))
    people = (k for k, m in spec.metrics.items() if isinstance(m, People) and m.dimension.severity)
    return frozenset([*judged, *people, *([own[0]] if own else [])])


# ---------------------------------------------------------------------------- questions


def tiers_in(collected: Collected, spec: ReportSpec) -> RiskTiers:
    """Return the tiers of the evaluated examples: a metric's column, or the screen."""
    examples = collected.examples
    column = _column(spec)
    known = column in examples.columns
    given = examples[column].cast(pl.String).to_list() if known else [None] * examples.height
    if unknown_tiers(given):  # of another plan, whose metrics did not ask for them
        known, given = False, [None] * examples.height
    rows = examples.select("question", example="id").with_columns(
        tier=pl.Series(tiers_of(examples["context"].to_list(), given), dtype=pl.String),
        given=pl.Series([(g or "").strip().casefold() or None for g in given], dtype=pl.String),
    )
    return RiskTiers(rows, column if known else "")


def _column(spec: ReportSpec) -> str:
    """Return the column of tiers that a metric names; empty if none does."""
    named = (getattr(metric, "tier_column", None) for metric in spec.metrics.values())
    return next((column for column in named if column), "")


def screen_checked(collected: Collected, found: RiskTiers) -> ScreenChecked | None:
    """Return the screen beside given tiers; null where none is given."""
    texts = collected.examples.select("context", example="id")
    rows = found.rows.filter(pl.col("given").is_not_null()).join(texts, on="example")
    if rows.is_empty():
        return None
    screened = pl.Series([tier(text) != NONE for text in rows["context"]], dtype=pl.Boolean)
    rows = rows.with_columns(screened=screened, risk=pl.col("given") != NONE)
    rows = rows.group_by("question").agg(pl.col("screened", "risk").any())
    risk, safe = rows.filter("risk"), rows.filter(~pl.col("risk"))
    return ScreenChecked(
        int(risk["screened"].sum()), risk.height, int(safe["screened"].sum()), safe.height
    )


def is_concerned(found: RiskTiers, spec: ReportSpec) -> bool:
    """Tell whether there is a question at risk, or a metric of crisis safety."""
    return bool(found.at_risk.height or metrics_of(spec))


def answered(collected: Collected, condition: str, examples: pl.Series) -> tuple[int, int]:
    """Return how many answers to some examples (ids) are sound, and how many there should be."""
    ids = examples.to_list()
    of = (collected.answers[condition], collected.expected[condition])
    sound, expected = (rows.filter(pl.col("example").is_in(ids)).height for rows in of)
    return sound, expected


# ---------------------------------------------------------------------------- shares


def shares(
    collected: Collected, summary: pl.DataFrame, key: str, metric: MetricProtocol
) -> Mapping[tuple[str, str], CrisisShare]:
    """Return (condition, column) → share, of the conditions of *summary* (``SUMMARY``)."""
    values = values_of(summary.filter(pl.col("subset") == ALL))
    conditions = dict.fromkeys(c for c, metric_key, _ in values if metric_key == key)
    found = {}
    for condition in conditions:
        for column, n, n_questions in _concerned(collected, condition, key, metric):
            value = values.get((condition, key, column.name), NO_VALUE)
            found[condition, column.name] = CrisisShare(
                _with_interval(value, column, n_questions), n, n_questions
            )
    return found


def _with_interval(value: Value, column: Column, n_questions: int) -> Value:
    """Return a share with an interval even where its questions are few."""
    few = column.share and n_questions < LEAST_CLUSTERS
    if value.score is None or value.bounds is not None or not few:
        return value
    return value._replace(bounds=of_few_clusters(value.score, n_questions, LEVEL))


def _concerned(
    collected: Collected, condition: str, key: str, metric: MetricProtocol
) -> Iterator[tuple[Column, int, int]]:
    """Yield each column with the replies that it is about and their questions."""
    rows = collected.scores[condition, key].join(
        collected.examples.select("question", example="id"), on="example", how="left"
    )
    own = _own_scores(rows, metric)
    for i, column in enumerate(metric.columns):
        told = rows.filter(pl.Series(np.isfinite(own[:, i])))
        yield column, told.height, int(told["question"].n_unique())


def _own_scores(rows: pl.DataFrame, metric: MetricProtocol) -> np.ndarray:
    """Return each row's own scores: shape (rows, columns), NaN where a column is not about it."""
    if not rows.height:
        return np.empty((0, len(metric.columns)))
    with np.errstate(all="ignore"):
        found = metric.score(statistics_of(rows.select(KEY), rows, metric.statistics))
    return np.asarray(found, dtype=float)
