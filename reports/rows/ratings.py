"""People's ratings of the answers of a run: which of them still hold, and what was left out.

A rating is of the text that was shown and of the question that was asked. Where the answer or the
rubric has changed since, it is *stale*: counted, shown, and part of no number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from empathy_core.annotation import RATINGS, Round, read_ratings, read_rounds
from empathy_core.metrics import MetricProtocol, rates
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.store import RunDir
from reports.rows.pieces import KEY
from reports.rows.standing import SAME_TEXT, Texts, with_standing

RATED: dict[str, Any] = {
    "rubric": pl.String,
    "dimension": pl.String,
    "rubric_digest": pl.String,
    "rater": pl.String,
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "question": pl.String,  # the cluster
    "value": pl.Float64,  # never null
}
"""Schema of sound ratings, a row each rater, answer and dimension."""

REPEATED: dict[str, Any] = RATED | {"first": pl.Float64}
"""Schema of hidden repeats: *value* is what the rater said the second time."""

LEFT_OUT: dict[str, Any] = {
    "rubric": pl.String,
    "dimension": pl.String,
    "reason": pl.String,  # key of ``REASONS``
    "rule": pl.String,  # the declared rule of what is excluded; else empty
    "n": pl.Int64,
}
"""Schema of what is part of no number, a row each dimension and reason."""

REASONS: Mapping[str, str] = {
    "other_round": "of rounds that settle flags or follow low ratings, and choose by them",
    "not_in_report": "of answers that are not in this report",
    "stale_rubric": "of a rubric that was written anew since",
    "stale_answer": "of answers that are others now",
    "excluded": "left out by a declared rule",
    "not_applicable": "where the rater says that the question does not apply",
    "skipped": "skipped by the rater",
    "out_of_range": "outside the scale",
    "unreadable": "could not be read",
    "replaced": "rated again in a later round",
}
"""Why a rating counts nowhere, in the order in which it is looked at."""

_AT = ("rubric", "dimension")
_WHOSE = (*_AT, "rubric_digest", "rater", "condition", *KEY)


@dataclass(frozen=True, slots=True, eq=False)
class PeoplesRatings:
    """What people said of the answers of a run.

    Attributes:
        answers: ``RATED``: of independent rounds, the latest word of each rater.
        repeats: ``REPEATED``: of answers that a rater was shown twice.
        attention: Attention items that were rated (``RATINGS``); no answer to their question.
        left_out: ``LEFT_OUT``.
    """

    answers: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=RATED))
    repeats: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=REPEATED))
    attention: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=RATINGS))
    left_out: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=LEFT_OUT))

    @property
    def there(self) -> bool:
        """Whether anybody has rated anything."""
        return not (self.answers.is_empty() and self.left_out.is_empty())


def sound_ratings(
    run: RunDir, metrics: Mapping[str, MetricProtocol], examples: pl.DataFrame,
    conditions: Sequence[str], texts: Texts,
) -> PeoplesRatings:  # fmt: skip
    """Return the ratings of a run that still hold, and count the others.

    Args:
        run: Whose rounds are read.
        metrics: Of the report: the rubrics that its judges are asked are those that stand.
        examples: Evaluated rows, with ``id`` and ``question``.
        conditions: Ids of those in the report.
        texts: Gives their answers.

    Raises:
        Damaged: A round, or its ratings, cannot be read.
    """
    rounds = read_rounds(run)
    ratings = read_ratings(run) if rounds else pl.DataFrame(schema=RATINGS)
    if ratings.is_empty():
        return PeoplesRatings()
    questions = examples.select("question", example="id")
    joined = ratings.join(questions, on="example", how="left", maintain_order="left")
    joined = with_standing(joined, conditions, texts)
    told = joined.with_columns(reason=_reason(rounds, _rubrics(metrics, rounds), conditions))
    attention = told.filter(pl.col("kind") == "attention").select(list(RATINGS))
    rated = _latest(told.filter(pl.col("kind") != "attention"))
    sound = rated.filter(pl.col("reason") == "")
    answers = sound.filter(pl.col("kind") == "answer").select(list(RATED))
    again = sound.filter(pl.col("kind") == "repeat")
    first = answers.select(*_WHOSE, first="value")
    repeats = again.join(first, on=_WHOSE, how="inner", maintain_order="left")
    counted = rated.filter((pl.col("reason") != "") & (pl.col("kind") == "answer"))
    return PeoplesRatings(answers, repeats.select(list(REPEATED)), attention, _counted(counted))


def _rubrics(
    metrics: Mapping[str, MetricProtocol], rounds: Mapping[str, Round]
) -> dict[tuple[str, str], set[str]]:
    """Return (rubric, dimension) → digests of the texts that stand.

    What no judge of the report is asked stands as the newest round asked it.
    """
    latest = {(rubric, name): {digest} for of in rounds.values()
              for rubric, name, digest in of.dimensions}  # fmt: skip
    asked: dict[tuple[str, str], set[str]] = {}
    for metric in metrics.values():
        if rates(metric):
            of: Any = metric
            at = of.rubric.name, of.dimension.name
            asked.setdefault(at, set()).add(dimension_digest(of.rubric, of.dimension))
    return latest | asked


def _reason(
    rounds: Mapping[str, Round],
    rubrics: Mapping[tuple[str, str], set[str]],
    conditions: Sequence[str],
) -> pl.Expr:
    """Return the key of ``REASONS`` of each rating; empty where it is sound."""
    independent = [name for name, of in rounds.items() if of.kind == "ratings"]
    asked = [f"{r}|{d}|{digest}" for (r, d), of in rubrics.items() for digest in of]
    known = pl.col("condition").is_in(list(conditions)) & pl.col("question").is_not_null()
    same = pl.concat_str([*_AT, "rubric_digest"], separator="|").is_in(asked)
    checks = (
        ("other_round", ~pl.col("round").is_in(independent)),
        ("not_in_report", ~known | pl.col("stand").is_null()),
        ("stale_rubric", ~same),
        ("stale_answer", ~SAME_TEXT),
        ("excluded", pl.col("excluded") != ""),
    )
    value_is_null = pl.when(pl.col("value").is_null()).then(pl.lit("unreadable"))
    expression: pl.Expr = value_is_null.otherwise(pl.lit(""))
    expression = pl.when(pl.col("state") != "rated").then(pl.col("state")).otherwise(expression)
    for reason, holds in reversed(checks):
        expression = pl.when(holds).then(pl.lit(reason)).otherwise(expression)
    return expression


def _latest(ratings: pl.DataFrame) -> pl.DataFrame:
    """Mark sound ratings that the same rater gave the same answer anew in a later round."""
    sound = pl.col("reason") == ""
    last = pl.col("round").filter(sound).max().over([*_WHOSE, "kind"])
    return ratings.with_columns(
        reason=pl.when(sound & (pl.col("round") < last))
        .then(pl.lit("replaced"))
        .otherwise(pl.col("reason"))
    )


def _counted(ratings: pl.DataFrame) -> pl.DataFrame:
    rule = pl.when(pl.col("reason") == "excluded").then(pl.col("excluded")).otherwise(pl.lit(""))
    counted = ratings.with_columns(rule=rule).group_by(*_AT, "reason", "rule", maintain_order=True)
    order = pl.col("reason").replace_strict({name: i for i, name in enumerate(REASONS)}, default=99)
    return (
        counted.agg(n=pl.len().cast(pl.Int64)).sort(*_AT, order, "rule").select(list(LEFT_OUT))
    )  # fmt: skip


def reasons(left_out: pl.DataFrame) -> Iterator[tuple[str, int]]:
    """Yield why ratings count nowhere, in words, and how many do not."""
    for row in left_out.iter_rows(named=True):
        words = REASONS.get(row["reason"], row["reason"])
        yield (f"{words} ({row['rule']})" if row["rule"] else words), row["n"]
