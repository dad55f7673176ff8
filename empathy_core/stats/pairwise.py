"""Scores with intervals, and differences of conditions with intervals and paired tests. Pure."""

from collections.abc import Sequence

import numpy as np

from empathy_core.stats.all_pairs import compare_all
from empathy_core.stats.conditions import Conditions
from empathy_core.stats.resampling import Resampler, ScoreFunction, scored_by_all, stack_conditions
from empathy_core.stats.results import Counts, Difference, Estimate
from empathy_core.stats.shuffles import Sides
from empathy_core.types import Column


def interval(
    rows: np.ndarray, score: ScoreFunction, resampler: Resampler, columns: Sequence[Column] = ()
) -> tuple[Estimate, ...]:
    """Return an estimate for each column of *score*, with its interval.

    Args:
        rows: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
        columns: As in ``compare_all``.

    Raises:
        ValueError: The resampler is of other rows, or a share is none.
    """
    return compare_all([rows], score, resampler, pairs=(), columns=columns).estimates[0]


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    score: ScoreFunction,
    resampler: Resampler,
    columns: Sequence[Column] = (),
) -> tuple[Difference, ...]:
    """Return *second* less *first* for each column of *score*, with interval and tests.

    Args:
        first: Statistics of shape (rows, statistics); a row with a NaN is unscored.
        second: Of the same rows, in the same order.
        score: ``MetricProtocol.score``.
        resampler: Of the same rows.
        columns: As in ``compare_all``.

    Raises:
        ValueError: The two, or the resampler, are of different rows.
    """
    return contrast([first], [second], score, resampler, columns)


def contrast(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    score: ScoreFunction,
    resampler: Resampler,
    columns: Sequence[Column] = (),
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
        columns: As in ``compare_all``.

    Raises:
        ValueError: The sides are not equally many, none, or not of the same rows.
    """
    if len(first) != len(second):
        raise ValueError(
            f"a contrast needs as many conditions on either side, not {len(first)} and "
            f"{len(second)}"
        )
    k = len(first)
    stack = stack_conditions([*first, *second], resampler)
    kept = scored_by_all(stack)
    on_rows = np.broadcast_to(kept, stack.shape[:2])
    own = Conditions.of(stack, on_rows, score, resampler, columns)
    sides, tests = Sides(tuple(range(k)), tuple(range(k, 2 * k))), None
    if Counts.of(kept, resampler).enough:
        ((tests,),) = own.tests([own.shared(kept, [sides])])
    return own.difference(sides, tests)
