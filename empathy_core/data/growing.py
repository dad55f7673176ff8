"""More rows of a run that has answers: what is there stays in its block, what is new is put behind.

Which rows are evaluated is decided by a drawn order, so that the first *n* are the first of any
more. Blocks are cut by length, however, and would all be other ones: rows that were evaluated keep
theirs, and the added rows of each step fill blocks of their own, from the next score unit on. The
rows themselves stand in the order in which a run that was planned so large at once has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from empathy_core.data import splitting
from empathy_core.data.specs import ALL_REFERENCES, EvaluateSpec
from empathy_core.errors import RunMismatch
from empathy_core.store import EVALUATED, UNIT_BLOCKS


@dataclass(frozen=True, slots=True)
class GrowthStep:
    """Rows that came together.

    Attributes:
        limit: ``evaluate.limit`` at that time; null means all.
        rows: How many rows.
        first: Their first block.
        blocks: How many blocks; 0 where there were no more rows.
    """

    limit: int | None
    rows: int
    first: int
    blocks: int


def steps_of(record: Mapping[str, Any]) -> tuple[GrowthStep, ...]:
    """Return how frozen rows grew, as their record tells; empty where they never did."""
    return tuple(GrowthStep(**step) for step in record.get("steps", ()))


def as_written(steps: Sequence[GrowthStep]) -> list[dict[str, Any]]:
    """Return the steps as ``steps_of`` reads them."""
    return [asdict(step) for step in steps]


def begun(frozen: pl.DataFrame, limit: int | None) -> tuple[GrowthStep, ...]:
    """Return the one step of rows that were frozen under *limit* and never grew."""
    rows = frozen.filter(EVALUATED)
    return (GrowthStep(limit, rows.height, 0, int(rows["block"].n_unique())),)


def drawn(frozen: pl.DataFrame, spec: EvaluateSpec) -> set[str]:
    """Return the ids of the rows that *spec* evaluates."""
    return set(splitting.evaluated(frozen, spec))


def grown(
    frozen: pl.DataFrame, at_once: pl.DataFrame, steps: Sequence[GrowthStep], spec: EvaluateSpec
) -> tuple[pl.DataFrame, tuple[GrowthStep, ...]]:
    """Return the rows with more of them evaluated, and the steps with the new one.

    Args:
        frozen: The rows of the run (``store.EXAMPLES``).
        at_once: The same with all evaluated that are to be, as a run of its own would have them.
        steps: How the rows came to be; at least one.
        spec: What is to be evaluated.

    Raises:
        RunMismatch: The rows are not the same, or a row that was evaluated would not be.
    """
    _require_equal(frozen, at_once)
    old = frozen.filter(EVALUATED).select("id", "block")
    wanted = at_once.filter(EVALUATED)
    if not old["id"].is_in(wanted["id"].to_list()).all():
        msg = (
            "a row that is answered would not be evaluated any more; expected all of them and "
            "more; set the old values of [evaluate] again"
        )
        raise RunMismatch(msg)
    added = wanted.filter(~pl.col("id").is_in(old["id"].to_list()))
    last = max(step.first + step.blocks for step in steps)
    first = -(-last // UNIT_BLOCKS) * UNIT_BLOCKS  # units that are scored stay as they are
    cut = splitting.in_blocks(added.drop("block"), added["id"].to_list(), spec.block_size)
    blocks = pl.concat([old, cut.select("id", pl.col("block") + first)])
    rows = at_once.drop("block").join(blocks, on="id", how="left", maintain_order="left")
    step = GrowthStep(spec.limit, added.height, first, int(cut["block"].n_unique()))
    return rows.select(at_once.columns), (*steps, step)


_MAY_DIFFER = ("block", ALL_REFERENCES)
"""Columns that say what is evaluated, or are there of evaluated rows only."""


def _require_equal(frozen: pl.DataFrame, today: pl.DataFrame) -> None:
    """Prove that the sources are read today as they were when the rows were frozen.

    Raises:
        RunMismatch: They are not.
    """
    names = [name for name in frozen.columns if name not in _MAY_DIFFER]
    same = set(names) == {name for name in today.columns if name not in _MAY_DIFFER}
    if same and frozen.select(names).sort("id").equals(today.select(names).sort("id")):
        return
    msg = (
        "today's cleaning rules make other rows of the same sources than those that "
        "are frozen, so that none can be added; expected the same"
    )
    raise RunMismatch(msg)


# ---------------------------------------------------------------------------- who came when


def until(evaluated: pl.DataFrame, step: GrowthStep) -> pl.DataFrame:
    """Return the rows that were evaluated after *step*, in the order that they had then."""
    rows = evaluated.filter(pl.col("block") < step.first + step.blocks)
    return splitting.in_order(rows).drop("place", "first")
