"""What is known of tasks, on Slurm and on this machine: which a word names, what happened."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.commands.console import warn
from jobs.executors import local_history
from jobs.executors.faults import cause
from jobs.executors.local_history import LocalTask
from jobs.executors.local_progress import failed_here
from jobs.executors.slurm import inspect as inspection
from jobs.executors.slurm import standby
from jobs.executors.slurm.failing_nodes import NOT_THE_NODE, named_nodes
from jobs.executors.slurm.history import (
    REMEDIES,
    UNSAID,
    Attempt,
    as_far_as_known,
    next_commands,
)
from jobs.executors.slurm.inspect import ArrayTask
from jobs.executors.slurm.progress import Failed, failed_array_tasks, failed_history
from jobs.planning.plan import Plan
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command
from slurm import reasons
from slurm.events import EVENT

TAIL_LINES = 5
"""Of the log of an array task that did not end well."""


@dataclass(frozen=True)
class NamedTasks:
    """What a word of the command line names.

    Attributes:
        on_slurm: Array tasks, oldest first.
        here: Tasks that were tried on this machine.
        failed: Whether everything that failed was asked for.
    """

    plan: Plan
    on_slurm: Sequence[ArrayTask]
    here: Sequence[LocalTask]
    known: inspection.Inspected
    failed: bool = False

    def read(self) -> Failed:
        """Return the attempts of each array task, and the nodes that fail."""
        rows = inspection.read_accounting(self.on_slurm, self.known)
        read = failed_history if self.failed else inspection.read_history
        histories = [(array_task, read(array_task, rows)) for array_task in self.on_slurm]
        if not self.known.reached:
            histories = [(task, as_far_as_known(history)) for task, history in histories]
        failed = any(history[-1].kind not in NOT_THE_NODE for _, history in histories)
        return Failed(histories, named_nodes(self.plan, self.known, rows) if failed else ())

    @property
    def nothing(self) -> str:
        """Return what is said where nothing that failed is named."""
        return "nothing failed" + ("" if self.known.reached else ", as far as the files tell")


def named(run: RunDir, what: str | None, *, failed: bool) -> NamedTasks:
    """Return the tasks that *what* names, or all that failed, and everything that is known.

    Raises:
        ConfigError: None is named.
    """
    plan, _ = last_plan(run)
    known = inspection.inspect(run)
    warn_if_not_reached(known)
    if failed:
        progress = read_progress(run, plan)
        here = failed_here(run, plan, progress, known)
        on_slurm = failed_array_tasks(plan, progress, known)
        if not known.reached:  # whether the others wait or run, nobody can say
            on_slurm = [t for t in on_slurm if failed_history(t, {})[-1].kind not in UNSAID]
        return NamedTasks(plan, on_slurm, here, known, failed=True)
    if what is None:
        msg = (
            "name a task, a condition, a model or an array task (12_3), or use --failed; see\n"
            f"  {command(run, 'status')}"
        )
        raise ConfigError(msg)
    here = local_history.chosen(run, what, plan)
    try:
        on_slurm = inspection.chosen(what, plan, known, sorted(p.stem for p in _logs(run)))
    except ConfigError:
        if not here:
            raise
        on_slurm = []
    return NamedTasks(plan, _with_earlier(on_slurm, known), here, known)


def _logs(run: RunDir) -> Iterable[Path]:
    return run.logs.glob("*-of-*.log")


def warn_if_not_reached(known: inspection.Inspected) -> None:
    """Say that Slurm does not answer, of a run that was submitted to it."""
    if known.submissions and not known.reached:
        why = f" ({known.why})" if known.why else ""
        warn(f"Slurm was not reached{why}: this is from the run's files alone")


def _with_earlier(array_tasks: Sequence[ArrayTask], known: inspection.Inspected) -> list[ArrayTask]:
    """Return the array_tasks with those that did the same tasks before, oldest first."""
    listed: dict[str, ArrayTask] = {}
    for array_task in array_tasks:
        for task in array_task.tasks:
            for attempt in (*known.earlier.get(task.id, ()), array_task):
                listed[attempt.id] = attempt
    return list(listed.values())


def as_json(
    run: RunDir, array_task: ArrayTask, history: Sequence[Attempt], failing: Collection[str] = ()
) -> dict[str, Any]:
    """Return what ``explain --json`` prints of one array task."""
    return {
        "element": array_task.id,
        "tasks": [task.id for task in array_task.tasks],
        "state": array_task.state,
        "log": str(array_task.log),
        "retry": array_task.submission.retry,
        "standby": [other.id for other in array_task.standby],
        "cause": cause(history[-1].kind, history[-1].message),
        "attempts": [asdict(a) | {"remedy": REMEDIES.get(a.kind, "")} for a in history[:-1]]
        + [asdict(history[-1]) | {"remedy": _remedy(array_task, history[-1], failing)}],
        "next": _next(run, array_task, history[-1], failing),
    }


def text(
    run: RunDir, array_task: ArrayTask, history: Sequence[Attempt], failing: Collection[str] = ()
) -> str:
    """Return the attempts of an array task, what went wrong, and what to do.

    Args:
        run: Whose it is.
        array_task: The array task.
        history: Its attempts, oldest first.
        failing: Nodes that fail most of what they take.
    """
    tasks = ", ".join(task.id for task in array_task.tasks)
    retry = standby.words(array_task.submission)
    title = f"{tasks}: array task {array_task.id}" + (f", {retry}" if retry else "")
    lines = _attempts(title, array_task.log, history)
    lines += [
        f"  if it fails: array task {other.id}, {standby.words(other.submission)}"
        for other in array_task.standby
    ]
    remedy = _remedy(array_task, history[-1], failing)
    lines += [f"  what to do: {remedy}"] if remedy else []
    lines += [f"    {shown}" for shown in _next(run, array_task, history[-1], failing)]
    return "\n".join([*lines, f"  log: {array_task.log}"])


def local_text(run: RunDir, task: LocalTask) -> str:
    """Return the attempts of a task on this machine, what went wrong, and what to do."""
    if not task.history:
        return f"{task.id}: on this machine; an earlier version logged it\n  log: {task.log}"
    lines = _attempts(f"{task.id}: on this machine", task.log, task.history)
    if remedy := local_history.REMEDIES.get(task.history[-1].kind):
        lines.append(f"  what to do: {remedy}; run the same command again")
        if task.failed:
            lines.append(f"    {command(run, 'logs', task.id)}")
    return "\n".join([*lines, f"  log: {task.log}"])


def local_json(run: RunDir, task: LocalTask) -> dict[str, Any]:
    """Return what ``explain --json`` prints of a task on this machine: as of an array task."""
    remedies = local_history.REMEDIES
    return {
        "element": None,
        "tasks": [task.id],
        "state": "RUNNING" if task.running else None,
        "log": str(task.log),
        "cause": cause(task.history[-1].kind, task.history[-1].message) if task.history else "",
        "attempts": [asdict(a) | {"remedy": remedies.get(a.kind, "")} for a in task.history],
        "next": [command(run, "logs", task.id)] if task.failed else [],
    }


def _attempts(title: str, log: Path, history: Sequence[Attempt]) -> list[str]:
    """Return the lines of each attempt, and the last ones of the log if it did not end well."""
    lines = [title]
    for number, attempt in enumerate(history, 1):
        where = f" on {attempt.node}" if attempt.node else ""
        lines.append(f"  attempt {number}{where}{_times(attempt)}: {attempt.kind}")
        if attempt.message:
            lines.append(f"    {attempt.message.splitlines()[0]}")
    if history[-1].kind not in ("done", "running", "queued"):
        read = inspection.read_log(log).splitlines()
        written = [line for line in read if line.strip() and not line.startswith(EVENT)]
        if written:
            lines += ["  last lines:", *(f"    {line[:200]}" for line in written[-TAIL_LINES:])]
    return lines


def _remedy(array_task: ArrayTask, last: Attempt, failing: Collection[str]) -> str:
    """Return what to do about the last attempt; of one that waits, about Slurm's reason."""
    if last.node in failing:
        return f"avoid {last.node}, which fails most of what it takes"
    why = reasons.advice(array_task.reason) if last.kind == "queued" else None
    if why is None:
        return REMEDIES.get(last.kind, "")
    return f"nothing: {why.text}" if why.waits else why.text


def _next(run: RunDir, array_task: ArrayTask, last: Attempt, failing: Collection[str]) -> list[str]:
    """Return the commands to call next, ready to be pasted."""
    task, asked = array_task.tasks[0].id, array_task.submission.asked
    why = reasons.advice(array_task.reason) if last.kind == "queued" else None
    if why is None:
        words = next_commands(last.kind, task, asked, last.node, failing=last.node in failing)
        return [command(run, *each) for each in words]
    slurms = why.command_for(array_task.id)
    return [*([slurms] if slurms else []), *(command(run, *each) for each in why.ours_for(task))]


def _times(attempt: Attempt) -> str:
    if attempt.start is None:
        return ""
    begun = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(attempt.start))
    spent = f", {attempt.end - attempt.start} s" if attempt.end else ""
    return f", started {begun}{spent}"
