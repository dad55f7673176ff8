"""Whether answers repeat themselves, and each other: distinct n-grams and self-BLEU.

Li et al. (2016), https://aclanthology.org/N16-1014, for distinct-n; Zhu et al. (2018),
https://arxiv.org/abs/1802.01886, for self-BLEU. Both compare the answers of one condition with
each other: all of them, however the rows are dealt to tasks. (Scores of earlier versions, whose
signature says so, are of groups of 8 blocks.)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core.metrics import bleu
from empathy_core.metrics._parts import Remark, counted, ratio, signature, version
from empathy_core.metrics._tokens import (
    BySacrebleu,
    advice,
    misread,
    require_tokenizer,
    sacrebleu_tokenizer,
    tokenizer_version,
)
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read

DISTINCT = 3
"""Longest n-gram of distinct-n."""
GROUP = "Diversity"

Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as it is counted.

    Attributes:
        question: Its context: answers to one question are not compared.
        ngrams: Up to BLEU's order.
        length: In tokens.
        misread: Whether it is of a script that the tokenizer is not made for.
    """

    question: str
    ngrams: Counter[Ngram]
    length: int
    misread: bool


@dataclass(frozen=True)
class Metric:
    """Shares of distinct n-grams, in an answer and among all answers of a condition; self-BLEU.

    Distinct-n falls as texts become longer or more: compare answers of like length to the same
    questions. An n-gram that stands *k* times among the answers counts as 1 / *k* in each place, so
    that their sum is the number of distinct ones and every row has its share. Equal answers to
    equal questions count once: *m* rows that share one count as 1 / *m* each. Self-BLEU is BLEU of
    each answer with all answers to other questions as references.

    Attributes:
        tokenizer: sacreBLEU's name of it; ``zh`` or ``char`` for scripts without spaces.
    """

    tokenizer: BySacrebleu = "13a"

    script_advice: ClassVar[str] = advice("diversity")

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenizer, "metrics.diversity.tokenizer")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Distinct-1 to 3 in an answer, among all answers, and self-BLEU."""
        shared: dict[str, Any] = {"better": None, "group": GROUP, "least": 0, "most": 1}
        orders = range(1, DISTINCT + 1)
        own = [Column(f"distinct{n}", f"Distinct-{n} in an answer", ratio=(n - 1, n - 1 + DISTINCT),
                      **shared) for n in orders]  # fmt: skip
        among = [Column(f"group_distinct{n}", f"Distinct-{n} among answers",
                        ratio=(n - 1 + 2 * DISTINCT, n - 1 + DISTINCT), **shared)
                 for n in orders]  # fmt: skip
        return (*own, *among, Column("self_bleu", "Self-BLEU", **shared))

    @property
    def statistics(self) -> tuple[str, ...]:
        """By order: distinct n-grams of the answer, all, its share of the distinct ones among all.

        Then BLEU's counts against the other answers; rows with no other; of other scripts; rows.
        """
        kinds, orders = ("distinct", "ngrams", "share"), range(1, DISTINCT + 1)
        of_bleu = [f"{kind}{n}" for kind in ("matched", "possible") for n in range(1, 5)]
        return (
            *(f"{kind}{n}" for kind in kinds for n in orders),
            "answer_tokens", "reference_tokens", *of_bleu, "alone", "misread", "n",
        )  # fmt: skip

    def signature(self) -> str:
        """Return the tokens, and what is compared."""
        return signature(
            distinct=f"1-{DISTINCT}", selfbleu=f"1-{bleu.ORDER},others,closest",
            group="corpus", case="mixed", tok=self.tokenizer, smooth="none",
            scale="0-1", empty="counted", norm=NORM, sacrebleu=version("sacrebleu"),
            **tokenizer_version(self.tokenizer),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: answers are compared with each other alone."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:  # noqa: ARG002 - the protocol's
        """Return null: answers are compared with each other alone."""
        return

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002 - see above
        """Return the counts of each row; *rows* are all of a condition. None is unscored."""
        texts = zip(rows["context"], map(as_read, rows["text"]), strict=True)
        keys = list(texts)
        answers = {key: self._answer(*key) for key in dict.fromkeys(keys)}
        counts = Counter[Ngram]()
        for answer in answers.values():  # the sum of many counters would copy all of them each time
            counts.update(answer.ngrams)
        others = _Others(list(answers.values()))
        times = Counter(keys)
        found = {key: _row(answer, counts, others, times[key]) for key, answer in answers.items()}
        return np.array([found[key] for key in keys], float).reshape(-1, len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to shares and to BLEU; NaN where there is no n-gram, or no other answer."""
        sums = np.asarray(sums, float)
        distinct, ngrams, share = (
            sums[..., i * DISTINCT : (i + 1) * DISTINCT] for i in range(3)
        )  # fmt: skip
        counts = sums[..., 3 * DISTINCT : 3 * DISTINCT + 2 + 2 * bleu.ORDER]
        rest = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (*sums.shape[:-1], 4))  # each could match
        compared = sums[..., -1:] - sums[..., -3:-2]
        self_bleu = bleu.Metric().score(np.concatenate([counts, rest, compared], axis=-1))
        return np.concatenate(
            [ratio(distinct, ngrams), ratio(share, ngrams), self_bleu[..., :1]], axis=-1
        )

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Count each answer's n-grams by NLTK; of all answers single rows tell nothing: NaN."""
        from nltk.util import ngrams  # type: ignore[import-untyped]  # has no stubs

        found = np.full((rows.height, len(self.columns)), np.nan)
        for i, text in enumerate(rows["text"]):
            tokens = sacrebleu_tokenizer(self.tokenizer)(as_read(text).rstrip()).split()
            for n in range(1, DISTINCT + 1):
                every = list(ngrams(tokens, n))
                found[i, n - 1] = len(set(every)) / len(every) if every else np.nan
        return found

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say how many rows have no answer to compare with, or are of other scripts."""
        text = f"answers of scripts that its tokenizer ({self.tokenizer}) is not made for"
        return counted(
            Remark("answers without another to compare with, left out of self-BLEU", int(sums[-3])),
            Remark(text, int(sums[-2]), self.script_advice),
        )

    def misreads(self, text: str) -> bool:
        """Tell whether a text is of a script that the tokenizer is not made for."""
        return misread(text, self.tokenizer)

    def _answer(self, question: str, text: str) -> _Answer:
        from sacrebleu.metrics.helpers import extract_all_word_ngrams

        tokens = sacrebleu_tokenizer(self.tokenizer)(text.rstrip())
        ngrams, length = extract_all_word_ngrams(tokens, 1, bleu.ORDER)
        return _Answer(question, ngrams, length, self.misreads(text))


class _Others:
    """All answers, as each of them is compared with those to other questions.

    Attributes:
        most: n-gram → its greatest count in an answer, the question of that answer, and its
            greatest count in answers to other questions than that.
        lengths: Length → how many answers have it; empty answers are left out.
        own: (Length, question) → how many answers to it have it.
    """

    def __init__(self, answers: Sequence[_Answer]) -> None:
        self.most: dict[Ngram, tuple[int, str, int]] = {}
        there = [answer for answer in answers if answer.length]
        self.lengths = Counter(answer.length for answer in there)
        self.own = Counter((answer.length, answer.question) for answer in there)
        for answer in answers:
            for ngram, count in answer.ngrams.items():
                self._add(ngram, count, answer.question)

    def _add(self, ngram: Ngram, count: int, question: str) -> None:
        best, of, second = self.most.get(ngram, (0, question, 0))
        if question == of:
            self.most[ngram] = max(best, count), of, second
        elif count > best:
            self.most[ngram] = count, question, best
        elif count > second:
            self.most[ngram] = best, of, count

    def count(self, ngram: Ngram, question: str) -> int:
        """Return the greatest count of an n-gram in an answer to another question."""
        best, of, second = self.most[ngram]
        return second if of == question else best

    def closest(self, length: int, question: str) -> int | None:
        """Return the length nearest to *length*, the shorter of two; null if there is no other."""
        others = (n for n, times in self.lengths.items() if times > self.own[n, question])
        return min(others, key=lambda n: (abs(n - length), n), default=None)


def _row(answer: _Answer, counts: Mapping[Ngram, int], others: _Others, times: int) -> list[float]:
    """Return the statistics of one of *times* rows that share an answer."""
    distinct, every, share = [0] * DISTINCT, [0] * DISTINCT, [0.0] * DISTINCT
    matched, possible = [0] * bleu.ORDER, [0] * bleu.ORDER
    reference = others.closest(answer.length, answer.question)
    for ngram, count in answer.ngrams.items():
        n = len(ngram) - 1
        if n < DISTINCT:
            distinct[n] += 1
            every[n] += count
            share[n] += count / counts[ngram]
        if reference is not None:
            possible[n] += count
            matched[n] += min(count, others.count(ngram, answer.question))
    alone = reference is None
    lengths = [0, 0] if reference is None else [answer.length, reference]
    counted_once = [*distinct, *every, *share, *lengths, *matched, *possible]
    return [*(number / times for number in counted_once), alone, answer.misread, 1]
