"""Rows for the tests of the statistics: means, clusters, and texts with their BLEU."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl

import empathy_core
from empathy_core import metrics
from empathy_core.stats import Resampler

SAMPLE = Path(empathy_core.__file__).parent / "data" / "sample.jsonl"
BLEU = metrics.load("bleu", {})
ALONE = Resampler.by(range(100))


def mean(sums: np.ndarray) -> np.ndarray:
    """Reduce sums of values and a number of rows to means."""
    return sums[..., :-1] / sums[..., -1:]


def rows(values: np.ndarray) -> np.ndarray:
    """Return the statistics of a mean of values (rows,) or of several (rows, columns)."""
    return np.column_stack([values, np.ones(len(values))])


def clustered(random: np.random.Generator, n_clusters: int) -> np.ndarray:
    """Return cluster labels, one to five rows each."""
    return np.repeat(np.arange(n_clusters), random.integers(1, 6, n_clusters))


def texts(n: int, *kept: float) -> tuple[list[str], list[list[str]]]:
    """Return *n* answers of the sample that ships, and systems that come near them.

    A system says a sentence of the answer with the chance *kept*, else a sentence of another
    answer, and leaves out one word in ten.
    """
    random = np.random.default_rng(7)
    answers = [json.loads(line)["response"] for line in SAMPLE.read_text().splitlines()]
    split = [re.split(r"(?<=[.!?])\s+", text) for text in answers]
    everything = [sentence for sentences in split for sentence in sentences]
    chosen = random.integers(len(answers), size=n)

    def system(chance: float) -> list[str]:
        told = []
        for i in chosen:
            said = [s if random.random() < chance else random.choice(everything) for s in split[i]]
            words = " ".join(said).split()
            told.append(" ".join(word for word in words if random.random() < 0.9))
        return told

    return [" ".join(split[i]) for i in chosen], [system(chance) for chance in kept]


def bleu_rows(answers: list[str], references: list[str]) -> np.ndarray:
    """Return the statistics of BLEU: shape (rows, 11)."""
    frame = pl.DataFrame({"text": answers, "reference": references})
    return BLEU.measure(frame, BLEU.reference_state(references))
