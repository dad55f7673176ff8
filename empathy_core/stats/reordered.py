"""Sums of conditions that change places, cluster by cluster. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.resampling import Product, Resampler, orders


@dataclass(frozen=True, slots=True, eq=False)
class Reordered:
    """Sums whose conditions change places, in each cluster in an order of its own.

    What a place holds is the last condition's sum where all stay, and what the others have more
    where they come: a statistic on which they agree costs nothing. The places hold the total
    together, so that the others leave the last place its sum.

    Attributes:
        shapes: (models, statistics) of each metric.
        last: Totals of the last condition: shape (metrics' models x statistics,).
        whole: Totals of all conditions, likewise.
        apart: What each of the other conditions has more than the last one, by cluster.
    """

    shapes: Sequence[tuple[int, int]]
    last: np.ndarray
    whole: np.ndarray
    apart: Sequence[Product]

    @classmethod
    def of(cls, sums: Sequence[np.ndarray]) -> "Reordered":
        """Take sums (clusters, models, conditions, statistics) of each metric."""
        flat = np.concatenate(
            [of.swapaxes(1, 2).reshape(len(of), of.shape[2], -1) for of in sums], axis=-1
        )
        apart = [Product(flat[:, i] - flat[:, -1]) for i in range(flat.shape[1] - 1)]
        totals = flat.sum(axis=0)
        shapes = [(of.shape[1], of.shape[3]) for of in sums]
        return cls(shapes, totals[-1], totals.sum(axis=0), apart)

    def sums(self, resampler: Resampler, rows: slice) -> list[np.ndarray]:
        """Return the sums of each metric: shape (places, models, statistics, shuffles)."""
        k = len(self.apart) + 1
        places = orders(resampler, k, rows)
        mixed = np.empty((k, len(self.last), places.shape[1]))
        more = np.empty(mixed.shape[1:])
        mixed[:-1], mixed[-1] = self.last[:, None], self.whole[:, None]
        for place in range(k - 1):
            for condition, product in enumerate(self.apart):
                product.fill(more, places[condition] == place)
                mixed[place] += more
            mixed[-1] -= mixed[place]
        ends = np.cumsum([a * b for a, b in self.shapes])[:-1]
        parts = np.split(mixed, ends, axis=1)
        return [of.reshape(k, *shape, -1) for of, shape in zip(parts, self.shapes, strict=True)]
