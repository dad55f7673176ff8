"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum as ``rouge_score`` has them, several times faster.

Lin (2004), https://aclanthology.org/W04-1013. Tokens are those of ``rouge_score`` itself, a-z and
0-9 alone, or of one of sacreBLEU's tokenizers for other scripts; the
longest common subsequence, nearly all of its time, is found by rapidfuzz's compiled code.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core.errors import ConfigError
from empathy_core.metrics._parts import Remark, counted, ratio, signature, version
from empathy_core.metrics._rouge_lsum import lines, union_hits
from empathy_core.metrics._several import Choice, greatest, of_rows
from empathy_core.metrics._tokens import (
    LATIN_WORDS,
    Stemmer,
    Tokenize,
    Tokenizer,
    advice,
    misread,
    require_tokenizer,
    sacrebleu_tokenizer,
    tokenizer_version,
)
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read

COUNTS = ("reference_bigram", "no_token", "one_token", "misread")
"""What of a row is counted beside its scores."""
ROUGES = (("rouge1", "ROUGE-1"), ("rouge2", "ROUGE-2"), ("rougeL", "ROUGE-L"))
LSUM = ("rougeLsum", "ROUGE-Lsum")
FOREIGN = -1
"""Stands for every token of an answer that its reference does not have."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference's tokens as numbers, from 0 in order of appearance.

    Attributes:
        misread: Whether it is of a script that the tokenizer is not made for.
        lines: Tokens of each line; none where nobody asks.
    """

    numbers: dict[str, int]
    tokens: list[int]
    unigrams: Counter[int]
    bigrams: Counter[tuple[int, int]]
    misread: bool
    lines: tuple[list[int], ...]

    def coded(self, tokens: Sequence[str]) -> list[int]:
        """Return the tokens of an answer as numbers."""
        return [self.numbers.get(token, FOREIGN) for token in tokens]


@dataclass(frozen=True)
class Metric:
    """Mean of the rows' ROUGE; precision and recall beside F, since long answers win recall.

    An answer without a token scores 0. What a reference lacks cannot be scored: a row whose
    reference has no token is unscored, and ROUGE-2 is the mean of the rows whose reference has a
    bigram (``rouge_score`` gives 0 in both cases, even to an answer equal to its reference).

    Attributes:
        use_stemmer: Porter-stem words of more than three letters (evaluate's default: no).
        tokenizer: ``rouge_score``'s reads a-z and 0-9 alone; for other scripts one of
            sacreBLEU's, whose tokens are in lower case here and hold punctuation too.
        lsum: Whether ROUGE-Lsum is there too, of the texts' lines.
        references: Of several references the ``best`` F counts, with its precision and recall (as
            in ``rouge_score``), or the ``mean`` of them.
    """

    use_stemmer: bool = False
    tokenizer: Tokenizer = "rouge_score"
    lsum: bool = False
    references: Choice = "best"

    script_advice: ClassVar[str] = advice("rouge")

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenizer, "metrics.rouge.tokenizer")
        if self.use_stemmer and self.tokenizer != "rouge_score":
            msg = (
                f"use_stemmer with tokenizer '{self.tokenizer}'; expected it with 'rouge_score' "
                "alone, since it stems English words; take one of the two away"
            )
            raise ConfigError(msg)

    @property
    def why_unscored(self) -> Remark:
        """Return what is so of a row that has no score."""
        text = f"the reference holds no token of {self._tokens_words()}"
        return Remark(text, advice=self.script_advice)

    @property
    def columns(self) -> tuple[Column, ...]:
        """F of each, then precision and recall of each."""
        return _columns(self.lsum)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row; whether its reference has a bigram, and so on; and 1.

        ``no_token``, ``one_token``: of a visible answer. ``misread``: see ``_tokens``.
        """
        return (*(c.name for c in self.columns), *COUNTS, "n")

    @property
    def added(self) -> dict[str, float]:
        """Return what scores of earlier versions lack: there every reference had a bigram."""
        return {"reference_bigram": 1, "no_token": 0, "one_token": 0, "misread": 0}

    def signature(self) -> str:
        """Return the settings and the version of the tokenizer's library."""
        stem = f"porter-nltk-{version('nltk')}" if self.use_stemmer else "no"
        return signature(
            nrefs=1, tok=self.tokenizer, stem=stem, lsum="lines" if self.lsum else "no",
            agg="mean", scale="0-1", empty="0", norm=NORM, rouge_score=version("rouge_score"),
            **self._library(), **tokenizer_version(self.tokenizer),
        )  # fmt: skip

    def _library(self) -> dict[str, str]:
        own = self.tokenizer == "rouge_score"
        return {} if own else {"sacrebleu": version("sacrebleu")}

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: ROUGE needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[_Reference]:
        """Tokenise and count each reference."""
        tokenize = _tokenizer(self.tokenizer, self.use_stemmer)
        return [self._reference(as_read(text), tokenize) for text in references]

    def _reference(self, text: str, tokenize: Tokenize) -> _Reference:
        tokens = tokenize(text)
        numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
        coded = [numbers[token] for token in tokens]
        units = Counter(coded), Counter(pairwise(coded)), self.misreads(text)
        found = _Reference(numbers, coded, *units, ())
        if not self.lsum:
            return found
        # a tokenizer may find a token in a line alone that it does not find in the whole
        split = [tokenize(line) for line in lines(text)]
        known = dict.fromkeys(chain(numbers, *split))
        found = replace(found, numbers={token: number for number, token in enumerate(known)})
        return replace(found, lines=tuple(found.coded(line) for line in split))

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return F, precision and recall of each row; unscored without a reference's token."""
        tokenize = _tokenizer(self.tokenizer, self.use_stemmer)
        texts = [as_read(text) for text in rows["text"]]
        pairs = zip(texts, state, strict=True)
        found = [self._overlaps(text, reference, tokenize) for text, reference in pairs]
        counts = np.array(found, dtype=float).reshape(-1, 3, len(_rouges(self.lsum)))
        overlap, answer, reference = counts.swapaxes(0, 1)
        visible = np.array([bool(text) for text in texts], dtype=bool)
        odd = [of.misread or self.misreads(text) for text, of in zip(texts, state, strict=True)]
        told = [reference[:, 1] > 0, visible & (answer[:, 0] == 0), answer[:, 0] == 1, odd]
        ones = np.ones(len(texts))
        statistics = np.column_stack([_scores(overlap, answer, reference), *told, ones])
        statistics[reference[:, 0] == 0] = np.nan
        return statistics

    def _overlaps(self, text: str, reference: _Reference, tokenize: Tokenize) -> list[list[int]]:
        """Return common, answer's and reference's units: unigrams, bigrams, subsequences."""
        from rapidfuzz.distance import LCSseq

        coded = reference.coded(tokenize(text))
        common = [
            (Counter(coded) & reference.unigrams).total(),
            (Counter(pairwise(coded)) & reference.bigrams).total(),
            LCSseq.similarity(coded, reference.tokens),
        ]
        units = [common, *(_units(len(of)) for of in (coded, reference.tokens))]
        if self.lsum:
            split = [reference.coded(tokenize(line)) for line in lines(text)]
            hits = union_hits(reference.lines, split)
            more = [hits, *(sum(map(len, of)) for of in (split, reference.lines))]
            return [[*of, one] for of, one in zip(units, more, strict=True)]
        return units

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means; those of ROUGE-2 over the rows whose reference has a bigram."""
        n, bigrams = sums[..., -1:], sums[..., len(self.columns) : len(self.columns) + 1]
        of_two = [c.name.startswith("rouge2") for c in self.columns]
        return ratio(sums[..., : len(self.columns)], np.where(of_two, bigrams, n))

    def misreads(self, text: str) -> bool:
        """Tell whether a text is of a script that the tokenizer is not made for."""
        return misread(text, self.tokenizer)

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the statistics against the reference of the best F, for each ROUGE on its own."""
        found, n = greatest(statistics), len(_rouges(self.lsum))
        for i in range(n):
            best = statistics[:, i].argmax()
            of = [i, n + 2 * i, n + 2 * i + 1]
            found[of] = statistics[best, of]
        return found

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row by ``rouge_score.RougeScorer``, where it can be scored."""
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        names = [name for name, _ in _rouges(self.lsum)]
        tokenizer: Any = DefaultTokenizer(self.use_stemmer)
        if self.tokenizer != "rouge_score":
            tokenizer = _ForScorer(self.tokenizer)
        scorer = RougeScorer(names, tokenizer=tokenizer)
        found = []
        for text, references in of_rows(rows):
            by_name = scorer.score_multi(references, text)
            of = [by_name[name] for name in names]
            parts = [x for s in of for x in (s.precision, s.recall)]
            scores = [*(s.fmeasure for s in of), *parts]
            longest = max(len(tokenizer.tokenize(reference)) for reference in references)
            found.append(self._of_scorable(scores, longest))
        return np.array(found, dtype=float).reshape(len(found), len(self.columns))

    def _of_scorable(self, scores: list[float], reference_tokens: int) -> list[float]:
        """Return the scores of a row, NaN where its reference has no unit to count."""
        least = [2 if c.name.startswith("rouge2") else 1 for c in self.columns]
        pairs = zip(scores, least, strict=True)
        return [score if reference_tokens >= n else np.nan for score, n in pairs]

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say how many rows have no token or bigram to count, or are of other scripts."""
        of = dict(zip(self.statistics, sums.tolist(), strict=True))
        tokens = self._tokens_words()
        return counted(
            Remark(f"answers without a token of {tokens}, scored 0", int(of["no_token"]),
                   self.script_advice),
            Remark("references of one token, left out of ROUGE-2 (no bigram)",
                   int(of["n"] - of["reference_bigram"])),
            Remark("answers of one token (no bigram)", int(of["one_token"])),
            Remark(f"rows of scripts that {tokens} is not made for", int(of["misread"]),
                   self.script_advice),
        )  # fmt: skip

    def _tokens_words(self) -> str:
        own = self.tokenizer == "rouge_score"
        return "ROUGE's tokenizer (a-z, 0-9)" if own else f"the tokenizer {self.tokenizer}"


class _ForScorer:
    """A tokenizer as ``RougeScorer`` takes it."""

    def __init__(self, name: Any) -> None:
        self.tokenize = _tokenizer(name, use_stemmer=False)


def _rouges(lsum: bool) -> tuple[tuple[str, str], ...]:
    return (*ROUGES, LSUM) if lsum else ROUGES


@lru_cache(maxsize=2)
def _columns(lsum: bool) -> tuple[Column, ...]:
    rouges = _rouges(lsum)
    main = [Column(name, label, main=True, least=0, most=1) for name, label in rouges]
    parts = [
        Column(f"{name}_{part}", f"{label} {part}", least=0, most=1)
        for name, label in rouges
        for part in ("precision", "recall")
    ]
    every = [*main, *parts]
    bigrams, n = len(every), len(every) + len(COUNTS)
    return tuple(
        replace(c, ratio=(i, bigrams if c.name.startswith("rouge2") else n))
        for i, c in enumerate(every)
    )


@lru_cache(maxsize=8)
def _tokenizer(name: Tokenizer, use_stemmer: bool) -> Tokenize:
    """Return ``rouge_score.tokenize.tokenize``, or, without stems, one expression equal to it.

    It replaces what is not a letter or digit by blanks, splits at blanks, and checks each token.
    Another tokenizer's tokens are in lower case, as these are.
    """
    if name != "rouge_score":
        join = sacrebleu_tokenizer(name)
        return lambda text: join(text.lower()).split()
    if not use_stemmer:
        return lambda text: LATIN_WORDS.findall(text.lower())
    from rouge_score.tokenize import tokenize

    stemmer = Stemmer()
    return lambda text: tokenize(text, stemmer)


def _units(length: int) -> list[int]:
    return [length, max(length - 1, 0), length]


def _scores(overlap: np.ndarray, answer: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return scores from counts of shape (rows, ROUGEs), rounded as ``rouge_score`` rounds."""
    precision, recall = overlap / np.maximum(answer, 1), overlap / np.maximum(reference, 1)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    parts = np.stack([precision, recall], axis=-1).reshape(len(f), 2 * f.shape[1])
    return np.hstack([f, parts])
