"""Judges against people: public numbers to the digit, independent code, and ignorant judges."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from empathy_core.stats import Refusal, Resampler
from empathy_core.stats.calibration import Calibration, JudgeAndPeople, calibrate, nearest
from empathy_core.stats.calibration_rule import CalibrationRule, unmet
from empathy_core.stats.flags_seen import flags_seen, wilson
from tests.ratings import (
    ATTRIBUTES,
    EXPERTS,
    JUDGES,
    KUMAR,
    MECHANISMS,
    MENTALALIGN,
    kumar,
    mentalalign,
)

pytestmark = pytest.mark.filterwarnings("error")
needs_mentalalign = pytest.mark.skipif(not MENTALALIGN.is_file(), reason=f"no file {MENTALALIGN}")
needs_kumar = pytest.mark.skipif(not KUMAR.is_file(), reason=f"no file {KUMAR}")
SCALE = (1.0, 2.0, 3.0, 4.0, 5.0)


def held(
    judge: np.ndarray,
    ratings: np.ndarray,
    own: int | None = None,
    lengths: np.ndarray | None = None,
) -> JudgeAndPeople:
    """Return what a judge (conditions, rows) and raters (raters, conditions, rows) said."""
    mine = np.arange(len(judge)) == (-1 if own is None else own)
    unknown = np.full(judge.shape, np.nan)
    return JudgeAndPeople(
        judge, ratings, SCALE, "higher", unknown if lengths is None else lengths, mine
    )


def of_questions(n: int, n_resamples: int = 499) -> Resampler:
    return Resampler(np.arange(n), n_resamples)


def people(
    random: np.random.Generator, n: int, middle: float = 3.2, raters: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Return quality (3 conditions, n) and ratings of it (raters, 3, n)."""
    quality = middle + np.array([[-0.8], [0.0], [0.9]]) + random.normal(size=(3, n))
    noise = random.normal(scale=0.6, size=(raters, 3, n))
    severity = np.linspace(-0.4, 0.4, raters)[:, None, None]
    return quality, np.clip(np.rint(quality + severity + noise), 1, 5)


def clean(random: np.random.Generator, quality: np.ndarray, bias: float = 0.0) -> np.ndarray:
    return np.clip(quality + bias + random.normal(scale=0.5, size=quality.shape), 1, 5)


def names(rule: CalibrationRule, found: Calibration | Refusal) -> list[str]:
    assert isinstance(found, Calibration)
    return [of.name for of in unmet(rule, found, 4.0)]


# ---------------------------------------------------------------------------- public ratings


@pytest.fixture(scope="module")
def public() -> dict[str, list[Calibration]]:
    """Four judges on three attributes of nine models; attribute → one a judge."""
    table = mentalalign()
    models = sorted({model for _, model in table} - {"original"})

    def of(rater: str, k: int) -> np.ndarray:
        return np.stack([table[rater, model][k] for model in models])

    found: dict[str, list[Calibration]] = {}
    for name in ("empathy", "guidance", "safety"):
        k = ATTRIBUTES.index(name)
        for judge in JUDGES:
            own = np.array([model.replace("gpt4o", "gpt-4o") == judge for model in models])
            asked = replace(held(of(judge, k), of("human", k)[None]), own=own)
            found.setdefault(name, []).append(calibrate(asked, of_questions(1000, 199)))
    return found


@needs_mentalalign
@pytest.mark.parametrize(
    ("attribute", "what", "low", "high"),
    [
        ("empathy", "bias", 0.55, 0.72), ("guidance", "bias", 0.21, 0.65),
        ("safety", "bias", 0.08, 0.18), ("empathy", "kappa", 0.19, 0.26),
        ("guidance", "kappa", 0.43, 0.54), ("safety", "kappa", 0.25, 0.45),
        ("empathy", "icc_absolute", 0.09, 0.21), ("guidance", "icc_absolute", 0.53, 0.86),
        ("safety", "icc_absolute", 0.15, 0.76), ("empathy", "icc_consistency", 0.55, 0.72),
        ("guidance", "icc_consistency", 0.91, 0.94), ("safety", "icc_consistency", 0.33, 0.86),
        ("empathy", "halved", 0.55, 0.58), ("guidance", "halved", 0.67, 0.72),
        ("safety", "halved", 0.53, 0.59), ("empathy", "tied", 0.64, 0.83),
        ("guidance", "tied", 0.38, 0.53), ("safety", "tied", 0.76, 0.93),
    ],
)  # fmt: skip
def test_public_ratings_give_the_known_numbers(public, attribute, what, low, high):
    """The least and the greatest of four judges, as they were computed from the file before."""
    where = {
        "icc_absolute": "means",
        "icc_consistency": "means",
        "halved": "order",
        "tied": "order",
    }
    found = [getattr(of, where[what]) if what in where else of for of in public[attribute]]
    values = [round(getattr(of, what).value, 2) for of in found]

    assert (min(values), max(values)) == (low, high)


@needs_mentalalign
def test_response_level_icc_of_public_ratings_is_that_of_mean_squares(public):
    """ICC(A,1) and ICC(C,1) of the first judge on empathy, by the formulas of McGraw and Wong."""
    table, k = mentalalign(), ATTRIBUTES.index("empathy")
    models = sorted({model for _, model in table} - {"original"})
    x, y = (np.concatenate([table[rater, m][k] for m in models]) for rater in ("human", JUDGES[0]))
    both = np.stack([x, y])[:, ~np.isnan(x + y)]
    n, grand = both.shape[1], both.mean()
    rows = 2 * ((both.mean(axis=0) - grand) ** 2).sum() / (n - 1)
    columns = n * ((both.mean(axis=1) - grand) ** 2).sum()
    rest = ((both - both.mean(axis=0) - both.mean(axis=1)[:, None] + grand) ** 2).sum() / (n - 1)
    found = public["empathy"][0]

    absolute = (rows - rest) / (rows + rest + 2 / n * (columns - rest))
    assert found.n == n
    assert found.icc_absolute.value == pytest.approx(absolute)
    assert found.icc_consistency.value == pytest.approx((rows - rest) / (rows + rest))


@needs_mentalalign
def test_self_preference_is_claudes_alone(public):
    """Its own +1.04, others +.59; GPT-4o and Gemini rate their own no higher than others."""
    empathy = dict(zip(JUDGES, public["empathy"], strict=True))

    assert empathy["claude"].self_preference.value == pytest.approx(1.04 - 0.59, abs=0.01)
    assert empathy["claude"].self_preference.interval.low > 0.2
    assert empathy["gpt-4o"].self_preference.interval.high < 0
    assert isinstance(empathy["o4-mini"].self_preference, str)


@needs_mentalalign
def test_no_public_judge_of_empathy_is_nearer_to_people_than_their_mean(public):
    """Half a point of bias: worse than knowing nothing of an answer."""
    assert all(of.gains["mean"].interval.high < 0 for of in public["empathy"])
    assert all(of.gains["shuffled"].interval.low > 0 for of in public["empathy"])


@needs_kumar
@pytest.mark.parametrize("mechanism", range(len(MECHANISMS)))
def test_alpha_of_public_ratings_is_evalicas(mechanism: int):
    """Of experts, and of each judge with every expert; evalica 0.4."""
    import evalica
    import pandas as pd

    table = kumar()
    experts = np.stack([table[of][mechanism] for of in EXPERTS])
    for judge in ("gpt", "claude", "llm"):
        scores = table[judge][mechanism]
        asked = JudgeAndPeople(
            scores[None], experts[:, None], (0.0, 1.0, 2.0), "higher",
            np.full((1, 50), np.nan), np.zeros(1, bool),
        )  # fmt: skip
        found = calibrate(asked, of_questions(50))

        def alpha(*raters: np.ndarray) -> float:
            return evalica.alpha(pd.DataFrame(np.stack(raters)), "interval").alpha

        each = [alpha(scores, expert) for expert in experts]
        assert found.alpha.value == pytest.approx(np.mean(each), abs=1e-9)
        assert found.alpha_people.value == pytest.approx(alpha(*experts), abs=1e-9)


# ---------------------------------------------------------------------------- independent code


@pytest.fixture(scope="module")
def sparse() -> JudgeAndPeople:
    """Expected values of a judge, three raters with gaps, unjudged answers."""
    random = np.random.default_rng(5)
    quality, ratings = people(random, 60)
    ratings[random.random(ratings.shape) < 0.3] = np.nan
    judge = clean(random, quality, 0.3)
    judge[:, :4] = np.nan
    return held(judge, ratings)


@pytest.fixture(scope="module")
def sparse_found(sparse: JudgeAndPeople) -> Calibration:
    found = calibrate(sparse, of_questions(60))
    assert isinstance(found, Calibration)
    return found


def test_kappa_is_scikit_learns_of_rounded_scores(sparse, sparse_found):
    """The mean over raters, each on what judge and rater both rated."""
    from sklearn.metrics import cohen_kappa_score

    kappas = []
    for rater in sparse.ratings:
        both = ~np.isnan(sparse.judge + rater)
        rounded = np.floor(sparse.judge[both] + 0.5).astype(int)
        kappas.append(cohen_kappa_score(rounded, rater[both].astype(int), weights="quadratic"))

    assert sparse_found.kappa.value == pytest.approx(np.mean(kappas), abs=1e-9)
    assert sparse_found.kappa.interval.low < np.mean(kappas) < sparse_found.kappa.interval.high


def test_errors_are_those_of_single_ratings(sparse, sparse_found):
    """The judge's, and how much greater those of people's mode and mean are."""
    pairs = [
        (score, rating)
        for rater in sparse.ratings
        for score, rating in zip(sparse.judge.ravel(), rater.ravel(), strict=True)
        if not np.isnan(score + rating)
    ]
    scores, ratings = map(np.array, zip(*pairs, strict=True))
    labels, counts = np.unique(ratings, return_counts=True)

    def error(guess: np.ndarray | float) -> float:
        return float(np.sqrt(np.mean((guess - ratings) ** 2)))

    assert sparse_found.rmse.value == pytest.approx(error(scores))
    for name, guess in (("mode", labels[counts.argmax()]), ("mean", ratings.mean())):
        gain = error(float(guess)) - error(scores)
        assert sparse_found.gains[name].value == pytest.approx(gain, abs=1e-9)


def test_shuffled_scores_are_the_mean_over_all_orders():
    """Of six answers all 720: the root of the mean square error of every one of them."""
    random = np.random.default_rng(6)
    scores, ratings = random.uniform(1, 5, 6), random.integers(1, 6, (2, 6)).astype(float)
    found = calibrate(held(scores[None], ratings[:, None]), of_questions(6))

    squares = [np.mean((np.array(order) - ratings) ** 2) for order in permutations(scores)]
    own = np.sqrt(np.mean((scores - ratings) ** 2))
    assert found.gains["shuffled"].value == pytest.approx(np.sqrt(np.mean(squares)) - own)


def test_bias_is_against_a_rater_of_average_severity(sparse, sparse_found):
    """Items and raters by numpy's least squares on dummies."""
    ratings = np.where(np.isnan(sparse.judge), np.nan, sparse.ratings).reshape(3, -1)
    raters, items = np.nonzero(~np.isnan(ratings))
    design = np.zeros((len(items) + 1, 3 + ratings.shape[1]))
    design[np.arange(len(items)), raters] = design[np.arange(len(items)), 3 + items] = 1
    design[-1, :3] = 1
    values = np.linalg.lstsq(design, np.append(ratings[raters, items], 0))[0][3:]
    rated = ~np.isnan(ratings).all(axis=0)
    apart = (sparse.judge.ravel() - values)[rated]

    assert sparse_found.n == rated.sum()
    assert sparse_found.bias.value == pytest.approx(apart.mean())
    assert sparse_found.people.value == pytest.approx(values[rated].mean())
    middle = np.repeat(np.arange(3), 60)[rated] == 1
    assert sparse_found.biases[1].value == pytest.approx(apart[middle].mean())


def test_self_preference_is_the_difference_of_biases():
    random = np.random.default_rng(7)
    quality, ratings = people(random, 80)
    judge = np.clip(quality + np.array([[0.0], [0.7], [0.0]]), 1, 5)
    found = calibrate(held(judge, ratings, own=1), of_questions(80))

    of_own, others = found.biases[1].value, (found.biases[0].value + found.biases[2].value) / 2
    assert found.self_preference.value == pytest.approx(of_own - others)
    assert found.self_preference.interval.low > 0.3


def test_a_judge_that_favours_length_is_seen_beside_people():
    """People do not; the correlation is of the error, within questions."""
    random = np.random.default_rng(8)
    quality, ratings = people(random, 80)
    lengths = random.normal(5, 0.5, quality.shape)
    judge = np.clip(quality + 0.8 * (lengths - 5) + random.normal(0, 0.2, quality.shape), 1, 5)
    found = calibrate(held(judge, ratings, lengths=lengths), of_questions(80))
    fair = calibrate(held(clean(random, quality), ratings, lengths=lengths), of_questions(80))

    assert found.length.interval.low > 0.25
    assert fair.length.interval.low < 0 < fair.length.interval.high


def test_wilsons_interval_is_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for k, n in ((0, 30), (7, 30), (29, 30), (30, 30)):
        found = wilson(k / n, n, 0.95)
        assert (found.low, found.high) == pytest.approx(
            proportion_confint(k, n, method="wilson"), abs=1e-12
        )


def test_flags_of_one_answer_a_question_have_wilsons_own_interval():
    """Of 40 flagged 30 are seen; of answers to five questions that say the same, fewer count."""
    from statsmodels.stats.proportion import proportion_confint

    people_flag = np.repeat([1.0, 0.0], [40, 60])
    judge = people_flag.copy()
    judge[:10] = 0
    alone = flags_seen(judge, people_flag, of_questions(100))
    alike = flags_seen(judge, people_flag, Resampler(np.arange(100) // 10, 99))

    assert (alone.sensitivity.value, alone.sensitivity.n) == (0.75, 40)
    assert (alone.specificity.value, alone.specificity.n) == (1.0, 60)
    found = alone.sensitivity.interval
    assert (found.low, found.high) == pytest.approx(proportion_confint(30, 40, method="wilson"))
    assert alike.sensitivity.value == 0.75
    assert alike.sensitivity.n_questions == 4
    assert alike.sensitivity.interval.low < found.low - 0.2


@pytest.mark.parametrize(("better", "flagged"), [("higher", [1, 2, 3]), ("lower", [3, 4, 5])])
def test_a_flag_is_the_middle_of_the_scale_or_worse(better: str, flagged: list[int]):
    ratings = np.resize([1.0, 2, 3, 4, 5], (2, 1, 60))
    asked = replace(held(np.full((1, 60), 3.0), ratings), better=better)
    found = calibrate(asked, of_questions(60)).flags

    assert found.sensitivity.n == 12 * len(flagged)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, 0.0)
    assert calibrate(replace(asked, better=None), of_questions(60)).flags is None


# ---------------------------------------------------------------------------- the rule


def test_a_clean_judge_is_calibrated_and_each_fault_alone_is_named():
    random = np.random.default_rng(9)
    quality, ratings = people(random, 60)
    rule, drawn = CalibrationRule(), of_questions(60)
    judge = clean(random, quality)

    assert names(rule, calibrate(held(judge, ratings), drawn)) == []
    lenient = calibrate(held(clean(random, quality, 0.9), ratings), drawn)
    assert "bias" in names(rule, lenient)
    assert names(replace(rule, items=181), calibrate(held(judge, ratings), drawn)) == ["items"]
    few = calibrate(held(judge, ratings[:1]), drawn)
    assert names(rule, few) == ["raters", "alt_test"]
    assert names(CalibrationRule(raters=1, alt_test=False), few) == []
    strict = CalibrationRule(kappa=0.95, alpha=0.99, icc=0.99, accuracy=0.99, sensitivity=1.0)
    assert names(strict, calibrate(held(judge, ratings), drawn)) == [
        "kappa", "alpha", "icc", "accuracy", "sensitivity",
    ]  # fmt: skip


def test_a_judge_that_always_says_5_is_not_calibrated_near_the_ceiling():
    """Nearly all answers are 5: its bias is small and raw agreement high, whatever is declared."""
    random = np.random.default_rng(10)
    quality, ratings = people(random, 100, middle=5.8)
    found = calibrate(held(np.full(quality.shape, 5.0), ratings), of_questions(100))
    anything = CalibrationRule(kappa=-1, alt_test=False, bias=4.0)

    assert (ratings == 5).mean() > 0.75
    assert abs(found.bias.value) < 0.4
    assert names(anything, found) == ["beats_mode", "beats_mean", "beats_shuffled"]


def test_a_constant_passes_the_alternative_annotator_test_on_public_ratings_and_stays_out():
    """The reason for the controls: omega = 1, and no knowledge of an answer."""
    if not KUMAR.is_file():
        pytest.skip(f"no file {KUMAR}")
    table = kumar()
    k = MECHANISMS.index("level_interpretations")
    ratings = np.stack([table[of][k] for of in EXPERTS])[:, None]
    mode = np.full((1, 50), float(np.bincount(ratings.ravel().astype(int)).argmax()))
    asked = JudgeAndPeople(
        mode, ratings, (0.0, 1.0, 2.0), "higher", np.full((1, 50), np.nan), np.zeros(1, bool)
    )
    found = calibrate(asked, of_questions(50))
    rule = CalibrationRule(items=50, kappa=-1, bias=2.0)

    assert found.alternative.winning_rate == found.controls["mode"].winning_rate == 1.0
    assert names(rule, found) == ["beats_mode", "beats_mean", "beats_shuffled"]


def test_a_judge_whose_scores_are_in_another_order_is_not_calibrated():
    random = np.random.default_rng(11)
    quality, ratings = people(random, 100)
    judge = random.permutation(clean(random, quality).ravel()).reshape(3, -1)
    found = calibrate(held(judge, ratings), of_questions(100))
    loose = CalibrationRule(kappa=-1, alt_test=False)

    assert {"beats_mean", "beats_shuffled"} <= set(names(loose, found))
    assert found.controls["shuffled"].winning_rate == 0.0


def test_below_20_questions_no_judge_is_calibrated():
    """There is no interval that could lie above 0."""
    random = np.random.default_rng(12)
    quality, ratings = people(random, 19)
    found = calibrate(held(clean(random, quality), ratings), of_questions(19))

    assert {"questions", "beats_mean"} <= set(names(CalibrationRule(), found))
    assert "beats_mean" in names(CalibrationRule(items=10, questions=1), found)


# ---------------------------------------------------------------------------- what has none


def test_raters_without_a_shared_answer_are_refused():
    random = np.random.default_rng(13)
    quality, ratings = people(random, 60, raters=2)
    ratings[0, :, :30] = ratings[1, :, 30:] = np.nan
    found = calibrate(held(clean(random, quality), ratings), of_questions(60))

    assert isinstance(found, Refusal)
    assert "share" in found.expected


def test_a_judge_without_a_score_where_people_rated_is_refused():
    found = calibrate(held(np.full((2, 30), np.nan), np.ones((2, 2, 30))), of_questions(30))

    assert isinstance(found, Refusal)


def test_arrays_of_other_answers_are_an_error():
    with pytest.raises(ValueError, match="give the shapes"):
        held(np.ones((2, 30)), np.ones((3, 2, 29)))


def test_the_nearest_label_of_an_uneven_scale():
    assert nearest(np.array([0.4, 1.6, 7.0, np.nan]), (0, 1, 4)).tolist()[:3] == [0, 1, 4]
