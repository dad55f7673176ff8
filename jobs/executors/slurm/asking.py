"""Whether Slurm would take what is to be submitted: asked before anything is."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from jobs.executors.slurm.clusters import Placed, clusters_of, waits_elsewhere
from jobs.executors.slurm.failing_nodes import to_avoid
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.launching import (
    ClusterError,
    Launch,
    Submitted,
    array_of,
    submission_of,
)
from jobs.executors.slurm.refusals import out_of_service, refused
from jobs.executors.slurm.room import Groups
from jobs.executors.slurm.wanted import Dependencies, cut_as_in_queue, waits_of, wanted
from jobs.planning.plan import Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import stage_of
from slurm import submit
from slurm.queue import SlurmError, SubmitError
from slurm.site import Site


def refuse_missing(what: Launch, progress: RunProgress, queue_state: QueueState) -> None:
    """Raise what ``submit_missing`` would at once, before anything of a plan is written.

    Raises:
        ClusterError: Slurm would not take a job of these resources.
    """
    what = replace(what, plan=cut_as_in_queue(what.plan, queue_state))
    refuse_groups(what, wanted(what.plan, progress, queue_state), queue_state)


def refuse_groups(what: Launch, grouped: Groups, queue_state: QueueState) -> None:
    """Ask Slurm about each kind of job of some groups, and write nothing.

    Raises:
        ClusterError: It would not take one.
    """
    if not grouped:
        return None
    nodes = to_avoid(what.run, what.profile.max_node_failures, queue_state)
    what = replace(what, code=what.run.code("DIGEST"))
    try:
        require_one_cluster(what, grouped, queue_state)
        if nodes:
            with suppress(ClusterError):  # perhaps no other node can do it
                avoiding = replace(what, avoided=tuple(node.node for node in nodes))
                return ask_slurm(avoiding, grouped, Submitted())
        ask_slurm(what, grouped, Submitted())
    except SlurmError as error:
        msg = f"Slurm: {error}; correct it and run the same command again"
        raise ClusterError(msg) from error


def clusters(what: Launch, group: Sequence[Task], site: Site) -> tuple[str, ...]:
    """Return the clusters that a group may go to."""
    resources = what.resources(group[0].stage, group[0].key)
    return clusters_of(resources.model_dump(), site.cluster)


def require_one_cluster(what: Launch, grouped: Groups, queue_state: QueueState) -> None:
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
            name, clusters(what, group, site), (*waits.ok, *waits.one_ok, *waits.any)
        )
        if wrong := waits_elsewhere(by_id[name], by_id):
            raise ClusterError(wrong)
        to_come.setdefault((group[0].stage, group[0].key), []).append(name)


def ask_slurm(what: Launch, grouped: Groups, result: Submitted) -> None:
    """Ask Slurm about each kind of job, so that nothing is submitted if one would be refused.

    Where nodes are out of service, it says the same as where no node has what is asked for, though
    it takes such a job: that is noted, and left to sbatch.
    """
    kinds = {
        (g[0].stage, what.resources(g[0].stage, g[0].key).model_dump_json()): g for g in grouped
    }
    _ask(what, {kind: group for kind, group in kinds.items() if kind not in what.would_take})
    result.notes += filter(None, (what.would_take[kind] for kind in kinds))


def _ask(what: Launch, kinds: Mapping[tuple[str, str], Sequence[Task]]) -> None:
    arrays = [
        array_of(what, submission_of(what, [(g[0],)], Dependencies()), "check")
        for g in kinds.values()
    ]
    with ThreadPoolExecutor(max(1, len(arrays))) as at_once:
        asked = [at_once.submit(submit.test_only, array, what.profile) for array in arrays]
    for (kind, group), array, answer in zip(kinds.items(), arrays, asked, strict=True):
        try:
            answer.result()
            what.would_take[kind] = ""
        except SubmitError as error:
            if away := out_of_service(str(error), array.resources):
                note = f"{array.resources.partition or 'the partition'}: {away}"
                what.would_take[kind] = note
                continue
            who = f"the {group[0].stage} jobs of '{group[0].key}'"
            table = stage_of(group[0].stage).resources
            raise ClusterError(refused(who, array.resources, str(error), table)) from error
