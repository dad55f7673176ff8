"""Paired tests by approximate randomisation: all pairs meet the same shuffles. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, counted_in, enough
from empathy_core.stats.resampling import (
    Product,
    Resampler,
    Score,
    by_blocks,
    one_thread_each,
    scored_total,
    swaps,
)

_AT_ONCE = 4096  # shuffles: the sums of a pair stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Sides:
    """Conditions on the two sides of a comparison: places of as many on either."""

    first: tuple[int, ...]
    second: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Comparisons on the same rows.

    Attributes:
        places: Of the conditions among all.
        away: What rows that are not shared add to the sums: shape (clusters, conditions,
            statistics); null: nothing.
        sums: Of the rows that are, likewise.
        sides: The comparisons, by places in *places*.
    """

    places: Sequence[int]
    away: np.ndarray | None
    sums: np.ndarray
    sides: Sequence[Sides]


@dataclass(frozen=True, slots=True)
class Tested:
    """What the shuffles show of one difference.

    Attributes:
        p: Two-sided; null where too many shuffles have no score.
        floor: The least p that could have been: of 2^c shuffles of c clusters that differ, two at
            least are as extreme as what was observed (it, and all of them swapped); of a number of
            shuffles, the observed one.
    """

    p: float | None
    floor: float


def randomised(
    sums: np.ndarray, groups: Sequence[Shared], score: Score, resampler: Resampler
) -> list[list[tuple[Tested, ...]]]:
    """Return for each group and comparison a test a column.

    In a shuffle each cluster's answers change sides or do not, with a chance of one half. Sums are
    linear, so that one product of shuffles and sums serves all comparisons, and the difference
    between two conditions' is what changes sides (swaps @ (S_j - S_i) = W_j - W_i). Shuffles are
    counted, not kept: memory does not grow with their number.

    Args:
        sums: Of each condition's own rows: shape (clusters, conditions, statistics).
        groups: Comparisons, by the rows that their conditions share.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
    """
    # what all conditions share does not change sides
    unlike = np.where((sums == sums[:, :1]).all(axis=(0, 1)), 0.0, sums)
    whole = Product(unlike)
    parts = [None if of.away is None else Product(of.away) for of in groups]
    observed = [[_Observed.of(group, sides, score) for sides in group.sides] for group in groups]

    def counted(rows: slice) -> list[list[np.ndarray]]:
        swapped = swaps(resampler, rows)
        mixed = _multiplied(whole, swapped, sums.shape[1:])
        found = []
        for group, away, of in zip(groups, parts, observed, strict=True):
            own = mixed[list(group.places)]
            if away is not None:
                own = own - _multiplied(away, swapped, own.shape[:2])
            found.append([one.extreme(own, score) for one in of])
        return found

    with one_thread_each():
        blocks = by_blocks(counted, resampler.shuffles, _AT_ONCE)
    return [
        [
            one.tests(np.sum([block[i][k] for block in blocks], axis=0), resampler.shuffles)
            for k, one in enumerate(of)
        ]
        for i, of in enumerate(observed)
    ]


def _multiplied(product: Product, swapped: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    result = np.empty((*shape, len(swapped)))
    product.fill(result.reshape(-1, len(swapped)), swapped)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Observed:
    """One comparison as it is.

    Attributes:
        totals: Sums of both sides: shape (2, conditions, statistics).
        least: How far from zero a shuffled difference must be, shape (columns,).
        floor: Shape (columns,).
    """

    sides: Sides
    totals: np.ndarray
    least: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(cls, group: Shared, sides: Sides, score: Score) -> "_Observed":
        both = np.stack([group.sums[:, list(of)] for of in (sides.first, sides.second)])
        totals = both.sum(axis=1)
        scores = scored_total(score, totals).mean(axis=1)
        # what differs by rounding alone is equal: counts give the same difference many times
        rounding = ROUNDING * np.abs(scores).max(axis=0)
        value = scores[1] - scores[0]
        alone = _differences(totals, np.moveaxis(both[1] - both[0], 0, -1), score)
        with np.errstate(invalid="ignore"):
            differ = np.count_nonzero(np.abs(alone - value[:, None]) > rounding[:, None], axis=-1)
        floor = np.ldexp(1.0, np.minimum(0, 1 - differ))
        return cls(sides, totals, np.abs(value) - rounding, floor)

    def extreme(self, mixed: np.ndarray, score: Score) -> np.ndarray:
        """Return how many shuffles are as extreme, and have a score: shape (2, columns)."""
        first, second = (mixed[list(of)] for of in (self.sides.first, self.sides.second))
        size = np.abs(_differences(self.totals, second - first, score))
        with np.errstate(invalid="ignore"):
            known, far = np.isfinite(size), size >= self.least[:, None]
        return np.stack([np.count_nonzero(known & far, axis=-1), np.count_nonzero(known, axis=-1)])

    def tests(self, counts: np.ndarray, n: int) -> tuple[Tested, ...]:
        """Return a test a column; *counts* as ``extreme`` has them, of all *n* shuffles."""
        found = []
        for n_extreme, n_known, exact in zip(*counts.tolist(), self.floor.tolist(), strict=True):
            floor = max(exact, 1 / (1 + n))
            p = max(counted_in(n_extreme, n_known), floor) if enough(n_known, n) else None
            found.append(Tested(p, floor))
        return tuple(found)


def _differences(totals: np.ndarray, swapped: np.ndarray, score: Score) -> np.ndarray:
    """Return second less first where some clusters' answers have changed sides.

    Args:
        totals: Sums of both sides: shape (2, conditions, statistics).
        swapped: Second less first in these clusters: shape (conditions, statistics, shuffles).
        score: ``MetricProtocol.score``.

    Returns:
        Mean over the conditions, shape (columns, shuffles).
    """
    changed = np.stack([totals[0][..., None] + swapped, totals[1][..., None] - swapped])
    with np.errstate(all="ignore"):  # a metric that divides by zero says so by NaN or infinity
        first, second = np.moveaxis(score(np.moveaxis(changed, -2, -1)), -1, -2)
        apart = second - first
        return np.asarray(apart[0] if len(apart) == 1 else apart.mean(axis=0))
