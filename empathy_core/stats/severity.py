"""How strict raters are, and what answers get without it where not all rate the same. Pure.

The additive model of a two-way layout, rating = answer + rater + rest, by least squares, also of
an incomplete one: Yates (1934), The analysis of multiple classifications with unequal numbers in
the different classes, Journal of the American Statistical Association 29(185).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Severities:
    """How much higher than others each rater rates.

    Attributes:
        effects: Shape (raters,): in units of the rating; their mean over all ratings is 0, so that
            taking them off moves no mean of all. All 0 where they cannot be told.
        connected: Whether answers that raters share connect all of them, directly or through
            others; else how strict they are cannot be told from what they rated.
    """

    effects: np.ndarray
    connected: bool


def severities(values: np.ndarray, items: np.ndarray, raters: np.ndarray) -> Severities:
    """Return the raters' effects beside those of the answers.

    Args:
        values: Shape (ratings,), finite.
        items: Shape (ratings,): the answer of each, whole numbers from 0.
        raters: Shape (ratings,): likewise, the rater.
    """
    n_items, n_raters = int(items.max(initial=-1)) + 1, int(raters.max(initial=-1)) + 1
    seen = np.zeros((n_items, n_raters))
    np.add.at(seen, (items, raters), 1.0)
    sizes = np.bincount(items, minlength=n_items)
    # answers swept out: the normal equations of the raters alone
    shared = np.diag(seen.sum(axis=0)) - seen.T @ (seen / np.maximum(1, sizes)[:, None])
    means = np.bincount(items, values, n_items) / np.maximum(1, sizes)
    own = np.bincount(raters, values - means[items], n_raters)
    connected = int(np.linalg.matrix_rank(shared)) == n_raters - 1
    if not connected or n_raters < 2:
        return Severities(np.zeros(n_raters), connected)
    effects = np.linalg.pinv(shared) @ own
    return Severities(effects - effects[raters].mean(), connected)
