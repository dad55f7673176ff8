"""How many others each item is ahead of, in two orders at once. Pure."""

import numpy as np


def concordance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each item the others that both orders rank alike, less those ranked contrarily.

    Args:
        x: Shape (items,), without NaN.
        y: Likewise.

    Returns:
        Shape (items,): over j, the sum of sign(x_i - x_j) sign(y_i - y_j).
    """
    return np.asarray(_below(x, y) + _below(-x, -y) - _below(x, -y) - _below(-x, y))


def untied(x: np.ndarray) -> np.ndarray:
    """Return for each item the others whose value is not the same: shape (items,)."""
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray(len(x) - counts[codes], float)


def _below(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how many items are below each in x as well as in y: shape (items,).

    In the order of x, an item's count is of those before it whose y is smaller. Bit by bit of y's
    rank, from the highest: two ranks whose higher bits agree are ordered by this one (a wavelet
    tree, level by level). Of equal x the greater y comes first, so that none is before the other.
    """
    ranks = np.unique(y, return_inverse=True)[1]
    order = np.lexsort((-ranks, x))
    n_bits = int(ranks.max(initial=0)).bit_length()
    found = np.zeros(len(x))
    for bit in reversed(range(n_bits)):
        above = ranks[order] >> (bit + 1)
        one = (ranks[order] >> bit & 1).astype(bool)
        zeros = np.cumsum(~one)
        starts = np.flatnonzero(np.diff(above, prepend=-1))
        before = (zeros - ~one)[starts]
        sizes = np.diff(np.append(starts, len(x)))
        found[order[one]] += (zeros - np.repeat(before, sizes))[one]
        order = order[np.lexsort((one, above))]  # stable: within both in the order of x
    return found
