"""A plan's stages on this machine, one after another."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from empathy_core.store import RunDir
from jobs.executors.local import LocalExecutor, Outcome, Settings
from jobs.executors.progress_bar import Bar
from jobs.planning import progress as survey
from jobs.planning.plan import Plan, Task, score_tasks
from jobs.planning.progress import Standing
from jobs.planning.sweep import Planned


def execute(planned: Planned, run: RunDir, settings: Settings, bar: Bar) -> list[Outcome]:
    """Do what the plan lacks on this machine: train, generate, then score what there is.

    Raises:
        KeyboardInterrupt: After the workers were stopped.
    """
    if planned.path is None:
        return []
    outcomes = train(planned, run, settings, bar)
    executor = LocalExecutor(run, planned.path, settings)
    rows = _rows_to_answer(planned)
    trained = survey.trained(run, planned.plan)
    makers = [
        t for t in planned.tasks if t.stage == "generate" and _can_answer(planned, t, trained)
    ]
    outcomes += _stage("generate", "rows", makers, executor, bar, rows)
    standing = survey.standing(run, planned.plan) if planned.tasks else planned.standing
    clear_journals(run, planned.plan, standing)
    tasks, n_batches = _scoring(planned.plan, run, standing)
    return outcomes + _stage("score", "batches", tasks, executor, bar, n_batches)


def train(planned: Planned, run: RunDir, settings: Settings, bar: Bar) -> list[Outcome]:
    """Train the adapters that the plan lacks, one at a time: each takes the whole machine."""
    if planned.path is None:
        return []
    tasks = [task for task in planned.tasks if task.stage == "finetune"]
    executor = LocalExecutor(run, planned.path, replace(settings, workers=1), every_gpu=True)
    n_steps = sum(planned.plan.finetune(task.key).n_steps for task in tasks)
    return _stage("finetune", "steps", tasks, executor, bar, n_steps)


def _can_answer(planned: Planned, task: Task, trained: Mapping[str, str]) -> bool:
    """Tell whether a model needs no adapter of this run, or has it; training may have failed."""
    made = planned.plan.finetune_of(task.key)
    return made is None or made.id in trained


def clear_journals(run: RunDir, plan: Plan, standing: Standing) -> None:
    """Remove what killed attempts left in conditions whose every block now stands in a piece."""
    for condition in plan.conditions:
        if len(standing.generated[condition.id].blocks) == plan.n_blocks:
            shutil.rmtree(run.journals(condition.id), ignore_errors=True)


def _stage(
    name: str, unit: str, tasks: Sequence[Task], executor: LocalExecutor, bar: Bar, total: int
) -> list[Outcome]:
    if not tasks:
        return []
    with bar.stage(name, unit, total) as on_progress:
        return executor.execute(tasks, on_progress)


def _scoring(plan: Plan, run: RunDir, standing: Standing) -> tuple[list[Task], int]:
    """Return the score tasks to do, and how many batches (metric, condition, unit) they hold."""
    tasks = score_tasks(plan, standing.inputs(), standing.units())
    cleared = clear_other_layouts(run, plan, standing, tasks)
    if cleared is not standing:
        standing = cleared
        tasks = score_tasks(plan, standing.inputs(), standing.units())
    return tasks, sum(_batches(plan, task, standing) for task in tasks)


def clear_other_layouts(
    run: RunDir, plan: Plan, standing: Standing, tasks: Sequence[Task]
) -> Standing:
    """Remove statistics that were cut otherwise than *tasks* will cut them; return what is left.

    Once a task has scored its own units anew, the two would overlap.
    """
    others = [
        path
        for task in tasks
        for pair in _of_task(plan, task)
        for path in standing.scored[pair].paths
        if not path.stem.endswith(f"-of-{task.n_shards:05d}")
    ]
    for path in others:
        path.unlink(missing_ok=True)
    return survey.standing(run, plan) if others else standing


def _of_task(plan: Plan, task: Task) -> list[tuple[str, str]]:
    """Return the (metric key, condition id) pairs that a score task looks at."""
    return [(m.key, c.id) for m in plan.of_group(task.key) for c in plan.conditions]


def _batches(plan: Plan, task: Task, standing: Standing) -> int:
    """Count the units that a score task will measure, over metrics and conditions."""
    inputs, units = standing.inputs(), standing.units()
    n_batches = 0
    for metric, condition in _of_task(plan, task):
        now = inputs[condition]
        mine = {u: d for u, d in now.items() if u % task.n_shards == task.shard}
        scored = units[metric, condition]
        n_batches += len(mine) if any(scored.get(u) != d for u, d in mine.items()) else 0
    return n_batches


def _rows_to_answer(planned: Planned) -> int:
    """Count the rows that are not yet in a piece; those in journals count as to do."""
    sizes = dict(
        planned.resolved.examples.filter(pl.col("block").is_not_null())
        .group_by("block")
        .len()
        .iter_rows()
    )
    made = set(planned.plan.made_elsewhere)
    total = 0
    for condition in planned.plan.conditions:
        if condition.id not in made:
            missing = sizes.keys() - planned.standing.generated[condition.id].blocks.keys()
            n_samples = condition.decoding.samples if condition.decoding.sample else 1
            total += n_samples * sum(sizes[block] for block in missing)
    return total
