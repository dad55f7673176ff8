"""What scoring consists of: shards of units, scored for each metric and condition.

It is done twice where answers are chosen by scores (best of n): first of what was generated or
imported, and of what was chosen when that is known.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import polars as pl

from empathy_core import store
from empathy_core.store import Piece, RunDir
from empathy_core.store.pieces import COMPACTED
from empathy_core.types import Condition
from jobs.planning.plan import LEXICAL, Plan, Task
from jobs.planning.progress import RunProgress, read_progress

FIRST, OF_CHOSEN = "score", "score_chosen"
"""The stages in which answers are scored."""


def tasks(plan: Plan) -> list[Task]:
    """Return the shards of every group of metrics; there are never more than units."""
    return _tasks(plan, FIRST)


def tasks_of_chosen(plan: Plan) -> list[Task]:
    """Return the same for the answers that are chosen; none where none are."""
    return _tasks(plan, OF_CHOSEN) if plan.chosen else []


def _tasks(plan: Plan, stage: str) -> list[Task]:
    n_shards = min(plan.score_shards, plan.n_units)
    groups = dict.fromkeys(metric.group for metric in plan.metrics)
    return [Task(stage, group, shard, n_shards) for group in groups for shard in range(n_shards)]


def scored_by(plan: Plan, stage: str) -> tuple[Condition, ...]:
    """Return the conditions whose answers are scored in one of the two stages."""
    chosen = stage == OF_CHOSEN
    return tuple(c for c in plan.conditions if (c.choice is not None) == chosen)


def needs_gpu(plan: Plan, group: str) -> bool:
    """Tell whether a task of a group computes with a model of its own; a server is elsewhere."""
    judges = [metric.judge for metric in plan.of_group(group) if metric.judge is not None]
    return not group.startswith(LEXICAL) and all(judge.runs_here for judge in judges)


def cut_as(plan: Plan, n_shards: int) -> Plan:
    """Return the plan with the scoring cut into so many shards."""
    return replace(plan, score_shards=n_shards)


Column = tuple[str, str]
"""Metric key and condition id."""


def columns(plan: Plan, task: Task) -> list[Column]:
    """Return what a task looks at."""
    return [(m.key, c.id) for m in plan.of_group(task.key) for c in scored_by(plan, task.stage)]


def is_scored(plan: Plan, progress: RunProgress, task: Task) -> bool:
    """Tell whether every unit of a task that holds answers was scored from just these."""
    return not any(units for _, units in _stale(plan, progress, task))


def n_batches(plan: Plan, progress: RunProgress, tasks: Sequence[Task]) -> int:
    """Count the units that tasks will measure, over metrics and conditions."""
    return sum(len(units) for task in tasks for _, units in _stale(plan, progress, task))


def _stale(plan: Plan, progress: RunProgress, task: Task) -> Iterator[tuple[Column, list[int]]]:
    """Yield the columns with units that were not scored from today's answers, and those units."""
    units = store.blocks_of_shard(range(plan.n_units), task.shard, task.n_shards)
    for metric, condition in product(plan.of_group(task.key), scored_by(plan, task.stage)):
        answers = progress.inputs_of(metric, condition.id)
        column = metric.key, condition.id
        scored = progress.scored.get(column)
        done = scored.blocks if scored else {}
        if left := [u for u in units if u in answers and done.get(u) != answers[u]]:
            yield column, left


def clear_other_layouts(
    run: RunDir, plan: Plan, progress: RunProgress, tasks: Sequence[Task]
) -> RunProgress:
    """Cut statistics that were cut otherwise than *tasks* will cut them; return what is there.

    Once a task has scored its own units anew, the two would overlap. Where it will not, since all
    is current and no answers are to come, they stay. Killed in between, both are there: equal
    copies, of which the next sweep sets one aside.
    """
    expected = progress.expecting(plan)
    cuts = {(c, task.n_shards) for task in tasks for c, _ in _stale(plan, expected, task)}
    n_cut = sum(_cut_anew(run, column, n, progress.scored[column].paths) for column, n in cuts)
    return read_progress(run, plan) if n_cut else progress


def _cut_anew(run: RunDir, column: Column, n_shards: int, paths: Sequence[Path]) -> int:
    """Cut a column's statistics into so many shards; return how many files were cut otherwise."""
    own = {run.score(*column, shard, n_shards): shard for shard in range(n_shards)}
    others = [path for path in paths if path not in own]
    if not others:
        return 0
    read = [store.read_piece(path) for path in paths]
    if len({tuple(rows.schema.items()) for _, rows in read}) == 1:
        for path, shard in own.items():
            _write_shard(path, shard, n_shards, read)
    for path in others:  # of an older version's, which lack statistics, all are made anew
        path.unlink(missing_ok=True)
    return len(others)


def _write_shard(
    path: Path, shard: int, n_shards: int, read: Sequence[tuple[Piece, pl.DataFrame]]
) -> None:
    """Write what pieces hold of the units of one shard."""
    inputs, frames = dict[int, str](), []
    for piece, rows in read:
        units = store.blocks_of_shard(sorted(piece.blocks), shard, n_shards)
        new = [unit for unit in units if unit not in inputs]
        made_from = store.inputs_of(piece)
        inputs |= {unit: made_from[unit] for unit in new}
        frames.append(rows.filter(pl.col("block").is_in(new)))
    if not inputs:
        return
    whole = pl.concat(frames).sort("block", maintain_order=True)
    tags = {**read[0][0].tags, "inputs": json.dumps({str(u): inputs[u] for u in sorted(inputs)})}
    tags.pop(COMPACTED, None)
    store.write_piece(whole, path, tags)
