"""How far a run's tasks are on this machine: per stage and model, from the files and the logs."""

from collections import Counter
from collections.abc import Collection

from empathy_core.store import RunDir
from jobs.executors import local_history
from jobs.executors.local_history import LocalTask
from jobs.executors.slurm.inspect import Inspected
from jobs.executors.slurm.progress import StageProgress, done_tasks
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import TABLE


def tasks_of(plan: Plan) -> list[Task]:
    """Return all tasks of a plan but those that are done anew after any other work."""
    return [task for stage in TABLE if not stage.renewed for task in stage.tasks(plan)]


def failed_here(
    run: RunDir,
    plan: Plan,
    progress: RunProgress,
    inspected: Inspected,
    done: Collection[str] | None = None,
) -> list[LocalTask]:
    """Return what failed on this machine, was never submitted to Slurm, and is not done.

    *done* is ``done_tasks``, where they are known already.
    """
    done = done_tasks(plan, progress) if done is None else done
    others = {*done, *inspected.array_tasks}
    tasks = [task for task in tasks_of(plan) if task.id not in others]
    return [one for one in local_history.tried(run, tasks) if one.failed]


def local_progress(
    run: RunDir, plan: Plan, inspected: Inspected, done: Collection[str]
) -> list[StageProgress]:
    """Return a line for each stage and key of the plan that is done on this machine.

    Of a run that was submitted to Slurm, only what was tried here and never submitted. *done* is
    ``done_tasks``.
    """
    tasks = [task for task in tasks_of(plan) if task.id not in inspected.array_tasks]
    tried = {one.id: one for one in local_history.tried(run, tasks)}
    if inspected.submissions:
        tasks = [task for task in tasks if task.id in tried]
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.stage, task.key), []).append(task)
    return [_line(mine, done, tried) for mine in groups.values()]


def _line(mine: list[Task], done: Collection[str], tried: dict[str, LocalTask]) -> StageProgress:
    left = [task for task in mine if task.id not in done]
    known = [tried[task.id] for task in left if task.id in tried]
    failed = Counter(one.history[-1].kind for one in known if one.failed)
    running = sum(one.running for one in known)
    return StageProgress(
        mine[0].stage,
        mine[0].key,
        done=len(mine) - len(left),
        running=running,
        queued=0,
        failed=dict(failed),
        to_do=len(left) - running - failed.total(),
        where="here",
    )
