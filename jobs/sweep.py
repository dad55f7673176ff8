"""A sweep from configuration to tables: plan under the lock, do what is missing, report."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from empathy_core import store
from empathy_core.store import RunDir
from jobs import survey
from jobs.local import LocalExecutor, Outcome, Settings
from jobs.plan import Plan, Task, finetune_tasks, generate_tasks, score_tasks
from jobs.planfile import write_plan
from jobs.progress import Bar
from jobs.resolve import Resolved, resolve
from jobs.survey import Standing
from jobs.tables import Config


@dataclass(frozen=True)
class Planned:
    """A plan on disk, and what it leaves to do.

    Attributes:
        tasks: Adapters to train first, then answers to make.
        aside: Files that could not be used: where each is now, and why.
    """

    resolved: Resolved
    path: Path | None
    standing: Standing
    tasks: tuple[Task, ...]
    aside: tuple[tuple[Path, str], ...] = ()

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.resolved.plan

    @property
    def warnings(self) -> list[str]:
        """What the author should know before anything is computed."""
        aside = [f"set aside as {path}: {reason}" for path, reason in self.aside]
        return [*aside, *self.resolved.remarks]


def plan(config: Config, run: RunDir, command: str) -> Planned:
    """Plan a sweep under the lock, and record the plan.

    Side effects: rows are frozen, unusable files set aside, answers made elsewhere written.

    Raises:
        EmpathyError: Anything the user must mend first; nothing computed is touched.
    """
    with run.lock():
        return plan_locked(config, run, command)


def plan_locked(
    config: Config, run: RunDir, command: str, awaited: Collection[str] = ()
) -> Planned:
    """Plan a sweep under a lock that the caller holds.

    *awaited* are the ids of conditions and fine-tunes that are in the queue: they stay what they
    are, whatever the version of the suite that submitted them.
    """
    store.remove_leftovers(run.root)
    resolved = resolve(config, run, command, awaited=awaited)
    _write_made(run, resolved)
    standing = survey.standing(run, resolved.plan)
    aside = tuple((run.set_aside(path), reason) for path, reason in standing.unusable())
    if aside:
        _write_made(run, resolved)
        standing = survey.standing(run, resolved.plan)
    path = run.next_plan()
    write_plan(resolved.plan, path)
    return Planned(resolved, path, standing, _tasks(resolved.plan, standing), aside)


def preview(config: Config, run: RunDir, command: str) -> Planned:
    """Return what ``plan`` would, and write nothing."""
    resolved = resolve(config, run, command, write=False)
    standing = survey.standing(run, resolved.plan)
    return Planned(resolved, None, standing, _tasks(resolved.plan, standing))


def _tasks(plan: Plan, standing: Standing) -> tuple[Task, ...]:
    trainers = finetune_tasks(plan, standing.trained)
    return (*trainers, *generate_tasks(plan, standing.done()))


def _write_made(run: RunDir, resolved: Resolved) -> None:
    """Write the conditions whose texts were made elsewhere, where they are not there yet."""
    blocks = resolved.examples.select(pl.col("id").alias("example"), "block")
    for condition, texts in resolved.made.items():
        expected = texts.select("example").unique(maintain_order=True)
        store.write_bytes(store.frame_bytes(expected), run.expected(condition))
        path = run.generation(condition, 0, 1)
        if path.exists():
            continue
        rows = texts.join(blocks, on="example", how="left", maintain_order="left")
        filled = rows.with_columns(condition=pl.lit(condition), stop=pl.lit("none"))
        blank = {n: pl.lit(_blank(t), dtype=t) for n, t in store.GENERATIONS.items()}
        frame = filled.with_columns(**{n: e for n, e in blank.items() if n not in filled.columns})
        frame = frame.select(pl.col(n).cast(t) for n, t in store.GENERATIONS.items())
        tags = {"kind": "generations", "condition": condition, "data": resolved.plan.data_digest}
        store.write_piece(frame.sort("block", maintain_order=True), path, tags)


def _blank(dtype: pl.DataType) -> object:
    if dtype == pl.String:
        return ""
    return [] if isinstance(dtype, pl.List) else False if dtype == pl.Boolean else 0


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
