"""What goes wrong with answers: shares of rows that show a fault of model or pipeline.

None of these is a judgement of content; each is a rule that a reader can check by eye.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._parts import ratio, row_share, signature
from empathy_core.types import Column, digest
from empathy_core.visible import NORM, nothing_visible
from empathy_core.visible import SPECIAL as SPELLED

ECHO_MIN_QUESTION_WORDS = 8  # a shorter question may be quoted by chance
ECHO_QUESTION_SHARE = 0.5
ECHO_MIN_ANSWER_WORDS = 5  # "I am not sure" stands in many a question
ECHO_ANSWER_SHARE = 0.8
ECHO_MAX_WORDS = 2000  # the search takes time as the product of both lengths
REPEAT_MIN_WORDS = 20
REPEAT_NGRAM = 4
REPEAT_DISTINCT_SHARE = 0.5
REPEAT_SENTENCES = 3
REPEAT_MIN_SENTENCE_WORDS = 3  # "No. No. No." is a way to speak
NOISE_RUN = 5  # equal signs other than . ! ?
NOISE_MIXED_RUN = 8  # signs, not all of them . ! ?
NOISE_MILD_RUN = 16  # . ! ?, of which counsellors write up to nine

SPECIAL = re.compile(SPELLED + r"|\u0120(?=\w)")  # the space as byte-level BPE writes it
"""Spellings of special tokens and of unjoined word pieces."""

_SIGN = r"[!-/:-@\[-`{-~]"  # ASCII punctuation: five equal emoji are no fault
NOISE = re.compile(
    rf"(?![.!?])({_SIGN})\1{{{NOISE_RUN - 1},}}"  # =====
    rf"|(?![.!?]{{{NOISE_MIXED_RUN}}}){_SIGN}{{{NOISE_MIXED_RUN},}}"  # "}}],{{[:];"
    rf"|[.!?]{{{NOISE_MILD_RUN},}}"
    r"|\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"  # what a wrong decoding of bytes leaves
)
"""Signs that come from a fault rather than from a writer."""

_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?\n]+")


@dataclass(frozen=True)
class Metric:
    """Shares of rows that are faulty, each by one rule.

    - ``empty``: nothing is visible (``visible.nothing_visible``). Such an answer has no other fault
      than ``special_tokens`` and ``cut_short``.
    - ``echo``: the answer repeats its prompt. Either a run of at least half of the question's
      words (of a question of more than 8) stands in it, or at least 80 % of its words (and 5) are
      one run of the prompt. Compared casefolded, without punctuation, the first 2,000 words.
    - ``cut_short``: generation stopped at the token limit. Of the rows that tell (not of texts
      made elsewhere).
    - ``repetition``: of 20 words or more, and less than half of its 4-grams are distinct; or one
      sentence or line of 3 words or more stands in it three times.
    - ``special_tokens``: a special token was generated before the end, or its spelling leaked.
    - ``noise``: 5 equal signs in a row (=====), 8 mixed ones, 16 of ``.!?``, a replacement or a
      control character.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """The shares, in the order above."""
        labels = (
            ("empty", "Empty"), ("echo", "Echo of the prompt"), ("cut_short", "At the token limit"),
            ("repetition", "Repetition"), ("special_tokens", "Special tokens"), ("noise", "Noise"),
        )  # fmt: skip
        shares = [row_share(name, label, "Diagnostics") for name, label in labels]
        stops = len(shares)  # which of the rows tell why they stopped, and then all rows
        return tuple(
            replace(c, ratio=(i, stops if c.name == "cut_short" else stops + 1))
            for i, c in enumerate(shares)
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """One flag a column, rows that tell why they stopped, rows."""
        return (*(c.name for c in self.columns), "n_stops", "n")

    def signature(self) -> str:
        """Return every threshold."""
        patterns = digest([SPECIAL.pattern, NOISE.pattern, _WORD.pattern, _SENTENCE_END.pattern], 8)
        return signature(
            echo=f"q>{ECHO_MIN_QUESTION_WORDS}w*{ECHO_QUESTION_SHARE},"
            f"a>={ECHO_MIN_ANSWER_WORDS}w*{ECHO_ANSWER_SHARE},max{ECHO_MAX_WORDS}w",
            repeat=f">={REPEAT_MIN_WORDS}w,distinct{REPEAT_NGRAM}<{REPEAT_DISTINCT_SHARE},"
            f"{REPEAT_SENTENCES}xsentence>={REPEAT_MIN_SENTENCE_WORDS}w",
            noise=f"run{NOISE_RUN},mixed{NOISE_MIXED_RUN},mild{NOISE_MILD_RUN}",
            patterns=patterns, norm=NORM,
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: faults are seen without references."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:  # noqa: ARG002 - the protocol's
        """Return null: faults are seen without references."""
        return

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002 - see above
        """Return flags of each row; none is unscored."""
        found = [_flags(row) for row in rows.iter_rows(named=True)]
        return np.array(found, dtype=float).reshape(len(found), len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to shares; ``cut_short`` is NaN where no row tells why it stopped."""
        below = np.repeat(sums[..., -1:], len(self.columns), axis=-1)
        below[..., self.statistics.index("cut_short")] = sums[..., -2]
        return ratio(sums[..., : len(self.columns)], below)

    def recheck(self, rows: pl.DataFrame) -> None:  # noqa: ARG002 - the protocol's
        """Return null: these rules are ours."""
        return


def _flags(row: dict[str, Any]) -> list[bool]:
    text, stop = row["text"], row["stop"]
    empty = nothing_visible(text)
    return [
        empty,
        not empty and echoes(text, row["prompt"], row["context"]),
        stop == "length",
        not empty and repeats(text),
        row["n_special_tokens"] > 0 or SPECIAL.search(text) is not None,
        not empty and NOISE.search(text) is not None,
        stop != "none",
        True,
    ]


def echoes(text: str, prompt: str, question: str) -> bool:
    """Tell whether *text* repeats most of the question, or consists of the prompt's words."""
    answer, asked = _words(text), _words(question)
    consists = len(answer) >= ECHO_MIN_ANSWER_WORDS and (
        _common_run(answer, _words(prompt)) >= ECHO_ANSWER_SHARE * len(answer)
    )
    return consists or (
        len(asked) > ECHO_MIN_QUESTION_WORDS
        and _common_run(answer, asked) >= ECHO_QUESTION_SHARE * len(asked)
    )


def repeats(text: str) -> bool:
    """Tell whether *text* goes in circles."""
    words = _words(text)
    ngrams = list(zip(*(words[i:] for i in range(REPEAT_NGRAM)), strict=False))
    if len(words) >= REPEAT_MIN_WORDS and len(set(ngrams)) < REPEAT_DISTINCT_SHARE * len(ngrams):
        return True
    sentences = (tuple(_words(s)) for s in _SENTENCE_END.split(text))
    counts = Counter(s for s in sentences if len(s) >= REPEAT_MIN_SENTENCE_WORDS)
    return max(counts.values(), default=0) >= REPEAT_SENTENCES


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def _common_run(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length in words of the longest run that stands in both."""
    left, right = left[:ECHO_MAX_WORDS], right[:ECHO_MAX_WORDS]
    return SequenceMatcher(None, left, right, autojunk=False).find_longest_match().size
