"""A thousand simulated experiments: intervals cover, and tests find nothing where nothing is.

Experiments of a batch are columns beside each other, on the same clusters and draws. A share of
1,000 has a standard error of 0.7 % at 5 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import stdtrit

from empathy_core.stats import (
    Resampler,
    compare_all,
    components,
    holm,
    interaction,
    length_adjusted,
    spread,
)
from tests.stats_rows import clustered, mean, rows

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]

EXPERIMENTS, BATCHES, RESAMPLES = 1000, 25, 1999
METRICS = 2  # a mean, and a ratio of two sums
ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """Conditions that do not differ, on questions with several answers each.

    A question shifts all conditions alike, and each condition on its own; its answers share both.

    Attributes:
        sizes: How many answers a question may have, each as likely.
        skewed: Whether shifts are log-normal: a few questions are far off to one side.
    """

    n_clusters: int = 50
    n_conditions: int = 4
    sizes: tuple[int, ...] = (1, 1, 1, 2, 3, 5, 8)
    skewed: bool = False

    def batch(self, seed: int, n: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return labels, and the statistics of *n* experiments for each condition."""
        random = np.random.default_rng(seed)
        labels = np.repeat(np.arange(self.n_clusters), random.choice(self.sizes, self.n_clusters))
        shape = (self.n_clusters, METRICS * n)
        easy = random.normal(size=shape)
        words = random.integers(50, 200, len(labels))[:, None]  # per answer, below the ratio
        found = []
        for _ in range(self.n_conditions):
            shifts = random.normal(size=shape)
            if self.skewed:
                shifts = np.exp(shifts) - np.exp(0.5)
            noise = random.normal(size=(len(labels), shape[1]))
            values = (easy + shifts)[labels] + 0.5 * noise
            values[:, n:] *= words
            found.append(np.column_stack([rows(values), words]))
        return labels, found


def score(sums: np.ndarray) -> np.ndarray:
    """Return means of the first half of the values and, of the others, sums over words."""
    n = (sums.shape[-1] - 2) // METRICS
    return np.concatenate(
        [sums[..., :n] / sums[..., -2:-1], sums[..., n:-2] / sums[..., -1:]], axis=-1
    )


@dataclass
class Found:
    """Shares of experiments.

    Attributes:
        any_randomization: With any p of all pairs and metrics at 5 % or less after Holm.
        any_bootstrap: The same.
        one_randomization: Of single tests, without a correction.
        one_bootstrap: The same.
        covered: Of intervals of single scores.
        covered_difference: Of intervals of differences.
    """

    any_randomization: float
    any_bootstrap: float
    one_randomization: float
    one_bootstrap: float
    covered: float
    covered_difference: float


def simulated(world: World, by_cluster: bool = True) -> Found:
    """Return what a thousand experiments find."""
    return Found(*np.mean(list(_experiments(world, by_cluster)), axis=0))


def _experiments(world: World, by_cluster: bool) -> Iterator[tuple[float, ...]]:
    n = EXPERIMENTS // BATCHES
    for seed in range(BATCHES):
        labels, data = world.batch(seed, n)
        clusters = labels if by_cluster else range(len(labels))
        found = compare_all(data, score, Resampler.by(clusters, RESAMPLES, seed))
        for i in range(n):
            pairs = [d for of in found.differences.values() for d in of[i::n]]
            scores = [e for of in found.estimates for e in of[i::n]]
            randomization = [d.p_randomization for d in pairs]
            bootstrap = [d.p_bootstrap for d in pairs]
            yield (
                min(holm(randomization)) <= ALPHA,
                min(holm(bootstrap)) <= ALPHA,
                np.mean(np.array(randomization) <= ALPHA),
                np.mean(np.array(bootstrap) <= ALPHA),
                np.mean([e.interval.low <= 0 <= e.interval.high for e in scores]),
                np.mean([d.interval.low <= 0 <= d.interval.high for d in pairs]),
            )


# ---------------------------------------------------------------------------- pairs


def test_a_family_of_tests_finds_nothing_where_nothing_is():
    """Fifty questions of one to eight answers, four conditions, six pairs, two metrics.

    Seen: by either test, any of twelve finds something in 4.0 % of experiments after Holm; single
    tests in 4.6 % (randomisation) and 5.2 %; intervals cover 94.2 and, of differences, 94.9 %.
    """
    found = simulated(World())

    assert 0.02 < found.any_randomization <= 0.065
    assert 0.02 < found.any_bootstrap <= 0.065
    assert found.one_randomization == pytest.approx(ALPHA, abs=0.015)
    assert found.one_bootstrap == pytest.approx(ALPHA, abs=0.015)
    assert found.covered == pytest.approx(0.95, abs=0.02)
    assert found.covered_difference == pytest.approx(0.95, abs=0.02)


def test_answers_to_one_question_are_not_independent():
    """The same experiments drawn answer by answer: three in four find something, 64 % cover."""
    found = simulated(World(), by_cluster=False)

    assert min(found.any_randomization, found.any_bootstrap) > 0.5
    assert max(found.covered, found.covered_difference) < 0.75


def test_many_questions_cover_as_they_say():
    """Two hundred: 94.8 and, of differences, 95.2 %; 4.1 and 4.4 % of families find something."""
    found = simulated(World(n_clusters=200, n_conditions=3))

    assert 0.02 < found.any_randomization <= 0.065
    assert 0.02 < found.any_bootstrap <= 0.065
    assert found.covered == pytest.approx(0.95, abs=0.015)
    assert found.covered_difference == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("sizes", [World.sizes, (2,)], ids=["unequal", "equal"])
@pytest.mark.parametrize("n_clusters", [20, 25, 30])
def test_few_questions_keep_the_level(n_clusters: int, sizes: tuple[int, ...]):
    """Intervals cover 94.2 to 94.8 %, single tests find 4.9 to 6.0 %, families 3.8 to 5.0 %.

    Twelve of unequal weight among 1,999 resamples leave the bootstrap no p that outlives Holm: it
    is the randomisation that the tables correct and mark.
    """
    found = simulated(World(n_clusters, sizes=sizes))

    assert 0.02 < found.any_randomization <= 0.065
    assert found.any_bootstrap <= 0.065
    assert found.one_randomization == pytest.approx(ALPHA, abs=0.015)
    assert found.one_bootstrap == pytest.approx(ALPHA, abs=0.015)
    assert found.covered == pytest.approx(0.95, abs=0.02)
    assert found.covered_difference == pytest.approx(0.95, abs=0.02)


def test_few_questions_of_which_some_are_far_off_cover_less_than_they_say():
    """Log-normal shifts at 25 questions: 92 % of single scores, 94 % of differences.

    No interval sees a tail that the sample lacks; the tests keep their level.
    """
    found = simulated(World(n_clusters=25, skewed=True))

    assert 0.89 < found.covered < 0.94
    assert 0.92 < found.covered_difference < 0.97
    assert 0.02 < found.any_randomization <= 0.065
    assert found.any_bootstrap <= 0.065


def test_the_detectable_difference_is_found_four_times_in_five():
    """That of the true deviation, by either test; half of it, three times in ten."""
    n, random = 40, np.random.default_rng(1)
    least = stdtrit(n - 1, [0.975, 0.8]).sum() * np.sqrt(2 / n)
    first, second = random.normal(size=(2, n, EXPERIMENTS))
    drawn = Resampler.by(range(n), RESAMPLES)

    shares = []
    for size in (least, least / 2):
        found = compare_all([rows(first), rows(second + size)], mean, drawn).differences[0, 1]
        shares += [
            np.mean([d.p_randomization <= ALPHA for d in found]),
            np.mean([d.p_bootstrap <= ALPHA for d in found]),
        ]

    assert shares[:2] == pytest.approx([0.8, 0.8], abs=0.04)
    assert shares[2:] == pytest.approx([0.28, 0.28], abs=0.05)
    assert np.mean([d.detectable for d in found]) == pytest.approx(least, rel=0.03)


# ---------------------------------------------------------------------------- prompts and runs


def _prompts(seed: int, n: int, k: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return labels and values of *n* experiments for each of *k* prompts that do nothing."""
    random = np.random.default_rng(seed)
    labels = clustered(random, 30)
    easy = random.normal(size=(30, n))
    own = (easy + random.normal(size=(30, n)) for _ in range(k))
    return labels, [of[labels] + 0.5 * random.normal(size=(len(labels), n)) for of in own]


def test_prompts_that_do_nothing_show_no_spread_and_no_interaction():
    """Thirty questions, two models by three prompts: each finds 5 %."""
    apart, crossed = [], []
    for seed in range(10):
        labels, values = _prompts(seed, 100, 6)
        drawn = Resampler.by(labels, 999, seed)
        data = [rows(of) for of in values]
        apart += [of.p for of in spread(data[:4], mean, drawn)]
        # prompts may shift all models alike, and models all prompts
        shifted = [rows(of + 0.3 * (i % 3) + i // 3) for i, of in enumerate(values)]
        crossed += [of.p for of in interaction([shifted[:3], shifted[3:]], mean, drawn)]

    assert np.mean(np.array(apart) <= ALPHA) == pytest.approx(ALPHA, abs=0.02)
    assert np.mean(np.array(crossed) <= ALPHA) == pytest.approx(ALPHA, abs=0.02)


def test_length_alone_makes_no_difference_at_equal_length():
    """Longer answers score more and one condition's are longer: raw is off, adjusted is not."""
    found = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        labels = clustered(random, 40)
        lengths = random.integers(20, 200, (2, len(labels))) * np.array([[1], [2]])
        shared = random.normal(size=40)[labels] * np.array([[1], [-1]]) * 0.5
        scores = np.log1p(lengths) + shared + random.normal(size=lengths.shape)
        found.append(length_adjusted(*scores, *lengths, Resampler.by(labels, 999, seed)))

    assert np.mean([of.raw for of in found]) > 0.5
    assert np.mean([of.interval.low <= 0 <= of.interval.high for of in found]) > 0.91
    assert 0.02 < np.mean([of.p_bootstrap <= ALPHA for of in found]) < 0.085


@pytest.mark.parametrize(("k", "least"), [(2, 0.88), (3, 0.91), (5, 0.93)])
def test_intervals_over_runs_cover_other_runs_and_questions(k: int, least: float):
    """Runs that differ much: 91 % with two, 93 % with three, 95 % with five."""
    n, covered, variances = 40, [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        values = random.normal(size=(1, n, 100)) + 0.5 * random.normal(size=(k, 1, 100))
        values = values + random.normal(size=(k, n, 100))
        data = [rows(of) for of in values]
        for of in components(data, mean, Resampler.by(range(n), 999, seed)):
            covered.append(of.interval.low <= 0 <= of.interval.high)
            variances.append(of.error**2)

    assert least < np.mean(covered) < 0.97
    assert np.mean(variances) == pytest.approx(1 / n + 0.25 / k + 1 / (n * k), rel=0.12)
