"""How far answers that a metric could not score might move a number. Pure.

A judge fails most often where an answer is odd, so that a score that is missing is not missing by
chance. Of such an answer it is known only that its score lies between the least and the greatest
that there can be: Manski (2003), Partial Identification of Probability Distributions, chapter 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.metrics import MetricProtocol
from reports.rows.align import Aligned

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Possible:
    """Each example's least and greatest possible score, for several conditions.

    Attributes:
        least: Shape (conditions, examples, columns); NaN where a condition has no answer, and
            everywhere under a column whose score is not the mean of the examples' own.
        most: Likewise.
    """

    least: np.ndarray
    most: np.ndarray

    def within(self, mask: np.ndarray) -> "Possible":
        """Return those of the examples of *mask*, shape (examples,)."""
        return Possible(self.least[:, mask], self.most[:, mask])

    def of(self, conditions: Sequence[int]) -> "Possible":
        """Return those of some conditions, in this order."""
        return Possible(self.least[list(conditions)], self.most[list(conditions)])

    def scores(self, conditions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and greatest score of some conditions where all of them have answers.

        Shape (conditions, columns) each; NaN where it cannot be bounded.
        """
        least, most = self.least[list(conditions)], self.most[list(conditions)]
        known = ~np.isnan(least).any(axis=0)
        return _mean(least, known), _mean(most, known)

    def difference(
        self, first: Sequence[int], second: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the greatest of *second* less *first*: shape (columns,) each.

        Means over pairs where several are given; on the examples that all of them have answered.
        """
        least, most = self.scores([*first, *second])
        k = len(first)
        low = (least[k:] - most[:k]).mean(axis=0)
        high = (most[k:] - least[:k]).mean(axis=0)
        return low, high


def possible(aligned: Aligned, key: str, metric: MetricProtocol) -> Possible | None:
    """Return what the scores under a metric may be; null where every answer has one."""
    rows = aligned.by_row(key, metric.statistics)
    asked = [aligned.answered(c, key) for c in aligned.conditions]
    scored = [~np.isnan(of).any(axis=1) for of in rows]
    if not any((a & ~s).any() for a, s in zip(asked, scored, strict=True)):
        return None
    with np.errstate(all="ignore"):
        own = np.stack([metric.score(of) for of in rows])  # (conditions, rows, columns)
    own[~np.isfinite(own)] = np.nan
    scorable = _scorable(aligned, own, _lost(aligned, key, metric))
    ends = []
    for low in (True, False):
        filled = own.copy()
        for place, column in enumerate(metric.columns):
            end = column.least if low else column.most
            if not is_mean(metric, rows, place) or np.isnan(own[..., place]).all():
                filled[..., place] = np.nan
                continue
            found = own[..., place]
            end = float(np.nanmin(found) if low else np.nanmax(found)) if end is None else end
            filled[..., place] = np.where(np.isnan(found), end, found)
        answered = np.where(np.stack(asked)[..., None] & scorable, filled, np.nan)
        ends.append(np.stack([_averaged(aligned, of) for of in answered]))
    return Possible(*ends)


def _lost(aligned: Aligned, key: str, metric: MetricProtocol) -> np.ndarray:
    """Return which answers a judge was asked to rate and did not: shape (conditions, rows).

    It gave none of the labels, or could not read the text: there is a rating that is not known,
    even where it failed under all conditions. That a question does not apply is no such failure.
    """
    no_answer: str = getattr(metric, "no_answer", "")
    if not no_answer:
        return np.zeros((len(aligned.conditions), aligned.rows.height), dtype=bool)
    seen = aligned.by_row(key, (no_answer, "too_long"))
    return np.stack([np.nan_to_num(of).any(axis=1) for of in seen])


def _scorable(aligned: Aligned, own: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return of which examples any condition has a score, or *lost* one: shape (rows, columns).

    Where none has, it is the question or its reference that cannot be scored, and not an answer.
    """
    known = (~np.isnan(own) | lost[..., None]).any(axis=0).astype(float)
    found = np.zeros((aligned.examples.height, known.shape[1]))
    np.maximum.at(found, aligned.places, known)
    return np.asarray(found[aligned.places] > 0)


def is_mean(metric: MetricProtocol, rows: Sequence[np.ndarray], column: int) -> bool:
    """Tell whether a column's score of all rows is the mean of the rows' own.

    That of corpus BLEU is not. *rows*: statistics of shape (rows, statistics), a condition each.
    """
    with np.errstate(all="ignore"):
        for of in rows:
            kept = of[~np.isnan(of).any(axis=1)]
            whole, own = metric.score(kept.sum(axis=0))[column], metric.score(kept)[:, column]
            own = own[~np.isnan(own)]  # a column may leave out rows that another counts
            if len(own) and not abs(whole - own.mean()) <= ROUNDING * max(1, abs(whole)):
                return False
    return True


def _averaged(aligned: Aligned, rows: np.ndarray) -> np.ndarray:
    """Return the mean over each example's rows, a column at a time, since each has its own NaN."""
    columns: list[np.ndarray] = [aligned.averaged(rows[:, [i]]) for i in range(rows.shape[1])]
    return np.asarray(np.hstack(columns))


def _mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the means of values (conditions, examples, columns) where *known*."""
    n = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0))
