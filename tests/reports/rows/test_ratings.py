"""Ratings count where text and rubric are those that were rated; what does not count is counted."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.annotation import RATINGS, RoundDir, read_ratings, write_ratings
from empathy_core.store import RunDir
from reports.rows.collect import collect
from reports.rows.ratings import PeoplesRatings, reasons
from reports.spec import ReportSpec
from tests.runs import by_hand
from tests.runs.by_hand import FLAN, LLAMA
from tests.runs.rated import (
    DIMENSIONS,
    RATERS,
    ROUND,
    RUBRIC,
    add_round,
    change_ratings,
    judges,
    rated_run,
    rated_spec,
)

N, SHARE = 40, 0.5
N_ANSWERS = 3 * 20
N_RATINGS = N_ANSWERS * len(RATERS) * len(DIMENSIONS)

Rated = tuple[RunDir, ReportSpec]


@pytest.fixture
def rated(tmp_path: Path) -> Rated:
    about = rated_spec()
    return rated_run(tmp_path / "run", about, n=N, share=SHARE), about


def ratings(of: Rated) -> PeoplesRatings:
    return collect(*of).ratings


def left_out(of: Rated) -> dict[str, int]:
    """Return why ratings count nowhere, and how many of both dimensions."""
    found: dict[str, int] = {}
    for words, n in reasons(ratings(of).left_out):
        found[words] = found.get(words, 0) + n
    return found


def test_all_ratings_of_answers_that_stand_count(rated: Rated):
    """With their questions; repeats and attention items stand apart."""
    found = ratings(rated)

    assert found.there
    assert found.answers.height == N_RATINGS
    assert found.answers["question"].n_unique() == N // 2 * SHARE
    assert found.repeats.height == N_RATINGS // 12
    assert 0 < (found.repeats["first"] != found.repeats["value"]).mean() < 1
    assert found.attention.height == len(RATERS) * len(DIMENSIONS)
    assert found.left_out.is_empty()


def test_a_run_that_nobody_has_rated_has_none(tmp_path: Path):
    about = rated_spec()
    run = by_hand.make(tmp_path, about)

    assert not ratings((run, about)).there


def test_an_answer_that_is_another_now_has_stale_ratings(rated: Rated):
    """Of one condition, of which the text of one example has changed since."""
    run, about = rated
    kept = replace(about, metrics={"toy-00000000": by_hand.Toy()})

    def answer(condition, row, sample):
        words = by_hand.plain_answer(condition, row, sample)
        return f"{words} anew" if (condition, row) == (FLAN, 3) else words

    rows = pl.read_parquet(run.examples)
    by_hand.write_answers(run, FLAN, rows, answer, by_hand.N_SHARDS)
    by_hand.write_scores(run, FLAN, "toy-00000000", by_hand.Toy(), by_hand.N_SHARDS)

    assert left_out((run, kept)) == {"of answers that are others now": 3 * 2}
    assert ratings((run, kept)).answers.height == N_RATINGS - 3 * 2


def test_a_rubric_that_was_written_anew_has_stale_ratings(rated: Rated):
    """Its judge is asked another text than people were; the other dimension stays."""
    run, about = rated
    metrics = dict(about.metrics)
    for key, metric in about.metrics.items():
        if key.endswith("empathy-00000000"):
            [of] = metric.rubric.dimensions
            anew = replace(of, question=f"{of.question} Be strict.")
            metrics[key] = replace(metric, rubric=replace(RUBRIC, dimensions=(anew,)))
    found = collect(run, replace(about, metrics=metrics), partial=True).ratings

    assert found.left_out.rows() == [("mentalalign", "empathy", "stale_rubric", "", N_RATINGS // 2)]
    assert set(found.answers["dimension"]) == {"safety"}


def test_without_a_judge_the_newest_round_says_what_the_rubric_is(tmp_path: Path):
    about = rated_spec({})
    run = rated_run(tmp_path, about, n=N, share=SHARE)

    assert ratings((run, about)).answers.height == N_RATINGS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": pl.lit("skipped"), "value": pl.lit(None, pl.Float64)}, "skipped by the rater"),
        ({"state": pl.lit("out_of_range")}, "outside the scale"),
        ({"value": pl.lit(None, pl.Float64)}, "could not be read"),
        ({"excluded": pl.lit("attention")}, "left out by a declared rule (attention)"),
        ({"condition": pl.lit("gone")}, "of answers that are not in this report"),
        ({"example": pl.lit("gone")}, "of answers that are not in this report"),
        ({"rubric_digest": pl.lit("gone")}, "of a rubric that was written anew since"),
    ],
)
def test_what_is_no_rating_is_counted_with_its_reason(
    rated: Rated, change: dict[str, pl.Expr], reason: str
):
    mine = pl.col("rater") == "R02"
    change_ratings(rated[0], **{
        name: pl.when(mine).then(value).otherwise(pl.col(name)) for name, value in change.items()
    })  # fmt: skip

    assert left_out(rated) == {reason: N_RATINGS // 3}
    assert set(ratings(rated).answers["rater"]) == {"R01", "R03"}
    assert set(ratings(rated).repeats["rater"]) == {"R01", "R03"}


def test_the_latest_round_has_the_word_of_a_rater(rated: Rated):
    """R01 rates all answers once more, as 2."""
    run, _ = rated
    add_round(run, [LLAMA.id], share=SHARE, says=lambda *_: 2.0, name="round-002", raters=["R01"])

    found = ratings(rated).answers
    mine = found.filter(pl.col("rater") == "R01", pl.col("condition") == LLAMA.id)
    assert found.height == N_RATINGS
    assert set(mine["value"]) == {2.0}
    assert left_out(rated) == {"rated again in a later round": 20 * 2}


def test_rounds_that_chose_by_ratings_count_in_no_agreement(rated: Rated):
    """Who settles flags has read what the first raters said."""
    run, _ = rated
    add_round(run, [LLAMA.id], says=lambda *_: 2.0, name="round-002", raters=["R09"])
    record = RoundDir.of(run, "round-002").record
    record.write_text(record.read_text().replace('"ratings"', '"adjudication"'))

    assert "R09" not in set(ratings(rated).answers["rater"])
    [words] = left_out(rated)
    assert words.startswith("of rounds that settle flags")


def test_a_round_without_ratings_changes_nothing(tmp_path: Path):
    """The packets are out, and nothing has come back."""
    about = rated_spec()
    run = rated_run(tmp_path / "run", about, n=N)
    write_ratings(RoundDir.of(run, ROUND), read_ratings(run).clear())

    found = ratings((run, about))
    assert not found.there
    assert found.answers.schema["value"] == RATINGS["value"]


def test_ratings_of_other_samples_are_of_other_texts(rated: Rated):
    change_ratings(rated[0], sample=pl.lit(1, pl.Int32))

    assert left_out(rated) == {"of answers that are not in this report": N_RATINGS}
    assert ratings(rated).there


def test_judges_of_the_helper_say_what_is_planted(rated: Rated):
    """One sees quality, the other says 5 of everything."""
    scores = collect(*rated).scores
    values: Callable[[str], float] = lambda key: scores[LLAMA.id, key]["score"].std()  # noqa: E731

    assert set(judges()) < set(rated[1].metrics)
    assert values("judge_fives_empathy-00000000") == 0
    assert values("judge_clean_empathy-00000000") > 0.5
    assert store.list_pieces(rated[0].generations(LLAMA.id))


@pytest.mark.parametrize("shown", ["  {} \n", "{}"])
def test_an_answer_may_be_shown_without_the_blanks_at_its_ends(tmp_path: Path, shown: str):
    """The text that a rater saw is the answer as it is, stripped, or as it is read."""
    about = rated_spec({})
    run = by_hand.make(tmp_path, about, lambda *of: shown.format(by_hand.plain_answer(*of)), n=N)
    add_round(run, [c.id for c in about.conditions], share=SHARE)
    plain = {
        digest(by_hand.plain_answer(c, i, 0)): digest(shown.format(by_hand.plain_answer(c, i, 0)))
        for c in about.conditions
        for i in range(N)
    }
    stripped = {whole: short for short, whole in plain.items()}
    change_ratings(run, answer_sha256=pl.col("answer_sha256").replace(stripped))

    assert ratings((run, about)).answers.height == N_RATINGS


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
