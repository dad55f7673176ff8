"""ROUGE-1/2/L of 1,000 pairs of about 160 words, against ``rouge_score``.

Prints ``rouge: <speed-up>x (asked 15x)``; fails unless both give the same numbers to 1e-12.
"""

import gzip
import io
import random
import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl

from empathy_core.metrics.rouge import Metric

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
PAIRS, WORDS, ROUNDS = 1000, 160, 3


def texts() -> list[str]:
    """Return real answers where the data is at hand, else random words of an English kind."""
    path = SHARED / "counsel-chat" / "amod_like_3512.csv.gz"
    if path.exists():
        return (
            pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())))["Response"]
            .drop_nulls()
            .to_list()
        )
    draw = random.Random(0)
    words = [f"w{n}" for n in range(2000)]
    weights = [1 / (n + 1) for n in range(2000)]  # Zipf's law
    return [" ".join(draw.choices(words, weights, k=WORDS)) for _ in range(2 * PAIRS)]


def pairs() -> pl.DataFrame:
    """Return answers against other answers, of the asked length on average."""
    near = sorted(set(texts()), key=lambda t: (abs(len(t.split()) - WORDS), t))[: 2 * PAIRS]
    random.Random(1).shuffle(near)
    half = len(near) // 2
    return pl.DataFrame({"text": near[:half], "reference": near[half : 2 * half]})


def main() -> None:
    """Run both in turn, several times, and print the median of the ratios."""
    rows, metric, ratios = pairs(), Metric(), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours = metric.measure(rows, metric.reference_state(rows["reference"].to_list()))
        middle = time.perf_counter()
        theirs = metric.recheck(rows)
        end = time.perf_counter()
        scores = metric.score(ours)
        if not np.allclose(scores, theirs, rtol=0, atol=1e-12, equal_nan=True):
            msg = f"ROUGE differs from rouge_score by {np.nanmax(np.abs(scores - theirs)):.1e}"
            raise SystemExit(msg)
        ratios.append((end - middle) / (middle - start))
    words = np.mean([len(t.split()) for t in (*rows["text"], *rows["reference"])])
    print(f"{rows.height} pairs of {words:.0f} words on average, equal to 1e-12")
    print(f"rouge: {statistics.median(ratios):.1f}x (asked 15x)")


if __name__ == "__main__":
    main()
