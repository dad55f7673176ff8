"""Intervals of shares of rows, which may be 0 or 1, and of their differences. Pure.

One method for all: Korn and Graubard (1998), Confidence Intervals for Proportions with Small
Expected Number of Positive Counts Estimated from Survey Data, Survey Methodology 24(2), 193-201.
A share of clustered rows tells as much as one of fewer independent rows; of these the exact
binomial interval is taken (Clopper and Pearson, 1934). A bootstrap sees no event that the sample
lacks: of 0 events in 30 rows its interval is [0, 0].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import Interval, student
from empathy_core.stats.resampling import (
    LEAST_CLUSTERS,
    Resampler,
    ScoreFunction,
    scored_total,
)
from empathy_core.types import Column

_ROUNDING = 1e-13  # of a share; one row of a million weighs 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """The columns of several conditions that are shares.

    Attributes:
        columns: Their numbers, shape (shares,).
        values: Shape (conditions, shares), as the next two.
        n: Rows that tell.
        n_clusters: Clusters with such a row.
        influence: What each cluster adds to the share: shape (conditions, clusters, shares).
    """

    columns: tuple[int, ...]
    values: np.ndarray
    n: np.ndarray
    n_clusters: np.ndarray
    influence: np.ndarray

    @classmethod
    def of(
        cls,
        stack: np.ndarray,
        kept: np.ndarray,
        score: ScoreFunction,
        resampler: Resampler,
        columns: Sequence[Column],
    ) -> "Shares":
        """Return those of the rows *kept*, shape (conditions, rows).

        Raises:
            ValueError: A row's own score is not between 0 and 1.
        """
        chosen = tuple(i for i, column in enumerate(columns) if column.share)
        own = scored_total(score, stack)[..., chosen] if chosen else np.zeros((*stack.shape[:2], 0))
        tells = np.isfinite(own) & kept[..., None]
        told = np.where(tells, own, 0.0)
        if told.min(initial=0) < 0 or told.max(initial=0) > 1:
            listed = ", ".join(columns[i].name for i in chosen)
            raise ValueError(
                f"a row's score lies outside 0 to 1 in one of the columns {listed}, which are "
                "declared as shares of rows; declare them without share=True"
            )
        counts = np.zeros((resampler.n_clusters, 2, *told.swapaxes(0, 1).shape[1:]))
        pair = np.stack([told, tells]).swapaxes(0, 2).swapaxes(1, 2)  # rows first
        np.add.at(counts, resampler.clusters, pair)
        n = counts[:, 1].sum(axis=0)
        with np.errstate(invalid="ignore"):
            values = counts[:, 0].sum(axis=0) / n
            influence = (counts[:, 0] - values * counts[:, 1]) / n
        influence[np.abs(influence) < _ROUNDING] = 0.0
        return cls(
            chosen, values, n, np.count_nonzero(counts[:, 1], axis=0), influence.swapaxes(0, 1)
        )

    def interval(self, place: int, column: int, level: float) -> Interval | None:
        """Return that of one condition; of a share of 0 or 1 it has one side.

        There the number of independent rows is that of clusters, and the bound is what leaves a
        chance of 1 - *level* to see no event (no other event): 1 - (1 - level)^(1/n).
        """
        at = place, self.columns.index(column)
        value, n_clusters = float(self.values[at]), int(self.n_clusters[at])
        if n_clusters < LEAST_CLUSTERS:
            return None
        bound = (1 - level) ** (1 / n_clusters)
        if value == 0:
            return Interval(0.0, 1 - bound, one_sided=True)
        if value == 1:
            return Interval(bound, 1.0, one_sided=True)
        return Interval(*self._limits(place, at[1], level))

    def difference(
        self, first: Sequence[int], second: Sequence[int], column: int, level: float
    ) -> Interval | None:
        """Return the interval of the mean of the second's shares less that of the first's.

        MOVER: Zou and Donner (2008), Construction of confidence limits about effect measures,
        Statistics in Medicine 27(10): each side's own limits, and the correlation of the shares
        over clusters. It has a width where both are 0. Where no cluster differs, the share of
        clusters that do is bounded as that of 0 of n.
        """
        k = self.columns.index(column)
        places = [*first, *second]
        signs = np.repeat([-1.0, 1.0], [len(first), len(second)]) / len(first)
        if min(self.n_clusters[places, k]) < LEAST_CLUSTERS:
            return None
        own = self.influence[places, :, k]
        values, value = self.values[places, k], float(signs @ self.values[places, k])
        if max(abs(value), np.abs(signs @ own).max()) < _ROUNDING:
            most = 1 - ((1 - level) / 2) ** (1 / int(min(self.n_clusters[places, k])))
            return Interval(-most, most)
        limits = np.array([self._limits(place, k, level) for place in places]).T
        below, above = values - limits[0], limits[1] - values
        shape = _correlations(own)
        down = signs * np.where(signs > 0, below, above)
        up = signs * np.where(signs > 0, above, below)
        low, high = (float(np.sqrt(max(0.0, of @ shape @ of))) for of in (down, up))
        return Interval(max(-1.0, value - low), min(1.0, value + high))

    def _limits(self, place: int, k: int, level: float) -> tuple[float, float]:
        value, n = float(self.values[place, k]), float(self.n[place, k])
        n_clusters = int(self.n_clusters[place, k])
        variance = float(np.square(self.influence[place, :, k]).sum()) * n_clusters
        size = effective(value, variance / (n_clusters - 1), n, n_clusters, level)
        return clopper_pearson(value, size, level)


def of_few_clusters(share: float, n_clusters: int, level: float) -> Interval | None:
    """Return an interval of a share where clusters are too few to see how alike their rows are.

    Each cluster counts as one independent row, as if all its rows said the same: exact where it
    has one row, too wide where its rows differ. Of a share of 0 or 1 it has one side, at which
    1 - (1 - level)^(1/n) is the exact form of the "rule of three" (3/n): Hanley and
    Lippman-Hand (1983), If Nothing Goes Wrong, Is Everything All Right?, JAMA 249(13), 1743-1745.
    Null without a cluster.
    """
    if n_clusters < 1:
        return None
    bound = (1 - level) ** (1 / n_clusters)
    if share <= 0:
        return Interval(0.0, 1 - bound, one_sided=True)
    if share >= 1:
        return Interval(bound, 1.0, one_sided=True)
    return Interval(*clopper_pearson(share, n_clusters, level))


def effective(share: float, variance: float, n: float, n_clusters: int, level: float) -> float:
    """Return how many independent rows tell as much about a share as *n* clustered ones.

    *n* over the design effect (*variance* over that of independent rows, share (1 - share) /
    (n - 1)), but *n* at most; times (t(n - 1) / t(clusters - 1))^2, since the variance itself is
    known from so many clusters only. At 0 and 1, where no variance is seen, the clusters.
    """
    binomial = share * (1 - share) / max(n - 1, 1)
    if binomial <= 0:
        return float(n_clusters)
    independent = n * min(1.0, binomial / variance) if variance > 0 else n
    return float(independent * (student(n, level) / student(n_clusters, level)) ** 2)


def clopper_pearson(share: float, n: float, level: float) -> tuple[float, float]:
    """Return the exact limits of a binomial share; *n* need not be whole.

    Clopper and Pearson (1934), The Use of Confidence or Fiducial Limits Illustrated in the Case of
    the Binomial, Biometrika 26(4).
    """
    from scipy.special import betaincinv

    events, tail = share * n, (1 - level) / 2
    low = float(betaincinv(events, n - events + 1, tail)) if share > 0 else 0.0
    high = float(betaincinv(events + 1, n - events, 1 - tail)) if share < 1 else 1.0
    return low, high


def _correlations(influence: np.ndarray) -> np.ndarray:
    """Return correlations of (shares, clusters); of what does not vary, zero with others."""
    products = np.einsum("ic,jc->ij", influence, influence)  # the same digits beside any others
    sizes = np.sqrt(np.diag(products))
    scale = np.outer(sizes, sizes)
    found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(np.clip(found, -1.0, 1.0))
