"""Approximate randomisation: how many shuffles, what they count, and the least p there can be."""

from itertools import combinations

import numpy as np
import pytest

from empathy_core import metrics
from empathy_core.stats import Resampler, compare_all, holm, paired_difference, shuffles_for
from empathy_core.stats.resampling import swaps
from empathy_core.types import Column
from tests.benchmarks.simulate_coverage import _least_p, _null, labels
from tests.stats_rows import BLEU, bleu_rows, mean, rows, texts

pytestmark = pytest.mark.filterwarnings("error")

MEAN = [Column("x", "X", ratio=(0, 1))]


def test_the_number_of_shuffles_is_fixed_by_the_family():
    """Twenty times what Holm's first test needs; never fewer than ten thousand."""
    assert [shuffles_for(n) for n in (1, 25, 26, 276, 528)] == [
        10_000, 10_000, 10_400, 110_400, 211_200,
    ]  # fmt: skip
    drawn = Resampler.by(range(30))
    assert drawn.shuffles == 10_000
    assert drawn.for_tests(528).shuffles == 211_200
    assert drawn.for_tests(528).for_tests(3).shuffles == 211_200
    assert drawn.for_tests(528).n_resamples == 10_000
    with pytest.raises(ValueError, match="one shuffle"):
        Resampler.by(range(30), n_resamples=5).__class__(np.arange(3), n_shuffles=0)


def test_one_condition_of_33_that_is_far_better_is_found():
    """+0.88 over all others: with 10,000 shuffles Holm's least p is 528 / 10,001 = 0.0528."""
    random = np.random.default_rng(4)
    data = [rows(0.1 * random.random(200)) for _ in range(33)]
    data[0] = rows(np.full(200, 0.98))
    drawn = Resampler.by(range(200), 500)

    few = compare_all(data, mean, Resampler.by(range(200)), columns=MEAN)
    enough = compare_all(data, mean, drawn.for_tests(528), columns=MEAN)

    def corrected(found) -> list[float]:
        return list(holm([of[0].p_randomization for of in found.differences.values()]))

    assert corrected(few)[0] == pytest.approx(528 / 10_001)
    assert corrected(enough)[:32] == pytest.approx([528 / 211_201] * 32)
    assert enough.differences[0, 1][0].p_floor == 1 / 211_201


@pytest.mark.parametrize("columns", [(), MEAN], ids=["scored", "counted"])
def test_p_is_the_share_of_all_sign_changes_that_are_as_extreme(columns):
    """Of 20 questions there are 2^20: by 200,000 of them, within four standard errors."""
    random = np.random.default_rng(1)
    apart = np.round(random.normal(0.3, 1, 20), 1)
    signs = 1 - 2.0 * ((np.arange(2**20)[:, None] >> np.arange(20)) & 1)
    exact = float((np.abs(signs @ apart) >= abs(apart.sum()) - 1e-9).mean())
    drawn = Resampler(np.arange(20), 100, n_shuffles=200_000)

    (found,) = paired_difference(rows(np.zeros(20)), rows(apart), mean, drawn, columns)

    assert 0.01 < exact < 0.3
    error = np.sqrt(exact * (1 - exact) / 200_000)
    assert found.p_randomization == pytest.approx(exact, abs=4 * error)


def test_few_questions_that_differ_bound_p_from_below():
    """Five of thirty: 2 / 2^5 at least, however many shuffles; none: 1."""
    first = np.zeros(30)
    second = np.where(np.arange(30) < 5, np.arange(30) + 1.0, 0.0)
    drawn = Resampler.by(range(30))

    for columns in ((), MEAN):
        (found,) = paired_difference(rows(first), rows(second), mean, drawn, columns)
        (alike,) = paired_difference(rows(first), rows(first), mean, drawn, columns)
        assert found.p_floor == 2 / 2**5
        assert found.p_floor <= found.p_randomization < 0.08
        assert alike.p_floor == alike.p_randomization == 1


def test_a_question_that_differs_in_another_column_does_not_count():
    """By column: under two columns of one metric, other questions differ."""
    first = np.zeros((40, 2))
    second = np.zeros((40, 2))
    second[:3, 0], second[:30, 1] = 1, 1

    both = [Column("x", "X", ratio=(0, 2)), Column("y", "Y", ratio=(1, 2))]
    drawn = Resampler.by(range(40))

    one, other = paired_difference(rows(first), rows(second), mean, drawn, both)
    unknown, _ = paired_difference(rows(first), rows(second), mean, drawn)

    assert one.p_floor == 2 / 2**3
    assert other.p_floor == unknown.p_floor == 1 / 10_001  # what it is made of is not said


def test_ratios_are_counted_as_they_are_scored():
    """To the last digit: means, ratios of sums, those whose denominators change sides, NaN."""
    random = np.random.default_rng(6)
    length, clusters = metrics.load("length", {}), np.repeat(np.arange(40), 2)
    data = [random.integers(1, 9, (80, 5)).astype(float) for _ in range(4)]
    for of in data:
        of[:, 4] = 1
        of[:, 2] = data[0][:, 2]
        of[:, 3] = of is not data[3]  # of one condition no row tells its tokens
    data[2][:, 3] = random.random(80) < 0.5  # and of one, some
    data[1][[3, 50]] = np.nan
    drawn = Resampler(clusters, 200, n_shuffles=9001)

    scored = compare_all(data, length.score, drawn)
    counted = compare_all(data, length.score, drawn, columns=length.columns)

    for pair in combinations(range(4), 2):
        both = [of.differences[pair] for of in (scored, counted)]
        for one, other in zip(*both, strict=True):
            assert one.p_randomization == other.p_randomization
            assert one.value == other.value
        assert (both[0][1].p_randomization is None) == (3 in pair)


def test_shuffles_in_blocks_are_all_shuffles():
    """More than a block, in clusters, a row missing: as one product of all of them."""
    random = np.random.default_rng(8)
    clusters = np.repeat(np.arange(33), 3)
    first, second = random.normal(size=(2, 99))
    second[4] = np.nan
    drawn = Resampler(clusters, 100, n_shuffles=10_007)

    (found,) = paired_difference(rows(first), rows(second), mean, drawn)

    apart = np.bincount(clusters, np.nan_to_num(second - first))
    moved = apart.sum() - 2 * swaps(drawn).astype(float) @ apart
    extreme = np.count_nonzero(np.abs(moved) >= abs(apart.sum()) - 1e-9)
    assert swaps(drawn).shape == (10_007, 33)
    assert np.array_equal(swaps(drawn, slice(8, 31)), swaps(drawn)[8:31])
    assert found.p_randomization == (1 + extreme) / 10_008


def test_more_shuffles_begin_with_the_same():
    """So that a larger family moves a p by no more than its own error."""
    references, systems = texts(60, 0.5, 0.55)
    sides = [bleu_rows(of, references) for of in systems]
    found = [
        paired_difference(*sides, BLEU.score, Resampler(np.arange(60), 100, n_shuffles=n))[0]
        for n in (2000, 20_000)
    ]

    few, many = (of.p_randomization for of in found)
    assert few == pytest.approx(many, abs=4 * np.sqrt(many * (1 - many) / 2000))
    short, long = (Resampler(np.arange(60), 100, n_shuffles=n) for n in (2000, 20_000))
    assert np.array_equal(swaps(short), swaps(long)[:2000])


def test_the_simulated_families_are_those_of_compare_all():
    """``simulate_coverage`` stops early where nothing can be found: the least p is the same."""
    for seed in range(3):
        stack, drawn = _null(seed, 6, labels(25, "unequal"))
        found = compare_all(list(stack), mean, drawn).differences.values()
        least = min(of[0].p_randomization for of in found)

        assert _least_p(stack, drawn, list(combinations(range(6), 2)), 1.0) == least
