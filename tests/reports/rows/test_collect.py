"""Every way in which a run can fail to be whole is told apart, and names the file."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.errors import Damaged, Incomplete
from empathy_core.store import RunDir
from empathy_core.types import Decoding
from reports.rows.collect import collect
from tests.runs.by_hand import (
    DATA,
    FLAN,
    HUMAN,
    LLAMA,
    N_SHARDS,
    Toy,
    condition,
    examples,
    make,
    plain_answer,
    spec,
    write_answers,
    write_scores,
)

KEY = "toy-00000000"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make(tmp_path / "run", spec())


def _refusal(run: RunDir) -> str:
    with pytest.raises(Incomplete) as refused:
        collect(run, spec())
    return str(refused.value)


def test_a_whole_run_is_collected_row_by_row_in_the_runs_order(run: RunDir):
    """Each condition has its expected rows once; people's row covers half of the examples."""
    found = collect(run, spec())

    assert found.problems == ()
    assert [c.n_complete for c in found.coverage] == [20, 40, 40, 40]
    assert found.answers[LLAMA.id]["example"].to_list() == [f"sample-{i}" for i in range(40)]
    assert found.scores[LLAMA.id, KEY]["example"].equals(found.answers[LLAMA.id]["example"])


def test_a_deleted_piece_is_missing_rows(run: RunDir):
    """The folder, the number of rows and an example are named, and what to do."""
    run.generation(LLAMA.id, 1, N_SHARDS).unlink()

    refusal = _refusal(run)

    assert f"{run.generations(LLAMA.id)} lacks 14 of 40 rows" in refusal
    assert "sample-2" in refusal
    assert "run sweep again" in refusal


def test_a_copied_piece_holds_its_blocks_a_second_time(run: RunDir):
    """Both files are named; in a partial report the equal copies count once."""
    first = run.generation(LLAMA.id, 0, N_SHARDS)
    copy = run.generation(LLAMA.id, 0, 5)
    copy.write_bytes(first.read_bytes())

    refusal = _refusal(run)

    assert f"{copy} holds blocks 0, 3, 6, 9, 12 and 2 more a second time" in refusal
    assert str(first) in refusal
    assert collect(run, spec(), partial=True).coverage[1].n_complete == 40


def test_copies_of_a_block_that_differ_are_both_left_out(run: RunDir):
    """Nobody can say which of two different answers is the right one."""
    _, frame = store.read_piece(run.generation(LLAMA.id, 0, N_SHARDS))
    tags = {"kind": "generations", "condition": LLAMA.id, "data": DATA}
    other = frame.filter(pl.col("block") == 3).with_columns(text=pl.lit("another"))
    store.write_piece(other, run.generation(LLAMA.id, 0, 5), tags)

    found = collect(run, spec(), partial=True)

    assert found.coverage[1].n_answered == 38
    assert "sample-6" not in found.answers[LLAMA.id]["example"]


def test_a_row_that_stands_in_two_blocks_is_told(run: RunDir):
    """Two rows of one example under one sample number are an error wherever they lie."""
    path = run.generation(LLAMA.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    twice = pl.concat([frame, frame.head(1).with_columns(block=pl.lit(99, dtype=pl.Int32))])
    store.write_piece(twice, path, piece.tags)

    assert f"{path} holds example sample-0 twice" in _refusal(run)


def test_a_row_that_nobody_asked_for_is_told(run: RunDir):
    """An example outside the evaluated rows does not slip into a mean."""
    path = run.generation(LLAMA.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    extra = frame.head(1).with_columns(
        example=pl.lit("sample-40"), block=pl.lit(99, dtype=pl.Int32)
    )
    store.write_piece(pl.concat([frame, extra]), path, piece.tags)

    assert f"{path} holds example sample-40 that this run does not expect" in _refusal(run)


def test_a_piece_of_another_condition_is_foreign(run: RunDir):
    """A file copied from one condition's folder to another's is recognised by its tag."""
    path = run.generation(LLAMA.id, 1, N_SHARDS)
    path.write_bytes(run.generation(FLAN.id, 1, N_SHARDS).read_bytes())

    refusal = _refusal(run)

    assert (
        f"{path} belongs to other work: its condition is '{FLAN.id}', expected '{LLAMA.id}'"
        in refusal
    )


def test_rows_of_two_conditions_in_one_piece_are_foreign(run: RunDir):
    """A tag cannot vouch for rows that say otherwise."""
    path = run.generation(LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    mixed = frame.with_columns(
        condition=pl.when(pl.col("block") == 1).then(pl.lit(FLAN.id)).otherwise("condition")
    )
    store.write_piece(mixed, path, piece.tags)

    assert f"{path} mixes in rows of {FLAN.id}" in _refusal(run)


def test_a_piece_made_from_other_data_is_foreign(run: RunDir):
    """The digest of the run's data stands in every piece."""
    path = run.score(KEY, LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame, path, {**piece.tags, "data": "elsewhere"})

    assert f"{path} belongs to other work: its data is 'elsewhere', expected '{DATA}'" in _refusal(
        run
    )


def test_scores_under_another_signature_are_foreign(run: RunDir):
    """Numbers of two versions of a metric do not meet in one mean."""
    path = run.score(KEY, LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame, path, {**piece.tags, "signature": "metric:toy|toolib:9"})

    assert f"{path} belongs to other work: its signature is 'metric:toy|toolib:9'" in _refusal(run)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_flipped_byte_is_damage(run: RunDir, at: float):
    """Wherever the byte lies, the file is named as damaged."""
    path = run.generation(LLAMA.id, 1, N_SHARDS)
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    path.write_bytes(data)

    refusal = _refusal(run)

    assert f"{path} is damaged" in refusal


def test_a_file_cut_short_is_damage(run: RunDir):
    """So is a file that ends too early."""
    path = run.score(KEY, LLAMA.id, 1, N_SHARDS)
    path.write_bytes(path.read_bytes()[:-100])

    assert f"{path} is damaged" in _refusal(run)


def test_scores_of_answers_that_have_changed_are_stale(run: RunDir):
    """New answers beside old scores are told by the units' digests."""
    rows = pl.read_parquet(run.examples)
    write_answers(run, LLAMA, rows, lambda c, i, s: f"new {i}", N_SHARDS)

    refusal = _refusal(run)

    path = run.score(KEY, LLAMA.id, 0, N_SHARDS)
    assert f"{path} is stale: unit 0 was scored from other answers" in refusal
    assert collect(run, spec(), partial=True).coverage[1].n_complete == 0


def test_missing_scores_are_told(run: RunDir):
    """Answers without a score are named by the folder where the scores should be."""
    run.score(KEY, LLAMA.id, 1, N_SHARDS).unlink()

    refusal = _refusal(run)

    assert f"{run.scores(KEY, LLAMA.id)} lacks 16 of 40 rows (examples sample-16" in refusal
    assert "1 problem" in refusal


def test_answers_where_scores_should_be_are_foreign(run: RunDir):
    """A file of the right condition but of the wrong kind has not the columns."""
    path = run.score(KEY, LLAMA.id, 1, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame.drop("words"), path, piece.tags)

    assert f"{path} has no column words" in _refusal(run)


def test_a_run_in_progress_is_reported_as_far_as_it_goes(tmp_path: Path):
    """Scores of the answers that are there count, though their unit will grow."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about)
    run.generation(LLAMA.id, 1, N_SHARDS).unlink()
    for path in store.list_pieces(run.scores(KEY, LLAMA.id)):
        path.unlink()
    write_scores(run, LLAMA, KEY, Toy(), N_SHARDS)

    (coverage,) = collect(run, about, partial=True).coverage

    assert (coverage.n_expected, coverage.n_answered, coverage.n_complete) == (40, 26, 26)


def test_an_empty_run_lists_ten_problems_and_counts_the_rest(tmp_path: Path):
    """The message stays readable where everything is missing."""
    run = RunDir(tmp_path)
    store.write_bytes(store.frame_bytes(examples()), run.examples)
    many = [replace(LLAMA, fingerprint=str(i)) for i in range(13)]

    with pytest.raises(Incomplete, match="and 3 more") as refused:
        collect(run, spec(*many))

    assert len(str(refused.value).splitlines()) == 13


def test_without_its_examples_a_run_proves_nothing(tmp_path: Path):
    """The frozen rows are what all else is compared with."""
    with pytest.raises(Damaged, match=r"examples\.parquet cannot be read"):
        collect(RunDir(tmp_path), spec())


def test_every_sample_of_every_example_is_expected(tmp_path: Path):
    """Several answers an example are told apart by their number."""
    sampled = condition("llama", "LLaMA", decoding=Decoding("hot", sample=True, samples=3))
    run = make(tmp_path / "run", spec(sampled))
    path = run.generation(sampled.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame.filter(pl.col("sample") < 2), path, piece.tags)

    with pytest.raises(Incomplete, match=r"lacks 14 of 120 rows \(examples sample-0 \(sample 2\)"):
        collect(run, spec(sampled))


def test_empty_and_cut_answers_are_counted(tmp_path: Path):
    """What shows nothing is an empty answer of no words, whatever it consists of."""
    nothing = ("", " \n", "\u200b", "\ufeff\u2060", "\u200d\x00", "[SEP] </s>")
    run = make(
        tmp_path / "run",
        spec(LLAMA),
        lambda c, i, s: nothing[i] if i < len(nothing) else plain_answer(c, i, s),
    )

    found = collect(run, spec(LLAMA))

    (coverage,) = found.coverage
    assert (coverage.n_empty, coverage.n_cut, coverage.n_prompt_cut) == (6, 0, 0)
    empty = found.answers[LLAMA.id]["empty"]
    assert found.answers[LLAMA.id]["words"].filter(empty).to_list() == [0] * 6
    assert found.answers[LLAMA.id]["words"].filter(~empty).min() > 5


def test_texts_are_read_of_sound_rows_only(run: RunDir):
    """A text that stands in a damaged file is not shown."""
    path = run.generation(HUMAN.id, 0, N_SHARDS)
    path.write_bytes(path.read_bytes()[:50])

    found = collect(run, spec(), partial=True).texts(HUMAN.id, ["sample-0", "sample-2"])

    assert found["example"].to_list() == ["sample-2"]
    assert json.dumps(found["text"].to_list()) == json.dumps([plain_answer(HUMAN, 2, 0)])
