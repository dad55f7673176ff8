"""Which questions are given to people: drawn within strata, with known chances. Pure.

A question is drawn with all conditions that answered it. Of several examples with the same
question one is drawn, so that nobody reads one answer twice: an example's chance is its
question's, over the number of these examples.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.frames import SAMPLE
from empathy_core.errors import ConfigError

LEAST_IN_STRATUM = 2
"""Drawn of each: one question does not say how its stratum varies."""
ALL = "all"
"""The stratum of everything, where none are asked for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An evaluated example.

    Attributes:
        example: Its id.
        question: The cluster.
        source: Name of its source.
        tier: Crisis tier of its question.
    """

    example: str
    question: str
    source: str
    tier: str


def draw(
    candidates: Sequence[Candidate], n: int, by: Sequence[str] = ("source", "tier"), seed: int = 0
) -> pl.DataFrame:
    """Return which examples are rated, ``SAMPLE``, in the order of *candidates*.

    The n questions are divided among strata in proportion to their questions, two at least of
    each. Strata too small for that are joined with the next smallest, of the same tier if there is
    one.

    Args:
        candidates: Every evaluated example of the run.
        n: Questions to be drawn.
        by: What strata are made of: ``source``, ``tier``.
        seed: Of the draw.

    Raises:
        ConfigError: There are fewer questions than are to be drawn.
    """
    of_question: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: one.example):  # their order does not matter
        of_question[candidate.question].append(candidate)
    _require(n, len(of_question))
    strata = _joined([_Stratum.of(q, of[0], by) for q, of in of_question.items()], n)
    sizes = _allocated([len(stratum.questions) for stratum in strata], n)
    where: dict[str, str] = {}
    chances: dict[str, float] = {}
    chosen: set[str] = set()
    for stratum, size in zip(strata, sizes, strict=True):
        rng = random.Random(f"{seed}:{stratum.name}")  # noqa: S311  a sample, no secret
        drawn = rng.sample(sorted(stratum.questions), size)
        chosen |= {rng.choice(of_question[question]).example for question in drawn}
        where |= dict.fromkeys(stratum.questions, stratum.name)
        chances |= {
            question: size / len(stratum.questions) / len(of_question[question])
            for question in stratum.questions
        }
    rows = [
        (c.example, c.question, where[c.question], c.tier, chances[c.question], c.example in chosen)
        for c in candidates
    ]
    return pl.DataFrame(rows, schema=SAMPLE, orient="row")


def _require(n: int, there: int) -> None:
    if n > there:
        msg = (
            f"annotate.questions = {n:,}, and this run has {there:,} to draw from; expected "
            f"{there:,} at most; lower annotate.questions, or evaluate more questions"
        )
        raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Questions that are drawn from together."""

    name: str
    tier: str
    questions: tuple[str, ...]

    @classmethod
    def of(cls, question: str, example: Candidate, by: Sequence[str]) -> "_Stratum":
        """Return that of one question."""
        parts = {"source": example.source, "tier": example.tier or "no tier"}
        name = ", ".join(parts[part] for part in by) or ALL
        return cls(name, example.tier if "tier" in by else "", (question,))

    def with_(self, other: "_Stratum", name: str) -> "_Stratum":
        tier = self.tier if self.tier == other.tier else ""
        return _Stratum(name, tier, (*self.questions, *other.questions))


def _joined(single: Sequence[_Stratum], n: int) -> list[_Stratum]:
    """Return strata of which each can have ``LEAST_IN_STRATUM`` of n questions, by name."""
    by_name: dict[str, _Stratum] = {}
    for stratum in single:
        known = by_name.get(stratum.name)
        by_name[stratum.name] = known.with_(stratum, known.name) if known else stratum
    strata = sorted(by_name.values(), key=lambda one: (len(one.questions), one.name))
    while len(strata) > 1 and (
        len(strata[0].questions) < LEAST_IN_STRATUM or LEAST_IN_STRATUM * len(strata) > n
    ):
        least, *others = strata
        alike = [other for other in others if other.tier == least.tier] or others
        other = alike[0]
        whole = least.with_(other, " + ".join(sorted((least.name, other.name))))
        strata = [one for one in others if one is not other] + [whole]
        strata.sort(key=lambda one: (len(one.questions), one.name))
    return sorted(strata, key=lambda one: one.name)


def _allocated(sizes: Sequence[int], n: int) -> list[int]:
    """Return how many of n questions each stratum gets."""
    whole = sum(sizes)
    found = [min(LEAST_IN_STRATUM, size) for size in sizes] if len(sizes) > 1 else [0]
    while sum(found) < n:
        lacking = [
            (n * size / whole - given if given < size else float("-inf"))
            for size, given in zip(sizes, found, strict=True)
        ]
        found[lacking.index(max(lacking))] += 1
    return found


def chances_by_stratum(sample: pl.DataFrame) -> Mapping[str, tuple[int, int]]:
    """Return stratum → (questions drawn, questions there are) of a ``SAMPLE``."""
    grouped = sample.group_by("stratum").agg(
        drawn=pl.col("question").filter("chosen").n_unique(), there=pl.col("question").n_unique()
    )
    return {name: (drawn, there) for name, drawn, there in sorted(grouped.iter_rows())}
