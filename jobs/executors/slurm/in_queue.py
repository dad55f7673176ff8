"""Which of a run's array tasks are in the queue now, and what work they claim."""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from empathy_core.store import RunDir
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning.plan import Plan, Task
from jobs.planning.stages import FINETUNE, stage_of
from slurm import queue
from slurm.queue import Queued, SlurmError, Unreachable
from slurm.site import Site, read_site
from slurm.submit import find

UNKNOWN = "UNKNOWN"
"""State of an array task of which it is not known whether Slurm has it."""

SETTLED_S = 120
"""After this time a controller that answers has taken what sbatch sent it, or never will."""


@dataclass(frozen=True)
class QueuedTask:
    """One array task in the queue, or one of which nobody can say that it is not (``UNKNOWN``)."""

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
        queued: The array tasks in the queue, and those of which nobody knows.
        ended: What squeue still knows of array tasks that have ended.
        site: The cluster that this machine belongs to.
    """

    ledger: Ledger
    submissions: tuple[Submission, ...]
    queued: tuple[QueuedTask, ...]
    ended: tuple[Queued, ...] = ()
    site: Site = field(default_factory=Site)

    @property
    def unknown(self) -> list[Submission]:
        """The array jobs of which nobody can say whether they are in the queue, each once."""
        unknown = (task.submission for task in self.queued if task.state == UNKNOWN)
        return list({submission.name: submission for submission in unknown}.values())

    def of_stage(self, *stages: str) -> list[QueuedTask]:
        """Return the array tasks of these stages."""
        return [task for stage in stages for task in self._of_stages.get(stage, ())]

    @cached_property
    def _of_stages(self) -> Mapping[str, list[QueuedTask]]:
        grouped: dict[str, list[QueuedTask]] = {}
        for task in self.queued:
            grouped.setdefault(task.submission.stage, []).append(task)
        return grouped

    @cached_property
    def _doing(self) -> Mapping[Task, list[QueuedTask]]:
        """Task → the array tasks in the queue that do it."""
        doing: dict[Task, list[QueuedTask]] = {}
        for queued_task in self.queued:
            for task in queued_task.tasks:
                doing.setdefault(task, []).append(queued_task)
        return doing

    def jobs(self, *stages: str) -> list[str]:
        """Return the job ids of these stages that are in the queue."""
        return _jobs(self.of_stage(*stages))

    def cancel(self, tasks: Iterable[QueuedTask], *, whole_jobs: bool = False) -> list[str]:
        """Cancel array tasks, or their jobs, and return what was: only what is known to be ours.

        Raises:
            SlurmError: scancel fails.
        """
        by_cluster: dict[str, list[str]] = {}
        for task in tasks:
            if task.submission.job and task.state != UNKNOWN:
                there = task.submission.cluster
                index = "" if whole_jobs else f"_{task.index}"
                names = by_cluster.setdefault("" if there == self.site.cluster else there, [])
                names.append(f"{task.submission.job}{index}")
        cancelled: list[str] = []
        for cluster, names in by_cluster.items():
            words = queue.ranges(names)
            queue.cancel(words, cluster)
            cancelled += words
        return cancelled

    def jobs_of(self, stage: str, key: str) -> list[str]:
        """Return the job ids of one stage and key that are in the queue."""
        return self._jobs_of.get((stage, key), [])

    @cached_property
    def _jobs_of(self) -> Mapping[tuple[str, str], list[str]]:
        grouped: dict[tuple[str, str], dict[str, None]] = {}
        for task in self.queued:
            if job := task.submission.job:
                grouped.setdefault((task.submission.stage, task.submission.key), {})[job] = None
        return {key: list(jobs) for key, jobs in grouped.items()}

    @cached_property
    def claimed(self) -> Mapping[str, Collection[int]]:
        """Condition id → blocks that array tasks in the queue will answer."""
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
            [*self.claimed, *(task.submission.key for task in self.of_stage(FINETUNE.name))]
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
        for queued_task in self._doing.get(task, ()):
            waits = before <= set(queued_task.submission.after) and queued_task.state == "PENDING"
            theirs = makes(self.ledger.plan(queued_task.submission), task)
            if (waits or not before) and wanted <= theirs:
                return True
        return False


def _jobs(queued: Iterable[QueuedTask]) -> list[str]:
    jobs = (queued_task.submission.job for queued_task in queued)
    return list(dict.fromkeys(job for job in jobs if job))


def read_queue_state(run: RunDir) -> QueueState:
    """Ask Slurm what of a run is in the queue: once for each cluster and user that has jobs of it.

    Raises:
        Unreachable: No controller answers.
    """
    ledger, site = Ledger(run), read_site()
    submissions = _with_jobs(run, ledger, site)
    rows, hidden = _rows(run, submissions, site)
    tasks = [task for submission in submissions for task in _in_queue(submission, rows, hidden)]
    ended = tuple(row for mine in rows.values() for row in mine if row.ended)
    return QueueState(ledger, tuple(submissions), tuple(tasks), ended, site)


def _rows(
    run: RunDir, submissions: Iterable[Submission], site: Site
) -> tuple[dict[str, list[Queued]], set[str]]:
    """Return submission → its array tasks as squeue lists them, and those that it may hide."""
    rows: dict[str, list[Queued]] = {}
    hidden: set[str] = set()
    with_jobs = {s.identity(run): s for s in submissions if s.job}
    for (uid, cluster), known in queue.by_user_and_cluster(with_jobs).items():
        there = "" if cluster == site.cluster else cluster
        listed: dict[str, list[Queued]] = {}
        for row in _list(known, uid, there, site):
            listed.setdefault(row.job, []).append(row)
        for job in known:
            name = with_jobs[job].name
            mine = listed.get(job.job or "", [])
            rows[name] = [r for r in mine if job.matches(r.job, r.submitted, r.name, r.comment)]
            if not mine and site.hides_jobs and uid != os.getuid() != 0:
                hidden.add(name)
    return rows, hidden


def _list(known: Iterable[queue.JobIdentity], uid: int, cluster: str, site: Site) -> list[Queued]:
    try:
        return queue.list_queued([job.job for job in known if job.job], uid, cluster)
    except SlurmError as error:
        if not cluster:
            raise
        msg = (
            f"jobs of this run are on the cluster '{cluster}', and this machine belongs to "
            f"'{site.cluster}': {error}. Use a login node of '{cluster}'"
        )
        raise Unreachable(msg) from error


def _in_queue(
    submission: Submission, rows: dict[str, list[Queued]], hidden: set[str]
) -> Iterable[QueuedTask]:
    """Yield the array tasks of a submission that are in the queue, or may be."""
    if submission.name in hidden:
        why = "jobs of its user are hidden here"
        yield from _all_unknown(submission, why)
    elif not submission.job and not submission.refused:
        yield from _all_unknown(submission, "sbatch did not say whether Slurm took it")
    for row in rows.get(submission.name, ()):
        if not row.ended and row.index < len(submission.shards):
            yield QueuedTask(submission, row.index, row.state, row.reason, row.node)


def _all_unknown(submission: Submission, why: str) -> Iterable[QueuedTask]:
    return (QueuedTask(submission, i, UNKNOWN, why) for i in range(len(submission.shards)))


def _with_jobs(run: RunDir, ledger: Ledger, site: Site) -> list[Submission]:
    """Return all submissions; look for the jobs of those whose sbatch did not say.

    Its answer was lost, or its launcher was killed before it could write it down.
    """
    return [
        s if s.job or s.refused else _settled(run, ledger, s, site) for s in ledger.submissions()
    ]


def _settled(run: RunDir, ledger: Ledger, submission: Submission, site: Site) -> Submission:
    """Record what has become of a submission, if it can be known by now."""
    who = submission.identity(run)
    taken = find(who)
    if taken:
        return ledger.taken(submission, taken.job, site.cluster)
    if who.uid in (None, os.getuid()) and time.time() - submission.at > SETTLED_S:
        return ledger.refused(submission, "Slurm does not know it")
    return submission
