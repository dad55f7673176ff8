"""chrF and chrF++: F-scores of character n-grams, and of word n-grams beside them.

Popović (2015), https://aclanthology.org/W15-3049, and (2017), https://aclanthology.org/W17-4770.
n-grams are sacreBLEU's; the corpus score comes from summed counts, as there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core.bounds import NotNegative, Positive
from empathy_core.metrics._parts import Remark, ratio, signature, version
from empathy_core.metrics._several import of_rows
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read

Ngrams = list[Counter[str]]
"""The n-grams of a text by order: of characters from 1 on, then of words."""


@dataclass(frozen=True)
class Metric:
    """Corpus chrF on a scale of 0 to 1.

    It needs no tokenizer, so that it serves scripts without spaces too (there with
    ``word_order = 0``). An empty answer counts, with no n-gram. A row whose reference is empty is
    unscored.

    Attributes:
        char_order: Longest n-gram of characters.
        word_order: Longest n-gram of words: 0 is chrF, 2 is chrF++.
        beta: How much recall weighs beside precision.
        lowercase: Whether case does not matter.
        whitespace: Whether spaces are characters.
    """

    char_order: Positive = 6
    word_order: NotNegative = 0
    beta: Positive = 2
    lowercase: bool = False
    whitespace: bool = False

    references: ClassVar[str] = "best"
    why_unscored: ClassVar[Remark] = Remark("the reference is empty")

    @property
    def columns(self) -> tuple[Column, ...]:
        """ChrF; a plus for each order of words."""
        return (Column("chrf", f"chrF{'+' * self.word_order}", least=0, most=1),)

    @property
    def statistics(self) -> tuple[str, ...]:
        """n-grams of the answers, of the references, and common ones, each by order; rows."""
        orders = range(1, self._order + 1)
        kinds = ("answer", "reference", "matched")
        return (*(f"{kind}{n}" for kind in kinds for n in orders), "n")

    def signature(self) -> str:
        """Return the settings in sacreBLEU's own words."""
        return signature(
            nrefs=1, case="lc" if self.lowercase else "mixed", eff="yes", nc=self.char_order,
            nw=self.word_order, space=self.whitespace, beta=self.beta, scale="0-1",
            empty="counted", norm=NORM, sacrebleu=version("sacrebleu"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: chrF needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[Ngrams]:
        """Count the n-grams of each reference."""
        return [self._ngrams(text) for text in references]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return the counts of each row; unscored where the reference is empty."""
        answers = {text: self._ngrams(text) for text in dict.fromkeys(rows["text"])}
        pairs = zip(rows["text"], state, strict=True)
        found = [self._row(answers[text], reference) for text, reference in pairs]
        return np.array(found, dtype=float).reshape(len(found), len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to chrF: F of precision and recall, each a mean over orders.

        Of the orders that both the answers and the references have an n-gram of.
        """
        sums = np.asarray(sums, float)
        counts = sums[..., :-1].reshape(*sums.shape[:-1], 3, self._order)
        answer, reference, matched = (counts[..., i, :] for i in range(3))
        both = (answer > 0) & (reference > 0)
        n_orders = np.maximum(both.sum(axis=-1), 1)
        precision, recall = (
            np.where(both, matched / np.maximum(of, 1), 0.0).sum(axis=-1) / n_orders
            for of in (answer, reference)
        )
        weight = self.beta**2
        chrf = ratio((1 + weight) * precision * recall, weight * precision + recall)
        chrf = np.where(precision + recall > 0, chrf, 0.0)
        return np.asarray(np.where(sums[..., -1] > 0, chrf, np.nan)[..., None])

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the counts against the reference of the best chrF, as sacreBLEU does."""
        return np.asarray(statistics[self.score(statistics)[:, 0].argmax()])

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row as a corpus of one by ``sacrebleu``; NaN where it cannot be scored."""
        library = self._library()
        found = []
        for text, references in of_rows(rows):
            score = library.corpus_score([text], [[of] for of in references]).score / 100
            found.append(score if any(references) else np.nan)
        return np.array(found, dtype=float).reshape(len(found), 1)

    @property
    def _order(self) -> int:
        return self.char_order + self.word_order

    def _library(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(
            self.char_order, self.word_order, self.beta, self.lowercase, self.whitespace
        )  # fmt: skip

    def _ngrams(self, text: str) -> Ngrams:
        """Count n-grams as ``CHRF`` does: signs at a word's edge are words of their own."""
        from sacrebleu.metrics.helpers import extract_all_char_ngrams, extract_word_ngrams

        text = as_read(text)
        text = text.lower() if self.lowercase else text
        found: Ngrams = extract_all_char_ngrams(text, self.char_order, self.whitespace)
        if self.word_order:
            words = self._library()._remove_punctuation(text)
            found += [extract_word_ngrams(words, n + 1) for n in range(self.word_order)]
        return found

    def _row(self, answer: Ngrams, reference: Ngrams) -> list[float]:
        """Return the statistics of one row; an order that the reference lacks counts nothing."""
        if not reference[0]:
            return [np.nan] * len(self.statistics)
        pairs = list(zip(answer, reference, strict=True))
        return [
            *(of.total() if there else 0 for of, there in pairs),
            *(there.total() for _, there in pairs),
            *(sum(min(n, there[k]) for k, n in of.items() if k in there) for of, there in pairs),
            1,
        ]
