"""PURE: what happened to one array task, from its log, the queue and the accounting.

A log tells most: the array task's own events, and what Slurm's step daemon writes when it ends one.
What left no word at all (a power cut) is told by the start that has no end. The accounting is
asked where there is one, and corrects what the log cannot know.
"""

import calendar
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slurm.events import EVENT, read_events
from slurm.queue import LAUNCH, Accounted
from slurm.script import SETUP, UNSEEN

REMEDIES = {
    "done": "",
    "running": "nothing: it is running",
    "queued": "nothing: it waits in the queue",
    "out of memory": "give it more memory, or set a smaller evaluate.block_size",
    "time limit": "it goes on from its journal: give it more time, or use more shards",
    "time limit, nothing finished": "one block needs longer than the limit: give it more time",
    "no progress": "no attempt finished a block or a checkpoint: give it more time",
    "preempted": "Slurm runs it again by itself; if it is not in the queue, submit it again",
    "node failure": "Slurm runs it again by itself; if it is not queued, avoid that node",
    "killed": "ended with SIGKILL, perhaps for want of memory: submit it again, with more if so",
    "cancelled": "cancelled by a person: submit it again",
    "bad node": "avoid that node",
    "run directory not seen": "put --runs on a file system that all nodes share, and sweep again",
    "setup failed": "correct slurm.setup or slurm.python in the configuration, and sweep again",
    "disk": "free some space, or raise the quota, and submit it again; what was finished is kept",
    "mistake": "correct what the message names, and sweep again",
    "exception": "read the log, correct the cause, and submit it again",
    "incomplete": "rows are missing: see what failed, and submit it again",
    "not done": "it ended well, but its results are not there: read the log, and submit it again",
    "ended without a word": "read the log, and submit it again",
    "unknown": "it may wait or run: look again on a machine where Slurm answers",
    "never started": "it left the queue without starting (a dependency, scancel): submit it again",
}
"""What to do about each class."""

UNSAID = ("ended without a word", "never started", "running", "node failure", "killed", "cancelled")
"""Classes of an attempt's end that its own log does not prove: it may run, or run again."""

_SWEEP_INSTEAD = ("run directory not seen", "setup failed", "mistake")
"""Classes after which the configuration or the place has to change: a retry would fail again."""


def next_commands(
    kind: str, task: str, asked: Mapping[str, Any], node: str, *, failing: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Return the commands to call next about an array task, each as its words.

    Args:
        kind: Of its last attempt.
        task: Id of its first task.
        asked: Resources that it was given; twice as much is proposed of what was short.
        node: Where it ran; empty if it did not.
        failing: Whether that node fails most of what it takes, and others do not.
    """
    if failing:
        return (("logs", task), ("retry", "--exclude", node))
    if kind in ("done", "running", "queued", "unknown", *_SWEEP_INSTEAD):
        return ()
    first = {
        "exception": (("logs", task),),
        "ended without a word": (("logs", task),),
        "incomplete": (("status",),),
        "not done": (("logs", task),),
    }
    more: list[str] = []
    if kind == "out of memory" and asked.get("mem_gb"):
        more = ["--mem", f"{2 * asked['mem_gb']:g}"]
    elif kind.startswith(("time limit", "no progress")) and asked.get("time_min"):
        more = ["--time", str(2 * asked["time_min"])]
    elif kind in ("node failure", "bad node") and node:
        more = ["--exclude", node]
    return (*first.get(kind, ()), ("retry", *more))


_SLURM = (
    (re.compile(r"(?i)exceeded (job |step )?memory limit|oom[-_ ]kill"), "out of memory"),
    (re.compile(r"DUE TO TIME LIMIT"), "time limit"),
    (re.compile(r"DUE TO PREEMPTION"), "preempted"),
    (re.compile(r"DUE TO NODE FAILURE"), "node failure"),
    (re.compile(r"CANCELLED AT.*DUE TO JOB REQUEUE"), "requeued"),
    (re.compile(r"\*\*\* (JOB|STEP) .*CANCELLED AT"), "cancelled"),
)
"""What slurmstepd writes into the log of what it ends."""

_STATES = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit",
    "PREEMPTED": "preempted",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "CANCELLED": "cancelled",
    "DEADLINE": "time limit",
    "REVOKED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that Slurm ran an array task.

    Attributes:
        kind: Its class, a key of ``REMEDIES``.
        message: What it or Slurm said about its end; may be empty.
        start: Seconds since 1970; null if it never reached Python.
        end: Likewise, of the last thing that is known of it.
        advanced: Whether it finished anything, be it one block.
    """

    kind: str
    node: str = ""
    message: str = ""
    start: int | None = None
    end: int | None = None
    tasks_done: int = 0
    advanced: bool = False


def attempts(log: str, rows: Sequence[Accounted], state: str | None) -> list[Attempt]:
    """Return the attempts of one array task, oldest first; empty if nothing is known of it.

    Args:
        log: The array task's whole log.
        rows: The accounting's attempts, oldest first; empty without accounting.
        state: What squeue says of it now; null if it is not in the queue.
    """
    parts = _parts(log)
    ended = [_attempt(part, last=i == len(parts) - 1) for i, part in enumerate(parts)]
    finished = [row for row in rows if row.state not in ("PENDING", "RUNNING", "COMPLETING")]
    if not ended and finished:
        return [_of_row(row) for row in finished]
    running = state in ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING")
    matched = [_corrected(attempt, _row_of(i, ended, finished)) for i, attempt in enumerate(ended)]
    if matched and running:
        if matched[-1].kind == "ended without a word":
            matched[-1] = replace(matched[-1], kind="running")
        else:  # back, and silent so far
            matched.append(Attempt("running"))
    return matched


def as_far_as_known(history: Sequence[Attempt]) -> list[Attempt]:
    """Return attempts of an array task of which Slurm was not asked whether it is in the queue."""
    *before, last = history
    if last.kind not in UNSAID:
        return [*before, last]
    log = "it has no log yet" if last.kind == "never started" else f"by its log alone: {last.kind}"
    return [*before, replace(last, kind="unknown", message=f"{log}; Slurm was not reached")]


def restarts_without_progress(log: str) -> int:
    """Return how many attempts there are after the first one since anything was finished.

    Args:
        log: The array task's whole log, the beginning of the attempt that now runs included.
    """
    n = 0
    for part in reversed(_parts(log)[:-1]):
        said = {event["event"] for event in read_events("\n".join(part))}
        if said & {"advanced", "done", "failed"}:
            break
        n += 1
    return n


def _row_of(i: int, ended: Sequence[Attempt], rows: Sequence[Accounted]) -> Accounted | None:
    """Pair attempts from the first on, where the log and the accounting know equally many."""
    return rows[i] if len(rows) == len(ended) or i < len(rows) < len(ended) else None


def _parts(log: str) -> list[list[str]]:
    """Cut a log where an attempt begins: at its first event, or Slurm's words before any."""
    parts: list[list[str]] = [[]]
    for line in log.splitlines():
        begins = line.startswith((f'{EVENT}{{"event": "started"', f'{EVENT}{{"event": "unseen"'))
        begins = begins or line.startswith(f'{EVENT}{{"event": "setup"')
        if begins and any(kept.startswith((EVENT, "slurmstepd")) for kept in parts[-1]):
            parts.append([])
        parts[-1].append(line)
    return [part for part in parts if part]


def _attempt(lines: Sequence[str], *, last: bool) -> Attempt:
    text = "\n".join(lines)
    events = read_events(text)
    started = next((e for e in events if e["event"] in ("started", "unseen", "setup")), {})
    times = [int(e["at"]) for e in events if "at" in e] + _stamps(lines)
    done = sum(e["event"] == "done" for e in events)
    kind, message = _kind(events, text)
    if kind == "ended without a word" and not last:
        kind = "node failure"  # only Slurm starts an array task again, and it left no word
        message = "the node went away: its log stops, and Slurm ran the array task again"
    start = int(started["at"]) if started.get("event") == "started" else None
    advanced = kind == "done" or any(e["event"] in ("advanced", "done") for e in events)
    end = max(times, default=None)
    return Attempt(kind, str(started.get("node", "")), message, start, end, done, advanced)


def _stamps(lines: Sequence[str]) -> list[int]:
    """Return the time of the last line that logging wrote in UTC, if there is one.

    Earlier versions wrote the node's own time, whose zone nobody knows: events must do.
    """
    for line in reversed(lines):
        if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+Z ", line):
            return [calendar.timegm(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S"))]
    return []


def _kind(events: Sequence[Mapping[str, Any]], text: str) -> tuple[str, str]:
    """Return the class and the words of an attempt's end.

    Memory comes first: what fails before the kill is a consequence of it. Only lines of Slurm's
    step daemon count as Slurm's words; a model's log may speak of memory too.
    """
    names = {e["event"]: e for e in events}
    daemon = [line for line in text.splitlines() if line.startswith("slurmstepd")]
    said = [
        (kind, line.strip()[:300])
        for pattern, kind in _SLURM
        for line in daemon
        if pattern.search(line)
    ]
    short = [entry for entry in said if entry[0] == "out of memory"]
    own = _own_words(names, [e for e in events if e["event"] == "failed"])
    ends = short or own or [(_class_of(kind, names), line) for kind, line in said]
    ends = ends or ([] if "started" in names else _lacking(text))
    return ends[0] if ends else ("ended without a word", "")


def _lacking(text: str) -> list[tuple[str, str]]:
    """Return what Python could not import before the array task could say anything."""
    lines = [line for line in text.splitlines() if _NO_MODULE.match(line)]
    return [("setup failed", f"{line}: the Python of array tasks lacks it") for line in lines[-1:]]


_NO_MODULE = re.compile(r"(ModuleNotFoundError|ImportError): ")


def _own_words(
    names: Mapping[str, Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return what an array task said of its own end, if it could."""
    for event, kind in (("unseen", "run directory not seen"), ("setup", "setup failed")):
        if event in names:
            return [(kind, str(names[event]["message"]))]
    if failed:
        kind = "incomplete" if failed[0]["code"] == 3 else str(failed[0]["kind"])
        return [(kind, str(failed[0]["message"]))]
    if "ended" in names and names["ended"]["code"] == 0:
        return [("done", "")]
    if names.get("warned", {}).get("requeued"):
        kind = "time limit" if names["warned"]["limit"] else "preempted"
        return [(kind, str(names["warned"]["message"]))]
    return []


def _class_of(kind: str, names: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the class of an end that Slurm told, which the array task's events may refine."""
    if kind == "requeued":
        return "time limit" if names.get("warned", {}).get("limit") else "preempted"
    if kind == "time limit" and not names.get("warned", {}).get("advanced", True):
        return "time limit, nothing finished"
    return kind


def _corrected(attempt: Attempt, row: Accounted | None) -> Attempt:
    """Return the attempt as the accounting knows it better."""
    if row is None or attempt.kind not in ("ended without a word", "node failure", "cancelled"):
        return attempt
    return replace(attempt, kind=_of_state(row, attempt.kind), node=attempt.node or row.node)


def _of_state(row: Accounted, otherwise: str) -> str:
    if row.state in _STATES:
        return _STATES[row.state]
    code, _, killer = row.exit_code.partition(":")
    if row.state == "FAILED" and (killer in ("9", LAUNCH) or code in ("9", "137")):
        return "killed"
    return otherwise


def _of_row(row: Accounted) -> Attempt:
    """Return an attempt that left no log at all."""
    code, _, killer = row.exit_code.partition(":")
    unopened = killer in ("53", LAUNCH) or code in (str(UNSEEN), "1")
    if row.state == "COMPLETED":
        kind = "done"
    elif row.state == "FAILED" and unopened:
        kind = "run directory not seen"  # not even its log could be opened there
    elif row.state == "FAILED" and code == str(SETUP):
        kind = "setup failed"
    elif row.state == "CANCELLED" and row.elapsed_s == 0:
        kind = "never started"
    else:
        kind = _of_state(row, "ended without a word")
    return Attempt(kind, row.node, f"{row.state} {row.exit_code}, no log")
