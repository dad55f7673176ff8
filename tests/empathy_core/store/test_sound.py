"""One rule says which files of a run count: for the plan of the next sweep and for the report."""

from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.store import RunDir
from jobs.planning.progress import SoundPieces, read_answers, read_scores
from reports.rows.collect import collect
from tests.runs.by_hand import DATA, LLAMA, N_SHARDS, Toy, make, spec

KEY = "toy-00000000"
BLOCKS = set(range(20))
TAGS = {"kind": "generations", "condition": LLAMA.id, "data": DATA}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Return a run of one condition: 20 blocks of two answers in three shards, scored."""
    return make(tmp_path / "run", spec(LLAMA))


def planned(run: RunDir) -> SoundPieces:
    return read_answers(run, LLAMA.id, DATA)


def reported(run: RunDir) -> set[int]:
    """Return the blocks whose answers a partial report counts."""
    found = collect(run, spec(LLAMA), partial=True)
    examples = found.answers[LLAMA.id].join(
        found.examples.select("block", example="id"), on="example", how="left"
    )
    return set(examples["block"].to_list())


def copied(run: RunDir, blocks: list[int], **changed: pl.Expr) -> Path:
    """Write a second file with blocks of the first shard, and return its path."""
    _, frame = store.read_piece(run.generation(LLAMA.id, 0, N_SHARDS))
    path = run.generation(LLAMA.id, 0, 5)  # stands after 00000-of-00003
    store.write_piece(
        frame.filter(pl.col("block").is_in(blocks)).with_columns(**changed), path, TAGS
    )
    return path


def test_of_two_equal_copies_the_first_counts(run: RunDir):
    """The plan sets the second aside, and the report counts its rows once."""
    copy = copied(run, [3, 6])

    assert set(planned(run).blocks) == BLOCKS == reported(run)
    assert [path for path, _ in planned(run).unusable] == [copy]


def test_of_two_copies_that_differ_neither_counts(run: RunDir):
    """Neither is believed: the plan sets both files aside, so that their blocks are made again."""
    first = run.generation(LLAMA.id, 0, N_SHARDS)
    copy = copied(run, [3], text=pl.lit("another"))
    held = set(store.verify_piece(first).blocks)

    assert reported(run) == BLOCKS - {3}
    assert {path for path, _ in planned(run).unusable} == {first, copy}
    assert all("the copies differ" in reason for _, reason in planned(run).unusable)
    assert set(planned(run).blocks) == BLOCKS - held


def test_what_is_set_aside_is_no_longer_a_problem(run: RunDir):
    """After it, plan and report agree about every block."""
    copied(run, [3], text=pl.lit("another"))
    for path, _ in planned(run).unusable:
        run.set_aside(path)

    assert planned(run).unusable == ()
    assert set(planned(run).blocks) == reported(run)


@pytest.mark.parametrize("tag", ["kind", "condition", "data"])
def test_a_file_of_other_work_counts_for_neither(run: RunDir, tag: str):
    """Both name the tag that is wrong, in the same words."""
    path = run.generation(LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame, path, {**piece.tags, tag: "another"})
    ((refused, reason),) = planned(run).unusable
    problems = collect(run, spec(LLAMA), partial=True).problems

    assert refused == path
    assert f"its {tag} is 'another', expected" in reason
    assert reason in problems
    assert set(planned(run).blocks) == BLOCKS - set(piece.blocks) == reported(run)


def test_scores_under_another_signature_count_for_neither(run: RunDir):
    """The plan sets them aside, and the report says why."""
    path = run.score(KEY, LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame, path, {**piece.tags, "signature": "metric:toy|toolib:9"})
    ((refused, reason),) = read_scores(run, KEY, LLAMA.id, DATA, Toy().signature()).unusable

    assert refused == path
    assert reason in collect(run, spec(LLAMA), partial=True).problems
