"""A plan's missing work, submitted to Slurm as arrays, stage after stage of the table."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from empathy_core import store
from empathy_core.counted import counted
from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.store import RunDir
from jobs.config.schema import Config
from jobs.executors.slurm import packing
from jobs.executors.slurm.clusters import Placed, clusters_of, waits_elsewhere
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.snapshot import snapshot
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning import stages
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import FINETUNE, GENERATE, Stage, awaited_by, stage_of
from slurm import limits, queue, submit
from slurm.profile import Profile, Resources
from slurm.queue import SlurmError, SubmitError, Unanswered
from slurm.script import Array
from slurm.site import Site, read_site


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
    """

    run: RunDir
    plan: Plan
    plan_file: str
    profile: Profile
    own: Mapping[tuple[str, str], Resources]
    override: Resources = field(default_factory=Resources)
    code: Path = Path()

    def resources(self, stage: str, key: str) -> Resources:
        """Return what an array task of this stage and key gets."""
        table = stage_of(stage).resources
        own = self.own.get((table, key))
        return _over(self.profile.of_stage(table, own), self.override)


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
    """

    arrays: list[Submission] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    n_before: int = 0

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


@dataclass(frozen=True)
class Waits:
    """The jobs that an array waits for.

    Attributes:
        any: They must have ended, however.
        ok: They must have ended well.
    """

    any: Sequence[str] = ()
    ok: Sequence[str] = ()


Groups = list[list[Task]]
"""Tasks of one stage and key together, the stages in the order of the table."""

Jobs = Mapping[tuple[str, str], Sequence[str]]
"""(stage, key) → the jobs that are submitted with this call."""


def missing(
    stage: Stage, plan: Plan, progress: RunProgress, queue_state: QueueState, *, anew: bool = False
) -> list[Task]:
    """Return the tasks of a stage that nobody has done and nobody in the queue will do.

    Args:
        stage: One of the table.
        plan: What there is to do.
        progress: What is done.
        queue_state: What is in the queue.
        anew: Whether something that the stage takes as it is there is about to be submitted.
    """
    keys = dict.fromkeys(task.key for task in stage.tasks(plan))
    active = {key: _before(stage, key, plan, queue_state).any for key in keys}
    coming = anew or any(active.values())
    if stage.answers:
        progress = progress.with_answers(queue_state.claimed())
    elif coming:
        progress = progress.expecting(plan)
    # only of answers it is known which are to come: what follows others is done anew
    known = not coming or all(other.answers for _, other in awaited_by(stage, "afterany"))
    wanted = stage.lacking(plan, progress) if known else stage.tasks(plan)
    return [t for t in wanted if anew or not queue_state.awaited(plan, t, active[t.key])]


def _before(
    stage: Stage, key: str, plan: Plan, queue_state: QueueState, submitted: Jobs | None = None
) -> Waits:
    """Return the jobs, in the queue or just submitted, that tasks of *key* start after."""
    submitted = submitted or {}
    jobs: dict[str, list[str]] = {"afterany": [], "afterok": []}
    for after, other in awaited_by(stage):
        if after.keys is None:
            new = (ids for (name, _), ids in submitted.items() if name == other.name)
            jobs[after.how] += [*queue_state.jobs(other.name), *chain.from_iterable(new)]
            continue
        for theirs in after.keys(plan, key):
            jobs[after.how] += queue_state.jobs_of(other.name, theirs)
            jobs[after.how] += submitted.get((other.name, theirs), ())
    return Waits(*(list(dict.fromkeys(ids)) for ids in jobs.values()))


def _wanted(
    what: Launch,
    progress: RunProgress,
    queue_state: QueueState,
    only: Collection[str] | None = None,
) -> Groups:
    """Return the tasks of all stages that are to be submitted."""
    wanted: dict[str, list[Task]] = {}
    for stage in stages.TABLE:
        sources = [other.name for _, other in awaited_by(stage, "afterany")]
        anew = any(wanted.get(source) for source in sources)
        if stage.renewed and not (anew or queue_state.jobs(*sources)):
            continue
        tasks = missing(stage, what.plan, progress, queue_state, anew=anew)
        if only is not None and not stage.takes_what_is_there:
            tasks = [task for task in tasks if task.id in only]
        wanted[stage.name] = tasks
    return [group for tasks in wanted.values() for group in packing.groups(tasks)]


def submit_missing(
    what: Launch,
    progress: RunProgress,
    queue_state: QueueState,
    only: Collection[str] | None = None,
) -> Submitted:
    """Submit everything that is neither done nor in the queue; call it under the run's lock.

    Args:
        what: The plan, and what array tasks get.
        progress: What is done.
        queue_state: What is in the queue.
        only: Ids of the tasks that may be submitted, of stages that do not take what is there;
            null means all.

    Raises:
        ClusterError: Slurm would not take a job of these resources; nothing is submitted.
    """
    result = Submitted(n_before=len(queue_state.queued))
    what = replace(what, plan=_cut_as_in_queue(what.plan, queue_state))
    grouped = _wanted(what, progress, queue_state, only)
    for stage in stages.TABLE:
        mine = [task for group in grouped for task in group if task.stage == stage.name]
        if stage.make_room and mine and not queue_state.of_stage(stage.name):
            progress = stage.make_room(what.run, what.plan, progress, mine)
            grouped = _wanted(what, progress, queue_state, only)
    if grouped:
        try:
            _submit_all(what, progress, queue_state, grouped, result)
        except SlurmError as error:
            msg = f"Slurm: {error}; correct it and run the same command again"
            raise ClusterError(msg) from error
    return result


def _cut_as_in_queue(plan: Plan, queue_state: QueueState) -> Plan:
    """Return the plan with stages cut as array tasks in the queue cut them: no two cuts overlap."""
    for stage in stages.TABLE:
        queued = queue_state.of_stage(stage.name)
        if stage.cut_as and queued:
            plan = stage.cut_as(plan, queued[-1].submission.n_shards)
    return plan


def submit_tasks(what: Launch, tasks: Sequence[Task], queue_state: QueueState) -> Submitted:
    """Submit just these tasks, without scoring and report; call it under the run's lock.

    Tasks whose every block the queue will answer are left out.

    Raises:
        ClusterError: Slurm would not take them; nothing is submitted.
    """
    result = Submitted(n_before=len(queue_state.queued))
    claimed = queue_state.claimed()
    free = [task for task in tasks if not _is_claimed(what.plan, task, claimed)]
    if not free:
        return result
    try:
        what = replace(what, code=snapshot(what.run))
        _ask_slurm(what, packing.groups(free))
        for group in packing.groups(free):
            _submit_arrays(what, [tuple(group)], queue_state.site, Waits(), result)
    except SlurmError as error:
        raise ClusterError(f"Slurm: {error}; correct it and run the same command again") from error
    return result


def _is_claimed(plan: Plan, task: Task, claimed: Mapping[str, Collection[int]]) -> bool:
    answers = stage_of(task.stage).answers
    return answers is not None and all(
        set(blocks) <= set(claimed.get(condition, ()))
        for condition, blocks in answers(plan, task).items()
    )


def preview(what: Launch, progress: RunProgress, queue_state: QueueState) -> list[Array]:
    """Return the arrays that a sweep would submit, as if there were no submit limit."""
    what = replace(
        what, plan=_cut_as_in_queue(what.plan, queue_state), code=what.run.code("DIGEST")
    )
    largest = queue_state.site.largest_array
    arrays: list[Array] = []
    named: dict[tuple[str, str], list[str]] = {}
    grouped = _wanted(what, progress, queue_state)
    _require_one_cluster(what, grouped, queue_state)
    for group in grouped:
        stage, key = group[0].stage, group[0].key
        waits = _waits(what.plan, group, queue_state, named)
        for part in packing.arrays([(task,) for task in group], largest):
            submission = _submission(what, part, waits)
            arrays.append(_array(what, submission, f"NNNN-{stage}-{key}"))
        named[stage, key] = [f"{stage}-{key}"]
    return arrays


def _submit_all(
    what: Launch, progress: RunProgress, queue_state: QueueState, grouped: Groups, result: Submitted
) -> None:
    _require_one_cluster(what, grouped, queue_state)
    what = replace(what, code=snapshot(what.run))
    _ask_slurm(what, grouped)
    profile = what.profile
    bound = limits.read_submit_limit(profile.account, profile.qos, profile.max_elements)
    site, there = queue_state.site, _elsewhere(what, grouped[0], queue_state.site)
    if there:
        site = replace(site, largest_array=read_site(there).largest_array)
    room = None if bound is None else max(bound - queue.count_queued(os.getuid(), there), 0)
    dealt = _packed(grouped, room)
    _note_left(grouped, dealt, result)
    for group, bundles in zip(grouped, dealt, strict=True):
        stage, key = stage_of(group[0].stage), group[0].key
        if result.unanswered:
            result.left.append(
                f"{counted(len(group), 'task')} of {stage.name} '{key}': they come after it"
            )
            continue
        if lacks := _nowhere(what.plan, group, progress, queue_state, result.jobs()):
            result.left.append(f"{counted(len(group), 'task')} of {stage.name} '{key}': {lacks}")
            continue
        before = len(result.arrays)
        waits = _waits(what.plan, group, queue_state, result.jobs())
        _submit_arrays(what, bundles, site, waits, result)
        if stage.renewed and len(result.arrays) > before:
            queue_state.cancel(queue_state.of_stage(stage.name), whole_jobs=True)


def _packed(grouped: Groups, room: int | None) -> list[list[TaskBundle]]:
    """Return the array tasks of each group, at most *room* in all.

    Every group that takes what is there keeps a place, one that is renewed in any case.
    """
    first, later, last = _by_role(grouped)
    n_later, n_last = len(later), len(last)
    for_first = None if room is None else max(room - n_later - n_last, min(room, 1))
    made = packing.bundles([grouped[i] for i in first], for_first)
    for_later = None if room is None else room - sum(map(len, made)) - n_last
    follow = packing.bundles([grouped[i] for i in later], for_later)
    always = packing.bundles([grouped[i] for i in last], None)
    dealt = dict(zip([*first, *later, *last], [*made, *follow, *always], strict=True))
    return [dealt[i] for i in range(len(grouped))]


def _by_role(grouped: Groups) -> tuple[list[int], list[int], list[int]]:
    """Return which groups take nothing that is there, which do, and which are renewed."""
    roles: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, group in enumerate(grouped):
        stage = stage_of(group[0].stage)
        roles[2 if stage.renewed else int(stage.takes_what_is_there)].append(i)
    return roles


def _waits(plan: Plan, group: Sequence[Task], queue_state: QueueState, submitted: Jobs) -> Waits:
    """Return the jobs that a group waits for: those of the table, and those it overlaps with."""
    before = _before(stage_of(group[0].stage), group[0].key, plan, queue_state, submitted)
    return replace(before, any=list(dict.fromkeys([*before.any, *queue_state.overlapping(group)])))


def _nowhere(
    plan: Plan,
    group: Sequence[Task],
    progress: RunProgress,
    queue_state: QueueState,
    submitted: Jobs,
) -> str:
    """Return what a group cannot begin without and what no job makes; empty if there is nothing."""
    stage, key = stage_of(group[0].stage), group[0].key
    lacking = stages.unmet(stage, key, plan, progress)
    gone = [(s, k) for s, k in lacking if not (queue_state.jobs_of(s, k) or submitted.get((s, k)))]
    named = ", ".join(f"{stage} '{key}'" for stage, key in gone)
    return f"{named} is neither done nor in the queue" if named else ""


def _note_left(
    groups: Sequence[Sequence[Task]], dealt: Sequence[Sequence[TaskBundle]], result: Submitted
) -> None:
    for group, bundles in zip(groups, dealt, strict=True):
        if n_left := len(group) - sum(map(len, bundles)):
            first = group[0]
            result.left.append(
                f"{counted(n_left, 'task')} of {first.stage} '{first.key}': no room in the queue"
            )


def _clusters(what: Launch, group: Sequence[Task], site: Site) -> tuple[str, ...]:
    resources = what.resources(group[0].stage, group[0].key)
    return clusters_of(resources.model_dump(), site.cluster)


def _elsewhere(what: Launch, group: Sequence[Task], site: Site) -> str:
    """Return the cluster that a group goes to; empty if it is this machine's, or open."""
    names = _clusters(what, group, site)
    return "" if names == (site.cluster,) or len(names) > 1 else names[0]


def _require_one_cluster(what: Launch, grouped: Groups, queue_state: QueueState) -> None:
    """Refuse to let a job wait for one on another cluster.

    Raises:
        ClusterError: One would.
    """
    site = queue_state.site
    queued = {task.submission.job: task.submission for task in queue_state.queued}
    by_id = {
        job: Placed(f"job {job} of {s.stage} '{s.key}'", (s.cluster or site.cluster,))
        for job, s in queued.items()
        if job
    }
    to_come: dict[tuple[str, str], list[str]] = {}
    for group in grouped:
        name = f"{group[0].stage} '{group[0].key}'"
        waits = _waits(what.plan, group, queue_state, to_come)
        by_id[name] = Placed(name, _clusters(what, group, site), (*waits.ok, *waits.any))
        if wrong := waits_elsewhere(by_id[name], by_id):
            raise ClusterError(wrong)
        to_come.setdefault((group[0].stage, group[0].key), []).append(name)


def _ask_slurm(what: Launch, grouped: Sequence[Sequence[Task]]) -> None:
    """Ask Slurm about each kind of job, so that nothing is submitted if one would be refused."""
    kinds = {
        (g[0].stage, what.resources(g[0].stage, g[0].key).model_dump_json()): g for g in grouped
    }
    for group in kinds.values():
        array = _array(what, _submission(what, [(group[0],)], Waits()), "check")
        try:
            submit.test_only(array, what.profile)
        except SubmitError as error:
            given = {k: v for k, v in array.resources.model_dump().items() if v not in (None, {})}
            table = stage_of(group[0].stage).resources
            msg = (
                f"Slurm would not take the {group[0].stage} jobs of '{group[0].key}': {error}. "
                f"Asked for: {', '.join(f'{k} = {v}' for k, v in given.items())}. Change them "
                f"under [slurm] or [slurm.{table}]; nothing was submitted"
            )
            raise ClusterError(msg) from error


def _submission(what: Launch, bundles: Sequence[TaskBundle], waits: Waits) -> Submission:
    first = bundles[0][0]
    asked = what.resources(first.stage, first.key).model_dump(exclude_none=True)
    return Submission(
        name="", stage=first.stage, key=first.key, n_shards=first.n_shards,
        shards=tuple(tuple(task.shard for task in bundle) for bundle in bundles),
        plan=what.plan_file, after=tuple(waits.any), after_ok=tuple(waits.ok),
        asked={k: v for k, v in asked.items() if v != {}},
    )  # fmt: skip


def _array(what: Launch, submission: Submission, name: str) -> Array:
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
        kill_if_impossible=not stage_of(submission.stage).renewed,
        mounts=(run.root,),
        umask=store.umask_in(folder),
    )


def _submit_arrays(
    what: Launch, bundles: Sequence[TaskBundle], site: Site, waits: Waits, result: Submitted
) -> None:
    """Submit one group's array tasks, in as few arrays as the cluster allows."""
    ledger = Ledger(what.run)
    for part in packing.arrays(bundles, site.largest_array):
        wanted = _submission(what, part, waits)
        named = ledger.intend(wanted, site.cluster)
        array = _array(what, named, named.name)
        job_of = f"{wanted.stage} '{wanted.key}'"
        try:
            who = named.identity(what.run)
            taken = submit.submit(array, what.profile, who, site.cluster)
        except SubmitError as error:
            ledger.refused(named, str(error))
            result.left.append(f"{counted(len(part), 'array task')} of {job_of}: {error}")
            continue
        except Unanswered as error:
            result.unanswered.append(f"{counted(len(part), 'array task')} of {job_of} ({error})")
            return
        cluster = taken.cluster or site.cluster
        result.arrays.append(ledger.taken(named, taken.job, cluster))
