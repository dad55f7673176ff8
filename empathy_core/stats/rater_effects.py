"""How severe each rater is, and what means would be with a rater of average severity. Pure.

A mean of raw ratings depends on who rated what as soon as raters share some items only. The
additive model of items and raters takes that out: Searle (1987), Linear Models for Unbalanced
Data, chapter 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from empathy_core.stats.coefficients import Coefficient, estimates, ratio
from empathy_core.stats.intervals import ROUNDING, Interval
from empathy_core.stats.refusals import Refusal
from empathy_core.stats.resampling import LEVEL, Resampler
from empathy_core.stats.results import Estimate
from empathy_core.stats.shares import of_few_clusters


@dataclass(frozen=True, slots=True, eq=False)
class RaterEffects:
    """Ratings y = item + rater + rest by least squares, the raters' effects adding up to zero.

    Attributes:
        severities: Of each rater, how much higher than the average rater; NaN without a rating.
        items: Shape (items,): each item's mean as the average rater would give it; NaN where
            nobody has rated.
    """

    severities: np.ndarray
    items: np.ndarray


@dataclass(frozen=True, slots=True)
class AdjustedMeans:
    """Means of conditions and severities of raters, with intervals by question.

    Attributes:
        conditions: Of each condition, the mean of its items as the average rater would give them.
        severities: Of each rater; no interval where there is one rater.
    """

    conditions: tuple[Estimate, ...]
    severities: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class OwnAgreement:
    """How far a rater says the same of the same answer again, of hidden repeats.

    Attributes:
        same: Share of equal ratings; null without a repeat.
        interval: Of it, each answer as one that is independent (Clopper and Pearson).
        apart: Mean absolute difference, in points.
        n: Repeats.
    """

    same: float | None
    interval: Interval | None
    apart: float | None
    n: int


def rater_effects(ratings: np.ndarray) -> RaterEffects | Refusal:
    """Return severities of raters and values of items.

    Args:
        ratings: Shape (raters, items); NaN where one has not rated.
    """
    ratings = np.asarray(ratings, float)
    if refusal := _unconnected(ratings):
        return refusal
    rows, has = _rows(ratings), (~np.isnan(ratings)).any(axis=1)
    severities = np.full(len(ratings), np.nan)
    severities[has] = _severities(rows.sum(axis=0), int(has.sum()))
    given = ~np.isnan(ratings)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.where(given, ratings - severities[:, None], 0.0).sum(axis=0) / given.sum(axis=0)
    return RaterEffects(severities, np.round(own, 9))  # so that equal answers tie


def adjusted_means(
    ratings: np.ndarray, conditions: np.ndarray, resampler: Resampler
) -> AdjustedMeans | Refusal:
    """Return conditions' means and raters' severities, with intervals.

    Args:
        ratings: Shape (raters, items); NaN where one has not rated.
        conditions: The number of each item's condition, from 0 without gaps, shape (items,).
        resampler: Of the items.
    """
    ratings = np.asarray(ratings, float)
    if refusal := _unconnected(ratings):
        return refusal
    has = (~np.isnan(ratings)).any(axis=1)
    ratings = ratings[has]
    k, n = len(ratings), int(np.max(conditions, initial=-1)) + 1
    given = ~np.isnan(ratings)
    n_ratings = np.maximum(1, given.sum(axis=0))
    own = np.where(given, ratings, 0.0).sum(axis=0) / n_ratings
    kept = given.any(axis=0)
    of_item = np.column_stack([kept, own, (given / n_ratings).T])  # n, mean, who
    member = np.eye(n)[np.asarray(conditions, int)] * kept[:, None]
    by_condition = (member[..., None] * of_item[:, None]).reshape(len(member), -1)
    rows = np.concatenate([_rows(ratings), by_condition], axis=1)
    of_raters = k * k + k

    def severity(rater: int, sums: np.ndarray) -> np.ndarray:
        return np.asarray(_severities(sums, k)[..., rater])

    def mean(condition: int, sums: np.ndarray) -> np.ndarray:
        whose = sums[..., of_raters:].reshape(*sums.shape[:-1], n, 2 + k)[..., condition, :]
        shift = (whose[..., 2:] * _severities(sums, k)).sum(axis=-1)
        return ratio(whose[..., 1] - shift, whose[..., 0], 0.0)

    parts = [Coefficient(rows, partial(mean, c)) for c in range(n)]
    parts += [Coefficient(rows, partial(severity, r)) for r in range(k)]
    found = estimates(parts, kept, resampler, heavy=True)
    every = iter(found[n:])
    none = Estimate(None, None, 0, len(kept), 0)
    return AdjustedMeans(found[:n], tuple(next(every) if of else none for of in has))


def own_agreement(first: Sequence[float], again: Sequence[float]) -> OwnAgreement:
    """Return how far a rater agrees with what the same rater said before.

    Args:
        first: Ratings, none missing.
        again: Of the same answers.
    """
    x, y = np.asarray(first, float), np.asarray(again, float)
    if not len(x):
        return OwnAgreement(None, None, None, 0)
    same = float((x == y).mean())
    bounds = of_few_clusters(same, len(x), LEVEL)
    return OwnAgreement(same, bounds, float(np.abs(x - y).mean()), len(x))


# ---------------------------------------------------------------------------- least squares


def _rows(ratings: np.ndarray) -> np.ndarray:
    """Return each item's part of the normal equations of raters: (items, k * k + k).

    Items taken out: sum of D - m m' / n on the left, of y m - m mean(y) on the right, D = diag(m)
    being who has rated.
    """
    ratings = ratings[(~np.isnan(ratings)).any(axis=1)]
    m = (~np.isnan(ratings)).T.astype(float)
    y = np.nan_to_num(ratings.T)
    n = np.maximum(1.0, m.sum(axis=1))
    left = m[:, :, None] * np.eye(len(ratings)) - m[:, :, None] * m[:, None] / n[:, None, None]
    right = y - m * (y.sum(axis=1) / n)[:, None]
    return np.concatenate([left.reshape(len(m), -1), right], axis=1)


def _severities(sums: np.ndarray, k: int) -> np.ndarray:
    """Return the effects (..., k), which add up to zero; NaN where raters are not connected."""
    left = sums[..., : k * k].reshape(*sums.shape[:-1], k, k)
    right = sums[..., k * k : k * k + k]
    # the left side does not know a shift of all; with 1 / k added to it the shift is zero
    values, vectors = np.linalg.eigh(left + 1 / k)
    inner = np.einsum("...ij,...i->...j", vectors, right)
    connected = values[..., :1] > ROUNDING * values[..., -1:]
    with np.errstate(all="ignore"):
        found = np.einsum("...ij,...j->...i", vectors, inner / values)
    return np.asarray(np.where(connected, found, np.nan))


def _unconnected(ratings: np.ndarray) -> Refusal | None:
    """Return why ratings cannot be adjusted; null where chains of shared items join all raters."""
    given = ~np.isnan(ratings)
    has = np.flatnonzero(given.any(axis=1))
    if not len(has):
        return Refusal("nobody has rated", "ratings", "Import some")
    shared = (given[has].astype(float) @ given[has].T.astype(float)) > 0
    reached = np.zeros(len(has), bool)
    reached[0] = True
    while (wider := shared[reached].any(axis=0)).sum() > reached.sum():
        reached = wider
    if reached.all():
        return None
    n = int(reached.sum())
    return Refusal(
        f"{n} of {len(has)} raters have rated no item that any of the others has, so that their "
        "severity cannot be told from the answers that they saw",
        "every two raters joined by shared items",
        "Give some of the items to raters of both groups",
    )
