"""A plan's missing work, submitted to Slurm as arrays, stage after stage of the table."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from empathy_core import store
from empathy_core.counted import counted
from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.metrics import judge_group
from empathy_core.store import RunDir
from jobs.config.schema import Config
from jobs.executors.slurm import packing
from jobs.executors.slurm.clusters import Placed, clusters_of, waits_elsewhere
from jobs.executors.slurm.failing_nodes import FailingNode, to_avoid
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.refusals import out_of_service, refused, what_to_do
from jobs.executors.slurm.room import Groups, Room, closed_partitions, fitted, read_rooms
from jobs.executors.slurm.snapshot import snapshot
from jobs.executors.slurm.standby import Reserved, Try, is_followed, read_standby
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.executors.slurm.wanted import (
    Waits,
    cut_as_in_queue,
    is_claimed,
    nowhere,
    waits_of,
    wanted,
)
from jobs.planning import stages
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import FINETUNE, GENERATE, SCORE, stage_of
from slurm import reasons, submit
from slurm.partitions import read_partitions
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
        avoided: Nodes that array tasks keep away from, unless the nodes to use are given.
    """

    run: RunDir
    plan: Plan
    plan_file: str
    profile: Profile
    own: Mapping[tuple[str, str], Resources]
    override: Resources = field(default_factory=Resources)
    code: Path = Path()
    avoided: tuple[str, ...] = ()

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
    what = replace(what, plan=cut_as_in_queue(what.plan, queue_state))
    grouped = wanted(what.plan, progress, queue_state, only)
    for stage in stages.TABLE:
        mine = [task for group in grouped for task in group if task.stage == stage.name]
        if stage.make_room and mine and not queue_state.of_stage(stage.name):
            progress = stage.make_room(what.run, what.plan, progress, mine)
            grouped = wanted(what.plan, progress, queue_state, only)
    if grouped:
        try:
            _submit_all(what, progress, queue_state, grouped, result)
        except SlurmError as error:
            msg = f"Slurm: {error}; correct it and run the same command again"
            raise ClusterError(msg) from error
    return result


def submit_tasks(what: Launch, tasks: Sequence[Task], queue_state: QueueState) -> Submitted:
    """Submit just these tasks, without scoring and report; call it under the run's lock.

    Tasks whose every block the queue will answer are left out.

    Raises:
        ClusterError: Slurm would not take them; nothing is submitted.
    """
    result = Submitted(n_before=len(queue_state.queued))
    claimed = queue_state.claimed
    free = [task for task in tasks if not is_claimed(what.plan, task, claimed)]
    if not free:
        return result
    try:
        what = _checked(what, packing.groups(free), queue_state, result)
        for group in packing.groups(free):
            _submit_arrays(what, [tuple(group)], queue_state.site, Waits(), result)
    except SlurmError as error:
        raise ClusterError(f"Slurm: {error}; correct it and run the same command again") from error
    return result


def preview(what: Launch, progress: RunProgress, queue_state: QueueState) -> list[Array]:
    """Return the arrays that a sweep would submit, as if there were no submit limit."""
    what = replace(what, plan=cut_as_in_queue(what.plan, queue_state), code=what.run.code("DIGEST"))
    nodes = to_avoid(what.run, what.profile.max_node_failures, queue_state)
    what = replace(what, avoided=tuple(node.node for node in nodes))
    largest = queue_state.site.largest_array
    arrays: list[Array] = []
    named: dict[tuple[str, str], list[str]] = {}
    grouped = wanted(what.plan, progress, queue_state)
    _require_one_cluster(what, grouped, queue_state)
    for group in grouped:
        stage, key = group[0].stage, group[0].key
        waits = waits_of(what.plan, group, queue_state, named)
        for part in packing.arrays([(task,) for task in group], largest):
            submission = _submission(what, part, waits)
            arrays.append(_array(what, submission, f"NNNN-{stage}-{key}"))
        named[stage, key] = [f"{stage}-{key}"]
    return arrays


def _submit_all(
    what: Launch, progress: RunProgress, queue_state: QueueState, grouped: Groups, result: Submitted
) -> None:
    _require_one_cluster(what, grouped, queue_state)
    what = _checked(what, grouped, queue_state, result)
    site, there = queue_state.site, _elsewhere(what, grouped[0], queue_state.site)
    if there:
        site = replace(read_site(there), cluster=site.cluster)
    resources = [what.resources(group[0].stage, group[0].key) for group in grouped]
    partitions = read_partitions(there)
    result.notes += closed_partitions(resources, partitions)
    rooms = read_rooms(resources, what.profile.max_elements, partitions, site, there)
    dealt = fitted(grouped, rooms)
    _note_left(grouped, dealt, rooms, result)
    standby = read_standby(what.profile.retry, resources, dealt, rooms, partitions, queue_state)
    for i, (group, bundles) in enumerate(zip(grouped, dealt, strict=True)):
        stage, key = stage_of(group[0].stage), group[0].key
        if result.unanswered:
            result.left.append(
                f"{counted(len(group), 'task')} of {stage.name} '{key}': they come after it"
            )
            continue
        if lacks := nowhere(what.plan, group, progress, queue_state, result.jobs()):
            result.left.append(f"{counted(len(group), 'task')} of {stage.name} '{key}': {lacks}")
            continue
        before = len(result.arrays)
        waits = waits_of(what.plan, group, queue_state, result.jobs())
        _submit_arrays(what, bundles, site, waits, result)
        if standby and is_followed(stage):
            for first in result.arrays[before:]:
                reserved = standby.follow(i, resources[i], len(first.shards))
                _follow(what, first, waits, reserved, site, result)
        if stage.renewed and len(result.arrays) > before:
            queue_state.cancel(queue_state.of_stage(stage.name), whole_jobs=True)


def _note_left(
    groups: Groups,
    dealt: Sequence[Sequence[TaskBundle]],
    rooms: Sequence[Room],
    result: Submitted,
) -> None:
    for i, (group, bundles) in enumerate(zip(groups, dealt, strict=True)):
        if n_left := len(group) - sum(map(len, bundles)):
            first = group[0]
            result.left.append(
                f"{counted(n_left, 'task')} of {first.stage} '{first.key}': no room in the queue "
                f"({'; '.join(room.words for room in rooms if i in room.groups)})"
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
        waits = waits_of(what.plan, group, queue_state, to_come)
        by_id[name] = Placed(
            name, _clusters(what, group, site), (*waits.ok, *waits.one_ok, *waits.any)
        )
        if wrong := waits_elsewhere(by_id[name], by_id):
            raise ClusterError(wrong)
        to_come.setdefault((group[0].stage, group[0].key), []).append(name)


def _ask_slurm(what: Launch, grouped: Groups, result: Submitted) -> None:
    """Ask Slurm about each kind of job, so that nothing is submitted if one would be refused.

    Where nodes are out of service, it says the same as where no node has what is asked for, though
    it takes such a job: that is noted, and left to sbatch.
    """
    kinds = {
        (g[0].stage, what.resources(g[0].stage, g[0].key).model_dump_json()): g for g in grouped
    }
    arrays = [_array(what, _submission(what, [(g[0],)], Waits()), "check") for g in kinds.values()]
    with ThreadPoolExecutor(len(arrays)) as at_once:
        asked = [at_once.submit(submit.test_only, array, what.profile) for array in arrays]
    for group, array, answer in zip(kinds.values(), arrays, asked, strict=True):
        try:
            answer.result()
        except SubmitError as error:
            if away := out_of_service(str(error), array.resources):
                result.notes.append(f"{array.resources.partition or 'the partition'}: {away}")
                continue
            who = f"the {group[0].stage} jobs of '{group[0].key}'"
            table = stage_of(group[0].stage).resources
            raise ClusterError(refused(who, array.resources, str(error), table)) from error


def _checked(what: Launch, grouped: Groups, queue_state: QueueState, result: Submitted) -> Launch:
    """Return what is to be submitted, with its code, as Slurm would take it.

    Raises:
        ClusterError: Slurm would not take a job of these resources.
    """
    nodes = to_avoid(what.run, what.profile.max_node_failures, queue_state)
    what = replace(what, code=snapshot(what.run), avoided=tuple(node.node for node in nodes))
    try:
        _ask_slurm(what, grouped, result)
    except ClusterError:
        if not nodes:
            raise
        # perhaps no other node can do it, or this one is gone
        what = replace(what, avoided=())
        _ask_slurm(what, grouped, result)
    else:
        result.avoided = nodes
    return what


def _submission(what: Launch, bundles: Sequence[TaskBundle], waits: Waits) -> Submission:
    first = bundles[0][0]
    asked = what.resources(first.stage, first.key).model_dump(exclude_none=True)
    return Submission(
        name="", stage=first.stage, key=first.key, n_shards=first.n_shards,
        shards=tuple(tuple(task.shard for task in bundle) for bundle in bundles),
        plan=what.plan_file, after=tuple(waits.any), after_ok=tuple(waits.ok),
        after_one_ok=tuple(waits.one_ok), after_not_ok=tuple(waits.not_ok), retry=waits.retry,
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
        after_one_ok=submission.after_one_ok,
        after_not_ok=submission.after_not_ok,
        requeue=not submission.retry,  # each attempt more would go beyond what is reserved
        kill_if_impossible=not stage_of(submission.stage).renewed,
        mounts=(run.root,),
        umask=store.umask_in(folder),
    )


def _submit_arrays(
    what: Launch, bundles: Sequence[TaskBundle], site: Site, waits: Waits, result: Submitted
) -> None:
    """Submit one group's array tasks, in as few arrays as the cluster allows."""
    waiting = packing.arrays(bundles, site.largest_array)
    while waiting:
        part = waiting.pop(0)
        wanted = _submission(what, part, waits)
        job_of = f"{wanted.stage} '{wanted.key}'"
        try:
            result.arrays.append(_submit_one(what, wanted, site))
        except SubmitError as error:
            if smaller := _smaller(part, str(error)):
                waiting[:0] = smaller
                continue
            result.left.append(
                f"{counted(len(part), 'array task')} of {job_of}: {error}{what_to_do(str(error))}"
            )
        except Unanswered as error:
            result.unanswered.append(f"{counted(len(part), 'array task')} of {job_of} ({error})")
            return


def _submit_one(what: Launch, wanted: Submission, site: Site) -> Submission:
    """Submit one array, and record what came of it.

    Raises:
        SubmitError: Slurm refuses it.
        Unanswered: It is not known whether Slurm took it.
    """
    ledger = Ledger(what.run)
    named = ledger.intend(wanted, site.cluster, site.now())
    array = _array(what, named, named.name)
    try:
        taken = submit.submit(array, what.profile, named.identity(what.run), site.cluster)
    except SubmitError as error:
        ledger.refused(named, str(error))
        raise
    return ledger.taken(named, taken.job, taken.cluster or site.cluster)


def _stand_by(
    what: Launch, first: Submission, waits: Waits, tries: Sequence[Try], site: Site
) -> Iterator[Submission]:
    """Submit what does again what one array fails to do; each waits for all before it.

    Raises:
        SubmitError: Slurm takes no more of it.
        Unanswered: It is not known whether Slurm took one.
    """
    failed, tasks = [first.job or ""], list(chain(*first.bundles))
    for number, each in enumerate(tries, 1):
        more = {"mem_gb": each.given.mem_gb, "time_min": each.given.time_min}
        grown = replace(what, override=what.override.model_copy(update=more))
        after = replace(waits, not_ok=list(failed), retry=number)
        taken = _submit_one(grown, _submission(grown, packing.deal(tasks, each.n), after), site)
        failed.append(taken.job or "")
        yield taken


def _follow(
    what: Launch, first: Submission, waits: Waits, standby: Reserved, site: Site, result: Submitted
) -> None:
    """Submit what stands by for one array, and say what of it does not."""
    why = standby.lacking
    try:
        for taken in _stand_by(what, first, waits, standby.tries, site):
            result.arrays.append(taken)
    except SubmitError as error:
        why = f"{error}{what_to_do(str(error))}"
    except Unanswered as error:
        result.unanswered.append(f"a retry of {first.stage} '{first.key}' ({error})")
    if why:
        result.notes.append(f"not every retry of {first.stage} '{first.key}' stands by: {why}")


def _smaller(part: Sequence[TaskBundle], said: str) -> list[list[TaskBundle]]:
    """Return what to submit instead of an array that is too large; empty if that is not why."""
    if len(part) == 1:
        return []
    half = -(-len(part) // 2)
    if reasons.SUBMIT_LIMIT.search(said):  # half as many array tasks, each with twice the tasks
        return [[tuple(chain(*part[i::half])) for i in range(half)]]
    if reasons.ARRAY_LIMIT.search(said):
        return [list(part[:half]), list(part[half:])]
    return []
