"""Metrics: one file each; the file name is the metric's name.

A metric is per-row statistics plus one pure reduction of their sum. The corpus score of any
subset of rows, an interval, a paired test and the merge of shards are then the same few lines
for all of them.

A file ``metrics/<name>.py`` defines a frozen dataclass named ``Metric`` whose fields are the
settings a configuration may change under ``[metrics.<name>]``, and whose members are those of
``MetricProtocol``. It imports torch and other heavy libraries inside functions only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from empathy_core.types import Column

ROWS: dict[str, Any] = {
    "text": pl.String,  # the answer
    "reference": pl.String,  # the therapist's answer
    "context": pl.String,  # the question
    "prompt": pl.String,  # the plain prompt that led to the answer, the question filled in
    "stop": pl.String,  # eos | length | none
    "n_output_tokens": pl.Int32,
    "n_special_tokens": pl.Int32,
}
"""Columns of the frame that ``measure`` takes, one row an answer."""


class MetricProtocol(Protocol):
    """What a metric offers."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The numbers it prints, in order."""
        ...

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the per-row statistics, in order."""
        ...

    def signature(self) -> str:
        """Everything that could change a number, as ``key:value`` pairs joined by ``|``."""
        ...

    def prepare(self, references: Sequence[str]) -> "MetricProtocol":
        """Return the metric with what it must know of all references of the run (e.g. idf)."""
        ...

    def reference_state(self, references: Sequence[str]) -> Any:
        """Compute what depends on the references alone, once for all conditions."""
        ...

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return statistics of shape (rows, len(statistics)), float64; a row of NaN is unscored.

        *rows* has the columns ``ROWS``; *state* is ``reference_state`` of their references.
        """
        ...

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:
        """Return scores of shape (rows, len(columns)) by the reference library itself.

        Slow and independent of ``measure``; null if no reference implementation exists.
        """
        ...

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce summed statistics of shape (..., len(statistics)) to (..., len(columns)).

        Pure and vectorised. NaN where no row was scored.
        """
        ...


def names() -> list[str]:
    """Return the names of the metrics that ship."""
    here = Path(__file__).parent
    return sorted(p.stem for p in here.glob("*.py") if not p.stem.startswith("_"))
