"""What one sweep submits: the plan, what its array tasks get, and what came of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from empathy_core import store
from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.metrics import judge_group
from empathy_core.store import RunDir
from jobs.config.schema import Config
from jobs.executors.slurm.failing_nodes import FailingNode
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.submissions import Submission
from jobs.executors.slurm.wanted import Dependencies
from jobs.planning.plan import Plan
from jobs.planning.stages import FINETUNE, GENERATE, SCORE, stage_of
from slurm.profile import Profile, Resources
from slurm.script import Array


class ClusterError(EmpathyError):
    """Slurm refused, or does not answer; what was submitted before is recorded and runs."""


@dataclass(frozen=True)
class Launch:
    """What one sweep is to submit.

    Attributes:
        plan_file: Name of the plan's file, which the array tasks read.
        own: (table of resources, key) → what the configuration gives to one model or fine-tune.
        override: Resources given on the command line; they go over everything else.
        code: Folder of the suite that the array tasks will import.
        avoided: Nodes that array tasks keep away from, unless the nodes to use are given.
        would_take: (stage, resources) of jobs that Slurm has said it would take → what is to be
            noted of it; shared by all copies, so that nothing is asked twice.
    """

    run: RunDir
    plan: Plan
    plan_file: str
    profile: Profile
    own: Mapping[tuple[str, str], Resources]
    override: Resources = field(default_factory=Resources)
    code: Path = Path()
    avoided: tuple[str, ...] = ()
    would_take: dict[tuple[str, str], str] = field(default_factory=dict)

    def resources(self, stage: str, key: str) -> Resources:
        """Return what an array task of this stage and key gets."""
        table = stage_of(stage).resources
        own = self.own.get((table, key))
        given = _over(self.profile.of_stage(table, own), self.override)
        if not self.avoided or given.nodelist:
            return given
        excluded = [*(given.exclude.split(",") if given.exclude else ()), *self.avoided]
        return given.model_copy(update={"exclude": ",".join(dict.fromkeys(excluded))})


def _over(below: Resources, above: Resources) -> Resources:
    given = {k: v for k, v in above.model_dump().items() if v not in (None, {})}
    return below.model_copy(update=given)


def launch(config: Config, run: RunDir, plan: Plan, plan_file: str, override: Resources) -> Launch:
    """Return what is to be submitted for a plan.

    Raises:
        ConfigError: The run's path cannot stand in a batch script.
    """
    if re.search(r"[\n\r\\]", str(run.root)):
        msg = (
            f"the run directory {str(run.root)!r} holds a line break or a backslash, which sbatch "
            "cannot take in paths: choose another --runs or --name"
        )
        raise ConfigError(msg)
    answering = GENERATE.resources
    own: dict[tuple[str, str], Resources] = {
        (answering, name): t.slurm for name, t in config.models.items() if t.slurm
    }
    for name, judge in config.judges.items():
        if judge.slurm:
            own[SCORE.resources, judge_group(name)] = judge.slurm
    for made in plan.finetunes:
        family = config.finetune[made.family]
        if family.slurm:
            own[FINETUNE.resources, made.id] = family.slurm
        if (answering, family.base) in own:  # the adapter's answers cost what the base's do
            for name in (made.spec.name, made.spec.base.name):
                own.setdefault((answering, name), own[answering, family.base])
    return Launch(run, plan, plan_file, config.slurm, own, override)


@dataclass
class Submitted:
    """What came of it.

    Attributes:
        arrays: Submitted now.
        left: What could not be, each with Slurm's words or the limit that stands against it.
        unanswered: What Slurm may have taken or not; what comes after it was not submitted.
        n_before: Array tasks of this run that were in the queue already.
        avoided: Nodes that are left out, since they fail most of what they take.
        notes: What is strange about the cluster now, and hinders nothing.
    """

    arrays: list[Submission] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    n_before: int = 0
    avoided: Sequence[FailingNode] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def tried(self) -> bool:
        """Whether there was anything to submit."""
        return bool(self.arrays or self.left or self.unanswered)

    def jobs(self) -> dict[tuple[str, str], list[str]]:
        """Return (stage, key) → the jobs that do it."""
        jobs: dict[tuple[str, str], list[str]] = {}
        for array in self.arrays:
            if array.job:
                jobs.setdefault((array.stage, array.key), []).append(array.job)
        return jobs


def submission_of(what: Launch, bundles: Sequence[TaskBundle], waits: Dependencies) -> Submission:
    """Return what is recorded of one array job, not yet named."""
    first = bundles[0][0]
    asked = what.resources(first.stage, first.key).model_dump(exclude_none=True)
    return Submission(
        name="", stage=first.stage, key=first.key, n_shards=first.n_shards,
        shards=tuple(tuple(task.shard for task in bundle) for bundle in bundles),
        plan=what.plan_file, after=tuple(waits.any), after_ok=tuple(waits.ok),
        after_one_ok=tuple(waits.one_ok), after_not_ok=tuple(waits.not_ok), retry=waits.retry,
        asked={k: v for k, v in asked.items() if v != {}},
    )  # fmt: skip


def array_of(what: Launch, submission: Submission, name: str) -> Array:
    """Return what Slurm is given of a submission under a name."""
    run = what.run
    folder = run.submission(name)
    return Array(
        name=submission.job_name(run),
        comment=submission.comment(run),
        folder=folder,
        witness=run.root / "plans" / what.plan_file,
        code=what.code,
        command=("jobs.executors.slurm.array_task", str(folder)),
        n_tasks=len(submission.shards),
        resources=what.resources(submission.stage, submission.key),
        after=submission.after,
        after_ok=submission.after_ok,
        after_one_ok=submission.after_one_ok,
        after_not_ok=submission.after_not_ok,
        requeue=not submission.retry,  # each attempt more would go beyond what is reserved
        kill_if_impossible=not stage_of(submission.stage).renewed,
        mounts=(run.root,),
        umask=store.umask_in(folder),
    )
