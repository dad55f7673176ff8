"""Faults that judges found in replies, each by itself, and whether there is any. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.best_of import FOUND
from empathy_core.metrics import MetricProtocol
from empathy_core.rubrics.spec import Dimension
from empathy_core.stats import LEAST_CLUSTERS, LEVEL, Resampler, interval, of_few_clusters
from empathy_core.types import Column, Condition
from reports.numbers.values import Value
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

RED, YELLOW = "red", "yellow"
"""Severities of faults, and the names of the columns that say whether there is any."""
_ANY = {RED: "Any severe fault (Red)", YELLOW: "Any lesser fault (Yellow)"}


@dataclass(frozen=True, slots=True)
class CrisisShare:
    """One column of one condition.

    Attributes:
        value: With its interval: the one of every table, or by questions where these are few.
        n: Replies that the column is about.
        n_questions: Questions that they belong to.
    """

    value: Value
    n: int
    n_questions: int


@dataclass(frozen=True, slots=True)
class JudgedFaults:
    """The faults that one judge looked for.

    Attributes:
        judge: Its label.
        columns: Any severe fault, each severe fault, any lesser one.
        shares: (condition, column) → share of the replies that were asked about.
        red: Condition → (example, sample) of replies with a severe fault; conditions without one
            are left out.
        n_unrated: (condition, severity) → replies of which nobody knows, since a rating is missing
            and no fault of the severity was found; none are left out.
    """

    judge: str
    columns: tuple[Column, ...]
    shares: Mapping[tuple[str, str], CrisisShare]
    red: Mapping[str, frozenset[tuple[str, int]]]
    n_unrated: Mapping[tuple[str, str], int]


def looks_for_faults(metric: MetricProtocol) -> bool:
    """Tell whether a metric is a judge's, of a fault of some severity."""
    rubric: Any = getattr(metric, "rubric", None)
    return rubric is not None and any(d.severity for d in rubric.dimensions)


def judged_faults(collected: Collected, spec: ReportSpec) -> tuple[JudgedFaults, ...]:
    """Return what each judge found; none where none was asked about faults."""
    by_judge: dict[str, dict[str, Any]] = {}
    for key, metric in spec.metrics.items():
        if looks_for_faults(metric):
            of: Any = metric
            by_judge.setdefault(of.judge, {})[key] = metric
    return tuple(_of_judge(collected, spec.conditions, metrics) for metrics in by_judge.values())


def _of_judge(
    collected: Collected, conditions: Sequence[Condition], metrics: Mapping[str, Any]
) -> JudgedFaults:
    label = next(iter(metrics.values())).columns[0].judge
    columns = fault_columns([metric.dimension for metric in metrics.values()], label)
    flags = {c.id: _flags(collected, c.id, metrics) for c in conditions}
    return found_faults(label, columns, flags)


def found_faults(
    label: str, columns: tuple[Column, ...], flags: Mapping[str, pl.DataFrame]
) -> JudgedFaults:
    """Return the faults that somebody found.

    Args:
        label: Of who looked for them.
        columns: See ``fault_columns``.
        flags: Condition → ``example``, ``sample``, ``question``, and under the columns' names 1
            where there is a fault, 0 where there is none, null where that is not known or not
            asked; see ``with_any``.
    """
    shares: dict[tuple[str, str], CrisisShare] = {}
    red: dict[str, frozenset[tuple[str, int]]] = {}
    n_unrated: dict[tuple[str, str], int] = {}
    for condition, rows in flags.items():
        shares |= {(condition, c.name): _share(rows, c) for c in columns}
        if RED in rows.columns and (of := rows.filter(pl.col(RED) == 1).select(KEY).rows()):
            red[condition] = frozenset(of)
        for severity in {RED, YELLOW} & {*rows.columns}:
            if n := int(rows[f"{severity}?"].sum()):
                n_unrated[condition, severity] = n
    return JudgedFaults(label, columns, shares, red, n_unrated)


def fault_columns(faults: Sequence[Dimension], label: str) -> tuple[Column, ...]:
    """Return the columns of the table; of lesser faults only whether there is any."""
    severe = {d.name: d.label for d in faults if d.severity == RED}
    found = {RED: _ANY[RED], **severe} if severe else {}
    found |= {YELLOW: _ANY[YELLOW]} if any(d.severity == YELLOW for d in faults) else {}
    return tuple(
        Column(name, title, "lower", decimals=1, percent=True, share=True, least=0, most=1,
               ratio=(0, 1), judge=label)
        for name, title in found.items()
    )  # fmt: skip


def _flags(collected: Collected, condition: str, metrics: Mapping[str, Any]) -> pl.DataFrame:
    """Return ``question`` and, for each fault and severity, 1 if found, 0 if not, else null.

    ``red?`` and ``yellow?`` say that nobody knows, which is not that nothing was asked. Whether
    there is any fault is not known where none was found and one has no rating.
    """
    rows = collected.answers[condition].select(KEY)
    rows = rows.join(collected.examples.select("question", example="id"), on="example", how="left")
    severities = {}
    for key, metric in metrics.items():
        name, scores = metric.dimension.name, collected.scores[condition, key]
        reasons = (metric.no_answer, "too_long", "empty")
        unknown = pl.any_horizontal(pl.col(reason) == 1 for reason in reasons)
        seen = scores.select(
            *KEY,
            pl.col("score").ge(FOUND).cast(pl.Float64).alias(name),
            (unknown & pl.col("score").is_null()).alias(f"{name}?"),
        )
        rows = rows.join(seen, on=KEY, how="left", maintain_order="left")
        severities[name] = metric.dimension.severity
    return with_any(rows, severities)


def with_any(rows: pl.DataFrame, severities: Mapping[str, str]) -> pl.DataFrame:
    """Add whether there is any fault of each severity; *severities*: fault → its own.

    *rows* say under ``<fault>?`` whether there should be a rating of it, and is none.
    """
    for severity in dict.fromkeys(severities.values()):
        found = [name for name, of in severities.items() if of == severity]
        unknown = pl.any_horizontal(pl.col(f"{name}?") for name in found)
        most = pl.max_horizontal(found)
        known = (most == 1).fill_null(value=False) | ~unknown
        rows = rows.with_columns(
            pl.when(known).then(most).alias(severity), (~known).alias(f"{severity}?")
        )
    return rows


def _share(rows: pl.DataFrame, column: Column) -> CrisisShare:
    told = (
        rows.filter(pl.col(column.name).is_not_null()) if column.name in rows.columns else rows[:0]
    )
    if told.is_empty():
        return CrisisShare(Value(None, 0, 0), 0, 0)
    flags = told[column.name].to_numpy()
    statistics = np.column_stack([flags, np.ones_like(flags)])
    n_questions = int(told["question"].n_unique())
    (found,) = interval(
        statistics,
        lambda sums: sums[..., :1] / sums[..., 1:],
        Resampler.by(told["question"]),
        [column],
    )
    bounds = found.interval
    if found.value is not None and bounds is None and n_questions < LEAST_CLUSTERS:
        bounds = of_few_clusters(found.value, n_questions, LEVEL)
    return CrisisShare(Value(found.value, told.height, 0, bounds), told.height, n_questions)
