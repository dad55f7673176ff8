"""Translation edit rate: edits, and moves of whole phrases, that make the answer the reference.

Snover et al. (2006), https://aclanthology.org/2006.amta-papers.25, equal to sacreBLEU's and faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core.errors import ConfigError
from empathy_core.metrics._parts import Remark, counted, ratio, signature, version
from empathy_core.metrics._several import greatest, of_rows
from empathy_core.metrics._ter_search import edits
from empathy_core.metrics._tokens import misread
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read

ADVICE = (
    "For such texts set metrics.ter.normalized = true and metrics.ter.asian_support = true "
    "(Chinese and Japanese characters), or use chrF, which needs no words."
)


@dataclass(frozen=True)
class Metric:
    """Edits over all words of the references: 0 is the reference itself; it may exceed 1.

    An empty answer costs as many edits as its reference has words. A row whose reference has no
    word is unscored. Two texts of 150 words take about a tenth of a second, so that it is a group
    of score tasks of its own, which holds no other metric up.

    Attributes:
        normalized: Split punctuation off, and undo entities, as Tercom's option does.
        no_punct: Leave punctuation out.
        asian_support: With ``normalized``, each character of Chinese or Japanese is a word.
        case_sensitive: Whether case matters.
    """

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False

    references: ClassVar[str] = "best"
    score_group: ClassVar[str] = "lexical-ter"
    script_advice: ClassVar[str] = ADVICE
    why_unscored: ClassVar[Remark] = Remark("the reference holds no word")

    def __post_init__(self) -> None:
        if self.asian_support and not (self.normalized or self.no_punct):
            msg = (
                "asian_support alone changes nothing in TER; expected it with normalized = true or "
                "no_punct = true; set one of them"
            )
            raise ConfigError(msg)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The rate; less is closer to the reference."""
        return (Column("ter", "TER", better="lower", least=0, ratio=(0, 1)),)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Edits; words of the reference; rows of scripts it finds no words in; rows."""
        return ("edits", "reference_words", "misread", "n")

    def signature(self) -> str:
        """Return the settings in sacreBLEU's own words."""
        return signature(
            nrefs=1, case="mixed" if self.case_sensitive else "lc", tok="tercom",
            normalized=self.normalized, punct=not self.no_punct, asian=self.asian_support,
            scale="0-1", empty="counted", norm=NORM, sacrebleu=version("sacrebleu"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: TER needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[tuple[list[str], bool]]:
        """Return the words of each reference, and whether its script has none for it."""
        tokenize = self._tokenizer()
        return [(tokenize(text.rstrip()).split(), self.misreads(text))
                for text in map(as_read, references)]  # fmt: skip

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return edits and words of each row; unscored where the reference has no word."""
        tokenize = self._tokenizer()
        found = []
        for text, (reference, odd) in zip(map(as_read, rows["text"]), state, strict=True):
            if not reference:
                found.append([np.nan] * 4)
                continue
            n_edits = edits(tokenize(text.rstrip()).split(), reference)
            found.append([n_edits, len(reference), odd or self.misreads(text), 1])
        return np.array(found, dtype=float).reshape(len(found), 4)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to the rate."""
        return ratio(sums[..., :1], sums[..., 1:2])

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the fewest edits, over the mean number of words of the references."""
        found = greatest(statistics)
        found[:2] = statistics[:, 0].min(), statistics[:, 1].mean()
        return found

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row as a corpus of one by ``sacrebleu``; NaN where it cannot be scored."""
        from sacrebleu.metrics.ter import TER

        library = TER(self.normalized, self.no_punct, self.asian_support, self.case_sensitive)
        found = []
        for text, references in of_rows(rows):
            score = library.corpus_score([text], [[reference] for reference in references])
            found.append(score.score / 100 if score.ref_length else np.nan)
        return np.array(found, dtype=float).reshape(len(found), 1)

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say how many rows are of a script without spaces."""
        text = "rows of scripts without spaces, whose sentences count as one word"
        return counted(Remark(text, int(sums[2]), ADVICE))

    def _tokenizer(self) -> Any:
        from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

        return TercomTokenizer(
            self.normalized, self.no_punct, self.asian_support, self.case_sensitive
        )

    def misreads(self, text: str) -> bool:
        """Tell whether a text is of a script without words for the tokenizer."""
        split = self.normalized and self.asian_support
        return misread(text, "ja-mecab" if split else "none")  # it splits what MeCab reads
