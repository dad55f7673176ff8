"""What people read where ratings show gaps: the message, each reply, and what was said of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.points import RATED
from empathy_core.annotation.round_items import SHOWN_ONCE
from empathy_core.store import RunDir
from jobs.planning.plan import Plan
from jobs.planning.progress import adapters_of, read_trained
from reports.rows.collect import collect
from reports.spec import ReportSpec


@dataclass(frozen=True, slots=True)
class RatedReply:
    """A reply that people rated.

    Attributes:
        condition: Id.
        text: Null where the run has another one now than people read, or none.
        people: ``rubric.dimension`` → the values that count, in the order of the raters.
        judges: ``rubric.dimension`` → mean of the judges' scores; without those that have none.
    """

    condition: str
    text: str | None
    people: Mapping[str, tuple[float, ...]]
    judges: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class QuestionWithGaps:
    """A message, and the replies to it that people rated."""

    example: str
    message: str
    replies: tuple[RatedReply, ...]


def questions_with_gaps(
    run: RunDir, plan: Plan, examples: Sequence[str], ratings: pl.DataFrame, judged: pl.DataFrame
) -> tuple[QuestionWithGaps, ...]:
    """Return what people read of some examples, in this order.

    Args:
        run: The run.
        plan: Its newest.
        examples: Ids.
        ratings: ``RATINGS`` of the round.
        judged: Judges' scores (condition, example, rubric, dimension, score); may be empty.
    """
    spec = ReportSpec(
        conditions=plan.conditions, metrics={}, data_digest=plan.data_digest,
        adapters=adapters_of(plan, read_trained(run, plan)),
    )  # fmt: skip
    collected = collect(run, spec, partial=True)
    messages = dict(collected.examples.select("id", "context").iter_rows())
    counted = ratings.filter(
        pl.col("kind").is_in(list(SHOWN_ONCE)), pl.col("excluded") == "", pl.col("state") == RATED,
        pl.col("example").is_in(list(examples)),
    )  # fmt: skip
    texts = {
        hashlib.sha256(text.encode()).hexdigest(): text
        for condition in counted["condition"].unique()
        if condition in collected.answers
        for text in collected.texts(condition, examples)["text"]
    }
    found: dict[str, list[RatedReply]] = {example: [] for example in examples}
    keys = ["example", "condition", "answer_sha256"]
    for (example, condition, read), of in counted.group_by(keys, maintain_order=True):
        said = judged.filter(pl.col("example") == example, pl.col("condition") == condition)
        reply = RatedReply(str(condition), texts.get(str(read)), _people(of), _judges(said))
        found[str(example)].append(reply)
    order = [condition.id for condition in plan.conditions]
    return tuple(
        QuestionWithGaps(
            example, messages.get(example, ""),
            tuple(sorted(of, key=lambda r: (*_place(order, r.condition), r.condition))),
        )
        for example, of in found.items()
    )  # fmt: skip


def _place(order: Sequence[str], condition: str) -> tuple[int]:
    return (order.index(condition) if condition in order else len(order),)


def _people(of: pl.DataFrame) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {}
    for rubric, dimension, value in (
        of.sort("rater").select("rubric", "dimension", "value").iter_rows()
    ):
        found.setdefault(f"{rubric}.{dimension}", []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _judges(of: pl.DataFrame) -> dict[str, float]:
    means = of.group_by("rubric", "dimension", maintain_order=True).agg(pl.col("score").mean())
    return {f"{rubric}.{dimension}": score for rubric, dimension, score in means.iter_rows()}
