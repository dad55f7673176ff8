"""Who rates which question: as many questions for everybody, and enough that two share. Pure."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import lcm

SHARED_ITEMS = 30
"""Answers that two raters should both rate: with fewer, how far one is the more severe cannot be
told; Calderon, Reichart and Dror (2025), The alternative annotator test (ACL), section 4."""

Teams = dict[str, tuple[str, ...]]
"""Question → the raters who rate all answers to it, in the order of *raters*."""


def rater_names(n: int) -> tuple[str, ...]:
    """Return the pseudonyms of n raters: R01, R02, …."""
    return tuple(f"R{i:02d}" for i in range(1, n + 1))


def assigned(
    questions: Mapping[str, Sequence[str]], raters: Sequence[str], each: int, seed: int,
    answers: int = 1,
) -> Teams:  # fmt: skip
    """Return who rates each question.

    Every rater gets as many questions of each stratum as any other, or one more. If every two
    raters can share ``SHARED_ITEMS`` answers, teams are mixed so that all pairs meet equally often;
    otherwise neighbours work together, which gives each rater somebody to share more with, and
    still links all of them.

    Args:
        questions: Stratum → its drawn questions.
        raters: Who rates; *each* at least.
        each: Raters of a question.
        seed: Of the order in which questions are dealt.
        answers: Of a question.
    """
    rng = random.Random(f"assign:{seed}")  # noqa: S311  an order, no secret
    dealt = [q for name in sorted(questions) for q in _shuffled(questions[name], rng)]
    together = len(dealt) * each * (each - 1) // (len(raters) * (len(raters) - 1))
    mixed = together * answers >= SHARED_ITEMS
    teams = _mixed(dealt, raters, each) if mixed else _neighbours(dealt, raters, each)
    return {q: tuple(sorted(team, key=list(raters).index)) for q, team in teams.items()}


def _shuffled(names: Sequence[str], rng: random.Random) -> list[str]:
    found = sorted(names)
    rng.shuffle(found)
    return found


def _neighbours(dealt: Sequence[str], raters: Sequence[str], each: int) -> Teams:
    """Give each question to the next raters in a ring.

    Whenever all have had as many, the ring is entered one place further on: otherwise windows of
    three in a ring of nine would be three teams that never meet.
    """
    n = len(raters)
    equal = lcm(n, each)
    found: Teams = {}
    for i, question in enumerate(dealt):
        start = i * each + i * each // equal
        found[question] = tuple(raters[(start + place) % n] for place in range(each))
    return found


def _mixed(dealt: Sequence[str], raters: Sequence[str], each: int) -> Teams:
    """Give each question to those with the fewest, among these to pairs that met least."""
    load: Counter[str] = Counter()
    met: Counter[frozenset[str]] = Counter()
    found: Teams = {}
    for question in dealt:
        team: list[str] = []
        while len(team) < each:
            free = [rater for rater in raters if rater not in team]
            team.append(
                min(free, key=lambda r: (load[r], sum(met[frozenset((r, o))] for o in team)))
            )
        found[question] = tuple(team)
        load.update(team)
        met.update(map(frozenset, combinations(team, 2)))
    return found
