"""How long answers are: in words, in tokens, and against their references."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics._parts import ratio, signature
from empathy_core.types import Column
from empathy_core.visible import NORM, n_words


@dataclass(frozen=True)
class Metric:
    """Words are what stands between blanks and is visible; tokens are the model's own."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Means, and all words of the answers over all words of the references."""
        shared: dict[str, Any] = {"better": None, "group": "Length", "least": 0}
        return (
            Column("words", "Words", decimals=1, ratio=(0, 4), **shared),
            Column("tokens", "Tokens", decimals=1, ratio=(1, 3), **shared),
            Column("words_ratio", "Words / reference", decimals=2, ratio=(0, 2), **shared),
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """Words, tokens, the reference's words; rows whose tokens are known; rows."""
        return ("words", "tokens", "reference_words", "n_tokenized", "n")

    def signature(self) -> str:
        """Return what a word and a token are."""
        return signature(words="split", tokens="model", ratio="of-sums", empty="counted", norm=NORM)

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: a length needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> list[int]:
        """Count the references' words."""
        return [n_words(text) for text in references]

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return counts of each row; texts made elsewhere (stop ``none``) have no tokens."""
        known = (rows["stop"] != "none").to_numpy()
        words = [n_words(text) for text in rows["text"]]
        tokens = np.where(known, rows["n_output_tokens"].to_numpy(), 0)
        return np.column_stack([words, tokens, state, known, np.ones(len(words))]).astype(float)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce counts to means and the ratio; tokens are NaN where no row's are known."""
        words, tokens, reference, tokenized, n = np.moveaxis(np.asarray(sums, float), -1, 0)
        scores = [ratio(words, n), ratio(tokens, tokenized), ratio(words, reference)]
        return np.moveaxis(np.stack(scores), 0, -1)

    def recheck(self, rows: pl.DataFrame) -> None:  # noqa: ARG002 - the protocol's
        """Return null: no library is the reference for counting words."""
        return
