"""Schedules and batches: every row once, the same from the same seed, padding by position."""

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from empathy_core import models
from empathy_core.prompts import prompt
from empathy_core.training.loop.batches import collate, pad_token, schedule
from empathy_core.training.spec import IGNORED, FinetuneSpec, TrainingRow

SPEC = FinetuneSpec(
    "tune", "Tune", models.model("smollm2_135m_instruct"), prompt("none"), chat=True
)
BATCHINGS = st.sampled_from(["length", "shuffled"])


def flat(steps: list[list[list[int]]]) -> list[int]:
    """Return the rows of an epoch in order."""
    return [row for step in steps for batch in step for row in batch]


@given(
    lengths=st.lists(st.integers(1, 2000), max_size=300),
    micro_batch=st.integers(1, 5),
    micro_batches=st.integers(1, 5),
    batching=BATCHINGS,
    seed=st.integers(-(2**40), 2**70),
    epoch=st.integers(0, 5),
)
def test_each_row_is_there_once(
    lengths: list[int], micro_batch: int, micro_batches: int, batching: Any, seed: int, epoch: int
) -> None:
    """An epoch holds every row once, in full steps but for one, in micro-batches of the size."""
    size = micro_batch * micro_batches
    spec = replace(SPEC, batch_size=size, micro_batch=micro_batch, batching=batching, seed=seed)
    steps = schedule(lengths, spec, epoch)
    assert sorted(flat(steps)) == list(range(len(lengths)))
    sizes = sorted(sum(map(len, step)) for step in steps)
    full, rest = divmod(len(lengths), size)
    assert sizes == sorted([size] * full + ([rest] if rest else []))
    for step in steps:
        assert all(len(batch) == micro_batch for batch in step[:-1])
        assert 0 < len(step[-1]) <= micro_batch


@given(batching=BATCHINGS, seed=st.integers(0, 2**32), epoch=st.integers(0, 9))
def test_the_order_is_that_of_seed_and_epoch(batching: Any, seed: int, epoch: int) -> None:
    """The same seed and epoch give the same, another of either gives another."""
    lengths = [17 * i % 101 for i in range(60)]
    spec = replace(SPEC, batch_size=8, micro_batch=4, batching=batching, seed=seed)
    first = schedule(lengths, spec, epoch)
    assert schedule(lengths, spec, epoch) == first
    assert schedule(lengths, spec, epoch + 1) != first
    assert schedule(lengths, replace(spec, seed=seed + 1), epoch) != first


def test_no_global_random_state_is_touched() -> None:
    """Neither read nor written: the same with any state, which is left as it was."""

    def states() -> list[Any]:
        numpys: Any = np.random.get_state()
        return [random.getstate(), numpys[1].tolist(), torch.get_rng_state().tolist()]

    before = states()
    first = schedule([3, 1, 2] * 20, SPEC, 0)
    assert states() == before
    random.seed(1)
    np.random.seed(1)
    assert schedule([3, 1, 2] * 20, SPEC, 0) == first


def test_an_order_by_eye() -> None:
    """The order is the same on every machine: numbers that must never move."""
    spec = replace(SPEC, batch_size=4, micro_batch=2, seed=0)
    lengths = list(range(10))
    assert schedule(lengths, spec, 0) == [[[3, 4], [5, 8]], [[6, 7]], [[0, 1], [2, 9]]]
    shuffled = replace(spec, batching="shuffled")
    assert flat(schedule(lengths, shuffled, 0)) == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]


def padding(lengths: list[int], steps: list[list[list[int]]]) -> float:
    """Return the share of padding in all batches."""
    cells = sum(len(batch) * max(lengths[i] for i in batch) for step in steps for batch in step)
    return 1 - sum(lengths) / cells


def test_length_batches_hold_little_padding() -> None:
    """Grouping by length leaves a small part of the padding that shuffled batches have."""
    draw = random.Random(0)
    lengths = [int(draw.lognormvariate(5.3, 0.6)) + 60 for _ in range(525)]
    spec = replace(SPEC, batch_size=16, micro_batch=4)
    grouped = padding(lengths, schedule(lengths, spec, 0))
    shuffled = padding(lengths, schedule(lengths, replace(spec, batching="shuffled"), 0))
    assert grouped < 0.05
    assert shuffled > 0.2


def test_neighbours_change_between_epochs() -> None:
    """Few rows meet the same rows again, though they are sorted: groups are drawn anew."""
    lengths = list(range(525))
    spec = replace(SPEC, batch_size=16, micro_batch=4)
    epochs = [{tuple(b) for s in schedule(lengths, spec, e) for b in s} for e in (0, 1)]
    assert len(epochs[0] & epochs[1]) < 5


# ---------------------------------------------------------------------------- batches


def row(ids: tuple[int, ...], labels: tuple[int, ...]) -> TrainingRow:
    """Return a row."""
    return TrainingRow("a", ids, labels, 1)


def test_a_decoders_batch_by_eye() -> None:
    """Padding stands on the right; a label that is the pad token keeps its place."""
    rows = [row((5, 6, 2), (IGNORED, 6, 2)), row((7, 2, 8, 9, 2), (IGNORED, 2, 8, 9, 2))]
    batch = collate(rows, 2, encoder_decoder=False)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[5, 6, 2, 2, 2], [7, 2, 8, 9, 2]],
        "attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
        "labels": [[IGNORED, 6, 2, IGNORED, IGNORED], [IGNORED, 2, 8, 9, 2]],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_an_encoder_decoders_batch_by_eye() -> None:
    """Labels have a width of their own, and the decoder reads its start and all but the last."""
    rows = [
        replace(row((5, 6, 1), (8, 1)), start=3), replace(row((7, 1), (8, 9, 7, 1)), start=3)
    ]  # fmt: skip
    batch = collate(rows, 0, encoder_decoder=True)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[5, 6, 1], [7, 1, 0]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "labels": [[8, 1, IGNORED, IGNORED], [8, 9, 7, 1]],
        "decoder_input_ids": [[3, 8, 0, 0], [3, 8, 9, 7]],
    }


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=12),
        min_size=1, max_size=6,
    ),
    st.integers(0, 9),
)  # fmt: skip
def test_batches_hold_exactly_the_rows(cells: list[list[tuple[int, bool]]], pad: int) -> None:
    """Whatever the ids and the pad token: what the mask shows is the row, the rest is ignored."""
    rows = [
        row(tuple(i for i, _ in each), tuple(i if seen else IGNORED for i, seen in each))
        for each in cells
    ]
    batch = collate(rows, pad, encoder_decoder=False)
    for i, each in enumerate(rows):
        shown = batch["attention_mask"][i].bool()
        assert tuple(batch["input_ids"][i][shown].tolist()) == each.input_ids
        assert tuple(batch["labels"][i][shown].tolist()) == each.labels
        assert set(batch["labels"][i][~shown].tolist()) <= {IGNORED}
        assert set(batch["input_ids"][i][~shown].tolist()) <= {pad}


def test_no_rows_make_an_empty_batch() -> None:
    """Nothing is raised."""
    assert collate([], 0, encoder_decoder=True)["labels"].shape == (0, 0)


# pad, unk, bos, eos, stops → expected
PADS = [
    (2, None, 0, 1, (1, 5), 2),  # its own
    (2, 0, 1, 2, (2,), 0),  # SmolLM2: its own is its end, so the unknown character's
    (2, 0, 1, 2, (), 2),
    (None, None, 0, 1, (1, 5), 0),  # none: the beginning of a text
    (None, 7, 7, 7, (7,), 0),  # GPT-2 has one special token, which ends: any other does
    (0, 0, 0, 0, (0,), 0),  # nothing else is there
    (None, 100, 0, 1, (1,), 0),  # invented by the tokenizer: the model has no such row
    (100, 101, None, 7, (1,), 7),
]


@pytest.mark.parametrize(("pad", "unk", "bos", "eos", "stops", "expected"), PADS)
def test_the_pad_token_is_no_stop_if_it_can_be(
    pad: int | None, unk: int | None, bos: int | None, eos: int | None,
    stops: tuple[int, ...], expected: int,
) -> None:  # fmt: skip
    """The tokenizer's own pad unless it ends answers or has no embedding; then one that may."""
    tokenizer = SimpleNamespace(
        pad_token_id=pad, unk_token_id=unk, bos_token_id=bos, eos_token_id=eos
    )
    assert pad_token(tokenizer, stops, 100) == expected
