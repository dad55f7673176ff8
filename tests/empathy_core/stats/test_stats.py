"""Rows that count, bad input, and corrections for many tests."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core.stats import (
    LEAST_CLUSTERS,
    Resampler,
    benjamini_hochberg,
    compare_all,
    components,
    contrast,
    holm,
    interaction,
    interval,
    length_adjusted,
    movers,
    paired_difference,
    spread,
)
from tests.stats_rows import ALONE, BLEU, bleu_rows, clustered, mean, rows

pytestmark = pytest.mark.filterwarnings("error")

# ---------------------------------------------------------------------------- rows that count


def test_under_twenty_clusters_there_is_neither_interval_nor_test():
    """The scores and their difference stand; 19 questions are too few, 20 are enough."""
    values = np.arange(60.0)
    for n_clusters in (LEAST_CLUSTERS - 1, LEAST_CLUSTERS):
        drawn = Resampler.by(i % n_clusters for i in range(60))
        (alone,) = interval(rows(values), mean, drawn)
        (pair,) = paired_difference(rows(values), rows(values**1.1), mean, drawn)
        (apart,) = spread([rows(values), rows(values**1.1)], mean, drawn)
        (runs,) = components([rows(values), rows(values**1.1)], mean, drawn)
        line = length_adjusted(values, values**1.1, values, values[::-1], drawn)

        assert alone.value == values.mean()
        assert min(pair.value, apart.value, runs.deviation) > 0
        assert alone.n_clusters == pair.n_clusters == n_clusters
        shown = (
            alone.interval, pair.interval, pair.p_bootstrap, pair.p_randomization, pair.effect,
            pair.detectable, apart.interval, apart.p, runs.interval, line.interval,
            line.p_bootstrap,
        )  # fmt: skip
        enough = n_clusters == LEAST_CLUSTERS
        assert [value is not None for value in shown] == [enough] * len(shown)


def test_clusters_without_a_scored_row_do_not_count_towards_twenty():
    """Thirty questions of which nineteen are answered are nineteen."""
    values = rows(np.arange(30.0))
    values[19:] = np.nan

    (found,) = interval(values, mean, Resampler.by(range(30)))

    assert (found.n, found.n_clusters, found.interval) == (19, 19, None)


def test_a_row_that_one_side_has_not_scored_is_left_out_of_both():
    """The scores are those of the rest; of intervals and tests, too, but for other draws."""
    random = np.random.default_rng(8)
    first, second = rows(random.normal(size=100)), rows(random.normal(size=100))
    first[3], second[[5, 9]] = np.nan, np.nan
    kept = [i for i in range(100) if i not in (3, 5, 9)]

    (found,) = paired_difference(first, second, mean, ALONE)
    (without,) = paired_difference(first[kept], second[kept], mean, Resampler.by(kept))

    assert (found.n, found.n_left_out, found.n_clusters) == (97, 3, 97)
    assert found.value == pytest.approx(without.value, abs=1e-12)
    assert found.interval.low == pytest.approx(without.interval.low, abs=0.02)
    assert found.interval.high == pytest.approx(without.interval.high, abs=0.02)
    assert found.p_randomization == pytest.approx(without.p_randomization, abs=0.02)
    (estimate,) = interval(second, mean, ALONE)
    assert (estimate.n, estimate.n_unscored) == (98, 2)


def test_a_metric_that_is_constant_has_no_interval_and_nothing_to_find():
    """Equal to the last digit, whatever the resample: [x, x] would say that it is known."""
    third = rows(np.full(100, 1 / 3))

    (alone,) = interval(third, mean, ALONE)
    (found,) = paired_difference(third, third, mean, ALONE)
    (apart,) = spread([third, third, third], mean, ALONE)
    (runs,) = components([third, third], mean, ALONE)

    assert alone.value == pytest.approx(1 / 3, abs=1e-12)
    assert alone.interval is found.interval is found.narrow is apart.interval is None
    assert (found.value, found.standard_error, found.p_floor) == (0, None, 1)
    assert found.p_bootstrap == found.p_randomization == apart.p == 1
    assert (found.effect, found.detectable) == (None, None)
    assert (runs.error, runs.share, runs.interval) == (0, None, None)


def test_equal_answers_differ_by_nothing_for_certain():
    """A difference of zero is no finding, though scores vary."""
    values = rows(np.random.default_rng(9).normal(size=100))

    (found,) = paired_difference(values, values, mean, ALONE)

    assert (found.value, found.interval, found.narrow) == (0, None, None)
    assert found.p_bootstrap == found.p_randomization == found.p_floor == 1


def test_references_without_a_word_give_null_where_there_is_no_score():
    """Tokens over tokens of no reference is no number, and neither is BLEU of it."""
    nothing = bleu_rows(["I hear you."] * 40, [""] * 40)

    found = interval(nothing, BLEU.score, Resampler.by(range(40)))
    differences = paired_difference(nothing, nothing, BLEU.score, Resampler.by(range(40)))

    assert {(of.value, of.interval, of.n, of.n_unscored) for of in found} == {(None, None, 0, 40)}
    assert differences[2].value is differences[2].p_bootstrap is None


def test_one_reference_without_a_word_among_many_is_left_out():
    """Its row is not scored; the others are what they are without it."""
    answers = ["I hear you very well."] * 19 + ["I hear you very well today."] * 20
    many = bleu_rows([*answers, "Well."], ["Now I hear you very well."] * 39 + [""])

    bleu, _, length = interval(many, BLEU.score, Resampler.by(range(40)))

    assert (bleu.n, bleu.n_unscored, length.n) == (39, 1, 39)
    assert bleu.value == interval(many[:39], BLEU.score, Resampler.by(range(39)))[0].value
    assert 0 < bleu.interval.low <= bleu.value <= bleu.interval.high


def test_a_score_that_few_resamples_lack_has_an_interval_and_one_that_many_lack_has_none():
    """With two questions of thirty that have a score, one draw in eight has neither."""
    drawn = Resampler.by(range(30))
    for n_scored, shown in ((2, False), (6, True)):  # of six, one draw in eight hundred
        values = np.arange(30.0)[:, None] * [1, 0]
        values[:n_scored, 1] = 1

        def ratio(sums: np.ndarray) -> np.ndarray:
            return sums[..., :1] / sums[..., 1:]  # infinite where it divides by zero

        other = values + np.arange(30.0)[::-1, None] * [1, 0]
        found = compare_all([values, other], ratio, drawn)
        (apart,) = spread([values, other], ratio, drawn)

        assert found.estimates[0][0].value == 435 / n_scored
        assert found.differences[0, 1][0].value == 435 / n_scored
        numbers = (
            found.estimates[0][0].interval, found.differences[0, 1][0].interval,
            found.differences[0, 1][0].p_bootstrap, apart.interval,
        )  # fmt: skip
        assert [n is not None for n in numbers] == [shown] * 4


# ---------------------------------------------------------------------------- bad input


def test_conditions_of_different_rows_are_refused_with_their_shapes():
    """Which rows belong together cannot be guessed."""
    long, short = rows(np.ones(100)), rows(np.ones(99))
    for call in (
        lambda: compare_all([long, short], mean, ALONE),
        lambda: paired_difference(long, short, mean, ALONE),
        lambda: contrast([long], [short], mean, ALONE),
        lambda: spread([long, short], mean, ALONE),
        lambda: interaction([[long, short], [long, long]], mean, ALONE),
        lambda: components([long, short], mean, ALONE),
        lambda: movers([long, short], mean, 3),
    ):
        with pytest.raises(ValueError, match=r"\(99, 2\) and \(100, 2\)"):
            call()
    with pytest.raises(ValueError, match=r"\(100, 2\) and \(100, 3\)"):
        compare_all([long, np.ones((100, 3))], mean, ALONE)
    with pytest.raises(ValueError, match=r"\(99, 2\).*clusters of 100 rows"):
        interval(short, mean, ALONE)
    with pytest.raises(ValueError, match=r"\(100,\).*statistics"):
        interval(np.ones(100), mean, ALONE)
    with pytest.raises(ValueError, match=r"\(100, 1\) and \(99, 1\)|\(99, 1\) and \(100, 1\)"):
        length_adjusted(np.ones(100), np.ones(99), np.ones(100), np.ones(100), ALONE)


def test_what_is_missing_or_makes_no_sense_is_said():
    """No condition, unequal sides, a grid with holes, an unknown condition, an odd resampler."""
    one = rows(np.ones(100))
    for call, words in (
        (lambda: compare_all([], mean, ALONE), "no condition"),
        (lambda: contrast([], [], mean, ALONE), "no condition"),
        (lambda: contrast([one], [one, one], mean, ALONE), "not 1 and 2"),
        (lambda: interaction([], mean, ALONE), "no condition"),
        (lambda: interaction([[one, one], [one]], mean, ALONE), "2, 1"),
        (lambda: movers([], mean, 3), "no condition"),
        (lambda: compare_all([one, one], mean, ALONE, [(0, 2)]), r"conditions \[2\]"),
        (lambda: Resampler.by([1], n_resamples=0), "at least one resample"),
        (lambda: Resampler.by([1], seed=-1), "seed"),
        (lambda: Resampler(np.array([0]), level=95), r"between 0\.5 and 1"),
        (lambda: Resampler(np.array([-1])), "from 0 up"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_no_row_one_row_or_two_have_no_interval_and_no_test(n: int):
    """Nothing warns, nothing fails; one row has a score, none has none."""
    drawn, some = Resampler.by(range(n)), rows(np.arange(1.0, n + 1))

    found = compare_all([some, some], mean, drawn)
    (apart,) = spread([some, some], mean, drawn)
    (crossed,) = interaction([[some, some], [some, some]], mean, drawn)
    (runs,) = components([some, some], mean, drawn)
    line = length_adjusted(some[:, 0], some[:, 0], some[:, 0], some[:, 0], drawn)

    value = (n + 1) / 2 if n else None
    assert found.estimates[0][0].value == runs.mean == value
    difference = found.differences[0, 1][0]
    assert difference.value == apart.value == crossed.value == line.raw == (0 if n else None)
    assert contrast([some], [some], mean, drawn)[0].n == n
    tested = (
        found.estimates[0][0].interval, difference.interval, difference.p_bootstrap,
        difference.p_randomization, apart.p, crossed.p, runs.interval, line.p_bootstrap,
    )  # fmt: skip
    assert tested == (None,) * len(tested)
    assert movers([some, some], mean, 3) == ((),)


def test_nothing_scored_is_null_and_not_zero():
    """No row, no score, no difference, no test."""
    nothing, ones = np.full((100, 2), np.nan), rows(np.ones(100))

    (estimate,) = interval(nothing, mean, ALONE)
    (found,) = paired_difference(nothing, ones, mean, ALONE)
    (apart,) = spread([nothing, ones], mean, ALONE)
    (crossed,) = interaction([[nothing, ones], [ones, ones]], mean, ALONE)
    (runs,) = components([nothing, ones], mean, ALONE)

    assert (estimate.value, estimate.interval, estimate.n) == (None, None, 0)
    assert (found.value, found.interval, found.p_bootstrap, found.n) == (None, None, None, 0)
    assert apart.value is crossed.value is runs.mean is None
    assert movers([nothing, ones], mean, 3) == ((),)


def test_an_infinite_statistic_gives_null_and_no_warning():
    """A metric that divides by zero hurts itself alone, not the columns beside it."""
    values = np.random.default_rng(3).normal(size=(100, 2))
    broken = values.copy()
    broken[7, 0] = np.inf

    found = compare_all([rows(broken), rows(values)], mean, ALONE)

    assert found.estimates[0][0].value is found.estimates[0][0].interval is None
    assert found.estimates[0][1].interval is not None
    hurt, whole = found.differences[0, 1]
    assert hurt.value is hurt.p_randomization is None
    assert whole.p_bootstrap == 1


# ---------------------------------------------------------------------------- many tests


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_corrections_are_those_of_statsmodels(ours, theirs: str):
    """On p of every size, ties among them; what was not tested is not counted."""
    from statsmodels.stats.multitest import multipletests

    random = np.random.default_rng(12)
    for n in (1, 2, 7, 100):
        p = np.round(random.random(n) ** 3, 3)
        given = [value for pair in zip(p, [None] * n, strict=True) for value in pair]

        found = ours(given)

        assert found[0::2] == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-15)
        assert found[1::2] == (None,) * n
    assert ours([]) == ()
    assert ours([None]) == (None,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(deadline=None)
def test_holm_never_lowers_a_p_nor_changes_their_order(values: list[float]):
    """And none exceeds one, or the p times the number of tests."""
    corrected = holm(values)

    for p, c in zip(values, corrected, strict=True):
        assert p <= c <= min(1.0, p * len(values)) or c == pytest.approx(p)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


def test_all_pairs_of_eight_conditions_under_nine_metrics_take_about_a_second():
    """787 rows, ten thousand resamples; ten seconds of a busy processor: a loop takes longer."""
    random = np.random.default_rng(11)
    drawn = Resampler.by(clustered(random, 262)[:787])
    data = [[rows(random.random((len(drawn.clusters), 3))) for _ in range(8)] for _ in range(9)]
    start = time.process_time()

    for conditions in data:
        compare_all(conditions, mean, drawn)

    assert time.process_time() - start < 10
