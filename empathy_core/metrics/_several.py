"""Metrics where a row has several references.

What a metric does with them is what its reference library does. One that counts over all
references at once (BLEU) has the member ``merged``: states of one row's references → the one state
that the row is measured with. Every other has ``united``: statistics of one row against each of its
references, shape (references, statistics) → those of the row. References in which there is nothing
to count are left out before. Under ``references = "mean"`` statistics are averaged.

A metric with neither is measured with a row's first reference, its own answer, or with none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
import polars as pl

from empathy_core.visible import as_read

Choice = Literal["best", "mean"]
"""The best reference's score, as the reference libraries have it, or the mean over references."""

COLUMN = "references"
"""All references of a row, in the rows of a metric; there only where a run has several."""

OWN_LEFT_OUT = "own:left-out"
"""Part of a signature: models, too, are compared with all references but the row's own answer."""


def greatest(statistics: np.ndarray) -> np.ndarray:
    """Return the greatest value of each statistic over the references of a row."""
    return np.asarray(statistics.max(axis=0))


def of_rows(rows: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Yield each answer with its references, as metrics read them."""
    one = COLUMN not in rows.columns
    references = ([text] for text in rows["reference"]) if one else rows[COLUMN]
    for text, of in zip(rows["text"], references, strict=True):
        yield as_read(text), [as_read(reference) for reference in of]


def takes_several(metric: Any) -> bool:
    """Tell whether a metric knows what to do with several references."""
    return hasattr(metric, "merged") or hasattr(metric, "united")


@dataclass(frozen=True, slots=True)
class OfSeveral:
    """A metric as it is where rows have several references; its other members are its own.

    Attributes:
        metric: As it is with one.
        n: How many references a row has, ``var`` if rows differ, as sacreBLEU's signatures say.
        own_left_out: Whether the row's own answer, the first of its references, is none of those
            that models are compared with: people's answers never are compared with themselves.
    """

    metric: Any
    n: str
    own_left_out: bool = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("metric", "n", "own_left_out"):
            raise AttributeError(name)
        return getattr(self.metric, name)

    def signature(self) -> str:
        """Return the metric's own, with the number of references and what is done with them."""
        first, _, rest = self.metric.signature().partition("|")
        if first != "nrefs:1":
            msg = f"{type(self.metric).__module__}: the signature must begin with nrefs:1"
            raise TypeError(msg)
        how = getattr(self.metric, "references", "")
        said = (f"refs:{how}" if how else "", OWN_LEFT_OUT if self.own_left_out else "")
        return "|".join(filter(None, (f"nrefs:{self.n}", *said, rest)))

    def reference_state(self, references: Sequence[Sequence[str]]) -> tuple[Any, list[int]]:
        """Return the state of all references below each other, and where each row's begin."""
        bounds = [0, *accumulate(map(len, references))]
        texts = [text for of in references for text in of]
        places = {text: i for i, text in enumerate(dict.fromkeys(texts))}  # rows share references
        state = _at(self.metric.reference_state(list(places)), [places[text] for text in texts])
        if hasattr(self.metric, "merged"):
            state = [self.metric.merged(state[a:b]) for a, b in pairwise(bounds)]
        return state, bounds

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return statistics of each row; unscored where no reference has something to count."""
        of_references, bounds = state
        if hasattr(self.metric, "merged"):
            found: np.ndarray = self.metric.measure(rows, of_references)
            return found
        every = self.metric.measure(_one_by_one(rows), of_references)
        parts = [self._united(every[a:b]) for a, b in pairwise(bounds)]
        return np.array(parts, float).reshape(rows.height, every.shape[1])

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:
        """Return scores by the reference library, of all references or averaged over them."""
        if getattr(self.metric, "references", "best") == "best":
            found: np.ndarray | None = self.metric.recheck(rows)
            return found
        every = self.metric.recheck(_one_by_one(rows))
        bounds = [0, *accumulate(rows[COLUMN].list.len().to_list())]
        return np.array([_mean(every[a:b]) for a, b in pairwise(bounds)])

    def _united(self, statistics: np.ndarray) -> np.ndarray:
        scored = statistics[~np.isnan(statistics).any(axis=1)]
        if not len(scored):
            return np.full(statistics.shape[1], np.nan)
        if self.metric.references == "mean":
            return np.asarray(scored.mean(axis=0))
        return np.asarray(self.metric.united(scored))


def _at(state: Any, places: list[int]) -> Any:
    """Return the state of references at *places* of those that *state* is of.

    A metric's state is a list, or a tuple of arrays; null where it has none.
    """
    if isinstance(state, tuple):
        return tuple(part[places] for part in state)
    return state and [state[i] for i in places]


def _one_by_one(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each reference, below each other."""
    return rows.with_columns(reference=pl.col(COLUMN)).explode("reference").drop(COLUMN)


def _mean(scores: np.ndarray) -> np.ndarray:
    """Return the mean over references by column, of those that have a score; NaN if none has."""
    known = ~np.isnan(scores)
    total = np.where(known, scores, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
