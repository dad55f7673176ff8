"""Correlations within questions and over conditions: against SciPy, statsmodels and simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from empathy_core.stats import Resampler, across_conditions, within_questions
from empathy_core.stats.correlation import remainder

pytestmark = pytest.mark.filterwarnings("error")

QUESTIONS = np.repeat(np.arange(30), 2)
FEW = Resampler(QUESTIONS, 400, seed=3)


def scores(random: np.random.Generator, n: int, rho: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two scores of 4 conditions and *n* rows: *rho* within, strong effects of both."""
    x = random.normal(size=(4, n))
    y = rho * x + np.sqrt(1 - rho**2) * random.normal(size=(4, n))
    rows, conditions = random.normal(size=n), np.arange(4)[:, None]
    return x + 3 * rows + 2 * conditions, y - 3 * rows + 5 * conditions


def gaps(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Return the values with one in five missing."""
    return np.where(random.random(values.shape) < 0.2, np.nan, values)


def by_statsmodels(values: np.ndarray) -> np.ndarray:
    """Return the residuals of an ordinary regression on dummies of row and condition."""
    import statsmodels.formula.api as smf  # 0.14

    places = np.argwhere(~np.isnan(values))
    frame = pd.DataFrame(places, columns=["condition", "row"]).assign(y=values[tuple(places.T)])
    found = np.zeros_like(values)
    found[tuple(places.T)] = smf.ols("y ~ C(row) + C(condition)", frame).fit().resid
    return found


# ---------------------------------------------------------------------------- within questions


def test_what_remains_is_the_residual_of_a_regression_on_row_and_condition():
    """With cells missing here and there, too."""
    random = np.random.default_rng(0)
    values = gaps(random, scores(random, 60, 0.5)[0])

    assert remainder(values) == pytest.approx(by_statsmodels(values), abs=1e-9)


def test_within_questions_it_is_the_correlation_of_residuals():
    """Of the cells that have both scores, in rows with two of them; n and questions are theirs."""
    random = np.random.default_rng(1)
    x, y = (gaps(random, of) for of in scores(random, 60, 0.5))
    kept = ~np.isnan(x) & ~np.isnan(y)
    kept &= kept.sum(axis=0) > 1
    sides = [by_statsmodels(np.where(kept, of, np.nan))[kept] for of in (x, y)]
    ranked = []
    for side in sides:
        ranks = np.full(x.shape, np.nan)
        ranks[kept] = side
        ranks = rankdata(ranks, axis=0, nan_policy="omit")
        ranked.append(by_statsmodels(ranks)[kept])

    ((found,),) = within_questions([x], [y], FEW)

    assert found.pearson.value == pytest.approx(pearsonr(*sides).statistic, abs=1e-9)
    assert found.spearman.value == pytest.approx(pearsonr(*ranked).statistic, abs=1e-9)
    assert (found.n, found.n_clusters) == (kept.sum(), len(set(QUESTIONS[kept.any(axis=0)])))


def test_easy_questions_and_good_conditions_make_no_correlation():
    """They make nearly all of the plain one."""
    random = np.random.default_rng(2)
    x, y = scores(random, 400, 0.0)
    common, better = 5 * random.normal(size=400), 5 * np.arange(4)[:, None]

    ((found,),) = within_questions([x + common], [y + better + common], Resampler.by(range(400)))

    assert pearsonr((x + common).ravel(), (y + better + common).ravel()).statistic > 0.3
    assert abs(found.pearson.value) < 0.1
    assert found.pearson.interval.low < 0 < found.pearson.interval.high


def test_ranks_within_a_question_weigh_no_question_more():
    """Two questions whose answers are scored a hundred times as far apart decide Pearson's."""
    random = np.random.default_rng(3)
    x, y = scores(random, 60, 0.6)
    far = 100 * np.arange(4)
    x[:, 0], y[:, 0], x[:, 1], y[:, 1] = far, -far, -far, far

    ((found,),) = within_questions([x], [y], FEW)

    assert found.pearson.value < -0.9
    assert found.spearman.value > 0.3


def test_equal_answers_of_two_conditions_share_a_rank():
    """As of two names of one model: rounding in what remains must not order them by chance."""
    random = np.random.default_rng(13)
    x, y = (of / 3 for of in scores(random, 60, 0.6))
    twice = [np.vstack([of, of]) for of in (x, y)]
    ranks = [rankdata(np.vstack([r, r]), axis=0) for r in (remainder(x), remainder(y))]
    theirs = pearsonr(*(by_statsmodels(of).ravel() for of in ranks)).statistic

    ((found,),) = within_questions([twice[0]], [twice[1]], FEW)

    assert found.spearman.value == pytest.approx(theirs, abs=1e-12)


def test_many_columns_are_each_pair_alone():
    """Whatever cells the others lack: first by second, to the last digit but of shared grids."""
    random = np.random.default_rng(4)
    first = [scores(random, 60, 0.3)[0] for _ in range(3)]
    second = [gaps(random, of + random.normal(size=of.shape)) for of in first[:2]]

    found = within_questions(first, second, FEW)

    for i, x in enumerate(first):
        for j, y in enumerate(second):
            assert found[i][j] == within_questions([x], [y], FEW)[0][0]
    assert found[0][0].pearson.value > 0.5 > found[1][0].pearson.value


def test_an_interval_is_of_literal_resamples_of_questions():
    """Residuals of the rows of each drawn question, correlated; quantiles a little further out."""
    random = np.random.default_rng(5)
    x, y = scores(random, 60, 0.5)
    sides = [remainder(of) for of in (x, y)]
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([2 * q + np.array([0, 1]) for q in random.integers(30, size=30)])
        xy, xx, yy = (
            (sides[a][:, rows] * sides[b][:, rows]).sum() for a, b in ((0, 1), (0, 0), (1, 1))
        )
        drawn.append(xy / np.sqrt(xx * yy))

    ((found,),) = within_questions([x], [y], Resampler(QUESTIONS, 2000))

    low, high = np.quantile(drawn, [0.02, 0.98])  # 2.5 % widened for 30 questions
    assert found.pearson.interval.low == pytest.approx(low, abs=0.03)
    assert found.pearson.interval.high == pytest.approx(high, abs=0.03)


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("shape", ["normal", "skewed", "scale of 1 to 5"])
def test_intervals_cover(n: int, shape: str):
    """95 % of them, within what 300 simulations tell, both coefficients."""

    def drawn(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = (of / 4 for of in scores(random, size, 0.5))
        if shape == "skewed":
            return np.exp(x / 4), y
        return x, (np.clip(np.round(y), 1, 5) if shape != "normal" else y)

    x, y = drawn(np.random.default_rng(6), 40_000)
    ((true,),) = within_questions([x], [y], Resampler(np.arange(40_000), 1))
    covered = np.zeros(2)
    for seed in range(300):
        x, y = drawn(np.random.default_rng((7, seed)), n)
        ((found,),) = within_questions([x], [y], Resampler(np.arange(n), 599, seed % 8))
        for k, (of, truth) in enumerate(
            ((found.pearson, true.pearson), (found.spearman, true.spearman))
        ):
            covered[k] += of.interval.low <= truth.value <= of.interval.high

    assert covered.min() / 300 > 0.905
    assert covered.max() / 300 < 0.985


def test_what_does_not_vary_has_no_correlation():
    """Effects of row and condition alone leave rounding, which is nothing."""
    random = np.random.default_rng(8)
    x = random.normal(size=60) + np.array([0.1, 0.3, 1 / 3, 7.7])[:, None]
    y = scores(random, 60, 0.0)[1]

    ((found,),) = within_questions([x], [y], FEW)

    assert found.pearson.value is found.spearman.value is None
    assert found.pearson.interval is None


def test_few_questions_have_a_correlation_and_no_interval():
    """Nineteen are one too few; a perfect one has none either."""
    random = np.random.default_rng(9)
    x, y = scores(random, 19, 0.5)

    ((few,),) = within_questions([x], [y], Resampler.by(range(19)))
    ((perfect,),) = within_questions([x], [-2 * x], Resampler.by(range(19)))

    assert few.pearson.value is not None
    assert few.pearson.interval is few.spearman.interval is None
    assert perfect.pearson.value == pytest.approx(-1)


def test_rows_without_two_answers_are_no_evidence():
    """Where no row has two there is no number at all."""
    x = np.full((3, 60), np.nan)
    x[0] = np.arange(60)

    ((found,),) = within_questions([x], [x], FEW)

    assert (found.pearson.value, found.n, found.n_clusters) == (None, 0, 0)


def test_scores_of_other_rows_are_refused():
    """Rather than broadcast."""
    with pytest.raises(ValueError, match="do not fit"):
        within_questions([np.zeros((2, 60))], [np.zeros((3, 60))], FEW)
    with pytest.raises(ValueError, match="do not fit"):
        within_questions([np.zeros((2, 50))], [np.zeros((2, 50))], FEW)


# ---------------------------------------------------------------------------- over conditions


def test_over_conditions_it_is_scipys():
    """Value and Fisher's interval, where each condition is a model of its own."""
    random = np.random.default_rng(10)
    x = random.normal(size=14)
    y = x + random.normal(size=14)
    theirs = pearsonr(x, y)

    found = across_conditions(x, y, range(14))

    assert found.pearson.value == pytest.approx(theirs.statistic, abs=1e-12)
    interval = theirs.confidence_interval(0.95)
    assert found.pearson.interval.low == pytest.approx(interval.low, abs=1e-9)
    assert found.pearson.interval.high == pytest.approx(interval.high, abs=1e-9)
    assert found.spearman.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert (found.n, found.n_clusters) == (14, 14)


def test_fewer_than_ten_conditions_have_no_interval():
    """Nor have ten of four models; a condition without one of the scores does not count."""
    random = np.random.default_rng(11)
    x, y = random.normal(size=(2, 11))
    y[3] = np.nan

    ten, nine = across_conditions(x, y, range(11)), across_conditions(x[1:], y[1:], range(10))
    four = across_conditions(x, y, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3])

    assert (ten.n, nine.n) == (10, 9)
    assert ten.pearson.interval is not None
    assert ten.spearman.interval is not None
    assert nine.pearson.interval is nine.spearman.interval is four.pearson.interval is None
    kept = [1, 2, *range(4, 11)]
    assert nine.pearson.value == pytest.approx(pearsonr(x[kept], y[kept]).statistic)


@pytest.mark.parametrize(("alike", "least", "most"), [(0.0, 0.95, 1.0), (1.0, 0.92, 0.985)])
def test_prompts_of_a_model_do_not_narrow_the_interval(alike: float, least: float, most: float):
    """However alike they are, 95 % or more cover; plain Fisher covers too few where they are."""
    random = np.random.default_rng(12)
    models = np.repeat(np.arange(8), 3)
    covered, plain = 0, 0
    for _ in range(1000):
        own, shared = random.normal(size=(2, 24)), random.normal(size=(2, 8))[:, models]
        x, noise = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own
        y = 0.6 * x + 0.8 * noise
        found = across_conditions(x, y, models).pearson
        covered += found.interval.low <= 0.6 <= found.interval.high
        if alike:
            interval = pearsonr(x, y).confidence_interval()
            plain += interval.low <= 0.6 <= interval.high

    assert least <= covered / 1000 <= most
    assert plain < 750


def test_equal_conditions_and_two_conditions_have_no_correlation():
    """Every line through two points is perfect."""
    assert across_conditions(np.ones(12), np.arange(12.0), range(12)).pearson.value is None
    assert across_conditions(np.arange(2.0), np.arange(2.0), range(2)).pearson.value is None
    assert across_conditions(np.arange(12.0), np.arange(12.0), range(12)).pearson.interval is None
