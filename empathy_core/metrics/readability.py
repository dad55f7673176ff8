"""How hard an answer is to read: the Flesch-Kincaid grade, in school years of the United States.

Kincaid, Fishburne, Rogers and Chissom (1975), https://apps.dtic.mil/sti/citations/ADA006655. The
formula is for English; its syllables are counted by rules here, since dictionaries lack words.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._parts import Remark, counted, means, signature
from empathy_core.metrics._tokens import misread
from empathy_core.types import Column, digest
from empathy_core.visible import NORM, as_read

GROUP = "Readability"
PER_SENTENCE, PER_WORD, LESS = 0.39, 11.8, 15.59
"""The formula: 0.39 words a sentence + 11.8 syllables a word - 15.59."""

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
"""Letters, with apostrophes inside; numbers are no words, and a hyphen parts two."""
SENTENCE_END = re.compile(r"(?:[.!?\u2026]+[\"'\u201d\u2019)\]*]*(?=\s|$))|\n+")
"""Signs that end a sentence before a space or the end; the end of a line ends one too."""
ABBREVIATION = re.compile(r"\b(?:mr|mrs|ms|dr|st|vs|etc|e\.g|i\.e|[a-z])\.(?=\s+\S)", re.IGNORECASE)
"""A dot that ends no sentence, and the single letters of initials."""

_VOWELS = re.compile("[aeiouy]+")
_SILENT = re.compile(
    r"(?<=[^aeiouy])e$|(?<=q)ues?$"  # care, unique; table is put back below
    r"|(?<=[^aeiouytd])ed$|(?<=[^aeiouyscgzxh])es$|(?<=th)es$"  # liked, likes, but not wanted
    r"|(?<=ev)e(?=ry)|(?<=[^aeiouy])e(?='s$)"
    r"|(?<=[^aeiouy])e(?=(?:ly|ful|fully|less|lessly|ness|ments?|things?|times?|what|where|body|"
    r"ones?|hold|works?)$)"  # hopeful, something
)
"""An e that is not heard."""
_MORE = re.compile(
    r"[^aeiouyrlw]le[sd]?$|(?<=[dsntlk])n't|sms?$"  # table, didn't, optimism
    r"|(?<![tscxg])(?<!hav)i(?=[aou](?!ge))|(?<=[^aeiouyqg])u(?=[ao])"  # anxious, usually
    r"|(?<!p)eo(?=[^u])|(?<=[dr])eas?$|cre(?=at[ei])|reac(?=t)|rea(?=li)"  # idea, create
    r"|[aeouy]i(?=ng)|(?<![tc])i(?=e(?:t|nc|nt(?!d)|r$|rs$|st$))"  # being, quiet
    r"|(?<![qg])ui(?=[ct])|y(?=ones?\b)"  # suicide, anyone
)
"""A syllable without a vowel of its own, and neighbouring vowels that are two of them."""


@dataclass(frozen=True)
class Metric:
    """Means of the rows' grade, words a sentence and syllables a word.

    An answer without a word has 0 of each and is counted. The formula knows English alone: of
    texts in other languages the numbers mean nothing.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """The grade, and the two numbers that it is made of."""
        shared: dict[str, Any] = {"better": None, "group": GROUP}
        return (
            Column("grade", "Flesch-Kincaid grade", decimals=1, ratio=(0, 5), **shared),
            Column("sentence_words", "Words a sentence", decimals=1, ratio=(1, 5), least=0,
                   **shared),
            Column("word_syllables", "Syllables a word", decimals=2, ratio=(2, 5), least=0,
                   **shared),
        )  # fmt: skip

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row; rows without a word, and of other scripts; rows."""
        return ("grade", "sentence_words", "word_syllables", "no_word", "misread", "n")

    def signature(self) -> str:
        """Return the formula, and a digest of the rules that count."""
        patterns = (WORD, SENTENCE_END, ABBREVIATION, _VOWELS, _SILENT, _MORE)
        return signature(
            formula=f"{PER_SENTENCE}w/s+{PER_WORD}y/w-{LESS}", agg="mean", lang="en", empty="0",
            rules=digest([pattern.pattern for pattern in patterns], 8), norm=NORM,
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: a grade needs no reference."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:  # noqa: ARG002 - the protocol's
        """Return null: a grade needs no reference."""
        return

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002 - see above
        """Return the numbers of each row; none is unscored."""
        found = [_row(as_read(text)) for text in rows["text"]]
        return np.array(found, dtype=float).reshape(len(found), len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums, len(self.columns))

    def recheck(self, rows: pl.DataFrame) -> None:  # noqa: ARG002 - the protocol's
        """Return null: the rules that count syllables are ours."""
        return

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say how many rows have nothing that the formula is for."""
        of = dict(zip(self.statistics, sums.tolist(), strict=True))
        return counted(
            Remark("answers without a word, whose grade counts as 0", int(of["no_word"])),
            Remark("answers in scripts that the formula, made for English, knows nothing of",
                   int(of["misread"])),
        )  # fmt: skip


def sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence that has one."""
    ends = SENTENCE_END.split(ABBREVIATION.sub(lambda dot: dot.group()[:-1], text))
    return [found for found in map(WORD.findall, ends) if found]


@lru_cache(maxsize=2**16)
def syllables(word: str) -> int:
    """Return how many syllables an English word has, by rules; at least one."""
    word = word.casefold().replace("\u2019", "'")
    plain = unicodedata.normalize("NFKD", word)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    heard = len(_VOWELS.findall(plain)) - len(_SILENT.findall(word))  # the \u00e9 of caf\u00e9 is
    return max(1, heard + len(_MORE.findall(plain)))


def grade(n_sentences: int, n_words: int, n_syllables: int) -> float:
    """Return the school year that a text of these counts is for."""
    per_sentence, per_word = n_words / n_sentences, n_syllables / n_words
    return PER_SENTENCE * per_sentence + PER_WORD * per_word - LESS


def _row(text: str) -> list[float]:
    found = sentences(text)
    odd = misread(text, "rouge_score")
    if not found:
        return [0, 0, 0, True, odd, 1]
    n_words = sum(map(len, found))
    n_syllables = sum(syllables(word) for sentence in found for word in sentence)
    years = grade(len(found), n_words, n_syllables)
    return [years, n_words / len(found), n_syllables / n_words, False, odd, 1]
