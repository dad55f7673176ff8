"""ROUGE-1, ROUGE-2 and ROUGE-L as ``rouge_score`` has them, several times faster.

Lin (2004), https://aclanthology.org/W04-1013. Tokens are those of ``rouge_score`` itself; the
longest common subsequence, nearly all of its time, is found by rapidfuzz's compiled code.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._parts import as_means, means, signature, version
from empathy_core.types import Column

ROUGES = (("rouge1", "ROUGE-1"), ("rouge2", "ROUGE-2"), ("rougeL", "ROUGE-L"))
FOREIGN = -1
"""Stands for every token of an answer that its reference does not have."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference's tokens as numbers, from 0 in order of appearance."""

    numbers: dict[str, int]
    tokens: list[int]
    unigrams: Counter[int]
    bigrams: Counter[tuple[int, int]]


@dataclass(frozen=True)
class Metric:
    """Mean of the rows' ROUGE; precision and recall beside F, since long answers win recall.

    Attributes:
        use_stemmer: Porter-stem words of more than three letters (evaluate's default: no).
    """

    use_stemmer: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """F of each, then precision and recall of each."""
        main = [Column(name, label, main=True, least=0, most=1) for name, label in ROUGES]
        parts = [
            Column(f"{name}_{part}", f"{label} {part}", least=0, most=1)
            for name, label in ROUGES
            for part in ("precision", "recall")
        ]
        return as_means([*main, *parts])

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row, and 1."""
        return (*(c.name for c in self.columns), "n")

    def signature(self) -> str:
        """Return the settings and the version of the tokenizer's library."""
        stem = f"porter-nltk-{version('nltk')}" if self.use_stemmer else "no"
        return signature(
            nrefs=1, stem=stem, lsum="no", agg="mean", scale="0-1", empty="0",
            rouge_score=version("rouge_score"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: ROUGE needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[_Reference]:
        """Tokenise and count each reference."""
        tokenize = _tokenizer(self.use_stemmer)
        return [_reference(tokenize(text)) for text in references]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return F, precision and recall of each row; none is unscored, an empty answer is 0."""
        tokenize = _tokenizer(self.use_stemmer)
        pairs = zip(rows["text"], state, strict=True)
        found = [_overlaps(tokenize(text), reference) for text, reference in pairs]
        overlap, answer, reference = np.array(found, dtype=float).reshape(-1, 3, 3).swapaxes(0, 1)
        return _scores(overlap, answer, reference)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums, len(self.columns))

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row by ``rouge_score.RougeScorer``."""
        from rouge_score.rouge_scorer import RougeScorer

        names = [name for name, _ in ROUGES]
        scorer = RougeScorer(names, use_stemmer=self.use_stemmer)
        found = []
        for text, reference in rows.select("text", "reference").iter_rows():
            by_name = scorer.score(reference, text)
            three = [by_name[name] for name in names]
            parts = [x for s in three for x in (s.precision, s.recall)]
            found.append([*(s.fmeasure for s in three), *parts])
        return np.array(found, dtype=float).reshape(len(found), len(self.columns))


class _Stemmer:
    """Porter's stemmer that remembers words; ``rouge_score`` asks it for ``stem``."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # has no stubs

        self.stem = lru_cache(maxsize=2**16)(PorterStemmer().stem)


_WORDS = re.compile("[a-z0-9]+")


@lru_cache(maxsize=2)
def _tokenizer(use_stemmer: bool) -> Callable[[str], list[str]]:
    """Return ``rouge_score.tokenize.tokenize``, or, without stems, one expression equal to it.

    It replaces what is not a letter or digit by blanks, splits at blanks, and checks each token.
    """
    if not use_stemmer:
        return lambda text: _WORDS.findall(text.lower())
    from rouge_score.tokenize import tokenize

    stemmer = _Stemmer()
    return lambda text: tokenize(text, stemmer)


def _reference(tokens: Sequence[str]) -> _Reference:
    numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    coded = [numbers[token] for token in tokens]
    return _Reference(numbers, coded, Counter(coded), Counter(pairwise(coded)))


def _overlaps(tokens: Sequence[str], reference: _Reference) -> list[list[int]]:
    """Return common, answer's and reference's units, each for unigrams, bigrams, subsequence."""
    from rapidfuzz.distance import LCSseq

    get = reference.numbers.get
    coded = [get(token, FOREIGN) for token in tokens]
    bigrams = Counter(pairwise(coded))
    common = [
        (Counter(coded) & reference.unigrams).total(),
        (bigrams & reference.bigrams).total(),
        LCSseq.similarity(coded, reference.tokens),
    ]
    return [common, *(_units(len(text)) for text in (coded, reference.tokens))]


def _units(length: int) -> list[int]:
    return [length, max(length - 1, 0), length]


def _scores(overlap: np.ndarray, answer: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return statistics from counts of shape (rows, 3), rounded as ``rouge_score`` rounds."""
    precision, recall = overlap / np.maximum(answer, 1), overlap / np.maximum(reference, 1)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    parts = np.stack([precision, recall], axis=-1).reshape(len(f), 2 * len(ROUGES))
    return np.hstack([f, parts, np.ones((len(f), 1))])
