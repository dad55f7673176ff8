"""What is known of array tasks on Slurm: which a word names, and what happened to each."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.commands.console import warn
from jobs.executors.slurm import inspect as inspection
from jobs.executors.slurm.history import REMEDIES, Attempt, next_commands
from jobs.executors.slurm.inspect import ArrayTask
from jobs.executors.slurm.progress import failed_array_tasks
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command

TAIL_LINES = 5
"""Of the log of an array task that did not end well."""


def named(
    run: RunDir, what: str | None, *, failed: bool
) -> tuple[Sequence[ArrayTask], inspection.Inspected]:
    """Return the array tasks that *what* names, or all that failed, and everything that is known.

    Raises:
        ConfigError: None is named.
    """
    plan, _ = last_plan(run)
    known = inspection.inspect(run)
    if not known.reached:
        why = f" ({known.why})" if known.why else ""
        warn(f"Slurm was not reached{why}: this is from the run's files alone")
    if failed:
        return failed_array_tasks(plan, read_progress(run, plan), known), known
    if what is None:
        msg = (
            "name a task, a condition, a model or an array task (12_3), or use --failed; see\n"
            f"  {command(run, 'status')}"
        )
        raise ConfigError(msg)
    return _with_earlier(inspection.chosen(what, plan, known), known), known


def _with_earlier(array_tasks: Sequence[ArrayTask], known: inspection.Inspected) -> list[ArrayTask]:
    """Return the array_tasks with those that did the same tasks before, oldest first."""
    listed: dict[str, ArrayTask] = {}
    for array_task in array_tasks:
        for task in array_task.tasks:
            for attempt in (*known.earlier.get(task.id, ()), array_task):
                listed[attempt.id] = attempt
    return list(listed.values())


def as_json(run: RunDir, array_task: ArrayTask, history: Sequence[Attempt]) -> dict[str, Any]:
    """Return what ``explain --json`` prints of one array task."""
    return {
        "element": array_task.id,
        "tasks": [task.id for task in array_task.tasks],
        "state": array_task.state,
        "log": str(array_task.log),
        "attempts": [asdict(a) | {"remedy": REMEDIES.get(a.kind, "")} for a in history],
        "next": [command(run, *words) for words in _next(array_task, history)],
    }


def text(run: RunDir, array_task: ArrayTask, history: Sequence[Attempt]) -> str:
    """Return the attempts of an array task, what went wrong, and what to do."""
    lines = [f"{', '.join(t.id for t in array_task.tasks)}: array task {array_task.id}"]
    for number, attempt in enumerate(history, 1):
        where = f" on {attempt.node}" if attempt.node else ""
        lines.append(f"  attempt {number}{where}{_times(attempt)}: {attempt.kind}")
        if attempt.message:
            lines.append(f"    {attempt.message.splitlines()[0]}")
    kind = history[-1].kind
    if kind not in ("done", "running", "queued"):
        log = [s for s in inspection.read_log(array_task.log).splitlines() if s.strip()]
        lines += ["  last lines:", *(f"    {line[:200]}" for line in log[-TAIL_LINES:])]
    remedy = REMEDIES.get(kind, "")
    lines += [f"  what to do: {remedy}"] if remedy else []
    lines += [f"    {command(run, *words)}" for words in _next(array_task, history)]
    return "\n".join([*lines, f"  log: {array_task.log}"])


def _next(array_task: ArrayTask, history: Sequence[Attempt]) -> tuple[tuple[str, ...], ...]:
    task, last = array_task.tasks[0].id, history[-1]
    return next_commands(last.kind, task, array_task.submission.asked, last.node)


def _times(attempt: Attempt) -> str:
    if attempt.start is None:
        return ""
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(attempt.start))
    spent = f", {attempt.end - attempt.start} s" if attempt.end else ""
    return f", started {begun}{spent}"
