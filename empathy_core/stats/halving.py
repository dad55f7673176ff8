"""Successive halving: which of several candidates go on to the next round. Pure.

Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization, AISTATS: all candidates are scored on a few rows, the better part of them on more, and
so on. Scores are of all rows so far, so that no row is answered twice by one candidate.
"""

import math
from collections.abc import Sequence
from typing import Literal


def best_first(
    scores: Sequence[float | None], better: Literal["higher", "lower"] = "higher"
) -> tuple[int, ...]:
    """Return the places of candidates, the best first.

    Equal scores stay in the order in which they are given; a candidate without a score (null or
    NaN) is behind all others.
    """
    sign = -1.0 if better == "higher" else 1.0

    def order(place: int) -> tuple[bool, float, int]:
        score = scores[place]
        if score is None or math.isnan(score):
            return True, 0.0, place
        return False, sign * score, place

    return tuple(sorted(range(len(scores)), key=order))


def survivors(
    scores: Sequence[float | None],
    better: Literal["higher", "lower"],
    keep: float,
    least: int = 1,
) -> tuple[int, ...]:
    """Return the places of those that go on, the best first.

    Args:
        scores: Of the candidates, on the rows so far.
        better: Which scores are good.
        keep: Share that goes on, rounded up.
        least: How many go on at least, if there are as many.
    """
    n = max(least, math.ceil(keep * len(scores) - 1e-9))
    return best_first(scores, better)[:n]
