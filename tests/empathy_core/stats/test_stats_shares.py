"""Shares of rows: intervals of 0 events, of few, of clustered rows, and of differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core import metrics
from empathy_core.stats import (
    Interval,
    Resampler,
    compare_all,
    contrast,
    interval,
    of_few_clusters,
)
from empathy_core.types import Column
from tests.stats_rows import mean, rows

pytestmark = pytest.mark.filterwarnings("error")

SHARE = [Column("x", "X", share=True, least=0, most=1)]


def told(n: int, events: int) -> np.ndarray:
    """Return the statistics of *n* rows of which some show an event."""
    return rows(np.arange(n) < events)


def shares(values: np.ndarray, clusters: object, level: float = 0.95) -> Interval | None:
    """Return the interval of one share."""
    drawn = Resampler(np.asarray(clusters), 99, level=level)
    return interval(rows(values), mean, drawn, SHARE)[0].interval


# ---------------------------------------------------------------------------- one share


@pytest.mark.parametrize("n", [20, 30, 200, 787])
def test_no_event_in_n_questions_is_bounded_from_above(n: int):
    """0 of 30 is less than 9.5 %, not [0, 0]; all of 30 is more than 90.5 %."""
    none, all_ = (shares(np.full(n, of), range(n)) for of in (0.0, 1.0))

    bound = 1 - 0.05 ** (1 / n)
    assert (1 - bound) ** n == pytest.approx(0.05)
    assert (none.low, none.one_sided, all_.high, all_.one_sided) == (0, True, 1, True)
    assert none.high == pytest.approx(bound, rel=1e-12)
    assert all_.low == pytest.approx(1 - bound, rel=1e-12)


def test_no_event_in_many_answers_to_few_questions_is_as_of_the_questions():
    """Ten answers to each of 20: nobody knows how alike they are."""
    found = shares(np.zeros(200), np.repeat(np.arange(20), 10))

    assert found == shares(np.zeros(20), range(20))


@pytest.mark.parametrize(("events", "n"), [(1, 20), (3, 30), (29, 30), (40, 100), (7, 787)])
def test_rows_of_their_own_question_have_the_exact_binomial_interval(events: int, n: int):
    """``proportion_confint`` of statsmodels by ``beta``, to twelve digits."""
    from statsmodels.stats.proportion import proportion_confint

    found = shares(np.arange(n) < events, range(n))

    theirs = proportion_confint(events, n, method="beta")
    assert (found.low, found.high) == pytest.approx(theirs, rel=1e-12)
    assert not found.one_sided


def korn_graubard(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Return the interval of a share, from the paper, without any of our code."""
    from scipy.stats import beta, t

    n, names = len(values), np.unique(clusters)
    p = values.mean()
    residuals = [(values[clusters == c] - p).sum() / n for c in names]
    c = len(names)
    variance = c / (c - 1) * sum(r**2 for r in residuals)
    design = variance / (p * (1 - p) / (n - 1))
    size = min(n, n / design) * (t.ppf(0.975, n - 1) / t.ppf(0.975, c - 1)) ** 2
    events = p * size
    low = beta.ppf(0.025, events, size - events + 1)
    return float(low), float(beta.ppf(0.975, events + 1, size - events))


@pytest.mark.parametrize("seed", range(6))
def test_clustered_rows_have_korn_and_graubards_interval(seed: int):
    """Unequal clusters that are alike within, or not, or less than by chance."""
    random = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(30), random.integers(1, 9, 30))
    chance = random.beta(0.3, 2, 30)[clusters] if seed % 2 else 0.2
    values = (random.random(len(clusters)) < chance).astype(float)

    found = shares(values, clusters)

    assert (found.low, found.high) == pytest.approx(korn_graubard(values, clusters), rel=1e-9)


def test_answers_that_agree_count_once_and_tell_less_than_independent_ones():
    """Each row eight times: hardly more than the rows alone, far from eight times as many."""
    random = np.random.default_rng(3)
    values = (random.random(50) < 0.2).astype(float)
    clusters = np.repeat(np.arange(50), 8)
    alone, often = shares(values, range(50)), shares(np.repeat(values, 8), clusters)
    many = shares(np.repeat(values, 8), range(400))

    def width(of: Interval) -> float:
        return of.high - of.low

    assert width(often) == pytest.approx(width(alone), rel=0.05)
    assert width(many) < 0.45 * width(often)


def test_rows_that_do_not_tell_are_not_counted():
    """``cut_short`` of texts made elsewhere: 20 of 60 rows tell, and it is 20 that are few."""
    metric = metrics.load("diagnostics", {})
    statistics = np.zeros((60, len(metric.statistics)))
    statistics[:, -1] = 1
    statistics[:20, -2] = 1
    statistics[:3, metric.statistics.index("cut_short")] = 1

    found = interval(statistics, metric.score, Resampler.by(range(60), 99), metric.columns)

    by_name = {c.name: of for c, of in zip(metric.columns, found, strict=True)}
    short, empty = by_name["cut_short"], by_name["empty"]
    assert short.value == 3 / 20
    assert short.interval == shares(np.arange(20) < 3, range(20))
    assert empty.interval == shares(np.zeros(60), range(60))


def test_means_of_samples_are_shares_too():
    """Two samples a question, averaged: half an event is no error, and needs no whole number."""
    values = np.repeat([0.0, 0.5, 1.0, 0.5], 10)

    found = shares(values, range(40))

    assert 0.3 < found.low < 0.5 < found.high < 0.7


def test_what_is_no_share_is_refused():
    """A mean of percentages that is declared as a share of rows."""
    with pytest.raises(ValueError, match=r"outside 0 to 1.*columns x, which are declared"):
        shares(np.arange(30.0), range(30))


# ---------------------------------------------------------------------------- two shares


def test_two_shares_of_nothing_differ_by_little_and_it_is_said_by_how_much():
    """0 of 30 on both sides: the bootstrap's [0, 0] is an interval from -11.6 to 11.6 %."""
    drawn = Resampler.by(range(30), 99)

    (found,) = compare_all([told(30, 0)] * 2, mean, drawn, columns=SHARE).differences[0, 1]

    most = 1 - 0.025 ** (1 / 30)
    assert (found.value, found.p_randomization, found.standard_error) == (0, 1, None)
    assert (found.interval.low, found.interval.high) == pytest.approx((-most, most), rel=1e-9)
    assert found.narrow.high == pytest.approx(1 - 0.05 ** (1 / 30), rel=1e-9)


def mover(first: np.ndarray, second: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Return the interval of second less first from both sides', without any of our code."""
    p, q = first.mean(), second.mean()
    (l1, u1), (l2, u2) = korn_graubard(first, clusters), korn_graubard(second, clusters)
    sums = [
        [(of[clusters == c] - of.mean()).sum() for c in np.unique(clusters)]
        for of in (first, second)
    ]
    r = (np.array(sums[0]) @ sums[1]) / np.sqrt(np.square(sums[0]).sum() * np.square(sums[1]).sum())
    low = np.sqrt((q - l2) ** 2 + (u1 - p) ** 2 - 2 * r * (q - l2) * (u1 - p))
    high = np.sqrt((u2 - q) ** 2 + (p - l1) ** 2 - 2 * r * (u2 - q) * (p - l1))
    return q - p - low, q - p + high


def test_a_difference_of_shares_is_made_of_their_own_limits():
    """MOVER with the correlation over questions; a contrast of one pair is the pair."""
    random = np.random.default_rng(5)
    clusters = np.repeat(np.arange(40), random.integers(1, 5, 40))
    hard = random.normal(size=40)[clusters]
    sides = [(hard + random.normal(size=len(hard)) > of).astype(float) for of in (1.5, 1.0)]
    drawn = Resampler(clusters, 99)

    (found,) = compare_all(list(map(rows, sides)), mean, drawn, columns=SHARE).differences[0, 1]
    (alone,) = contrast([rows(sides[0])], [rows(sides[1])], mean, drawn, SHARE)

    assert (found.interval.low, found.interval.high) == pytest.approx(mover(*sides, clusters))
    assert alone.interval == found.interval
    assert alone.narrow == found.narrow


@given(
    st.integers(20, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 2), min_size=n, max_size=n),
            st.lists(st.integers(0, 2), min_size=n, max_size=n),
            st.lists(st.sampled_from([0, 0, 0, 1]), min_size=n, max_size=n),
        )
    )
)
@settings(deadline=None, max_examples=60)
def test_no_interval_is_of_no_width_nor_leaves_the_scale(sides):
    """Of shares and means, on any rows, some missing: it holds its value, or is not given."""
    first, second, missing = (np.array(of, dtype=float) for of in sides)
    stack = [rows(of / 2) for of in (first, second)]
    stack[1][missing > 0] = np.nan
    drawn = Resampler.by(np.arange(2 * len(first)) // 2 % len(first), 199)
    doubled = [np.concatenate([of, of]) for of in stack]
    for columns in (SHARE, [Column("x", "X", least=0, most=1)], ()):
        found = compare_all(doubled, mean, drawn, columns=columns)
        (apart,) = found.differences[0, 1]
        shown = [(of[0].value, of[0].interval) for of in found.estimates]
        for value, of in (*shown, (apart.value, apart.interval), (apart.value, apart.narrow)):
            if of is not None:
                assert of.low < of.high
                assert of.low - 1e-12 <= value <= of.high + 1e-12 or of is not shown
                if columns:
                    assert of.low >= -1
                    assert of.high <= 1
        if apart.narrow is not None:
            assert apart.interval.low <= apart.narrow.low
            assert apart.narrow.high <= apart.interval.high
        if columns is SHARE and apart.n_clusters >= 20:
            assert shown[0][1] is not None
            assert apart.interval is not None


# ---------------------------------------------------------------------------- few clusters


@pytest.mark.parametrize(("events", "n"), [(1, 3), (2, 3), (4, 9), (8, 9), (1, 19)])
def test_few_questions_have_the_exact_interval_in_which_each_is_a_row(events: int, n: int):
    """``proportion_confint`` of statsmodels by ``beta``."""
    from statsmodels.stats.proportion import proportion_confint

    found = of_few_clusters(events / n, n, 0.95)

    assert (found.low, found.high) == pytest.approx(proportion_confint(events, n, method="beta"))


def test_no_event_in_nine_is_what_the_rule_of_three_approximates():
    """0 of 9: less than 3/9; none in no question says nothing."""
    none, all_ = (of_few_clusters(share, 9, 0.95) for share in (0.0, 1.0))

    assert (none.low, none.one_sided) == (0, True)
    assert (1 - none.high) ** 9 == pytest.approx(0.05)
    assert none.high < 3 / 9
    assert all_.low == pytest.approx(1 - none.high)
    assert of_few_clusters(0.0, 0, 0.95) is None


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_few_questions_with_several_answers_cover_the_share(alike: float):
    """3 to 15 questions, three answers each, from independent to all alike: 95 % or more."""
    rng = np.random.default_rng(5)
    covered = []
    for n in (3, 6, 15):
        for true in (0.1, 0.4, 0.8):
            own = rng.random((2000, n, 1)) < true
            fresh = rng.random((2000, n, 3)) < true
            shown = np.where(rng.random((2000, n, 1)) < alike, own, fresh).mean(axis=(1, 2))
            for share in shown:
                found = of_few_clusters(float(share), n, 0.95)
                covered.append(found.low <= true <= found.high)

    assert np.mean(covered) >= 0.95
