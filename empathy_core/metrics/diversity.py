"""Whether answers repeat themselves, and each other: distinct n-grams and self-BLEU.

Li et al. (2016), https://aclanthology.org/N16-1014, for distinct-n; Zhu et al. (2018),
https://arxiv.org/abs/1802.01886, for self-BLEU. Both compare the answers of one condition with
each other, but a metric sees one unit of rows at a time: 8 blocks, which are 128 questions unless
``evaluate.block_size`` says otherwise. That unit is the group here. It is fixed for the whole run
and the same for all conditions, so that they compare; a run of fewer questions is one group.
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
from empathy_core.store import UNIT_BLOCKS
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
    """Shares of distinct n-grams, in an answer and in a group of answers; self-BLEU.

    Distinct-n falls as texts become longer: compare answers of like length. An n-gram that stands
    *k* times in its group counts as 1 / *k* in each place, so that their sum is the number of
    distinct ones and every row has its share. Equal answers to equal questions count once.
    Self-BLEU is BLEU of each answer with all answers to other questions of its group as references.

    Attributes:
        tokenizer: sacreBLEU's name of it; ``zh`` or ``char`` for scripts without spaces.
    """

    tokenizer: BySacrebleu = "13a"

    script_advice: ClassVar[str] = advice("diversity")
    compares_answers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenizer, "metrics.diversity.tokenizer")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Distinct-1 to 3 in an answer, in a group, and self-BLEU."""
        shared: dict[str, Any] = {"better": None, "group": GROUP, "least": 0, "most": 1}
        orders = range(1, DISTINCT + 1)
        own = [Column(f"distinct{n}", f"Distinct-{n} in an answer", ratio=(n - 1, n - 1 + DISTINCT),
                      **shared) for n in orders]  # fmt: skip
        among = [Column(f"group_distinct{n}", f"Distinct-{n} in a group",
                        ratio=(n - 1 + 2 * DISTINCT, n - 1 + DISTINCT), **shared)
                 for n in orders]  # fmt: skip
        return (*own, *among, Column("self_bleu", "Self-BLEU", **shared))

    @property
    def statistics(self) -> tuple[str, ...]:
        """By order: distinct n-grams of the answer, all, its share of the group's distinct ones.

        Then BLEU's counts against the other answers; rows with no other; of other scripts; rows.
        """
        kinds, orders = ("distinct", "ngrams", "share"), range(1, DISTINCT + 1)
        of_bleu = [f"{kind}{n}" for kind in ("matched", "possible") for n in range(1, 5)]
        return (
            *(f"{kind}{n}" for kind in kinds for n in orders),
            "answer_tokens", "reference_tokens", *of_bleu, "alone", "misread", "n",
        )  # fmt: skip

    def signature(self) -> str:
        """Return the tokens, and what a group is."""
        return signature(
            distinct=f"1-{DISTINCT}", selfbleu=f"1-{bleu.ORDER},others-of-group,closest",
            group=f"unit-of-{UNIT_BLOCKS}-blocks", case="mixed", tok=self.tokenizer, smooth="none",
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
        """Return the counts of each row; *rows* are those of one unit. None is unscored."""
        texts = zip(rows["context"], map(as_read, rows["text"]), strict=True)
        keys = list(texts)
        answers = {key: self._answer(*key) for key in dict.fromkeys(keys)}
        counts = sum((answer.ngrams for answer in answers.values()), Counter[Ngram]())
        others = _Others(list(answers.values()))
        found = {key: _row(answer, counts, others) for key, answer in answers.items()}
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
        """Count each answer's n-grams by NLTK; a group is not known from single rows: NaN."""
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
    """The answers of a group, as each of them is compared with those to other questions.

    Attributes:
        most: n-gram → its two greatest counts in answers to different questions, with the question.
        lengths: Length and question of each answer that is not empty.
    """

    def __init__(self, answers: Sequence[_Answer]) -> None:
        self.most: dict[Ngram, list[tuple[int, str]]] = {}
        self.lengths = [(answer.length, answer.question) for answer in answers if answer.length]
        for answer in answers:
            for ngram, count in answer.ngrams.items():
                self._add(ngram, count, answer.question)

    def _add(self, ngram: Ngram, count: int, question: str) -> None:
        best = dict[str, int]()
        for n, of in (*self.most.get(ngram, ()), (count, question)):
            best[of] = max(best.get(of, 0), n)
        ordered = sorted(((n, of) for of, n in best.items()), reverse=True)
        self.most[ngram] = ordered[:2]

    def count(self, ngram: Ngram, question: str) -> int:
        """Return the greatest count of an n-gram in an answer to another question."""
        return next((n for n, of in self.most[ngram] if of != question), 0)

    def closest(self, length: int, question: str) -> int | None:
        """Return the length nearest to *length*, the shorter of two; null if there is no other."""
        found = [n for n, of in self.lengths if of != question]
        return min(found, key=lambda n: (abs(n - length), n)) if found else None


def _row(answer: _Answer, counts: Mapping[Ngram, int], others: _Others) -> list[float]:
    """Return the statistics of one answer."""
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
    return [*distinct, *every, *share, *lengths, *matched, *possible, alone, answer.misread, 1]
