"""Every two of several conditions, at the price of a few pairs. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from empathy_core.stats.conditions import Conditions
from empathy_core.stats.ratios import narrowed
from empathy_core.stats.resampling import Resampler, ScoreFunction, scored_rows, stack_conditions
from empathy_core.stats.results import Counts, Difference, Estimate
from empathy_core.stats.shuffles import Sides
from empathy_core.types import Column


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
    score: ScoreFunction,
    resampler: Resampler,
    pairs: Iterable[tuple[int, int]] | None = None,
    columns: Sequence[Column] = (),
) -> AllPairs:
    """Return an estimate of each condition and the differences of pairs, one a column of *score*.

    The numbers of ``interval`` and ``paired_difference``, at the price of a few pairs: sums are
    linear, so one product of draws and sums serves all conditions.

    Args:
        rows: Statistics of shape (rows, statistics) for each condition, all of the same rows in
            the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows; its ``for_tests`` says how many tests p is corrected for.
        pairs: Which (first, second); null: every two conditions, the earlier one first.
        columns: ``MetricProtocol.columns``, which say what is a share and what a row can score;
            none: no column is a share, and scores have no limits.

    Raises:
        ValueError: The conditions, or the resampler, are of different rows, a pair names a
            condition that is not there, or a share is none.
    """
    chosen = tuple(combinations(range(len(rows)), 2) if pairs is None else pairs)
    unknown = sorted({i for pair in chosen for i in pair} - set(range(len(rows))))
    if unknown:
        raise ValueError(f"pairs name conditions {unknown}, but there are 0 to {len(rows) - 1}")
    stack = stack_conditions(rows, resampler)
    kept = scored_rows(stack)
    stack, score, columns = narrowed(stack, score, columns)
    own = Conditions.of(stack, kept, score, resampler, columns)
    found = dict(_differences(own, chosen))
    return AllPairs(own.estimates(), {pair: found[pair] for pair in chosen})


def _differences(
    own: Conditions, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], tuple[Difference, ...]]]:
    """Yield the differences of pairs, by the rows that both have scored."""
    groups = [
        (members, own.shared(kept, [Sides((i,), (j,)) for i, j in members]))
        for kept, members in _by_rows(own.kept, pairs)
        if Counts.of(kept, own.resampler).enough
    ]
    shared = [of for _, of in groups]
    found = own.tests(shared) if shared else []
    tests = dict(zip((pair for of, _ in groups for pair in of), chain(*found), strict=True))
    for kept, members in _by_rows(own.kept, pairs):
        among = own.on(kept, sorted({i for pair in members for i in pair}))
        for i, j in members:
            yield (i, j), among.difference(Sides((i,), (j,)), tests.get((i, j)))


def _by_rows(
    kept: np.ndarray, pairs: Iterable[tuple[int, int]]
) -> Iterator[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Yield rows scored by both, shape (rows,), with the pairs of which they are these."""
    groups: dict[bytes, tuple[np.ndarray, list[tuple[int, int]]]] = {}
    for i, j in pairs:
        both = kept[i] & kept[j]
        groups.setdefault(both.tobytes(), (both, []))[1].append((i, j))
    yield from groups.values()
