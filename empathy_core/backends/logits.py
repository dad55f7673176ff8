"""Changes to the logits of a batch that depend on each row alone.

They are handed to transformers' ``generate`` and called with ``input_ids`` of shape (rows,
tokens so far) and ``scores`` of shape (rows, vocabulary). What a neighbour is, how long its
prompt is and how the batch is padded changes nothing for a row.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Processor = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True, slots=True)
class NoiseKey:
    """What the noise of one sampled answer is drawn from."""

    seed: int
    example: str
    sample: int

    def gumbel(self, step: int, size: int) -> np.ndarray:
        """Return standard Gumbel noise of shape (size,) for one step of the answer.

        Philox is a counter-based generator: the stream of a key and a step is found without
        drawing the ones before, and is the same on every machine.
        """
        digest = hashlib.sha256(f"{self.seed}|{self.sample}|{self.example}".encode()).digest()
        key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
        bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, step], dtype=np.uint64))
        waiting = np.random.Generator(bits).standard_exponential(size)
        return np.asarray(-np.log(waiting))  # -log of an exponential is Gumbel


class GumbelNoise:
    """Adds noise, so that the largest sum is a sample of the softmax of the scores.

    The Gumbel-max trick: Gumbel (1954); Maddison, Tarlow & Minka, "A* Sampling" (2014).
    """

    def __init__(self, keys: Sequence[NoiseKey], start: int) -> None:
        """Take one key a row; *start* is the length of ``input_ids`` before the first step."""
        self._keys, self._start = keys, start

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Return the scores plus the noise of this step."""
        import torch

        step, size = input_ids.shape[1] - self._start, scores.shape[1]
        noise = np.stack([key.gumbel(step, size) for key in self._keys])
        return scores.double() + torch.from_numpy(noise).to(scores.device)


class Unpadded:
    """Applies a processor to each row without its padding.

    A repetition penalty would else punish the padding token, which is often the end token: short
    prompts would go on for longer the longer their neighbours are.
    """

    def __init__(self, processor: Processor, n_padding: Sequence[int]) -> None:
        self._processor, self._n_padding = processor, n_padding

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Return the scores as each row alone would have them."""
        import torch

        rows = [
            self._processor(input_ids[i : i + 1, n:], scores[i : i + 1])
            for i, n in enumerate(self._n_padding)
        ]
        return torch.cat(rows)


class NanWatch:
    """Remembers whether a score was not a number: the most probable token would mean nothing."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":  # noqa: ARG002  # the protocol's
        """Return the scores as they are."""
        found = scores.isnan().any()
        self._seen = found if self._seen is None else self._seen | found
        return scores

    @property
    def seen(self) -> bool:
        """Whether there was one; waits for the accelerator, hence asked once a batch."""
        return self._seen is not None and bool(self._seen)
