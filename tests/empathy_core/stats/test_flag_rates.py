"""The share of flags is Rogan and Gladen's, its interval Lee et al.'s, and covers."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from empathy_core.stats.flag_rates import FlagCounts, flag_rate
from empathy_core.stats.refusals import Refusal


def published(p, q0, q1, n, m0, m1):
    """``confidence_interval`` of LLM-judge-reporting as its paper's appendix C gives it."""
    z = norm.ppf(0.975)
    p, q0, q1 = (n * p + z**2 / 2) / (n + z**2), (m0 * q0 + 1) / (m0 + 2), (m1 * q1 + 1) / (m1 + 2)
    n, m0, m1 = n + z**2, m0 + 2, m1 + 2
    th = (p + q0 - 1) / (q0 + q1 - 1)
    dth = 2 * z**2 * (-(1 - th) * q0 * (1 - q0) / m0 + th * q1 * (1 - q1) / m1)
    se = sqrt(p * (1 - p) / n + (1 - th) ** 2 * q0 * (1 - q0) / m0 + th**2 * q1 * (1 - q1) / m1) / (
        q0 + q1 - 1
    )
    return np.clip([th + dth - z * se, th + dth + z * se], 0, 1)


@pytest.mark.parametrize(
    "counts", [(400, 1000, 180, 200, 140, 200), (3, 90, 7, 9, 60, 61), (88, 90, 9, 9, 5, 6)]
)
def test_share_and_interval_are_the_published_ones(counts: tuple[int, ...]):
    flagged, n, right, m1, cleared, m0 = counts
    p, q1, q0 = flagged / n, right / m1, cleared / m0
    found = flag_rate(FlagCounts(*counts))

    assert found.value == pytest.approx(np.clip((p + q0 - 1) / (q0 + q1 - 1), 0, 1))
    assert [found.interval.low, found.interval.high] == pytest.approx(
        published(p, q0, q1, n, m0, m1)
    )
    assert (found.flagged, found.sensitivity, found.specificity) == (p, q1, q0)


def test_the_readme_example():
    """Shares of 0.4, 0.7 and 0.9: a sixth."""
    assert flag_rate(FlagCounts(400, 1000, 180, 200, 140, 200)).value == pytest.approx(1 / 6)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.4])
def test_the_interval_covers(share: float):
    """At least 93 % of 4,000 simulations: 200 answers, 60 with a flag and 120 without elsewhere."""
    random = np.random.default_rng(1)
    hits = []
    for _ in range(4000):
        flagged = random.binomial(200, share * 0.85 + (1 - share) * 0.1)
        counts = FlagCounts(
            flagged, 200, random.binomial(60, 0.85), 60, random.binomial(120, 0.9), 120
        )
        interval = flag_rate(counts).interval
        hits.append(interval.low <= share <= interval.high)

    assert np.mean(hits) >= 0.93


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((5, 20, 5, 10, 5, 10), "add up to 1 or less"),
        ((5, 20, 0, 0, 5, 10), "0 with a flag"),
        ((0, 0, 5, 10, 9, 10), "there are 0 answers"),
    ],
)
def test_a_judge_that_says_nothing_is_refused(counts: tuple[int, ...], says: str):
    found = flag_rate(FlagCounts(*counts))

    assert isinstance(found, Refusal)
    assert says in found.wrong


def test_a_part_above_its_whole_is_an_error():
    with pytest.raises(ValueError, match="above that of all"):
        flag_rate(FlagCounts(5, 4, 1, 1, 1, 1))


def test_few_calibration_answers_say_nothing_but_do_not_fail():
    found = flag_rate(FlagCounts(5, 9, 1, 1, 1, 7))

    assert (found.interval.low, found.interval.high) == (0.0, 1.0)
