"""Whether raters put answers to a question, and conditions, in the same order. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.agreement import icc, tau_b
from empathy_core.stats.coefficients import Coefficient, estimates, ratio
from empathy_core.stats.resampling import Resampler
from empathy_core.stats.results import Estimate


@dataclass(frozen=True, slots=True)
class SameOrder:
    """Of every two answers to one question that the reference rates differently.

    Attributes:
        decided: Share that the judge orders as the reference does, among those that it orders.
        halved: Likewise among all, a tie of the judge counted as half: what a coin at ties gives.
        tied: Share on which the judge ties.
        n_pairs: Pairs that the reference separates.
        n_reference_ties: Pairs on which the reference ties, which say nothing and are left out.
    """

    decided: Estimate
    halved: Estimate
    tied: Estimate
    n_pairs: int
    n_reference_ties: int


@dataclass(frozen=True, slots=True)
class MeansAgree:
    """Agreement of raters on the means of conditions, over the items that all have rated.

    It is over few numbers: ten conditions say little of whether single ratings can be trusted, and
    the coefficients are usually far higher than those of single ratings (``rater_agreement``).

    Attributes:
        icc_absolute: As in ``Agreement``; its interval is over other questions, the conditions
            being these. Likewise the next two.
        icc_consistency: Likewise.
        tau: Kendall's tau-b, mean over pairs of raters.
        n_conditions: With an item.
        alpha_ordinal: Krippendorff's alpha of the means' ranks among all means.
        alpha_interval: Of squared differences of means.
    """

    icc_absolute: Estimate
    icc_consistency: Estimate
    tau: Estimate
    n_conditions: int
    alpha_ordinal: Estimate
    alpha_interval: Estimate


def order_agreement(reference: np.ndarray, judge: np.ndarray, resampler: Resampler) -> SameOrder:
    """Return how often *judge* orders two answers to one question as *reference* does.

    Args:
        reference: Shape (items,); NaN where there is no rating.
        judge: Likewise.
        resampler: Of the items; the question that an item answers is its cluster.

    Raises:
        ValueError: The arrays, or the resampler, are of other items.
    """
    pair = _of_items(np.stack([reference, judge]), resampler)
    kept = np.asarray(~np.isnan(pair).any(axis=0))
    counts, n_ties = np.zeros((pair.shape[1], 3)), 0
    paired = np.zeros(len(kept), bool)  # what Estimate.n counts
    for first, second in _within(resampler.clusters, kept):
        apart = np.sign(pair[:, first] - pair[:, second])
        n_ties += int(np.count_nonzero(apart[0] == 0))
        agree = np.where(apart[0] == 0, np.nan, apart[0] * apart[1])
        for k, outcome in enumerate((1, -1, 0)):
            counts[first, k] += agree == outcome
        paired[first] |= apart[0] != 0
        paired[second] |= apart[0] != 0
    parts = [Coefficient(counts, of) for of in (_decided, _halved, _tied)]
    decided, halved, tied = estimates(parts, paired, resampler, heavy=True)
    return SameOrder(decided, halved, tied, int(counts.sum()), n_ties)


def mean_agreement(ratings: np.ndarray, conditions: np.ndarray, resampler: Resampler) -> MeansAgree:
    """Return how far raters agree on conditions' means.

    Args:
        ratings: Shape (raters, items); NaN where one has not rated. Items without a rating of each
            rater are left out, so that all means of a condition are of the same items.
        conditions: The number of each item's condition, shape (items,).
        resampler: Of the items.

    Raises:
        ValueError: There are fewer than two raters, or the arrays are of other items.
    """
    ratings = _of_items(ratings, resampler)
    kept = np.asarray(~np.isnan(ratings).any(axis=0))
    codes = np.unique(np.asarray(conditions)[kept], return_inverse=True)[1]
    k, n = len(ratings), int(codes.max(initial=-1)) + 1
    middle = ratings[:, kept].mean() if kept.any() else 0.0
    member = np.zeros((ratings.shape[1], n))
    member[kept, codes] = 1.0
    own = np.where(kept, ratings - middle, 0.0)
    rows = np.concatenate([member[None], own[..., None] * member]).swapaxes(0, 1)
    scale = float(np.abs(own).max(initial=0.0))

    def means(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(*sums.shape[:-1], k + 1, n)
        with np.errstate(all="ignore"):
            return np.asarray(table[..., 1:, :] / table[..., :1, :])

    flat = rows.reshape(len(rows), (k + 1) * n)
    absolute, consistency, tau, ordinal, interval = estimates(
        [
            Coefficient(flat, lambda sums: icc(means(sums), scale)[0]),
            Coefficient(flat, lambda sums: icc(means(sums), scale)[1]),
            Coefficient(flat, lambda sums: tau_b(means(sums), scale)),
            Coefficient(flat, lambda sums: _alpha(_ranks(means(sums)), float(k * n))),
            Coefficient(flat, lambda sums: _alpha(means(sums), scale)),
        ],
        kept, resampler, heavy=True,
    )  # fmt: skip
    return MeansAgree(absolute, consistency, tau, n, ordinal, interval)


def _alpha(table: np.ndarray, scale: float) -> np.ndarray:
    """Return interval alpha of whole tables (..., raters, conditions); *scale*: their size."""
    k, n_values = table.shape[-2], table.shape[-2] * table.shape[-1]
    x, xx = table.sum(axis=-2), (table**2).sum(axis=-2)
    seen = 2 * ((k * xx - x**2) / (k - 1)).sum(axis=-1)
    expected = 2 * (n_values * xx.sum(axis=-1) - x.sum(axis=-1) ** 2)
    return 1 - ratio((n_values - 1) * seen, expected, n_values**2 * scale**2)


def _ranks(table: np.ndarray) -> np.ndarray:
    """Return ranks of whole tables, ties in the middle: ordinal alpha is the interval's of them."""
    from scipy.stats import rankdata

    flat = np.round(table, 9).reshape(*table.shape[:-2], -1)
    return np.asarray(rankdata(flat, axis=-1)).reshape(table.shape)


def _of_items(ratings: np.ndarray, resampler: Resampler) -> np.ndarray:
    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2 or len(ratings) < 2 or ratings.shape[1] != len(resampler.clusters):
        raise ValueError(
            f"ratings of shape {ratings.shape} and {len(resampler.clusters):,} items do not fit; "
            "give the shape (raters, items) with two raters at least"
        )
    return ratings


def _within(clusters: np.ndarray, kept: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of items of one question, by how far apart they stand in it."""
    order = np.flatnonzero(kept)
    order = order[np.argsort(clusters[order], kind="stable")]
    most = int(np.bincount(clusters[order], minlength=1).max())
    for lag in range(1, most):
        first, second = order[:-lag], order[lag:]
        same = clusters[first] == clusters[second]
        yield first[same], second[same]


def _decided(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 0] + sums[..., 1], 1.0)


def _halved(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0] + sums[..., 2] / 2, sums.sum(axis=-1), 1.0)


def _tied(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 2], sums.sum(axis=-1), 1.0)
