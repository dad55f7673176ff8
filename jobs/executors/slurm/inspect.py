"""What status, logs and explain look at: each array task's place, log and history."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.executors.slurm.history import Attempt, attempts
from jobs.executors.slurm.in_queue import QueuedTask, QueueState, read_queue_state
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
    """

    submission: Submission
    index: int
    log: Path
    state: str | None = None
    reason: str = ""
    node: str = ""

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
        array_tasks: The newest array task of each task, by task id; older ones in ``earlier``.
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
                if task.id in newest:
                    earlier[task.id] = (*earlier.get(task.id, ()), newest[task.id])
                newest[task.id] = array_task
    ended = known.ended if known else ()
    return Inspected(run, known is not None, why, submissions, newest, earlier, ended)


def _array_task(
    submission: Submission, log: Path, index: int, queued: QueuedTask | None
) -> ArrayTask:
    if queued is None:
        return ArrayTask(submission, index, log)
    return ArrayTask(submission, index, log, queued.state, queued.reason, queued.node)


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


def read_accounting(
    array_tasks: Iterable[ArrayTask], inspected: Inspected
) -> dict[tuple[str, int], list[Accounted]]:
    """Return (job, index) → what accounting tells, and squeue where it does not (yet).

    It holds all array tasks of the jobs of *array_tasks*.
    """
    mine = {e.submission.name: e.submission for e in array_tasks if e.submission.job}.values()
    ours = {submission.job for submission in mine}
    try:
        identities = [submission.identity(inspected.run) for submission in mine]
        rows = queue.list_attempts(identities) if inspected.reached else []
    except SlurmError:
        rows = []
    finished = [r for r in rows if r.state not in ("PENDING", "RUNNING", "COMPLETING")]
    known = {(r.job, r.index) for r in finished}
    ended = [q for q in inspected.ended if q.job in ours and (q.job, q.index) not in known]
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
