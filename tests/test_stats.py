"""Intervals cover, tests keep their level, and other implementations give the same numbers."""

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core import metrics
from empathy_core.stats import (
    LEAST_CLUSTERS,
    RESAMPLES,
    Resampler,
    holm,
    interval,
    paired_difference,
    resampled_differences,
)

ALONE = Resampler.by(range(100))


def mean(sums: np.ndarray) -> np.ndarray:
    """Reduce (sum, n) to the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., :1] / sums[..., 1:]


def rows(values: np.ndarray) -> np.ndarray:
    """Return the statistics of a mean."""
    return np.stack([values, np.ones_like(values)], axis=1)


def clustered(random: np.random.Generator, n_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cluster labels, one to five rows each, and an effect that a cluster's rows share."""
    labels = np.repeat(np.arange(n_clusters), random.integers(1, 6, n_clusters))
    return labels, random.normal(size=n_clusters)[labels]


# ---------------------------------------------------------------------------- simulations


def _simulated(n: int, by_cluster: bool) -> tuple[float, float, float]:
    """Return coverage of the interval and how often each test finds a difference of nothing."""
    covered = bootstrap = randomization = 0
    for seed in range(n):
        random = np.random.default_rng(seed)
        labels, shared = clustered(random, 40)
        first = random.normal(size=len(labels)) + shared
        second = random.normal(size=len(labels)) - shared
        drawn = Resampler.by(labels if by_cluster else range(len(labels)), 1000, seed)
        (found,) = paired_difference(rows(first), rows(second), mean, drawn)
        covered += found.interval.low <= 0 <= found.interval.high
        bootstrap += found.p_bootstrap < 0.05
        randomization += found.p_randomization < 0.05
    return covered / n, bootstrap / n, randomization / n


def test_intervals_cover_and_tests_keep_their_level():
    """Of 300 clustered samples without a difference: coverage 95 +- 4 %, 5 +- 4 % found.

    The standard error of a share of 300 is 1.3 %; a percentile interval of 40 unequal clusters
    covers about 93 % (1,000 samples: 92.8 %; found by bootstrap 7.3 %, by randomisation 5.5 %).
    """
    covered, bootstrap, randomization = _simulated(300, by_cluster=True)

    assert covered == pytest.approx(0.95, abs=0.04)
    assert bootstrap == pytest.approx(0.05, abs=0.04)
    assert randomization == pytest.approx(0.05, abs=0.04)


def test_rows_that_share_a_question_are_not_independent():
    """The same samples drawn row by row: covered too seldom, found too often."""
    covered, bootstrap, randomization = _simulated(300, by_cluster=False)

    assert covered < 0.85
    assert min(bootstrap, randomization) > 0.15


def test_a_difference_that_is_there_is_found():
    """Half a standard deviation over 200 questions."""
    random = np.random.default_rng(1)
    first = random.normal(size=200)

    (found,) = paired_difference(
        rows(first),
        rows(first + 0.5 + random.normal(size=200)),
        mean,
        Resampler.by(range(200)),
    )

    assert found.interval.low > 0.2
    assert found.interval.high < 0.8
    assert max(found.p_bootstrap, found.p_randomization) < 0.001


# ---------------------------------------------------------------------------- other libraries


def test_intervals_of_a_mean_are_scipys():
    """``scipy.stats.bootstrap`` by percentile, within 0.15 standard errors.

    A bound of 10,000 resamples has a Monte-Carlo error of 0.027 standard errors.
    """
    from scipy.stats import bootstrap

    values = np.random.default_rng(2).gamma(2.0, size=100)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, paired=False, method="percentile", rng=3
    )

    (found,) = interval(rows(values), mean, ALONE)

    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    ours = (found.interval.low, found.interval.high)
    assert ours == pytest.approx(
        tuple(theirs.confidence_interval), abs=0.15 * theirs.standard_error
    )


def test_paired_intervals_and_tests_are_scipys():
    """``bootstrap(paired=True)`` and ``permutation_test`` by samples, on the same pairs."""
    from scipy.stats import bootstrap, permutation_test

    random = np.random.default_rng(4)
    first, second = random.normal(size=100), random.normal(-0.05, size=100)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return b.mean(axis=axis) - a.mean(axis=axis)

    theirs = bootstrap(
        (first, second), difference, n_resamples=RESAMPLES, paired=True, method="percentile", rng=5
    )
    test = permutation_test(
        (first, second), difference, permutation_type="samples", n_resamples=RESAMPLES, rng=6
    )

    (found,) = paired_difference(rows(first), rows(second), mean, ALONE)

    ours = (found.interval.low, found.interval.high)
    assert ours == pytest.approx(
        tuple(theirs.confidence_interval), abs=0.15 * theirs.standard_error
    )
    assert 0.05 < test.pvalue < 0.5
    assert found.p_randomization == pytest.approx(test.pvalue, abs=0.02)


def _texts(n: int) -> tuple[list[str], list[str], list[str]]:
    """Return references and two systems that repeat some of their words, the second a few more."""
    random = np.random.default_rng(7)
    words = [f"w{i}" for i in range(60)]
    references = [" ".join(random.choice(words, 20)) for _ in range(n)]

    def worsened(text: str, kept: float) -> str:
        return " ".join(w if random.random() < kept else random.choice(words) for w in text.split())

    systems = [[worsened(text, kept) for text in references] for kept in (0.70, 0.73)]
    return references, systems[0], systems[1]


def test_bleu_is_resampled_as_sacrebleu_does():
    """SacreBLEU's paired tests on the same texts: p within 0.02 at 10,000 resamples each.

    Its bootstrap takes the size of each difference before it centres them, which makes it a test
    of one side wherever the differences have one sign; from our resamples the same formula gives
    the same p, and ours, of two sides, is larger. Its randomisation has two sides, as ours.
    """
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    references, base, other = _texts(200)
    bleu = metrics.load("bleu", {})
    state = bleu.reference_state(references)
    first, second = (
        bleu.measure(pl.DataFrame({"text": texts, "reference": references}), state)
        for texts in (base, other)
    )
    drawn = Resampler.by(range(200))

    found = paired_difference(first, second, bleu.score, drawn)[0]
    size = np.abs(resampled_differences(first, second, bleu.score, drawn)[:, 0])
    folded = (1 + np.count_nonzero(size - size.mean() > abs(found.value))) / (1 + len(size))

    theirs = {}
    for kind in ("bs", "ar"):
        test = PairedTest(
            [("base", base), ("other", other)],
            {"BLEU": BLEU(smooth_method="none", references=[references])},
            None,
            test_type=kind,
            n_samples=RESAMPLES,
        )
        theirs[kind] = test()[1]["BLEU"][1]
    assert found.second == pytest.approx(theirs["bs"].score / 100, abs=1e-9)
    assert 0.01 < theirs["bs"].p_value < 0.5
    assert folded == pytest.approx(theirs["bs"].p_value, abs=0.02)
    assert found.p_bootstrap >= folded
    assert found.p_randomization == pytest.approx(theirs["ar"].p_value, abs=0.02)
    assert found.p_bootstrap == pytest.approx(found.p_randomization, abs=0.05)


def test_holm_is_as_r_has_it():
    """Values of R's ``p.adjust(method = "holm")``; what was not tested is not counted."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.03, None, 0.6]) == (None, 0.06, None, 0.6)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(deadline=None)
def test_holm_never_lowers_a_p_nor_changes_their_order(values: list[float]):
    """And none exceeds one, or the p times the number of tests."""
    corrected = holm(values)

    for p, c in zip(values, corrected, strict=True):
        assert p <= c <= min(1.0, p * len(values)) or c == pytest.approx(p)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


# ---------------------------------------------------------------------------- rows


def test_under_twenty_clusters_there_is_neither_interval_nor_test():
    """The scores and their difference stand; 19 questions are too few, 20 are enough."""
    values = np.arange(60.0)
    for n_clusters in (LEAST_CLUSTERS - 1, LEAST_CLUSTERS):
        drawn = Resampler.by(i % n_clusters for i in range(60))
        (alone,) = interval(rows(values), mean, drawn)
        (pair,) = paired_difference(rows(values), rows(values**1.1), mean, drawn)
        enough = n_clusters == LEAST_CLUSTERS

        assert alone.value == values.mean()
        assert pair.value > 0
        assert alone.n_clusters == pair.n_clusters == n_clusters
        shown = (alone.interval, pair.interval, pair.p_bootstrap, pair.p_randomization)
        assert [value is not None for value in shown] == [enough] * 4


def test_a_row_that_one_side_has_not_scored_is_left_out_of_both():
    """The rest give the same as if the row had never been there."""
    random = np.random.default_rng(8)
    first, second = rows(random.normal(size=100)), rows(random.normal(size=100))
    first[3], second[[5, 9]] = np.nan, np.nan
    kept = [i for i in range(100) if i not in (3, 5, 9)]

    found = paired_difference(first, second, mean, ALONE)
    without = paired_difference(first[kept], second[kept], mean, Resampler.by(kept))

    assert (found[0].n, found[0].n_left_out, found[0].n_clusters) == (97, 3, 97)
    assert found[0].value == without[0].value
    assert found[0].interval == without[0].interval
    assert found[0].p_randomization == without[0].p_randomization
    (estimate,) = interval(second, mean, ALONE)
    assert (estimate.n, estimate.n_unscored) == (98, 2)


def test_nothing_scored_is_null_and_not_zero():
    """No row, no score, no difference, no test."""
    nothing = np.full((100, 2), np.nan)

    (estimate,) = interval(nothing, mean, ALONE)
    (found,) = paired_difference(nothing, rows(np.ones(100)), mean, ALONE)

    assert (estimate.value, estimate.interval, estimate.n) == (None, None, 0)
    assert (found.value, found.interval, found.p_bootstrap, found.n) == (None, None, None, 0)


def test_equal_answers_differ_by_nothing_for_certain():
    """Not by a p of one in ten thousand: a difference of zero is no finding."""
    values = rows(np.random.default_rng(9).normal(size=100))

    (found,) = paired_difference(values, values, mean, ALONE)

    assert (found.value, found.interval.low, found.interval.high) == (0, 0, 0)
    assert found.p_bootstrap == found.p_randomization == 1


def test_the_same_seed_draws_the_same_and_the_order_of_sides_changes_the_sign_alone():
    """Whatever was drawn in between."""
    random = np.random.default_rng(10)
    first, second = rows(random.normal(size=100)), rows(random.normal(size=100))

    (one,) = paired_difference(first, second, mean, ALONE)
    (other,) = paired_difference(first, second, mean, Resampler.by(range(100), seed=1))
    (back,) = paired_difference(second, first, mean, ALONE)
    (again,) = paired_difference(first, second, mean, Resampler.by(range(100)))

    assert one == again
    assert one.interval != other.interval
    assert back.value == -one.value
    assert back.interval.low == pytest.approx(-one.interval.high, abs=1e-12)
    assert back.p_randomization == one.p_randomization


def test_ten_thousand_resamples_of_nine_metrics_take_about_a_second():
    """787 rows, two conditions. Ten seconds of a busy processor: only a loop would take longer."""
    random = np.random.default_rng(11)
    rouge = metrics.load("rouge", {})
    drawn = Resampler.by(random.integers(0, 2000, 787))
    first, second = (random.random((787, len(rouge.statistics))) for _ in range(2))
    start = time.process_time()

    for _ in range(9):
        paired_difference(first, second, rouge.score, drawn)

    assert time.process_time() - start < 10
