"""Draws of whole clusters, sums under them, and what a resampled number shows. Pure.

Shapes: sums are (..., statistics), resampled sums (..., statistics, resamples) and resampled
scores (..., columns, resamples), so that each number's resamples lie beside each other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

LEAST_CLUSTERS = 20
"""Below it a percentile interval covers too little: neither interval nor test is given."""
RESAMPLES = 10_000
LEVEL = 0.95
MOST_UNDEFINED = 0.01
"""Share of resamples that may have no score; above it there is neither interval nor test."""
ROUNDING = 1e-12
"""Numbers that differ by less, in units of the scores they come from, are equal."""

_CHUNK = 250  # resamples at once: 1.6 MB at 787 clusters, which stays in a processor's cache
_ALL_ORDERED, _MOST_ORDERS = 8, 40_320  # 8 things have 40,320 orders
_BOOTSTRAP, _SWAPS, _ORDERS = 0, 1, 2  # streams of random numbers

Score = Callable[[np.ndarray], np.ndarray]
"""Sums of statistics (..., statistics) → scores (..., columns), NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Resampler:
    """How rows are drawn.

    Attributes:
        clusters: Shape (rows,): the number of each row's cluster, from 0 without gaps.
        level: Chance that an interval covers.
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

    @property
    def n_clusters(self) -> int:
        """Clusters, with or without a scored row."""
        return int(self.clusters.max(initial=-1)) + 1


# ---------------------------------------------------------------------------- rows and sums


def stacked(rows: Sequence[np.ndarray], resampler: Resampler) -> np.ndarray:
    """Return the statistics of several conditions: shape (conditions, rows, statistics).

    Raises:
        ValueError: The conditions have not the same rows, or these are not the resampler's.
    """
    if not rows:
        raise ValueError("no condition is given; at least one is needed")
    widths = sorted({of.shape[1] for of in rows})
    if len(widths) > 1:
        raise ValueError(
            f"conditions with {_listed(widths)} statistics a row cannot be compared; take all "
            "from one metric"
        )
    lengths = sorted({len(of) for of in rows} | {len(resampler.clusters)})
    if len(lengths) > 1:
        raise ValueError(
            f"conditions and clusters have {_listed(lengths)} rows; all must have the same rows in "
            "the same order, with NaN where one is not scored"
        )
    return np.stack(rows).astype(float, copy=False)


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(f"{n:,}" for n in numbers)


def scored_rows(stack: np.ndarray) -> np.ndarray:
    """Return which rows are scored: shape (..., rows) of statistics (..., rows, statistics)."""
    return np.asarray(~np.isnan(stack).any(axis=-1))


def scored_by_all(stack: np.ndarray) -> np.ndarray:
    """Return which rows all conditions have scored: shape (rows,)."""
    return np.asarray(scored_rows(stack).all(axis=0))


def cluster_sums(stack: np.ndarray, kept: np.ndarray, resampler: Resampler) -> np.ndarray:
    """Return sums of shape (clusters, conditions, statistics) over the rows that are kept.

    A cluster without such a row stays, with sums of zero: the draws are then the same whatever
    rows are kept, and how many of a resample's clusters have a score varies as in the sample.

    Args:
        stack: Shape (conditions, rows, statistics).
        kept: Shape (rows,) or (conditions, rows).
        resampler: Of the same rows.
    """
    filled = np.where(kept[..., None], stack, 0.0).swapaxes(0, 1)
    sums = np.zeros((resampler.n_clusters, *filled.shape[1:]))
    np.add.at(sums, resampler.clusters, filled)
    return sums


def n_scored_clusters(kept: np.ndarray, resampler: Resampler) -> int:
    """Return the number of clusters with a row of *kept*, shape (rows,)."""
    return len(np.unique(resampler.clusters[kept]))


def weighted(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return sums (clusters, ...) times weights (resamples, clusters): shape (..., resamples).

    In double precision, in which sums of counts are exact; a chunk at a time, since the weights
    are bytes and would take eight times their memory.
    """
    flat = sums.reshape(len(sums), -1)
    used = np.flatnonzero(flat.any(axis=1))
    if len(used) < len(flat):
        flat, weights = flat[used], weights[:, used]
    result = np.empty((flat.shape[1], len(weights)))
    for start, n in _chunks(len(weights)):
        result[:, start : start + n] = flat.T @ weights[start : start + n].astype(np.float64).T
    return result.reshape(*sums.shape[1:], len(weights))


def scored(score: Score, sums: np.ndarray) -> np.ndarray:
    """Return scores (..., columns, resamples) of sums (..., statistics, resamples)."""
    with np.errstate(all="ignore"):  # a metric that divides by zero says so by NaN
        return np.moveaxis(score(np.moveaxis(sums, -2, -1)), -1, -2)


def scored_total(score: Score, sums: np.ndarray) -> np.ndarray:
    """Return scores (..., columns) of sums (..., statistics)."""
    with np.errstate(all="ignore"):
        return score(sums)


# ---------------------------------------------------------------------------- draws


def draws(resampler: Resampler) -> np.ndarray:
    """Return how often each cluster is drawn: shape (resamples, clusters), multinomial."""
    return _drawn(resampler.n_clusters, resampler.n_resamples, resampler.seed)


def swaps(resampler: Resampler) -> np.ndarray:
    """Return which clusters change sides: shape (resamples, clusters), 0 or 1."""
    return _swapped(resampler.n_clusters, resampler.n_resamples, resampler.seed)


def orders(resampler: Resampler, n_conditions: int) -> np.ndarray:
    """Return an order of the conditions for each cluster: shape (conditions, resamples, clusters).

    ``orders[k]`` is the place that condition k takes; all orders are equally likely.
    """
    return _ordered(n_conditions, resampler.n_clusters, resampler.n_resamples, resampler.seed)


@lru_cache(maxsize=4)
def _drawn(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    """Draw clusters.

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


@lru_cache(maxsize=4)
def _swapped(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    swapped = _generator(seed, _SWAPS).integers(2, size=(n_resamples, n_clusters), dtype=np.uint8)
    swapped.flags.writeable = False
    return swapped


@lru_cache(maxsize=4)
def _ordered(n_conditions: int, n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    random = _generator(seed, _ORDERS)
    table = _arrangements(n_conditions, random)
    codes = random.integers(len(table), size=(n_resamples, n_clusters), dtype=np.uint16)
    ordered = table.T[:, codes]
    ordered.flags.writeable = False
    return ordered


def _arrangements(n: int, random: np.random.Generator) -> np.ndarray:
    """Return orders of n things, shape (orders, n): all up to 8 of them, else a large sample."""
    from itertools import permutations

    if n <= _ALL_ORDERED:
        return np.array(list(permutations(range(n))), dtype=np.uint8)
    many = np.broadcast_to(np.arange(n, dtype=np.uint8), (_MOST_ORDERS, n))
    return random.permuted(many, axis=1)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, stream))))


def _chunks(n: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_CHUNK, n - start)) for start in range(0, n, _CHUNK))


# ---------------------------------------------------------------------------- what they show


def defined(values: np.ndarray) -> np.ndarray | None:
    """Return the resamples (resamples,) that have a score; null if too many have none."""
    finite = np.isfinite(values)
    if finite.all():
        return values if len(values) else None
    kept = values[finite]
    enough = len(kept) >= (1 - MOST_UNDEFINED) * len(values)
    return kept if len(kept) and enough else None


def bounds(values: np.ndarray, n_clusters: int, level: float) -> Interval:
    """Return the percentile interval of *values* (resamples,), widened for few clusters.

    The bootstrap's variance is that of a sample of n by the divisor n, and its tails are the
    normal's, so that a plain percentile interval is too narrow by sqrt((n - 1) / n) and by the
    normal's quantile over Student's. Hence the tail of alpha / 2 becomes
    Phi(-sqrt(n / (n - 1)) t(1 - alpha / 2; n - 1)), n the number of clusters: Hesterberg (2015),
    What Teachers Should Know About the Bootstrap, The American Statistician 69(4), 371-386,
    section 5.3 ("expanded percentile interval").
    """
    tail = _tail(n_clusters, level)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


@lru_cache(maxsize=256)
def _tail(n_clusters: int, level: float) -> float:
    from scipy.special import ndtr, stdtrit

    student = stdtrit(n_clusters - 1, (1 + level) / 2)
    return float(ndtr(-sqrt(n_clusters / (n_clusters - 1)) * student))


def standard_error(values: np.ndarray, n_clusters: int, scale: float) -> float:
    """Return the standard deviation of *values* (resamples,), by the divisor n - 1 of clusters.

    That is the bootstrap's times sqrt(n / (n - 1)): of a mean of independent rows it is then the
    usual s / sqrt(n). Zero where it is rounding on the *scale* of the scores.
    """
    error = float(values.std()) * sqrt(n_clusters / (n_clusters - 1))
    return error if error > ROUNDING * scale else 0.0


def p_centred(values: np.ndarray, least: float, n_clusters: int) -> float:
    """Return the two-sided p of a bootstrap moved to a mean of zero, ``calibrated``.

    The share of *values* (resamples,), less their mean, that are at least so far from zero.
    """
    return calibrated(share(values - values.mean(), least), n_clusters)


def calibrated(p: float, n_clusters: int) -> float:
    """Return a bootstrap's two-sided p corrected for few clusters.

    It is read as a normal's two tails, z(1 - p / 2), and Student's tails are taken there:
    2 T(-sqrt((n - 1) / n) z; n - 1). That is the inverse of what ``bounds`` does to a tail, so that
    test and interval are widened alike; uncalibrated, a test at 5 % finds 7 % of nothing at 20
    clusters, calibrated 5 %.
    """
    from scipy.special import ndtri, stdtr

    student = stdtr(n_clusters - 1, sqrt((n_clusters - 1) / n_clusters) * ndtri(p / 2))
    return min(1.0, float(2 * student))


def share(values: np.ndarray, least: float) -> float:
    """Return the share of values at least so far from zero, the observed one counted in.

    That one is what keeps the error at its level however few the resamples: Davison and Hinkley
    (1997), Bootstrap Methods and their Application, section 4.2.3.
    """
    return float((1 + np.count_nonzero(np.abs(values) >= least)) / (1 + len(values)))


def or_null(value: float) -> float | None:
    """Return a score, null where there is none."""
    return float(value) if np.isfinite(value) else None
