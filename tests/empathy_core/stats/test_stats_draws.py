"""Draws: what is drawn, that a seed draws the same, and that sums are exact."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from empathy_core.stats import Resampler, paired_difference, resampling
from tests.stats_rows import ALONE, mean, rows

pytestmark = pytest.mark.filterwarnings("error")
ROOT = Path(__file__).parents[3]


def test_a_draw_is_a_sample_of_the_clusters_with_replacement():
    """As many as there are, each as likely: mean 1 and variance 1 - 1/n of a count."""
    counts = resampling.draws(Resampler.by(range(50), 20_000))

    assert counts.shape == (20_000, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.04)  # 5 standard errors
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.01)


def test_a_shuffle_swaps_each_cluster_with_a_chance_of_one_half():
    """And no cluster with another: the counts of two are independent."""
    swapped = resampling.swaps(Resampler.by(range(50), 20_000)).astype(float)

    assert set(np.unique(swapped)) == {0, 1}
    assert swapped.mean(axis=0) == pytest.approx(0.5, abs=0.02)
    correlations = np.corrcoef(swapped.T) - np.eye(50)
    assert np.abs(correlations).max() < 0.04


@pytest.mark.parametrize("n_conditions", [2, 3, 4, 9])
def test_an_order_gives_each_condition_a_place_of_its_own(n_conditions: int):
    """Every place is as likely for every condition."""
    drawn = Resampler.by(range(30), 4000)
    places = resampling.orders(drawn, n_conditions)

    assert places.shape == (n_conditions, 4000, 30)
    assert (np.sort(places, axis=0) == np.arange(n_conditions)[:, None, None]).all()
    for place in range(n_conditions):
        share = (places == place).mean(axis=(1, 2))
        assert share == pytest.approx(1 / n_conditions, abs=0.01)


def test_fewer_resamples_are_the_first_of_more():
    """Whichever block, and whichever thread drew it."""
    few, many = Resampler.by(range(30), 333, seed=5), Resampler.by(range(30), 1000, seed=5)

    for draw in (
        resampling.draws,
        resampling.swaps,
        lambda of: resampling.orders(of, 3).swapaxes(0, 1),
    ):
        assert np.array_equal(draw(few), draw(many)[:333])
        assert not np.array_equal(draw(many)[:200], draw(many)[200:400])


def test_draws_that_wait_for_the_next_metric_have_a_bound(monkeypatch: pytest.MonkeyPatch):
    """The oldest go first; what is asked for again is drawn again, the same."""
    monkeypatch.setattr(resampling, "_MOST_KEPT", 25_000)
    first = resampling.draws(Resampler.by(range(10), 1000)).copy()
    for n_clusters in (11, 12, 13):
        resampling.draws(Resampler.by(range(n_clusters), 1000))

    assert sum(kept.nbytes for kept in resampling._kept.values()) <= 25_000
    assert np.array_equal(resampling.draws(Resampler.by(range(10), 1000)), first)


def test_threads_ask_for_draws_at_the_same_time(monkeypatch: pytest.MonkeyPatch):
    """Each gets its own, whichever of the others' is let go meanwhile."""
    monkeypatch.setattr(resampling, "_MOST_KEPT", 20_000)
    asked = [Resampler.by(range(n), 80) for n in range(20, 100)]
    alone = [resampling.swaps(of) for of in asked]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(resampling.swaps, asked * 100))
    finally:
        sys.setswitchinterval(before)

    assert all(np.array_equal(a, b) for a, b in zip(found, alone * 100, strict=True))


def test_two_seeds_draw_otherwise_and_one_seed_the_same():
    """Whatever was drawn in between."""
    random = np.random.default_rng(10)
    first, second = rows(random.normal(size=100)), rows(random.normal(size=100))

    (one,) = paired_difference(first, second, mean, ALONE)
    (other,) = paired_difference(first, second, mean, Resampler.by(range(100), seed=1))
    (again,) = paired_difference(first, second, mean, Resampler.by(range(100)))

    assert one == again
    assert one.interval != other.interval
    assert one.p_randomization != other.p_randomization


DIGITS = """
import numpy as np
from empathy_core.stats import Resampler, compare_all
from empathy_core.types import Column
random = np.random.default_rng(0)
drawn = Resampler.by(random.integers(0, 300, 787))
data = [np.column_stack([random.normal(size=(787, 5)), np.ones(787)]) for _ in range(7)]
for of in data:
    of[:, 0] = of[:, 0] > 1
data[2][5] = np.nan
columns = [Column("x", "X", share=i == 0, ratio=(i, 5) if i < 3 else None) for i in range(5)]
drawn = drawn.for_tests(30)
print(compare_all(data, lambda sums: sums[..., :-1] / sums[..., -1:], drawn, columns=columns))
"""


def test_the_number_of_threads_changes_no_digit():
    """A product of matrices adds up in another order with more threads: sums are exact."""
    found = []
    for threads in ("1", "2", "3"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", DIGITS]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=env, cwd=ROOT
        )
        found.append(done.stdout)

    assert len(found[0]) > 1000
    assert found[0] == found[1] == found[2]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.randoms())
@example([5e-324, 0.0], Random(0))  # the least that a double holds
@settings(deadline=None)
def test_the_order_of_rows_changes_no_digit_and_the_grid_no_sum(values: list[float], order):
    """The sum on the grid is the exact one to 13 digits of the sum of sizes."""
    stack = rows(np.array(values))[None]
    kept = np.ones(len(values), bool)
    total = resampling.cluster_sums(stack, kept, Resampler.by([0] * len(values)))[0, 0]
    shuffled = stack[:, order.sample(range(len(values)), len(values))]

    again = resampling.cluster_sums(shuffled, kept, Resampler.by([0] * len(values)))[0, 0]

    assert total.tolist() == again.tolist()
    assert total[0] == pytest.approx(sum(values), abs=1e-13 * sum(map(abs, values)) + 1e-290)
    assert total[1] == len(values)


@pytest.mark.parametrize("n_clusters", [30, 787])
def test_sums_that_agree_or_are_zero_are_multiplied_once(n_clusters: int):
    """To the last digit of the plain product, of fractions and of whole numbers."""
    random = np.random.default_rng(0)
    sums = np.zeros((n_clusters, 5, 9))
    sums[..., 0] = np.rint(random.random((n_clusters, 5)) * 2**30) / 2**30
    sums[..., 1] = 1  # the number of rows: under all conditions the same
    sums[..., 3:] = random.integers(9, size=(n_clusters, 5, 6))
    sums[3] = 0
    weights = random.integers(3, size=(500, n_clusters)).astype(np.uint8)

    product = resampling.Product(sums)
    found = np.full((45, 500), np.nan)
    product.fill(found, weights)

    assert np.array_equal(found, (weights.astype(float) @ sums.reshape(n_clusters, -1)).T)
    assert [len(flat) for *_, flat in product._parts] == [1 + 5 * 6, 5]


def test_rows_repeated_for_each_condition_keep_their_clusters():
    labels = ["b", "a", "b", "c"]
    once = Resampler.by(labels, n_resamples=7, seed=3)

    assert once.repeated(3).clusters.tolist() == Resampler.by(labels * 3).clusters.tolist()
    assert (once.repeated(3).n_resamples, once.repeated(3).seed) == (7, 3)
    assert once.repeated(1).clusters.tolist() == once.clusters.tolist()
