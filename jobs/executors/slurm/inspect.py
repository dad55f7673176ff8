"""What status, logs and explain look at: each element's place, log and history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.executors.slurm.history import Attempt, attempts
from jobs.executors.slurm.in_queue import Flight, Flying, flight
from jobs.executors.slurm.submissions import Ledger, Submission, log_path
from jobs.planning.plan import Plan, Task
from slurm import queue
from slurm.queue import Accounted, SlurmError


@dataclass(frozen=True)
class Element:
    """One element of one array.

    Attributes:
        state: What squeue says; null if it is not in the queue, or nobody could ask.
        reason: Why it waits.
    """

    submission: Submission
    index: int
    log: Path
    state: str | None = None
    reason: str = ""
    node: str = ""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it does."""
        return self.submission.elements[self.index]

    @property
    def id(self) -> str:
        """As Slurm writes it, or the submission's name where there is no job id."""
        return f"{self.submission.job or self.submission.name}_{self.index}"


@dataclass(frozen=True)
class Inspected:
    """Everything that is known of a run's elements.

    Attributes:
        reached: Whether Slurm answered; if not, ``why`` says what it said.
        elements: The newest element of each task, by task id; older ones in ``earlier``.
        landed: What squeue still knows of elements that have ended.
    """

    reached: bool
    why: str
    submissions: tuple[Submission, ...]
    elements: Mapping[str, Element]
    earlier: Mapping[str, tuple[Element, ...]]
    landed: tuple[queue.Queued, ...] = ()


def inspect(run: RunDir) -> Inspected:
    """Look at a run's submissions; the queue is asked once, and may be out of reach."""
    try:
        known: Flight | None = flight(run) if run.slurm.is_dir() else None
        why = ""
    except SlurmError as error:
        known, why = None, str(error)
    submissions = known.submissions if known else tuple(Ledger(run).submissions())
    flying = {(f.submission.name, f.index): f for f in known.flying} if known else {}
    newest: dict[str, Element] = {}
    earlier: dict[str, tuple[Element, ...]] = {}
    for submission in submissions:
        for index in range(len(submission.shards)):
            element = _element(run, submission, index, flying.get((submission.name, index)))
            for task in element.tasks:
                if task.id in newest:
                    earlier[task.id] = (*earlier.get(task.id, ()), newest[task.id])
                newest[task.id] = element
    landed = known.landed if known else ()
    return Inspected(known is not None, why, submissions, newest, earlier, landed)


def _element(run: RunDir, submission: Submission, index: int, flying: Flying | None) -> Element:
    log = log_path(run, submission.name, index)
    if flying is None:
        return Element(submission, index, log)
    return Element(submission, index, log, flying.state, flying.reason, flying.node)


def history(element: Element, rows: Iterable[Accounted]) -> list[Attempt]:
    """Return the attempts of an element."""
    mine = [r for r in rows if r.job == element.submission.job and r.index == element.index]
    found = attempts(read_log(element.log), mine, element.state)
    if element.state == "PENDING" or (element.state and not found):
        return [*found, Attempt("queued", message=element.reason)]
    return found or [Attempt("never started")]


def accounting(elements: Iterable[Element], found: Inspected) -> list[Accounted]:
    """Return what accounting tells of these elements, and squeue where it does not (yet)."""
    ours = {e.submission.job for e in elements if e.submission.job}
    try:
        rows = queue.accounted(ours) if found.reached else []
    except SlurmError:
        rows = []
    told = {(r.job, r.index) for r in rows if r.state not in ("PENDING", "RUNNING", "COMPLETING")}
    landed = [q for q in found.landed if q.job in ours and (q.job, q.index) not in told]
    return rows + [q.as_accounted() for q in landed]


def read_log(path: Path) -> str:
    """Return a log's text; empty if there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def chosen(what: str, plan: Plan, found: Inspected) -> list[Element]:
    """Return the elements that *what* names: a task, a condition, a model, or an element's id.

    Raises:
        ConfigError: Nothing of this run is called so.
    """
    if what in found.elements:
        return [found.elements[what]]
    by_id = {e.id: e for e in [*found.elements.values(), *_all(found.earlier)]}
    if what in by_id:
        return [by_id[what]]
    keys = {what} | {c.model.name for c in plan.conditions if _is(c, what)}
    wanted = [e for e in found.elements.values() if e.submission.key in keys]
    if wanted:
        return list({e.id: e for e in wanted}.values())
    some = ", ".join([*found.elements][:3]) or "nothing was submitted to Slurm"
    msg = (
        f"'{what}' is no task, condition, model or element of this run; expected for example: "
        f"{some}; see status"
    )
    raise ConfigError(msg)


def _is(condition: Condition, what: str) -> bool:
    return what in (condition.id, condition.id.rpartition("-")[0])


def _all(earlier: Mapping[str, tuple[Element, ...]]) -> Iterable[Element]:
    return (element for group in earlier.values() for element in group)
