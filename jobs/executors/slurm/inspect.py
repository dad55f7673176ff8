"""What status, logs and explain look at: each array task's place, log and history."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.executors.slurm.history import Attempt, attempts
from jobs.executors.slurm.in_queue import UNKNOWN, QueuedTask, QueueState, read_queue_state
from jobs.executors.slurm.submissions import Ledger, Submission, log_path
from jobs.planning.plan import Plan, Task, is_called
from slurm import queue
from slurm.queue import Accounted, SlurmError


@dataclass(frozen=True)
class ArrayTask:
    """One task of an array job: it does one or more tasks of the plan.

    Attributes:
        state: What squeue says; null if it is not in the queue, or nobody could ask.
        reason: Why it waits.
        standby: Array tasks that do its tasks again if it fails.
    """

    submission: Submission
    index: int
    log: Path
    state: str | None = None
    reason: str = ""
    node: str = ""
    standby: tuple["ArrayTask", ...] = ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it does."""
        return self.submission.bundles[self.index]

    @property
    def id(self) -> str:
        """As Slurm writes it, or the submission's name where there is no job id."""
        return f"{self.submission.job or self.submission.name}_{self.index}"


@dataclass(frozen=True)
class Inspected:
    """Everything that is known of a run's array tasks.

    Attributes:
        run: Whose they are.
        reached: Whether Slurm answered; if not, ``why`` says what it said.
        array_tasks: The newest array task of each task, by task id; older ones in ``earlier``. One
            that stands by for it counts only once it is its turn.
        ended: What squeue still knows of array tasks that have ended.
    """

    run: RunDir
    reached: bool
    why: str
    submissions: tuple[Submission, ...]
    array_tasks: Mapping[str, ArrayTask]
    earlier: Mapping[str, tuple[ArrayTask, ...]]
    ended: tuple[queue.Queued, ...] = ()


def inspect(run: RunDir, known: QueueState | None = None) -> Inspected:
    """Look at a run's array jobs; the queue may be out of reach.

    Args:
        run: Whose they are.
        known: What is in the queue; null means that Slurm is asked.
    """
    why = ""
    try:
        known = known or (read_queue_state(run) if run.slurm.is_dir() else None)
    except SlurmError as error:
        why = str(error)
    submissions = known.submissions if known else tuple(Ledger(run).submissions())
    queued = {(task.submission.name, task.index): task for task in known.queued} if known else {}
    newest: dict[str, ArrayTask] = {}
    earlier: dict[str, tuple[ArrayTask, ...]] = {}
    for submission in submissions:
        logs = log_path(run, submission.name, 0).parent
        for index in range(len(submission.shards)):
            log = logs / f"{index}.log"
            array_task = _array_task(submission, log, index, queued.get((submission.name, index)))
            for task in array_task.tasks:
                if task.id in newest and _stands_by(array_task, newest[task.id]):
                    if array_task.state is not None:
                        newest[task.id] = _with_standby(newest[task.id], array_task)
                    continue
                if task.id in newest:
                    earlier[task.id] = (*earlier.get(task.id, ()), newest[task.id])
                newest[task.id] = array_task
    ended = known.ended if known else ()
    return Inspected(run, known is not None, why, submissions, newest, earlier, ended)


def begin_look(run: RunDir) -> Callable[[], Inspected]:
    """Begin to look at a run's array jobs; what is returned waits for the answer, as `inspect`."""
    with_one = ThreadPoolExecutor(1, thread_name_prefix="slurm")
    asked = with_one.submit(inspect, run)
    with_one.shutdown(wait=False)
    return asked.result


def _stands_by(array_task: ArrayTask, before: ArrayTask) -> bool:
    """Tell whether an array task still waits for whether another fails, or was never needed."""
    if not array_task.submission.retry or array_task.state not in (None, "PENDING", UNKNOWN):
        return False
    if array_task.log.exists():
        return False
    return array_task.state is None or before.state is not None


def _with_standby(array_task: ArrayTask, other: ArrayTask) -> ArrayTask:
    return replace(array_task, standby=(*array_task.standby, other))


def _array_task(
    submission: Submission, log: Path, index: int, queued: QueuedTask | None
) -> ArrayTask:
    if queued is None:
        return ArrayTask(submission, index, log)
    return ArrayTask(submission, index, log, queued.state, queued.reason, queued.node)


def began(
    run: RunDir, known: QueueState, rows: Mapping[tuple[str, int], Sequence[Accounted]]
) -> list[ArrayTask]:
    """Return the array tasks that began: those with a log, and those that accounting tells of.

    Of a large run that waits in the queue these are few, and what is looked at is no more.

    Args:
        run: Whose they are.
        known: What was submitted, and what of it is in the queue.
        rows: (job, index) → what `with_ended` returned.
    """
    queued = {(task.submission.name, task.index): task for task in known.queued}
    told: dict[str, list[int]] = {}
    for (job, index), mine in rows.items():
        if any(row.elapsed_s or row.state != "CANCELLED" for row in mine):
            told.setdefault(job, []).append(index)
    found = []
    for submission in known.submissions:
        logs = log_path(run, submission.name, 0).parent
        indices = {*told.get(submission.job or "", ()), *_indices(logs)}
        for index in sorted(i for i in indices if i < len(submission.shards)):
            now = queued.get((submission.name, index))
            found.append(_array_task(submission, logs / f"{index}.log", index, now))
    return found


def _indices(logs: Path) -> list[int]:
    """Return the indices of the array tasks that have a log."""
    try:
        names = os.listdir(logs)  # noqa: PTH208  ten thousand paths are not needed
    except OSError:  # removed by gc
        return []
    return [int(stem) for stem, _, end in (n.partition(".") for n in names) if stem.isdigit()]


Attempts = Sequence[Accounted]
"""Of one array task, as the accounting has them, oldest first."""


def read_history(array_task: ArrayTask, rows: Mapping[tuple[str, int], Attempts]) -> list[Attempt]:
    """Return the attempts of an array task.

    Args:
        array_task: The array task.
        rows: What `read_accounting` returned.
    """
    mine = rows.get((array_task.submission.job or "", array_task.index), ())
    known = attempts(read_log(array_task.log), mine, array_task.state)
    if array_task.state == "PENDING" or (array_task.state and not known):
        return [*known, Attempt("queued", message=array_task.reason)]
    return known or [Attempt("never started")]


class AccountingLooks:
    """What the accounting told, at this look or an earlier one: it is asked of what has ended."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Accounted]] = {}
        self._looks = Counter[str]()
        self._known: set[str] = set()

    def rows(self, array_tasks: Iterable[ArrayTask], inspected: Inspected) -> list[Accounted]:
        """Return the attempts of all array tasks of the jobs of those that have ended.

        Each is asked for until it is known how it ended, and twice at most: the accounting is some
        seconds late, and there may be none.
        """
        ended = {task.id: task for task in array_tasks if task.submission.job}
        for gone in self._looks.keys() - ended.keys():  # it is in the queue again
            del self._looks[gone]
            self._known.discard(gone)
        asked = [
            task
            for id_, task in ended.items()
            if self._looks[id_] < LOOKS and id_ not in self._known
        ]
        if asked and inspected.reached:
            self._ask(asked, inspected)
        jobs = dict.fromkeys(task.submission.job or "" for task in ended.values())
        return [row for job in jobs for row in self._rows.get(job, ())]

    def _ask(self, array_tasks: Collection[ArrayTask], inspected: Inspected) -> None:
        submissions = {task.submission.name: task.submission for task in array_tasks}.values()
        self._looks.update(task.id for task in array_tasks)
        try:
            found = queue.list_attempts(s.identity(inspected.run) for s in submissions)
        except SlurmError:
            return
        for submission in submissions:
            self._rows[submission.job or ""] = []
        for row in found:
            self._rows.setdefault(row.job, []).append(row)
        last = {f"{row.job}_{row.index}": row.state for row in found}
        self._known |= {t.id for t in array_tasks if last.get(t.id, "PENDING") not in _GOING_ON}


LOOKS = 2
"""So often the accounting is asked how one array task has ended."""

_GOING_ON = ("PENDING", "RUNNING", "COMPLETING")


def read_accounting(
    array_tasks: Collection[ArrayTask],
    inspected: Inspected,
    accounting: AccountingLooks | None = None,
) -> dict[tuple[str, int], list[Accounted]]:
    """Return (job, index) → what accounting tells, and squeue where it does not (yet).

    It holds all array tasks of the jobs of *array_tasks*.

    Args:
        array_tasks: Those to tell of.
        inspected: What is known of all.
        accounting: What was told before; null means nothing.
    """
    ours = {task.submission.job for task in array_tasks if task.submission.job}
    rows = (accounting or AccountingLooks()).rows(array_tasks, inspected)
    return with_ended(rows, [row for row in inspected.ended if row.job in ours])


def with_ended(
    rows: Iterable[Accounted], ended: Iterable[queue.Queued]
) -> dict[tuple[str, int], list[Accounted]]:
    """Return (job, index) → what accounting tells, and squeue of those it does not know (yet)."""
    rows = list(rows)
    known = {(r.job, r.index) for r in rows if r.state not in _GOING_ON}
    ended = [q for q in ended if (q.job, q.index) not in known]
    by_task: dict[tuple[str, int], list[Accounted]] = {}
    for row in [*rows, *(q.as_accounted() for q in ended)]:
        by_task.setdefault((row.job, row.index), []).append(row)
    return by_task


def read_log(path: Path) -> str:
    """Return a log's text; empty if there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def chosen(
    what: str, plan: Plan, inspected: Inspected, others: Collection[str] = ()
) -> list[ArrayTask]:
    """Return the array tasks of a task, a condition or a model, or the one of that id (``12_3``).

    Args:
        what: The word.
        plan: What the run consists of.
        inspected: What was submitted.
        others: Names of tasks that were tried on this machine, for the message.

    Raises:
        ConfigError: Nothing of this run is called so.
    """
    if what in inspected.array_tasks:
        return [inspected.array_tasks[what]]
    by_id = {e.id: e for e in [*inspected.array_tasks.values(), *_all(inspected.earlier)]}
    if what in by_id:
        return [by_id[what]]
    keys = {what} | {c.model.name for c in plan.conditions if is_called(c, what)}
    wanted = [e for e in inspected.array_tasks.values() if e.submission.key in keys]
    if wanted:
        return list({e.id: e for e in wanted}.values())
    known = [*inspected.array_tasks, *others]
    some = ", ".join(known[:3]) or "none, since nothing of it was tried yet"
    msg = (
        f"'{what}' is no task, condition, model or array task of this run; expected for example: "
        f"{some}; see status"
    )
    raise ConfigError(msg)


def _all(earlier: Mapping[str, tuple[ArrayTask, ...]]) -> Iterable[ArrayTask]:
    return (array_task for group in earlier.values() for array_task in group)
