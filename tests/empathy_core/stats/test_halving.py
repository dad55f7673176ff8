"""Successive halving: who goes on, against twenty lines written from its description."""

import math

from hypothesis import given
from hypothesis import strategies as st

from empathy_core.stats.halving import best_first, survivors


def by_elimination(scores: list[float], keep: float, least: int) -> set[int]:
    """Return who goes on: the worst is sent away until few enough are left.

    Of equally bad ones, the one that was named last goes.
    """
    left = list(range(len(scores)))
    wanted = max(least, 0)
    while wanted < keep * len(scores) - 1e-9:
        wanted += 1
    while len(left) > wanted:
        worst = left[0]
        for place in left[1:]:
            mine, theirs = scores[place], scores[worst]
            if math.isnan(mine) or (not math.isnan(theirs) and mine <= theirs):
                worst = place
        left.remove(worst)
    return set(left)


SCORES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.25, 0.5]), st.just(math.nan)), min_size=1, max_size=9
)


@given(SCORES, st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.integers(1, 3))
def test_those_go_on_that_elimination_leaves(scores: list[float], keep: float, least: int) -> None:
    """Ties and candidates without a score as well, in either direction."""
    least = min(least, len(scores))
    lower = [-score for score in scores]

    assert set(survivors(scores, "higher", keep, least)) == by_elimination(scores, keep, least)
    assert survivors(lower, "lower", keep, least) == survivors(scores, "higher", keep, least)


def test_a_candidate_without_a_score_is_behind_all_others() -> None:
    """Null or NaN, whatever the direction; equal ones stay in the order that they were given in."""
    assert best_first([None, 0.1, math.nan, 0.3, 0.1]) == (3, 1, 4, 0, 2)
    assert best_first([None, 0.1, math.nan, 0.3, 0.1], "lower") == (1, 4, 3, 0, 2)


def test_half_of_an_odd_number_is_rounded_up() -> None:
    """Eight, four, two, one; and of five, three."""
    sizes = [8]
    while sizes[-1] > 1:
        sizes.append(len(survivors([0.0] * sizes[-1], "higher", 0.5)))

    assert sizes == [8, 4, 2, 1]
    assert len(survivors([0.0] * 5, "higher", 0.5)) == 3
    assert len(survivors([0.0] * 5, "higher", 0.0, 2)) == 2
