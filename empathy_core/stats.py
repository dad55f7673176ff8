"""Intervals and paired tests from per-row statistics, and corrections for many tests. Pure.

Rows that share a question are not independent, so whole questions (*clusters*) are drawn. A
resample is how often each cluster was drawn; times the clusters' sums of statistics, it is the
resample's sums, and ``MetricProtocol.score`` reduces these as it does the run's own. A corpus
score such as BLEU is thereby resampled exactly, and 10,000 resamples are one matrix product.

The draws depend on the seed and the number of clusters alone: conditions with the same rows meet
the same resamples under every metric.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEAST_CLUSTERS = 20
"""Below it a percentile interval covers too little: neither interval nor test is given."""
RESAMPLES = 10_000
LEVEL = 0.95
MOST_UNDEFINED = 0.01
"""Share of resamples that may have no score; above it there is neither interval nor test."""

_CHUNK = 1000  # resamples at once: 6 MB at 787 clusters
_BOOTSTRAP, _SWAPS = 0, 1  # streams of random numbers

Score = Callable[[np.ndarray], np.ndarray]
"""Sums of statistics (..., statistics) → scores (..., columns), NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """One score with its uncertainty.

    Attributes:
        value: Null where no row is scored.
        interval: Null under ``LEAST_CLUSTERS``, or where too many resamples have no score.
        n: Rows that the score is made of.
        n_unscored: Rows that the metric left out.
        n_clusters: Clusters with a scored row.
    """

    value: float | None
    interval: Interval | None
    n: int
    n_unscored: int
    n_clusters: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Two scores on the rows that both have, and what their difference may be worth.

    Attributes:
        first: Null where no row is scored by both, as are *second* and *value*.
        value: *second* less *first*.
        interval: Of *value*; null as in ``Estimate``, as are both p.
        p_bootstrap: Two-sided: share of resampled differences, moved to a mean of zero, that are
            at least as far from zero as *value* is.
        p_randomization: Two-sided, approximate randomisation: share of the shuffles, in which
            each cluster's two answers change places or do not, with such a difference.
        n: Rows scored by both.
        n_left_out: Rows that only one has scored, or none.
        n_clusters: Clusters with a row scored by both.
    """

    first: float | None
    second: float | None
    value: float | None
    interval: Interval | None
    p_bootstrap: float | None
    p_randomization: float | None
    n: int
    n_left_out: int
    n_clusters: int


@dataclass(frozen=True, slots=True, eq=False)
class Resampler:
    """How rows are drawn.

    Attributes:
        clusters: Shape (rows,): the number of each row's cluster.
        level: Share of resamples between the bounds of an interval.
    """

    clusters: np.ndarray
    n_resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL

    @classmethod
    def by(
        cls, labels: Iterable[object], n_resamples: int = RESAMPLES, seed: int = 0
    ) -> "Resampler":
        """Return a resampler of rows whose clusters bear *labels*, one for each row."""
        codes: dict[object, int] = {}
        return cls(
            np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.intp),
            n_resamples,
            seed,
        )


def interval(rows: np.ndarray, score: Score, resampler: Resampler) -> tuple[Estimate, ...]:
    """Return an estimate for each column of *score*, with its percentile interval.

    Args:
        rows: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
    """
    kept = ~np.isnan(rows).any(axis=1)
    sums = _cluster_sums(rows, resampler, kept)
    values = score(sums.sum(axis=0))
    resampled: np.ndarray | None = None
    if len(sums) >= LEAST_CLUSTERS:
        resampled = score(_weighted(_draws(resampler, len(sums)), sums))
    n = int(kept.sum())
    return tuple(
        Estimate(
            _or_null(value),
            None if resampled is None else _bounds(resampled[:, i], resampler.level),
            n,
            len(rows) - n,
            len(sums),
        )
        for i, value in enumerate(values)
    )


def paired_difference(
    first: np.ndarray, second: np.ndarray, score: Score, resampler: Resampler
) -> tuple[Difference, ...]:
    """Return *second* less *first* for each column of *score*, with interval and tests.

    Args:
        first: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        second: Of the same rows, in the same order.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
    """
    sums, n = _pair_sums(first, second, resampler)
    width = first.shape[1]
    ones = np.ones((1, len(sums)))
    scores = [score((ones @ side)[0]) for side in (sums[:, :width], sums[:, width:])]
    resampled = shuffled = None
    if len(sums) >= LEAST_CLUSTERS:
        resampled = _difference(_weighted(_draws(resampler, len(sums)), sums), score, width)
        swapped = _weighted(_swaps(resampler, len(sums)), sums[:, width:] - sums[:, :width])
        total = sums.sum(axis=0)
        shuffled = score(total[width:] - swapped) - score(total[:width] + swapped)
    counts = (n, len(first) - n, len(sums))
    return tuple(
        _tested(
            (_or_null(scores[0][i]), _or_null(scores[1][i])),
            None if resampled is None else resampled[:, i],
            None if shuffled is None else shuffled[:, i],
            counts,
            resampler.level,
        )
        for i in range(len(scores[0]))
    )


def resampled_differences(
    first: np.ndarray, second: np.ndarray, score: Score, resampler: Resampler
) -> np.ndarray:
    """Return *second* less *first* in every bootstrap resample: shape (resamples, columns)."""
    sums, _ = _pair_sums(first, second, resampler)
    return _difference(_weighted(_draws(resampler, len(sums)), sums), score, first.shape[1])


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p corrected so that one false finding among all has at most the chance it states.

    Holm (1979), A simple sequentially rejective multiple test procedure. The i-th smallest of k
    is multiplied by k - i + 1, and none is below the one before it. Null is no test, is not
    counted, and stays null.
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, i) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        corrected[i] = least
    return tuple(corrected)


# ---------------------------------------------------------------------------- sums


def _cluster_sums(rows: np.ndarray, resampler: Resampler, kept: np.ndarray) -> np.ndarray:
    """Return sums of shape (clusters with a kept row, statistics)."""
    found, codes = np.unique(resampler.clusters[kept], return_inverse=True)
    sums = np.zeros((len(found), rows.shape[1]))
    np.add.at(sums, codes, rows[kept])
    return sums


def _pair_sums(
    first: np.ndarray, second: np.ndarray, resampler: Resampler
) -> tuple[np.ndarray, int]:
    """Return sums of both side by side, and the number of rows scored by both."""
    both = np.hstack([first, second])
    kept = ~np.isnan(both).any(axis=1)
    return _cluster_sums(both, resampler, kept), int(kept.sum())


def _difference(sums: np.ndarray, score: Score, width: int) -> np.ndarray:
    return score(sums[:, width:]) - score(sums[:, :width])


def _weighted(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return weights (resamples, clusters) times sums (clusters, statistics).

    In double precision, in which sums of counts are exact; a chunk at a time, since the weights
    are bytes and would take eight times their memory.
    """
    parts = [
        weights[i : i + _CHUNK].astype(np.float64) @ sums for i in range(0, len(weights), _CHUNK)
    ]
    return np.concatenate(parts)


# ---------------------------------------------------------------------------- draws


def _draws(resampler: Resampler, n_clusters: int) -> np.ndarray:
    return _drawn(n_clusters, resampler.n_resamples, resampler.seed)


def _swaps(resampler: Resampler, n_clusters: int) -> np.ndarray:
    return _swapped(n_clusters, resampler.n_resamples, resampler.seed)


@lru_cache(maxsize=2)
def _drawn(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return how often each cluster was drawn: shape (resamples, clusters), multinomial.

    A count is at most the number of clusters; that one among thousands is drawn 256 times, more
    than a byte holds, does not happen.
    """
    random = _generator(seed, _BOOTSTRAP)
    counts = np.empty((n_resamples, n_clusters), dtype=np.uint8)
    for start, n in _chunks(n_resamples):
        drawn = random.integers(n_clusters, size=(n, n_clusters))
        drawn += np.arange(n)[:, None] * n_clusters
        flat = np.bincount(drawn.ravel(), minlength=n * n_clusters)
        counts[start : start + n] = flat.reshape(n, n_clusters)
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=2)
def _swapped(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return which clusters change places: shape (resamples, clusters), 0 or 1."""
    swaps = _generator(seed, _SWAPS).integers(2, size=(n_resamples, n_clusters), dtype=np.uint8)
    swaps.flags.writeable = False
    return swaps


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, stream))))


def _chunks(n: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_CHUNK, n - start)) for start in range(0, n, _CHUNK))


# ---------------------------------------------------------------------------- what they show


def _tested(
    scores: tuple[float | None, float | None],
    resampled: np.ndarray | None,
    shuffled: np.ndarray | None,
    counts: tuple[int, int, int],
    level: float,
) -> Difference:
    first, second = scores
    if first is None or second is None:
        return Difference(first, second, None, None, None, None, *counts)
    value = second - first
    if resampled is None or shuffled is None or (bounds := _bounds(resampled, level)) is None:
        return Difference(first, second, value, None, None, None, *counts)
    # what differs by rounding alone is equal: counts give the same difference many times
    least = abs(value) - 1e-12 * max(abs(first), abs(second))
    centred = resampled - np.nanmean(resampled)
    return Difference(
        first, second, value, bounds, _share(centred, least), _share(shuffled, least), *counts
    )


def _share(values: np.ndarray, least: float) -> float | None:
    """Return the share of values at least so far from zero, the observed one counted in.

    That one is what keeps the error at its level however few the resamples: Davison and Hinkley
    (1997), Bootstrap Methods and their Application, section 4.2.3.
    """
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - MOST_UNDEFINED) * len(values):
        return None
    return float((1 + np.count_nonzero(np.abs(defined) >= least)) / (1 + len(defined)))


def _bounds(values: np.ndarray, level: float) -> Interval | None:
    defined = values[~np.isnan(values)]
    if not len(defined) or len(defined) < (1 - MOST_UNDEFINED) * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
