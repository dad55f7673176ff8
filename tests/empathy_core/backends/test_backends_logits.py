"""Noise and penalties row by row: the right distribution, whoever sits beside."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from empathy_core.backends.logits import GumbelNoise, NanWatch, NoiseKey, Unpadded

LOGITS = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0, -2.0]])
N_DRAWS = 20_000


def drawn(scores: torch.Tensor, step: int) -> np.ndarray:
    """Return how often each token is the largest, over many examples at one step."""
    keys = [NoiseKey(0, f"example-{i}", 0) for i in range(N_DRAWS)]
    ids = torch.zeros((N_DRAWS, 4 + step), dtype=torch.long)
    noisy = GumbelNoise(keys, start=4)(ids, scores.expand(N_DRAWS, -1))
    return np.bincount(noisy.argmax(1).numpy(), minlength=scores.shape[1])


@pytest.mark.parametrize("step", [0, 1, 200])
def test_largest_noisy_score_is_a_sample_of_the_softmax(step: int) -> None:
    """Frequencies over 20,000 keys agree with the softmax by a chi-square test."""
    expected = LOGITS.double().softmax(1).numpy()[0] * N_DRAWS
    assert chisquare(drawn(LOGITS, step), expected).pvalue > 0.01


def test_steps_of_one_answer_are_independent() -> None:
    """Successive tokens of one key fill the table of pairs as chance would."""
    key = NoiseKey(1, "a", 0)
    steps = np.stack([key.gumbel(step, 3) for step in range(N_DRAWS)]).argmax(1)
    pairs = np.bincount(steps[:-1] * 3 + steps[1:], minlength=9)
    assert chisquare(pairs).pvalue > 0.01


def test_top_p_leaves_nothing_outside_the_nucleus() -> None:
    """What a warper has ruled out stays out, and the rest is the renormalised softmax."""
    scores = TopPLogitsWarper(0.8)(torch.zeros((1, 1), dtype=torch.long), LOGITS)
    kept = scores[0] > -torch.inf
    found = drawn(scores, 0)
    assert 1 < int(kept.sum()) < LOGITS.shape[1]
    assert found[~kept.numpy()].sum() == 0
    expected = scores.double().softmax(1).numpy()[0][kept.numpy()] * N_DRAWS
    assert chisquare(found[kept.numpy()], expected).pvalue > 0.01


def test_noise_of_a_row_does_not_depend_on_the_batch() -> None:
    """Alone, among others, in another place and after longer padding: the same numbers."""
    a, b = NoiseKey(0, "a", 0), NoiseKey(0, "b", 1)
    alone = GumbelNoise([a], start=3)(torch.zeros((1, 5), dtype=torch.long), LOGITS)
    both = GumbelNoise([b, a], start=9)(
        torch.zeros((2, 11), dtype=torch.long), LOGITS.expand(2, -1)
    )
    assert torch.equal(alone[0], both[1])
    assert not torch.equal(both[0], both[1])


def test_noise_is_pinned() -> None:
    """The stream of a key is part of the text's identity and must not drift between releases."""
    found = NoiseKey(0, "example", 0).gumbel(0, 3)
    assert found == pytest.approx(PINNED, abs=1e-12)


PINNED = [0.71803836611617, 0.9467771797756, 5.48234717248805]


def test_penalty_sees_no_padding() -> None:
    """A padded row gets what the processor alone gives it without its padding."""
    penalty = RepetitionPenaltyLogitsProcessor(2.0)
    ids = torch.tensor([[0, 0, 3, 4], [1, 2, 3, 4]])
    found = Unpadded(penalty, [2, 0])(ids, LOGITS.repeat(2, 1))
    assert torch.equal(found[:1], penalty(ids[:1, 2:], LOGITS))
    assert torch.equal(found[1:], penalty(ids[1:], LOGITS))
    assert found[0, 0] == LOGITS[0, 0]


def test_nan_is_remembered() -> None:
    """One not-a-number at any step is enough; infinities are no fault."""
    watch, ids = NanWatch(), torch.zeros((1, 1), dtype=torch.long)
    assert not watch.seen
    watch(ids, torch.tensor([[0.0, -torch.inf]]))
    assert not watch.seen
    watch(ids, torch.tensor([[0.0, torch.nan]]))
    watch(ids, LOGITS)
    assert watch.seen
