"""Intervals of single scores, of differences, and what shows that two conditions are alike."""

import numpy as np
import pytest

from empathy_core import metrics
from empathy_core.stats import (
    Interval,
    Resampler,
    compare_all,
    equivalent,
    interval,
    intervals,
    least_detectable,
    paired_difference,
    resampling,
)
from empathy_core.types import Column
from tests.benchmarks.simulate_coverage import any_found, corpora, shares, single
from tests.stats_rows import ALONE, BLEU, bleu_rows, mean, rows, texts

pytestmark = pytest.mark.filterwarnings("error")

# ---------------------------------------------------------------------------- bootstrap-t


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 2, 8, 3)], ids=["alone", "unequal"])
def test_a_mean_has_the_bootstrap_t_interval_of_its_definition(sizes: tuple[int, ...]):
    """Resample by resample, literally: its mean, its own clustered error, their ratio."""
    from scipy.stats import t

    random = np.random.default_rng(2)
    clusters = np.repeat(np.arange(30), np.resize(sizes, 30))
    values = random.lognormal(0, 1, 30)[clusters] + random.random(len(clusters))
    drawn = Resampler(clusters, 500)
    members = [np.flatnonzero(clusters == c) for c in range(30)]

    def judged(chosen: np.ndarray) -> tuple[float, float]:
        of = [values[members[c]] for c in chosen]
        n, whole = sum(map(len, of)), np.concatenate(of).mean()
        return whole, np.sqrt(sum((part - whole).sum() ** 2 for part in of)) / n

    value, error = judged(np.arange(30))
    ratios = []
    for counts in resampling.draws(drawn):
        mean_, own = judged(np.repeat(np.arange(30), counts))
        ratios.append((mean_ - value) / own)
    effective = len(values) ** 2 / np.square(np.bincount(clusters)).sum()
    widened = t.ppf(0.975, effective - 1) / t.ppf(0.975, 29)

    (found,) = interval(rows(values), mean, drawn)

    high, low = value - widened * error * np.quantile(ratios, [0.025, 0.975])
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), rel=1e-9)


def test_many_rows_have_scipys_bca_interval():
    """Both correct for skewness: at 400 skewed rows within 0.15 standard errors."""
    from scipy.stats import bootstrap

    values = np.random.default_rng(2).lognormal(0, 0.7, size=400)
    theirs = bootstrap((values,), np.mean, n_resamples=10_000, method="BCa", rng=3)

    (found,) = interval(rows(values), mean, Resampler.by(range(400)))

    ours = (found.interval.low, found.interval.high)
    near = 0.15 * theirs.standard_error
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=near)
    skew = (ours[1] - values.mean()) / (values.mean() - ours[0])
    assert skew > 1.05  # a percentile or a Student's interval has it near 1


def test_an_interval_ends_where_a_rows_score_must():
    """Few rows that are not 0: what no row can score is no mean of theirs."""
    values = np.zeros(30)
    values[:4] = [0.8, 0.9, 1, 0.7]
    limited = [Column("x", "X", least=0.03, most=0.3)]

    (free,) = interval(rows(values), mean, Resampler.by(range(30)))
    (found,) = interval(rows(values), mean, Resampler.by(range(30)), limited)

    assert free.interval.low < 0.03
    assert free.interval.high > 0.3
    assert (found.interval.low, found.interval.high) == (0.03, 0.3)


def test_too_few_questions_that_differ_from_the_rest_have_no_interval():
    """One of thirty: a third of the resamples lack it and know of no variation."""
    values = np.zeros(30)
    values[0] = 0.4

    (found,) = interval(rows(values), mean, Resampler.by(range(30)))

    assert found.value == pytest.approx(0.4 / 30)
    assert found.interval is None


def test_a_bound_among_resamples_without_variation_is_no_number_in_between():
    """An infinite ratio at the quantile itself, or on either side of it: no interval, no NaN."""
    finite = np.linspace(-2, 2, 95)
    for n_below in range(6):
        ratios = np.concatenate([np.full(n_below, -np.inf), finite, np.full(6 - n_below, np.inf)])
        found = intervals.studentised(ratios, 1.0, 0.1, 1.0, 0.95)
        few = max(n_below, 6 - n_below) <= 2  # of 101, the quantiles are the third from both ends
        assert (found is not None) == few
        if found is not None:
            assert found.low < 1 < found.high
    assert intervals.quantile(np.array([-np.inf, 0.0, 1.0]), 0.25) == -np.inf
    assert intervals.quantile(np.array([-1.0, 0.0, np.inf]), 0.75) == np.inf


def test_bleu_without_a_four_gram_match_has_no_interval():
    """0.0000 [0.0000, 0.0000] would say that it is known to be 0."""
    answers = bleu_rows(["I hear you very well."] * 30, ["How sad you must be now."] * 30)

    bleu, penalty, _ = interval(answers, BLEU.score, Resampler.by(range(30)), BLEU.columns)

    assert (bleu.value, bleu.interval, penalty.interval) == (0, None, None)


# ---------------------------------------------------------------------------- equivalence


@pytest.mark.parametrize("n", [25, 100, 400])
def test_two_one_sided_tests_are_statsmodels(n: int):
    """The least margin at which both find something is that of ``ttost_paired``, within 3 %."""
    from scipy.optimize import brentq
    from statsmodels.stats.weightstats import ttost_paired

    random = np.random.default_rng(7)
    first, second = random.normal(size=(2, n))
    apart = second - first

    (found,) = paired_difference(rows(first), rows(second), mean, Resampler.by(range(n), 20_000))
    theirs = brentq(lambda margin: ttost_paired(second, first, -margin, margin)[0] - 0.05, 1e-3, 3)

    ours = max(-found.narrow.low, found.narrow.high)
    assert ours - abs(apart.mean()) == pytest.approx(theirs - abs(apart.mean()), rel=0.05)
    assert equivalent(found.narrow, theirs + 0.1 * apart.std() / np.sqrt(n)) is True
    assert equivalent(found.narrow, theirs - 0.1 * apart.std() / np.sqrt(n)) is False


def test_equivalence_needs_the_whole_narrow_interval_within_the_margin():
    """And a margin above zero."""
    assert equivalent(Interval(-0.01, 0.02), 0.021) is True
    assert equivalent(Interval(-0.01, 0.02), 0.02) is False
    assert equivalent(Interval(-0.03, 0.01), 0.02) is False
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be above zero"):
            equivalent(Interval(-0.01, 0.02), margin)


def test_the_least_detectable_difference_of_a_family_is_that_of_its_first_test():
    """2.80 standard errors for one test, 4.74 for the 528 pairs of 33 conditions."""
    from scipy.stats import norm

    assert least_detectable(1.0) == pytest.approx(2.8016, abs=1e-4)
    assert least_detectable(0.5, 528) == pytest.approx(
        0.5 * (norm.ppf(1 - 0.05 / 2 / 528) + norm.ppf(0.8))
    )
    with pytest.raises(ValueError, match="family of 0 tests"):
        least_detectable(1.0, 0)


def test_the_standard_error_is_that_of_the_difference():
    """Of one row a question, s / sqrt(n)."""
    first, second = np.random.default_rng(3).normal(size=(2, 100))

    (found,) = paired_difference(rows(first), rows(second), mean, ALONE)

    apart = second - first
    assert found.standard_error == pytest.approx(apart.std(ddof=1) / 10, rel=0.025)
    assert found.effect == pytest.approx(found.value / found.standard_error / 10, rel=1e-9)


# ---------------------------------------------------------------------------- coverage
# ``tests/benchmarks/simulate_coverage.py`` has all kinds, with 4,000 experiments each


def test_skewed_scores_of_few_questions_are_covered():
    """ROUGE-2-like rows of 20 questions: 95.8 % of 1,000 (a percentile interval: 90 %)."""
    seen = single("beta(0.3, 3)", 20, "alone", 500)

    assert 0.925 < seen.covered < 0.985
    assert seen.width < 0.22  # of a mean of 0.09


def test_rare_events_are_covered():
    """3 % at 20, 50 clustered questions; by the bootstrap 29 to 75 %."""
    for n, kind in ((20, "alone"), (50, "unequal")):
        own, apart = shares((0.03, 0.03), n, kind, 500)
        assert (own.none, apart.none) == (0, 0)
        assert own.covered > 0.93
        assert apart.covered > 0.93


def test_corpus_scores_are_covered():
    """BLEU of 32 questions, and of a difference."""
    own, apart = corpora(32, "alone", 150)

    assert own.covered > 0.9
    assert apart.covered > 0.9


@pytest.mark.slow
def test_a_family_of_528_tests_finds_nothing_where_nothing_is():
    """33 conditions: at most 6.5 % after Holm, and not never."""
    assert 0 < any_found(33, 20, "alone", 100) < 0.1


def test_every_column_has_the_same_numbers_beside_others():
    """Shares, means, ratios: alone and with other conditions, to the last digit."""
    references, systems = texts(60, 0.5, 0.55, 0.6)
    drawn = Resampler.by(np.arange(60) // 2, 300)
    bleu = [bleu_rows(system, references) for system in systems]
    bleu[1][7] = np.nan
    random = np.random.default_rng(4)
    length = metrics.load("length", {})
    counts = [random.integers(1, 90, (60, 5)).astype(float) for _ in range(3)]
    for of in counts:
        of[:, 3:] = 1
    for metric, data in ((BLEU, bleu), (length, counts)):
        found = compare_all(data, metric.score, drawn, columns=metric.columns)
        for (i, j), differences in found.differences.items():
            assert differences == paired_difference(
                data[i], data[j], metric.score, drawn, metric.columns
            )
        for condition, estimates in zip(data, found.estimates, strict=True):
            assert estimates == interval(condition, metric.score, drawn, metric.columns)
