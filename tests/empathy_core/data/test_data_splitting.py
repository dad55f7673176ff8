"""Splits and blocks: properties that hold whatever the data."""

import hashlib
import random
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import EvaluateSpec, splitting
from empathy_core.data.specs import SPLITS

FRACTIONS = (0.75, 0.125, 0.125)
clusters = st.lists(st.integers(1, 12), min_size=1, max_size=60)
seeds = st.integers(0, 2**31)


def _questions(sizes: list[int]) -> list[str]:
    return [f"q{i}" for i, size in enumerate(sizes) for _ in range(size)]


def _frame(sizes: list[int], seed: int = 0) -> pl.DataFrame:
    """Return rows whose questions are asked in one or two spellings of random length."""
    rng = random.Random(seed)
    rows = []
    for question in _questions(sizes):
        length = rng.randint(1, 5) if question not in {r[2] for r in rows} else 3
        rows.append((f"s-{len(rows):05d}", question + "x" * length, question))
    frame = pl.DataFrame(rows, schema=["id", "context", "question"], orient="row")
    return splitting.split(frame, "question", FRACTIONS, seed)


def test_the_papers_sizes_come_out():
    """6,292 rows at 75 / 12.5 / 12.5 give 4,719 rows to train on."""
    ids = [f"s-{i:05d}" for i in range(6292)]

    counts = Counter(splitting.by_row(ids, FRACTIONS, seed=0))

    assert counts == {"train": 4719, "validation": 787, "test": 786}


def test_a_split_is_the_same_on_every_machine():
    """Rows are ranked by the SHA-256 of purpose, seed and id, and nothing else."""
    ids = [f"s-{i:05d}" for i in range(40)]
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"row:3:{name}".encode()).digest())

    sides = dict(zip(ids, splitting.by_row(ids, FRACTIONS, seed=3), strict=True))

    assert [sides[name] for name in ranked] == ["train"] * 30 + ["validation"] * 5 + ["test"] * 5


@given(n=st.integers(1, 300), seed=seeds)
def test_rows_are_split_by_the_fractions(n: int, seed: int):
    """Each side has its share of the rows to within one row."""
    counts = Counter(splitting.by_row([f"s-{i}" for i in range(n)], FRACTIONS, seed))

    for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
        assert abs(counts[split] - fraction * n) <= 1


@given(sizes=clusters, seed=seeds)
def test_no_question_stands_on_two_sides(sizes: list[int], seed: int):
    """All rows of a question go to one side, and train and validation never overflow."""
    questions = _questions(sizes)

    sides = splitting.by_question(questions, FRACTIONS, seed)

    assert len(set(zip(questions, sides, strict=True))) == len(sizes)
    counts, room = Counter(sides), splitting.sizes(len(questions), FRACTIONS)
    assert counts["train"] <= room[0]
    assert counts["validation"] <= room[1]


@given(sizes=clusters, singles=st.integers(60, 200), seed=seeds)
def test_questions_with_one_row_make_the_sizes_exact(sizes: list[int], singles: int, seed: int):
    """Where enough questions have one answer, each side has exactly its share."""
    questions = _questions([s % 4 + 1 for s in sizes[:15]] + [1] * singles)

    counts = Counter(splitting.by_question(questions, FRACTIONS, seed))

    room = splitting.sizes(len(questions), FRACTIONS)
    assert abs(counts["train"] - room[0]) <= 4
    assert abs(counts["test"] - room[2]) <= 8


@pytest.mark.parametrize("protocol", ["row", "question"])
@given(sizes=clusters, seed=seeds)
def test_the_order_of_the_rows_changes_no_side(protocol: str, sizes: list[int], seed: int):
    """A shuffled file is split alike."""
    frame = _frame(sizes).drop("split")
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed % 1000)

    one = splitting.split(frame, protocol, FRACTIONS, seed)
    two = splitting.split(shuffled, protocol, FRACTIONS, seed)

    assert one.sort("id").equals(two.sort("id"))


@given(
    sizes=clusters,
    seed=seeds,
    limit=st.none() | st.integers(1, 80),
    unit=st.sampled_from(["row", "question"]),
)
def test_the_limit_counts_what_the_unit_says(
    sizes: list[int], seed: int, limit: int | None, unit: str
):
    """A limit draws that many rows, or that many questions with one row each, from the split."""
    frame = _frame(sizes)

    ids = splitting.evaluated(frame, EvaluateSpec("train", limit, unit, seed))

    chosen = frame.filter(pl.col("id").is_in(ids))
    there = frame.filter(pl.col("split") == "train")
    n = there.height if unit == "row" else there["question"].n_unique()
    assert len(ids) == len(set(ids)) == min(n, limit or n)
    assert set(chosen["split"]) <= {"train"}
    if unit == "question":
        assert chosen["question"].is_unique().all()


@given(sizes=clusters, seed=seeds, limit=st.integers(1, 40))
def test_a_larger_limit_keeps_the_rows_of_a_smaller_one(sizes: list[int], seed: int, limit: int):
    """The draw is one order, cut off by the limit."""
    frame = _frame(sizes)
    less = splitting.evaluated(frame, EvaluateSpec("all", limit, "row", seed))
    more = splitting.evaluated(frame, EvaluateSpec("all", limit + 5, "row", seed))

    assert more[: len(less)] == less


@given(sizes=clusters, seed=seeds, size=st.integers(1, 9))
def test_blocks_hold_whole_contexts_in_order_of_length(sizes: list[int], seed: int, size: int):
    """Every block but the last has its number of distinct contexts; no context is in two."""
    frame = _frame(sizes)
    ids = splitting.evaluated(frame, EvaluateSpec("all", 30, "row", seed))

    placed = splitting.in_blocks(frame, ids, size)

    rows = placed.head(len(ids))
    contexts = rows.group_by("block", maintain_order=True).agg(pl.col("context").n_unique())
    assert set(rows["id"]) == set(ids)
    assert rows["block"].to_list() == sorted(rows["block"])
    assert contexts["context"].to_list()[:-1] == [size] * (contexts.height - 1)
    assert (
        rows.group_by("context").agg(pl.col("block").n_unique())["block"].to_list()
        == [1] * rows["context"].n_unique()
    )
    lengths = rows["context"].str.len_chars().to_list()
    assert lengths == sorted(lengths)
    rest = placed.tail(frame.height - len(ids))
    assert rest["block"].null_count() == rest.height
    assert rest["id"].to_list() == sorted(rest["id"])


@given(sizes=clusters, seed=st.integers(0, 1000))
def test_blocks_do_not_depend_on_the_order_of_the_rows(sizes: list[int], seed: int):
    """The frozen frame of a shuffled file is the same, row for row."""
    frame = _frame(sizes)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    spec = EvaluateSpec("all", 20, "row", seed)

    one = splitting.in_blocks(frame, splitting.evaluated(frame, spec), 4)
    two = splitting.in_blocks(shuffled, splitting.evaluated(shuffled, spec), 4)

    assert one.equals(two)
