"""BLEU as the paper has it: 13a tokens, up to 4-grams, unsmoothed, on a scale of 0 to 1.

Papineni et al. (2002), https://aclanthology.org/P02-1040. Tokens and n-grams are sacreBLEU's;
the corpus score comes from summed counts, so that any subset of rows has its own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._parts import ratio, signature, version
from empathy_core.types import Column

ORDER = 4
"""Longest n-gram."""

Counts = tuple[Counter[tuple[str, ...]], int]
"""All n-grams of a text, and its length in tokens."""


@dataclass(frozen=True)
class Metric:
    """Corpus BLEU, and two numbers that explain it. An empty answer counts, with no n-gram."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """BLEU, brevity penalty, and tokens of the answers over tokens of the references."""
        return (
            Column("bleu", "BLEU", main=True, least=0, most=1),
            Column("brevity_penalty", "Brevity penalty", better=None, least=0, most=1),
            Column("length_ratio", "Length ratio (tokens)", better=None, least=0, ratio=(0, 1)),
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """Lengths in tokens, matched and possible n-grams by order, and rows."""
        orders = range(1, ORDER + 1)
        matched, possible = [f"matched{n}" for n in orders], [f"possible{n}" for n in orders]
        return ("answer_tokens", "reference_tokens", *matched, *possible, "n")

    def signature(self) -> str:
        """Return the settings in sacreBLEU's own words."""
        return signature(
            nrefs=1, case="mixed", eff="no", tok="13a", smooth="none", scale="0-1", empty="counted",
            sacrebleu=version("sacrebleu"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: BLEU needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[Counts]:
        """Count the n-grams of each reference."""
        return [_counts(text) for text in references]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return lengths and n-gram counts of each row; none is unscored."""
        pairs = zip(rows["text"], state, strict=True)
        found = [_matches(_counts(text), reference) for text, reference in pairs]
        return np.array(found, dtype=float).reshape(len(found), len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to BLEU; 0 where no n-gram of some order matches."""
        answer, reference, *counts, n = np.moveaxis(np.asarray(sums, float), -1, 0)
        matched, possible = counts[:ORDER], counts[ORDER:]
        with np.errstate(divide="ignore", invalid="ignore"):
            penalty = np.exp(np.minimum(0.0, 1 - reference / answer))
            # the fourth root of a product, as two square roots: faster than logarithms
            bleu = penalty * np.sqrt(np.sqrt(_product(matched) / _product(possible)))
        if not answer.all():
            penalty = np.where(answer > 0, penalty, np.where(reference > 0, 0.0, 1.0))
        if not possible[-1].all():
            bleu = np.where(_product(matched) > 0, bleu, 0.0)  # nothing is possible
        scores = np.stack([bleu, penalty, ratio(answer, reference)])
        if not n.all():
            scores[:, n <= 0] = np.nan
        return np.moveaxis(scores, 0, -1)

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row as a corpus of one by ``sacrebleu.corpus_bleu``."""
        from sacrebleu import corpus_bleu

        found = []
        for text, reference in rows.select("text", "reference").iter_rows():
            bleu = corpus_bleu([text], [[reference]], smooth_method="none")
            length = bleu.sys_len / bleu.ref_len if bleu.ref_len else np.nan
            found.append((bleu.score / 100, bleu.bp, length))
        return np.array(found, dtype=float).reshape(len(found), len(self.columns))


def _product(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the product over orders; of a billion tokens it is 1e36."""
    first, second, third, fourth = counts
    return np.asarray(first * second * third * fourth)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="13a").tokenizer


def _counts(text: str) -> Counts:
    """Tokenise as ``BLEU`` does, which strips the end of a line first."""
    from sacrebleu.metrics.helpers import extract_all_word_ngrams

    ngrams, length = extract_all_word_ngrams(_tokenizer()(text.rstrip()), 1, ORDER)
    return ngrams, length


def _matches(answer: Counts, reference: Counts) -> list[int]:
    """Return the statistics of one row; a match counts at most as often as the reference has it."""
    (ngrams, length), (wanted, reference_length) = answer, reference
    matched, possible = [0] * ORDER, [0] * ORDER
    for ngram, count in ngrams.items():
        possible[len(ngram) - 1] += count
        matched[len(ngram) - 1] += min(count, wanted.get(ngram, 0))
    return [length, reference_length, *matched, *possible, 1]
