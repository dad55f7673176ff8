"""The next round's questions: those with gaps more often, by chances that are known. Pure.

Every evaluated question can be drawn, so that the round's own ratings, weighted by its own chances,
estimate the mean over all questions: what is known from earlier rounds changes the chances only
(adaptive sampling; each round is a probability sample given the rounds before it). Ratings of an
earlier round must not be averaged into that estimate. Questions that are added because of their
ratings, without a draw, are another thing: ``purposive`` in ``KEY``, and in no estimate.
"""

import random
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from empathy_core.annotation.frames import SAMPLE
from empathy_core.errors import ConfigError

UPPER_SHARE = 1 / 3
"""Of the questions that something is known of: those with the largest gaps."""


def with_gaps(gap: Mapping[str, float]) -> set[str]:
    """Return the third of the questions with the largest gaps; ties at its end are left out.

    Args:
        gap: Question → its gap, for the questions that something is known of.
    """
    ordered = sorted(gap.values(), reverse=True)
    n = int(len(ordered) * UPPER_SHARE)
    least = ordered[n] if n < len(ordered) else float("-inf")
    return {question for question, of in gap.items() if of > least}


def next_sample(
    before: pl.DataFrame, favoured: Collection[str], times: float, n: int, seed: int
) -> pl.DataFrame:
    """Return which examples are rated next (``SAMPLE``), in the order of *before*.

    Within each stratum a question's chance is in proportion to its size, which is *times* for a
    favoured one and 1 for any other, and never above 1; a sample of exactly these chances is drawn
    systematically from the questions in random order (Madow, Ann. Math. Statist. 20, 1949,
    333-354). Strata get their shares by the sum of their sizes, two questions at least. Of several
    examples with one question one is drawn, all with the same chance.

    Args:
        before: ``SAMPLE`` of an earlier round: every evaluated example.
        favoured: Examples that are drawn more often, with their questions.
        times: How much more often, at least 1.
        n: Questions to be drawn.
        seed: Of the drawing.

    Raises:
        ConfigError: There are fewer questions.
    """
    of_question: dict[str, list[str]] = {}
    stratum: dict[str, str] = {}
    for row in before.sort("example").iter_rows(named=True):
        of_question.setdefault(row["question"], []).append(row["example"])
        stratum[row["question"]] = row["stratum"]
    if n > len(of_question):
        msg = (
            f"{n} questions are to be drawn and the run has {len(of_question)}; expected fewer; "
            "lower --questions"
        )
        raise ConfigError(msg)
    size = {
        question: times if any(example in favoured for example in examples) else 1.0
        for question, examples in of_question.items()
    }
    chances = _chances(size, stratum, n)
    chosen: set[str] = set()
    for name in sorted(set(stratum.values())):
        rng = random.Random(f"{seed}:{name}")  # noqa: S311  a sample, no secret
        own = sorted(question for question in chances if stratum[question] == name)
        rng.shuffle(own)
        chosen |= {
            rng.choice(of_question[question])
            for question in systematic(own, [chances[q] for q in own], rng.random())
        }
    return before.with_columns(
        chance=pl.col("question").replace_strict(
            {q: c / len(of_question[q]) for q, c in chances.items()}, return_dtype=pl.Float64
        ),
        chosen=pl.col("example").is_in(sorted(chosen)),
    ).select(list(SAMPLE))


def systematic(names: Sequence[str], chances: Sequence[float], start: float) -> list[str]:
    """Return those whose share of the summed chances holds *start* plus a whole number.

    Each is drawn with exactly its chance if *start* is uniform between 0 and 1.
    """
    found, below = [], 0.0
    for name, chance in zip(names, chances, strict=True):
        above = below + chance
        # a whole number k with below <= start + k < above
        if int(above - start + 1) - int(below - start + 1):
            found.append(name)
        below = above
    return found


def _chances(size: Mapping[str, float], stratum: Mapping[str, str], n: int) -> dict[str, float]:
    """Return question → its chance; they sum to a whole number in each stratum."""
    of: dict[str, list[str]] = {}
    for question in size:
        of.setdefault(stratum[question], []).append(question)
    wanted = _shares({name: sum(size[q] for q in own) for name, own in of.items()},
                     {name: len(own) for name, own in of.items()}, n)  # fmt: skip
    found: dict[str, float] = {}
    for name, own in of.items():
        found |= _capped({question: size[question] for question in own}, wanted[name])
    return found


def _shares(sizes: Mapping[str, float], most: Mapping[str, int], n: int) -> dict[str, int]:
    """Return stratum → questions drawn: by size, two at least, and no more than there are.

    The largest remainders are rounded up (Hamilton).
    """
    total = sum(sizes.values())
    exact = {name: n * of / total for name, of in sizes.items()}
    found = {name: min(max(int(of), min(2, most[name])), most[name]) for name, of in exact.items()}
    while sum(found.values()) != n:
        step = 1 if sum(found.values()) < n else -1
        free = [
            name for name in found
            if (found[name] < most[name] if step > 0 else found[name] > min(2, most[name]))
        ]  # fmt: skip
        if not free:
            break
        found[max(free, key=lambda name: (step * (exact[name] - found[name]), name))] += step
    return found


def _capped(size: Mapping[str, float], n: int) -> dict[str, float]:
    """Return chances in proportion to sizes, n in sum, none above 1."""
    sure: set[str] = set()
    while True:
        rest = sum(of for name, of in size.items() if name not in sure)
        left = n - len(sure)
        more = {name for name, of in size.items() if name not in sure and left * of >= rest}
        if not more:
            break
        sure |= more
    return {name: 1.0 if name in sure else left * of / rest for name, of in size.items()}
