"""PURE: which tasks nobody has done and nobody in the queue will do, and what they wait for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from jobs.executors.slurm import packing
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.room import Groups
from jobs.planning import stages
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import RunProgress
from jobs.planning.stages import Stage, awaited_by, stage_of


@dataclass(frozen=True)
class Dependencies:
    """The jobs that an array waits for.

    Attributes:
        any: They must have ended, however.
        ok: They must have ended well.
        one_ok: One of them must have ended well: they are tries of the same task.
        not_ok: Each of them must have failed.
        retry: Which try it is for what they fail to do; 0 is not one.
    """

    any: Sequence[str] = ()
    ok: Sequence[str] = ()
    one_ok: Sequence[str] = ()
    not_ok: Sequence[str] = ()
    retry: int = 0


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
        progress = progress.with_answers(queue_state.claimed)
    elif coming:
        progress = progress.expecting(plan)
    # only of answers it is known which are to come: what follows others is done anew
    known = not coming or all(other.answers for _, other in awaited_by(stage, "afterany"))
    wanted = stage.lacking(plan, progress) if known else stage.tasks(plan)
    return [t for t in wanted if anew or not queue_state.awaited(plan, t, active[t.key])]


def _before(
    stage: Stage, key: str, plan: Plan, queue_state: QueueState, submitted: Jobs | None = None
) -> Dependencies:
    """Return the jobs, in the queue or just submitted, that tasks of *key* start after."""
    submitted = submitted or {}
    jobs: dict[str, list[str]] = {"afterany": [], "afterok": [], "one": []}
    for after, other in awaited_by(stage):
        if after.keys is None:
            new = (ids for (name, _), ids in submitted.items() if name == other.name)
            jobs[after.how] += [*queue_state.jobs(other.name), *chain.from_iterable(new)]
            continue
        keys = after.keys(plan, key)
        tries = after.how == "afterok" and other.one_task and len(keys) == 1
        for theirs in keys:
            of = [*queue_state.jobs_of(other.name, theirs)]
            of += submitted.get((other.name, theirs), ())
            jobs["one" if tries else after.how] += of
    unique = {how: list(dict.fromkeys(ids)) for how, ids in jobs.items()}
    return Dependencies(any=unique["afterany"], ok=unique["afterok"], one_ok=unique["one"])


def wanted(
    plan: Plan,
    progress: RunProgress,
    queue_state: QueueState,
    only: Collection[str] | None = None,
) -> Groups:
    """Return the tasks of all stages that are to be submitted."""
    chosen: dict[str, list[Task]] = {}
    for stage in stages.TABLE:
        sources = [other.name for _, other in awaited_by(stage, "afterany")]
        anew = any(chosen.get(source) for source in sources)
        if stage.renewed and not (anew or queue_state.jobs(*sources)):
            continue
        tasks = missing(stage, plan, progress, queue_state, anew=anew)
        if only is not None and not stage.takes_what_is_there:
            tasks = [task for task in tasks if task.id in only]
        chosen[stage.name] = tasks
    return [group for tasks in chosen.values() for group in packing.groups(tasks)]


def cut_as_in_queue(plan: Plan, queue_state: QueueState) -> Plan:
    """Return the plan with stages cut as array tasks in the queue cut them: no two cuts overlap."""
    for stage in stages.TABLE:
        queued = queue_state.of_stage(stage.name)
        if stage.cut_as and queued:
            plan = stage.cut_as(plan, queued[-1].submission.n_shards)
    return plan


def is_claimed(plan: Plan, task: Task, claimed: Mapping[str, Collection[int]]) -> bool:
    """Tell whether the queue will answer every block of a task: condition id → its blocks."""
    answers = stage_of(task.stage).answers
    return answers is not None and all(
        block in claimed.get(condition, ())
        for condition, blocks in answers(plan, task).items()
        for block in blocks
    )


def waits_of(
    plan: Plan, group: Sequence[Task], queue_state: QueueState, submitted: Jobs
) -> Dependencies:
    """Return the jobs that a group waits for: those of the table, and those it overlaps with."""
    before = _before(stage_of(group[0].stage), group[0].key, plan, queue_state, submitted)
    return replace(before, any=list(dict.fromkeys([*before.any, *queue_state.overlapping(group)])))


def nowhere(
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
