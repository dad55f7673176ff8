"""Every two of several conditions, at the price of a few pairs. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from empathy_core.stats.resampling import (
    LEAST_CLUSTERS,
    Interval,
    Resampler,
    Score,
    bounds,
    cluster_sizes,
    cluster_sums,
    defined,
    draws,
    or_null,
    scored,
    scored_rows,
    scored_total,
    stacked,
    swaps,
    weighted,
)
from empathy_core.stats.results import (
    Counts,
    Difference,
    Estimate,
    differences,
    shuffled_differences,
)


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Several conditions on the same rows.

    Attributes:
        estimates: One a column, for each condition, on the rows that it has scored.
        differences: (i, j) → condition j less condition i, one a column, on the rows that both
            have scored.
    """

    estimates: tuple[tuple[Estimate, ...], ...]
    differences: Mapping[tuple[int, int], tuple[Difference, ...]]


def compare_all(
    rows: Sequence[np.ndarray],
    score: Score,
    resampler: Resampler,
    pairs: Iterable[tuple[int, int]] | None = None,
) -> AllPairs:
    """Return an estimate of each condition and the differences of pairs, one a column of *score*.

    The numbers of ``interval`` and ``paired_difference``, at the price of a few pairs: sums are
    linear, so one product of draws and sums serves all conditions, and the swapped sums of a pair
    are the difference of two conditions' (swaps @ (S_j - S_i) = W_j - W_i).

    Args:
        rows: Statistics of shape (rows, statistics) for each condition, all of the same rows in
            the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
        pairs: Which (first, second); null: every two conditions, the earlier one first.

    Raises:
        ValueError: The conditions, or the resampler, are of different rows, or a pair names a
            condition that is not there.
    """
    chosen = tuple(combinations(range(len(rows)), 2) if pairs is None else pairs)
    unknown = sorted({i for pair in chosen for i in pair} - set(range(len(rows))))
    if unknown:
        raise ValueError(f"pairs name conditions {unknown}, but there are 0 to {len(rows) - 1}")
    own = _Conditions.of(stacked(rows, resampler), score, resampler, shuffle=bool(chosen))
    differences: dict[tuple[int, int], tuple[Difference, ...]] = {}
    for kept, members in _by_rows(own.kept, chosen):
        among = own.on(kept, sorted({i for pair in members for i in pair}))
        differences |= {pair: among.difference(*pair) for pair in members}
    return AllPairs(
        tuple(own.estimates(i) for i in range(len(rows))),
        {pair: differences[pair] for pair in chosen},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Conditions:
    """Sums of several conditions as they are, drawn and swapped.

    Attributes:
        stack: Shape (conditions, rows, statistics), as all that follow.
        kept: Shape (conditions, rows): the rows that the sums are over.
        total: Shape (conditions, statistics).
        drawn: Shape (conditions, statistics, resamples); null: no condition has enough clusters.
        swapped: The same for swaps; null also where no pair is asked for.
        scores: The drawn sums' scores: shape (conditions, columns, resamples).
        among: Number of a condition → its place.
    """

    stack: np.ndarray
    kept: np.ndarray
    total: np.ndarray
    drawn: np.ndarray | None
    swapped: np.ndarray | None
    scores: np.ndarray | None
    among: Mapping[int, int]
    score: Score
    resampler: Resampler

    @classmethod
    def of(
        cls, stack: np.ndarray, score: Score, resampler: Resampler, *, shuffle: bool
    ) -> "_Conditions":
        """Return the conditions, each on the rows that it has scored."""
        kept = scored_rows(stack)
        sums = cluster_sums(stack, kept, resampler)
        total = sums.sum(axis=0)
        among = {i: i for i in range(len(stack))}
        drawn = swapped = scores = None
        if max(len(cluster_sizes(of, resampler)) for of in kept) >= LEAST_CLUSTERS:
            drawn = weighted(draws(resampler), sums)
            swapped = weighted(swaps(resampler), sums) if shuffle else None
            scores = _scored(score, drawn)
        return cls(stack, kept, total, drawn, swapped, scores, among, score, resampler)

    def on(self, kept: np.ndarray, numbers: Sequence[int]) -> "_Conditions":
        """Return conditions on the rows *kept*, shape (rows,), all of which they have scored.

        What the other rows add to the sums is taken away, since they are few.
        """
        places = [self.among[i] for i in numbers]
        lost = self.kept[places] & ~kept
        if not lost.any():
            return self
        stack = self.stack[places]
        among = {number: place for place, number in enumerate(numbers)}
        on_rows = np.broadcast_to(kept, lost.shape)
        total = cluster_sums(stack, on_rows, self.resampler).sum(axis=0)
        drawn, swapped, scores = self.drawn, self.swapped, self.scores
        if drawn is not None and swapped is not None and scores is not None:
            away = cluster_sums(stack, lost, self.resampler)
            drawn = drawn[places] - weighted(draws(self.resampler), away)
            swapped = swapped[places] - weighted(swaps(self.resampler), away)
            scores = _scored(self.score, drawn)
        return _Conditions(
            stack, on_rows, total, drawn, swapped, scores, among, self.score, self.resampler
        )

    def estimates(self, number: int) -> tuple[Estimate, ...]:
        place = self.among[number]
        values = scored_total(self.score, self.total[place])
        counts = Counts.of(self.kept[place], self.resampler)
        return tuple(
            Estimate(or_null(value), self._bounds(place, column, counts), *counts.fields)
            for column, value in enumerate(values)
        )

    def _bounds(self, place: int, column: int, counts: Counts) -> Interval | None:
        if self.scores is None or not counts.enough:
            return None
        values = defined(self.scores[place, column])
        if values is None:
            return None
        return bounds(values, counts.effective, self.resampler.level)

    def difference(self, first: int, second: int) -> tuple[Difference, ...]:
        i, j = self.among[first], self.among[second]
        counts = Counts.of(self.kept[i], self.resampler)
        resampled = shuffled = None
        if counts.enough and self.scores is not None and self.swapped is not None:
            resampled = self.scores[j] - self.scores[i]
            swapped = self.swapped[j] - self.swapped[i]
            shuffled = shuffled_differences(self.total[i], self.total[j], swapped, self.score)
        sides = scored_total(self.score, self.total[[i, j]])
        return differences(sides, resampled, shuffled, counts, self.resampler.level)


def _by_rows(
    kept: np.ndarray, pairs: Iterable[tuple[int, int]]
) -> Iterator[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Yield rows scored by both, shape (rows,), with the pairs of which they are these."""
    groups: dict[bytes, tuple[np.ndarray, list[tuple[int, int]]]] = {}
    for i, j in pairs:
        both = kept[i] & kept[j]
        groups.setdefault(both.tobytes(), (both, []))[1].append((i, j))
    yield from groups.values()


def _scored(score: Score, drawn: np.ndarray) -> np.ndarray:
    """Return scores (conditions, columns, resamples); one condition at a time, for the cache."""
    return np.stack([scored(score, of) for of in drawn])
