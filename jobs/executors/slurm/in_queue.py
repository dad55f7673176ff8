"""Which of a run's array tasks are in the queue now, and what work they claim."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from empathy_core.store import RunDir
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning.plan import Plan, Task
from jobs.planning.stages import FINETUNE, stage_of
from slurm import queue


@dataclass(frozen=True)
class QueuedTask:
    """One array task in the queue."""

    submission: Submission
    index: int
    state: str
    reason: str = ""
    node: str = ""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it does."""
        return self.submission.bundles[self.index]


@dataclass(frozen=True)
class QueueState:
    """A run's array jobs and what of them is in the queue.

    Attributes:
        submissions: All that were ever made, with the job ids that are known.
        queued: The array tasks in the queue.
        n_queued: Array tasks of this user in the queue, other work included.
        ended: What squeue still knows of array tasks that have ended.
    """

    ledger: Ledger
    submissions: tuple[Submission, ...]
    queued: tuple[QueuedTask, ...]
    n_queued: int
    ended: tuple[queue.Queued, ...] = ()

    def of_stage(self, *stages: str) -> list[QueuedTask]:
        """Return the array tasks of these stages."""
        return [task for task in self.queued if task.submission.stage in stages]

    def jobs(self, *stages: str) -> list[str]:
        """Return the job ids of these stages that are in the queue."""
        return _jobs(self.of_stage(*stages))

    def every_job(self) -> list[str]:
        """Return the job ids of the run that are in the queue."""
        return _jobs(self.queued)

    def jobs_of(self, stage: str, key: str) -> list[str]:
        """Return the job ids of one stage and key that are in the queue."""
        return _jobs(task for task in self.of_stage(stage) if task.submission.key == key)

    def claimed(self) -> dict[str, set[int]]:
        """Return condition id → blocks that array tasks in the queue will answer."""
        claimed: dict[str, set[int]] = {}
        for queued_task in self.queued:
            answers = stage_of(queued_task.submission.stage).answers
            for task in queued_task.tasks if answers else ():
                theirs = answers(self.ledger.plan(queued_task.submission), task) if answers else {}
                for condition, blocks in theirs.items():
                    claimed.setdefault(condition, set()).update(blocks)
        return claimed

    def awaited_ids(self) -> frozenset[str]:
        """Return the ids of the conditions and fine-tunes that array tasks in the queue will do."""
        return frozenset(
            [*self.claimed(), *(task.submission.key for task in self.of_stage(FINETUNE.name))]
        )

    def overlapping(self, tasks: Sequence[Task]) -> list[str]:
        """Return the jobs in the queue that do part of what *tasks*, of one stage, would do.

        They do another plan's part of the same shards, or other cuts of the same key: the new
        array tasks wait for them, so that nothing is done twice.
        """
        wanted = {(task.key, task.n_shards, task.shard) for task in tasks}
        keys, cuts = {key for key, *_ in wanted}, {(key, n) for key, n, _ in wanted}
        return _jobs(
            queued_task
            for queued_task in self.of_stage(tasks[0].stage)
            for task in queued_task.tasks
            if task.key in keys
            and (
                (task.key, task.n_shards) not in cuts
                or (task.key, task.n_shards, task.shard) in wanted
            )
        )

    def awaited(self, plan: Plan, task: Task, others: Iterable[str]) -> bool:
        """Tell whether an array task in the queue will do *task* well enough.

        It must make all that *task* makes, and start after all of *others*, the jobs in the queue
        that the stage waits for.
        """
        makes, before = stage_of(task.stage).makes, set(others)
        wanted = makes(plan, task)
        for queued_task in self.of_stage(task.stage):
            if task not in queued_task.tasks:
                continue
            waits = before <= set(queued_task.submission.after) and queued_task.state == "PENDING"
            theirs = makes(self.ledger.plan(queued_task.submission), task)
            if (waits or not before) and wanted <= theirs:
                return True
        return False


def _jobs(queued: Iterable[QueuedTask]) -> list[str]:
    jobs = (queued_task.submission.job for queued_task in queued)
    return list(dict.fromkeys(job for job in jobs if job))


def read_queue_state(run: RunDir) -> QueueState:
    """Ask Slurm, once, what of a run is in the queue.

    Raises:
        Unreachable: No controller answers.
    """
    ledger = Ledger(run)
    rows = queue.list_queued()
    submissions = _with_jobs(run, ledger, ledger.submissions())
    active = [row for row in rows if not row.ended]
    ended = tuple(row for row in rows if row.ended)
    queued = tuple(_queued_tasks(submissions, active))
    return QueueState(ledger, tuple(submissions), queued, len(active), ended)


def _queued_tasks(
    submissions: Iterable[Submission], rows: Iterable[queue.Queued]
) -> Iterable[QueuedTask]:
    by_job: Mapping[str, Submission] = {s.job: s for s in submissions if s.job}
    for row in rows:
        if row.job in by_job and row.index < len(by_job[row.job].shards):
            yield QueuedTask(by_job[row.job], row.index, row.state, row.reason, row.node)


def _with_jobs(run: RunDir, ledger: Ledger, submissions: list[Submission]) -> list[Submission]:
    """Find the jobs of submissions whose launcher ended before it could record the job id."""
    refused = ledger.refused()
    if all(s.job or s.name in refused for s in submissions):
        return submissions
    known = queue.list_comments()
    complete = []
    for submission in submissions:
        job = submission.job or known.get(submission.comment(run))
        if job and not submission.job:
            ledger.record(submission.name, job=job)
        complete.append(replace(submission, job=job))
    return complete
