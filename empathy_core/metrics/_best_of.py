"""From stored scores to the choice among samples; the rule itself is ``empathy_core.best_of``."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import numpy as np
import polars as pl

from empathy_core import metrics
from empathy_core.best_of import CHOSEN, FOUND, RATED, choose
from empathy_core.choice import SampleChoice
from empathy_core.metrics import MetricProtocol

KEY = ("example", "sample")
CHOICES: dict[str, pl.DataType] = {
    **CHOSEN,
    "output_tokens": pl.Int64(),  # generated for all of the n samples
    "judge_tokens": pl.Int64(),  # read by judges to choose; null: a server does not tell
}
"""Schema of ``RunDir.choice``, a row each example that was chosen for, in the samples' order."""

Scores = Mapping[str, pl.DataFrame]
"""Key of stored scores → ``example``, ``sample`` and statistics."""


def chosen(
    choice: SampleChoice, computed: Mapping[str, MetricProtocol], scores: Scores
) -> pl.DataFrame:
    """Return what is chosen by some scores (``best_of.CHOSEN``), of the samples that these rate.

    Args:
        choice: How.
        computed: Key → metric: the one that chooses, and the guards.
        scores: Of ``choice.scores``.
    """
    return choose(rated(choice, computed, scores), choice.n, better=choice.better, seed=choice.seed)


def rated(
    choice: SampleChoice, computed: Mapping[str, MetricProtocol], scores: Scores
) -> pl.DataFrame:
    """Return what is known of each sample (``best_of.RATED``); see ``chosen``."""
    metric = computed[choice.metric]
    members = [scores[key] for key in choice.made_of]
    jury: Any = metric
    rows = jury.combined(members, KEY) if hasattr(metric, "members") else members[0]
    place = [column.name for column in metric.columns].index(choice.column)
    statistics = rows.select(pl.col(metric.statistics).fill_null(np.nan)).to_numpy()
    with np.errstate(all="ignore"):
        values = metric.score(statistics)[:, place] if rows.height else np.empty(0)
    own = rows.select(*KEY, score=pl.Series(values, dtype=pl.Float64).fill_nan(None))
    found = [_faults(computed[key], scores[key]) for key in choice.guards]
    beside = reduce(_beside, enumerate(found), own)
    names = [f"red{i}" for i in range(len(found))]
    # null where no fault was found and one is not known
    with_any = beside.with_columns(red=pl.any_horizontal(pl.lit(value=False), *names))
    return with_any.select(pl.col(name).cast(kind) for name, kind in RATED.items())


def _beside(rows: pl.DataFrame, fault: tuple[int, pl.DataFrame]) -> pl.DataFrame:
    i, of = fault
    named = of.rename({"red": f"red{i}"})
    return rows.join(named, on=list(KEY), how="left", maintain_order="left")


def _faults(metric: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``red`` of each sample: whether a judge found a fault; null where it could not say.

    Where it is not asked, since the question bears no such risk, there is none.
    """
    reasons = (metric.no_answer, "too_long", "empty")
    unknown = pl.any_horizontal(pl.col(reason) == 1 for reason in reasons)
    there = pl.col("score").fill_nan(None)
    found = pl.when(there.is_not_null()).then(there >= FOUND)
    return rows.select(*KEY, red=found.when(unknown).then(None).otherwise(pl.lit(value=False)))


def is_guard(metric: MetricProtocol) -> bool:
    """Tell whether a metric is a judge's, that looks for a severe fault (Red) in one reply."""
    of: Any = metric
    return metrics.rates(metric) and of.dimension.severity == "red"


def n_read(
    choice: SampleChoice, computed: Mapping[str, MetricProtocol], rows: pl.DataFrame
) -> pl.Series:
    """Return how many tokens judges read of each sample to choose: null where one does not tell.

    Args:
        choice: How.
        computed: Key → metric, as prepared for the run's rows.
        rows: Columns that metrics take.
    """
    told = list(_told(choice, computed, rows))
    if any(one is None for one in told):
        return pl.Series([None] * rows.height, dtype=pl.Int64)
    of = np.array([one for one in told if one is not None], dtype=np.int64)
    return pl.Series(of.reshape(-1, rows.height).sum(axis=0), dtype=pl.Int64)


def _told(
    choice: SampleChoice, computed: Mapping[str, MetricProtocol], rows: pl.DataFrame
) -> Iterator[list[int] | None]:
    for key in choice.scores:
        judge: Any = computed[key]
        if hasattr(judge, "n_read"):
            yield judge.n_read(rows)
