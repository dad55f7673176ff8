"""A preference at equal length is statsmodels' fit at 0, covers, and is refused where it is not."""

import numpy as np
import pytest
from scipy.special import betaincinv, expit, logit, ndtr

from empathy_core.stats import AdjustedPreference, preference_at_equal_length

pytestmark = pytest.mark.filterwarnings("error")

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
BASE, SLOPE = 0.4, 1.2
"""Log-odds at equal length, and how much of them length adds at most."""


def made(random: np.random.Generator, n_questions: int, hard: bool = False) -> Rows:
    """Return preferences of one to three rows a question; the first is mostly the longer one."""
    clusters = np.repeat(np.arange(n_questions), random.integers(1, 4, n_questions))
    n = len(clusters)
    first, second = random.lognormal(6.4, 0.4, n), random.lognormal(6.2, 0.4, n)
    spread = np.sqrt((np.exp(0.16) - 1) * (np.exp(12.8 + 0.16) + np.exp(12.4 + 0.16)))
    p = expit(BASE + SLOPE * np.tanh((first - second) / spread))
    shared = random.normal(size=n_questions)[clusters]
    chance = ndtr(np.sqrt(0.4) * shared + np.sqrt(0.6) * random.normal(size=n))
    y = (chance > 1 - p).astype(float) if hard else betaincinv(2 * p, 2 * (1 - p), chance)
    return y, first, second, clusters


def plain(n: int) -> Rows:
    """Return *n* rows of a question each, whose lengths overlap."""
    random = np.random.default_rng(7)
    return random.random(n), random.normal(500, 90, n), random.normal(500, 90, n), np.arange(n)


def test_it_is_statsmodels_fit_at_equal_length():
    """GLM of statsmodels 0.15 with clusters, its own small-sample factor off, times C / (C - 1)."""
    import statsmodels.api as sm
    from scipy.stats import t

    y, first, second, clusters = made(np.random.default_rng(1), 80)
    d = first - second
    design = sm.add_constant(np.tanh(d / np.std(d, ddof=1)))
    fit = sm.GLM(y, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False},
        tol=1e-14, tol_criterion="params", maxiter=200,
    )  # fmt: skip
    sizes = np.bincount(clusters)
    quantile = t.ppf(0.975, sizes.sum() ** 2 / (sizes**2).sum() - 1)
    half = quantile * fit.bse * np.sqrt(80 / 79)

    found = preference_at_equal_length(y, first, second, clusters)

    assert found.raw == pytest.approx(y.mean())
    assert found.adjusted == pytest.approx(expit(fit.params[0]), abs=1e-9)
    assert found.slope == pytest.approx(fit.params[1], abs=1e-8)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        expit(fit.params[0] + half[0] * np.array([-1, 1])), abs=1e-7
    )
    assert found.slope_interval.high == pytest.approx(fit.params[1] + half[1], abs=1e-6)
    assert (found.n, found.n_left_out, found.n_clusters) == (len(y), 0, 80)


def test_it_is_where_scipy_finds_the_likelihood_highest():
    from scipy.optimize import minimize

    y, first, second, clusters = made(np.random.default_rng(2), 50)
    x = np.tanh((first - second) / np.std(first - second, ddof=1))

    def loss(b: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-b[0] - b[1] * x))
        return -float(np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)))

    best = minimize(loss, np.zeros(2), tol=1e-9).x

    found = preference_at_equal_length(y, first, second, clusters)
    assert (logit(found.adjusted), found.slope) == pytest.approx(best, abs=1e-5)


@pytest.mark.slow  # thousands of fits
@pytest.mark.parametrize(("n_questions", "hard"), [(30, False), (30, True), (200, False)])
def test_the_interval_covers(n_questions: int, hard: bool):
    """93 to 97 % in 2,000 simulations; the raw preference is another number."""
    random = np.random.default_rng((n_questions, hard))
    covered, raw = [], []
    for _ in range(2000):
        found = preference_at_equal_length(*made(random, n_questions, hard))
        if found.interval is not None:
            covered.append(found.interval.low <= expit(BASE) <= found.interval.high)
            raw.append(found.raw)

    assert len(covered) > 1900
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(raw) - expit(BASE) > 0.03


def test_which_condition_is_the_first_does_not_matter():
    y, first, second, clusters = plain(60)
    found = preference_at_equal_length(y, first, second, clusters)
    other = preference_at_equal_length(1 - y, second, first, clusters)

    assert other.adjusted == pytest.approx(1 - found.adjusted)
    assert other.interval.low == pytest.approx(1 - found.interval.high)
    assert other.slope == pytest.approx(found.slope)


def test_a_judge_that_follows_length_alone_is_adjusted_to_no_preference():
    _, first, second, clusters = plain(400)
    first = first + 120
    y = expit(3 * np.tanh((first - second) / 130))
    found = preference_at_equal_length(y, first, second, clusters)

    assert found.raw > 0.75
    assert found.adjusted == pytest.approx(0.5, abs=0.03)
    assert found.moved


def test_an_adjustment_of_less_than_ten_points_is_not_said_to_move():
    assert not preference_at_equal_length(*plain(60)).moved


def test_equal_lengths_leave_the_preference_as_it_is():
    """Its interval is that of the mean's log-odds."""
    y = np.random.default_rng(3).random(40)
    found = preference_at_equal_length(y, np.full(40, 300), np.full(40, 300), np.arange(40))

    assert found.adjusted == pytest.approx(y.mean())
    assert found.interval.low < y.mean() < found.interval.high
    assert found.slope is None


def test_rows_without_preference_or_answer_are_left_out_and_counted():
    y, first, second, clusters = plain(60)
    y, first = y.copy(), first.copy()
    y[:5], first[5:7] = np.nan, np.nan
    found = preference_at_equal_length(y, first, second, clusters)

    assert (found.n, found.n_left_out, found.n_clusters) == (53, 7, 53)
    kept = preference_at_equal_length(y[7:], first[7:], second[7:], clusters[7:])
    assert (found.adjusted, found.interval) == (kept.adjusted, kept.interval)


# ---------------------------------------------------------------------------- refusals


def refused(found: AdjustedPreference) -> str:
    assert found.adjusted is None
    assert found.interval is None
    return str(found.refusal)


@pytest.mark.parametrize("sign", [1, -1])
def test_lengths_that_do_not_overlap_are_refused(sign: int):
    """In 2 of 100 rows only has the first the shorter (longer) answer."""
    y, _, second, clusters = plain(100)
    first = second + sign * np.r_[-20, -40, np.full(98, 300)]
    found = preference_at_equal_length(y, first, second, clusters)

    assert "do not overlap: in 98%" in refused(found)
    assert f"the answer is {'longer' if sign > 0 else 'shorter'}" in refused(found)
    assert found.raw == pytest.approx(y.mean())


def test_a_constant_difference_is_refused_too():
    y, _, second, clusters = plain(40)

    assert "do not overlap" in refused(preference_at_equal_length(y, second + 9, second, clusters))


def test_ten_in_a_hundred_overlap_enough():
    y, _, second, clusters = plain(100)
    first = second + np.r_[np.full(10, -40), np.full(90, 300)]

    assert preference_at_equal_length(y, first, second, clusters).adjusted is not None


@pytest.mark.parametrize("kind", ["longer wins", "first wins"])
def test_separated_preferences_are_refused(kind: str):
    _, first, second, clusters = plain(60)
    y = (first > second).astype(float) if kind == "longer wins" else np.ones(60)

    assert "infinite" in refused(preference_at_equal_length(y, first, second, clusters))


def test_few_questions_have_a_value_without_interval():
    found = preference_at_equal_length(*plain(19))

    assert found.adjusted is not None
    assert found.interval is None
    assert "19 questions" in str(found.refusal)


def test_no_row_is_a_refusal():
    assert "no row" in refused(preference_at_equal_length(*np.zeros((4, 0))))


@pytest.mark.parametrize(
    ("rows", "said"),
    [(([1.2], [5], [5], [0]), "outside 0 to 1"), (([0.2], [5, 6], [5], [0]), "do not fit")],
)
def test_what_is_no_preference_is_an_error(rows: tuple[list[float], ...], said: str):
    with pytest.raises(ValueError, match=said):
        preference_at_equal_length(*map(np.array, rows))
