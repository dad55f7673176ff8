"""Which of a run's array tasks are in the queue now, and what work they claim."""

import os
import pwd
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from empathy_core.store import RunDir
from jobs.executors.slurm.submissions import Ledger, Submission, log_path
from jobs.planning.plan import Plan, Task
from jobs.planning.stages import FINETUNE, stage_of
from slurm import queue
from slurm.events import read_events
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
class Cancelled:
    """What came of cancelling.

    Attributes:
        names: Jobs and array tasks that were cancelled, in ranges.
        others: User → those that are theirs, and that Slurm therefore left alone.
    """

    names: list[str] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)


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

    def cancel(self, tasks: Iterable[QueuedTask], *, whole_jobs: bool = False) -> Cancelled:
        """Cancel array tasks, or their jobs: only what is known to be the run's.

        Raises:
            SlurmError: scancel fails, of this user's jobs.
        """
        grouped: dict[tuple[int, str], list[str]] = {}
        for task in tasks:
            if task.submission.job and task.state != UNKNOWN:
                there, uid = task.submission.cluster, task.submission.uid
                index = "" if whole_jobs else f"_{task.index}"
                of = (os.getuid() if uid is None else uid, there)
                grouped.setdefault(of, []).append(f"{task.submission.job}{index}")
        done = Cancelled()
        for (uid, there), names in grouped.items():
            words = queue.ranges(names)
            try:
                queue.cancel(words, "" if there == self.site.cluster else there)
            except SlurmError:
                if uid == os.getuid():
                    raise
                done.others.setdefault(_user(uid), []).extend(words)
            else:
                done.names.extend(words)
        return done

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


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
    tasks = [task for s in submissions for task in _in_queue(run, s, rows, hidden)]
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
        listed: dict[str, list[Queued]] = {}
        with _named_if_out_of_reach(cluster, site):
            there = "" if cluster == site.cluster else cluster
            for row in queue.list_queued([job.job for job in known if job.job], uid, there):
                listed.setdefault(row.job, []).append(row)
            may_hide = _may_hide(uid, there, site)
        for job in known:
            name = with_jobs[job].name
            mine = listed.get(job.job or "", [])
            rows[name] = [r for r in mine if job.matches(r.job, r.submitted, r.name, r.comment)]
            if not mine and may_hide:
                hidden.add(name)
    return rows, hidden


def _may_hide(uid: int, cluster: str, site: Site) -> bool:
    """Tell whether a cluster may hide the jobs of a user from whoever asks."""
    if os.getuid() in (0, uid):
        return False
    return (read_site(cluster) if cluster else site).hides_jobs


@contextmanager
def _named_if_out_of_reach(cluster: str, site: Site) -> Iterator[None]:
    """Say which cluster it is that does not answer, if it is not this machine's own."""
    try:
        yield
    except SlurmError as error:
        if cluster in ("", site.cluster):
            raise
        msg = (
            f"jobs of this run are on the cluster '{cluster}', and this machine belongs to "
            f"'{site.cluster}': {error}. Use a login node of '{cluster}'"
        )
        raise Unreachable(msg) from error


def _in_queue(
    run: RunDir, submission: Submission, rows: dict[str, list[Queued]], hidden: set[str]
) -> Iterable[QueuedTask]:
    """Yield the array tasks of a submission that are in the queue, or may be."""
    if submission.name in hidden:
        why = "jobs of its user are hidden here"
        unknown = _all_unknown(submission, why)
        yield from (task for task in unknown if not _said_its_end(run, task))
    elif not submission.job and not submission.refused:
        yield from _all_unknown(submission, "sbatch did not say whether Slurm took it")
    for row in rows.get(submission.name, ()):
        if not row.ended and row.index < len(submission.shards):
            yield QueuedTask(submission, row.index, row.state, row.reason, row.node)


def _all_unknown(submission: Submission, why: str) -> Iterable[QueuedTask]:
    return (QueuedTask(submission, i, UNKNOWN, why) for i in range(len(submission.shards)))


def _said_its_end(run: RunDir, task: QueuedTask) -> bool:
    """Tell whether an array task has ended by the last word of its own log."""
    try:
        log = log_path(run, task.submission.name, task.index).read_text(errors="replace")
    except OSError:
        return False
    *_, last = read_events(log) or [{}]
    return last.get("event") == "ended" or last.get("task") == "start"


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
    uid = os.getuid() if who.uid is None else who.uid
    others = [name for name in who.clusters if name not in ("", site.cluster)]
    with _named_if_out_of_reach(", ".join(others), site):
        if taken := find(who, site.cluster):
            return ledger.taken(submission, taken.job, taken.cluster or site.cluster)
        asked = {"" if name == site.cluster else name for name in who.clusters}
        may_hide = any(_may_hide(uid, name, site) for name in asked)
    if not may_hide and site.now() - submission.at > SETTLED_S:
        return ledger.refused(submission, "Slurm does not know it")
    return submission
