"""Scores that are ratios of two sums are the same, whatever else a row keeps."""

from dataclasses import replace

import numpy as np
import pytest

from empathy_core.stats import Ratios, Resampler, compare_all, interactions, spreads_by_metric
from empathy_core.types import Column

N_ROWS = 60
COLUMNS = (Column("mean", "Mean", ratio=(1, 3)), Column("part", "Part", ratio=(4, 5)))
"""Of six statistics, the first and the third belong to no column."""


def score(sums: np.ndarray) -> np.ndarray:
    """Reduce all six, as a metric does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.stack([sums[..., 1] / sums[..., 3], sums[..., 4] / sums[..., 5]], axis=-1)
    return np.where(np.isfinite(found), found, np.nan)


def rows(n: int, seed: int = 0) -> list[np.ndarray]:
    """Return statistics of conditions that lack different rows, seen in the first statistic."""
    random = np.random.default_rng(seed)
    found = random.random((n, N_ROWS, 6)) + np.arange(n)[:, None, None] / 20
    found[..., 3] = 1
    found[random.random((n, N_ROWS)) < 0.05, 0] = np.nan
    return list(found)


@pytest.fixture
def resampler() -> Resampler:
    return Resampler.by((i // 2 for i in range(N_ROWS)), n_resamples=400, seed=3)


def test_a_ratio_is_a_division_and_nothing_where_it_divides_by_zero() -> None:
    ratios = Ratios.of(COLUMNS)
    assert ratios is not None
    sums = np.array([[9.0, 3, 9, 4, 1, 0], [9, 1, 9, 8, 6, 3]])
    assert np.array_equal(ratios(sums), [[0.75, np.nan], [0.125, 2]], equal_nan=True)


def test_columns_of_which_one_is_no_ratio_have_none() -> None:
    assert Ratios.of([*COLUMNS, Column("other", "Other")]) is None
    assert Ratios.of([]) is None


def test_statistics_that_no_column_needs_change_no_number(resampler: Resampler) -> None:
    whole = rows(4)
    other = [of.copy() for of in whole]
    for of in other:
        of[:, [0, 2]] = 100 * of[:, [2, 0]] + of[:, [0, 0]]  # unscored where it was
    found = compare_all(whole, score, resampler, columns=COLUMNS)
    assert found == compare_all(other, score, resampler, columns=COLUMNS)
    assert len({of.n for pair in found.differences.values() for of in pair}) > 1


def test_scores_are_those_of_the_metric_that_gets_every_statistic(resampler: Resampler) -> None:
    whole = rows(4)
    found = compare_all(whole, score, resampler, columns=COLUMNS)
    plain = compare_all(whole, score, resampler)  # nothing known of the columns
    assert found.estimates == plain.estimates
    for pair, columns in found.differences.items():
        for one, other in zip(columns, plain.differences[pair], strict=True):
            assert replace(one, p_floor=None) == replace(other, p_floor=None)


def test_a_row_that_lacks_any_statistic_is_unscored_under_all_columns(
    resampler: Resampler,
) -> None:
    whole = rows(2)
    found = compare_all(whole, score, resampler, columns=COLUMNS)
    lacking = [int(np.isnan(of).any(axis=1).sum()) for of in whole]
    assert [of.n for (of, _) in found.estimates] == [N_ROWS - n for n in lacking]
    assert min(lacking) > 0


def test_spreads_and_interactions_of_ratios_are_those_of_the_metric(resampler: Resampler) -> None:
    first, second, ratios = rows(3), rows(3, seed=1), Ratios.of(COLUMNS[:1])
    assert ratios is not None
    by_metric = spreads_by_metric([([first, second], score)], resampler)[0]
    by_ratios = spreads_by_metric([([first, second], ratios)], resampler)[0]
    assert by_ratios == tuple(columns[:1] for columns in by_metric)
    grid = [[[0, 1, 2], [3, 4, 5]]]
    of_metric = interactions([*first, *second], grid, score, resampler)[0]
    assert interactions([*first, *second], grid, ratios, resampler)[0] == of_metric[:1]
