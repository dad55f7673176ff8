"""Which answers people's ratings speak for, and with what chance each was rated. Pure.

A round draws questions by chance and shows their answers to raters. Several rounds are one sample:
a question that is in none was missed by each, so that its chance of being in any is
1 - (1 - p1)(1 - p2) ….
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from empathy_core.annotation import Round
from empathy_core.stats.rated_frame import RatedSample, SamplingFrame
from reports.rows.people import RatedAnswers
from reports.rows.pieces import KEY

LEAST_IN_STRATUM = 2
"""Rated questions of a stratum below which it is put together with another: collapsed strata,
Wolter (2007), Introduction to Variance Estimation, section 2.5. The variance is then too large."""
MOST_OUTSIDE = 0.05
"""Share of rated answers to which people say that the question does not apply, above which nothing
is said of answers that nobody rated: a judge rates these, too, and is not corrected for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The examples that ratings of some conditions speak for, on one question.

    Attributes:
        examples: ``example``, ``question``; a row each.
        human: People's value, NaN where there is none: shape (conditions, examples).
        asked: Whether an answer was given to raters: likewise.
        sample: Chances, strata and questions, and what was asked of all conditions.
        outside: Share of the answers that people answered to which the question does not apply.
        unrated: Strata of which raters were given answers, and rated none, with their examples:
            they are no part of *examples*.
    """

    examples: pl.DataFrame
    human: np.ndarray
    asked: np.ndarray
    sample: RatedSample
    outside: float
    unrated: Mapping[str, int]

    def weights(self, place: int = 0) -> np.ndarray:
        """Return what each example of a condition counts (examples,), 0 where it is not rated."""
        every = np.ones(self.examples.height, bool)
        frame = SamplingFrame.of(self.sample_of(place), every)
        return frame.weights(np.isfinite(self.human[place]))[0]

    def sample_of(self, place: int) -> RatedSample:
        """Return the sample of one condition alone."""
        of = self.sample
        return RatedSample(of.clusters, of.chances, of.strata, self.asked[place], of.finite)


def population(
    said: RatedAnswers,
    asked: tuple[str, str],
    conditions: Sequence[str],
    expected: Mapping[str, pl.DataFrame],
) -> Population | None:
    """Return what the ratings of all of *conditions* speak for; null if no round rated them all.

    Args:
        said: By people.
        asked: Rubric and dimension.
        conditions: Ids.
        expected: Condition → the rows that it should have.
    """
    rounds = [name for name, of in said.rounds.items() if _rates(of, asked, conditions)]
    if not rounds:
        return None
    rows = _drawn([said.samples[name] for name in rounds])
    for condition in conditions:
        rows = rows.join(expected[condition], on="example", how="semi", maintain_order="left")
    if levels := said.instruments[asked].dimensions[0].tiers:
        rows = rows.filter(pl.col("tier").is_in(levels))
    answers = said.of(*asked).filter("drawn")
    parts = [_beside(rows, answers.filter(pl.col("condition") == c)) for c in conditions]
    human = np.stack([of["value"].fill_null(np.nan).to_numpy() for of in parts])
    shown = np.stack([of["shown"].to_numpy() for of in parts])
    outside = np.stack([of["outside"].to_numpy() for of in parts])
    return _population(rows, human, shown, outside)


def _rates(of: Round, asked: tuple[str, str], conditions: Sequence[str]) -> bool:
    return set(conditions) <= set(of.conditions) and asked in {d[:2] for d in of.dimensions}


def _drawn(samples: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return ``example``, ``question``, ``stratum``, ``tier``, ``chance``, ``chosen`` of all."""

    def both(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
        more = other.select("example", "stratum", "chance", "chosen")
        rows = one.join(more, on="example", how="inner", suffix="2", maintain_order="left")
        same = pl.col("stratum") == pl.col("stratum2")
        crossed = pl.concat_str("stratum", "stratum2", separator=" and ")
        return rows.select(
            "example", "question", "tier",
            stratum=pl.when(same).then(pl.col("stratum")).otherwise(crossed),
            chance=1 - (1 - pl.col("chance")) * (1 - pl.col("chance2")),
            chosen=pl.col("chosen") | pl.col("chosen2"),
        )  # fmt: skip

    return reduce(both, samples)


def _beside(rows: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return ``value``, ``shown``, ``outside`` of each of *rows*: means over an example's samples.

    An answer to which the question does not apply counts as not shown.
    """
    by = answers.group_by("example").agg(
        pl.col("value").mean(),
        shown=(~pl.col("not_applicable")).any(),
        outside=pl.col("not_applicable").all(),
    )
    found = rows.select("example", "chosen").join(
        by, on="example", how="left", maintain_order="left"
    )
    by_chance = pl.col("chosen")
    return found.select(
        value=pl.when(by_chance).then(pl.col("value")),
        shown=pl.col("shown").fill_null(value=False) & by_chance,
        outside=pl.col("outside").fill_null(value=False) & by_chance,
    )


def _population(
    rows: pl.DataFrame, human: np.ndarray, shown: np.ndarray, outside: np.ndarray
) -> Population:
    known = np.isfinite(human)
    n_told = int(known.sum() + outside.sum())
    share = float(outside.sum()) / n_told if n_told else 0.0
    strata = rows["stratum"].to_numpy()
    questions = rows["question"].to_numpy()
    rated = known.all(axis=0)
    n_rated = {s: len(set(questions[rated & (strata == s)])) for s in dict.fromkeys(strata)}
    given = shown.any(axis=0)
    lost = [s for s, n in n_rated.items() if not n and (given & (strata == s)).any()]
    kept = ~np.isin(strata, lost)
    merged = _collapsed({s: n for s, n in n_rated.items() if s not in lost})
    codes = {name: i for i, name in enumerate(dict.fromkeys(merged.values()))}
    sample = RatedSample(
        np.unique(questions[kept], return_inverse=True)[1],
        rows["chance"].to_numpy()[kept],
        np.array([codes[merged[s]] for s in strata[kept]], int),
        np.asarray(shown[:, kept].all(axis=0)),
    )
    return Population(
        rows.filter(pl.Series(kept)).select("example", "question"), human[:, kept], shown[:, kept],
        sample, share, {s: int((strata == s).sum()) for s in lost},
    )  # fmt: skip


def _collapsed(n_rated: Mapping[str, int]) -> dict[str, str]:
    """Return stratum → what it is put together with: all small ones, and the next larger if few."""
    small = [s for s, n in n_rated.items() if n < LEAST_IN_STRATUM]
    if not small:
        return {s: s for s in n_rated}
    larger = sorted((s for s in n_rated if s not in small), key=lambda s: n_rated[s])
    if sum(n_rated[s] for s in small) < LEAST_IN_STRATUM:
        small += larger[:1]
    return {s: small[0] if s in small else s for s in n_rated}


def scores_of_people(
    said: RatedAnswers | None,
    asked: tuple[str, str],
    condition: str,
    expected: Mapping[str, pl.DataFrame],
    thresholds: Sequence[tuple[str, int]],
) -> pl.DataFrame:
    """Return the statistics of each rated answer of a condition: see ``metrics._people``.

    An answer that nobody rated has no row: its chance is in the weights of the others.

    Args:
        said: By people.
        asked: Rubric and dimension.
        condition: Id.
        expected: Condition → the rows that it should have.
        thresholds: Name → the least rating that counts.
    """
    names = ("score", *(name for name, _ in thresholds), "weight")
    schema = {"example": pl.String, "sample": pl.Int32, **dict.fromkeys(names, pl.Float64)}
    found = None if said is None else population(said, asked, [condition], expected)
    if said is None or found is None:
        return pl.DataFrame(schema=schema)
    weighted = found.examples.select("example", weight=pl.Series(found.weights()))
    rows = said.of(*asked).filter(
        pl.col("drawn"), pl.col("condition") == condition, pl.col("value").is_not_null()
    ).join(weighted.filter(pl.col("weight") > 0), on="example", how="inner")  # fmt: skip
    rows = expected[condition].select(KEY).join(rows, on=KEY, how="inner", maintain_order="left")
    weight, given = pl.col("weight"), pl.col("ratings").list
    above = (
        (given.eval((pl.element() >= least).cast(pl.Float64)).list.mean() * weight).alias(name)
        for name, least in thresholds
    )
    return rows.select(*KEY, (pl.col("value") * weight).alias("score"), *above, "weight")
