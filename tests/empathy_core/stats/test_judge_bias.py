"""Planted judges are named for their faults, clean ones are not; the numbers are checked."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from empathy_core.stats import (
    BIAS_RULES,
    BiasFinding,
    BiasPanel,
    JudgedPairs,
    JudgedScores,
    Resampler,
    bias_panel,
    rater_agreement,
)
from tests.planted_judges import FAULTS, LABELS, clean, faulty, panel, replies

pytestmark = pytest.mark.filterwarnings("error")

Said = tuple[JudgedScores, JudgedPairs]


@pytest.fixture(scope="module")
def judged() -> tuple[Said, Resampler]:
    """A clean judge of 4 conditions, with gaps: (scores, pairs), and the rows' resampler."""
    random = np.random.default_rng(1)
    of = replies(random, 60)
    scores, pairs = clean(random, of)
    gaps = random.random(scores.scores.shape) < 0.1
    gapped = replace(scores, scores=np.where(gaps, np.nan, scores.scores))
    return (gapped, pairs), Resampler(of.clusters, 499)


def finding(found: BiasPanel, check: str) -> BiasFinding:
    [one] = [of for of in found.findings if of.check == check]
    return one


def value(judged: tuple[Said, Resampler], check: str) -> float | None:
    (scores, pairs), resampler = judged
    return finding(bias_panel(scores, resampler, pairs), check).value


# ---------------------------------------------------------------------------- planted judges


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_judge_is_named_for_its_fault(fault: str):
    """In each of 10 draws of 60 questions."""
    random = np.random.default_rng(2)
    for seed in range(10):
        of = replies(random, 60, within=0.1)
        found = panel(of, faulty(random, of, fault), seed, n_resamples=999)

        assert FAULTS[fault] in found.named
        assert finding(found, FAULTS[fault]).fault


@pytest.mark.slow  # hundreds of panels
@pytest.mark.parametrize(("n_questions", "n_conditions", "within"), [(30, 3, 0.0), (100, 5, 0.15)])
def test_a_clean_judge_is_named_in_at_most_5_of_100_cases(
    n_questions: int, n_conditions: int, within: float
):
    """By any check: conditions differ in quality and length, judges in temper and noise.

    ``simulate_judges.py`` does it more often, and finds less than 1 %.
    """
    random = np.random.default_rng((3, n_questions))
    named = 0
    for seed in range(300):
        of = replies(random, n_questions, n_conditions, within)
        named += bool(panel(of, clean(random, of), seed % 4, n_resamples=999).named)

    assert named <= 0.05 * 300


def test_better_conditions_that_write_more_are_no_bias_of_length():
    """Between conditions quality and length correlate nearly perfectly; within them not at all."""
    random = np.random.default_rng(4)
    of = replies(random, 200)
    scores, pairs = clean(random, of)
    means = [table.mean(axis=1) for table in (scores.scores, scores.log_lengths)]
    found = panel(of, (scores, pairs))

    assert np.corrcoef(*means)[0, 1] > 0.9
    assert abs(finding(found, "length").value) < 0.15
    assert abs(finding(found, "verbosity").value) < 0.15


def test_a_judge_that_scores_by_length_alone_and_exactly_is_named():
    """Its correlation is 1 in every resample: there is no spread, and no doubt."""
    random = np.random.default_rng(5)
    of = replies(random, 40)
    scores = JudgedScores(of.log_length, of.log_length, LABELS)
    found = finding(bias_panel(scores, Resampler(of.clusters, 199)), "length")

    assert (found.value, found.named) == (pytest.approx(1.0), True)
    assert found.fault == "scores longer replies higher"


def test_a_judge_that_prefers_the_last_is_named_for_that():
    random = np.random.default_rng(6)
    of = replies(random, 60)
    scores, pairs = clean(random, of)
    last = replace(pairs, first_of_ab=pairs.first_of_ab * 0.4, first_of_ba=pairs.first_of_ba * 0.4)
    found = finding(panel(of, (scores, last)), "order")

    assert found.fault == "prefers the reply shown last"


# ---------------------------------------------------------------------------- goldens


def dummies(n_conditions: int, n_rows: int) -> np.ndarray:
    """Return indicators of condition and row for each cell, conditions one after the other."""
    condition, row = np.divmod(np.arange(n_conditions * n_rows), n_rows)
    return np.column_stack(
        [condition[:, None] == np.arange(n_conditions), row[:, None] == np.arange(n_rows)]
    ).astype(float)


def test_length_is_the_partial_correlation_given_question_and_condition(
    judged: tuple[Said, Resampler],
):
    """Residuals of numpy's least squares on indicators, with a tenth of the cells missing."""
    (scores, _), resampler = judged
    design = dummies(*scores.scores.shape)
    kept = ~np.isnan(scores.scores.ravel())
    design = design[kept]
    left = [
        table.ravel()[kept] - design @ np.linalg.lstsq(design, table.ravel()[kept])[0]
        for table in (scores.log_lengths, scores.scores)
    ]
    found = bias_panel(scores, resampler)

    assert finding(found, "length").value == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)
    slope = np.polyfit(*left, 1)[0] * np.log(2)
    assert found.per_doubling.value == pytest.approx(slope, abs=1e-9)
    assert finding(found, "length").n == kept.sum()


@pytest.mark.parametrize("with_quality", [False, True])
def test_verbosity_is_the_partial_correlation_within_pairs(
    judged: tuple[Said, Resampler], with_quality: bool
):
    (scores, pairs), resampler = judged
    quality = np.random.default_rng(7).normal(size=len(pairs.pairs)) + pairs.longer / 100
    pairs = replace(pairs, quality=quality if with_quality else None)

    def levelled(of: np.ndarray) -> np.ndarray:
        sd = np.array([of[pairs.pairs == p].std() for p in range(6)])[pairs.pairs]
        return np.tanh(of / sd)

    x, y = levelled(pairs.longer), (pairs.first_of_ab + 1 - pairs.first_of_ba) / 2
    known = [pairs.pairs[:, None] == np.arange(6)]
    known += [quality[:, None], levelled(quality)[:, None]] if with_quality else []
    design = np.hstack(known).astype(float)
    left = [of - design @ np.linalg.lstsq(design, of)[0] for of in (x, y)]

    assert value(((scores, pairs), resampler), "verbosity") == pytest.approx(
        np.corrcoef(*left)[0, 1], abs=1e-9
    )


def test_verbosity_that_quality_explains_is_none():
    """The longer replies are better, others say so, and the judge agrees: given that, nothing."""
    random = np.random.default_rng(8)
    of = replies(random, 200, within=0.8)
    scores, pairs = clean(random, of)
    i, j = np.triu_indices(4, 1)
    known = replace(pairs, quality=(of.quality[i] - of.quality[j]).ravel())
    without, given = (
        finding(panel(of, (scores, p)), "verbosity") for p in (pairs, known)
    )  # fmt: skip

    assert without.named
    assert not given.named
    assert abs(given.value) < 0.1


def test_order_and_consistency_are_plain_shares_and_swap_a_plain_correlation():
    ab = np.array([0.9, 0.8, 0.7, 0.2] * 10)
    ba = np.array([0.2, 0.9, 0.4, 0.6] * 10)
    zeros = np.zeros(40, int)
    pairs = JudgedPairs(ab, ba, np.arange(40.0), zeros, np.arange(40))
    table = np.random.default_rng(9).random((2, 40))
    found = bias_panel(JudgedScores(table, table, LABELS), Resampler(np.arange(40), 99), pairs)

    assert finding(found, "order").value == pytest.approx((ab.mean() + ba.mean()) / 2)
    assert finding(found, "swap").value == pytest.approx(np.corrcoef(ab, 1 - ba)[0, 1])
    assert found.consistency.value == pytest.approx(0.75)


def test_self_preference_is_a_difference_of_differences(judged: tuple[Said, Resampler]):
    """Over the rows that all judges have scored, in parts of the scale of four points."""
    (scores, pairs), resampler = judged
    all_ = np.concatenate([scores.scores[None], scores.others])
    kept = ~np.isnan(all_).any(axis=(0, 1))
    apart = [
        of[scores.own][:, kept].mean() - of[~scores.own][:, kept].mean() for of in all_
    ]  # fmt: skip
    deviations = [d / of[:, kept].std() for d, of in zip(apart, all_, strict=True)]
    found = bias_panel(scores, resampler, pairs)

    expected = (apart[0] - np.mean(apart[1:])) / 4
    assert finding(found, "self_preference").value == pytest.approx(expected)
    assert found.self_deviations.value == pytest.approx(deviations[0] - np.mean(deviations[1:]))


def test_a_judge_that_uses_more_of_the_scale_does_not_prefer_itself():
    """Its own condition is the best, and its differences are all thrice as great."""
    random = np.random.default_rng(10)
    of = replies(random, 100)
    scores, pairs = clean(random, of)
    own = np.array([False, False, False, True])
    wide = 3 + 1.5 * of.quality
    said = replace(scores, scores=wide, own=own, others=(3 + 0.5 * of.quality)[None])
    found = panel(of, (said, pairs))

    assert finding(found, "self_preference").interval.low > 0.1
    assert not finding(found, "self_preference").named
    assert found.self_deviations.value == pytest.approx(0, abs=1e-9)


def test_agreement_is_the_mean_correlation_with_the_others(judged: tuple[Said, Resampler]):
    (scores, _), _ = judged
    own = scores.scores.ravel()
    kept = ~np.isnan(own)
    theirs = [np.corrcoef(own[kept], of.ravel()[kept])[0, 1] for of in scores.others]

    assert value(judged, "agreement") == pytest.approx(np.mean(theirs), abs=1e-10)


def test_repeatability_is_alpha_of_the_wordings(judged: tuple[Said, Resampler]):
    (scores, pairs), resampler = judged
    ratings = np.concatenate([scores.scores[None], scores.wordings]).reshape(3, -1)
    alpha = rater_agreement(ratings, Resampler(np.arange(ratings.shape[1]), 1)).alpha_interval
    apart = [np.abs(ratings[i] - ratings[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    found = bias_panel(scores, resampler, pairs)

    assert finding(found, "repeatability").value == pytest.approx(alpha.value, abs=1e-10)
    assert found.wordings_apart.value == pytest.approx(np.nanmean(apart))


def test_shares_of_labels_and_of_mass_are_plain_shares(judged: tuple[Said, Resampler]):
    """A score of 4.5 is nearest to 5; below half of the mass the judge has not answered."""
    (scores, pairs), resampler = judged
    given = scores.scores[~np.isnan(scores.scores)]
    counts = [((given >= low) & (given < low + 1)).mean() for low in (0.5, 1.5, 2.5, 3.5, 4.5)]
    mass = np.where(np.random.default_rng(11).random(scores.mass.shape) < 0.2, 0.4, scores.mass)
    found = bias_panel(replace(scores, mass=mass), resampler, pairs)

    assert (found.floor.value, found.ceiling.value) == pytest.approx((counts[0], counts[-1]))
    assert finding(found, "one_label").value == pytest.approx(max(counts))
    assert finding(found, "outside_labels").value == pytest.approx((mass < 0.5).mean())
    assert finding(found, "outside_labels").named


# ---------------------------------------------------------------------------- what decides


def test_what_decides_is_wider_than_what_is_shown_and_the_wider_the_more_columns(
    judged: tuple[Said, Resampler],
):
    """A correlation just above the harmless range is named in one column, not in a hundred."""
    random = np.random.default_rng(12)
    of = replies(random, 150)
    score = of.quality + 0.29 * (of.log_length - of.log_length.mean()) / 0.3
    scores = JudgedScores(score, of.log_length, LABELS)
    resampler = Resampler(of.clusters, 1999)
    one, many = (finding(bias_panel(scores, resampler, n_columns=n), "length") for n in (1, 100))

    assert one.interval == many.interval
    assert (one.named, many.named) == (True, False)


@pytest.mark.slow  # hundreds of panels
def test_the_interval_of_length_covers():
    """93 to 97 % in 600 simulations of 40 questions with a true partial correlation of about .5."""
    random = np.random.default_rng(13)

    def simulate(n: int, seed: int) -> BiasFinding:
        of = replies(random, n)
        score = of.quality + 0.42 * (of.log_length - of.log_length.mean()) / 0.3
        scores = JudgedScores(score, of.log_length, LABELS)
        return finding(bias_panel(scores, Resampler(of.clusters, 999, seed)), "length")

    true = np.mean([simulate(20_000, 0).value for _ in range(3)])
    bounds = [simulate(40, seed % 8).interval for seed in range(600)]

    assert 0.925 <= np.mean([of.low <= true <= of.high for of in bounds]) <= 0.975


# ---------------------------------------------------------------------------- cannot be told


def bare(scores: JudgedScores) -> JudgedScores:
    return JudgedScores(scores.scores, scores.log_lengths, scores.labels)


def test_a_judge_alone_cannot_be_told_from_its_own_replies(judged: tuple[Said, Resampler]):
    (scores, _), resampler = judged
    found = bias_panel(replace(scores, others=None), resampler)

    assert finding(found, "self_preference").named is None
    assert "one judge" in finding(found, "self_preference").reason
    assert "one judge" in finding(found, "agreement").reason


def test_what_was_not_asked_cannot_be_told(judged: tuple[Said, Resampler]):
    (scores, _), resampler = judged
    found = bias_panel(bare(scores), resampler)
    reasons = {of.check: of.reason for of in found.findings if of.named is None}

    assert set(reasons) == {*BIAS_RULES} - {"one_label", "length"}
    assert all(reasons.values())
    assert found.consistency is found.wordings_apart is found.self_deviations is None


CASES: dict[str, tuple[Callable[[JudgedScores], JudgedScores], str, str]] = {
    "one condition": (
        lambda of: JudgedScores(of.scores[:1], of.log_lengths[:1], of.labels), "length",
        "one condition",
    ),
    "two labels": (lambda of: replace(of, labels=(1.0, 2.0)), "one_label", "two labels"),
    "no score": (
        lambda of: replace(of, scores=np.full(of.scores.shape, np.nan)), "one_label", "no score",
    ),
    "no score beside a length": (
        lambda of: replace(of, scores=np.full(of.scores.shape, np.nan)), "length", "no score",
    ),
    "a constant judge": (
        lambda of: replace(of, scores=np.full(of.scores.shape, 3.0)), "length", "nothing varies",
    ),
    "replies of one length": (
        lambda of: replace(of, log_lengths=np.full(of.scores.shape, 5.0)), "length",
        "nothing varies",
    ),
    "no own condition": (
        lambda of: replace(of, own=np.zeros(4, bool)), "self_preference", "no condition",
    ),
    "only own conditions": (
        lambda of: replace(of, own=np.ones(4, bool)), "self_preference", "its own, or none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_told_says_why(case: str, judged: tuple[Said, Resampler]):
    change, check, said = CASES[case]
    (scores, _), resampler = judged
    found = finding(bias_panel(change(scores), resampler), check)

    assert (found.named, found.fault) == (None, "")
    assert said in found.reason


def test_few_questions_show_numbers_and_name_nobody(judged: tuple[Said, Resampler]):
    random = np.random.default_rng(14)
    of = replies(random, 19)
    found = panel(of, faulty(random, of, "scores the longest"))

    assert finding(found, "length").value > 0.7
    assert finding(found, "length").named is None
    assert "19 questions can be used" in finding(found, "length").reason
    assert found.named == ()


def test_a_pair_of_conditions_with_few_preferences_is_left_out(judged: tuple[Said, Resampler]):
    (scores, pairs), resampler = judged
    few = np.arange(len(pairs.pairs)) % 9 < 1  # ten rows at most of each pair
    kept = JudgedPairs(*(getattr(pairs, of)[few] for of in (
        "first_of_ab", "first_of_ba", "longer", "pairs", "clusters")))  # fmt: skip
    found = finding(bias_panel(scores, resampler, kept), "verbosity")
    sizes = np.bincount(kept.pairs)

    assert found.n == sizes[sizes >= 10].sum()


def test_a_preference_that_is_missing_in_one_order_is_left_out(judged: tuple[Said, Resampler]):
    (scores, pairs), resampler = judged
    gone = np.arange(len(pairs.pairs)) % 10 == 0
    gaps = replace(pairs, first_of_ba=np.where(gone, np.nan, pairs.first_of_ba))
    found = bias_panel(scores, resampler, gaps)

    for check in ("order", "swap", "verbosity"):
        assert finding(found, check).n == (~gone).sum()
    assert found.consistency.n == (~gone).sum()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"log_lengths": np.zeros((4, 3))}, "log_lengths"),
        ({"others": np.zeros((1, 3, 3))}, "others"),
        ({"own": np.zeros(3, bool)}, "own is of"),
        ({"labels": (1.0,)}, "no scale"),
        ({"labels": (2.0, 1.0)}, "no scale"),
    ],
)
def test_arrays_of_other_replies_are_an_error(
    change: dict[str, np.ndarray], said: str, judged: tuple[Said, Resampler]
):
    (scores, _), _ = judged
    with pytest.raises(ValueError, match=said):
        replace(scores, **change)


def test_a_resampler_of_other_rows_is_an_error(judged: tuple[Said, Resampler]):
    (scores, _), _ = judged
    with pytest.raises(ValueError, match="do not fit"):
        bias_panel(scores, Resampler.by(range(7)))


def test_preferences_outside_0_to_1_are_an_error():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="outside 0 to 1"):
        JudgedPairs(2 * ones, ones, ones, ones.astype(int), ones.astype(int))
