"""The Alternative Annotator Test is the paper's, on public ratings too; no knowledge fails it."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from empathy_core.stats.alternative_annotator import (
    EPSILONS,
    alternative_annotator,
    constant_judges,
    shuffled_judge,
)
from empathy_core.stats.corrections import benjamini_yekutieli
from tests.ratings import EXPERTS, KUMAR, MECHANISMS, kumar

pytestmark = pytest.mark.filterwarnings("error")
needs_kumar = pytest.mark.skipif(not KUMAR.is_file(), reason=f"no file {KUMAR}")
INTERPRETATIONS = MECHANISMS.index("level_interpretations")


def written_out(judge, ratings, questions, epsilon, nearness):
    """The test as the paper tells it, item by item; one p and one advantage a rater."""
    p_values, advantages = [], []
    for j, own in enumerate(ratings):
        d, wins = {}, []
        for i, question in enumerate(questions):
            others = [r[i] for k, r in enumerate(ratings) if k != j and r[i] == r[i]]
            if not others or own[i] != own[i] or judge[i] != judge[i]:
                continue
            if nearness == "rmse":
                scores = [-np.sqrt(np.mean([(x - o) ** 2 for o in others])) for x in
                          (judge[i], own[i])]  # fmt: skip
            else:
                scores = [np.mean([x == o for o in others]) for x in (judge[i], own[i])]
            wins.append(scores[0] >= scores[1])
            d.setdefault(question, []).append(float(scores[1] >= scores[0]) - wins[-1])
        means = [np.mean(of) for of in d.values()]
        advantages.append(np.mean(wins))
        p_values.append(ttest_1samp(means, epsilon, alternative="less").pvalue)
    rejected = multipletests(p_values, 0.05, "fdr_by")[0]
    return p_values, advantages, rejected.mean()


def same(found, expected) -> None:
    p_values, advantages, omega = expected
    assert [of.p for of in found.raters] == pytest.approx(p_values, rel=1e-9)
    assert [of.advantage for of in found.raters] == pytest.approx(advantages)
    assert found.winning_rate == omega
    assert found.advantage == pytest.approx(np.mean(advantages))


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Judge, four raters with gaps, and questions with one to three answers, in no order."""
    random = np.random.default_rng(3)
    quality = random.normal(3, 1, 120)
    ratings = np.clip(np.round(quality + random.normal(0, 0.7, (4, 120))), 1, 5)
    ratings[random.random(ratings.shape) < 0.25] = np.nan
    judge = np.clip(np.round(quality + random.normal(0, 0.6, 120)), 1, 5)
    judge[:3] = np.nan
    return judge, ratings, random.permutation(np.resize([0, 1, 1, 2, 2, 2], 120) + 3 * np.repeat(
        np.arange(20), 6))  # fmt: skip


@pytest.mark.parametrize("nearness", ["rmse", "accuracy"])
def test_it_is_what_the_paper_says(made, nearness: str):
    judge, ratings, questions = made

    found = alternative_annotator(judge, ratings, questions, epsilon=0.15, nearness=nearness)

    same(found, written_out(judge, ratings, questions, 0.15, nearness))
    assert all(0 < of.p < 1 for of in found.raters)
    assert found.n_dropped > 0


def test_answers_to_one_question_are_one_observation(made):
    """Twice the same answers say no more than once, though there are twice as many items."""
    judge, ratings, questions = made
    once = alternative_annotator(judge, ratings, questions)
    twice = alternative_annotator(np.tile(judge, 2), np.tile(ratings, 2), np.tile(questions, 2))

    assert [of.p for of in twice.raters] == pytest.approx([of.p for of in once.raters])
    assert twice.raters[0].n == 2 * once.raters[0].n
    assert twice.raters[0].n_questions == once.raters[0].n_questions


@needs_kumar
@pytest.mark.parametrize("nearness", ["rmse", "accuracy"])
@pytest.mark.parametrize("judge", ["gpt", "claude", "llm", "crowd"])
def test_public_ratings_of_experts_are_tested_as_by_hand(judge: str, nearness: str):
    table = kumar()
    for k in range(len(MECHANISMS)):
        ratings = np.stack([table[of][k] for of in EXPERTS])
        found = alternative_annotator(table[judge][k], ratings, np.arange(50), nearness=nearness)
        same(found, written_out(table[judge][k], ratings, np.arange(50), 0.2, nearness))


@needs_kumar
def test_a_constant_label_passes_on_interpretations_and_so_must_be_shown():
    """Omega is 1 (epsilon 0.2, RMSE), as far as a judge can get: the reason for controls."""
    table = kumar()
    ratings = np.stack([table[of][INTERPRETATIONS] for of in EXPERTS])

    found = alternative_annotator(constant_judges(ratings)["mode"], ratings, np.arange(50))

    assert (found.winning_rate, found.passed) == (1.0, True)
    assert {of.n for of in found.raters} == {50}


def test_a_judge_that_knows_nothing_fails_and_one_like_a_rater_passes():
    random = np.random.default_rng(4)
    quality = random.normal(3, 1, 300)
    raters = np.clip(np.round(quality + random.normal(0, 0.5, (4, 300))), 1, 5)
    good = alternative_annotator(raters[3], raters[:3], np.arange(300))
    none = alternative_annotator(shuffled_judge(raters[3]), raters[:3], np.arange(300))

    assert (good.winning_rate, good.passed) == (1.0, True)
    assert (none.winning_rate, none.passed) == (0.0, False)
    assert none.advantage < 0.6 < good.advantage


def test_without_variation_there_is_no_test():
    """A judge that says what all say: d is 0 everywhere, and t would divide by 0."""
    ratings = np.resize([1.0, 2.0, 3.0], (3, 60))

    found = alternative_annotator(ratings[0], ratings, np.arange(60))

    assert [(of.p, of.difference, of.advantage) for of in found.raters] == [(None, 0, 1)] * 3
    assert (found.winning_rate, found.passed) == (None, None)


def test_a_rater_of_too_few_items_is_not_tested(made):
    judge, ratings, questions = made
    few = ratings.copy()
    few[0, 29:] = np.nan

    found = alternative_annotator(judge, few, questions)

    assert [of.p is None for of in found.raters] == [True, False, False, False]
    assert 0 < found.raters[0].n < 30
    assert found.raters[1].p_corrected == pytest.approx(
        benjamini_yekutieli([of.p for of in found.raters[1:]])[0]
    )


def test_an_item_of_one_rater_is_dropped_and_counted():
    random = np.random.default_rng(5)
    ratings = random.integers(1, 6, (3, 50)).astype(float)
    ratings[1:, :7] = np.nan

    found = alternative_annotator(ratings[0], ratings, np.arange(50))

    assert found.n_dropped == 7
    assert {of.n for of in found.raters} == {43}


def test_accuracy_compares_rounded_scores():
    random = np.random.default_rng(6)
    ratings = random.integers(1, 6, (3, 60)).astype(float)
    judge = ratings[0] + random.uniform(-0.4, 0.4, 60)

    given, rounded = (
        alternative_annotator(of, ratings, np.arange(60), nearness="accuracy")
        for of in (judge, np.round(judge))
    )

    assert given == rounded


def test_shuffling_keeps_scores_and_where_there_are_none():
    judge = np.array([1, np.nan, 3, 4, 5, np.nan, 7.0])

    found = shuffled_judge(judge, seed=1)

    assert np.isnan(found[[1, 5]]).all()
    assert sorted(found[[0, 2, 3, 4, 6]]) == [1, 3, 4, 5, 7]
    assert found.tolist() != judge.tolist()


def test_constant_judges_are_mode_and_mean():
    ratings = np.array([[1, 2, 2, np.nan], [2, 5, np.nan, 3.0]])

    found = constant_judges(ratings)

    assert found["mode"].tolist() == [2.0] * 4
    assert found["mean"].tolist() == pytest.approx([2.5] * 4)


def test_corrected_p_are_those_of_statsmodels():
    p = [0.001, 0.2, 0.03, 0.9, 0.04]

    found = benjamini_yekutieli([*p[:2], None, *p[2:]])

    assert found[2] is None
    assert [of for of in found if of is not None] == pytest.approx(
        multipletests(p, method="fdr_by")[1]
    )


def test_a_judge_exactly_epsilon_worse_is_found_good_in_at_most_one_test_of_twenty():
    """The size at the hypothesis' edge, one rater, 100 questions of two answers: 2,000 tests.

    d is -1, 0 or 1 with mean 0.2, the same for both answers in half of the questions.
    """
    random, found = np.random.default_rng(7), []
    for _ in range(2000):
        d = random.choice([-1, 0, 1], p=[0.2, 0.4, 0.4], size=200)
        d[1::2] = np.where(random.random(100) < 0.5, d[::2], d[1::2])
        other = np.full(200, 3.0)
        ratings = np.stack([other + (d < 0), other])  # the judge is far where d is 1
        of = alternative_annotator(
            other + (d > 0), ratings, np.repeat(np.arange(100), 2), epsilon=EPSILONS["experts"]
        )
        found.append(of.raters[0].p <= 0.05)

    assert 0.03 < np.mean(found) <= 0.065


@pytest.mark.parametrize(
    ("judge", "ratings"), [((5,), (1, 5)), ((4,), (2, 5)), ((5,), (5,)), ((5, 1), (2, 5))]
)
def test_what_does_not_fit_is_an_error(judge: tuple[int, ...], ratings: tuple[int, ...]):
    with pytest.raises(ValueError, match="do not fit"):
        alternative_annotator(np.ones(judge), np.ones(ratings), np.arange(5))
