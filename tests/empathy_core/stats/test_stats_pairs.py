"""All pairs of conditions, contrasts, effects: against literal resamples of the rows."""

import numpy as np
import pytest

from empathy_core.stats import (
    Resampler,
    compare_all,
    contrast,
    interval,
    intervals,
    paired_difference,
    resampling,
)
from tests.stats_rows import ALONE, BLEU, bleu_rows, clustered, mean, rows, texts

pytestmark = pytest.mark.filterwarnings("error")

LABELS = clustered(np.random.default_rng(0), 30)
FEW = Resampler.by(LABELS, 400, seed=3)


@pytest.fixture(scope="module")
def bleu() -> list[np.ndarray]:
    """Statistics of four systems; two have rows without a score, not the same ones."""
    references, systems = texts(len(LABELS), 0.5, 0.52, 0.6, 0.6)
    found = [bleu_rows(system, references) for system in systems]
    found[1][[2, 40]] = np.nan
    found[3][LABELS == 7] = np.nan
    return found


def test_all_pairs_are_each_pair_alone_to_the_last_digit(bleu: list[np.ndarray]):
    """Whatever other conditions stand beside them and whatever rows those lack."""
    found = compare_all(bleu, BLEU.score, FEW)

    assert list(found.differences) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for (i, j), differences in found.differences.items():
        assert differences == paired_difference(bleu[i], bleu[j], BLEU.score, FEW)
        assert differences[0].p_bootstrap is not None
    for condition, estimates in zip(bleu, found.estimates, strict=True):
        assert estimates == interval(condition, BLEU.score, FEW)
        assert estimates[0].interval is not None


def test_all_pairs_of_means_are_each_pair_alone_to_the_last_digit():
    """Values that no double holds exactly, in clusters, some NaN: sums are exact all the same."""
    random = np.random.default_rng(1)
    data = [rows(random.normal(size=(len(LABELS), 3)) / 3) for _ in range(5)]
    data[0][random.random(len(LABELS)) < 0.3] = np.nan
    data[4][5] = np.nan

    found = compare_all(data, mean, FEW)

    for (i, j), differences in found.differences.items():
        assert differences == paired_difference(data[i], data[j], mean, FEW)
    for condition, estimates in zip(data, found.estimates, strict=True):
        assert estimates == interval(condition, mean, FEW)


def test_only_the_pairs_that_are_asked_for_are_compared(bleu: list[np.ndarray]):
    """In either direction: the sign changes, the tests do not."""
    every = compare_all(bleu, BLEU.score, FEW)

    some = compare_all(bleu, BLEU.score, FEW, [(3, 1), (0, 2)])
    none = compare_all(bleu, BLEU.score, FEW, [])

    assert list(some.differences) == [(3, 1), (0, 2)]
    assert some.differences[0, 2] == every.differences[0, 2]
    back, forth = some.differences[3, 1][0], every.differences[1, 3][0]
    assert back.value == -forth.value
    assert back.interval.low == pytest.approx(-forth.interval.high, abs=1e-12)
    assert back.p_bootstrap == forth.p_bootstrap
    assert back.p_randomization == forth.p_randomization
    assert not none.differences
    assert none.estimates == every.estimates


def test_a_resample_is_the_score_of_the_rows_of_the_clusters_that_were_drawn(
    bleu: list[np.ndarray],
):
    """Row by row, literally: each draw's rows, or its swapped rows, summed and scored."""
    first, second = bleu[0], bleu[1]
    both = ~np.isnan(first + second).any(axis=1)
    (found, *_) = paired_difference(first, second, BLEU.score, FEW)
    members = [np.flatnonzero((c == LABELS) & both) for c in range(30)]

    drawn, shuffled = [], []
    for counts, swapped in zip(resampling.draws(FEW), resampling.swaps(FEW), strict=True):
        chosen = np.concatenate([np.tile(members[c], counts[c]) for c in range(30)])
        scores = [BLEU.score(of[chosen].sum(axis=0))[0] for of in (first, second)]
        drawn.append(scores[1] - scores[0])
        change = np.isin(LABELS, np.flatnonzero(swapped))[:, None]
        sides = np.where(change, second, first)[both], np.where(change, first, second)[both]
        scores = [BLEU.score(of.sum(axis=0))[0] for of in sides]
        shuffled.append(scores[1] - scores[0])

    effective = both.sum() ** 2 / np.square([len(of) for of in members]).sum()
    value = (BLEU.score(second[both].sum(axis=0)) - BLEU.score(first[both].sum(axis=0)))[0]
    assert found.value == pytest.approx(value, abs=1e-12)
    low, high = np.quantile(drawn, [tail := intervals._tail(effective, 0.95), 1 - tail])
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=1e-12)
    # a hair's breadth, so that what is equal but for rounding counts as at least as far
    extreme = np.abs(shuffled) >= abs(value) - 1e-12
    assert found.p_randomization == (1 + extreme.sum()) / 401
    away = np.abs(drawn - np.mean(drawn)) >= abs(value) - 1e-12
    assert found.p_bootstrap == intervals.calibrated((1 + away.sum()) / 401, effective)
    assert 0.01 < found.p_randomization < 1


def test_a_contrast_of_one_pair_twice_is_the_pair(bleu: list[np.ndarray]):
    """To rounding, for the same draws and the same shuffles."""
    one = contrast([bleu[0]] * 2, [bleu[1]] * 2, BLEU.score, FEW)
    pair = compare_all(bleu[:2], BLEU.score, FEW).differences[0, 1]

    for ours, theirs in zip(one, pair, strict=True):
        assert ours.value == pytest.approx(theirs.value, abs=1e-12)
        assert ours.interval.low == pytest.approx(theirs.interval.low, abs=1e-12)
        assert ours.p_bootstrap == theirs.p_bootstrap
        assert ours.p_randomization == theirs.p_randomization
        assert (ours.n, ours.n_left_out) == (theirs.n, theirs.n_left_out)


def test_a_contrast_of_means_is_the_difference_of_the_rows_means():
    """Two pairs of means on the same rows are one pair whose rows are the means of two."""
    random = np.random.default_rng(2)
    first, second = random.normal(size=(2, 2, len(LABELS)))
    first[1, 4] = np.nan

    (found,) = contrast(list(map(rows, first)), list(map(rows, second)), mean, FEW)
    (pair,) = paired_difference(rows(first.mean(axis=0)), rows(second.mean(axis=0)), mean, FEW)

    assert found.n == pair.n == len(LABELS) - 1
    assert found.first == pytest.approx(pair.first, abs=1e-12)
    assert found.value == pytest.approx(pair.value, abs=1e-12)
    assert found.interval.high == pytest.approx(pair.interval.high, abs=1e-12)
    assert found.p_bootstrap == pair.p_bootstrap
    assert found.p_randomization == pair.p_randomization
    assert found.effect == pytest.approx(pair.effect, rel=1e-9)


def test_a_condition_may_stand_on_both_sides_of_several_pairs():
    """A less the mean of B and C, written as two pairs; of A alone it is nothing."""
    random = np.random.default_rng(3)
    a, b, c = (rows(random.normal(size=len(LABELS))) for _ in range(3))

    (found,) = contrast([b, c], [a, a], mean, FEW)
    (nothing,) = contrast([a, b], [b, a], mean, FEW)

    scores = [interval(of, mean, FEW)[0].value for of in (a, b, c)]
    assert found.value == pytest.approx(scores[0] - (scores[1] + scores[2]) / 2, abs=1e-12)
    assert abs(nothing.value) < 1e-12
    assert nothing.p_randomization == nothing.p_bootstrap == 1


def test_the_effect_is_cohens_d_of_paired_samples():
    """The mean of the differences over their standard deviation, one row a cluster."""
    random = np.random.default_rng(4)
    first, second = random.normal(size=(2, 100))

    (found,) = paired_difference(rows(first), rows(second + 0.4), mean, ALONE)
    (back,) = paired_difference(rows(second + 0.4), rows(first), mean, ALONE)

    apart = second + 0.4 - first
    d_z = apart.mean() / apart.std(ddof=1)
    # a standard deviation of 10,000 resamples is known to 0.7 %
    assert found.effect == pytest.approx(d_z, rel=0.025)
    assert back.effect == -found.effect


def test_many_rows_a_question_are_no_more_than_their_question():
    """Each row ten times is the same evidence: interval, p, effect and detectable stay."""
    random = np.random.default_rng(5)
    first, second = random.normal(size=(2, 100))

    (once,) = paired_difference(rows(first), rows(second), mean, ALONE)
    (often,) = paired_difference(
        rows(np.repeat(first, 10)),
        rows(np.repeat(second, 10)),
        mean,
        Resampler.by(np.repeat(range(100), 10)),
    )

    assert (often.n, often.n_clusters) == (1000, 100)
    assert often.interval.low == pytest.approx(once.interval.low, abs=1e-12)
    assert often.p_randomization == once.p_randomization
    assert often.p_bootstrap == once.p_bootstrap
    assert often.effect == pytest.approx(once.effect, rel=1e-9)
    assert often.detectable == pytest.approx(once.detectable, rel=1e-9)


def test_questions_of_unequal_weight_are_fewer_than_they_are():
    """One of thirty with nine in ten answers: hardly more than one question, and wide bounds."""
    random = np.random.default_rng(7)
    labels = np.concatenate([np.zeros(261, int), np.arange(1, 30)])
    first, second = random.normal(size=(2, 290))

    (found,) = paired_difference(rows(first), rows(second), mean, Resampler.by(labels))

    drawn = resampling.draws(Resampler.by(labels)).astype(float)
    sums = [np.bincount(labels, of) for of in (second - first, np.ones(290))]
    scores = (drawn @ sums[0]) / (drawn @ sums[1])
    assert found.n_clusters == 30
    assert found.interval.low == pytest.approx(scores.min(), abs=1e-9)
    assert found.interval.high == pytest.approx(scores.max(), abs=1e-9)
    assert found.p_bootstrap > 0.05
    assert found.detectable < 20


def test_shuffles_that_differ_by_rounding_alone_are_equal():
    """Of counts, many shuffles give the very difference: they are counted in whole numbers."""
    random = np.random.default_rng(8)
    for n in (49, 77, 91):  # whose reciprocals no double holds
        first, second = random.integers(0, 4, (2, 3, n)).astype(float)
        drawn = Resampler.by(range(n), 4000)

        (found,) = contrast(list(map(rows, first)), list(map(rows, second)), mean, drawn)

        apart = (second - first).sum(axis=0)
        shuffled = apart.sum() - 2 * resampling.swaps(drawn).astype(float) @ apart
        extreme = np.count_nonzero(np.abs(shuffled) >= abs(apart.sum()))
        assert np.count_nonzero(np.abs(shuffled) == abs(apart.sum())) > 50
        assert found.p_randomization == (1 + extreme) / 4001


def test_a_small_p_is_never_zero():
    """The observed difference is one of the shuffles; the bootstrap is as cautious."""
    random = np.random.default_rng(6)
    first = random.normal(size=100)

    (found,) = paired_difference(rows(first), rows(first + 9 + random.random(100)), mean, ALONE)

    assert found.p_randomization == 1 / 10_001
    assert found.p_bootstrap > 1 / 10_001
