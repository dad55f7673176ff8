"""Which of a run's elements are in the queue now, and what work they claim."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from empathy_core.store import RunDir, blocks_of_shard
from jobs.executors.slurm.packing import pairs
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning.plan import Plan, Task
from slurm import queue


@dataclass(frozen=True)
class Flying:
    """One element in the queue."""

    submission: Submission
    index: int
    state: str
    reason: str = ""
    node: str = ""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it does."""
        return self.submission.elements[self.index]


@dataclass(frozen=True)
class Flight:
    """A run's submissions and what of them is in the queue.

    Attributes:
        submissions: All that were ever made, with the job ids that are known.
        flying: The elements in the queue.
        n_queued: Elements of this user in the queue, other work included.
        landed: What squeue still knows of elements that have ended.
    """

    ledger: Ledger
    submissions: tuple[Submission, ...]
    flying: tuple[Flying, ...]
    n_queued: int
    landed: tuple[queue.Queued, ...] = ()

    def of_stage(self, *stages: str) -> list[Flying]:
        """Return the elements of these stages."""
        return [f for f in self.flying if f.submission.stage in stages]

    def jobs(self, *stages: str) -> list[str]:
        """Return the job ids of these stages that are in the queue."""
        found = (f.submission.job for f in self.of_stage(*stages))
        return list(dict.fromkeys(job for job in found if job))

    def jobs_of(self, stage: str, key: str) -> list[str]:
        """Return the job ids of one stage and key that are in the queue."""
        found = (f.submission.job for f in self.of_stage(stage) if f.submission.key == key)
        return list(dict.fromkeys(job for job in found if job))

    def claimed(self, plan: Plan) -> dict[str, set[int]]:
        """Return condition id → blocks that elements in the queue will answer."""
        found: dict[str, set[int]] = {}
        for element in self.of_stage("generate"):
            theirs = self.ledger.plan(element.submission)
            for task in element.tasks:
                blocks = blocks_of_shard(range(plan.n_blocks), task.shard, task.n_shards)
                for condition in theirs.of_model(task.key):
                    found.setdefault(condition.id, set()).update(blocks)
        return found

    def training(self) -> dict[str, str]:
        """Return fine-tune id → the job in the queue that trains it."""
        found = self.of_stage("finetune")
        return {f.submission.key: f.submission.job for f in found if f.submission.job}

    def awaited_ids(self) -> frozenset[str]:
        """Return the ids of the conditions and fine-tunes that elements in the queue will do."""
        asked = (
            (self.ledger.plan(element.submission), task)
            for element in self.of_stage("generate")
            for task in element.tasks
        )
        conditions = (c.id for plan, task in asked for c in plan.of_model(task.key))
        return frozenset([*conditions, *self.training()])

    def overlapping(self, tasks: Iterable[Task]) -> list[str]:
        """Return the generate jobs in the queue that share a block with *tasks*.

        They do other conditions of the same model, or other cuts of it: the new elements wait
        for them, so that nothing is answered twice.
        """
        wanted = {(task.key, task.n_shards, task.shard) for task in tasks}
        keys = {key for key, *_ in wanted}
        found = []
        for element in self.of_stage("generate"):
            for task in element.tasks:
                other_cut = (task.key, task.n_shards) not in {(k, n) for k, n, _ in wanted}
                same = (task.key, task.n_shards, task.shard) in wanted
                if task.key in keys and (other_cut or same) and element.submission.job:
                    found.append(element.submission.job)
        return list(dict.fromkeys(found))

    def awaited(self, plan: Plan, task: Task, makers: Iterable[str]) -> bool:
        """Tell whether an element in the queue will do a follower's *task* well enough.

        It must make all that *task* makes, and start after all of *makers*.
        """
        wanted, makers = pairs(plan, task), set(makers)
        for element in self.of_stage(task.stage):
            if task not in element.tasks:
                continue
            waits = makers <= set(element.submission.after) and element.state == "PENDING"
            theirs = pairs(self.ledger.plan(element.submission), task)
            if (waits or not makers) and wanted <= theirs:
                return True
        return False


def flight(run: RunDir) -> Flight:
    """Ask Slurm, once, what of a run is in the queue.

    Raises:
        Unreachable: No controller answers.
    """
    ledger = Ledger(run)
    rows = queue.queued()
    submissions = _found_again(run, ledger, ledger.submissions())
    active = [row for row in rows if not row.ended]
    landed = tuple(row for row in rows if row.ended)
    flying = tuple(_flying(submissions, active))
    return Flight(ledger, tuple(submissions), flying, len(active), landed)


def _flying(submissions: Iterable[Submission], rows: Iterable[queue.Queued]) -> Iterable[Flying]:
    by_job: Mapping[str, Submission] = {s.job: s for s in submissions if s.job}
    for row in rows:
        if row.job in by_job and row.index < len(by_job[row.job].shards):
            yield Flying(by_job[row.job], row.index, row.state, row.reason, row.node)


def _found_again(run: RunDir, ledger: Ledger, submissions: list[Submission]) -> list[Submission]:
    """Find the jobs of submissions whose launcher ended before it could record the job id."""
    refused = ledger.refused()
    if all(s.job or s.name in refused for s in submissions):
        return submissions
    known = queue.comments()
    found = []
    for submission in submissions:
        job = submission.job or known.get(submission.comment(run))
        if job and not submission.job:
            ledger.record(submission.name, job=job)
        found.append(replace(submission, job=job))
    return found
