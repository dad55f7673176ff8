"""METEOR: aligned words, by form, stem and synonym, and how much their order is torn apart.

Banerjee and Lavie (2005), https://aclanthology.org/W05-0909, by NLTK's own functions, which the
``evaluate`` library calls too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from empathy_core.bounds import Above0, Share
from empathy_core.metrics import _nltk_data as nltk_data
from empathy_core.metrics._parts import Remark, counted, ratio, signature, version
from empathy_core.metrics._several import Choice, greatest, of_rows
from empathy_core.metrics._tokens import (
    BySacrebleu,
    Stemmer,
    advice,
    misread,
    require_tokenizer,
    sacrebleu_tokenizer,
    tokenizer_version,
)
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read


@dataclass(frozen=True)
class Metric:
    """Mean of the rows' METEOR.

    Defaults are those of NLTK and ``evaluate``, which need two of NLTK's data packages, ``wordnet``
    and ``punkt_tab``, on every machine that scores. With ``synonyms = false`` and one of
    sacreBLEU's tokenizers nothing is needed. Words are compared in lower case; stems are English.

    An answer without a word scores 0. A row whose reference has none is unscored.

    Attributes:
        tokenizer: ``nltk`` splits at NLTK's sentences and words; others are sacreBLEU's.
        synonyms: Whether words with a common sense in WordNet match.
        data: Folder with NLTK's data packages; null means where NLTK looks for them.
        alpha: How much recall weighs beside precision.
        beta: How the penalty for torn order grows.
        gamma: The greatest such penalty.
        references: Of several references the ``best`` score counts (as in NLTK), or the ``mean``.
    """

    tokenizer: Literal["nltk"] | BySacrebleu = "nltk"
    synonyms: bool = True
    data: str | None = None
    alpha: Share = 0.9
    beta: Above0 = 3.0
    gamma: Share = 0.5
    references: Choice = "best"

    script_advice: ClassVar[str] = advice("meteor")
    why_unscored: ClassVar[Remark] = Remark("the reference holds no word")

    def __post_init__(self) -> None:
        if self.tokenizer != "nltk":
            require_tokenizer(self.tokenizer, "metrics.meteor.tokenizer")
        nltk_data.require(self._packages, self.data, "metrics.meteor")

    @property
    def columns(self) -> tuple[Column, ...]:
        """METEOR."""
        return (Column("meteor", "METEOR", least=0, most=1, ratio=(0, 2)),)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The score of one row; whether it is of a script without spaces; 1."""
        return ("meteor", "misread", "n")

    def signature(self) -> str:
        """Return the settings, and what stands in NLTK's data."""
        content = {p: nltk_data.digest_of(p, self.data) for p in self._packages}
        own = {} if self.tokenizer == "nltk" else tokenizer_version(self.tokenizer)
        return signature(
            nrefs=1, tok=self.tokenizer, stem="porter", synonyms=self.synonyms,
            alpha=f"{self.alpha:g}", beta=f"{self.beta:g}", gamma=f"{self.gamma:g}", agg="mean",
            scale="0-1", empty="0", norm=NORM, nltk=version("nltk"), **content, **own,
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: METEOR needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[tuple[list[str], bool]]:
        """Return the words of each reference, and whether its script has none for it."""
        return [(self._words(text), self.misreads(text)) for text in map(as_read, references)]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return the score of each row; unscored where the reference has no word."""
        known = Stemmer(), self._wordnet()
        found = []
        for text, (reference, odd) in zip(map(as_read, rows["text"]), state, strict=True):
            score = self._score(self._words(text), [reference], *known)
            row = [score, odd or self.misreads(text), 1]
            found.append(row if reference else [np.nan] * 3)
        return np.array(found, dtype=float).reshape(len(found), 3)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to the mean."""
        return ratio(sums[..., :1], sums[..., -1:])

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the score of the best reference."""
        return greatest(statistics)

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row by NLTK's ``meteor_score``, with its own stemmer and WordNet."""
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # has no stubs

        wordnet = nltk_data.wordnet(self.data) if self.synonyms else _NoWordNet()
        found = []
        for text, references in of_rows(rows):
            of = [words for words in map(self._words, references) if words]
            score = self._score(self._words(text), of, PorterStemmer(), wordnet) if of else np.nan
            found.append(score)
        return np.array(found, dtype=float).reshape(len(found), 1)

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say how many rows are of a script without spaces."""
        text = f"rows of scripts that its tokenizer ({self.tokenizer}) is not made for"
        return counted(Remark(text, int(sums[1]), self.script_advice))

    @property
    def _packages(self) -> tuple[str, ...]:
        words = ("punkt_tab",) if self.tokenizer == "nltk" else ()
        return (*words, "wordnet") if self.synonyms else words

    def _words(self, text: str) -> list[str]:
        if self.tokenizer == "nltk":
            return nltk_data.words(text, self.data)
        return str(sacrebleu_tokenizer(self.tokenizer)(text)).split()

    def _wordnet(self) -> Any:
        return _Synonyms(nltk_data.wordnet(self.data)) if self.synonyms else _NoWordNet()

    def _score(
        self, answer: list[str], references: list[list[str]], stemmer: Any, wordnet: Any
    ) -> float:
        from nltk.translate.meteor_score import (  # type: ignore[import-untyped]  # has no stubs
            meteor_score,
        )

        return float(
            meteor_score(
                references, answer, stemmer=stemmer, wordnet=wordnet,
                alpha=self.alpha, beta=self.beta, gamma=self.gamma,
            )
        )  # fmt: skip

    def misreads(self, text: str) -> bool:
        """Tell whether a text is of a script without words for the tokenizer."""
        return misread(text, "none" if self.tokenizer == "nltk" else self.tokenizer)


class _NoWordNet:
    """A WordNet without an entry."""

    def synsets(self, word: str) -> tuple[Any, ...]:  # noqa: ARG002 - NLTK's
        """Return no sense of *word*."""
        return ()


class _Synonyms:
    """WordNet that remembers what it found for a word."""

    def __init__(self, wordnet: Any) -> None:
        self.synsets = lru_cache(maxsize=2**14)(wordnet.synsets)
