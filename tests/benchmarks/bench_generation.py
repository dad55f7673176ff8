"""Generation by blocks sorted by length, against one row at a time and against data-set order.

All three go through the same backend and the same random Llama (56 M parameters, float32, on the
CPU or a GPU), on prompts of lengths uniform in 10 to 600 tokens, 128 new tokens each. The single
rows are an eighth of the prompts, drawn evenly by length: the rate is what is compared.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from transformers import LlamaConfig, LlamaForCausalLM

from empathy_core.backends import BackendProtocol, Request, load
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from tests.tiny_models import bpe_tokenizer

Rate = np.ndarray
"""New tokens and seconds, shape (2,)."""

N_PROMPTS, BLOCK, NEW_TOKENS = 64, 16, 128
DECODING = Decoding(max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)


def model(folder: Path) -> tuple[ModelSpec, list[str]]:
    """Write a random Llama to *folder*; return it and prompts of known lengths in tokens."""
    tokenizer = bpe_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=640, intermediate_size=2560, num_hidden_layers=8,
        num_attention_heads=10, num_key_value_heads=10, max_position_embeddings=1024,
        bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    seed = random.Random(0)
    words = tokenizer("I have not slept well since my father died and I feel alone " * 60).input_ids
    lengths = [seed.randint(10, 600) for _ in range(N_PROMPTS)]
    texts = [tokenizer.decode(words[1 : n + 1]) for n in lengths]
    return ModelSpec("bench", "Bench", "hf", "decoder", weights=str(folder)), texts


def timed(backend: BackendProtocol, condition: Condition, block: Sequence[str]) -> Rate:
    """Generate one batch; return its new tokens and seconds."""
    requests = [Request(str(i), 0, text) for i, text in enumerate(block)]
    started = time.perf_counter()
    n_tokens = sum(a.n_output_tokens for a in backend.answer(condition, requests))
    return np.array([n_tokens, time.perf_counter() - started])


def cut(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return *texts* in blocks."""
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def main() -> None:
    """Print both ratios."""
    with tempfile.TemporaryDirectory() as name:
        spec, texts = model(Path(name))
        backend = load(spec, "error")
        condition = Condition(spec, Prompt("none", "No Prompt", "{context}", ()), DECODING)
        by_length = sorted(texts, key=len)
        timed(backend, condition, by_length[:2])  # the first call is slower than the others
        ways = (cut(by_length, BLOCK), cut(texts, BLOCK), cut(by_length[::8], 2))
        sums = np.zeros((3, 2))
        for sorted_block, data_block, rows in zip(*ways, strict=True):  # in turn: noise hits all
            sums[0] += timed(backend, condition, sorted_block)
            sums[1] += timed(backend, condition, data_block)
            sums[2] += sum(timed(backend, condition, [row]) for row in rows)
    blocks, unsorted, single = sums[:, 0] / sums[:, 1]
    print(f"tokens/s: blocks {blocks:.0f}, data-set order {unsorted:.0f}, one by one {single:.0f}")
    print(f"generation-vs-single: {blocks / single:.1f}x (asked 2.5x)")
    print(f"generation-vs-unsorted: {blocks / unsorted:.2f}x (asked 1.3x)")


if __name__ == "__main__":
    main()
