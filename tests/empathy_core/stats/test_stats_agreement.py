"""SciPy, statsmodels and sacreBLEU give the same numbers."""

import numpy as np
import pytest

from empathy_core.stats import (
    LEVEL,
    RESAMPLES,
    Resampler,
    interval,
    intervals,
    paired_difference,
    resampling,
)
from tests.stats_rows import ALONE, BLEU, bleu_rows, mean, rows, texts

pytestmark = pytest.mark.filterwarnings("error")


def expanded(n_clusters: int) -> float:
    """Return the level at which a plain percentile interval is as wide as ours at 95 %."""
    return 1 - 2 * intervals._tail(n_clusters, LEVEL)


def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the difference of means, as SciPy wants it."""
    return b.mean(axis=axis) - a.mean(axis=axis)


# ---------------------------------------------------------------------------- scipy


def test_intervals_of_a_mean_are_scipys():
    """``scipy.stats.bootstrap`` by percentile at the expanded level, within 0.15 standard errors.

    A bound of 10,000 resamples has a Monte-Carlo error of 0.03 standard errors.
    """
    from scipy.stats import bootstrap

    values = np.random.default_rng(2).gamma(2.0, size=100)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=3,
        confidence_level=expanded(100),
    )  # fmt: skip

    (found,) = interval(rows(values), mean, ALONE)

    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    ours = (found.interval.low, found.interval.high)
    near = 0.15 * theirs.standard_error
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=near)


@pytest.mark.parametrize("n", [20, 40, 200])
def test_intervals_of_a_mean_of_normal_values_are_students(n: int):
    """Both bounds within 3 % of its width; at 20 a plain percentile interval is 9 % narrower."""
    from scipy.stats import norm, ttest_1samp

    values = norm.ppf((np.arange(n) + 0.5) / n)
    theirs = ttest_1samp(values, 0).confidence_interval()

    (found,) = interval(rows(values), mean, Resampler.by(range(n), 40_000))

    width = found.interval.high - found.interval.low
    assert width == pytest.approx(theirs.high - theirs.low, rel=0.03)
    assert found.interval.low == pytest.approx(theirs.low, abs=0.03 * width)


def test_paired_intervals_and_tests_are_scipys():
    """``bootstrap(paired=True)`` and ``permutation_test`` by samples, on the same pairs."""
    from scipy.stats import bootstrap, permutation_test

    random = np.random.default_rng(4)
    first, second = random.normal(size=100), random.normal(-0.05, size=100)
    theirs = bootstrap(
        (first, second), difference, n_resamples=RESAMPLES, paired=True, method="percentile",
        rng=5, confidence_level=expanded(100),
    )  # fmt: skip
    test = permutation_test(
        (first, second), difference, permutation_type="samples", n_resamples=RESAMPLES, rng=6
    )

    (found,) = paired_difference(rows(first), rows(second), mean, ALONE)

    ours = (found.interval.low, found.interval.high)
    near = 0.15 * theirs.standard_error
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=near)
    assert 0.05 < test.pvalue < 0.5
    assert found.p_randomization == pytest.approx(test.pvalue, abs=0.02)


def test_shuffles_of_clusters_are_scipys():
    """``permutation_test`` on the sums of clusters of unequal size, which change sides whole."""
    from scipy.stats import permutation_test

    random = np.random.default_rng(7)
    labels = np.repeat(np.arange(60), random.integers(1, 9, 60))
    effect = random.normal(size=(2, 60))
    values = effect[:, labels] + random.normal(size=(2, len(labels))) + [[0], [0.25]]
    sums = [np.bincount(labels, of) for of in values]
    test = permutation_test(
        sums,
        lambda a, b, axis: (b.sum(axis=axis) - a.sum(axis=axis)) / len(labels),
        permutation_type="samples", n_resamples=RESAMPLES, rng=8,
    )  # fmt: skip

    (found,) = paired_difference(*map(rows, values), mean, Resampler.by(labels))

    assert found.value == pytest.approx(test.statistic, abs=1e-12)
    assert 0.02 < test.pvalue < 0.8
    assert found.p_randomization == pytest.approx(test.pvalue, abs=0.02)


def test_the_bootstraps_p_is_students_for_normal_values():
    """``ttest_rel`` of 25 pairs, within a tenth; not calibrated, p = 0.03 would be 0.02."""
    from scipy.stats import norm, ttest_rel

    apart = norm.ppf((np.arange(25) + 0.5) / 25)
    for shift in (0.1, 0.3, 0.45):
        first = np.zeros(25)

        (found,) = paired_difference(
            rows(first), rows(apart + shift), mean, Resampler.by(range(25), 40_000)
        )

        theirs = ttest_rel(apart + shift, first).pvalue
        assert found.p_bootstrap == pytest.approx(theirs, rel=0.1)


# ---------------------------------------------------------------------------- statsmodels


@pytest.mark.parametrize("n", [20, 50, 400])
def test_the_detectable_difference_is_that_of_statsmodels_power(n: int):
    """``TTestPower`` of one sample at 5 % and 80 %; ours has the bootstrap's error, 0.7 %."""
    from statsmodels.stats.power import TTestPower

    random = np.random.default_rng(9)
    first, second = random.normal(size=(2, n))
    apart = (second - first).std(ddof=1)

    (found,) = paired_difference(rows(first), rows(second), mean, Resampler.by(range(n)))

    theirs = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="two-sided")
    assert found.detectable / apart == pytest.approx(theirs, rel=0.03)


# ---------------------------------------------------------------------------- sacrebleu

N_TEXTS = 200


@pytest.fixture(scope="module")
def corpus() -> tuple[list[str], list[list[str]]]:
    """References and two systems near each other."""
    return texts(N_TEXTS, 0.58, 0.60)


def sacrebleu_test(corpus: tuple[list[str], list[list[str]]], kind: str):
    """Return the other system's result of sacreBLEU's own paired test."""
    from sacrebleu.metrics import BLEU as SACREBLEU
    from sacrebleu.significance import PairedTest

    references, (base, other) = corpus
    test = PairedTest(
        [("base", base), ("other", other)],
        {"BLEU": SACREBLEU(smooth_method="none", references=[references])},
        None, test_type=kind, n_samples=RESAMPLES,
    )  # fmt: skip
    return test()[1]["BLEU"][1]


def resampled(corpus: tuple[list[str], list[list[str]]], counts: np.ndarray) -> np.ndarray:
    """Return BLEU of both systems, shape (2, resamples), by our sums and our score."""
    references, systems = corpus
    stack = np.stack([bleu_rows(system, references) for system in systems])
    sums = resampling.cluster_sums(stack, np.ones(N_TEXTS, bool), Resampler.by(range(N_TEXTS)))
    return resampling.score_resamples(BLEU.score, resampling.resample_sums(counts, sums))[:, 0]


def folded(scores: np.ndarray, value: float) -> float:
    """Return p as sacreBLEU's bootstrap has it.

    It takes the size of each difference before it centres them, which makes it a test of one side
    wherever all have one sign, and finds nothing twice as often as it says.
    """
    size = np.abs(scores[1] - scores[0])
    return (1 + np.count_nonzero(size - size.mean() > abs(value))) / (1 + len(size))


@pytest.mark.slow  # many resamples
def test_sacrebleus_own_resamples_give_sacrebleus_p(corpus):
    """Its bootstrap's indices as our counts: the same scores, mean and p, to three resamples."""
    random = np.random.default_rng(12345)  # as it seeds itself
    chosen = random.choice(N_TEXTS, size=(RESAMPLES, N_TEXTS), replace=True)
    counts = np.stack([np.bincount(of, minlength=N_TEXTS) for of in chosen]).astype(np.uint8)
    references, systems = corpus
    theirs = sacrebleu_test(corpus, "bs")

    scores = resampled(corpus, counts)
    value = np.diff([BLEU.score(bleu_rows(s, references).sum(axis=0))[0] for s in systems])[0]

    assert scores[1].mean() == pytest.approx(theirs.mean / 100, abs=1e-6)
    half = np.diff(np.sort(scores[1])[[RESAMPLES // 40, -RESAMPLES // 40 - 1]])[0] / 2
    assert half == pytest.approx(theirs.ci / 100, abs=1e-6)
    assert 0.02 < theirs.p_value < 0.5
    assert folded(scores, value) == pytest.approx(theirs.p_value, abs=3 / RESAMPLES)


def test_our_resamples_give_the_same_p_by_sacrebleus_scores(corpus):
    """Our draws of its statistics, scored by it one by one: interval and p as ours."""
    from sacrebleu.metrics import BLEU as SACREBLEU

    references, systems = corpus
    drawn = Resampler.by(range(N_TEXTS), 2000)
    metric = SACREBLEU(smooth_method="none")
    scores = []
    for system in systems:
        counted = np.array(metric._extract_corpus_statistics(system, [references]))
        sums = resampling.draws(drawn).astype(int) @ counted
        scores.append([metric._compute_score_from_stats(list(of)).score / 100 for of in sums])
    apart = np.subtract(*scores[::-1])

    found = paired_difference(
        *(bleu_rows(system, references) for system in systems), BLEU.score, drawn
    )[0]

    tail = intervals._tail(N_TEXTS, LEVEL)
    bounds = tuple(np.quantile(apart, [tail, 1 - tail]))
    assert (found.interval.low, found.interval.high) == pytest.approx(bounds, abs=1e-9)
    away = np.abs(apart - apart.mean()) >= abs(found.value)
    p = intervals.calibrated((1 + away.sum()) / 2001, N_TEXTS)
    assert found.p_bootstrap == pytest.approx(p, abs=0.001)


@pytest.mark.slow
def test_sacrebleus_paired_tests_agree_within_monte_carlo_error(corpus):
    """Other resamples of the same texts: by its formula within 0.01, by randomisation 0.02.

    A p of 0.3 from 10,000 resamples has a standard error of 0.005. Ours by bootstrap has two
    sides, is that of our randomisation, and no less than sacreBLEU's.
    """
    references, systems = corpus
    drawn = Resampler.by(range(N_TEXTS))

    found = paired_difference(
        *(bleu_rows(system, references) for system in systems), BLEU.score, drawn
    )[0]
    own = folded(resampled(corpus, resampling.draws(drawn)), found.value)

    bootstrap, shuffled = (sacrebleu_test(corpus, kind) for kind in ("bs", "ar"))
    assert found.second == pytest.approx(bootstrap.score / 100, abs=1e-9)
    assert own == pytest.approx(bootstrap.p_value, abs=0.01)
    assert found.p_randomization == pytest.approx(shuffled.p_value, abs=0.02)
    assert found.p_bootstrap == pytest.approx(found.p_randomization, abs=0.05)
    assert found.p_bootstrap >= bootstrap.p_value - 0.01


@pytest.mark.slow  # many resamples
def test_a_systems_interval_is_sacrebleus(corpus):
    """Half the width of its 95 % interval, which is not expanded, within 4 %."""
    references, systems = corpus
    theirs = sacrebleu_test(corpus, "bs")

    found = interval(bleu_rows(systems[1], references), BLEU.score, Resampler.by(range(N_TEXTS)))[0]

    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(theirs.ci / 100, rel=0.04)
    assert half > 0.99 * theirs.ci / 100
