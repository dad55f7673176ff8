"""What happened to tasks on this machine: events in their logs, as array tasks write theirs.

The launcher writes them, since it outlives its workers: a start without an end means that the
launcher itself was ended, or is still at work.
"""

import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from empathy_core import store
from empathy_core.store import RunDir
from jobs.executors.slurm.history import Attempt, attempts
from jobs.planning.plan import Plan, Task, is_called
from jobs.planning.stages import TABLE
from slurm.events import emit_event, read_events

REMEDIES = {
    "out of memory": "let fewer workers share this machine (local.workers), or set a smaller "
    "evaluate.block_size",
    "killed": "its process was ended by a signal, perhaps for want of memory: see local.workers",
    "bad node": "see whether the GPU of this machine works (nvidia-smi)",
    "disk": "free some space, or raise the quota; what was finished is kept",
    "mistake": "correct what the message names",
    "exception": "read the log, and correct the cause",
    "incomplete": "rows are missing or damaged: status says which",
    "not done": "read the log; the message says what to compare in a stage of your own",
    "stopped": "nothing is lost: it goes on from its journal",
}
"""What to do about each class, before the same command is run again."""

WELL = ("done", "running", "stopped")
"""Classes that are no failure."""


@dataclass(frozen=True)
class LocalTask:
    """A task that was tried on this machine.

    Attributes:
        id: The task's.
        history: Its attempts, oldest first; empty where a version that recorded none wrote the log.
    """

    id: str
    log: Path
    history: tuple[Attempt, ...]

    @property
    def failed(self) -> bool:
        """Whether its last attempt failed."""
        return bool(self.history) and self.history[-1].kind not in WELL

    @property
    def running(self) -> bool:
        """Whether it is at work now."""
        return bool(self.history) and self.history[-1].kind == "running"


def record(log: Path, event: str, **details: object) -> None:
    """Append an event to a task's log; where that cannot be written, the task itself will say so.

    ``started``, ``failed`` (kind, message, code) or ``ended`` (code).
    """
    with suppress(OSError):
        store.make_dir(log.parent)
        descriptor = store.open_file(log, os.O_WRONLY | os.O_APPEND)
        try:
            emit_event(event, descriptor, **details)
        finally:
            os.close(descriptor)


def record_start(log: Path) -> None:
    """Append that an attempt begins, and which process will write its end."""
    record(log, "started", node=platform.node(), pid=os.getpid())


def tried(run: RunDir, tasks: Iterable[Task]) -> list[LocalTask]:
    """Return those of *tasks* that were tried on this machine, in order."""
    logs = [run.log(task.id) for task in tasks]
    return [_tried(log) for log in logs if log.is_file()]


def chosen(run: RunDir, what: str, plan: Plan) -> list[LocalTask]:
    """Return what was tried on this machine of a task, a condition or a model, by name."""
    keys = {what} | {c.model.name for c in plan.conditions if is_called(c, what)}
    mine = {task.id for stage in TABLE for task in stage.tasks(plan) if task.key in keys}
    logs = sorted(run.logs.glob("*-of-*.log"))  # also of tasks that today's plan cuts otherwise
    return [_tried(log) for log in logs if log.stem == what or log.stem in mine]


def _tried(log: Path) -> LocalTask:
    return LocalTask(log.stem, log, _history(log))


def _history(log: Path) -> tuple[Attempt, ...]:
    """Return the attempts in a log; none in a log of a version that wrote no events."""
    text = log.read_bytes().decode(errors="replace")
    ends = [e for e in read_events(text) if e["event"] in ("started", "failed", "ended")]
    if not ends:
        return ()
    state = "RUNNING" if ends[-1]["event"] == "started" and _alive(ends[-1]) else None
    return tuple(_stopped(attempt) for attempt in attempts(text, (), state) if attempt.start)


def _stopped(attempt: Attempt) -> Attempt:
    """Return an attempt that left no word as stopped: by Ctrl-C, say, or a power cut."""
    silent = attempt.kind in ("ended without a word", "node failure")
    return replace(attempt, kind="stopped", message="") if silent else attempt


def _alive(start: Mapping[str, Any]) -> bool:
    """Tell whether the launcher that wrote a start is at work on this machine."""
    if start.get("node") != platform.node() or "pid" not in start:
        return False
    try:
        os.kill(int(start["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        return True
    return True
