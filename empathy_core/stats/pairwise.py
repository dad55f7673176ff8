"""Scores with intervals, and differences of conditions with intervals and paired tests. Pure."""

from collections.abc import Sequence

import numpy as np

from empathy_core.stats.all_pairs import compare_all
from empathy_core.stats.resampling import (
    Resampler,
    Score,
    cluster_sums,
    draws,
    scored,
    scored_by_all,
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


def interval(rows: np.ndarray, score: Score, resampler: Resampler) -> tuple[Estimate, ...]:
    """Return an estimate for each column of *score*, with its percentile interval.

    Args:
        rows: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The resampler is of other rows.
    """
    return compare_all([rows], score, resampler, pairs=()).estimates[0]


def paired_difference(
    first: np.ndarray, second: np.ndarray, score: Score, resampler: Resampler
) -> tuple[Difference, ...]:
    """Return *second* less *first* for each column of *score*, with interval and tests.

    Args:
        first: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        second: Of the same rows, in the same order.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The two, or the resampler, are of different rows.
    """
    return compare_all([first, second], score, resampler).differences[0, 1]


def contrast(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    score: Score,
    resampler: Resampler,
) -> tuple[Difference, ...]:
    """Return the mean over k of *second[k]* less *first[k]*, for each column of *score*.

    A declared contrast of several pairs of conditions, such as one model less another under each
    of three prompts. Only rows that all conditions have scored count; the randomisation swaps the
    two sides of a cluster in all pairs together, since the pairs share their questions.

    Args:
        first: Statistics of shape (rows, statistics) for each pair; a row with a NaN is unscored.
        second: As many, of the same rows in the same order.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.

    Raises:
        ValueError: The sides are not equally many, none, or not of the same rows.
    """
    if len(first) != len(second):
        raise ValueError(
            f"a contrast needs as many conditions on either side, not {len(first)} and "
            f"{len(second)}"
        )
    k = len(first)
    stack = stacked([*first, *second], resampler)
    kept = scored_by_all(stack)
    sums = cluster_sums(stack, kept, resampler)
    counts = Counts.of(kept, resampler)
    total = sums.sum(axis=0)
    scores = scored_total(score, total)
    resampled = shuffled = None
    if counts.enough:
        drawn = scored(score, weighted(draws(resampler), sums))
        resampled = (drawn[k:] - drawn[:k]).mean(axis=0)
        swapped = weighted(swaps(resampler), sums)
        shuffled = shuffled_differences(
            total[:k], total[k:], swapped[k:] - swapped[:k], score
        ).mean(axis=0)
    sides = np.stack([scores[:k].mean(axis=0), scores[k:].mean(axis=0)])
    return differences(sides, resampled, shuffled, counts, resampler.level)
