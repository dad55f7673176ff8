"""Coefficients of two raters, as means over pairs of raters that share items. Pure.

All but Kendall's tau are functions of the same five sums over the items that both have rated, so
that whole questions are resampled exactly and gaps need no care.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from empathy_core.stats.coefficients import Coefficient, ratio

Pairs = Sequence[tuple[int, int]]
"""Numbers of two raters each."""


def all_pairs(n_raters: int) -> Pairs:
    """Return every two raters."""
    return [*combinations(range(n_raters), 2)]


def first_with_each(n_raters: int) -> Pairs:
    """Return the first with each of the others: a judge with people."""
    return [(0, other) for other in range(1, n_raters)]


def by_pair(
    ratings: np.ndarray,
    statistics: Callable[[np.ndarray, np.ndarray], np.ndarray],
    reduce: Callable[[np.ndarray], np.ndarray],
    pairs: Pairs,
) -> Coefficient:
    """Return a coefficient that is the mean over pairs of raters.

    Args:
        ratings: Shape (raters, items); NaN where there is none.
        statistics: Ratings of two raters of the items that both have rated → (items, statistics).
        reduce: Sums (..., statistics) → (...,), NaN where there is none.
        pairs: Which raters.
    """
    rows = []
    for i, j in pairs:
        both = ~np.isnan(ratings[i] + ratings[j])
        own = statistics(ratings[i, both], ratings[j, both])
        filled = np.zeros((len(both), own.shape[1]))
        filled[both] = own
        rows.append(filled)

    def mean(sums: np.ndarray) -> np.ndarray:
        found = reduce(sums.reshape(*sums.shape[:-1], len(rows), -1))
        known = np.isfinite(found)
        return ratio(np.where(known, found, 0.0).sum(axis=-1), known.sum(axis=-1), 1.0)

    return Coefficient(np.concatenate(rows, axis=1), mean)


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones_like(x), x, y, x**2 + y**2, x * y])


def kappa(ratings: np.ndarray, scale: float, pairs: Pairs) -> Coefficient:
    """Return the quadratically weighted kappa: 1 - squared differences, seen over expected.

    Args:
        ratings: Shape (raters, items), with a mean near zero.
        scale: Size of a rating.
        pairs: Which raters.
    """

    def reduce(sums: np.ndarray) -> np.ndarray:
        n, x, y, squares, products = np.moveaxis(sums, -1, 0)
        with np.errstate(all="ignore"):
            expected = squares - 2 * x * y / n
        return 1 - ratio(squares - 2 * products, expected, n * scale**2)

    return by_pair(ratings, _moments, reduce, pairs)


def alpha(ratings: np.ndarray, scale: float, pairs: Pairs) -> Coefficient:
    """Return Krippendorff's interval alpha of every two raters; arguments as of ``kappa``."""

    def reduce(sums: np.ndarray) -> np.ndarray:
        n, x, y, squares, products = np.moveaxis(sums, -1, 0)
        expected = 2 * n * squares - (x + y) ** 2
        return 1 - ratio((2 * n - 1) * (squares - 2 * products), expected, n**2 * scale**2)

    return by_pair(ratings, _moments, reduce, pairs)


def intraclass(
    ratings: np.ndarray, scale: float, pairs: Pairs
) -> tuple[Coefficient, Coefficient]:  # fmt: skip
    """Return ICC(A,1) and ICC(C,1) of every two raters; arguments as of ``kappa``."""

    def reduce(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, x, y, squares, products = np.moveaxis(sums, -1, 0)
        of_items = squares + 2 * products  # (x + y)^2
        return mean_squares(n, of_items, squares, np.stack([x, y], axis=-1), 2, scale)

    return (
        by_pair(ratings, _moments, lambda sums: reduce(sums)[0], pairs),
        by_pair(ratings, _moments, lambda sums: reduce(sums)[1], pairs),
    )


def mean_squares(
    n: np.ndarray, of_items: np.ndarray, squares: np.ndarray, of_raters: np.ndarray, k: int,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return both ICC: of mean squares of items, raters and rest of a two-way layout.

    Args:
        n: Items.
        of_items: Sum of the squares of the items' sums.
        squares: Sum of the squares of all ratings.
        of_raters: Sums of the *k* raters, shape (..., k).
        k: Raters.
        scale: Size of a rating.
    """
    with np.errstate(all="ignore"):
        whole = of_raters.sum(axis=-1) ** 2 / (n * k)
        items, raters = of_items / k - whole, (of_raters**2).sum(axis=-1) / n - whole
        rest = (squares - whole - items - raters) / ((n - 1) * (k - 1))
        items, raters = items / (n - 1), raters / (k - 1)
        total = items + (k - 1) * rest
        severity = k / n * (raters - rest)
        apart, absolute = items - rest, total + severity
    return ratio(apart, absolute, scale**2), ratio(apart, total, scale**2)
