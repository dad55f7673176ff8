"""Batches of equally long prompts against one row at a time, and against data-set order.

All three go through the suite's own backend: 64 prompts of 10 to 600 tokens, uniformly drawn, 128
new tokens each, a random Llama of 58 million weights in float32 (in bfloat16 a processor without
instructions for it spends its time on conversions). One thread; tokens per second of CPU time,
which on an idle machine is the time on the clock and on a busy one is little disturbed by others.

    python -m tests.benchmarks.bench_generation
"""

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from empathy_core import backends
from empathy_core.backends import Request
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.tiny_models import TEXT, bpe_tokenizer

N_PROMPTS, BATCH, NEW_TOKENS = 64, 16, 128


def small_llama(folder: Path) -> ModelSpec:
    """Write a random Llama of 58 million weights to *folder*."""
    torch.manual_seed(0)
    words = bpe_tokenizer(template=None)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=512, intermediate_size=1536, num_hidden_layers=8,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=2048,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    print(
        f"{model.num_parameters() / 1e6:.0f} M weights, float32, {torch.get_num_threads()} thread"
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return ModelSpec("small", "Small", "hf", "decoder", str(folder))


def questions() -> list[Request]:
    """Return texts of 10 to 600 tokens, in no order."""
    words = bpe_tokenizer()
    ids = words(TEXT * 20, add_special_tokens=False)["input_ids"]
    lengths = random.Random(0)
    texts = [words.decode(ids[: lengths.randint(10, 600)]) for _ in range(N_PROMPTS)]
    return [Request(f"{i:02d}", 0, text) for i, text in enumerate(texts)]


@dataclass
class Tally:
    """New tokens of one way of batching, and the CPU time they took."""

    size: int
    n_tokens: int = 0
    seconds: float = 0.0

    def answer(self, backend: Any, condition: Condition, asked: Sequence[Request]) -> None:
        """Answer in batches of this size, in the order given."""
        started = time.process_time()
        for start in range(0, len(asked), self.size):
            answers = backend.answer(condition, asked[start : start + self.size])
            self.n_tokens += sum(answer.n_output_tokens for answer in answers)
        self.seconds += time.process_time() - started

    @property
    def rate(self) -> float:
        """New tokens per second of CPU time."""
        return self.n_tokens / self.seconds


def main() -> None:
    """Print the three rates and the two ratios.

    The three take turns, a batch each, so that what else the machine does meets all alike. One
    row at a time is by far the slowest and is measured on every fourth prompt by length.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = small_llama(Path(folder))
        backend = backends.load(model)
    decoding = Decoding(max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)
    condition = Condition(model, prompt("none"), decoding, block_size=BATCH)
    asked = questions()
    in_order = sorted(asked, key=lambda request: (len(request.context), request.example))
    warm_up = Condition(model, prompt("none"), Decoding(max_new_tokens=2))
    backend.answer(warm_up, asked[:2])
    ours, unsorted, single = Tally(BATCH), Tally(BATCH), Tally(1)
    for start in range(0, N_PROMPTS, BATCH):
        ours.answer(backend, condition, in_order[start : start + BATCH])
        unsorted.answer(backend, condition, asked[start : start + BATCH])
        single.answer(backend, condition, in_order[start + 2 : start + BATCH : 4])
    print(f"tokens/s: {ours.rate:.0f} by length, {unsorted.rate:.0f} in data-set order, "
          f"{single.rate:.0f} singly")  # fmt: skip
    print(f"generation-vs-single: {ours.rate / single.rate:.1f}x (asked 2.5x)")
    print(f"generation-vs-unsorted: {ours.rate / unsorted.rate:.1f}x (asked 1.3x)")


if __name__ == "__main__":
    main()
