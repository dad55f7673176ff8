"""People's means and corrected judges: what twenty lines of numpy make of the same ratings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core.annotation import read_ratings
from empathy_core.store import RunDir
from reports.numbers.corrected import PEOPLE, peoples_numbers
from reports.rows.collect import Collected, collect
from reports.spec import Analysis, Contrast, ReportSpec
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2
from tests.runs.corrected import change_sample, collected, rated_run
from tests.runs.rated import change_ratings, clean, judges

CLEAN = "judge_clean_empathy-00000000"
EMPATHY = pl.col("dimension") == "empathy"
CONTRAST = Contrast("prompt", "Prompt 2 and others", ((FLAN.id, LLAMA2.id), (LLAMA.id, LLAMA2.id)))


def unequal(run: RunDir) -> None:
    """Let the first ten of thirty drawn questions have been drawn with another chance."""
    number = pl.col("example").str.split("-").list.last().cast(pl.Int64)
    in_first = number < 20
    change_sample(
        run, pl.when(in_first).then(pl.lit("a")).otherwise(pl.lit("b")).alias("stratum"),
        pl.when(in_first).then(pl.lit(1.0)).otherwise(pl.lit(0.4)).alias("chance"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Collected, ReportSpec]:
    """Return the run with unequal chances, one rating skipped, and a declared contrast."""
    run, about = rated_run(tmp_path_factory.mktemp("rated") / "run", change=unequal)
    about = replace(about, analysis=Analysis(contrasts=(CONTRAST,)))
    return run, collect(run, about), about


@pytest.fixture(scope="module")
def numbers(rated: tuple[RunDir, Collected, ReportSpec]) -> pl.DataFrame:
    return peoples_numbers(*rated[1:])


def row(numbers: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    (found,) = numbers.filter(EMPATHY, **wanted).to_dicts()
    return found


def by_hand(run: RunDir, *conditions: str) -> dict[str, float]:
    """Return PPI++ in Hajek form with the best lambda, of first - second or of one alone.

    Two examples a question, strata of 10 rated of 10 and 20 of 50 questions.
    """
    given = read_ratings(run).filter(pl.col("kind") == "answer", EMPATHY)
    means = given.group_by("condition", "example").agg(pl.col("value").mean())
    value = {(c, e): v for c, e, v in means.iter_rows()}
    ids = [f"sample-{i}" for i in range(120)]
    signs = (1, -1)[: len(conditions)]
    y = np.array([
        sum(s * value.get((c, e), np.nan) for s, c in zip(signs, conditions, strict=True))
        for e in ids
    ])  # fmt: skip
    f = np.array([
        sum(s * clean(c, e, "empathy") for s, c in zip(signs, conditions, strict=True)) for e in ids
    ])  # fmt: skip
    question, known = np.arange(120) // 2, ~np.isnan(y)
    w = np.where(known, np.where(np.arange(120) < 20, 1.0, 2.5), 0.0)
    human, beside = (w[known] @ of[known] / w.sum() for of in (y, f))

    def owed(residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sums by question, centred in each stratum, times what a variance of n needs."""
        sums = np.bincount(question, np.where(weights > 0, weights * residuals, 0.0))
        some = np.bincount(question, weights) > 0
        first = np.arange(60) < 10
        for part in (some & first, some & ~first):
            sums[part] = (sums[part] - sums[part].mean()) * np.sqrt(part.sum() / (part.sum() - 1))
        return sums

    scaled = w * 120 / w.sum()
    u, part = owed(np.nan_to_num(y) - human, scaled), owed(f - beside, scaled)
    v = owed(f - f.mean(), np.ones(120)) - part
    weight = float(np.clip(-(u @ v) / (v @ v), 0, 1))
    return {
        "human": human, "weight": weight, "value": human + weight * (f.mean() - beside),
        "human_error": float(np.sqrt(u @ u)) / 120, "raw": f.mean(),
    }  # fmt: skip


@pytest.mark.parametrize("condition", [LLAMA.id, LLAMA2.id, FLAN.id])
def test_a_corrected_mean_is_that_of_numpy(
    rated: tuple[RunDir, Collected, ReportSpec], numbers: pl.DataFrame, condition: str
):
    found, expected = (
        row(numbers, kind="mean", condition=condition, metric=CLEAN),
        by_hand(rated[0], condition),
    )
    assert found["human"] == pytest.approx(expected["human"])
    assert found["raw"] == pytest.approx(expected["raw"])
    assert found["weight"] in (0.0, pytest.approx(expected["weight"]))  # 0: too few carriers
    if found["weight"]:
        assert found["value"] == pytest.approx(expected["value"])
    alone = row(numbers, kind="mean", condition=condition, metric="")
    assert alone["standard_error"] == pytest.approx(expected["human_error"])


def test_some_judge_is_relied_on(numbers: pl.DataFrame):
    """Else the test above says nothing of corrected values."""
    found = numbers.filter(EMPATHY, pl.col("metric") == CLEAN, pl.col("weight") > 0.3)

    assert set(found["kind"]) >= {"mean", "difference"}


def test_a_corrected_difference_is_that_of_numpy(
    rated: tuple[RunDir, Collected, ReportSpec], numbers: pl.DataFrame
):
    """Second less first, with a lambda of its own; two-sided p by Student's t."""
    found = row(numbers, kind="difference", condition=LLAMA2.id, less=LLAMA.id, metric=CLEAN)
    expected = by_hand(rated[0], LLAMA2.id, LLAMA.id)

    assert found["human"] == pytest.approx(expected["human"])
    assert found["weight"] == pytest.approx(expected["weight"])
    assert found["weight"] > 0.3
    assert found["value"] == pytest.approx(expected["value"])
    assert found["low"] < found["narrow_low"] < found["value"] < found["narrow_high"]
    assert found["p"] < 0.05


def test_p_and_interval_agree(numbers: pl.DataFrame):
    """The interval leaves 0 out where p is below 5 %, and nowhere else."""
    rows = numbers.filter(pl.col("p").is_not_null())
    outside = (rows["low"] > 0) | (rows["high"] < 0)

    assert rows.height >= 2 * 3 * 3
    assert ((rows["p"] < 0.05) == outside).all()


def test_people_alone_are_what_their_columns_of_table_1_say(
    rated: tuple[RunDir, Collected, ReportSpec], numbers: pl.DataFrame
):
    _, of, _ = rated
    for condition in (LLAMA.id, FLAN.id):
        scores = of.scores[condition, "people:mentalalign:empathy"]
        mean = float(scores["score"].sum()) / float(scores["weight"].sum())
        assert row(numbers, kind="mean", condition=condition, metric="")["human"] == (
            pytest.approx(mean)
        )


def test_a_contrast_is_the_mean_over_its_pairs(numbers: pl.DataFrame):
    """Of people, since it is linear: the mean of both differences."""
    found = row(numbers, kind="contrast", contrast="prompt", metric=CLEAN)
    pairs = [(LLAMA2.id, LLAMA.id, 1), (FLAN.id, LLAMA2.id, -1)]
    means = [
        sign * row(numbers, kind="difference", condition=a, less=b, metric=CLEAN)["human"]
        for a, b, sign in pairs
    ]

    assert found["human"] == pytest.approx(np.mean(means))
    assert found["value"] == pytest.approx(found["human"], abs=0.2)


def test_holm_is_over_the_pairs_of_a_judges_question(numbers: pl.DataFrame):
    rows = numbers.filter(EMPATHY, pl.col("kind") == "difference", pl.col("metric") == CLEAN)
    p = sorted(rows["p"].to_list())
    expected = np.maximum.accumulate([min(1, of * (3 - i)) for i, of in enumerate(p)])

    assert sorted(rows["p_holm"].to_list()) == pytest.approx(expected)


def test_a_judge_that_always_says_5_is_not_relied_on(numbers: pl.DataFrame):
    rows = numbers.filter(pl.col("judge") == "Fives", pl.col("kind") == "mean")

    assert rows.height == 6
    assert (rows["weight"] == 0).all()
    assert rows["value"].to_list() == rows["human"].to_list()
    assert (rows["raw"] == 5).all()
    assert (rows["n_effective"] == rows["n_rated"]).all()


def test_a_jury_is_corrected_as_a_judge_is(numbers: pl.DataFrame):
    rows = numbers.filter(pl.col("judge").str.starts_with("jury"), pl.col("kind") == "mean")

    assert rows.height == 6
    assert rows["value"].null_count() == 0


def test_few_rated_questions_are_refused_with_the_reason(tmp_path: Path):
    """People's mean stands in the table of all columns; here there is none, and why."""
    found = peoples_numbers(*collected(tmp_path / "run", n=60, share=0.5))

    assert found.schema == pl.Schema(PEOPLE)
    assert found["value"].null_count() == found.height
    assert set(found["n_questions"]) == {15}
    assert all("only 15 questions" in of for of in found["refusal"])


def test_a_question_that_often_does_not_apply_corrects_no_judge(tmp_path: Path):
    def outside(run: RunDir) -> None:
        some = pl.col("example").is_in([f"sample-{i}" for i in range(6)]) & EMPATHY
        change_ratings(
            run, state=pl.when(some).then(pl.lit("not_applicable")).otherwise("state"),
            value=pl.when(~some).then("value"),
        )  # fmt: skip

    found = peoples_numbers(*collected(tmp_path / "run", change=outside))
    alone = found.filter(EMPATHY, pl.col("judge") == "")
    judged = found.filter(EMPATHY, pl.col("judge") != "")

    assert judged["value"].null_count() == judged.height
    assert all("does not apply" in of and "10.0%" in of for of in judged["refusal"])
    assert alone["human"].null_count() == 0
    assert found.filter(~EMPATHY)["refusal"].unique().to_list() == [""]


def test_the_response_rate_is_of_the_answers_given_to_raters(tmp_path: Path):
    def skip(run: RunDir) -> None:
        some = pl.col("example").is_in([f"sample-{i}" for i in range(6)])
        change_ratings(run, state=pl.when(some).then(pl.lit("skipped")).otherwise("state"))

    found = peoples_numbers(*collected(tmp_path / "run", change=skip))
    one = row(found, kind="mean", condition=LLAMA.id, metric=CLEAN)

    assert (one["n_rated"], one["n_asked"], one["response_rate"]) == (54, 60, 0.9)


def test_without_ratings_there_is_nothing(tmp_path: Path):
    from tests.runs import by_hand, rated

    about = rated.rated_spec(judges())
    run = by_hand.make(tmp_path / "run", about, n=8)
    of = collect(run, about)

    assert of.people is None
    assert peoples_numbers(of, about).is_empty()
