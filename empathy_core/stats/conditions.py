"""Several conditions on the same rows: sums as they are and drawn, and what they show. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from empathy_core.stats.intervals import (
    ROUNDING,
    Interval,
    drop_undefined,
    or_null,
    student,
    studentised,
)
from empathy_core.stats.resampling import (
    LEAST_CLUSTERS,
    Resampler,
    ScoreFunction,
    cluster_sizes,
    draws,
    draws_by_cluster,
    grid_sums,
    on_grid,
    resample_sums,
    score_resamples,
    scored_total,
)
from empathy_core.stats.results import Counts, Difference, Drawn, Estimate, difference
from empathy_core.stats.shares import Shares
from empathy_core.stats.shuffles import Shared, Sides, Tested, randomised
from empathy_core.types import Column


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Sums of several conditions as they are and drawn.

    Attributes:
        stack: Shape (conditions, rows, statistics).
        grid: The same on the grid on which sums are exact (``on_grid``).
        kept: Shape (conditions, rows): the rows that the sums are over.
        sums: Shape (clusters, conditions, statistics).
        values: The sums' scores: shape (conditions, columns).
        drawn: Shape (conditions, statistics, resamples); null: no condition has enough clusters.
        scores: The drawn sums' scores: shape (conditions, columns, resamples).
        shares: Of the columns that are shares.
        among: Number of a condition → its place.
    """

    stack: np.ndarray
    grid: np.ndarray
    kept: np.ndarray
    sums: np.ndarray
    values: np.ndarray
    drawn: np.ndarray | None
    scores: np.ndarray | None
    shares: Shares
    among: Mapping[int, int]
    score: ScoreFunction
    resampler: Resampler
    columns: Sequence[Column] = field(default=())

    @classmethod
    def of(
        cls,
        stack: np.ndarray,
        kept: np.ndarray,
        score: ScoreFunction,
        resampler: Resampler,
        columns: Sequence[Column] = (),
    ) -> "Conditions":
        """Return conditions, each on its rows *kept*, shape (conditions, rows)."""
        grid = on_grid(stack)
        sums = grid_sums(grid, kept, resampler)
        among = {i: i for i in range(len(stack))}
        drawn = scores = None
        if max(len(cluster_sizes(of, resampler)) for of in kept) >= LEAST_CLUSTERS:
            drawn = resample_sums(draws(resampler), sums)
            scores = _scored(score, drawn)
        shares = Shares.of(stack, kept, score, resampler, columns)
        values = scored_total(score, sums.sum(axis=0))
        return cls(
            stack,
            grid,
            kept,
            sums,
            values,
            drawn,
            scores,
            shares,
            among,
            score,
            resampler,
            tuple(columns),
        )

    def on(self, kept: np.ndarray, numbers: Sequence[int]) -> "Conditions":
        """Return conditions on the rows *kept*, shape (rows,), all of which they have scored.

        What the other rows add to the sums is taken away, since they are few; on the grid exactly.
        """
        if not self._lost(kept, numbers).any():
            return self
        stack = self.stack[numbers]
        on_rows = np.broadcast_to(kept, stack.shape[:2])
        away = self._away(kept, numbers)
        drawn = scores = None
        if self.drawn is not None:
            drawn = self.drawn[numbers] - resample_sums(draws_by_cluster(self.resampler), away)
            scores = _scored(self.score, drawn)
        sums = self._less(away, kept, numbers)
        return Conditions(
            stack,
            self.grid[numbers],
            on_rows,
            sums,
            scored_total(self.score, sums.sum(axis=0)),
            drawn,
            scores,
            Shares.of(stack, on_rows, self.score, self.resampler, self.columns),
            {number: place for place, number in enumerate(numbers)},
            self.score,
            self.resampler,
            self.columns,
        )

    def _lost(self, kept: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        """Return which of some conditions' rows are not *kept*: shape (conditions, rows)."""
        return np.asarray(self.kept[numbers] & ~kept)

    def _away(self, kept: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        """Return these rows' sums: shape (clusters, conditions, statistics)."""
        return grid_sums(self.grid[numbers], self._lost(kept, numbers), self.resampler)

    def _less(self, away: np.ndarray, kept: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        """Return the sums of the rows *kept*, those of the others being *away*: likewise."""
        if np.isfinite(away).all():
            return np.asarray(self.sums[:, numbers] - away)
        on_rows = np.broadcast_to(kept, (len(numbers), len(kept)))
        return grid_sums(self.grid[numbers], on_rows, self.resampler)

    # ------------------------------------------------------------------------ single scores

    def estimates(self) -> tuple[tuple[Estimate, ...], ...]:
        """Return one a column, for each condition."""
        values = self.values
        counts = [Counts.of(kept, self.resampler) for kept in self.kept]
        columns = [i for i in range(values.shape[1]) if i not in self.shares.columns]
        ratios, errors = self._ratios(values, columns)

        def interval(place: int, column: int) -> Interval | None:
            of = counts[place]
            if not of.enough or ratios is None:
                return None
            if column in self.shares.columns:
                return self.shares.interval(place, column, self.resampler.level)
            at = place, columns.index(column)
            known = float(values[place, column]), float(errors[at])
            return self._studentised((place, column), known, ratios[at], of)

        return tuple(
            tuple(
                Estimate(or_null(value), interval(place, column), *of.fields)
                for column, value in enumerate(values[place])
            )
            for place, of in enumerate(counts)
        )

    def _ratios(
        self, values: np.ndarray, columns: Sequence[int]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return each resample's distance from *values* (conditions, columns) in its own errors.

        Of some *columns*: shape (conditions, columns, resamples); and the standard errors
        (conditions, columns). A cluster's influence is u = (value - value without it) (1 - m), m
        its part of the rows: of a mean over rows, what it adds to the mean. In a resample with
        d = score - value it is u - d m, and the clusters' parts of the rows add up to M: the
        squared error is sum(w (u - d m)^2) / M^2, w how often a cluster is drawn.
        """
        if self.scores is None:
            return None, values
        without = scored_total(self.score, np.moveaxis(self.sums.sum(axis=0) - self.sums, 0, 1))
        rows = np.stack([self._rows(kept) for kept in self.kept])[..., None]
        # a cluster without which there is no score is seen by the error, which is NaN
        influence = ((values[:, None] - without) * (1 - rows))[..., columns]
        parts = np.concatenate([influence**2, influence * rows, rows**2, rows], axis=-1)
        sums = resample_sums(draws(self.resampler), np.moveaxis(on_grid(parts), 1, 0))
        k = len(columns)
        squares, products, own, whole = np.split(sums, [k, 2 * k, 2 * k + 1], axis=1)
        scores, values = self.scores[:, columns], values[:, columns, None]
        apart = scores - values
        with np.errstate(all="ignore"):
            moved = apart**2 * own
            variance = squares - 2 * apart * products + moved
            varies = variance > ROUNDING * (squares + moved)  # else it is their rounding
            ratios = np.where(varies, apart * whole / np.sqrt(variance), np.sign(apart) * np.inf)
        ratios[np.abs(apart) <= ROUNDING * np.abs(values)] = 0.0
        ratios[np.isnan(scores)] = np.nan
        return ratios, np.sqrt(np.square(influence).sum(axis=1))

    def _rows(self, kept: np.ndarray) -> np.ndarray:
        """Return each cluster's part of the rows: shape (clusters,)."""
        clusters = self.resampler.clusters[kept]
        sizes = np.bincount(clusters, minlength=self.resampler.n_clusters)
        return np.asarray(sizes / max(1, len(clusters)))

    def _studentised(
        self,
        at: tuple[int, int],
        of: tuple[float, float],
        ratios: np.ndarray,
        counts: Counts,
    ) -> Interval | None:
        """Return the interval of one condition and column (*at*); *of* is its value and error."""
        value, error = of
        drawn = None if self.scores is None else drop_undefined(self.scores[at])
        if drawn is None or not np.isfinite(error):
            return None
        if np.ptp(drawn) <= ROUNDING * abs(value):
            return None
        level = self.resampler.level
        widened = student(counts.effective, level) / student(counts.n_clusters, level)
        found = studentised(ratios[~np.isnan(ratios)], value, error, widened, level)
        return _within(found, self.columns[at[1]]) if self.columns else found

    # ------------------------------------------------------------------------ differences

    def shared(self, kept: np.ndarray, sides: Sequence[Sides]) -> Shared:
        """Return what ``randomised`` takes of comparisons on the rows *kept*, shape (rows,)."""
        numbers = sorted({i for of in sides for i in (*of.first, *of.second)})
        at = {number: place for place, number in enumerate(numbers)}
        placed = [
            Sides(tuple(at[i] for i in of.first), tuple(at[i] for i in of.second)) for of in sides
        ]
        if not self._lost(kept, numbers).any():
            return Shared(numbers, None, self.sums[:, numbers], placed)
        away = self._away(kept, numbers)
        return Shared(numbers, away, self._less(away, kept, numbers), placed)

    def tests(self, shared: Sequence[Shared]) -> list[list[tuple[Tested, ...]]]:
        """Return for each group of comparisons, and each of these, a test a column."""
        return randomised(self.sums, shared, self.score, self.resampler, self.columns)

    def difference(self, sides: Sides, tests: Sequence[Tested] | None) -> tuple[Difference, ...]:
        """Return the mean of the second side's scores less that of the first's, one a column."""
        first, second = (
            [self.among[i] for i in numbers] for numbers in (sides.first, sides.second)
        )
        counts = Counts.of(self.kept[first[0]], self.resampler)
        both = np.stack([self.values[of].mean(axis=0) for of in (first, second)])
        resampled = None
        if self.scores is not None and counts.enough and tests is not None:
            resampled = (self.scores[second] - self.scores[first]).mean(axis=0)
        found = []
        for column, (one, other) in enumerate(both.T):
            drawn = None
            if resampled is not None and tests is not None:
                intervals = None
                if column in self.shares.columns:
                    intervals = [
                        self.shares.difference(first, second, column, level)
                        for level in self.resampler.levels
                    ]
                drawn = Drawn(resampled[column], tests[column], intervals)
            found.append(difference((one, other), drawn, counts, self.resampler))
        return tuple(found)


def _within(found: Interval | None, column: Column) -> Interval | None:
    """Return an interval cut at the limits of what a row can score."""
    if found is None:
        return None
    low = found.low if column.least is None else max(found.low, column.least)
    high = found.high if column.most is None else min(found.high, column.most)
    return Interval(low, high)


def _scored(score: ScoreFunction, drawn: np.ndarray) -> np.ndarray:
    """Return scores (conditions, columns, resamples); one condition at a time, for the cache."""
    return np.stack([score_resamples(score, of) for of in drawn])
