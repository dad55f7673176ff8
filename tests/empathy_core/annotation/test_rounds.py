"""A round of ratings is kept whole, and read as it was written."""

from pathlib import Path

import polars as pl
import pytest

from empathy_core.annotation import (
    KEY,
    RATINGS,
    SAMPLE,
    Round,
    read_ratings,
    read_rounds,
    write_ratings,
    write_round,
)
from empathy_core.errors import Damaged
from empathy_core.store import RunDir

ROUND = Round(
    name="round-001",
    conditions=("a", "b"),
    dimensions=(("epitome", "explorations", "1234"),),
    raters=("R01", "R02"),
    raters_per_item=2,
    data="d",
    seed=3,
    settings={"helpline": "116 123"},
)


def _rating(rater: str) -> dict[str, object]:
    filled = {name: "x" if kind == pl.String else 1 for name, kind in RATINGS.items()}
    return filled | {"round": ROUND.name, "rater": rater, "value": 2.0}


def test_a_round_is_read_as_it_was_written(tmp_path: Path):
    run = RunDir(tmp_path)
    folder = write_round(run, ROUND, pl.DataFrame(schema=SAMPLE), pl.DataFrame(schema=KEY))
    write_ratings(folder, pl.DataFrame([_rating("R01"), _rating("R02")], schema=RATINGS))

    assert read_rounds(run) == {"round-001": ROUND}
    assert read_ratings(run)["rater"].to_list() == ["R01", "R02"]


def test_a_run_without_ratings_has_an_empty_frame_of_them(tmp_path: Path):
    ratings = read_ratings(RunDir(tmp_path))

    assert ratings.is_empty()
    assert dict(ratings.schema) == RATINGS


def test_a_damaged_record_is_named(tmp_path: Path):
    run = RunDir(tmp_path)
    folder = write_round(run, ROUND, pl.DataFrame(schema=SAMPLE), pl.DataFrame(schema=KEY))
    folder.record.write_text("{")

    with pytest.raises(Damaged, match=r"round\.json cannot be read"):
        read_rounds(run)
