"""How far a run's array tasks are: per stage and model, from the files, the queue and the logs."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from jobs.executors.faults import Failure
from jobs.executors.slurm.failing_nodes import FailingNode, named_nodes
from jobs.executors.slurm.history import UNSAID, Attempt
from jobs.executors.slurm.in_queue import UNKNOWN
from jobs.executors.slurm.inspect import (
    AccountingLooks,
    ArrayTask,
    Attempts,
    Inspected,
    read_accounting,
    read_history,
    read_log,
)
from jobs.planning.plan import Plan
from jobs.planning.progress import RunProgress
from jobs.planning.stages import TABLE, stage_of
from slurm.events import read_events


@dataclass(frozen=True)
class StageProgress:
    """One stage of one model, score group, or the report.

    Attributes:
        done: Tasks that are done, whoever did them.
        failed: Class of failure → tasks that are not done and not in the queue.
        waits: Why the queued ones wait, in Slurm's words → how many.
        unknown: Tasks of which nobody can say whether they are in the queue.
        standing_by: Tasks that are not done, and that are tried again by themselves if they fail.
        gpu_h_asked: GPUs times time limit of every array task submitted.
        gpu_h_used: GPUs times time between first and last word of each attempt.
        to_do: Tasks of this machine that are neither done nor running, and did not fail.
        where: ``slurm``, or ``here``: on this machine.
    """

    stage: str
    key: str
    done: int
    running: int
    queued: int
    failed: Mapping[str, int] = field(default_factory=dict)
    waits: Mapping[str, int] = field(default_factory=dict)
    gpu_h_asked: float = 0.0
    gpu_h_used: float = 0.0
    to_do: int = 0
    unknown: int = 0
    where: Literal["slurm", "here"] = "slurm"
    standing_by: int = 0


@dataclass(frozen=True)
class Failed:
    """What of a run failed on Slurm.

    Attributes:
        histories: Each array task that failed, with its attempts, oldest first.
        nodes: Nodes that fail most of what they take.
        done: Ids of the tasks with nothing left to do.
    """

    histories: Sequence[tuple[ArrayTask, Sequence[Attempt]]] = ()
    nodes: Sequence[FailingNode] = ()
    done: Collection[str] = ()

    def proven(self) -> "Failed":
        """Return what the array tasks said themselves."""
        kept = [(task, read) for task, read in self.histories if read[-1].kind not in UNSAID]
        return replace(self, histories=kept)

    def failures(self) -> list[Failure]:
        """Return how each array task ended."""
        return [
            Failure(
                task.tasks[0].id, f"{task.submission.stage} {task.submission.key}",
                history[-1].kind, history[-1].message, history[-1].node, task.log,
            )
            for task, history in self.histories
        ]  # fmt: skip


def read_failed(
    plan: Plan,
    progress: RunProgress,
    inspected: Inspected,
    accounting: AccountingLooks | None = None,
) -> Failed:
    """Return what failed on Slurm, in at most one query of sacct; none if nothing did.

    Where Slurm was not reached, only what array tasks said of themselves.

    Args:
        plan: What there is to do.
        progress: What is done.
        inspected: What was submitted.
        accounting: What the accounting told at earlier looks; null means nothing.
    """
    done = done_tasks(plan, progress, inspected)
    array_tasks = failed_array_tasks(plan, progress, inspected, done)
    if not array_tasks:
        return Failed(done=done)
    rows = read_accounting(array_tasks, inspected, accounting)
    histories = [(array_task, failed_history(array_task, rows)) for array_task in array_tasks]
    failed = Failed(histories, named_nodes(plan, inspected, rows), done)
    return failed if inspected.reached else failed.proven()


def failed_array_tasks(
    plan: Plan, progress: RunProgress, inspected: Inspected, done: Collection[str] | None = None
) -> list[ArrayTask]:
    """Return the newest array task of each task that is not done and not in the queue.

    Args:
        plan: What there is to do.
        progress: What is done.
        inspected: What was submitted.
        done: ``done_tasks``, where they are known already.
    """
    done = done_tasks(plan, progress, inspected) if done is None else done
    ended = {
        array_task.id: array_task
        for task, array_task in inspected.array_tasks.items()
        if array_task.state is None and task not in done
    }
    return [
        array_task
        for array_task in ended.values()
        if not stage_of(array_task.submission.stage).takes_what_is_there or not _well(array_task)
    ]


def _well(array_task: ArrayTask) -> bool:
    """Tell whether an array task ended well by its own account."""
    events = read_events(read_log(array_task.log))
    return bool(events) and events[-1]["event"] == "ended" and events[-1]["code"] == 0


def done_tasks(plan: Plan, progress: RunProgress, inspected: Inspected | None = None) -> set[str]:
    """Return the ids of the tasks with nothing left to do, now or later.

    Args:
        plan: Its tasks.
        progress: What is done.
        inspected: Tasks that were submitted, too: a pilot, or a sweep before the number of shards
            was changed, cut the same work otherwise.
    """
    expected = progress.expecting(plan)
    known = {t.id: (s, t) for s in TABLE for t in s.tasks(plan)}
    for id_, array_task in inspected.array_tasks.items() if inspected else ():
        if id_ not in known:
            stage = stage_of(array_task.submission.stage)
            known |= {t.id: (stage, t) for t in array_task.tasks}
    return {id_ for id_, (s, t) in known.items() if s.done(plan, expected, t)}


def stage_progress(
    inspected: Inspected, failed: Failed, now: float | None = None
) -> list[StageProgress]:
    """Return a line for each stage and key that was submitted; none if nothing was."""
    kinds = {task.id: history[-1].kind for task, history in failed.histories}
    groups: dict[tuple[str, str], dict[str, ArrayTask]] = {
        (s.stage, s.key): {} for s in inspected.submissions
    }
    for task, array_task in inspected.array_tasks.items():
        groups[array_task.submission.stage, array_task.submission.key][task] = array_task
    return [
        _line(mine, failed.done, kinds, inspected, now or time.time())
        for mine in groups.values()
        if mine
    ]


def failed_history(
    array_task: ArrayTask, rows: Mapping[tuple[str, int], Attempts]
) -> list[Attempt]:
    """Return the attempts of an array task whose tasks are not done.

    One that ended well by its own account has lost its results since.
    """
    *before, last = read_history(array_task, rows)
    if last.kind == "done":
        last = replace(last, kind="not done", message="its results are not there (any more)")
    return [*before, last]


def _line(
    mine: Mapping[str, ArrayTask],
    done: Collection[str],
    kinds: Mapping[str, str],
    inspected: Inspected,
    now: float,
) -> StageProgress:
    """Return the line of the tasks of one stage and key: task id → its newest array task."""
    first = next(iter(mine.values())).submission
    stage_and_key = (first.stage, first.key)
    states = Counter[str]()
    failed, waits = Counter[str](), Counter[str]()
    standing_by = 0
    for task, array_task in mine.items():
        standing_by += bool(array_task.standby) and task not in done
        kind = kinds.get(array_task.id, "")
        if task in done or (array_task.state is None and inspected.reached and not kind):
            states["done"] += 1
        elif array_task.state is None and kind:
            failed[kind] += 1
        elif array_task.state in (None, UNKNOWN):
            states["unknown"] += 1
        elif array_task.state == "PENDING":
            states["queued"] += 1
            waits[array_task.reason] += 1
        else:
            states["running"] += 1
    ours = [s for s in inspected.submissions if (s.stage, s.key) == stage_and_key and s.job]
    asked = sum(s.gpus * len(s.shards) * float(s.asked.get("time_min", 0)) for s in ours)
    used = _used_h(mine.values(), now) if asked else 0.0
    return StageProgress(
        *stage_and_key, states["done"], states["running"], states["queued"],
        dict(failed), dict(waits), round(asked / 60, 2), round(used, 2), unknown=states["unknown"],
        standing_by=standing_by,
    )  # fmt: skip


def _used_h(array_tasks: Iterable[ArrayTask], now: float) -> float:
    mine = {e.id: e for e in array_tasks}.values()
    return sum(busy_s(task, now) * task.submission.gpus for task in mine) / 3600


def busy_s(array_task: ArrayTask, now: float) -> float:
    """Return how long an array task has run, over all its attempts, by its own log, in seconds.

    An attempt counts from its first to its last word, one that runs to *now* (seconds since 1970).
    """
    seconds = 0.0
    start = last = None
    for event in read_events(read_log(array_task.log)):
        if event["event"] == "started":
            seconds += (last - start) if start and last else 0
            start = last = event["at"]
        last = event["at"]
    if start and last:
        end = now if array_task.state == "RUNNING" else last
        seconds += max(0, end - start)
    return seconds
