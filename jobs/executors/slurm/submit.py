"""A plan's missing work, submitted to Slurm as arrays, stage after stage of the table."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from empathy_core.counted import counted
from jobs.executors.slurm import packing
from jobs.executors.slurm.asking import ask_slurm, clusters, require_one_cluster
from jobs.executors.slurm.failing_nodes import to_avoid
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.launching import (
    ClusterError,
    Launch,
    Submitted,
    array_of,
    submission_of,
)
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.refusals import what_to_do
from jobs.executors.slurm.room import Groups, Room, closed_partitions, fitted, read_rooms
from jobs.executors.slurm.snapshot import snapshot
from jobs.executors.slurm.standby import Reserved, StandbyArray, is_followed, read_standby
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.executors.slurm.wanted import (
    Dependencies,
    cut_as_in_queue,
    is_claimed,
    nowhere,
    waits_of,
    wanted,
)
from jobs.planning import stages
from jobs.planning.plan import Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import stage_of
from slurm import reasons, submit
from slurm.partitions import read_partitions
from slurm.queue import SlurmError, SubmitError, Unanswered
from slurm.script import Array
from slurm.site import Site, read_site


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
            _submit_arrays(what, [tuple(group)], queue_state.site, Dependencies(), result)
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
    require_one_cluster(what, grouped, queue_state)
    for group in grouped:
        stage, key = group[0].stage, group[0].key
        waits = waits_of(what.plan, group, queue_state, named)
        for part in packing.arrays([(task,) for task in group], largest):
            submission = submission_of(what, part, waits)
            arrays.append(array_of(what, submission, f"NNNN-{stage}-{key}"))
        named[stage, key] = [f"{stage}-{key}"]
    return arrays


def _submit_all(
    what: Launch, progress: RunProgress, queue_state: QueueState, grouped: Groups, result: Submitted
) -> None:
    require_one_cluster(what, grouped, queue_state)
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


def _elsewhere(what: Launch, group: Sequence[Task], site: Site) -> str:
    """Return the cluster that a group goes to; empty if it is this machine's, or open."""
    names = clusters(what, group, site)
    return "" if names == (site.cluster,) or len(names) > 1 else names[0]


def _checked(what: Launch, grouped: Groups, queue_state: QueueState, result: Submitted) -> Launch:
    """Return what is to be submitted, with its code, as Slurm would take it.

    Raises:
        ClusterError: Slurm would not take a job of these resources.
    """
    nodes = to_avoid(what.run, what.profile.max_node_failures, queue_state)
    what = replace(what, code=snapshot(what.run), avoided=tuple(node.node for node in nodes))
    try:
        ask_slurm(what, grouped, result)
    except ClusterError:
        if not nodes:
            raise
        # perhaps no other node can do it, or this one is gone
        what = replace(what, avoided=())
        ask_slurm(what, grouped, result)
    else:
        result.avoided = nodes
    return what


def _submit_arrays(
    what: Launch, bundles: Sequence[TaskBundle], site: Site, waits: Dependencies, result: Submitted
) -> None:
    """Submit one group's array tasks, in as few arrays as the cluster allows."""
    waiting = packing.arrays(bundles, site.largest_array)
    while waiting:
        part = waiting.pop(0)
        wanted = submission_of(what, part, waits)
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
    array = array_of(what, named, named.name)
    try:
        taken = submit.submit(array, what.profile, named.identity(what.run), site.cluster)
    except SubmitError as error:
        ledger.refused(named, str(error))
        raise
    return ledger.taken(named, taken.job, taken.cluster or site.cluster)


def _stand_by(
    what: Launch, first: Submission, waits: Dependencies, tries: Sequence[StandbyArray], site: Site
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
        taken = _submit_one(grown, submission_of(grown, packing.deal(tasks, each.n), after), site)
        failed.append(taken.job or "")
        yield taken


def _follow(
    what: Launch,
    first: Submission,
    waits: Dependencies,
    standby: Reserved,
    site: Site,
    result: Submitted,
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
