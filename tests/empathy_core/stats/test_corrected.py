"""Corrected means are the published ones, written out by hand; they cover, and do no harm."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import skew, t, ttest_1samp

from empathy_core.stats.corrected import (
    MOST_GAIN,
    Corrected,
    corrected_difference,
    corrected_mean,
)
from empathy_core.stats.rated_frame import RatedSample, SamplingFrame
from empathy_core.stats.refusals import Refusal
from tests.benchmarks.simulate_corrected import WORLDS as MADE
from tests.benchmarks.simulate_corrected import cell, kept
from tests.ratings import ATTRIBUTES, MENTALALIGN, mentalalign

pytestmark = pytest.mark.filterwarnings("error")
needs_mentalalign = pytest.mark.skipif(not MENTALALIGN.is_file(), reason=f"no {MENTALALIGN}")


def ratings(n: int, n_rated: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all ratings, those given, and judge scores, half a point too high."""
    random = np.random.default_rng(seed)
    quality = random.normal(size=n)
    human = quality + random.normal(size=n)
    given = np.full(n, np.nan)
    chosen = random.choice(n, n_rated, replace=False)
    given[chosen] = human[chosen]
    return human, given, quality + 0.5 + 0.5 * random.normal(size=n)


def alone(n: int, n_rated: int, **of: object) -> RatedSample:
    return replace(RatedSample(np.arange(n), n_rated / n), **of)


def at(weight: float, given: np.ndarray, judge: np.ndarray, sample: RatedSample):
    return SamplingFrame.of(sample, np.ones(len(judge), bool)).estimate(given, judge, weight)


# ---------------------------------------------------------------------------- goldens


def published(given: np.ndarray, judge: np.ndarray) -> tuple[float, float, float]:
    """PPI++ as ppi_py and GLIDE have it, of rated rows L and others U: lambda, value, variance."""
    rated = ~np.isnan(given)
    y, f, others = given[rated], judge[rated], judge[~rated]
    n, m = len(y), len(others)
    weight = np.cov(y, f)[0, 1] / ((1 + n / m) * np.var(judge, ddof=1))
    value = weight * others.mean() + (y - weight * f).mean()
    return weight, value, weight**2 * others.var(ddof=1) / m + (y - weight * f).var(ddof=1) / n


def test_of_rows_chosen_alike_it_is_ppi_with_power_tuning():
    """Their judge mean is over the unrated, ours over all: our lambda is theirs times M / (M - n).

    Both estimate what makes the same variance least, from other moments of the same rows.
    """
    _, given, judge = ratings(2000, 800)
    weight, value, variance = published(given, judge)
    found = corrected_mean(given, judge, alone(2000, 800))

    assert found.weight == pytest.approx(weight * 2000 / 1200, rel=0.05)
    assert found.value == pytest.approx(value, abs=0.02 * variance**0.5)
    assert found.standard_error == pytest.approx(variance**0.5, rel=0.01)
    theirs = at(weight * 2000 / 1200, given, judge, alone(2000, 800))
    assert theirs.value == pytest.approx(value, rel=1e-12)


def by_hand(given, judge, sample: RatedSample, weight: float) -> tuple[float, float]:
    """Value and variance at *weight*, question by question within strata."""
    rated, n = ~np.isnan(given), len(judge)
    w = np.where(rated, 1 / np.broadcast_to(sample.chances, n), 0.0)
    residual = np.where(rated, given - weight * judge, 0.0)
    delta = (w * residual).sum() / w.sum()
    w = w * n / w.sum()
    variance = 0.0
    for stratum in np.unique(sample.strata):
        within = [np.flatnonzero(sample.clusters == q) for q in
                  np.unique(sample.clusters[sample.strata == stratum])]  # fmt: skip
        of_judge = np.array([weight * (judge[rows] - judge.mean()).sum() for rows in within])
        of_rest = np.array([(w * (residual - delta))[rows].sum() for rows in within])
        hit = np.array([rated[rows].any() for rows in within])
        share = np.array([w[rows].sum() for rows in within]) / sum(w[r].sum() for r in within)
        of_judge = (of_judge - of_judge.mean()) * (len(within) / (len(within) - 1)) ** 0.5
        of_rest = np.where(hit, (of_rest - of_rest[hit].mean()) / (1 - share) ** 0.5, 0.0)
        if sample.finite:
            chance = np.array([np.broadcast_to(sample.chances, n)[rows[0]] for rows in within])
            of_judge, of_rest = 0 * of_judge, of_rest * (1 - chance) ** 0.5
        variance += ((of_judge + of_rest) ** 2).sum()
    return weight * judge.mean() + delta, variance / n**2


def clustered(finite: bool) -> tuple[np.ndarray, np.ndarray, RatedSample]:
    """Questions of 1 to 4 answers in two strata, the second rated twice as often."""
    random = np.random.default_rng(2)
    clusters = random.permutation(np.repeat(np.arange(240), np.resize([1, 4, 2, 1], 240)))
    strata = (clusters >= 80).astype(int) + 7
    human = random.normal(size=240)[clusters] + random.normal(size=len(clusters)) + strata
    judge = human + random.normal(size=len(clusters))
    chances = np.where(strata == 7, 0.25, 0.5)
    first, second = random.permutation(80)[:20], 80 + random.permutation(160)[:80]
    rated = np.isin(clusters, [*first, *second])
    sample = RatedSample(clusters, chances, strata, finite=finite)
    return np.where(rated, human, np.nan), judge, sample


@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_of_any_design_it_is_the_sum_of_influences_by_question(finite: bool, weight: float):
    given, judge, sample = clustered(finite)
    found = at(weight, given, judge, sample)
    value, variance = by_hand(given, judge, sample, weight)

    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.error**2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("finite", [False, True])
def test_lambda_is_where_the_variance_is_least(finite: bool):
    given, judge, sample = clustered(finite)
    found = corrected_mean(given, judge, sample)
    variances = [by_hand(given, judge, sample, of)[1] for of in (0, 0.5, 1)]
    curve = np.polyfit((0, 0.5, 1), variances, 2)
    best = -curve[1] / (2 * curve[0])  # the variance is a parabola

    assert 0 < best < 1
    assert found.weight == pytest.approx(best, rel=1e-6)


def test_a_finite_population_is_cochran_s():
    """Stratified simple random sampling: sum of (share)^2 (1 - n / N) s^2 / n."""
    random = np.random.default_rng(3)
    strata = np.repeat([0, 1], [300, 700])
    human = random.normal(size=1000) + 2 * strata
    given, expected = np.full(1000, np.nan), 0.0
    for stratum, n, of in ((0, 60, 300), (1, 70, 700)):
        rows = random.choice(np.flatnonzero(strata == stratum), n, replace=False)
        given[rows] = human[rows]
        expected += (of / 1000) ** 2 * (1 - n / of) * human[rows].var(ddof=1) / n
    chances = np.where(strata == 0, 60 / 300, 70 / 700)
    sample = RatedSample(np.arange(1000), chances, strata, finite=True)
    found = corrected_mean(given, random.normal(size=1000), sample)

    assert found.human_error == pytest.approx(expected**0.5, rel=1e-9)
    means = [np.nanmean(given[strata == of]) for of in (0, 1)]
    assert found.human == pytest.approx(0.3 * means[0] + 0.7 * means[1])


def test_one_answer_a_question_or_three_the_same_is_no_difference():
    _, given, judge = ratings(300, 80)
    once = corrected_mean(given, judge, alone(300, 80))
    thrice = corrected_mean(
        np.repeat(given, 3),
        np.repeat(judge, 3),
        RatedSample(np.repeat(np.arange(300), 3), 80 / 300),
    )

    for name in ("value", "standard_error", "weight", "human_error"):
        assert getattr(thrice, name) == pytest.approx(getattr(once, name))
    assert thrice.interval.low == pytest.approx(once.interval.low)


def test_a_difference_without_a_useful_judge_is_student_s():
    random = np.random.default_rng(4)
    given = np.full((2, 200), np.nan)
    given[:, :50] = random.uniform(size=(2, 50))
    expected = tuple(ttest_1samp(given[0, :50] - given[1, :50], 0).confidence_interval())
    judges = np.stack([np.full(200, 3.0), np.full(200, 4.0)])
    found = corrected_difference(given, judges, alone(200, 50))

    assert found.weight == 0
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)
    assert found.human_interval == found.interval


def test_a_skewed_mean_has_hall_s_interval():
    """Its ends solve T + g T^2 / (3 sqrt n) + g^2 T^3 / (27 n) + g / (6 sqrt n) = -+ t."""
    random = np.random.default_rng(5)
    y = random.choice([5, 5, 5, 4, 2], size=60).astype(float)
    given = np.r_[y, np.full(140, np.nan)]
    found = corrected_mean(given, np.full(200, 3.0), alone(200, 60))
    g, q = skew(y) / 60**0.5, t.ppf(0.975, 59)
    ends = [
        brentq(lambda x, to=to: x + g * x**2 / 3 + g**2 * x**3 / 27 + g / 6 - to, -50, 50)
        for to in (q, -q)
    ]
    error = y.std(ddof=1) / 60**0.5

    assert found.interval.low == pytest.approx(y.mean() - error * ends[0])
    assert found.interval.high == pytest.approx(y.mean() - error * ends[1])
    assert found.interval.high < y.mean() + q * error


def test_heavy_tails_have_fewer_degrees_of_freedom():
    """Of differences of which 8 in 60 are not 0: 2 n / (kurtosis - 1), not 59."""
    apart = np.r_[1, 1, 1, 1, -1, -1, -1, -1, np.zeros(52)]
    given = np.stack(
        [np.r_[apart, np.full(140, np.nan)], np.r_[np.zeros(60), np.full(140, np.nan)]]
    )
    found = corrected_difference(given, np.zeros((2, 200)), alone(200, 60))
    df = 2 * 60 / (60 / 8 - 1)

    assert found.interval.high == pytest.approx(t.ppf(0.975, df) * apart.std(ddof=1) / 60**0.5)


# ---------------------------------------------------------------------------- what it promises


def test_missing_answers_raise_the_weight_of_their_own_stratum():
    """Half of stratum 0 is not answered: as if it had been asked half as often."""
    random = np.random.default_rng(6)
    strata = np.repeat([0, 1], [400, 600])
    asked = np.zeros(1000, bool)
    asked[[*range(80), *range(400, 460)]] = True
    human = random.normal(size=1000) + 3 * strata
    given = np.where(asked, human, np.nan)
    given[:80:2] = np.nan
    chances = np.where(strata == 0, 0.2, 0.1)
    judge = human + random.normal(size=1000)
    found = corrected_mean(given, judge, RatedSample(np.arange(1000), chances, strata, asked))
    known = corrected_mean(
        given, judge, RatedSample(np.arange(1000), np.where(strata == 0, 0.1, 0.1), strata)
    )

    assert found.response_rate == pytest.approx(100 / 140)
    assert replace(found, response_rate=1) == known
    assert found.human == pytest.approx(
        0.4 * np.nanmean(given[:400]) + 0.6 * np.nanmean(given[400:])
    )


def test_a_useless_judge_does_no_harm_and_a_perfect_one_is_promised_no_more_than_twice():
    human, given, _ = ratings(1000, 100)
    useless = corrected_mean(given, np.random.default_rng(7).normal(size=1000), alone(1000, 100))
    perfect = corrected_mean(given, human + 0.5, alone(1000, 100))

    assert useless.standard_error < 1.02 * useless.human_error
    assert useless.n_effective == pytest.approx(100, rel=0.05)
    assert perfect.n_effective == MOST_GAIN * 100
    assert perfect.weight == pytest.approx(1, abs=0.02)
    assert perfect.value == pytest.approx(human.mean(), abs=0.005)


def test_the_judge_s_bias_falls_out():
    _, given, judge = ratings(1000, 100)
    found, moved = (corrected_mean(given, of, alone(1000, 100)) for of in (judge, judge + 2))

    assert moved.value == pytest.approx(found.value)
    assert moved.judge == pytest.approx(found.judge + 2)


def test_answers_without_a_judge_score_are_left_out_and_counted():
    _, given, judge = ratings(1000, 100)
    gaps = judge.copy()
    gaps[::10] = np.nan
    scored = ~np.isnan(gaps)
    found = corrected_mean(given, gaps, alone(1000, 100))
    expected = corrected_mean(
        given[scored], judge[scored], RatedSample(np.flatnonzero(scored), 0.1)
    )

    assert found == replace(expected, n_unscored=100)
    assert (found.n, found.n_rated) == (900, int((~np.isnan(given[scored])).sum()))


def test_a_difference_is_of_the_rows_that_both_have():
    _, given, judge = ratings(600, 200)
    other = np.where(np.arange(600) % 3 == 0, np.nan, given * 0.5)
    found = corrected_difference(
        np.stack([given, other]), np.stack([judge, judge * 0.5]), alone(600, 200)
    )

    assert found.human == pytest.approx(np.nanmean(given - other))
    assert found.n_rated == int((~np.isnan(other)).sum())


# ---------------------------------------------------------------------------- refused


def refusal(found: Corrected | Refusal) -> str:
    assert isinstance(found, Refusal)
    return str(found)


def test_below_20_rated_questions_there_is_no_mean():
    _, given, judge = ratings(300, 19)
    assert "only 19 questions" in refusal(corrected_mean(given, judge, alone(300, 19)))
    _, given, judge = ratings(300, 20)
    assert isinstance(corrected_mean(given, judge, alone(300, 20)), Corrected)


def test_many_answers_to_few_questions_are_few():
    _, given, judge = ratings(300, 90)
    few = RatedSample(np.arange(300) % 15, 0.3)

    assert "only 15 questions" in refusal(corrected_mean(given, judge, few))


def test_judge_scores_that_leave_the_rated_range_are_refused():
    """Rated are only answers that the judge finds bad; of chance it is one in a thousand."""
    human, _, judge = ratings(1000, 100)
    given = np.full(1000, np.nan)
    worst = np.argsort(judge)[:200]
    given[worst[::2]] = human[worst[::2]]

    assert "outside the range" in refusal(corrected_mean(given, judge, alone(1000, 100)))


def test_a_random_sample_is_not_refused_for_its_range():
    found = [corrected_mean(*ratings(400, 25, seed)[1:], alone(400, 25)) for seed in range(300)]

    assert sum(isinstance(of, Refusal) for of in found) <= 2


def test_a_stratum_that_is_not_rated_is_refused():
    _, given, judge = ratings(300, 60)
    given[:100] = np.nan
    strata = RatedSample(np.arange(300), 0.2, np.repeat([0, 1], [100, 200]))

    assert "0 rated questions" in refusal(corrected_mean(given, judge, strata))


def test_ratings_that_are_all_5_are_refused():
    _, given, judge = ratings(300, 60)
    given = np.where(np.isnan(given), np.nan, 5.0)

    assert "all ratings are the same" in refusal(corrected_mean(given, judge, alone(300, 60)))


@pytest.mark.parametrize("chances", [0.0, 1.1, np.nan])
def test_a_chance_is_one(chances: float):
    _, given, judge = ratings(50, 30)
    with pytest.raises(ValueError, match="chance of being rated"):
        corrected_mean(given, judge, RatedSample(np.arange(50), chances))


def test_a_question_in_two_strata_is_an_error():
    _, given, judge = ratings(50, 30)
    sample = RatedSample(np.arange(50) // 2, 0.5, np.arange(50) % 2)
    with pytest.raises(ValueError, match="two strata"):
        corrected_mean(given, judge, sample)


def test_other_rows_are_an_error():
    with pytest.raises(ValueError, match="one shape"):
        corrected_mean(np.ones(4), np.ones(5), RatedSample(np.arange(5), 0.5))


# ---------------------------------------------------------------------------- coverage


@needs_mentalalign
@pytest.mark.parametrize("model", ["llama_3", "qwen_2", "gpt4omini"])
def test_on_public_ratings_intervals_cover_and_are_no_wider(model: str):
    """All cells with 4,000 draws: ``simulate_corrected``. Here 500, of one judge."""
    table = mentalalign()
    cells = [
        cell(name, table["human", model][k], table["gpt-4o", model][k], 500)
        for k, name in enumerate(ATTRIBUTES)
    ]

    assert min(of.covered for of in cells) >= 0.91  # 92.5 % less three standard errors, 0.5 % each
    assert 0.94 <= np.median([of.covered for of in cells]) <= 0.985
    assert max(of.width for of in cells) <= 1.02


@needs_mentalalign
def test_on_public_ratings_tuning_matters():
    """Lambda = 1 makes most intervals wider than people's alone; tuned, none by over 2 %."""
    table = mentalalign()
    pairs = [[table[of, "llama_3"][k] for of in ("human", "gpt-4o")] for k in range(7)]
    untuned, tuned = ([cell("", *of, 250, weight).width for of in pairs] for weight in (1.0, None))

    assert sum(of > 1 for of in untuned) >= 5
    assert max(untuned) > 1.05
    assert max(tuned) <= 1.02


@pytest.mark.slow  # hundreds of experiments
@pytest.mark.parametrize("world", ["alone", "clusters of 1 to 8", "strata", "ceiling, 88 % are 5"])
def test_in_made_worlds_intervals_cover_and_nothing_is_rarely_found(world: str):
    """400 simulations of 50 rated questions: 93 % and 6.5 %, give or take two standard errors."""
    found = kept(replace(MADE[world], n_rated=50), 400)

    assert found.covered >= 0.93 - 0.025
    assert found.found <= 0.065 + 0.025
    assert found.refused <= 0.02
