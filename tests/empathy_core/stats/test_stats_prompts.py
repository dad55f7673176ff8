"""Prompts' spread and interaction, equal length, repeated runs: against other ways to them."""

import numpy as np
import pytest
import scipy.stats

from empathy_core.stats import (
    RESAMPLES,
    Resampler,
    components,
    contrast,
    interaction,
    interactions,
    length_adjusted,
    movers,
    paired_difference,
    resampling,
    spread,
    spreads,
    spreads_by_metric,
)
from tests.stats_rows import ALONE, BLEU, bleu_rows, clustered, mean, rows, texts

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def random() -> np.random.Generator:
    """Random numbers of this test's own."""
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- spread


def test_the_p_of_a_spread_is_scipys(random: np.random.Generator):
    """``permutation_test`` by samples of three prompts with the range as statistic."""
    from scipy.stats import permutation_test

    values = random.normal(size=(3, 100)) + np.array([[0], [0.1], [0.45]])
    test = permutation_test(
        values,
        lambda *prompts, axis: np.ptp([of.mean(axis=axis) for of in prompts], axis=0),
        permutation_type="samples", alternative="greater", n_resamples=RESAMPLES, rng=1,
    )  # fmt: skip

    (found,) = spread([rows(of) for of in values], mean, ALONE)

    assert found.value == pytest.approx(test.statistic, abs=1e-12)
    assert 0.01 < test.pvalue < 0.6
    assert found.p == pytest.approx(test.pvalue, abs=0.02)


def test_a_spread_is_the_literal_shuffle_of_clusters(random: np.random.Generator):
    """BLEU of four prompts: each cluster's rows change prompts in the order that was drawn."""
    labels = clustered(random, 25)
    references, systems = texts(len(labels), 0.5, 0.51, 0.52, 0.53)
    stack = np.stack([bleu_rows(system, references) for system in systems])
    stack[2, 4] = np.nan
    drawn = Resampler.by(labels, 300)
    kept = ~np.isnan(stack).any(axis=(0, 2))
    orders = resampling.orders(drawn, 4)
    ranges = []
    for places in orders.swapaxes(0, 1):
        moved = np.empty_like(stack)
        moved[places[:, labels], np.arange(len(labels))] = stack
        ranges.append(np.ptp(BLEU.score(moved[:, kept].sum(axis=1))[:, 0]))

    found = spread(list(stack), BLEU.score, drawn)[0]

    scores = BLEU.score(stack[:, kept].sum(axis=1))[:, 0]
    assert found.n == len(labels) - 1
    assert (found.lowest, found.highest) == (scores.argmin(), scores.argmax())
    assert found.value == pytest.approx(np.ptp(scores), abs=1e-12)
    assert found.p == (1 + np.sum(np.array(ranges) >= np.ptp(scores) - 1e-12)) / 301
    assert 0.01 < found.p < 1


def test_ranges_that_differ_by_rounding_alone_are_equal(random: np.random.Generator):
    """Of counts, many shuffles give the very range: they are counted in whole numbers."""
    values = random.integers(0, 4, (3, 49))
    drawn = Resampler.by(range(49), 4000)
    places = resampling.orders(drawn, 3)
    moved = [np.where(places == place, values[:, None], 0).sum(axis=(0, 2)) for place in range(3)]
    ranges, observed = np.ptp(moved, axis=0), np.ptp(values.sum(axis=1))

    (found,) = spread([rows(of) for of in values], mean, drawn)

    assert np.count_nonzero(ranges == observed) > 50
    assert found.p == (1 + np.count_nonzero(ranges >= observed)) / 4001


def test_a_spread_of_two_prompts_is_their_difference(random: np.random.Generator):
    """The same interval; the p is that of the randomisation, from other shuffles."""
    one, other = rows(random.normal(size=100)), rows(random.normal(size=100))

    (found,) = spread([one, other], mean, ALONE)
    (pair,) = paired_difference(
        *((one, other) if found.highest == 1 else (other, one)), mean, ALONE
    )

    assert found.value == pytest.approx(pair.value, abs=1e-12)
    assert found.interval.low == pytest.approx(pair.interval.low, abs=1e-12)
    assert found.interval.high == pytest.approx(pair.interval.high, abs=1e-12)
    assert found.p == pytest.approx(pair.p_randomization, abs=0.02)


def test_one_prompt_has_no_spread(random: np.random.Generator):
    """Nothing is apart, which is not a range of zero."""
    (found,) = spread([rows(random.normal(size=100))], mean, ALONE)

    assert (found.value, found.lowest, found.p, found.n) == (None, None, None, 100)


def test_the_spreads_of_several_models_are_those_of_each_alone(random: np.random.Generator):
    """To the last digit, though one has not scored some rows, and one too few for a test."""
    labels = clustered(random, 25)
    references, systems = texts(len(labels), *[0.5, 0.51, 0.52] * 3)
    stack = np.stack([bleu_rows(system, references) for system in systems])
    stack[4, [1, 5]] = np.nan
    stack[8, labels > 18] = np.nan
    groups = [list(stack[i : i + 3]) for i in (0, 3, 6)]
    drawn = Resampler.by(labels, 2500)

    found = spreads(groups, BLEU.score, drawn)

    assert found == tuple(spread(group, BLEU.score, drawn) for group in groups)
    assert [of[0].n for of in found[:2]] == [len(labels), len(labels) - 2]
    assert [of[0].p is None for of in found] == [False, False, True]
    assert found[0][0].p != found[1][0].p


def test_several_models_and_metrics_meet_one_drawing_of_the_shuffles(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
):
    """Each number is that of its metric alone, and no shuffle is drawn for each metric anew."""
    labels = clustered(random, 25)
    references, systems = texts(len(labels), *[0.5, 0.51, 0.52] * 2)
    counted = [bleu_rows(system, references) for system in systems]
    valued = [rows(random.normal(size=len(labels))) for _ in systems]
    asked = [([of[:3], of[3:]], score) for of, score in ((counted, BLEU.score), (valued, mean))]
    drawn = Resampler.by(labels, 2500)
    alone = tuple(spreads(groups, score, drawn) for groups, score in asked)
    drawings: list[tuple[int, ...]] = []
    generator = resampling._generator

    def listed(seed: int, *stream: int) -> np.random.Generator:
        drawings.append(stream)
        return generator(seed, *stream)

    monkeypatch.setattr(resampling, "_generator", listed)

    found = spreads_by_metric(asked, drawn)

    shuffles = [stream for stream in drawings if stream[0] == resampling._ORDERS]
    assert found == alone
    assert sorted(shuffles) == [(resampling._ORDERS, start) for start in range(0, 2500, 200)]


def test_spreads_of_unlike_numbers_of_prompts_are_refused(random: np.random.Generator):
    """The message says what was given."""
    one = rows(random.normal(size=100))

    with pytest.raises(ValueError, match="have 2, 1 of them"):
        spreads([[one, one], [one]], mean, ALONE)


# ---------------------------------------------------------------------------- interaction


def test_two_models_and_two_prompts_interact_as_their_contrast_says(random: np.random.Generator):
    """What remains of four scores is a quarter of the difference of differences: Student's p."""
    grid = [[rows(random.normal(size=100) + i * j * 0.1) for j in range(2)] for i in range(2)]
    (a, b), (c, d) = grid

    (found,) = interaction(grid, mean, ALONE)
    (theirs,) = contrast([a, d], [b, c], mean, ALONE)  # ((b - a) - (d - c)) / 2

    assert found.value == pytest.approx(abs(theirs.value) / 2, abs=1e-12)
    crossed = (b - a - d + c)[:, 0]
    assert found.p == pytest.approx(scipy.stats.ttest_1samp(crossed, 0).pvalue, rel=1e-9)
    assert 0.01 < found.p < 1


def test_the_p_of_an_interaction_is_statsmodels_of_the_means_of_contrasts(
    random: np.random.Generator,
):
    """Hotelling's test that the mean of six contrasts, of 3 models by 4 prompts, is zero."""
    from statsmodels.stats.multivariate import test_mvmean as of_means

    values = random.normal(size=(3, 4, 60)) + random.normal(size=60)
    values[2, 3] += 0.8
    apart = [values[i, j] - values[0, j] - values[i, 0] + values[0, 0]
             for i in (1, 2) for j in (1, 2, 3)]  # fmt: skip

    (found,) = interaction(
        [[rows(of) for of in line] for line in values], mean, Resampler.by(range(60))
    )

    assert found.p == pytest.approx(of_means(np.array(apart).T).pvalue, rel=1e-9)
    assert 1e-6 < found.p < 0.5


def test_no_number_of_resamples_limits_the_p_of_an_interaction(random: np.random.Generator):
    """What is far beyond chance stays so after a correction for a thousand tests."""
    grid = [[rows(random.normal(size=100) + 3 * i * j) for j in range(2)] for i in range(2)]

    (found,) = interaction(grid, mean, ALONE)

    assert found.p < 1e-12


def test_the_size_of_an_interaction_is_statsmodels_of_a_two_way_layout(
    random: np.random.Generator,
):
    """Its sum of squares in an analysis of variance is n times that of the remainders."""
    import pandas as pd
    import statsmodels.api as sm
    from statsmodels.formula.api import ols

    values = random.normal(size=(3, 4, 100)) + random.normal(size=(3, 4, 1))
    model, prompt, _ = np.indices(values.shape)
    frame = pd.DataFrame({"y": values.ravel(), "m": model.ravel(), "p": prompt.ravel()})
    table = sm.stats.anova_lm(ols("y ~ C(m) * C(p)", frame).fit(), typ=2)

    (found,) = interaction([[rows(of) for of in line] for line in values], mean, ALONE)

    squares = table.loc["C(m):C(p)", "sum_sq"] / (100 * 12)
    assert found.value == pytest.approx(squares**0.5, abs=1e-9)
    assert found.p < 0.001


def test_what_adds_up_does_not_interact(random: np.random.Generator):
    """Models and prompts that shift every row by as much: a p of one, not of rounding."""
    values = random.normal(size=100)
    grid = [[rows(values + 0.1 * i + 0.3 * j) for j in range(3)] for i in range(2)]

    (found,) = interaction(grid, mean, ALONE)

    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.p == 1


def test_one_model_or_one_prompt_has_no_interaction(random: np.random.Generator):
    """Two of each are needed."""
    one, other = rows(random.normal(size=100)), rows(random.normal(size=100))

    for grid in ([[one, other]], [[one], [other]]):
        (found,) = interaction(grid, mean, ALONE)
        assert (found.value, found.p, found.n) == (None, None, 100)


def test_the_interactions_of_several_models_are_those_of_each_two(random: np.random.Generator):
    """To the last digit, whichever rows a model has not scored, in whatever order they come."""
    labels = clustered(random, 25)
    references, systems = texts(len(labels), *[0.5, 0.52] * 4)
    stack = [bleu_rows(system, references) for system in systems]
    stack[4][[1, 5]] = np.nan
    stack[7][labels > 18] = np.nan
    grids = [[[2 * i, 2 * i + 1], [2 * j + 1, 2 * j]] for i in range(4) for j in range(4) if i != j]
    drawn = Resampler.by(labels, 2500)

    found = interactions(stack, grids, BLEU.score, drawn)

    alone = [[[stack[place] for place in line] for line in grid] for grid in grids]
    assert found == tuple(interaction(grid, BLEU.score, drawn) for grid in alone)
    assert len({of[0].value for of in found}) == 6
    assert len({of[0].n for of in found}) == 4
    assert {of[0].p is None for of in found} == {False, True}


# ---------------------------------------------------------------------------- movers


def test_movers_are_the_rows_with_the_widest_range(random: np.random.Generator):
    """Sorted, the earlier of equals first, without those that stand still or lack a score."""
    values = np.round(random.random((3, 50)), 1)
    values[1, 8] = np.nan
    values[:, 9] = 0.5
    values[:, [20, 30]] = [[0.0], [0.5], [1.0]]
    ranges = {i: float(np.ptp(values[:, i])) for i in range(50) if i not in (8, 9)}
    wanted = sorted(ranges, key=lambda i: (-ranges[i], i))

    (few,) = movers([rows(of) for of in values], mean, 5)
    (all_of_them,) = movers([rows(of) for of in values], mean, 100)

    assert [m.row for m in few] == wanted[:5]
    assert {20, 30} <= {m.row for m in few}
    assert [m.row for m in all_of_them] == [i for i in wanted if ranges[i] > 0]
    assert all(m.low_score == values[m.lowest, m.row] for m in all_of_them)
    assert all(m.high_score == values[:, m.row].max() for m in all_of_them)


# ---------------------------------------------------------------------------- equal length


def test_the_difference_at_equal_length_is_statsmodels_regression(random: np.random.Generator):
    """Intercept and slope of OLS to 9 digits; the interval near that of clustered errors."""
    import statsmodels.api as sm

    labels = clustered(random, 200)
    n = len(labels)
    lengths = random.integers(20, 200, (2, n)) * [[1], [1.3]]
    shared = random.normal(size=200)[labels]
    scores = 0.4 * np.log1p(lengths) + random.normal(size=(2, n)) + np.array([[0], [0.2]]) * shared
    scores[0, 3] = lengths[1, 5] = np.nan
    d, x = np.diff(scores, axis=0)[0], np.diff(np.log1p(lengths), axis=0)[0]
    kept = np.isfinite(d + x)
    fit = sm.OLS(d[kept], sm.add_constant(x[kept])).fit(
        cov_type="cluster", cov_kwds={"groups": labels[kept]}
    )

    found = length_adjusted(*scores, *lengths, Resampler.by(labels))

    assert found.n == n - 2
    assert found.raw == pytest.approx(d[kept].mean(), rel=1e-9)
    assert found.adjusted == pytest.approx(fit.params[0], rel=1e-9)
    assert found.slope == pytest.approx(fit.params[1], rel=1e-9)
    low, high = fit.conf_int()[0]
    assert found.interval.low == pytest.approx(low, abs=0.05 * (high - low))
    assert found.interval.high == pytest.approx(high, abs=0.05 * (high - low))
    assert 0.001 < fit.pvalues[0] < 0.9
    assert found.p_bootstrap == pytest.approx(fit.pvalues[0], abs=0.03)
    assert found.raw > found.adjusted + 0.05


def test_lengths_that_differ_by_the_same_factor_adjust_nothing(random: np.random.Generator):
    """There is no line through one place; the raw difference stands."""
    first, second = random.normal(size=(2, 100))

    found = length_adjusted(first, second, np.full(100, 9.0), np.full(100, 19.0), ALONE)

    assert found.raw == pytest.approx((second - first).mean(), abs=1e-12)
    assert (found.adjusted, found.interval, found.p_bootstrap, found.slope) == (None,) * 4


# ---------------------------------------------------------------------------- repeated runs


def test_the_error_over_runs_is_the_variance_of_a_two_way_layout(random: np.random.Generator):
    """(MS of questions + MS of runs - MS of the rest) / (n k), by statsmodels' ``anova_lm``."""
    import pandas as pd
    import statsmodels.api as sm
    from statsmodels.formula.api import ols

    k, n = 4, 60
    values = random.normal(size=(1, n)) + 0.3 * random.normal(size=(k, 1))
    values = values + 3 * random.normal(size=(k, n))
    run, question = np.indices(values.shape)
    frame = pd.DataFrame({"y": values.ravel(), "q": question.ravel(), "r": run.ravel()})
    table = sm.stats.anova_lm(ols("y ~ C(q) + C(r)", frame).fit(), typ=2)
    squares = table["sum_sq"] / table["df"]
    by_question, by_run, rest = (squares[name] for name in ("C(q)", "C(r)", "Residual"))

    (found,) = components([rows(of) for of in values], mean, Resampler.by(range(n), 40_000))

    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert found.deviation == pytest.approx((by_run / n) ** 0.5, rel=1e-9)
    # a standard deviation of 40,000 resamples is known to 0.4 %
    assert found.error_questions == pytest.approx((by_question / (n * k)) ** 0.5, rel=0.015)
    variance = (by_question + by_run - rest) / (n * k)
    assert found.error == pytest.approx(variance**0.5, rel=0.015)
    questions = (by_question - rest) / (n * k)
    assert found.share == pytest.approx(by_run / n / (by_run / n + questions), rel=0.03)
    assert (found.n_repeats, found.n, found.n_clusters) == (k, n, n)
    middle = (found.interval.low + found.interval.high) / 2
    assert middle == pytest.approx(found.mean, abs=1e-12)


def test_the_error_over_runs_is_that_of_statsmodels_mixed_model(random: np.random.Generator):
    """``MixedLM`` of crossed random effects: the variance of the mean within 5 %."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    k, n = 5, 40
    values = random.normal(size=(1, n)) + 0.5 * random.normal(size=(k, 1))
    values = values + 0.8 * random.normal(size=(k, n))
    run, question = np.indices(values.shape)
    frame = pd.DataFrame({"y": values.ravel(), "q": question.ravel(), "r": run.ravel()})
    fit = MixedLM.from_formula(
        "y ~ 1", frame, groups=np.ones(k * n), re_formula="0",
        vc_formula={"q": "0 + C(q)", "r": "0 + C(r)"},
    ).fit()  # fmt: skip
    of_questions, of_runs = fit.vcomp
    variance = of_questions / n + of_runs / k + fit.scale / (n * k)

    (found,) = components([rows(of) for of in values], mean, Resampler.by(range(n), 40_000))

    assert found.error**2 == pytest.approx(variance, rel=0.05)


def test_runs_that_all_say_the_same_leave_the_error_of_questions(random: np.random.Generator):
    """Greedy decoding: no variance of runs, and the interval of one run."""
    values = rows(random.normal(size=100))

    (found,) = components([values] * 3, mean, ALONE)

    assert (found.deviation, found.share) == (0, 0)
    assert found.error == found.error_questions > 0


def test_runs_that_agree_by_chance_tell_no_less_of_questions(random: np.random.Generator):
    """The same scores for other questions: runs do not differ, and the error is no smaller."""
    values = random.normal(size=100)

    (found,) = components([rows(values), rows(values[::-1])], mean, ALONE)

    assert found.deviation == pytest.approx(0, abs=1e-12)
    assert found.error == pytest.approx(found.error_questions, rel=1e-9)
    assert found.error > 0


def test_one_run_tells_nothing_of_runs(random: np.random.Generator):
    """Its score stands alone."""
    values = random.normal(size=100)

    (found,) = components([rows(values)], mean, ALONE)

    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    shown = (found.deviation, found.error_questions, found.error, found.interval, found.share)
    assert shown == (None,) * 5
    assert found.n_repeats == 1
