"""What an answer is worth by people: settled, adjusted, drawn, and for which answers it speaks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core import rubrics
from empathy_core.annotation import RoundDir, read_ratings, write_ratings
from empathy_core.annotation.settled import settled
from empathy_core.store import RunDir
from reports.rows.collect import Collected, collect
from reports.rows.people import RatedAnswers, people_of
from reports.rows.population import Population, population
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2
from tests.runs.corrected import another_round, answers, change_sample, collected, rated_run
from tests.runs.rated import RATERS, ROUND, change_ratings

ASKED = ("mentalalign", "empathy")
N, SHARE = 40, 0.5
EXAMPLE = "sample-3"


def said_of(of: Collected) -> RatedAnswers:
    assert of.people is not None
    return of.people


def value(of: Collected, condition: str = LLAMA.id, example: str = EXAMPLE) -> dict[str, object]:
    rows = said_of(of).of(*ASKED)
    (row,) = rows.filter(pl.col("condition") == condition, pl.col("example") == example).to_dicts()
    return row


def population_of(of: Collected, *conditions: str) -> Population:
    found = population(said_of(of), ASKED, conditions, of.expected)
    assert found is not None
    return found


def test_an_answer_is_worth_the_mean_of_its_raters_and_repeats_count_for_nothing(tmp_path: Path):
    run, about = rated_run(tmp_path / "run", n=N, share=SHARE)
    given = read_ratings(run).filter(
        pl.col("kind") == "answer", pl.col("condition") == LLAMA.id,
        pl.col("example") == EXAMPLE, pl.col("dimension") == "empathy",
    )  # fmt: skip
    found = value(collect(run, about))

    assert given.height == len(RATERS)
    assert found["value"] == pytest.approx(given["value"].mean())
    assert (found["drawn"], found["adjudicated"]) == (True, False)


def test_the_same_rater_counts_once_with_the_later_round(tmp_path: Path):
    """As in the agreement of raters: three people, of whom one has rated the answer again."""

    def again(run: RunDir) -> None:
        of = answers(run, LLAMA.id, "empathy", [EXAMPLE])  # by R01
        another_round(run, "round-002", "ratings", of.with_columns(value=pl.lit(1.0)))

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=again)
    others = read_ratings(RunDir(tmp_path / "run")).filter(
        pl.col("condition") == LLAMA.id, pl.col("example") == EXAMPLE,
        pl.col("dimension") == "empathy", pl.col("kind") == "answer", pl.col("rater") != "R01",
    )["value"]  # fmt: skip
    agreed = found.ratings.answers.filter(
        pl.col("condition") == LLAMA.id, pl.col("example") == EXAMPLE,
        pl.col("dimension") == "empathy",
    )  # fmt: skip

    assert value(found)["value"] == pytest.approx((others.sum() + 1.0) / len(RATERS))
    assert agreed["value"].sum() == others.sum() + 1.0


def test_what_settled_an_answer_is_what_it_is_worth(tmp_path: Path):
    def settle(run: RunDir) -> None:
        of = answers(run, LLAMA.id, "empathy", [EXAMPLE])
        another_round(run, "round-002", "adjudication", of.with_columns(value=pl.lit(1.0)))

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=settle)

    assert value(found)["value"] == 1.0
    assert value(found)["adjudicated"]
    assert value(found, example="sample-4")["value"] > 1.0  # type: ignore[operator]


def test_who_settled_that_the_question_does_not_apply_takes_the_answer_out(tmp_path: Path):
    """As if all raters had said so: no value, no part of the means, and not missing."""

    def settle(run: RunDir) -> None:
        of = answers(run, LLAMA.id, "empathy", [EXAMPLE])
        outside = of.with_columns(value=pl.lit(None, pl.Float64), state=pl.lit("not_applicable"))
        another_round(run, "round-002", "adjudication", outside)

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=settle)
    rows = found.scores[LLAMA.id, "people:mentalalign:empathy"]
    of = population_of(found, LLAMA.id)

    row = value(found)
    assert (row["value"], row["adjudicated"], row["not_applicable"]) == (None, True, True)
    assert EXAMPLE not in rows["example"].to_list()
    assert of.outside == pytest.approx(1 / 20)
    assert of.sample.asked is not None
    assert of.sample.asked.sum() == 19


def _random_round(run: RunDir, seed: int) -> None:
    """Let raters skip, find that it does not apply, and be left out; settle some answers."""
    rng = np.random.default_rng(seed)

    def states(ratings: pl.DataFrame, share: float) -> pl.DataFrame:
        names = ["rated", "not_applicable", "skipped"]
        told = rng.choice(names, ratings.height, p=[1 - share, share / 2, share / 2])
        drawn = ratings.with_columns(state=pl.Series(told))
        return drawn.with_columns(value=pl.when(pl.col("state") == "rated").then("value"))

    folder = RoundDir.of(run, ROUND)
    given = states(read_ratings(run), 0.2 * (seed % 3))
    rules = pl.Series(rng.choice(["", "seconds"], given.height, p=[0.9, 0.1]))
    write_ratings(folder, given.with_columns(excluded=rules if seed % 3 else pl.lit("")))
    drawn = pl.read_parquet(folder.ratings).filter(kind="answer", rater="R01")
    drawn = drawn.sample(30, seed=seed).with_columns(
        value=pl.Series(rng.integers(1, 6, 30).astype(float)), rater=pl.lit("R09"),
        excluded=pl.lit(""),
    )  # fmt: skip
    another_round(run, "round-002", "adjudication", states(drawn, 0.5))


def _by_hand(rows: list[dict[str, Any]]) -> tuple[list[float], bool, bool]:
    """Return the ratings that an answer is worth, whether it was settled, and does not apply."""
    counted = [r for r in rows if not r["excluded"] and r["state"] in ("rated", "not_applicable")]
    third = [r for r in counted if r["round"] == "round-002"]
    told = third or counted
    values = sorted(r["value"] for r in told if r["state"] == "rated")
    return values, bool(third), bool(told) and not values


@pytest.mark.parametrize("seed", range(6))
def test_reports_and_the_rounds_themselves_say_the_same_of_what_an_answer_is_worth(
    tmp_path: Path, seed: int
):
    found, _ = collected(
        tmp_path / "run", n=N, share=SHARE, change=lambda run: _random_round(run, seed)
    )
    ratings = read_ratings(RunDir(tmp_path / "run")).filter(pl.col("kind") == "answer")
    of = ("condition", "example", "sample", "rubric", "dimension")
    alone = {
        tuple(row[name] for name in of): row
        for row in settled(ratings, ["round-002"]).iter_rows(named=True)
    }
    rows = said_of(found).answers
    unlike = said_of(found).severities["taken_off"].any()
    given: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in ratings.iter_rows(named=True):
        given.setdefault(tuple(one[name] for name in of), []).append(one)

    assert rows.height == len(given) > 0
    assert unlike == bool(seed % 3)
    assert rows["adjudicated"].sum() > 5
    for row in rows.iter_rows(named=True):
        at = tuple(row[name] for name in of)
        values, was_settled, outside = _by_hand(given[at])
        same = alone.get(at, {"value": None, "ratings": None, "adjudicated": False})
        assert sorted(row["ratings"] or []) == sorted(same["ratings"] or []) == values
        assert row["adjudicated"] == same["adjudicated"] == was_settled
        assert row["not_applicable"] == outside
        assert (row["value"] is None) == (same["value"] is None) == (not values)
        if values:
            assert same["value"] == pytest.approx(np.mean(values))
            if was_settled or not unlike:
                assert row["value"] == same["value"]


def test_answers_chosen_by_looking_at_ratings_speak_for_no_others(tmp_path: Path):
    """They are known, and are in no mean and no weight."""

    def refine(run: RunDir) -> None:
        of = answers(run, LLAMA.id, "empathy", [EXAMPLE])
        texts = [of.with_columns(example=pl.lit("sample-30"), answer_sha256=pl.lit(sha_of(run)))]
        another_round(run, "round-002", "refinement", pl.concat(texts))

    def sha_of(run: RunDir) -> str:
        from tests.runs.rated import _texts

        return _texts(run, [LLAMA.id])[LLAMA.id, "sample-30"]

    plain, _ = collected(tmp_path / "plain", n=N, share=SHARE)
    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=refine)
    row = value(found, example="sample-30")

    assert (row["drawn"], row["value"]) == (False, row["ratings"][0])  # type: ignore[index]
    key = "people:mentalalign:empathy"
    assert found.scores[LLAMA.id, key].equals(plain.scores[LLAMA.id, key])


def test_severity_is_taken_off_where_raters_rated_unlike_answers(tmp_path: Path):
    """R02, who is strict, skips the second half: means of the others must not rise for it."""

    def skip(run: RunDir) -> None:
        late = pl.col("example").is_in([f"sample-{i}" for i in range(10, 20)])
        change_ratings(run, state=pl.when(late & (pl.col("rater") == "R02"))
                       .then(pl.lit("skipped")).otherwise("state"))  # fmt: skip

    whole, _ = collected(tmp_path / "plain", n=N, share=SHARE)
    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=skip)
    late = pl.col("example").is_in([f"sample-{i}" for i in range(10, 20)])
    told = said_of(found).severities.filter(pl.col("dimension") == "empathy")
    effects = dict(told.select("rater", "effect").iter_rows())
    raw = said_of(found).of(*ASKED).filter(late)["ratings"].list.mean().mean()
    mean = said_of(found).of(*ASKED).filter(late)["value"].mean()
    true = said_of(whole).of(*ASKED).filter(late)["value"].mean()

    assert told["taken_off"].all()
    assert not said_of(whole).severities["taken_off"].any()
    assert effects["R02"] < effects["R01"] < effects["R03"]
    assert abs(mean - true) < abs(raw - true) / 2  # type: ignore[operator]


def test_stale_answers_excluded_raters_and_other_texts_of_the_rubric_count_for_nothing(
    tmp_path: Path,
):
    for i, change in enumerate((
        {"answer_sha256": pl.lit("0" * 64)},
        {"excluded": pl.lit("attention")},
        {"rubric_digest": pl.lit("another")},
    )):  # fmt: skip
        found, about = collected(
            tmp_path / str(i),
            n=N,
            share=SHARE,
            change=lambda run, c=change: change_ratings(run, **c),
        )
        assert said_of(found).answers["value"].null_count() == said_of(found).answers.height
        assert all(found.scores[LLAMA.id, key].is_empty() for key in about.rated_by_people)


def test_an_answer_that_nobody_rated_is_not_missing(tmp_path: Path):
    """The run is whole, and people's rows are those that they rated, each with its chance."""
    found, about = collected(tmp_path / "run", n=N, share=SHARE)
    rows = found.scores[FLAN.id, "people:mentalalign:empathy"]

    assert not found.partial
    assert rows.height == N * SHARE
    assert rows["weight"].to_list() == [1 / SHARE] * rows.height
    assert [c.n_complete for c in found.coverage] == [N, N, N]
    assert about.rated_by_people == {"people:mentalalign:empathy", "people:mentalalign:safety"}


def test_partial_packets_raise_the_weights_of_the_others_in_their_stratum(tmp_path: Path):
    def skip(run: RunDir) -> None:
        first = pl.col("example").is_in([f"sample-{i}" for i in range(4)])
        change_ratings(run, state=pl.when(first).then(pl.lit("skipped")).otherwise("state"))

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=skip)
    rows = found.scores[LLAMA.id, "people:mentalalign:empathy"]

    assert rows["weight"].to_list() == pytest.approx([2 * 20 / 16] * 16)


def test_two_rounds_are_one_sample(tmp_path: Path):
    """A question is missed by both with (1 - p)^2."""

    def twice(run: RunDir) -> None:
        drawn = pl.col("example").is_in([f"sample-{i}" for i in range(20, 30)])
        another_round(run, "round-002", "ratings", read_ratings(run).clear())
        change_sample(run, drawn.alias("chosen"), name="round-002")

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=twice)
    of = population_of(found, LLAMA.id, LLAMA2.id)

    assert np.unique(of.sample.chances) == pytest.approx([0.75])
    assert of.human.shape == (2, N)


def test_a_stratum_that_nobody_rated_is_no_part_and_small_ones_are_put_together(tmp_path: Path):
    def split(run: RunDir) -> None:
        number = pl.col("example").str.split("-").list.last().cast(pl.Int64)
        name = (
            pl.when(number < 4).then(pl.lit("refused"))
            .when(number < 6).then(pl.lit("one question"))
            .when(number < 8).then(pl.lit("another")).otherwise(pl.lit("rest"))
        )  # fmt: skip
        change_sample(run, name.alias("stratum"))
        first = pl.col("example").is_in([f"sample-{i}" for i in range(4)])
        change_ratings(run, state=pl.when(first).then(pl.lit("skipped")).otherwise("state"))

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=split)
    of = population_of(found, LLAMA.id)

    assert of.unrated == {"refused": 4}
    assert of.examples.height == N - 4
    assert np.bincount(of.sample.strata).tolist() == [4, N - 8]


def test_people_who_say_that_it_does_not_apply_are_counted(tmp_path: Path):
    def outside(run: RunDir) -> None:
        first = (pl.col("example") == "sample-0") & (pl.col("dimension") == "empathy")
        change_ratings(
            run, state=pl.when(first).then(pl.lit("not_applicable")).otherwise("state"),
            value=pl.when(~first).then("value"),
        )  # fmt: skip

    found, _ = collected(tmp_path / "run", n=N, share=SHARE, change=outside)
    of = population_of(found, LLAMA.id)

    assert of.outside == pytest.approx(1 / 20)
    assert of.sample.asked is not None
    assert of.sample.asked.sum() == 19  # it is not missing


@pytest.mark.parametrize("changed", [False, True])
def test_a_rubric_of_ones_own_needs_no_judge_but_its_own_text(tmp_path: Path, changed: bool):
    """What people were asked is read from the file that the round names, if it still says so."""
    shipped = Path(rubrics.__file__).with_name("mentalalign.toml").read_text()
    file = tmp_path / "own.toml"
    file.write_text(shipped.replace('name = "mentalalign"', 'name = "own"'))
    run, _ = rated_run(tmp_path / "run", n=N)
    change_ratings(run, rubric=pl.lit("own"))
    record = RoundDir.of(run, ROUND).record
    told = json.loads(record.read_text())
    told["dimensions"] = [["own", *of[1:]] for of in told["dimensions"]]
    assert people_of(run, {}) == {}

    record.write_text(json.dumps(told | {"settings": {"rubrics": [str(file)]}}))
    if changed:
        file.write_text(file.read_text().replace("It names a feeling correctly", "It is kind"))

    found = {"people:own:safety", "people:own:empathy"}
    assert {*people_of(run, {})} == (found - {"people:own:empathy"} if changed else found)
