"""A plan's missing work, submitted to Slurm as arrays: finetune, generate, score, report."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.store import RunDir
from empathy_core.training.adapter import adapters
from jobs.config.tables import Config
from jobs.executors.run_local import clear_other_layouts
from jobs.executors.slurm import packing
from jobs.executors.slurm.in_queue import Flight
from jobs.executors.slurm.packing import Element
from jobs.executors.slurm.snapshot import snapshot
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning.plan import Plan, Task, finetune_tasks, generate_tasks
from jobs.planning.progress import Standing, to_score
from slurm import limits, queue, submit
from slurm.profile import Profile, Resources, Stage
from slurm.queue import SlurmError, SubmitError
from slurm.script import Array

REPORT = Task("report", "report", 0, 1)


class ClusterError(EmpathyError):
    """Slurm refused, or does not answer; what was submitted before is recorded and runs."""


@dataclass(frozen=True)
class Launch:
    """What one sweep is to submit.

    Attributes:
        plan_file: Name of the plan's file, which the elements read.
        own: (stage, key) → what the configuration gives to one model or fine-tune.
        override: Resources given on the command line; they go over everything else.
        code: Folder of the suite that the elements will import.
    """

    run: RunDir
    plan: Plan
    plan_file: str
    profile: Profile
    own: Mapping[tuple[str, str], Resources]
    override: Resources = field(default_factory=Resources)
    code: Path = Path()

    def resources(self, stage: Stage, key: str) -> Resources:
        """Return what an element of this stage and model gets."""
        own = self.own.get((stage, key))
        return _over(self.profile.of_stage(stage, own), self.override)


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
    own = {("generate", name): t.slurm for name, t in config.models.items() if t.slurm}
    for made in plan.finetunes:
        table = config.finetune[made.family]
        if table.slurm:
            own["finetune", made.id] = table.slurm
        if ("generate", table.base) in own:  # the adapter's answers cost what the base's do
            for name in (made.spec.name, made.spec.base.name):
                own.setdefault(("generate", name), own["generate", table.base])
    return Launch(run, plan, plan_file, config.slurm, own, override)


@dataclass
class Submitted:
    """What came of it.

    Attributes:
        arrays: Submitted now.
        left: What could not be, each with Slurm's words or the limit that stands against it.
        n_before: Elements of this run that were in the queue already.
    """

    arrays: list[Submission] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    n_before: int = 0

    def jobs(self, *stages: str) -> list[str]:
        """Return the job ids of these stages."""
        return [s.job for s in self.arrays if s.job and s.stage in stages]

    def training(self) -> dict[str, str]:
        """Return fine-tune id → the job that trains it."""
        return {s.key: s.job for s in self.arrays if s.job and s.stage == "finetune"}


@dataclass(frozen=True)
class Waits:
    """The jobs that an array waits for.

    Attributes:
        any: They must have ended, however.
        ok: They must have ended well.
    """

    any: Sequence[str] = ()
    ok: Sequence[str] = ()


def missing_adapters(plan: Plan, standing: Standing, flight: Flight) -> list[Task]:
    """Return the finetune tasks that nobody has done and nobody in the queue does."""
    return finetune_tasks(plan, {*standing.trained, *flight.training()})


def missing(plan: Plan, standing: Standing, flight: Flight) -> list[Task]:
    """Return the generate tasks that nobody has done and nobody in the queue will do."""
    done: dict[str, set[int]] = {c: set(blocks) for c, blocks in standing.done().items()}
    for condition, blocks in flight.claimed(plan).items():
        done.setdefault(condition, set()).update(blocks)
    return generate_tasks(plan, done)


def submit_missing(
    what: Launch, standing: Standing, flight: Flight, only: Collection[str] | None = None
) -> Submitted:
    """Submit everything that is neither done nor in the queue; call it under the run's lock.

    Args:
        what: The plan, and what elements get.
        standing: What is done.
        flight: What is in the queue.
        only: Ids of the generate tasks that may be submitted; null means all.

    Raises:
        ClusterError: Slurm would not take a job of these resources; nothing is submitted.
    """
    result = Submitted(n_before=len(flight.flying))
    trainers = missing_adapters(what.plan, standing, flight)
    makers = missing(what.plan, standing, flight)
    if only is not None:
        trainers = [task for task in trainers if task.id in only]
        makers = [task for task in makers if task.id in only]
    active = flight.jobs("generate")
    what = replace(what, plan=_scored_as_in_flight(what.plan, flight))
    followers = _followers(what.plan, standing, flight, makers)
    if not flight.of_stage("score"):
        standing = clear_other_layouts(what.run, what.plan, standing, followers)
        followers = _followers(what.plan, standing, flight, makers)
    others = [*flight.jobs("finetune"), *active, *flight.jobs("score")]
    wanted = [*trainers, *makers]
    reported = not (wanted or followers) and flight.awaited(what.plan, REPORT, others)
    if not (wanted or followers or others) or reported:
        return result
    try:
        _submit_all(what, flight, packing.groups(wanted), packing.groups(followers), result)
    except SlurmError as error:
        raise ClusterError(f"Slurm: {error}; correct it and run the same command again") from error
    return result


def _scored_as_in_flight(plan: Plan, flight: Flight) -> Plan:
    """Return the plan with the scoring cut as elements in the queue cut it: no two cuts overlap."""
    cuts = [element.submission.n_shards for element in flight.of_stage("score")]
    return replace(plan, score_shards=cuts[-1]) if cuts else plan


def submit_tasks(what: Launch, tasks: Sequence[Task], flight: Flight) -> Submitted:
    """Submit just these tasks, without scoring and report; call it under the run's lock.

    Generate tasks whose blocks the queue will answer are left out, finetune tasks as they are.

    Raises:
        ClusterError: Slurm would not take them; nothing is submitted.
    """
    result = Submitted(n_before=len(flight.flying))
    claimed = flight.claimed(what.plan)
    ids = [{c.id for c in what.plan.of_model(t.key)} for t in tasks]
    free = [
        task
        for task, conditions in zip(tasks, ids, strict=True)
        if task.stage == "finetune" or not all(task.shard in claimed.get(c, ()) for c in conditions)
    ]
    if not free:
        return result
    try:
        what = replace(what, code=snapshot(what.run))
        _check(what, packing.groups(free))
        for group in packing.groups(free):
            _arrays(what, [tuple(group)], limits.DEFAULT_ARRAY, Waits(), result)
    except SlurmError as error:
        raise ClusterError(f"Slurm: {error}; correct it and run the same command again") from error
    return result


def _followers(
    plan: Plan, standing: Standing, flight: Flight, makers: Sequence[Task]
) -> list[Task]:
    """Return the score tasks to submit: those that no element in the queue will do."""
    active = flight.jobs("generate")
    wanted = to_score(plan, standing, more_to_come=bool(makers or active))
    return [task for task in wanted if makers or not flight.awaited(plan, task, active)]


def preview(what: Launch, standing: Standing, flight: Flight) -> list[Array]:
    """Return the arrays that a sweep would submit, as if there were no submit limit."""
    trainers = missing_adapters(what.plan, standing, flight)
    makers = missing(what.plan, standing, flight)
    followers = _followers(what.plan, standing, flight, makers)
    try:
        largest = limits.read(what.profile.account, what.profile.qos).array
    except SlurmError:
        largest = limits.DEFAULT_ARRAY
    what = replace(what, code=what.run.code("DIGEST"))
    found: list[Array] = []
    after: list[str] = []
    trained = {task.key: f"finetune-{task.key}" for task in trainers} | flight.training()
    before = [*packing.groups(trainers), *packing.groups(makers)]
    for group in [*before, *packing.groups(followers), [REPORT]]:
        stage, key = group[0].stage, group[0].key
        first = stage in ("finetune", "generate")
        waits = Waits(ok=_adapter_job(what.plan, group, trained)) if first else Waits(after)
        for part in packing.arrays([(task,) for task in group], largest):
            submission = _submission(what, part, waits)
            found.append(_array(what, submission, f"NNNN-{stage}-{key}"))
        after = [*after, f"{stage}-{key}"]
    return found


def _submit_all(
    what: Launch,
    flight: Flight,
    makers: list[list[Task]],
    followers: list[list[Task]],
    result: Submitted,
) -> None:
    what = replace(what, code=snapshot(what.run))
    _check(what, [*makers, *followers, [REPORT]])
    bounds = limits.read(what.profile.account, what.profile.qos, what.profile.max_elements)
    room = None if bounds.submit is None else max(bounds.submit - flight.n_queued, 0)
    n_followers = len(followers) + 1
    for_makers = None if room is None else max(room - n_followers, min(room, 1))
    made = packing.elements(makers, for_makers)
    _tell_left(makers, made, result)
    for group, elements in zip(makers, made, strict=True):
        if group[0].stage == "finetune":
            _arrays(what, elements, bounds.array, Waits(), result)
            continue
        trained = flight.training() | result.training()
        waits = Waits(flight.overlapping(group), _adapter_job(what.plan, group, trained))
        if waits.ok or _has_adapter(what, group[0].key):
            _arrays(what, elements, bounds.array, waits, result)
        else:
            result.left.append(f"{len(group)} tasks of generate '{group[0].key}': its adapter")
    if room is not None:
        room -= sum(map(len, made)) + 1
    after = [*flight.jobs("generate"), *result.jobs("generate")]
    scored = packing.elements(followers, room)
    _tell_left(followers, scored, result)
    for group, elements in zip(followers, scored, strict=True):
        waits = Waits([*after, *flight.jobs_of("score", group[0].key)])
        _arrays(what, elements, bounds.array, waits, result)
    _report(what, flight, bounds, result)


def _adapter_job(plan: Plan, group: Sequence[Task], trained: Mapping[str, str]) -> list[str]:
    """Return the job that trains the adapter of a generate group, if one will."""
    made = plan.finetune_of(group[0].key) if group[0].stage == "generate" else None
    return [trained[made.id]] if made and made.id in trained else []


def _has_adapter(what: Launch, model: str) -> bool:
    """Tell whether a model needs no adapter of this run, or it is there."""
    made = what.plan.finetune_of(model)
    return made is None or adapters.is_complete(what.run.adapter(made.id))


def _tell_left(
    groups: Sequence[Sequence[Task]], dealt: Sequence[Sequence[Element]], result: Submitted
) -> None:
    for group, elements in zip(groups, dealt, strict=True):
        if n_left := len(group) - sum(map(len, elements)):
            first = group[0]
            result.left.append(
                f"{n_left} tasks of {first.stage} '{first.key}': no room in the queue"
            )


def _report(what: Launch, flight: Flight, bounds: limits.Limits, result: Submitted) -> None:
    """Submit the report job after everything else, in place of an older one that still waits."""
    stages = ("finetune", "generate", "score")
    waits = Waits([*flight.jobs(*stages), *result.jobs(*stages)])
    before = len(result.arrays)
    _arrays(what, [(REPORT,)], bounds.array, waits, result)
    if len(result.arrays) > before:
        queue.cancel([f.submission.job for f in flight.of_stage("report") if f.submission.job])


def _check(what: Launch, grouped: Sequence[Sequence[Task]]) -> None:
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
            msg = (
                f"Slurm would not take the {group[0].stage} jobs of '{group[0].key}': {error}. "
                f"Asked for: {', '.join(f'{k} = {v}' for k, v in given.items())}. Change them "
                f"under [slurm] or [slurm.{group[0].stage}]; nothing was submitted"
            )
            raise ClusterError(msg) from error


def _submission(what: Launch, elements: Sequence[Element], waits: Waits) -> Submission:
    first = elements[0][0]
    asked = what.resources(first.stage, first.key).model_dump(exclude_none=True)
    return Submission(
        name="", stage=first.stage, key=first.key, n_shards=first.n_shards,
        shards=tuple(tuple(task.shard for task in element) for element in elements),
        plan=what.plan_file, after=tuple(waits.any), after_ok=tuple(waits.ok),
        asked={k: v for k, v in asked.items() if v != {}},
    )  # fmt: skip


def _array(what: Launch, submission: Submission, name: str) -> Array:
    run = what.run
    folder = run.submission(name)
    return Array(
        name=f"{run.root.name}.{submission.stage}.{submission.key}"[:100],
        comment=submission.comment(run),
        folder=folder,
        witness=run.root / "plans" / what.plan_file,
        code=what.code,
        command=("jobs.executors.slurm.array_task", str(folder)),
        n_elements=len(submission.shards),
        resources=what.resources(submission.stage, submission.key),
        after=submission.after,
        after_ok=submission.after_ok,
        kill_if_impossible=submission.stage != "report",
        mounts=(run.root,),
    )


def _arrays(
    what: Launch, elements: Sequence[Element], largest: int, waits: Waits, result: Submitted
) -> None:
    """Submit one group's elements, in as few arrays as the cluster allows."""
    ledger = Ledger(what.run)
    for part in packing.arrays(elements, largest):
        wanted = _submission(what, part, waits)
        named = ledger.intend(wanted)
        array = _array(what, named, named.name)
        try:
            job = submit.submit(array, what.profile)
        except SubmitError as error:
            ledger.record(named.name, refused=str(error))
            of = f"{wanted.stage} '{wanted.key}'"
            result.left.append(f"{len(part)} elements of {of}: {error}")
            continue
        ledger.record(named.name, job=job)
        result.arrays.append(replace(named, job=job))
