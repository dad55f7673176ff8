"""What people said of a run's answers, in rows: the rounds of ratings, made one.

``annotation.settled`` decides what an answer is worth. Where not all raters rated the same answers,
each rater's own severity is taken off first.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from empathy_core import rubrics
from empathy_core.annotation import Round, RoundDir, read_ratings, read_rounds
from empathy_core.annotation.importing import may_train
from empathy_core.annotation.points import NA, RATED
from empathy_core.annotation.rounds import read_key, read_sample
from empathy_core.annotation.settled import adjudications, settled
from empathy_core.data.growing import GrowthStep
from empathy_core.errors import EmpathyError
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._people import People, Question, instruments, people
from empathy_core.rubrics.spec import Rubric
from empathy_core.stats.rater_effects import rater_effects
from empathy_core.stats.refusals import Refusal
from empathy_core.store import RunDir
from reports.rows.standing import SAME_TEXT, Texts, with_standing

AT = ("condition", "example", "sample")
ASKED = ("rubric", "dimension")

ANSWERS: dict[str, Any] = {
    "condition": pl.String,  # id
    "example": pl.String,
    "sample": pl.Int32,
    "rubric": pl.String,
    "dimension": pl.String,
    "value": pl.Float64,  # null: nobody gave a rating that counts, or it does not apply
    "ratings": pl.List(pl.Float64),  # those that count, as they were given; null or empty: none
    "adjudicated": pl.Boolean,
    "not_applicable": pl.Boolean,  # so say all who answered, or who settled it
    "drawn": pl.Boolean,  # by chance; else it was chosen by looking at ratings
}
"""Schema of what people said, a row for each answer and question that raters were given."""

SEVERITIES: dict[str, Any] = {
    "rubric": pl.String,
    "dimension": pl.String,
    "rater": pl.String,
    "effect": pl.Float64,  # how much higher than others; 0 where it cannot be told
    "taken_off": pl.Boolean,  # from the ratings, since raters rated unlike answers
    "connected": pl.Boolean,  # false: raters share no answers, so that it cannot be told
}
"""Schema of how strict raters are, a row for each of them and question."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedAnswers:
    """What people said of the answers of a run: ratings of its texts and rubrics that count.

    Attributes:
        answers: ``ANSWERS``.
        severities: ``SEVERITIES``.
        rounds: Name → round, of those whose questions were drawn by chance.
        samples: Name of such a round → ``annotation.SAMPLE``.
        instruments: (rubric, dimension) → the rubric with it alone.
        drawn_of: Name of a round that was drawn before the run grew → of how many rows, and how
            many are evaluated today.
    """

    answers: pl.DataFrame
    severities: pl.DataFrame
    rounds: Mapping[str, Round]
    samples: Mapping[str, pl.DataFrame]
    instruments: Mapping[tuple[str, str], Rubric]
    drawn_of: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, rubric: str, dimension: str) -> pl.DataFrame:
        """Return the answers of one question."""
        asked = (pl.col("rubric") == rubric) & (pl.col("dimension") == dimension)
        return self.answers.filter(asked)

    def raters(self, rubric: str, dimension: str) -> int:
        """Return how many people rated on a question."""
        rows = self.severities.filter(pl.col("rubric") == rubric, pl.col("dimension") == dimension)
        return rows.height


def drawn_before(
    samples: Mapping[str, pl.DataFrame], examples: pl.DataFrame, steps: Sequence[GrowthStep]
) -> dict[str, tuple[int, int]]:
    """Return which rounds were drawn when fewer rows were evaluated: of how many, and of today's.

    Args:
        samples: Name of a round → ``annotation.SAMPLE``.
        examples: The evaluated rows of today.
        steps: How they came to be; empty where the run never grew.
    """
    found = {}
    for name, sample in samples.items() if steps else ():
        drawn = examples.filter(pl.col("id").is_in(sample["example"].to_list()))
        last = max(drawn["block"], default=-1)
        reached = [step for step in steps if step.first <= last]
        n = sum(step.rows for step in reached)
        if n < examples.height:
            found[name] = (n, examples.height)
    return found


def people_of(run: RunDir, metrics: Mapping[str, MetricProtocol]) -> dict[str, People]:
    """Return key → metric of what people of a run have rated; empty before the first import.

    Raises:
        Damaged: A round cannot be read.
    """
    rated = read_ratings(run).filter(pl.col("state") == "rated")
    asked = rated.select("rubric", "dimension", "rubric_digest").unique(maintain_order=True)
    own = own_rubrics(read_rounds(run).values())
    return people(instruments(asked.iter_rows(), metrics, own))


def own_rubrics(rounds: Iterable[Round]) -> list[Rubric]:
    """Return the rubrics that rounds name by a file, of those that can be read."""
    named = (name for of in rounds for name in of.settings.get("rubrics", ()))
    found = []
    for path in dict.fromkeys(Path(str(name)) for name in named if str(name).endswith(".toml")):
        with suppress(EmpathyError, OSError):  # moved since: what it asked is then not known
            found.append(rubrics.read(path))
    return found


def read_people(
    run: RunDir,
    metrics: Mapping[str, MetricProtocol],
    conditions: Sequence[str],
    texts: Texts,
    *,
    to_train: bool = False,
) -> RatedAnswers | None:
    """Return the ratings of *conditions* (ids); null without any.

    Args:
        run: The run.
        metrics: Its judges say by which rubrics is asked.
        conditions: Of the answers.
        texts: The answers as they are now.
        to_train: Only ratings of raters who let models be trained on them.

    Raises:
        Damaged: A round cannot be read.
    """
    ratings, rounds = read_ratings(run), read_rounds(run)
    if to_train:
        ratings = _allowed(run, ratings, rounds)
    if ratings.is_empty():
        return None
    asked: list[Question] = [of for r in rounds.values() for of in r.dimensions]
    known = instruments(dict.fromkeys(asked), metrics, own_rubrics(rounds.values()))
    drawn = {name: of for name, of in rounds.items() if of.kind == "ratings"}
    mine = ratings.filter(pl.col("kind") == "answer", pl.col("condition").is_in(list(conditions)))
    is_known = pl.Series([row in known for row in mine.select(*ASKED, "rubric_digest").rows()],
                         dtype=pl.Boolean)  # fmt: skip
    named = mine.filter(is_known)
    fresh = with_standing(named, conditions, texts).filter(SAME_TEXT)
    counted = _latest(fresh.filter(pl.col("excluded") == ""), drawn)
    shown = _shown(run, drawn, known, conditions)
    values, severities = _merged(counted, rounds)
    return RatedAnswers(
        _answers(shown, values, counted), severities, drawn,
        {name: read_sample(RoundDir.of(run, name)) for name in drawn},
        {of[:2]: rubric for of, rubric in known.items()},
    )  # fmt: skip


def _allowed(run: RunDir, ratings: pl.DataFrame, rounds: Mapping[str, Round]) -> pl.DataFrame:
    """Return the ratings on which models may be trained."""
    raters = [
        (name, rater)
        for name, of in rounds.items()
        for rater in may_train(RoundDir.of(run, name), of)
    ]
    allowed = pl.DataFrame(raters, {"round": pl.String, "rater": pl.String}, orient="row")
    return ratings.join(allowed, on=["round", "rater"], how="semi", maintain_order="left")


def _shown(
    run: RunDir,
    drawn: Mapping[str, Round],
    known: Mapping[Question, Rubric],
    conditions: Sequence[str],
) -> pl.DataFrame:
    """Return what raters were given by chance: an answer and a question each."""
    parts = [pl.DataFrame(schema={name: ANSWERS[name] for name in (*AT, *ASKED)})]
    for name, of in drawn.items():
        folder = RoundDir.of(run, name)
        items = read_key(folder).filter(
            pl.col("kind") == "answer", pl.col("condition").is_in(list(conditions))
        )
        tiers = read_sample(folder).select("example", "tier")
        items = items.select(AT).unique(maintain_order=True).join(tiers, on="example", how="left")
        for question in of.dimensions:
            if question in known:
                levels = known[question].dimensions[0].tiers
                rows = items.filter(pl.col("tier").is_in(levels)) if levels else items
                named = (pl.lit(text).alias(of) for of, text in zip(ASKED, question, strict=False))
                parts.append(rows.select(*AT, *named))
    return pl.concat(parts).unique(maintain_order=True)


def _latest(ratings: pl.DataFrame, drawn: Mapping[str, Round]) -> pl.DataFrame:
    """Return ratings without those that the same rater gave anew in a later round of *drawn*."""
    values = pl.col("round").is_in(list(drawn)) & (pl.col("state") == RATED)
    last = pl.col("round").filter(values).max().over([*AT, *ASKED, "rater"])
    return ratings.filter(~values | (pl.col("round") == last))


# ---------------------------------------------------------------------------- values


def _merged(
    counted: pl.DataFrame, rounds: Mapping[str, Round]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return ratings made one value an answer and question (``settled``), and ``SEVERITIES``."""
    settling = adjudications(rounds)
    refining = [name for name, of in rounds.items() if of.kind == "refinement"]
    third = pl.col("round").is_in(settling)
    rated = counted.filter(~third, pl.col("state") == RATED, pl.col("value").is_not_null())
    own = rated.filter(~pl.col("round").is_in(refining))
    chosen = rated.filter(pl.col("round").is_in(refining))
    # what was drawn is worth what it was before anybody looked
    chosen = chosen.join(own, on=[*AT, *ASKED], how="anti", maintain_order="left")
    parts, strict = [chosen.with_columns(adjusted="value")], [pl.DataFrame(schema=SEVERITIES)]
    for _, rows in own.group_by(ASKED, maintain_order=True):
        adjusted, told = _adjusted(rows)
        parts.append(adjusted)
        strict.append(told)
    parts.append(counted.filter(third).with_columns(adjusted="value"))
    values = settled(pl.concat(parts), settling, answer=AT, averaged="adjusted")
    return values, pl.concat(strict)


def _adjusted(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return ratings of one question with ``adjusted``, and how strict each rater is.

    They are adjusted to what the average rater would give. Where all rated the same answers, they
    stay as they are.
    """
    items = (rows.select(pl.struct(AT).rank("dense") - 1).to_series()).to_numpy().astype(int)
    names = rows["rater"].unique().sort()
    raters = rows["rater"].replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    at = raters.to_numpy(), items
    table = np.full((len(names), int(items.max()) + 1), np.nan)
    table[at] = rows["value"].to_numpy()
    found = rater_effects(table)
    connected = not isinstance(found, Refusal)
    effects = np.zeros(len(names)) if isinstance(found, Refusal) else found.severities
    unlike = connected and bool(np.isnan(table).any())
    asked = {name: rows[name][0] for name in ASKED}
    told = pl.DataFrame(
        [
            {**asked, "rater": name, "effect": effect, "taken_off": unlike, "connected": connected}
            for name, effect in zip(names, effects.tolist(), strict=True)
        ],
        schema=SEVERITIES,
    )
    off = effects[at[0]] if unlike else 0.0
    return rows.with_columns(adjusted=pl.col("value") - off), told


def _answers(shown: pl.DataFrame, values: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """Return ``ANSWERS``: what was given to raters by chance, then what else was rated."""
    at = [*AT, *ASKED]
    chosen = values.select(at).join(shown, on=at, how="anti", maintain_order="left")
    rows = pl.concat([
        shown.with_columns(drawn=pl.lit(True)), chosen.with_columns(drawn=pl.lit(False))
    ])  # fmt: skip
    outside = counted.filter(pl.col("state") == NA).select(at).unique()
    rows = rows.join(values, on=at, how="left", maintain_order="left")
    rows = rows.join(
        outside.with_columns(outside=pl.lit(True)), on=at, how="left", maintain_order="left"
    )
    return rows.with_columns(
        pl.col("adjudicated").fill_null(value=False),
        not_applicable=pl.col("value").is_null() & pl.col("outside").fill_null(value=False),
    ).select(list(ANSWERS)).cast(pl.Schema(ANSWERS))  # fmt: skip
