"""How many questions people must rate: against simulation, statsmodels, and the measured spread."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import ndtri
from statsmodels.stats.power import TTestPower

from empathy_core.stats.power import (
    PairedSpread,
    difference_found,
    judge_gain,
    paired_spread,
    power_of_paired_test,
    questions_needed,
    questions_with_judge,
)
from tests.ratings import ATTRIBUTES, MENTALALIGN, mentalalign

needs_ratings = pytest.mark.skipif(
    not MENTALALIGN.exists(), reason="the public ratings do not lie beside the repository"
)


@pytest.mark.parametrize("n", [5, 20, 90, 800])
@pytest.mark.parametrize("effect", [0.05, 0.3, 1.0])
def test_power_is_that_of_statsmodels(n: int, effect: float):
    """Statsmodels 0.14 ``TTestPower``, two-sided."""
    expected = np.nan_to_num(TTestPower().power(effect, n, 0.05), nan=1.0)  # where it gives up

    assert power_of_paired_test(n, 2 * effect, 2.0) == pytest.approx(expected, abs=1e-9)


def test_the_number_of_questions_finds_the_difference_four_times_in_five():
    """By simulation of the test itself: 20,000 samples, at the size found and far below it."""
    n = questions_needed(0.5, 1.0)
    rng = np.random.default_rng(1)

    def found(size: int) -> float:
        rows = rng.normal(0.5, 1.0, (20_000, size))
        t = rows.mean(axis=1) / (rows.std(axis=1, ddof=1) / np.sqrt(size))
        critical = 2.0345  # of Student's with 33 degrees of freedom
        return float((np.abs(t) > critical).mean())

    assert n == 34
    assert found(n) == pytest.approx(0.80, abs=0.012)
    assert power_of_paired_test(n - 1, 0.5, 1.0) < 0.80


def test_what_n_questions_find_is_the_inverse_of_how_many_are_needed():
    for difference in (0.1, 0.3, 0.9):
        n = questions_needed(difference, 1.1)
        assert difference_found(n, 1.1) <= difference < difference_found(n - 1, 1.1)


@pytest.mark.parametrize(("difference", "deviation"), [(0.0, 1.0), (0.3, 0.0)])
def test_no_difference_or_no_spread_has_no_size(difference: float, deviation: float):
    with pytest.raises(ValueError, match="must be above 0"):
        questions_needed(difference, deviation)


@needs_ratings
@pytest.mark.parametrize(
    ("attribute", "expected"),
    [("empathy", (85, 190, 760)), ("guidance", (90, 202, 806)), ("safety", (46, 104, 414))],
)
def test_public_ratings_need_as_many_questions_as_was_measured(
    attribute: str, expected: tuple[int, ...]
):
    """MentalAlign-70k, median spread of its 45 pairs; the normal curve, and Student's 2 more."""
    human = [table for (rater, _), table in mentalalign().items() if rater == "human"]
    row = ATTRIBUTES.index(attribute)
    spreads = [paired_spread((a[row] - b[row])[:, None]) for a, b in combinations(human, 2)]
    deviation = float(np.median([spread.deviation(1) for spread in spreads if spread]))
    z = (ndtri(0.975) + ndtri(0.8)) ** 2
    for difference, n in zip((0.3, 0.2, 0.1), expected, strict=True):
        assert z * (deviation / difference) ** 2 == pytest.approx(n, rel=0.01)
        assert questions_needed(difference, deviation) == pytest.approx(n + 2, abs=1 + n / 100)


def test_the_spread_is_split_between_questions_and_raters():
    """Planted parts are found, with raters missing; the spread of a mean falls with raters."""
    rng = np.random.default_rng(2)
    table = rng.normal(0.3, 0.6, (4000, 1)) + rng.normal(0, 0.9, (4000, 4))
    table[rng.random(table.shape) < 0.3] = np.nan
    spread = paired_spread(table)
    whole = rng.normal(0.3, 0.6, (4000, 1)) + rng.normal(0, 0.9, (4000, 3))

    assert spread is not None
    assert spread.questions == pytest.approx(0.36, abs=0.04)
    assert spread.raters == pytest.approx(0.81, abs=0.04)
    assert spread.deviation(3) == pytest.approx(whole.mean(axis=1).std(ddof=1), abs=0.02)


def test_a_balanced_split_is_that_of_the_mean_squares():
    """By hand: three questions, two raters; mean squares 6.5 and 1."""
    spread = paired_spread(np.array([[0.0, 2.0], [1.0, 1.0], [4.0, 6.0 - 1.0]]))

    # means 1, 1, 4.5; grand 13/6; between = 2 (2 (7/6)^2 + (7/3)^2) / 2; within = 2.5 / 3
    assert spread == PairedSpread(
        pytest.approx((49 / 18 + 49 / 9 - 2.5 / 3) / 2), pytest.approx(2.5 / 3), 3
    )


def test_one_rating_a_question_promises_nothing_of_more_raters():
    spread = paired_spread(np.array([[1.0], [2.0], [4.0], [np.nan]]))

    assert spread is not None
    assert spread.raters is None
    assert spread.deviation(1) == spread.deviation(5) == pytest.approx(np.std([1, 2, 4], ddof=1))


@pytest.mark.parametrize("table", [[[1.0]], [[np.nan], [2.0]], [[1.0], [1.0]]])
def test_no_spread_can_be_told_of_one_question_or_of_equal_ones(table: list[list[float]]):
    assert paired_spread(np.array(table)) is None


def test_a_judge_saves_what_a_regression_on_it_does_and_never_over_half():
    """Against the variance of the tuned estimator over 4,000 simulated samples."""
    rng = np.random.default_rng(3)
    rho, n_rated, n = 0.6, 100, 400
    human = rng.normal(size=(4000, n))
    judge = rho * human + np.sqrt(1 - rho**2) * rng.normal(size=(4000, n))
    slope = rho * (1 - n_rated / n)  # the best weight of PPI++ for unit variances
    corrected = human[:, :n_rated].mean(1) + slope * (judge.mean(1) - judge[:, :n_rated].mean(1))
    measured = human[:, :n_rated].mean(1).var() / corrected.var()

    assert judge_gain(rho, n_rated, n) == pytest.approx(1 / (1 - 0.36 * 0.75))
    assert measured == pytest.approx(judge_gain(rho, n_rated, n), rel=0.08)
    assert judge_gain(1.0, 10, 10_000) == judge_gain(0.99, 10, 10**9) == 2.0
    assert judge_gain(-0.8, 10, 1000) == judge_gain(0.0, 10, 1000) == 1.0


def test_questions_beside_a_judge_lie_between_half_and_all():
    assert questions_with_judge(200, 0.0, 1000) == 200
    assert questions_with_judge(200, 1.0, 10**6) == 100
    beside = questions_with_judge(200, 0.6, 1000)
    assert 100 < beside < 200
    assert beside * judge_gain(0.6, beside, 1000) >= 200
    assert (beside - 1) * judge_gain(0.6, beside - 1, 1000) < 200
