"""What metrics have in common that are made where scores are read: of nothing that a run keeps."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl

from empathy_core.metrics._parts import ratio


class MadeOfRatings:
    """A mean of ratings that are there: a judge's, or people's.

    The last of its statistics is what the sums of the others are divided by.
    """

    def prepare(self, references: Sequence[str]) -> Self:  # noqa: ARG002  every metric's
        """Return itself."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:
        """Return nothing: who rated needs none."""

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002  every metric's
        """Refuse: it is made of ratings that are there.

        Raises:
            TypeError: Always.
        """
        msg = "ratings are combined, not computed: score the judges, or import what people said"
        raise TypeError(msg)

    def recheck(self, rows: pl.DataFrame) -> None:  # noqa: ARG002  every metric's
        """Return null: there is no reference library."""
        return

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        sums = np.asarray(sums, float)
        return ratio(sums[..., :-1], sums[..., -1:])
