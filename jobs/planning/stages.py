"""The table of stages: what is done in which order, on whose resources, and what counts as done.

Everything that submits, computes or shows work asks this table. A new stage is its body
(``jobs/stages/<name>.py`` with a function ``<name>(run, plan, task, listen)``) and one entry in
``TABLE``; the entry needs a name, ``after``, ``resources``, ``tasks`` and ``done``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Literal

from empathy_core import data, store
from empathy_core.errors import RunMismatch
from empathy_core.store import EVALUATED, RunDir
from jobs.planning import scoring
from jobs.planning.best_of_n.done import is_chosen
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import RunProgress, made_from  # noqa: F401  for entries of the table
from slurm.profile import StageResources

Body = Callable[..., None]
"""Does one task: takes run, plan, task and a listener (``jobs.stages.protocol``)."""

Results = frozenset[tuple[str, str]]
"""What a task makes, as pairs that plans can be compared by: (metric key or "", condition id)."""


@dataclass(frozen=True)
class After:
    """What the tasks of a stage wait for.

    Attributes:
        stage: Name of the other stage; null means all other stages.
        how: ``afterany``: its jobs have ended, however, and the tasks do what they find.
            ``afterok``: its jobs have ended well; without its results the tasks cannot begin.
        keys: Takes a plan and the key of a task, and returns the keys of the other stage's tasks
            that it waits for; null means all of them.
    """

    stage: str | None
    how: Literal["afterany", "afterok"] = "afterany"
    keys: Callable[[Plan, str], Collection[str]] | None = None


def _all_results(plan: Plan, _task: Task) -> Results:
    return frozenset((m.key, c.id) for m in plan.metrics for c in plan.conditions)


@dataclass(frozen=True)
class Stage:
    """One kind of work.

    Attributes:
        name: Of its body, and in the ids of its tasks.
        after: What its tasks wait for.
        resources: Under which table of ``[slurm]`` its tasks are given theirs.
        tasks: Plan → all of its tasks, done or not.
        done: (plan, what is done, task) → whether nothing of the task is left to do.
        makes: (plan, task) → what it makes. A task of an older plan in the queue counts for one
            of today's only if it makes as much; by default, everything that the plan names.
        answers: (plan, task) → condition id → blocks that it answers; null where it makes none.
        unit: What the progress bar counts.
        size: (plan, what is done, tasks) → how many units they are; null: one a task.
        needs_gpu: (plan, key) → whether a task that is given a GPU must find a usable one.
        saves_first: Whether a task saves its state when Slurm warns it, before it is requeued.
        whole_machine: Whether one task at a time takes every core and GPU of this machine.
        one_task: Whether there is one task of each key, so that one job that ends well has done it.
        renewed: Whether it is done anew after any other work, and never for its own sake; on
            Slurm, a newer job takes the place of one that waits.
        cut_as: (plan, n) → the plan with the stage cut into *n* shards; null where tasks of two
            cuts can be in the queue together.
        make_room: Removes what would overlap with the results of *tasks*; what is done after it.
    """

    name: str
    after: tuple[After, ...]
    resources: StageResources
    tasks: Callable[[Plan], list[Task]]
    done: Callable[[Plan, RunProgress, Task], bool]
    makes: Callable[[Plan, Task], Results] = _all_results
    answers: Callable[[Plan, Task], Mapping[str, Collection[int]]] | None = None
    unit: str = "tasks"
    size: Callable[[Plan, RunProgress, Sequence[Task]], int] | None = None
    needs_gpu: Callable[[Plan, str], bool] = lambda _plan, _key: False
    saves_first: bool = False
    whole_machine: bool = False
    one_task: bool = False
    renewed: bool = False
    cut_as: Callable[[Plan, int], Plan] | None = None
    make_room: Callable[[RunDir, Plan, RunProgress, Sequence[Task]], RunProgress] | None = None

    @property
    def takes_what_is_there(self) -> bool:
        """Whether its tasks do what they find: what is lacking then is not their failure."""
        return any(a.how == "afterany" for a in self.after)

    def lacking(self, plan: Plan, progress: RunProgress) -> list[Task]:
        """Return the tasks with something left to do."""
        return [task for task in self.tasks(plan) if not self.done(plan, progress, task)]

    def body(self) -> Body:
        """Return what does a task; what other stages need is not imported."""
        body: Body = getattr(import_module(f"jobs.stages.{self.name}"), self.name)
        return body


# ---------------------------------------------------------------------------- finetune


def _adapter_of(plan: Plan, model: str) -> list[str]:
    """Return the id of the adapter that a model answers with, if this run trains one."""
    made = plan.finetune_of(model)
    return [made.id] if made else []


def _steps(plan: Plan, _standing: RunProgress, tasks: Sequence[Task]) -> int:
    return sum(plan.finetune(task.key).n_steps for task in tasks)


FINETUNE = Stage(
    "finetune",
    after=(),
    resources="finetune",
    tasks=lambda plan: [Task("finetune", f.id, 0, 1) for f in plan.finetunes],
    done=lambda _plan, progress, task: task.key in progress.trained,
    makes=lambda _plan, task: frozenset({("", task.key)}),
    unit="steps",
    size=_steps,
    needs_gpu=lambda _plan, _key: True,
    saves_first=True,
    whole_machine=True,
    one_task=True,
)


# ---------------------------------------------------------------------------- generate


def _generate_tasks(plan: Plan) -> list[Task]:
    """Return the shards of every model that answers; there are never more than blocks."""
    others = plan.not_generated
    models = dict.fromkeys(c.model.name for c in plan.conditions if c.id not in others)
    shards = {model: min(plan.shards[model], plan.n_blocks) for model in models}
    return [Task("generate", m, shard, n) for m, n in shards.items() for shard in range(n)]


def _answers(plan: Plan, task: Task) -> dict[str, list[int]]:
    blocks = store.blocks_of_shard(plan.blocks, task.shard, task.n_shards)
    return dict.fromkeys(plan.ids_of_models.get(task.key, ()), blocks)


def _answered(plan: Plan, progress: RunProgress, task: Task) -> bool:
    wanted = _answers(plan, task)
    return all(b in progress.generated[c].blocks for c, blocks in wanted.items() for b in blocks)


def _rows(plan: Plan, progress: RunProgress, tasks: Sequence[Task]) -> int:
    """Count the answers that are not yet in a piece; those in journals count as to do."""
    examples = data.load(progress.run).filter(EVALUATED)
    sizes = dict(examples.group_by("block").len().iter_rows())
    decodings = {c.id: c.decoding for c in plan.conditions}
    answered, total = progress.done(), 0
    for task in tasks:
        for condition, blocks in _answers(plan, task).items():
            decoding = decodings[condition]
            n_samples = decoding.samples if decoding.sample else 1
            total += n_samples * sum(sizes[b] for b in blocks if b not in answered[condition])
    return total


GENERATE = Stage(
    "generate",
    after=(After("finetune", "afterok", _adapter_of),),
    resources="generate",
    tasks=_generate_tasks,
    done=_answered,
    makes=lambda plan, task: frozenset(("", id_) for id_ in plan.ids_of_models.get(task.key, ())),
    answers=_answers,
    unit="rows",
    size=_rows,
    needs_gpu=lambda plan, key: any(c.model.runs_here for c in plan.of_model(key)),
)


# ---------------------------------------------------------------------------- score, choose, report


SCORE = Stage(
    scoring.FIRST,
    after=(After("generate"),),
    resources="score",
    tasks=scoring.tasks,
    done=scoring.is_scored,
    makes=lambda plan, task: frozenset(scoring.columns(plan, task)),
    unit="batches",
    size=scoring.n_batches,
    needs_gpu=scoring.needs_gpu,
    cut_as=scoring.cut_as,
    make_room=scoring.clear_other_layouts,
)

CHOOSE = Stage(
    "choose",
    after=(After("score"),),
    resources="report",
    tasks=lambda plan: [Task("choose", condition, 0, 1) for condition in plan.chosen],
    done=lambda plan, progress, task: is_chosen(plan, progress, task.key),
    makes=lambda _plan, task: frozenset({("", task.key)}),
)

SCORE_CHOSEN = replace(
    SCORE,
    name=scoring.OF_CHOSEN,
    after=(After("choose"),),
    tasks=scoring.tasks_of_chosen,
)

REPORT = Stage(
    "report",
    after=(After(None),),
    resources="report",
    tasks=lambda _plan: [Task("report", "report", 0, 1)],
    done=lambda _plan, _standing, _task: False,  # whether one ended well, its own log says
    renewed=True,
)

TABLE = (FINETUNE, GENERATE, SCORE, CHOOSE, SCORE_CHOSEN, REPORT)
"""All stages; each stands below those that it waits for."""


# ---------------------------------------------------------------------------- questions


def stage_of(name: str) -> Stage:
    """Return the stage of that name.

    Raises:
        RunMismatch: Another version of the suite made the run, with a stage of its own.
    """
    for stage in TABLE:
        if stage.name == name:
            return stage
    known = ", ".join(stage.name for stage in TABLE)
    msg = (
        f"this version of the suite has no stage '{name}'; expected one of {known}; use the "
        "version that submitted it, or submit the run again under another --name"
    )
    raise RunMismatch(msg)


def awaited_by(stage: Stage, *hows: str) -> Iterator[tuple[After, Stage]]:
    """Yield what a stage waits for, with each of the other stages, in the order of the table.

    Args:
        stage: The one that waits.
        hows: ``afterany``, ``afterok``; none means both.
    """
    for after in stage.after:
        if not hows or after.how in hows:
            for other in TABLE:
                if other.name == after.stage or (after.stage is None and other is not stage):
                    yield after, other


def unmet(stage: Stage, key: str, plan: Plan, progress: RunProgress) -> list[tuple[str, str]]:
    """Return (stage, key) of what tasks of *key* cannot begin without and what is not done."""
    return [
        (other.name, task.key)
        for after, other in awaited_by(stage, "afterok")
        for task in other.lacking(plan, progress)
        if after.keys is None or task.key in after.keys(plan, key)
    ]
