"""Agreement is that of independent libraries; its intervals cover; ratings may be missing."""

from itertools import combinations

import numpy as np
import pytest

from empathy_core.stats import (
    Agreement,
    Resampler,
    judge_agreement,
    mean_agreement,
    order_agreement,
    rater_agreement,
)

pytestmark = pytest.mark.filterwarnings("error")

OF_PAIRS = ("kappa", "tau")
ALPHAS = ("alpha_nominal", "alpha_ordinal", "alpha_interval")
ICCS = ("icc_absolute", "icc_consistency")
FISHER = np.array(
    [[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7.0]]
)
"""Four judges, six targets: Shrout and Fleiss (1979), Intraclass correlations, table 2."""


def made(
    random: np.random.Generator, n_questions: int, raters: int = 3, each: int = 1, top: float = 0.0
) -> np.ndarray:
    """Return ratings from 1 to 5 (raters, items), harsh and mild, *each* answers to a question.

    Half of an answer's quality is its question's; *top* moves all towards 5.
    """
    quality = np.repeat(random.normal(size=n_questions), each)
    quality = np.sqrt(0.5) * (quality + random.normal(size=n_questions * each))
    severity = np.linspace(-0.3, 0.3, raters)[:, None]
    noise = random.normal(size=(raters, n_questions * each))
    return np.clip(np.round(3 + top + quality + severity + noise), 1, 5)


def missing(random: np.random.Generator, ratings: np.ndarray, share: float) -> np.ndarray:
    return np.where(random.random(ratings.shape) < share, np.nan, ratings)


def alone(ratings: np.ndarray, n_resamples: int = 99) -> Resampler:
    return Resampler.by(range(ratings.shape[1]), n_resamples)


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return made(np.random.default_rng(1), 80, raters=4)


@pytest.fixture(scope="module")
def gaps(whole: np.ndarray) -> np.ndarray:
    return missing(np.random.default_rng(2), whole, 0.3)


# ---------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("kind", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("which", ["whole", "gaps"])
def test_alpha_is_evalicas(kind: str, which: str, request: pytest.FixtureRequest):
    """Of evalica 0.4, with and without missing ratings."""
    import evalica
    import pandas as pd

    ratings = request.getfixturevalue(which)
    found = getattr(rater_agreement(ratings, alone(ratings)), f"alpha_{kind}")

    theirs = evalica.alpha(pd.DataFrame(ratings), kind).alpha
    assert found.value == pytest.approx(theirs, abs=1e-10)


def test_agreement_of_judges_is_evalicas_alpha_and_an_analysis_of_variance(gaps: np.ndarray):
    """Expected values of labels, some missing; ICC(C,1) by mean squares; the same label by hand."""
    import evalica
    import pandas as pd

    ratings = gaps + 0.4 * np.random.default_rng(8).random(gaps.shape)
    found = judge_agreement(ratings, alone(ratings))

    theirs = evalica.alpha(pd.DataFrame(ratings), "interval").alpha
    whole = ratings[:, ~np.isnan(ratings).any(axis=0)].T
    n, k = whole.shape
    rest = whole - whole.mean(axis=1, keepdims=True) - whole.mean(axis=0) + whole.mean()
    items = k * whole.mean(axis=1).var(ddof=1)
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    equal = total = 0.0
    for item in gaps.T:  # less than half was added to whole numbers
        given = item[~np.isnan(item)]
        if len(given) > 1:
            pairs = [a == b for a, b in combinations(given, 2)]
            equal += len(given) * np.mean(pairs)
            total += len(given)
    assert found.alpha.value == pytest.approx(theirs, abs=1e-10)
    assert found.alpha.n == (np.isfinite(ratings).sum(axis=0) > 1).sum()
    assert found.consistency.value == pytest.approx((items - error) / (items + (k - 1) * error))
    assert (found.consistency.n, found.same.value) == (n, pytest.approx(equal / total, abs=1e-12))


def test_a_sterner_judge_lowers_alpha_and_not_consistency():
    """What alpha alone would call disagreement about replies."""
    quality = np.random.default_rng(4).normal(size=60)
    near = judge_agreement(np.stack([quality, quality + 0.01]), alone(quality[None]))
    apart = judge_agreement(np.stack([quality, quality + 2]), alone(quality[None]))

    assert near.alpha.value > 0.99
    assert apart.alpha.value < 0.2
    assert apart.consistency.value == pytest.approx(1)


def test_alpha_of_krippendorffs_own_example():
    """Four observers, twelve units, gaps: .743 nominal, .815 ordinal, .849 interval.

    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, part C.
    """
    gap = np.nan
    ratings = np.array([
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ])  # fmt: skip
    found = rater_agreement(ratings, alone(ratings))

    shown = [round(getattr(found, of).value, 3) for of in ALPHAS]
    assert shown == [0.743, 0.815, 0.849]
    assert found.alpha_nominal.n == 11  # one observer alone has rated the twelfth


def test_kappa_is_scikit_learns(whole: np.ndarray):
    """The mean of scikit-learn's over all pairs of raters."""
    from sklearn.metrics import cohen_kappa_score

    pairs = combinations(whole, 2)
    theirs = np.mean([cohen_kappa_score(a, b, weights="quadratic") for a, b in pairs])

    assert rater_agreement(whole, alone(whole)).kappa.value == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_tau_is_scipys(gaps: np.ndarray, noise: float):
    """The mean of SciPy's over pairs, of ratings with many ties and of numbers with none."""
    from scipy.stats import kendalltau

    ratings = gaps + noise * np.random.default_rng(3).random(gaps.shape)
    theirs = [kendalltau(a, b, nan_policy="omit").statistic for a, b in combinations(ratings, 2)]

    found = rater_agreement(ratings, alone(ratings)).tau
    assert found.value == pytest.approx(np.mean(theirs), abs=1e-12)


def test_intraclass_correlations_are_those_of_shrout_and_fleiss():
    """Their table 4: ICC(2,1) = .29, which is ICC(A,1), and ICC(3,1) = .71, which is ICC(C,1)."""
    found = rater_agreement(FISHER, alone(FISHER))

    assert round(found.icc_absolute.value, 2) == 0.29
    assert round(found.icc_consistency.value, 2) == 0.71


def test_intraclass_correlations_are_those_of_a_two_way_analysis(gaps: np.ndarray):
    """Mean squares of statsmodels' anova_lm, on the items that all have rated."""
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    full = gaps[:, ~np.isnan(gaps).any(axis=0)]
    k, n = full.shape
    frame = pd.DataFrame(
        {"y": full.ravel(), "rater": np.repeat(range(k), n), "item": np.tile(range(n), k)}
    )
    table = anova_lm(ols("y ~ C(item) + C(rater)", frame).fit())
    items, raters, rest = table["mean_sq"]
    found = rater_agreement(gaps, alone(gaps))

    consistency = (items - rest) / (items + (k - 1) * rest)
    absolute = (items - rest) / (items + (k - 1) * rest + k / n * (raters - rest))
    assert found.icc_consistency.value == pytest.approx(consistency, abs=1e-12)
    assert found.icc_absolute.value == pytest.approx(absolute, abs=1e-12)
    assert (found.icc_absolute.n, found.icc_absolute.n_unscored) == (n, gaps.shape[1] - n)


def test_raw_agreement_counts_equal_pairs(gaps: np.ndarray):
    """Of each item's pairs the share that is equal, weighted by its ratings, where it has two."""
    shares, weights = [], []
    for item in gaps.T:
        given = item[~np.isnan(item)]
        if len(given) > 1:
            shares.append(np.mean([a == b for a, b in combinations(given, 2)]))
            weights.append(len(given))
    found = rater_agreement(gaps, alone(gaps))

    assert found.raw.value == pytest.approx(np.average(shares, weights=weights), abs=1e-12)
    values, counts = np.unique(gaps[~np.isnan(gaps)], return_counts=True)
    assert found.prevalence == tuple(zip(values, counts / counts.sum(), strict=True))


# ---------------------------------------------------------------------------- intervals


def literal(ratings: np.ndarray, chosen: np.ndarray, name: str) -> float:
    """Return a coefficient of items drawn, each as often as it was."""
    drawn = ratings[:, chosen]
    return getattr(rater_agreement(drawn, alone(drawn, 1)), name).value


@pytest.mark.parametrize("name", [*ALPHAS, "raw", "kappa", *ICCS])
def test_sums_of_drawn_questions_are_the_coefficient_of_the_items_drawn(
    whole: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
):
    """What is resampled is the coefficient itself; of tau, its projection, which comes near."""
    from empathy_core.stats import coefficients

    seen: list[np.ndarray] = []

    def keep(values: np.ndarray) -> np.ndarray:
        seen.append(values)
        return values

    monkeypatch.setattr(coefficients, "drop_undefined", keep)
    resampler = Resampler(np.arange(80) // 2, 3, seed=5)
    rater_agreement(whole, resampler)
    names = ["raw", *ALPHAS, *OF_PAIRS, *ICCS]
    values = seen[names.index(name)]
    monkeypatch.undo()

    from empathy_core.stats.resampling import draws

    for value, weights in zip(values, draws(resampler), strict=True):
        chosen = np.repeat(np.arange(80), np.repeat(weights, 2))
        assert value == pytest.approx(literal(whole, chosen, name), abs=1e-9)


@pytest.mark.slow  # many resamples
def test_tau_is_resampled_to_first_order(whole: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """Over 500 resamples the projection has the spread of tau-b itself, within 15 %."""
    resampler = Resampler(np.arange(80), 500, seed=6)
    bounds = rater_agreement(whole, resampler).tau.interval
    random = np.random.default_rng(7)
    values = [literal(whole, random.integers(80, size=80), "tau") for _ in range(500)]
    low, high = np.quantile(values, [0.025, 0.975])

    assert bounds.high - bounds.low == pytest.approx(high - low, rel=0.15)


CASES = {
    "3 raters, 30 questions": (30, {"raters": 3}, 0.0),
    "2 raters near the ceiling, 50 questions": (50, {"raters": 2, "top": 1.5}, 0.0),
    "3 raters, 40 questions of 5 answers, gaps": (40, {"raters": 3, "each": 5}, 0.3),
}


@pytest.mark.slow  # hundreds of experiments
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover(case: str):
    """92 to 98 % in 600 simulations; of shares of few questions, which come in steps, 91 %.

    The true number is that of 40,000 questions.
    """
    n, shape, share = CASES[case]
    names = ["raw", *ALPHAS, *OF_PAIRS, *ICCS]
    random = np.random.default_rng(21)
    big = missing(random, made(random, 40_000, **shape), share)
    everything = rater_agreement(big, Resampler(np.zeros(big.shape[1], int), 1))
    each = shape.get("each", 1)
    hits: dict[str, list[bool]] = {name: [] for name in names}
    for seed in range(600):
        ratings = missing(random, made(random, n, **shape), share)
        found = rater_agreement(ratings, Resampler(np.repeat(np.arange(n), each), 999, seed % 8))
        for name in names:
            bounds = getattr(found, name).interval
            if bounds is not None:
                hits[name].append(bounds.low <= getattr(everything, name).value <= bounds.high)

    covered = {name: float(np.mean(of)) for name, of in hits.items()}
    assert min(len(of) for of in hits.values()) > 570
    assert {name: of for name, of in covered.items() if not 0.91 <= of <= 0.98} == {}


# ---------------------------------------------------------------------------- what has none


def coefficients_of(found: Agreement) -> list[float | None]:
    return [getattr(found, of).value for of in ("raw", *ALPHAS, *OF_PAIRS, *ICCS)]


def test_perfect_agreement_is_one_without_an_interval():
    """No question differs, so nothing shows how agreement varies."""
    ratings = np.tile(np.arange(30.0) % 5, (3, 1))
    found = rater_agreement(ratings, alone(ratings))

    assert coefficients_of(found) == pytest.approx([1.0] * 8)
    assert found.kappa.interval is None


def test_ratings_that_never_vary_have_raw_agreement_alone():
    """Every judge says 5: nothing can be said beyond chance."""
    found = rater_agreement(np.full((3, 40), 5.0), Resampler.by(range(40), 99))

    assert coefficients_of(found) == [1.0, *[None] * 7]
    assert found.prevalence == ((5.0, 1.0),)


def test_one_constant_rater_agrees_with_none_beyond_chance():
    ratings = np.stack([np.full(60, 5.0), np.random.default_rng(8).integers(1, 6, 60)])
    found = rater_agreement(ratings, alone(ratings))

    assert found.kappa.value == pytest.approx(0)
    assert found.tau.value is None


def test_random_raters_agree_by_chance():
    ratings = np.random.default_rng(9).integers(1, 6, (3, 400)).astype(float)
    found = rater_agreement(ratings, alone(ratings, 999))

    for name in (*ALPHAS, *OF_PAIRS, *ICCS):
        bounds = getattr(found, name).interval
        assert bounds.low < 0 < bounds.high


def test_no_shift_of_all_ratings_changes_anything(gaps: np.ndarray):
    here, there = (rater_agreement(of, alone(of)) for of in (gaps, gaps + 1e6))

    assert coefficients_of(there) == pytest.approx(coefficients_of(here), abs=1e-9)


def test_many_different_numbers_have_no_categories(whole: np.ndarray):
    """Expected values of a judge: interval alpha, kappa and tau, but nothing that counts equals."""
    ratings = whole + np.random.default_rng(10).random(whole.shape)
    found = rater_agreement(ratings, alone(ratings))

    assert found.alpha_nominal.value is found.alpha_ordinal.value is None
    assert found.alpha_interval.value == pytest.approx(found.icc_absolute.value, abs=0.02)
    assert found.prevalence == ()


def test_below_20_questions_there_is_no_interval():
    found = rater_agreement(FISHER, alone(FISHER))

    assert found.kappa.value is not None
    assert found.kappa.interval is None


def test_a_rater_who_shares_no_item_counts_in_no_pair(whole: np.ndarray):
    other = np.full((1, 80), np.nan)
    found = rater_agreement(np.concatenate([whole, other]), alone(whole))

    assert found.kappa == rater_agreement(whole, alone(whole)).kappa
    assert found.icc_by_pair
    assert found.n_raters == 4


def test_where_no_item_is_rated_by_all_the_icc_is_a_mean_over_pairs(whole: np.ndarray):
    """Of each pair's own, on the items that both have rated: each item has three raters of four."""
    ratings = whole.copy()
    ratings[np.arange(80) % 4, np.arange(80)] = np.nan
    found = rater_agreement(ratings, alone(ratings, 999))

    theirs = []
    for pair in combinations(ratings, 2):
        both = np.stack(pair)[:, ~np.isnan(np.stack(pair)).any(axis=0)]
        of = rater_agreement(both, alone(both))
        theirs.append([of.icc_absolute.value, of.icc_consistency.value])
    means = np.mean(theirs, axis=0)
    assert (found.icc_absolute.value, found.icc_consistency.value) == pytest.approx(tuple(means))
    assert found.icc_absolute.interval.low < means[0] < found.icc_absolute.interval.high
    assert found.icc_absolute.n == 80


def test_the_icc_of_a_mean_of_raters_is_that_of_shrout_and_fleiss():
    """Their table 4: ICC(2,k) = .62, which is ICC(A,k), and ICC(3,k) = .91, which is ICC(C,k)."""
    found = rater_agreement(FISHER, alone(FISHER))

    assert round(found.averaged(found.icc_absolute).value, 2) == 0.62
    assert round(found.averaged(found.icc_consistency).value, 2) == 0.91


def test_the_interval_of_a_mean_of_raters_is_stepped_up_with_it(whole: np.ndarray):
    found = rater_agreement(whole, alone(whole, 999))
    one, four = found.icc_consistency, found.averaged(found.icc_consistency)

    assert four.value == pytest.approx(4 * one.value / (1 + 3 * one.value))
    assert four.interval.low == pytest.approx(4 * one.interval.low / (1 + 3 * one.interval.low))
    assert found.averaged(one, 1).interval == one.interval


@pytest.mark.parametrize("ratings", [np.ones((1, 5)), np.ones((2, 4)), np.ones(5)])
def test_what_is_no_table_of_ratings_is_an_error(ratings: np.ndarray):
    with pytest.raises(ValueError, match="give the shape"):
        rater_agreement(ratings, Resampler.by(range(5)))


# ---------------------------------------------------------------------------- orders


def test_pairs_within_a_question_are_counted_one_by_one():
    """As a loop over all pairs counts them; ties of the reference are left out, and counted."""
    random = np.random.default_rng(12)
    reference, judge = made(random, 60, raters=2, each=6)
    judge[::7] = np.nan
    clusters = random.permutation(np.repeat(np.arange(60), 6))
    right = wrong = tied = left = 0
    for i, j in combinations(range(360), 2):
        if clusters[i] != clusters[j] or np.isnan(judge[i] + judge[j]):
            continue
        if reference[i] == reference[j]:
            left += 1
        elif judge[i] == judge[j]:
            tied += 1
        elif (reference[i] > reference[j]) == (judge[i] > judge[j]):
            right += 1
        else:
            wrong += 1
    found = order_agreement(reference, judge, Resampler(clusters, 99))

    assert found.decided.value == pytest.approx(right / (right + wrong))
    assert found.halved.value == pytest.approx((right + tied / 2) / (right + wrong + tied))
    assert found.tied.value == pytest.approx(tied / (right + wrong + tied))
    assert (found.n_pairs, found.n_reference_ties) == (right + wrong + tied, left)
    assert found.decided.interval.low < found.decided.value < found.decided.interval.high


def test_one_answer_a_question_makes_no_pair():
    found = order_agreement(np.arange(30.0), np.arange(30.0), Resampler.by(range(30), 99))

    assert (found.decided.value, found.n_pairs) == (None, 0)


@pytest.mark.slow  # hundreds of experiments
def test_the_interval_of_pairs_in_order_covers():
    """92 to 98 % in 600 simulations of 40 questions with 5 answers."""
    random = np.random.default_rng(13)
    big = made(random, 50_000, raters=2, each=5).reshape(2, 10, -1)
    parts = [order_agreement(*of, Resampler(np.repeat(np.arange(5000), 5), 1)) for of in
             big.swapaxes(0, 1)]  # fmt: skip
    true = np.mean([of.halved.value for of in parts])
    hits = []
    for seed in range(600):
        ratings = made(random, 40, raters=2, each=5)
        found = order_agreement(*ratings, Resampler(np.repeat(np.arange(40), 5), 999, seed % 8))
        hits.append(found.halved.interval.low <= true <= found.halved.interval.high)

    assert 0.92 <= np.mean(hits) <= 0.98


def test_means_of_conditions_agree_as_their_own_table_does():
    """ICC and tau of the means, computed as of any ratings; not those of single ratings."""
    random = np.random.default_rng(14)
    ratings = made(random, 50, raters=3, each=8) + np.tile(np.linspace(-1, 1, 8), 50)
    conditions = np.tile(np.arange(8), 50)
    ratings[0, :5] = np.nan
    kept = ~np.isnan(ratings).any(axis=0)
    means = np.array([[r[(conditions == c) & kept].mean() for c in range(8)] for r in ratings])
    means = np.round(means, 12)  # some are equal but for rounding
    table = rater_agreement(means, alone(means))
    found = mean_agreement(ratings, conditions, Resampler(np.repeat(np.arange(50), 8), 99))
    single = rater_agreement(ratings, Resampler(np.repeat(np.arange(50), 8), 99))

    for name in (*ICCS, "tau"):
        assert getattr(found, name).value == pytest.approx(getattr(table, name).value, abs=1e-9)
    assert found.icc_consistency.value > single.icc_consistency.value + 0.2
    bounds = found.icc_absolute.interval
    assert bounds.low < found.icc_absolute.value < bounds.high
    assert found.n_conditions == 8


def test_alphas_of_conditions_means_are_evalicas():
    """Of the table of means, four raters by six conditions, one pair of means equal."""
    import evalica
    import pandas as pd

    ratings = made(np.random.default_rng(31), 240, raters=4)
    conditions = np.arange(240) % 6
    ratings[0, conditions == 1] = ratings[0, conditions == 0]
    table = np.array([[of[conditions == c].mean() for c in range(6)] for of in ratings])
    found = mean_agreement(ratings, conditions, Resampler(np.arange(240) // 6, 199))

    for kind in ("ordinal", "interval"):
        theirs = evalica.alpha(pd.DataFrame(table.round(9)), kind).alpha
        alpha = getattr(found, f"alpha_{kind}")
        assert alpha.value == pytest.approx(theirs, abs=1e-9)
        assert alpha.interval.low < theirs < alpha.interval.high
