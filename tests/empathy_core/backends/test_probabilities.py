"""Probabilities of labels: those of plain forward passes, whatever stands beside them."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.backends.probabilities import (
    LabelProbabilities,
    check_labels,
    label_probabilities,
)
from empathy_core.errors import ModelError
from tests.zoo_models import FAMILIES, random_model

N_TOKENS = 60
LABELS = ((5,), (6, 7), (6, 8, 9), (10, 11), (12, 13, 14, 15))
BEGINNING = tuple(3 + i % 50 for i in range(40))
"""Longer than gemma2's window, and than what is read again for each row."""
ALIKE = tuple((*BEGINNING, *(16 + i * i % 40 for i in range(n))) for n in (1, 70, 90))
"""Prompts that begin alike, one padded by less than they share, one by more, one not at all."""
UNLIKE = ((20,), (21, 22, 23), tuple(range(3, 40)), (21, 22, 23))


def start_of(family: str) -> tuple[int, ...]:
    """Return what the decoder of an encoder-decoder begins with."""
    return (1,) if FAMILIES[family].architecture != "decoder" else ()


def log_by_hand(
    model: Any, prompt: Sequence[int], label: Sequence[int], start: Sequence[int] = ()
) -> float:
    """Return the logarithm of a label's probability by one plain pass over all of its tokens."""
    if start:
        answer = torch.tensor([[*start, *label]])
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=answer).logits[0]
        first = len(start) - 1
    else:
        logits = model(input_ids=torch.tensor([[*prompt, *label]])).logits[0]
        first = len(prompt) - 1
    logs = torch.log(torch.softmax(logits.double(), 1))
    return sum(float(logs[first + k, token]) for k, token in enumerate(label))


@pytest.mark.parametrize("prompts", [ALIKE, UNLIKE], ids=["alike", "unlike"])
@pytest.mark.parametrize(
    "family",
    ["llama", "gpt2", "mistral", "gemma2", "bloom", "mpt", "opt", "gptj", "falcon", "mixtral",
     "mamba", "rwkv", "t5", "bart"],
)  # fmt: skip
def test_labels_are_as_probable_as_by_plain_passes(
    family: str, prompts: tuple[tuple[int, ...], ...]
) -> None:
    """In a batch with padding and shared beginnings, for decoders of all kinds and encoders."""
    model, start = random_model(family, N_TOKENS).eval(), start_of(family)
    found = label_probabilities(model, prompts, LABELS, decoder_input=start)
    with torch.inference_mode():
        logs = [[log_by_hand(model, p, label, start) for label in LABELS] for p in prompts]
    for row, expected in zip(found, logs, strict=True):
        mass = sum(map(math.exp, expected))
        assert row.labels == LABELS
        assert row.mass == pytest.approx(mass, rel=1e-3)
        assert 0 < row.mass <= 1
        by_hand = [math.exp(log) / mass for log in expected]
        assert row.probabilities == pytest.approx(by_hand, abs=1e-5)
        assert sum(row.probabilities) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "t5"])
def test_a_row_alone_is_the_same_as_in_a_batch(family: str) -> None:
    """Probabilities and mass to 1e-5 in float32, in any order and with any neighbour."""
    model, start = random_model(family, N_TOKENS).eval(), start_of(family)
    rows = (*ALIKE, *UNLIKE)
    batch = label_probabilities(model, ALIKE, LABELS, decoder_input=start)
    batch += label_probabilities(model, UNLIKE, LABELS, decoder_input=start)
    for prompt, in_batch in zip(rows, batch, strict=True):
        [alone] = label_probabilities(model, [prompt], LABELS, decoder_input=start)
        assert in_batch.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert in_batch.mass == pytest.approx(alone.mass, abs=1e-5)


def test_tokens_of_the_whole_vocabulary_are_its_softmax() -> None:
    """All single tokens together have all of the mass."""
    model = random_model("llama", N_TOKENS).eval()
    [found] = label_probabilities(model, [BEGINNING], [(i,) for i in range(N_TOKENS)])
    with torch.inference_mode():
        expected = model(torch.tensor([BEGINNING])).logits[0, -1].double().softmax(0)
    assert found.probabilities == pytest.approx(expected.tolist(), abs=1e-6)
    assert found.mass == pytest.approx(1, abs=1e-9)


def test_all_pairs_of_tokens_have_all_of_the_mass() -> None:
    """Labels of two tokens are exact: the sum over the second token is the first one's."""
    model = random_model("gpt2", 12).eval()
    labels = list(product(range(12), repeat=2))
    pairs = label_probabilities(model, [(3, 4, 5), (6,)], labels)
    firsts = label_probabilities(model, [(3, 4, 5), (6,)], [(i,) for i in range(12)])
    for pair, first in zip(pairs, firsts, strict=True):
        assert pair.mass == pytest.approx(1, abs=1e-9)
        of = dict(zip(labels, pair.probabilities, strict=True))
        sums = [sum(of[i, j] for j in range(12)) for i in range(12)]
        assert sums == pytest.approx(first.probabilities, abs=1e-6)


def test_a_shared_beginning_is_read_once_and_a_prompt_once() -> None:
    """Counted in tokens that the model reads."""
    model = random_model("llama", N_TOKENS).eval()
    n_read: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, given: n_read.append(given["input_ids"].numel()), with_kwargs=True
    )
    prompts = [(*BEGINNING, *(i,) * 4) for i in range(20, 30)]
    label_probabilities(model, [*prompts, *prompts], LABELS)
    hook.remove()
    # the beginning once, ten rests of four tokens, then ten times what is before a last token:
    # (6,) is the beginning of (6, 8) and read with it
    assert n_read == [40, 10 * 4, 10 * 2, 10 * 1, 10 * 3]


def test_the_decoder_may_begin_with_more_than_its_start() -> None:
    """As those of BART that are made to begin with a token of their own."""
    model = random_model("bart", N_TOKENS).eval()
    [found] = label_probabilities(model, [(20, 21)], LABELS, decoder_input=(1, 0))
    with torch.inference_mode():
        logs = [log_by_hand(model, (20, 21), label, (1, 0)) for label in LABELS]
    assert found.mass == pytest.approx(sum(map(math.exp, logs)), rel=1e-4)


def test_no_prompt_has_no_probabilities() -> None:
    assert label_probabilities(random_model("llama", N_TOKENS), [], LABELS) == []


# ---------------------------------------------------------------------------- normalising


def test_improbable_labels_keep_their_proportions() -> None:
    """Even where their probabilities are below the smallest number there is."""
    found = LabelProbabilities.of(((1,), (2,)), (-2000.0, -2000.0 - math.log(3)))
    assert found.probabilities == pytest.approx((0.75, 0.25), abs=1e-12)
    assert found.mass == 0


def test_an_impossible_label_has_no_probability() -> None:
    found = LabelProbabilities.of(((1,), (2,)), (-math.inf, math.log(0.2)))
    assert found.probabilities == (0, 1)
    assert found.mass == pytest.approx(0.2)
    none = LabelProbabilities.of(((1,), (2,)), (-math.inf, -math.inf))
    assert all(map(math.isnan, none.probabilities))
    assert none.mass == 0


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=9))
def test_the_mass_is_the_sum_and_never_above_one(weights: list[float]) -> None:
    total = math.fsum(weights)
    labels = tuple((i,) for i in range(len(weights)))
    found = LabelProbabilities.of(labels, [math.log(w / total) for w in weights])
    assert 1 - 1e-12 < found.mass <= 1
    assert found.probabilities == pytest.approx([w / total for w in weights], rel=1e-9)


def test_scores_that_are_not_numbers_are_an_error() -> None:
    """Of a model whose dtype overflows, for instance."""
    model = random_model("llama", N_TOKENS).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(math.nan)
    with pytest.raises(ModelError, match=r"not numbers \(NaN\); expected finite ones; use"):
        label_probabilities(model, [(5, 6)], LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "a label has no tokens"),
        ([(5,), ()], "a label has no tokens"),
        ([(5, 6), (7,), (5, 6)], r"tokens \[5, 6\] is there twice"),
        ([(5,), (5, 6)], r"tokens \[5\] is the beginning of \[5, 6\]"),
        ([(5, 6, 7), (5, 6)], r"tokens \[5, 6\] is the beginning of \[5, 6, 7\]"),
        ([(N_TOKENS,)], f"token {N_TOKENS}, but the model knows {N_TOKENS}"),
        ([(-1,)], f"token -1, but the model knows {N_TOKENS}"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(
    labels: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        label_probabilities(random_model("llama", N_TOKENS), [(5, 6)], labels)


def test_with_an_end_a_label_may_be_the_beginning_of_another() -> None:
    """Labels like "1" and "10" are two answers once both have ended."""
    check_labels([(5, 1), (5, 6, 1)], N_TOKENS)
    model = random_model("llama", N_TOKENS).eval()
    [found] = label_probabilities(model, [(20, 21)], [(5, 1), (5, 6, 1)])
    with torch.inference_mode():
        logs = [log_by_hand(model, (20, 21), label) for label in ((5, 1), (5, 6, 1))]
    assert found.mass == pytest.approx(sum(map(math.exp, logs)), rel=1e-4)
