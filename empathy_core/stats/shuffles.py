"""Paired tests by approximate randomisation: all pairs meet the same shuffles. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, counted_in, enough, extremes
from empathy_core.stats.resampling import (
    Product,
    Resampler,
    ScoreFunction,
    by_blocks,
    one_thread_each,
    scored_total,
    swaps,
)
from empathy_core.types import Column

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
    sums: np.ndarray,
    groups: Sequence[Shared],
    score: ScoreFunction,
    resampler: Resampler,
    columns: Sequence[Column] = (),
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
        columns: ``MetricProtocol.columns``, which say what is a ratio; none: no column is.
    """
    observed = [_Group.of(group, score, columns) for group in groups]
    needed = np.zeros(sums.shape[-1], dtype=bool)
    needed[[number for of in observed for number in of.statistics]] = True
    # what all conditions share does not change sides
    unlike = needed & ~(sums == sums[:, :1]).all(axis=(0, 1))
    whole = Product(np.where(unlike, sums, 0.0))

    def counted(rows: slice) -> list[list[np.ndarray]]:
        swapped = swaps(resampler, rows)
        mixed = _multiplied(whole, swapped, sums.shape[1:])
        if any(of.away for of in observed):  # each takes a few clusters of all
            swapped = np.asfortranarray(swapped)
        return [of.extreme(mixed, swapped, score) for of in observed]

    with one_thread_each():
        blocks = by_blocks(counted, resampler.shuffles, _AT_ONCE)
    return [
        [
            one.tests(np.sum([block[i][k] for block in blocks], axis=0), resampler.shuffles)
            for k, one in enumerate(of.comparisons)
        ]
        for i, of in enumerate(observed)
    ]


def _multiplied(product: Product, swapped: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    result = np.empty((*shape, len(swapped)))
    product.fill(result.reshape(-1, len(swapped)), swapped)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Comparisons on the same rows, and what of the shuffled sums they need.

    Attributes:
        places: Of the conditions among all.
        statistics: Numbers of those that a comparison looks at: of ratios the upper ones.
        away: What rows that are not shared add to these statistics; null: nothing.
    """

    places: Sequence[int]
    statistics: Sequence[int]
    away: Product | None
    comparisons: Sequence["_Observed"]

    @classmethod
    def of(cls, shared: Shared, score: ScoreFunction, columns: Sequence[Column]) -> "_Group":
        found = [_Observed.of(shared, sides, score, columns) for sides in shared.sides]
        needed: Sequence[int] = range(shared.sums.shape[-1])
        if not any(of.others for of in found):
            needed = sorted({one.statistic for of in found for one in of.linear})
        away = None if shared.away is None else Product(shared.away[..., needed])
        return cls(shared.places, needed, away, found)

    def extreme(
        self, mixed: np.ndarray, swapped: np.ndarray, score: ScoreFunction
    ) -> list[np.ndarray]:
        """Return ``_Observed.extreme`` of each comparison.

        Args:
            mixed: What changes sides: shape (conditions, statistics, shuffles).
            swapped: Which clusters do, shape (shuffles, clusters).
            score: ``MetricProtocol.score``.
        """
        every = [*range(mixed.shape[0])], [*range(mixed.shape[1])]
        if every == ([*self.places], [*self.statistics]):
            own = mixed
        else:
            own = mixed[np.ix_(self.places, self.statistics)]
        if self.away is not None:
            own = own - _multiplied(self.away, swapped, own.shape[:2])
        at = {number: place for place, number in enumerate(self.statistics)}
        return [one.extreme(own, at, score) for one in self.comparisons]


@dataclass(frozen=True, slots=True, eq=False)
class _Observed:
    """One comparison as it is.

    Attributes:
        totals: Sums of both sides: shape (2, conditions, statistics).
        least: How far from zero a shuffled difference must be, shape (columns,).
        floor: Least p of so many clusters that differ, likewise: of a ratio, in its statistics; of
            other columns, in any.
        linear: Columns that need no call of *score*, and the limits of what changes sides.
        others: The other columns.
    """

    sides: Sides
    totals: np.ndarray
    least: np.ndarray
    floor: np.ndarray
    linear: Sequence["_Linear"]
    others: Sequence[int]

    @classmethod
    def of(
        cls, group: Shared, sides: Sides, score: ScoreFunction, columns: Sequence[Column]
    ) -> "_Observed":
        both = np.stack([group.sums[:, list(of)] for of in (sides.first, sides.second)])
        totals, apart = both.sum(axis=1), both[1] - both[0]
        scores = scored_total(score, totals).mean(axis=1)
        # what differs by rounding alone is equal: counts give the same difference many times
        rounding = ROUNDING * np.abs(scores).max(axis=0)
        values = scores[1] - scores[0]
        least = np.abs(values) - rounding
        unlike = (apart != 0).any(axis=1)  # (clusters, statistics)
        fixed = ~unlike.any(axis=0)  # no shuffle changes these statistics
        ratios = {i: list(column.ratio) for i, column in enumerate(columns) if column.ratio}
        differ = [
            np.count_nonzero(unlike[:, ratios.get(i, slice(None))].any(axis=-1))
            for i in range(len(values))
        ]
        floor = np.ldexp(1.0, np.minimum(0, 1 - np.array(differ)))
        linear = [
            _Linear.of(i, ratio[0], totals[:, 0, ratio], least[i])
            for i, ratio in ratios.items()
            if fixed[ratio[1]] and len(sides.first) == 1 and np.isfinite(values[i])
        ]
        done = {of.column for of in linear}
        others = [i for i in range(len(values)) if i not in done]
        return cls(sides, totals, least, floor, linear, others)

    def extreme(self, mixed: np.ndarray, at: Mapping[int, int], score: ScoreFunction) -> np.ndarray:
        """Return how many shuffles are as extreme, and have a score: shape (2, columns).

        Args:
            mixed: What changes sides: shape (conditions, statistics, shuffles).
            at: Number of a statistic → its place in *mixed*; all are there if any of *others* is.
            score: ``MetricProtocol.score``.
        """
        counts = np.full((2, len(self.least)), mixed.shape[-1])
        first, second = self.sides.first, self.sides.second
        for of in self.linear:
            place = at[of.statistic]
            counts[0, of.column] = of.extreme(mixed[first[0], place], mixed[second[0], place])
        if self.others:
            one = len(first) == 1  # a view rather than a copy
            swapped = (
                (mixed[second[0]] - mixed[first[0]])[None] if one
                else mixed[list(second)] - mixed[list(first)]
            )  # fmt: skip
            found = _differences(self.totals, swapped, score)
            for column in self.others:
                counts[:, column] = extremes(found[column], self.least[column])
        return counts

    def tests(self, counts: np.ndarray, n: int) -> tuple[Tested, ...]:
        """Return a test a column; *counts* as ``extreme`` has them, of all *n* shuffles."""
        found = []
        for n_extreme, n_known, exact in zip(*counts.tolist(), self.floor.tolist(), strict=True):
            floor = max(exact, 1 / (1 + n))
            p = max(counted_in(n_extreme, n_known), floor) if enough(n_known, n) else None
            found.append(Tested(p, floor))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Linear:
    """A column that is a ratio whose lower sum no shuffle changes, d on both sides.

    With upper sums a and c, of which w changes sides, the difference is (c - a - 2 w) / d: it is
    as extreme as was observed where w does not lie between two limits.
    """

    column: int
    statistic: int
    low: float
    high: float

    @classmethod
    def of(cls, column: int, statistic: int, totals: np.ndarray, least: float) -> "_Linear":
        """Return it; *totals* of shape (2, 2) are (a, d) and (c, d)."""
        middle, far = float(totals[1, 0] - totals[0, 0]) / 2, abs(float(least * totals[1, 1])) / 2
        return cls(column, statistic, *((middle - far, middle + far) if least > 0 else (0, -1)))

    def extreme(self, first: np.ndarray, second: np.ndarray) -> int:
        """Return how many of some shuffles are; of each, what changes sides from either."""
        if self.low > self.high:  # nothing is observed, and every shuffle is as extreme
            return len(first)
        changed = second - first
        return int(np.count_nonzero(changed <= self.low) + np.count_nonzero(changed >= self.high))


def _differences(totals: np.ndarray, swapped: np.ndarray, score: ScoreFunction) -> np.ndarray:
    """Return second less first where some clusters' answers have changed sides.

    Args:
        totals: Sums of both sides: shape (2, conditions, statistics).
        swapped: Second less first in these clusters: shape (conditions, statistics, shuffles).
        score: ``MetricProtocol.score``.

    Returns:
        Mean over the conditions, shape (columns, shuffles).
    """
    changed = np.empty((2, *swapped.shape))
    np.add(totals[0][..., None], swapped, out=changed[0])
    np.subtract(totals[1][..., None], swapped, out=changed[1])
    with np.errstate(all="ignore"):  # a metric that divides by zero says so by NaN or infinity
        first, second = np.moveaxis(score(np.moveaxis(changed, -2, -1)), -1, -2)
        apart = second - first
        return np.asarray(apart[0] if len(apart) == 1 else apart.mean(axis=0))
