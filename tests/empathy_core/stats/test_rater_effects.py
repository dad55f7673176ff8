"""Severity is taken out as a regression on dummies takes it out; what cannot be told is refused."""

import numpy as np
import pytest

from empathy_core.stats import Refusal, Resampler
from empathy_core.stats.rater_effects import adjusted_means, own_agreement, rater_effects

pytestmark = pytest.mark.filterwarnings("error")
SEVERITY = np.array([-0.8, 0.1, 0.3, 0.4])


def sparse(n_questions: int, seed: int = 1, noise: float = 0.5):
    """Return ratings of three conditions by two of four raters each, conditions and questions."""
    random = np.random.default_rng(seed)
    questions = np.repeat(np.arange(n_questions), 3)
    conditions = np.tile(np.arange(3), n_questions)
    quality = 3 + 0.6 * conditions + random.normal(size=n_questions)[questions]
    shape = (4, len(quality))
    ratings = quality + SEVERITY[:, None] + noise * random.normal(size=shape)
    # the harsh one rates the best condition more often than others
    for item, condition in enumerate(conditions):
        weights = np.array([3.0, 1, 1, 1]) if condition == 2 else np.array([0.3, 1, 1, 1])
        who = random.choice(4, 2, replace=False, p=weights / weights.sum())
        ratings[np.setdiff1d(range(4), who), item] = np.nan
    return ratings, conditions, questions


def by_dummies(ratings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return severities and items of the regression on a column for each, by numpy's lstsq."""
    raters, items = np.nonzero(~np.isnan(ratings))
    design = np.zeros((len(items) + 1, sum(ratings.shape)))
    design[np.arange(len(items)), raters] = 1
    design[np.arange(len(items)), len(ratings) + items] = 1
    design[-1, : len(ratings)] = 1  # they add up to zero
    found = np.linalg.lstsq(design, np.append(ratings[raters, items], 0.0))[0]
    return found[: len(ratings)], found[len(ratings) :]


def test_effects_are_those_of_a_regression_on_raters_and_items():
    ratings, _, _ = sparse(40)
    found = rater_effects(ratings)

    severities, items = by_dummies(ratings)
    assert found.severities == pytest.approx(severities, abs=1e-9)
    assert found.items == pytest.approx(items, abs=1e-8)


def test_adjusted_means_are_means_of_adjusted_items():
    ratings, conditions, questions = sparse(40)
    found = adjusted_means(ratings, conditions, Resampler(questions, 199))

    severities, items = by_dummies(ratings)
    means = [items[conditions == c].mean() for c in range(3)]
    assert [of.value for of in found.conditions] == pytest.approx(means, abs=1e-9)
    assert [of.value for of in found.severities] == pytest.approx(severities, abs=1e-9)
    assert [of.n_clusters for of in found.conditions] == [40] * 3


def test_a_harsh_rater_of_one_condition_does_not_pull_it_down():
    """Its raw mean is off by a quarter of a point and more, its adjusted one is not."""
    ratings, conditions, questions = sparse(400)
    raw = np.array([np.nanmean(ratings[:, conditions == c]) for c in range(3)])
    found = [
        of.value for of in adjusted_means(ratings, conditions, Resampler(questions, 19)).conditions
    ]

    assert raw[2] - raw[0] < 1.2 - 0.25
    assert found[2] - found[0] == pytest.approx(1.2, abs=0.1)


def test_intervals_are_of_whole_questions_drawn_anew(monkeypatch: pytest.MonkeyPatch):
    """What is resampled is the adjusted mean of the questions that were drawn."""
    from empathy_core.stats import coefficients
    from empathy_core.stats.resampling import draws

    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        coefficients, "drop_undefined", lambda values: seen.append(values) or values
    )
    ratings, conditions, questions = sparse(40)
    resampler = Resampler(questions, 3, seed=5)
    adjusted_means(ratings, conditions, resampler)
    monkeypatch.undo()

    for value, weights in zip(seen[2], draws(resampler), strict=True):
        chosen = np.repeat(np.arange(120), np.repeat(weights, 3))
        items = by_dummies(ratings[:, chosen])[1]
        assert value == pytest.approx(items[conditions[chosen] == 2].mean(), abs=1e-8)


@pytest.mark.slow  # hundreds of experiments
def test_intervals_cover_the_true_mean():
    """95 % intervals of 200 samples of 30 questions cover 88 to 99 %; the truth is 3.6."""
    hits = []
    for seed in range(200):
        ratings, conditions, questions = sparse(30, seed)
        found = adjusted_means(ratings, conditions, Resampler(questions, 199, seed % 8)).conditions[
            1
        ]
        hits.append(found.interval.low <= 3.6 <= found.interval.high)

    assert 0.88 <= np.mean(hits) <= 0.99


def test_raters_who_share_no_item_are_refused_with_the_reason():
    """Two and two; one shared item joins them."""
    ratings = np.full((4, 40), np.nan)
    ratings[:2, :20], ratings[2:, 20:] = 3.0, 4.0

    apart = rater_effects(ratings)
    means = adjusted_means(ratings, np.zeros(40, int), Resampler.by(range(40), 19))
    ratings[2, 0] = 4.0

    assert isinstance(apart, Refusal)
    assert apart == means
    assert "2 of 4 raters have rated no item" in str(apart)
    assert "Give some of the items to raters of both groups" in str(apart)
    assert rater_effects(ratings).severities == pytest.approx([-0.5, -0.5, 0.5, 0.5])


def test_a_rater_without_ratings_has_no_severity():
    ratings = np.stack(
        [np.resize([1.0, 2, 3], 30), np.full(30, np.nan), np.resize([2.0, 3, 4], 30)]
    )

    found = rater_effects(ratings)
    means = adjusted_means(ratings, np.zeros(30, int), Resampler.by(range(30), 19))

    assert found.severities == pytest.approx([-0.5, np.nan, 0.5], nan_ok=True)
    assert [of.value for of in means.severities] == pytest.approx([-0.5, None, 0.5])
    assert isinstance(rater_effects(np.full((2, 3), np.nan)), Refusal)


def test_with_all_ratings_there_an_adjusted_mean_is_the_plain_one():
    ratings = np.random.default_rng(3).integers(1, 6, (3, 60)).astype(float)
    found = adjusted_means(ratings, np.arange(60) % 2, Resampler.by(range(60), 19))

    plain = [ratings[:, ::2].mean(), ratings[:, 1::2].mean()]
    assert [of.value for of in found.conditions] == pytest.approx(plain)


def test_what_a_rater_says_again():
    """Of 12 repeats 9 are equal: the exact interval of 9 of 12 is .428 to .945 (SciPy)."""
    from scipy.stats import binomtest

    first = np.resize([1.0, 2, 3], 12)
    found = own_agreement(first, first + np.repeat([0.0, 2.0], [9, 3]))

    exact = binomtest(9, 12).proportion_ci(method="exact")
    assert (found.same, found.apart, found.n) == (0.75, 0.5, 12)
    assert (found.interval.low, found.interval.high) == pytest.approx((exact.low, exact.high))
    assert own_agreement([], []).same is None
