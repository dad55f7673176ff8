"""What a rating costs beside a bare forward pass, and what a rubric read once a batch saves.

SmolLM2-135M-Instruct in float32 rates 16 answers in one batch: a rubric of about 400 tokens, a
message and a reply of about 150 together. One thread; seconds of CPU time, which on an idle machine
are those on the clock and on a busy one are little disturbed by others. The bare pass reads the
very same prompts in the very same batches, padded, nothing kept, logits of the last place alone;
the judge renders, encodes and reads its labels besides. Both are compared where the judge shares
nothing between rows; then the judge is compared with itself.

    python -m tests.benchmarks.bench_judge
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import torch

from empathy_core import rubrics
from empathy_core.backends import probabilities
from empathy_core.backends.current import CURRENT
from empathy_core.metrics._judge import Metric
from empathy_core.models import model
from empathy_core.rubrics.rendering import question_text
from empathy_core.rubrics.spec import Rubric
from tests.metric_rows import frame
from tests.tiny_models import TEXT

N_ROWS, BATCH, ROUNDS = 16, 16, 3
N_RUBRIC, N_RATED = 400, 150
NEVER = 10**9


def rubric_of(words: Any) -> Rubric:
    """Return a rubric whose question has about ``N_RUBRIC`` tokens, one dimension."""
    found = rubrics.rubric("emotionqueen")
    found = replace(found, dimensions=found.dimensions[:1])
    while len(words(question_text(found, found.dimensions[0]))["input_ids"]) < N_RUBRIC:
        found = replace(found, instruction=f"{found.instruction} Be exact and fair.")
    return found


def pairs(words: Any) -> pl.DataFrame:
    """Return messages and replies of about ``N_RATED`` tokens together, all different."""
    ids = words(TEXT * 4)["input_ids"]
    draws = np.random.default_rng(0)
    contexts, replies = [], []
    for _ in range(N_ROWS):
        n = N_RATED + int(draws.integers(-40, 41))
        start = int(draws.integers(0, 50))
        contexts.append(words.decode(ids[start : start + n // 3]).strip())
        replies.append(words.decode(ids[start + n // 3 : start + n]).strip())
    return frame(replies, ["-"] * N_ROWS, context=contexts)


def seconds(work: Callable[[], Any]) -> float:
    """Return how long something computes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def bare(judge: Any, prompts: Sequence[Sequence[int]]) -> None:
    """Read prompts in batches of like length, as anyone would."""
    order = sorted(prompts, key=len)
    with torch.inference_mode():
        for batch in (order[i : i + BATCH] for i in range(0, len(order), BATCH)):
            width = max(map(len, batch))
            ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in batch])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
            places = (mask.cumsum(1) - 1).clamp(min=0)
            judge(
                input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False,
                logits_to_keep=1,
            )  # fmt: skip


def main() -> None:
    """Run all three in turn, several times, and print the median of the ratios."""
    torch.set_num_threads(1)
    spec = model("smollm2_135m_instruct")
    backend: Any = CURRENT.get(spec)
    words = backend.text._tokenizer
    metric = Metric("smol", "Smol", spec, rubric_of(words), min_mass=0.0, batch_size=BATCH)
    rows = pairs(words)
    texts = list(rows.select("context", "text").iter_rows())
    prompts = [p.ids for p in metric._prompts.prompts(texts)]
    alone = patch.object(probabilities, "SHARED_TOKENS", NEVER)
    beside, saved = [], []
    for _ in range(ROUNDS):
        plain = seconds(lambda: bare(backend.model, prompts))
        with alone:
            unshared = seconds(lambda: metric.measure(rows, None))
        shared = seconds(lambda: metric.measure(rows, None))
        beside.append(unshared / plain)
        saved.append(unshared / shared)
    n_question = len(words(question_text(metric.rubric, metric.dimension))["input_ids"])
    n_rated = np.mean([len(words(c)["input_ids"]) + len(words(t)["input_ids"]) for c, t in texts])
    print(f"{N_ROWS} rows, rubric {n_question} tokens, message and reply {n_rated:.0f} on average")
    print(f"a shared rubric: {shared / N_ROWS:.3f} s of CPU time a rating")
    print(f"judge: {statistics.median(beside):.2f}x of a bare forward pass (asked at most 1.15x)")
    print(f"judge sharing: {statistics.median(saved):.1f}x (asked 2x)")


if __name__ == "__main__":
    main()
