"""Statistics of single rows that another run computed from just the same: read instead of measured.

What a row's statistics are made from is told by a digest of everything that the metric is shown.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from empathy_core import data, metrics, store
from empathy_core.metrics import MetricProtocol
from empathy_core.store import RunDir

_BESIDE = ("opponent", "condition", data.references.ROWS)
"""Columns of the rows that are there for some metrics, or in some runs."""

KEY = ("example", "sample", "made_from")


def shown(rows: pl.DataFrame, metric: MetricProtocol) -> pl.DataFrame:
    """Return of rows what a metric is shown."""
    given = [metrics.given_column(name) for name in metrics.asked(metric)]
    return rows.select(*metrics.ROWS, *given, cs.by_name(*_BESIDE, require_all=False))


def made_from(rows: pl.DataFrame, metric: MetricProtocol) -> pl.Series:
    """Return for each row a digest of what a metric is shown of it."""
    frame = shown(rows, metric)
    texts = (json.dumps([frame.columns, row], ensure_ascii=False) for row in frame.iter_rows())
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return pl.Series("made_from", digests, dtype=pl.String)


def can_be_known(metric: MetricProtocol, options: Any) -> bool:
    """Tell whether a row's statistics under a metric depend on that row alone."""
    return not metrics.is_of_corpus(metric.signature()) and not options.get("opponent")


@dataclass(frozen=True)
class KnownScores:
    """Statistics of a condition under a metric that were copied.

    Attributes:
        rows: ``KEY`` and the statistics; null if there are none.
    """

    rows: pl.DataFrame | None = None

    @classmethod
    def read(cls, run: RunDir, metric: str, condition: str) -> "KnownScores":
        """Return what a run holds under a metric's key."""
        path = run.known_scores(metric, condition)
        return cls(pl.read_parquet(path) if path.exists() else None)

    def of(self, rows: pl.DataFrame, metric: MetricProtocol) -> tuple[np.ndarray, np.ndarray]:
        """Return statistics of *rows*, shape (rows, statistics), and which are known: (rows,)."""
        names = list(metric.statistics)
        values = np.full((rows.height, len(names)), np.nan)
        if self.rows is None or not set(names) <= set(self.rows.columns):
            return values, np.zeros(rows.height, bool)
        asked = rows.select(KEY[:2]).with_columns(made_from(rows, metric))
        known = self.rows.select(*KEY, *names, known=pl.lit(True))
        found = asked.join(known, on=list(KEY), how="left", maintain_order="left")
        there = found["known"].is_not_null().to_numpy()
        values[there] = found.select(names).fill_null(np.nan).to_numpy()[there]
        return values, there


NO_SCORES = KnownScores()


def write(rows: pl.DataFrame, run: RunDir, metric: str, condition: str) -> None:
    """Keep statistics that were copied: ``KEY`` and one column a statistic."""
    store.write_bytes(store.frame_bytes(rows), run.known_scores(metric, condition))
