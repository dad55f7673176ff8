"""BLEU as the paper has it: 13a tokens, up to 4-grams, unsmoothed, on a scale of 0 to 1.

Other tokens and sacreBLEU's three smoothings (Chen and Cherry 2014,
https://aclanthology.org/W14-3346) are settings.

Papineni et al. (2002), https://aclanthology.org/P02-1040. Tokens and n-grams are sacreBLEU's;
the corpus score comes from summed counts, so that any subset of rows has its own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from empathy_core.errors import ConfigError
from empathy_core.metrics._parts import Remark, counted, ratio, signature, version
from empathy_core.metrics._several import of_rows
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

ORDER = 4
"""Longest n-gram."""

Smoothing = Literal["none", "exp", "floor", "add-k"]
Counts = Sequence[np.ndarray]
"""Counts by order, from 1 to ``ORDER``; each of one shape."""
_SMOOTH_VALUES = {"floor": 0.1, "add-k": 1.0}
"""sacreBLEU's defaults; the other methods take no value."""


@dataclass(frozen=True, slots=True)
class _CountedText:
    """A text as BLEU counts it.

    Attributes:
        ngrams: All n-grams up to ``ORDER``; of several references, as often as one has it.
        lengths: In tokens; one, or of several references each.
        misread: Whether it is of a script that the tokenizer is not made for.
    """

    ngrams: Counter[tuple[str, ...]]
    lengths: tuple[int, ...]
    misread: bool

    @property
    def longest(self) -> int:
        """Its length, or that of the longest reference."""
        return max(self.lengths)

    def nearest(self, length: int) -> int:
        """Return the length nearest to *length*; the shorter of two."""
        return min(self.lengths, key=lambda own: (abs(own - length), own))


@dataclass(frozen=True)
class Metric:
    """Corpus BLEU, and two numbers that explain it.

    An empty answer counts, with no n-gram. A row whose reference has no token is unscored. Where
    no reference has a 4-gram, none can be matched: BLEU is null then, not 0.

    Attributes:
        tokenizer: sacreBLEU's name of it; ``zh`` or ``char`` for scripts without spaces.
        smooth: What an order without a match counts as: nothing (``none``), half of what the order
            before it would have (``exp``, sacreBLEU's default), ``smooth_value`` matches
            (``floor``); ``add-k`` adds ``smooth_value`` to every order from 2 on.
        smooth_value: Of ``floor`` and ``add-k``; null means 0.1 and 1.
    """

    tokenizer: BySacrebleu = "13a"
    smooth: Smoothing = "none"
    smooth_value: float | None = None

    script_advice: ClassVar[str] = advice("bleu")
    why_unscored: ClassVar[Remark] = Remark("the reference is empty")

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenizer, "metrics.bleu.tokenizer")
        if self.smooth_value is not None and self.smooth not in _SMOOTH_VALUES:
            msg = (
                f"smooth_value = {self.smooth_value:g} with smooth = '{self.smooth}'; expected it "
                "with 'floor' or 'add-k' alone; take one of the two away"
            )
            raise ConfigError(msg)
        if self.smooth_value is not None and not 0 < self.smooth_value <= 1:
            msg = f"smooth_value = {self.smooth_value:g}; expected above 0 and at most 1; change it"
            raise ConfigError(msg)

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
        """Lengths in tokens, matched and possible n-grams by order, the references' 4-grams, rows.

        Of the rows: those whose reference, or whose answer, is shorter than a 4-gram; those of a
        script that the tokenizer is not made for; all.
        """
        orders = range(1, ORDER + 1)
        matched, possible = [f"matched{n}" for n in orders], [f"possible{n}" for n in orders]
        short = ("short_references", "short_answers", "misread")
        lengths = ("answer_tokens", "reference_tokens")
        return (*lengths, *matched, *possible, "reference_possible4", *short, "n")

    @property
    def added(self) -> dict[str, float]:
        """Return what scores of earlier versions lack: there every reference had a 4-gram."""
        return {"reference_possible4": 1, "short_references": 0, "short_answers": 0, "misread": 0}

    def signature(self) -> str:
        """Return the settings in sacreBLEU's own words."""
        return signature(
            nrefs=1, case="mixed", eff="no", tok=self.tokenizer, smooth=self._smooth_name(),
            scale="0-1", empty="counted", norm=NORM, sacrebleu=version("sacrebleu"),
            **tokenizer_version(self.tokenizer),
        )  # fmt: skip

    def _smooth_name(self) -> str:
        """Return the smoothing as sacreBLEU's signatures have it."""
        value = self._smooth_value()
        return self.smooth if value is None else f"{self.smooth}[{value:g}]"

    def _smooth_value(self) -> float | None:
        return self.smooth_value or _SMOOTH_VALUES.get(self.smooth)

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: BLEU needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[_CountedText]:
        """Count the n-grams of each reference."""
        return [self._counted(text) for text in references]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return lengths and n-gram counts of each row; unscored without a reference's token."""
        pairs = zip(rows["text"], state, strict=True)
        found = [_row(self._counted(text), reference) for text, reference in pairs]
        return np.array(found, dtype=float).reshape(len(found), len(self.statistics))

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to BLEU; 0 where no n-gram of some order matches, null where none can."""
        answer, reference, n = sums[..., 0], sums[..., 1], sums[..., -1]
        matched, possible = ([sums[..., 2 + of * ORDER + i] for i in range(ORDER)] for of in (0, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            penalty = np.exp(np.minimum(0.0, 1 - reference / answer))
            above, below = self._smoothed(matched, possible)
            # the fourth root of a product, as two square roots: faster than logarithms
            bleu = penalty * np.sqrt(np.sqrt(_product(above) / _product(below)))
        if not answer.all():
            penalty = np.where(answer > 0, penalty, np.where(reference > 0, 0.0, 1.0))
        if not possible[-1].all() or self.smooth != "none":
            bleu = np.where(_nothing(matched, possible, self.smooth), 0.0, bleu)
        could = sums[..., 2 + 2 * ORDER]
        if not could.all():
            bleu = np.where(could > 0, bleu, np.nan)
        scores = np.stack([bleu, penalty, ratio(answer, reference)])
        if not n.all():
            scores[:, n <= 0] = np.nan
        return np.moveaxis(scores, 0, -1)

    def _smoothed(self, matched: Counts, possible: Counts) -> tuple[Counts, Counts]:
        """Return the counts as ``sacrebleu.BLEU.compute_bleu`` smooths them, by order."""
        value = self._smooth_value() or 0.0
        if self.smooth == "add-k":
            more = [[first, *(n + value for n in rest)] for first, *rest in (matched, possible)]
            return more[0], more[1]
        if self.smooth == "floor":
            return [np.where(n > 0, n, value) for n in matched], possible
        if self.smooth == "none":
            return matched, possible
        missed = np.cumsum([n == 0 for n in matched], axis=0)  # a half, a quarter, an eighth
        return [np.where(n > 0, n, 0.5**k) for n, k in zip(matched, missed, strict=True)], possible

    def misreads(self, text: str) -> bool:
        """Tell whether a text is of a script that the tokenizer is not made for."""
        return misread(text, self.tokenizer)

    def merged(self, references: Sequence[_CountedText]) -> _CountedText:
        """Return several references as one: the most of each n-gram, and all lengths."""
        ngrams = Counter[tuple[str, ...]]()
        for reference in references:
            for ngram, count in reference.ngrams.items():  # twice as fast as Counter's own union
                ngrams[ngram] = max(ngrams[ngram], count)
        lengths = tuple(of for reference in references for of in reference.lengths if of)
        return _CountedText(ngrams, lengths or (0,), any(of.misread for of in references))

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row as a corpus of one by ``sacrebleu``; NaN where it cannot be scored."""
        from sacrebleu import corpus_bleu

        found = []
        for text, references in of_rows(rows):
            bleu = corpus_bleu(
                [text], [[reference] for reference in references], smooth_method=self.smooth,
                smooth_value=self.smooth_value, tokenize=self.tokenizer,
            )  # fmt: skip
            lengths = [self._counted(reference).longest for reference in references]
            score = bleu.score / 100 if max(lengths) >= ORDER else np.nan
            has = bleu.ref_len > 0
            found.append((score, bleu.bp, bleu.sys_len / bleu.ref_len) if has else [np.nan] * 3)
        return np.array(found, dtype=float).reshape(len(found), len(self.columns))

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say why BLEU is 0, and how many rows have no 4-gram to count."""
        of = dict(zip(self.statistics, sums.tolist(), strict=True))
        first = next((n for n in range(1, ORDER + 1) if not of[f"matched{n}"]), None)
        zero = first and of["reference_possible4"] and self.smooth == "none"
        matched = f"0.0000, since no {first}-gram of the answers matches in the whole set"
        return (
            *((Remark(matched),) if zero else ()),
            *counted(
                Remark("references of fewer than 4 tokens (no 4-gram can match)",
                       int(of["short_references"])),
                Remark("answers of fewer than 4 tokens (no 4-gram matches)",
                       int(of["short_answers"])),
                Remark(f"rows of scripts that its tokenizer ({self.tokenizer}) is not made for",
                       int(of["misread"]), self.script_advice),
            ),
        )  # fmt: skip

    def _counted(self, text: str) -> _CountedText:
        """Tokenise as ``BLEU`` does, which strips the end of a line first."""
        from sacrebleu.metrics.helpers import extract_all_word_ngrams

        text = as_read(text)
        tokens = sacrebleu_tokenizer(self.tokenizer)(text.rstrip())
        ngrams, length = extract_all_word_ngrams(tokens, 1, ORDER)
        return _CountedText(ngrams, (length,), self.misreads(text))


def _nothing(matched: Counts, possible: Counts, smooth: Smoothing) -> np.ndarray:
    """Return where sacreBLEU's score is 0: no match at all, or an order without an n-gram.

    Unsmoothed, an order without a match is one more. What ``add-k`` adds, it adds to every order.
    """
    if smooth == "none":
        return np.asarray(_product(matched) <= 0)
    without = np.sum(matched, axis=0) <= 0
    fewest = possible[0] if smooth == "add-k" else np.min(possible, axis=0)
    return np.asarray(without | (fewest <= 0))


def _product(counts: Counts) -> np.ndarray:
    """Return the product over orders; of a billion tokens it is 1e36."""
    first, second, third, fourth = counts
    return np.asarray(first * second * third * fourth)


def _row(answer: _CountedText, reference: _CountedText) -> list[float]:
    """Return the statistics of one row; a match counts at most as often as the reference has it.

    An answer without a token is no short one: empty answers are counted elsewhere.
    """
    if not reference.longest:
        return [np.nan] * (2 * ORDER + 7)
    matched, possible = [0] * ORDER, [0] * ORDER
    for ngram, count in answer.ngrams.items():
        possible[len(ngram) - 1] += count
        matched[len(ngram) - 1] += min(count, reference.ngrams.get(ngram, 0))
    length, longest = answer.longest, reference.longest
    return [
        length, reference.nearest(length), *matched, *possible, max(longest - ORDER + 1, 0),
        longest < ORDER, 0 < length < ORDER, answer.misread or reference.misread, 1,
    ]  # fmt: skip
