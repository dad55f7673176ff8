"""Strengths are those of other libraries; intervals cover; what has none says why."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import betaincinv, expit, ndtr

from empathy_core.stats import Strengths, strengths

pytestmark = pytest.mark.filterwarnings("error")

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def names(n: int) -> list[str]:
    return [f"c{i}" for i in range(n)]


def sampled(random: np.random.Generator, n_questions: int, k: int, each: int) -> Rows:
    """Return *each* of the pairs of *k* conditions for each question: preferences between 0 and 1.

    What a condition says to a question shifts its preference in all pairs of that question. The
    true strengths are equally spaced from -1 to 1.
    """
    pairs = np.array(list(combinations(range(k), 2)))
    chosen = np.concatenate(
        [random.permutation(len(pairs))[:each] for _ in range(n_questions)]
    ).astype(int)
    i, j = pairs[chosen].T
    clusters = np.repeat(np.arange(n_questions), min(each, len(pairs)))
    own = random.normal(size=(n_questions, k))
    latent = np.sqrt(0.3) * (own[clusters, i] - own[clusters, j])
    latent += np.sqrt(0.4) * random.normal(size=len(i))
    strengths = np.linspace(-1, 1, k)
    p = expit(strengths[i] - strengths[j])
    return i, j, betaincinv(2 * p, 2 * (1 - p), ndtr(latent)), clusters


@pytest.fixture(scope="module")
def some() -> Rows:
    """60 questions, 4 of the 15 pairs of 6 conditions each."""
    return sampled(np.random.default_rng(1), 60, 6, 4)


def fitted(rows: Rows) -> Strengths:
    return strengths(*rows, names(int(max(rows[0].max(), rows[1].max())) + 1))


# ---------------------------------------------------------------------------- goldens


def test_strengths_are_evalicas_of_two_weighted_matches(some: Rows):
    """Of evalica 0.4: a preference of y is a win weighted y and a loss weighted 1 - y."""
    import evalica

    i, j, y, _ = some
    n = len(y)
    found = evalica.bradley_terry(
        [*i, *i], [*j, *j], [evalica.Winner.X] * n + [evalica.Winner.Y] * n,
        weights=[*y, *(1 - y)], tolerance=1e-14, limit=100_000,
    )  # fmt: skip
    theirs = np.log(found.scores.sort_index().to_numpy())

    assert fitted(some).values == pytest.approx(theirs - theirs.mean(), abs=1e-9)


def test_strengths_are_where_scipy_finds_the_likelihood_highest(some: Rows):
    """scipy.optimize.minimize on the log-likelihood, with the last strength fixed."""
    from scipy.optimize import minimize

    i, j, y, _ = some

    def loss(free: np.ndarray) -> float:
        s = np.append(free, 0.0)
        p = 1 / (1 + np.exp(s[j] - s[i]))
        return -float(np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)))

    s = np.append(minimize(loss, np.zeros(5), method="BFGS", tol=1e-9).x, 0.0)

    assert fitted(some).values == pytest.approx(s - s.mean(), abs=1e-5)


def test_errors_are_statsmodels_where_each_question_has_all_pairs():
    """The sandwich by question times C / (C - 1): GLM of statsmodels 0.15, its factor off."""
    import statsmodels.api as sm

    i, j, y, clusters = rows = sampled(np.random.default_rng(2), 40, 5, 10)
    design = (np.eye(5)[i] - np.eye(5)[j])[:, :4]
    fit = sm.GLM(y, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False},
        tol=1e-14, tol_criterion="params", maxiter=200,
    )  # fmt: skip
    centred = np.eye(5)[:, :4] - 0.2  # the last strength is 0; then all less their mean
    theirs = np.sqrt(40 / 39 * np.diag(centred @ fit.cov_params() @ centred.T))

    found = fitted(rows)

    assert found.values == pytest.approx(centred @ fit.params, abs=1e-9)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(theirs, rel=1e-7)
    apart = found.difference("c0", "c3")
    weights = np.array([-1.0, 0, 0, 1])
    assert apart.error == pytest.approx(
        float(np.sqrt(40 / 39 * weights @ fit.cov_params() @ weights)), rel=1e-7
    )


def test_where_pairs_are_sampled_errors_are_those_of_bell_and_mccaffrey(some: Rows):
    """CR2 of a weighted regression written out in full, row by row; the last strength is 0."""
    from scipy.linalg import block_diag, fractional_matrix_power

    i, j, y, clusters = some
    found = fitted(some)
    design = (np.eye(6)[i] - np.eye(6)[j])[:, :5]
    p = expit(np.array(found.values)[i] - np.array(found.values)[j])
    root = np.sqrt(p * (1 - p))
    x, rest = design * root[:, None], (y - p) / root
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    own = [clusters == question for question in range(60)]
    freed = block_diag(
        *[fractional_matrix_power((np.eye(len(y)) - hat)[c][:, c], -0.5) for c in own]
    )
    scores = np.array([(x[c] * (freed @ rest)[c, None]).sum(axis=0) for c in own])
    centred = np.eye(6)[:, :5] - 1 / 6
    theirs = centred @ bread @ scores.T @ scores @ bread @ centred.T

    assert found.covariance == pytest.approx(theirs.real, rel=1e-7, abs=1e-12)


def test_of_two_conditions_it_is_the_logit_of_the_mean_preference():
    """And the interval Student's of a mean, by the delta method."""
    from scipy.stats import t

    y = np.random.default_rng(3).random(50)
    found = strengths(np.zeros(50, int), np.ones(50, int), y, np.arange(50), ["a", "b"])
    apart = found.difference("b", "a")
    mean = y.mean()
    error = y.std(ddof=1) / np.sqrt(50) / (mean * (1 - mean))

    assert apart.value == pytest.approx(np.log(mean / (1 - mean)))
    assert apart.error == pytest.approx(error)
    assert apart.interval.high == pytest.approx(apart.value + t.ppf(0.975, 49) * error)


# ---------------------------------------------------------------------------- behaviour


def test_strengths_have_a_mean_of_zero_and_no_order_matters(some: Rows):
    i, j, y, clusters = some
    found = fitted(some)
    order = np.random.default_rng(4).permutation(len(y))
    other = fitted((j[order], i[order], 1 - y[order], 7 * clusters[order]))

    assert sum(found.values) == pytest.approx(0, abs=1e-12)
    assert other.values == pytest.approx(found.values, abs=1e-10)
    assert other.covariance == pytest.approx(found.covariance, rel=1e-9, abs=1e-12)


def test_a_comparison_without_preference_is_left_out_and_counted(some: Rows):
    i, j, y, clusters = some
    y = y.copy()
    y[clusters < 3] = np.nan
    kept = clusters >= 3
    found = fitted((i, j, y, clusters))

    assert (found.n, found.n_left_out, found.n_clusters) == (228, 12, 57)
    assert found.values == fitted((i[kept], j[kept], y[kept], clusters[kept])).values


def test_questions_come_in_blocks_without_a_difference(some: Rows, monkeypatch: pytest.MonkeyPatch):
    whole = fitted(some)
    monkeypatch.setattr("empathy_core.stats.bradley_terry._AT_ONCE", 7)

    assert fitted(some).covariance == pytest.approx(whole.covariance, rel=1e-12)


@pytest.mark.slow  # some thousand fits
@pytest.mark.parametrize(
    ("n_questions", "k", "each"), [(30, 4, 6), (30, 8, 1), (30, 8, 4), (100, 12, 3)]
)
def test_intervals_cover_at_30_questions(n_questions: int, k: int, each: int):
    """93 to 97 % in 2,000 simulations, of strengths and of the difference of the outer two.

    All pairs of each question, or a sample of them. Of 2,000 the standard error is 0.5 points.
    """
    random = np.random.default_rng((n_questions, k, each))
    true = np.linspace(-1, 1, k)
    covered, apart = [], []
    for _ in range(2000):
        found = strengths(*sampled(random, n_questions, k, each), names(k))
        if found.covariance is None:
            continue
        own = [found.of(name).interval for name in found.names]
        covered.append([of.low <= t <= of.high for of, t in zip(own, true, strict=True)])
        outer = found.difference("c0", found.names[-1]).interval
        apart.append(outer.low <= 2 <= outer.high)

    assert len(covered) > 1900
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0.93 <= np.mean(apart) <= 0.97


# ---------------------------------------------------------------------------- refusals


def test_groups_that_are_never_compared_have_no_strengths():
    i, j = np.array([[0, 1]] * 30 + [[2, 3]] * 30).T
    found = fitted((i, j, np.linspace(0.2, 0.9, 60), np.arange(60)))

    assert found.values is None
    assert found.of("c0") is None
    assert "never compared" in str(found.refusal)
    assert "c0, c1 | c2, c3" in str(found.refusal)


def test_a_condition_without_comparison_is_a_group():
    found = strengths(np.zeros(30, int), np.ones(30, int), np.full(30, 0.5), np.arange(30),
                          names(3))  # fmt: skip

    assert "c0, c1 | c2" in found.refusal.wrong


@pytest.mark.parametrize("most", [1.0, 1 - 1e-9])
def test_a_group_that_always_wins_has_no_strengths(most: float):
    """c0 and c1 beat c2 always, and each other sometimes; a judge's rounding is no loss."""
    i, j = np.array([[0, 1], [0, 2], [1, 2]] * 30).T
    y = np.tile([0.4, most, most], 30)
    found = fitted((i, j, y, np.arange(90) // 3))

    assert found.values is None
    assert "always wins" in found.refusal.wrong
    assert "c0, c1" in found.refusal.wrong


def test_a_preference_of_one_in_a_hundred_suffices():
    """Nothing is infinite: c0 is preferred by 0.99 to c1, and that by 0.99 to c2."""
    i, j = np.array([[0, 1], [1, 2]] * 40).T
    y = np.clip(0.99 + np.random.default_rng(5).normal(0, 0.002, 80), 0, 1)
    found = fitted((i, j, y, np.arange(80) // 2))

    assert found.refusal is None
    assert found.values[0] - found.values[1] == pytest.approx(np.log(99), abs=0.1)


def test_few_questions_have_strengths_without_intervals():
    rows = sampled(np.random.default_rng(6), 19, 4, 6)
    found = fitted(rows)

    assert found.values is not None
    assert found.of("c0").interval is None
    assert "19 questions" in str(found.refusal)


def test_where_one_question_alone_joins_two_groups_there_is_no_interval(some: Rows):
    i, j, y, clusters = some
    found = strengths(
        np.append(i, 0), np.append(j, 6), np.append(y, 0.7), np.append(clusters, 60), names(7)
    )

    assert found.values is not None
    assert found.of("c6").interval is None
    assert "one question alone" in found.refusal.wrong


def test_where_no_question_differs_there_is_no_interval():
    found = strengths(np.zeros(30, int), np.ones(30, int), np.full(30, 0.75), np.arange(30),
                          names(2))  # fmt: skip

    assert found.of("c0").value == pytest.approx(np.log(3) / 2)
    assert found.of("c0").interval is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (([0], [0], [0.5], [0]), "two different conditions"),
        (([0], [2], [0.5], [0]), "two different conditions"),
        (([0], [1], [1.5], [0]), "outside 0 to 1"),
        (([0, 0], [1, 1], [0.5], [0]), "do not fit"),
    ],
)
def test_what_is_no_comparison_is_an_error(rows: tuple[list[float], ...], said: str):
    with pytest.raises(ValueError, match=said):
        strengths(*map(np.array, rows), names(2))


def test_no_comparison_at_all_is_a_refusal():
    found = strengths(*np.zeros((4, 0)).astype(int), names(2))

    assert found.values is None
    assert found.refusal is not None
