"""Rounds of ratings that were drawn before the run grew speak for the rows that were there."""

import polars as pl

from empathy_core.data.growing import GrowthStep
from reports.rows.people import drawn_before

STEPS = (GrowthStep(4, 4, 0, 2), GrowthStep(7, 3, 8, 2), GrowthStep(9, 2, 16, 1))
EXAMPLES = pl.DataFrame({"id": [f"e{i}" for i in range(9)], "block": [0, 0, 1, 1, 8, 8, 9, 16, 16]})


def frame(*places: int) -> pl.DataFrame:
    """Return the frame that a round was drawn from."""
    return pl.DataFrame({"example": [f"e{i}" for i in places]}, schema={"example": pl.String})


def test_a_round_tells_of_how_many_rows_it_was_drawn():
    """Also where it asks only of some of them, as of those at risk."""
    rounds = {"first": frame(0, 1, 2, 3), "at risk": frame(1, 5), "last": frame(*range(9))}

    found = drawn_before(rounds, EXAMPLES, STEPS)

    assert found == {"first": (4, 9), "at risk": (7, 9)}


def test_of_a_run_that_never_grew_nothing_is_told():
    """Its frames may lack rows for other reasons."""
    assert drawn_before({"at risk": frame(1)}, EXAMPLES, ()) == {}
