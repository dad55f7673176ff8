"""Draws of whole clusters, and exact sums under them. Pure.

Statistics are rounded to a grid (``on_grid``) on which sums are exact, so that a seed gives the
same digits in whatever order, company, or number of threads they are summed.

Shapes: sums are (..., statistics), resampled sums (..., statistics, resamples) and resampled
scores (..., columns, resamples), so that each number's resamples lie beside each other.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from threading import RLock
from typing import Any, TypeVar

import numpy as np

LEAST_CLUSTERS = 20
"""Below it an interval covers too little: neither interval nor test is given."""
RESAMPLES = 10_000
LEVEL = 0.95
ALPHA = 0.05
EXTREME_SHUFFLES = 20
"""How many shuffles lie beyond the least p that a corrected test may need, at least."""

_BLOCK = 200  # resamples at once, each block with a stream of its own: 1.3 MB at 787 clusters
_CELLS = 160_000  # of resamples x clusters at once, at least
_WHOLE = 2**24  # below it single precision holds whole numbers
_FEW = 16  # sums that are not worth weights in single precision beside those in double
_THREADS = min(2, os.cpu_count() or 1)
_MOST_KEPT = 2**29  # bytes of draws that wait for the next metric; 20,000 clusters take 0.4 GB
_ALL_ORDERED, _MOST_ORDERS = 8, 40_320  # 8 things have 40,320 orders
_BOOTSTRAP, _SWAPS, _ORDERS, _ARRANGEMENTS = 0, 1, 2, 3  # streams of random numbers

Done = TypeVar("Done")

ScoreFunction = Callable[[np.ndarray], np.ndarray]
"""Sums of statistics (..., statistics) → scores (..., columns), NaN where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Resampler:
    """How rows are drawn.

    Attributes:
        clusters: Shape (rows,): the number of each row's cluster, from 0 without gaps.
        n_resamples: Of a bootstrap.
        level: Chance that an interval covers.
        n_shuffles: Of a test by randomisation; null: as many as resamples. See ``for_tests``.

    Raises:
        ValueError: A cluster's number or the seed is negative, nothing is drawn, or the level is
            not between 0.5 and 1.
    """

    clusters: np.ndarray
    n_resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL
    n_shuffles: int | None = None

    def __post_init__(self) -> None:
        if self.clusters.ndim != 1 or self.clusters.min(initial=0) < 0:
            raise ValueError("clusters must be one list of numbers from 0 up; see Resampler.by")
        if min(self.n_resamples, self.shuffles) < 1 or self.seed < 0:
            raise ValueError(
                f"at least one resample, one shuffle, and a seed from 0 up are needed, not "
                f"{self.n_resamples:,}, {self.shuffles:,} and {self.seed}"
            )
        if not 0.5 < self.level < 1:
            raise ValueError(f"the level must be between 0.5 and 1, not {self.level}; take {LEVEL}")

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

    def for_tests(self, n_tests: int) -> "Resampler":
        """Return one that shuffles often enough for a family of *n_tests*; see ``shuffles_for``."""
        return replace(self, n_shuffles=max(self.shuffles, shuffles_for(n_tests)))

    def repeated(self, n: int) -> "Resampler":
        """Return one of the same rows *n* times over, as where *n* conditions answer each row."""
        return replace(self, clusters=np.tile(self.clusters, n))

    @property
    def levels(self) -> tuple[float, float]:
        """Of intervals, and of those of equivalence, which leave twice as much outside."""
        return self.level, 2 * self.level - 1

    @property
    def shuffles(self) -> int:
        """How many shuffles there are."""
        return self.n_resamples if self.n_shuffles is None else self.n_shuffles

    @property
    def n_clusters(self) -> int:
        """Clusters, with or without a scored row."""
        return int(self.clusters.max(initial=-1)) + 1


def shuffles_for(n_tests: int) -> int:
    """Return how many shuffles let a family of tests find what is there at 5 % after Holm.

    p is at least 1 / (shuffles + 1), and Holm's first p must be ``ALPHA`` / *n_tests* at most.
    With ``EXTREME_SHUFFLES`` times the inverse of that, a p at this limit rests on 20 shuffles, a
    standard error of a fifth of itself. The number is fixed by the family before a shuffle is
    drawn: a test that stops when its outcome looks certain has no valid p. Never fewer than
    ``RESAMPLES``.
    """
    return max(RESAMPLES, ceil(EXTREME_SHUFFLES * n_tests / ALPHA))


# ---------------------------------------------------------------------------- rows and sums


def stack_conditions(rows: Sequence[np.ndarray], resampler: Resampler) -> np.ndarray:
    """Return the statistics of several conditions: shape (conditions, rows, statistics).

    Raises:
        ValueError: The conditions have not the same rows, or these are not the resampler's.
    """
    if not rows:
        raise ValueError("no condition is given; at least one is needed")
    shapes = sorted({of.shape for of in rows})
    if len(shapes) > 1 or len(shapes[0]) != 2 or shapes[0][0] != len(resampler.clusters):
        raise ValueError(
            f"statistics of shape {' and '.join(map(str, shapes))} (rows, statistics) and "
            f"clusters of {len(resampler.clusters):,} rows do not fit; take all from one metric, "
            "of the same rows in the same order, with NaN where one is not scored"
        )
    return np.stack(rows).astype(float, copy=False)


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
    return grid_sums(on_grid(stack), kept, resampler)


def grid_sums(gridded: np.ndarray, kept: np.ndarray, resampler: Resampler) -> np.ndarray:
    """Return ``cluster_sums`` of what is ``on_grid`` already; a row that nobody keeps is free."""
    some = np.flatnonzero(kept.any(axis=tuple(range(kept.ndim - 1))))
    filled = np.where(kept[..., some, None], gridded[:, some], 0.0).swapaxes(0, 1)
    sums = np.zeros((resampler.n_clusters, *filled.shape[1:]))
    np.add.at(sums, resampler.clusters[some], filled)
    return sums


def on_grid(stack: np.ndarray) -> np.ndarray:
    """Round each condition's statistics to multiples of a power of two on which sums are exact.

    Of shape (..., rows, statistics); likewise what is summed over clusters.

    A double holds 53 bits. With 2^-49 of the rows' total as the unit, no sum needs more, even if
    one cluster made up the total and were drawn 16 times. Counts stay as they are; a mean of 787
    rows moves by about 1e-14 of itself. The rows that are not kept count in the total, so that
    the grid is the same whatever is left out. What is infinite becomes NaN, and so do its sums.
    """
    finite = np.where(np.isfinite(stack), stack, np.nan)
    with np.errstate(over="ignore"):
        total = np.nansum(np.abs(finite), axis=-2, keepdims=True)
    exponent = np.frexp(np.where(np.isfinite(total), total, 0.0))[1] - 49
    unit = np.ldexp(1.0, np.maximum(exponent, -1000))
    return np.asarray(np.rint(finite / unit) * unit)


def cluster_sizes(kept: np.ndarray, resampler: Resampler) -> np.ndarray:
    """Return the number of rows of *kept*, shape (rows,), of each cluster that has any."""
    sizes = np.bincount(resampler.clusters[kept], minlength=1)
    return sizes[sizes > 0]


def resample_sums(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return sums (clusters, ...) times weights (resamples, clusters): shape (..., resamples).

    In threads of our own: those of BLAS meet after every block, and wait wherever others compute
    too.
    """
    product = Product(sums)
    result = np.empty((*sums.shape[1:], len(weights)))
    flat = result.reshape(-1, len(weights))

    def fill(rows: slice) -> None:
        product.fill(flat[:, rows], weights[rows])

    with one_thread_each():
        by_blocks(fill, len(weights), max(_BLOCK, 4 * _CELLS // product.n_used))
    return result


class Product:
    """Sums (clusters, ...) that are to be multiplied by weights many times.

    A cluster or a sum of nothing but zeros costs nothing, and sums that are the same in every
    cluster, as the number of rows is under all conditions, cost one. Sums of small whole numbers
    are multiplied in single precision, which holds them exactly, in half the time.
    """

    def __init__(self, sums: np.ndarray) -> None:
        flat = sums.reshape(len(sums), -1)
        self._clusters = np.flatnonzero(flat.any(axis=1))
        used = np.flatnonzero(flat.any(axis=0))
        self._all = len(self._clusters) == len(flat), len(used) == flat.shape[1]
        flat = flat[np.ix_(self._clusters, used)].T
        places: dict[bytes, int] = {}
        same = np.array([places.setdefault(of.tobytes(), len(places)) for of in flat], dtype=int)
        flat = flat[np.unique(same, return_index=True)[1]]
        most = len(sums) * np.abs(flat).max(axis=1, initial=0.0)  # of as many draws as clusters
        small = (most < _WHOLE) & (flat == np.rint(flat)).all(axis=1)
        if not small.all() and small.sum() < _FEW:
            small[:] = False
        # where the sums of each precision stand in the result, and which of its rows each is
        self._parts = [
            (
                used[these[same]],
                np.cumsum(these)[same[these[same]]] - 1,
                np.ascontiguousarray(flat[these], dtype=exact),
            )
            for these, exact in ((small, np.float32), (~small, np.float64))
            if these.any()
        ]

    @property
    def n_used(self) -> int:
        """Clusters with a sum other than zero, one at least."""
        return max(1, len(self._clusters))

    def fill(self, result: np.ndarray, weights: np.ndarray) -> None:
        """Write the product with weights (resamples, clusters) to *result* (sums, resamples).

        A block at a time, since the weights are bytes and would take eight times their memory. Of
        few clusters their weights are taken much faster where those of one lie beside each other
        (Fortran's order).
        """
        if not self._all[1]:
            result[:] = 0.0
        for rows in _blocks(len(weights), max(_BLOCK, _CELLS // self.n_used)):
            part = self._taken(weights, rows)
            for sums, places, flat in self._parts:
                result[sums, rows] = (flat @ part.astype(flat.dtype))[places]

    def _taken(self, weights: np.ndarray, rows: slice) -> np.ndarray:
        """Return the weights of the clusters that are used: shape (clusters, resamples)."""
        if self._all[0]:
            return weights[rows].T
        if weights.flags.f_contiguous:
            return np.asarray(weights.T[self._clusters, rows])
        return weights[rows].take(self._clusters, axis=1).T


def by_blocks(work: Callable[[slice], Done], n_resamples: int, size: int) -> list[Done]:
    """Call *work* for *size* resamples at a time; return what it returns, in order."""
    blocks = [*_blocks(n_resamples, size)]
    if len(blocks) == 1:
        return [work(blocks[0])]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, blocks))


def _blocks(n_resamples: int, size: int) -> Iterator[slice]:
    for start in range(0, n_resamples, size):
        yield slice(start, min(start + size, n_resamples))


def one_thread_each() -> Any:
    """Return a context in which BLAS starts no threads."""
    return _blas().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def score_resamples(score: ScoreFunction, sums: np.ndarray) -> np.ndarray:
    """Return scores (..., columns, resamples) of sums (..., statistics, resamples)."""
    return np.moveaxis(scored_total(score, np.moveaxis(sums, -2, -1)), -1, -2)


def scored_total(score: ScoreFunction, sums: np.ndarray) -> np.ndarray:
    """Return scores (..., columns) of sums (..., statistics); NaN also where one is infinite."""
    with np.errstate(all="ignore"):  # a metric that divides by zero says so by NaN or infinity
        found = score(sums)
    return np.where(np.isfinite(found), found, np.nan)


# ---------------------------------------------------------------------------- draws


def draws(resampler: Resampler) -> np.ndarray:
    """Return how often each cluster is drawn: shape (resamples, clusters), multinomial."""
    return _once(_drawn, resampler.n_clusters, resampler.n_resamples, resampler.seed)


def draws_by_cluster(resampler: Resampler) -> np.ndarray:
    """Return ``draws`` so that those of a cluster lie beside each other, for sums of few."""
    return _once(_laid_out, resampler.n_clusters, resampler.n_resamples, resampler.seed)


def swaps(resampler: Resampler, rows: slice | None = None) -> np.ndarray:
    """Return which clusters change sides: shape (shuffles, clusters), 0 or 1.

    Args:
        resampler: Whose ``shuffles`` there are.
        rows: Which shuffles, from a multiple of 8; null: all.
    """
    packed = _once(_swapped, resampler.n_clusters, resampler.shuffles, resampler.seed)
    start, stop, _ = (rows or slice(None)).indices(resampler.shuffles)
    first, last = start * resampler.n_clusters, stop * resampler.n_clusters
    bits = np.unpackbits(packed[first // 8 : (last + 7) // 8], count=last - first)
    return bits.reshape(stop - start, resampler.n_clusters)


def orders(resampler: Resampler, n_conditions: int, rows: slice | None = None) -> np.ndarray:
    """Return an order of the conditions for each cluster: shape (conditions, shuffles, clusters).

    The place that each condition takes; all orders are equally likely.

    Args:
        resampler: Whose ``shuffles`` there are.
        n_conditions: How many.
        rows: Which shuffles, from a multiple of ``at_once``; null: all.
    """
    table = _arrangements(n_conditions, resampler.seed)
    start, stop, _ = (rows or slice(None)).indices(resampler.shuffles)
    places = np.empty((n_conditions, stop - start, resampler.n_clusters), dtype=np.uint8)
    for block in _blocks(stop - start, _BLOCK):
        part = places[:, block]
        drawn = _generator(resampler.seed, _ORDERS, start + block.start).integers(
            table.shape[1], size=part.shape[1:]
        )
        part[:] = np.take(table, drawn, axis=1)  # a third of the time of table[:, drawn]
    return places


def at_once(resampler: Resampler) -> int:
    """Return how many ``orders`` to take at a time: some megabytes of them."""
    return _BLOCK * max(1, 5 * _CELLS // (_BLOCK * max(1, resampler.n_clusters)))


_kept: dict[tuple[Any, ...], np.ndarray] = {}
_keeping = RLock()  # by_blocks asks from threads; some draws ask for others


def _once(draw: Callable[..., np.ndarray], *of: int) -> np.ndarray:
    """Return ``draw(*of)``, kept while all that is kept takes ``_MOST_KEPT`` bytes at most."""
    with _keeping:
        found = _kept.get((draw, *of))
        if found is None:
            found = draw(*of)
            found.flags.writeable = False
            while _kept and sum(a.nbytes for a in _kept.values()) + found.nbytes > _MOST_KEPT:
                _kept.pop(next(iter(_kept)))
            _kept[draw, *of] = found
        return found


def _drawn(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    """Draw clusters.

    A count is at most the number of clusters; that one among thousands is drawn 256 times, more
    than a byte holds, does not happen.
    """
    counts = np.empty((n_resamples, n_clusters), dtype=np.uint8)

    def fill(rows: slice) -> None:
        part = counts[rows]
        drawn = _generator(seed, _BOOTSTRAP, rows.start).integers(n_clusters, size=part.shape)
        drawn += np.arange(len(part))[:, None] * n_clusters
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)

    by_blocks(fill, n_resamples, _BLOCK)
    return counts


def _laid_out(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    return np.asfortranarray(_once(_drawn, n_clusters, n_resamples, seed))


def _swapped(n_clusters: int, n_shuffles: int, seed: int) -> np.ndarray:
    """Draw a bit for each cluster of each shuffle, eight in a byte."""
    n_bytes = (n_shuffles * n_clusters + 7) // 8
    return np.frombuffer(_generator(seed, _SWAPS).bytes(n_bytes), np.uint8)


@lru_cache(maxsize=8)
def _arrangements(n: int, seed: int) -> np.ndarray:
    """Return orders of n things, shape (n, orders): all up to 8 of them, else a large sample."""
    from itertools import permutations

    if n <= _ALL_ORDERED:
        return np.array(list(permutations(range(n))), dtype=np.uint8).T
    many = np.broadcast_to(np.arange(n, dtype=np.uint8), (_MOST_ORDERS, n))
    return _generator(seed, _ARRANGEMENTS).permuted(many, axis=1).T


def _generator(seed: int, *stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, *stream))))
