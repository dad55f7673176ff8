"""Prompt sensitivity: spread, interaction with models, and the rows most affected. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from empathy_core.stats.intervals import (
    ROUNDING,
    Interval,
    counted_in,
    drop_undefined,
    enough,
    extremes,
    percentiles,
)
from empathy_core.stats.ratios import Ratios
from empathy_core.stats.reordered import Reordered
from empathy_core.stats.resampling import (
    Resampler,
    ScoreFunction,
    at_once,
    by_blocks,
    cluster_sums,
    draws,
    one_thread_each,
    resample_sums,
    score_resamples,
    scored_by_all,
    scored_rows,
    scored_total,
    stack_conditions,
)
from empathy_core.stats.results import Counts


@dataclass(frozen=True, slots=True)
class Spread:
    """How far apart one model's scores under several prompts are, on the rows that all have.

    The range of several scores is never negative and grows with their number even if prompts do
    nothing, so that an interval of the range itself would lie too high: whether there is any
    effect is told by *p* alone. The interval is that of the difference between the two prompts
    that are highest and lowest in the data; chosen after the fact, they too lie further apart here
    than they would on new questions.

    Attributes:
        value: Highest score less lowest; null where a prompt has no score or there is but one, as
            are *lowest*, *highest* and their scores.
        lowest: Index of the prompt with the lowest score, the first of equals.
        highest: Likewise.
        interval: Of *highest* less *lowest*, these two fixed; null as in ``Estimate``, as is *p*.
        p: Share of the shuffles, in which each cluster's answers change prompts in a random order,
            with at least such a range.
        n: Rows scored under all prompts.
        n_clusters: Their clusters.
    """

    value: float | None
    lowest: int | None
    highest: int | None
    low_score: float | None
    high_score: float | None
    interval: Interval | None
    p: float | None
    n: int
    n_clusters: int


@dataclass(frozen=True, slots=True)
class Interaction:
    """Whether prompts do to one model what they do to another.

    Attributes:
        value: Root mean square of what remains of the scores, models x prompts, when each model's
            and each prompt's mean are taken out; in the scores' units. Null where a score is
            missing, or there are not two of each.
        p: Of no interaction, by Hotelling's test (``_hotelling``), which no number of resamples
            limits. Null as an interval is in ``Estimate``, and where the clusters do not vary.
        n: Rows scored under all conditions.
        n_clusters: Their clusters.
    """

    value: float | None
    p: float | None
    n: int
    n_clusters: int


@dataclass(frozen=True, slots=True)
class Mover:
    """A row whose own score depends much on the condition.

    Attributes:
        row: Its index.
        lowest: Index of the condition with its lowest score, the first of equals.
        highest: Likewise.
    """

    row: int
    lowest: int
    highest: int
    low_score: float
    high_score: float


# ---------------------------------------------------------------------------- spread


def spread(
    rows: Sequence[np.ndarray], score: ScoreFunction, resampler: Resampler
) -> tuple[Spread, ...]:
    """Return how far apart the scores under several prompts are, for each column of *score*.

    Approximate randomisation over more than two: Edgington and Onghena (2007), Randomization
    Tests, chapter on repeated measures, with the range as statistic.

    Args:
        rows: Statistics of shape (rows, statistics) for each prompt, all of the same rows in the
            same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The prompts, or the resampler, are of different rows.
    """
    return spreads([rows], score, resampler)[0]


def spreads(
    groups: Sequence[Sequence[np.ndarray]], score: ScoreFunction, resampler: Resampler
) -> tuple[tuple[Spread, ...], ...]:
    """Return the ``spread`` of several models, at the price of little more than one.

    Args:
        groups: For each model, the rows of ``spread``; as many prompts for each, and all of the
            same rows. Which of them are scored may differ from model to model.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The models have unlike numbers of prompts, or rows are different.
    """
    return spreads_by_metric([(groups, score)], resampler)[0]


def spreads_by_metric(
    metrics: Sequence[tuple[Sequence[Sequence[np.ndarray]], ScoreFunction]], resampler: Resampler
) -> tuple[tuple[tuple[Spread, ...], ...], ...]:
    """Return the ``spreads`` under several metrics, at the price of little more than one.

    All models and metrics meet the same shuffles: these are drawn once, and one product of orders
    and sums serves them all.

    Args:
        metrics: *groups* and *score* of ``spreads`` for each; as many prompts under each. Of
            ``Ratios`` no other statistics are shuffled than they need.
        resampler: Of the same rows.

    Raises:
        ValueError: As ``spreads``.
    """
    unlike = {len(rows) for groups, _ in metrics for rows in groups}
    if len(unlike) > 1:
        listed = ", ".join(str(len(rows)) for groups, _ in metrics for rows in groups)
        raise ValueError(f"every model needs as many prompts; the models have {listed} of them")
    models = [_Models.of(groups, score, resampler) for groups, score in metrics]
    shuffled = [of for of in models if of.tested]
    counted = iter(_shuffled(shuffled, resampler) if shuffled else ())
    return tuple(of.judged(next(counted) if of.tested else None, resampler) for of in models)


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """Several models under as many prompts each, and one metric.

    Attributes:
        sums: Shape (clusters, models, prompts, statistics).
        scores: Shape (models, prompts, columns).
        counts: Of the rows that all prompts of a model have scored.
    """

    sums: np.ndarray
    scores: np.ndarray
    counts: Sequence[Counts]
    score: ScoreFunction

    @classmethod
    def of(
        cls, groups: Sequence[Sequence[np.ndarray]], score: ScoreFunction, resampler: Resampler
    ) -> "_Models":
        k = len(groups[0]) if groups else 0
        stack = stack_conditions([of for rows in groups for of in rows], resampler)
        kept = np.array(
            [scored_by_all(of) for of in stack.reshape(len(groups), k, *stack.shape[1:])]
        )
        if isinstance(score, Ratios):
            stack, score = stack[..., score.statistics], score.own
        sums = cluster_sums(stack, kept.repeat(k, axis=0), resampler)
        sums = sums.reshape(len(sums), len(groups), k, stack.shape[2])
        counts = [Counts.of(of, resampler) for of in kept]
        return cls(sums, scored_total(score, sums.sum(axis=0)), counts, score)

    @property
    def tested(self) -> bool:
        """Whether a model has questions and prompts enough."""
        return self.scores.shape[1] > 1 and any(of.enough for of in self.counts)

    @property
    def least(self) -> np.ndarray:
        """Return how large a range must be to be as extreme: shape (models, columns)."""
        rounding = ROUNDING * np.abs(self.scores).max(axis=1)
        return np.asarray(np.ptp(self.scores, axis=1) - rounding)

    def judged(
        self, counted: np.ndarray | None, resampler: Resampler
    ) -> tuple[tuple[Spread, ...], ...]:
        """Return each model's spreads; *counted* as ``_shuffled`` has it, null: no test."""
        drawn = None if counted is None else resample_sums(draws(resampler), self.sums)
        found = []
        for i, of in enumerate(self.counts):
            asked = counted is not None and of.enough
            scores = score_resamples(self.score, drawn[i]) if asked and drawn is not None else None
            found.append(
                tuple(
                    _spread(
                        self.scores[i, :, column],
                        None if scores is None else scores[:, column],
                        None if counted is None or scores is None else counted[:, i, column],
                        of,
                        resampler,
                    )
                    for column in range(self.scores.shape[2])
                )
            )
        return tuple(found)


def _shuffled(models: Sequence[_Models], resampler: Resampler) -> list[np.ndarray]:
    """Return how many shuffles have as large a range, and a score: (2, models, columns) each.

    Shuffles are counted, not kept: memory does not grow with their number.
    """
    least = [of.least for of in models]
    mixed = Reordered.of([of.sums for of in models])

    def count_range(rows: slice) -> list[np.ndarray]:
        found = []
        for of, far, sums in zip(models, least, mixed.sums(resampler, rows), strict=True):
            ranges = np.ptp(score_resamples(of.score, sums), axis=0)
            each = [[extremes(*pair) for pair in zip(*line, strict=True)]
                    for line in zip(ranges, far, strict=True)]  # fmt: skip
            found.append(np.array(each).transpose(2, 0, 1))
        return found

    with one_thread_each():
        blocks = by_blocks(count_range, resampler.shuffles, at_once(resampler))
    return [np.sum(of, axis=0) for of in zip(*blocks, strict=True)]


def _spread(
    scores: np.ndarray,
    drawn: np.ndarray | None,
    counted: np.ndarray | None,
    counts: Counts,
    resampler: Resampler,
) -> Spread:
    """Judge one column: scores (prompts,), drawn (prompts, resamples), counted (2,)."""
    n, n_clusters = counts.n, counts.n_clusters
    if len(scores) < 2 or not np.isfinite(scores).all():
        return Spread(None, None, None, None, None, None, None, n, n_clusters)
    lowest, highest = int(scores.argmin()), int(scores.argmax())
    ends = float(scores[lowest]), float(scores[highest])
    bound = p = None
    if drawn is not None and counted is not None:
        apart = drop_undefined(drawn[highest] - drawn[lowest])
        if apart is not None:
            scale = max(map(abs, ends))
            (bound,) = percentiles(apart, scale, counts.effective, resampler.level)
        n_far, n_known = map(int, counted)
        p = counted_in(n_far, n_known) if enough(n_known, resampler.shuffles) else None
    return Spread(ends[1] - ends[0], lowest, highest, *ends, bound, p, n, n_clusters)


# ---------------------------------------------------------------------------- interaction


def interaction(
    grid: Sequence[Sequence[np.ndarray]], score: ScoreFunction, resampler: Resampler
) -> tuple[Interaction, ...]:
    """Return whether prompts act alike on all models, for each column of *score*.

    Args:
        grid: For each model, for each prompt, statistics of shape (rows, statistics), all of the
            same rows in the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: A model lacks a prompt that another has, or rows are different.
    """
    number = count()
    places = [[next(number) for _ in line] for line in grid]
    rows = [of for line in grid for of in line]
    return interactions(rows, [places], score, resampler)[0]


def interactions(
    rows: Sequence[np.ndarray],
    grids: Sequence[Sequence[Sequence[int]]],
    score: ScoreFunction,
    resampler: Resampler,
) -> tuple[tuple[Interaction, ...], ...]:
    """Return the ``interaction`` of several grids, at the price of each condition once.

    Grids that are of the same rows, once those are left out that one of their conditions has not
    scored, share the resampled scores of the conditions.

    Args:
        rows: Statistics of shape (rows, statistics) for each condition, all of the same rows in
            the same order; a row with a NaN is unscored.
        grids: Each for each model, for each prompt, a place in *rows*.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: A model lacks a prompt that another of its grid has, or rows are different.
    """
    tables = [_table(grid) for grid in grids]
    stack = stack_conditions(rows, resampler)
    scored = scored_rows(stack)
    if isinstance(score, Ratios):
        stack, score = stack[..., score.statistics], score.own
    found: dict[int, tuple[Interaction, ...]] = {}
    for kept, members in _by_rows(scored, tables):
        counts = Counts.of(kept, resampler)
        places = np.unique(np.concatenate([tables[i].ravel() for i in members]))
        sums = cluster_sums(stack[places], kept, resampler)
        scores = scored_total(score, sums.sum(axis=0))
        influence = _influence(sums, scores, score, _parts(kept, resampler))
        for i in members:
            at = np.searchsorted(places, tables[i])
            found[i] = tuple(
                _interaction(scores[at, column], influence[:, at, column], counts)
                for column in range(scores.shape[1])
            )
    return tuple(found[i] for i in range(len(tables)))


def _table(grid: Sequence[Sequence[int]]) -> np.ndarray:
    """Return places of shape (models, prompts)."""
    if len({len(line) for line in grid}) > 1:
        listed = ", ".join(str(len(line)) for line in grid)
        raise ValueError(f"every model needs the same prompts; the models have {listed} of them")
    return np.array(grid, dtype=np.intp)


def _by_rows(
    kept: np.ndarray, tables: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Yield the rows, shape (rows,), that all conditions of some tables have scored, with these."""
    groups: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    for i, table in enumerate(tables):
        common = kept[table.ravel()].all(axis=0)
        groups.setdefault(common.tobytes(), (common, []))[1].append(i)
    yield from groups.values()


def _parts(kept: np.ndarray, resampler: Resampler) -> np.ndarray:
    """Return each cluster's part of the rows *kept*, shape (rows,): shape (clusters,)."""
    sizes = np.bincount(resampler.clusters[kept], minlength=resampler.n_clusters)
    return np.asarray(sizes / max(1, kept.sum()))


def _influence(
    sums: np.ndarray, scores: np.ndarray, score: ScoreFunction, parts: np.ndarray
) -> np.ndarray:
    """Return what each cluster adds to each score: shape (clusters, conditions, columns).

    The score less that without the cluster, times the other clusters' part of the rows: of a mean
    over rows exactly what the cluster adds to it.
    """
    without = scored_total(score, sums.sum(axis=0) - sums)
    return np.asarray((scores - without) * (1 - parts)[:, None, None])


def _interaction(scores: np.ndarray, influence: np.ndarray, counts: Counts) -> Interaction:
    """Judge one column: scores (models, prompts), influence (clusters, models, prompts)."""
    if min(scores.shape) < 2 or not np.isfinite(scores).all():
        return Interaction(None, None, counts.n, counts.n_clusters)
    value = float(np.sqrt((_remainders(scores) ** 2).mean()))
    p = None
    if counts.enough and np.isfinite(influence).all():
        p = _hotelling(scores, influence, counts)
    return Interaction(value, p, counts.n, counts.n_clusters)


def _hotelling(scores: np.ndarray, influence: np.ndarray, counts: Counts) -> float | None:
    """Return the p of no interaction in scores (models, prompts).

    Interaction is q = (models - 1) (prompts - 1) contrasts of the scores, which vary with the
    questions together: T^2 = d' V^-1 d, V the contrasts' covariance over clusters, and
    T^2 (n - q) / (q (n - 1)) is F's with q and n - q degrees of freedom. Hotelling (1931), The
    Generalization of Student's Ratio, Annals of Mathematical Statistics 2(3); of repeated
    measures: Rencher and Christensen (2012), Methods of Multivariate Analysis, section 5.9.
    """
    from scipy.linalg import helmert
    from scipy.special import fdtrc

    contrasts = np.kron(*(helmert(size) for size in scores.shape))
    d, own = contrasts @ scores.ravel(), influence.reshape(len(influence), -1) @ contrasts.T
    scale = float(np.abs(scores).max())
    if np.abs(d).max() <= ROUNDING * scale:
        return 1.0
    n, q = counts.effective, len(d)
    covariance = own.T @ own * (counts.n_clusters / (counts.n_clusters - 1))
    if n <= q + 1 or np.linalg.matrix_rank(covariance, hermitian=True) < q:
        return None
    squared = float(d @ np.linalg.solve(covariance, d))
    return float(fdtrc(q, n - q, squared * (n - q) / (q * (n - 1))))  # the upper tail of F


def _remainders(scores: np.ndarray) -> np.ndarray:
    """Take each model's and each prompt's mean out of scores (models, prompts, ...)."""
    models, prompts = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    return np.asarray(scores - models - prompts + scores.mean(axis=(0, 1), keepdims=True))


# ---------------------------------------------------------------------------- rows


def movers(
    rows: Sequence[np.ndarray], score: ScoreFunction, n: int
) -> tuple[tuple[Mover, ...], ...]:
    """Return the *n* rows whose own scores lie furthest apart, for each column of *score*.

    A row that some condition has not scored, or that has no score of its own there, is left out,
    as is one that does not move. The furthest comes first; of equals, the earlier row.

    Args:
        rows: Statistics of shape (rows, statistics) for each condition, all of the same rows in
            the same order; a row with a NaN is unscored.
        score: ``MetricProtocol.score``; a single row's statistics are a sum of one.
        n: How many at most.

    Raises:
        ValueError: The conditions are of different rows.
    """
    stack = stack_conditions(rows, Resampler.by(range(len(rows[0]) if rows else 0)))
    own = scored_total(score, stack)
    known = scored_by_all(stack)
    return tuple(_movers(own[..., column], known, n) for column in range(own.shape[-1]))


def _movers(own: np.ndarray, known: np.ndarray, n: int) -> tuple[Mover, ...]:
    """Judge one column: own scores (conditions, rows)."""
    kept = np.flatnonzero(known & np.isfinite(own).all(axis=0))
    moved = np.ptp(own[:, kept], axis=0)
    first = np.argsort(-moved, kind="stable")[:n]
    return tuple(_mover(own[:, row], int(row)) for row in kept[first[moved[first] > 0]])


def _mover(own: np.ndarray, row: int) -> Mover:
    lowest, highest = int(own.argmin()), int(own.argmax())
    return Mover(row, lowest, highest, float(own[lowest]), float(own[highest]))
