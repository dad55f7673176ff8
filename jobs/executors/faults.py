"""PURE: failures of tasks with one cause, counted together.

A cause is known by its class and its message; what varies from task to task in a message (numbers,
ids, paths) does not make it another one. The nodes are counted within it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.counted import counted

VARIES = "…"
"""Stands for a word with a digit or a slash in it."""

SHOWN = 5
"""Causes in a short list, and nodes of one cause."""

WIDTH = 160
"""Of a message in a line."""

_WORD = re.compile(r"""[^\s'"`()\[\]{}<>,;:=]*[\d/\\][^\s'"`()\[\]{}<>,;:=]*""")
_LIST = re.compile(rf"{VARIES}(?:(?:, ?| and | )*{VARIES})+")


@dataclass(frozen=True, slots=True)
class Failure:
    """One task, or array task, that failed.

    Attributes:
        task: Id of its (first) task.
        work: Stage and key.
        kind: Class of the failure.
        message: What it or Slurm said; may be empty.
        node: Where it ran; empty if nobody knows, or on this machine.
    """

    task: str
    work: str
    kind: str
    message: str
    node: str
    log: Path

    @property
    def cause(self) -> str:
        """See `cause`."""
        return cause(self.kind, self.message)


@dataclass(frozen=True, slots=True)
class Fault:
    """Failures with one cause.

    Attributes:
        n: How many.
        nodes: Node → how many there, the most first.
        work: Stage and key → how many, the most first.
        example: The first one.
        alike: Whether all messages are equal.
    """

    n: int
    nodes: Mapping[str, int]
    work: Mapping[str, int]
    example: Failure
    alike: bool


def cause(kind: str, message: str) -> str:
    """Return class and message, without what varies from task to task."""
    return f"{kind}: {pattern(message)}" if message.strip() else kind


def pattern(message: str) -> str:
    """Return the first line of a message without what varies from task to task."""
    lines = message.strip().splitlines() or [""]
    return _LIST.sub(VARIES, _WORD.sub(VARIES, lines[0]))


def faults(failures: Iterable[Failure]) -> list[Fault]:
    """Return the causes of *failures*, the most frequent first."""
    grouped: dict[str, list[Failure]] = {}
    for failure in failures:
        grouped.setdefault(failure.cause, []).append(failure)
    found = [_fault(group) for group in grouped.values()]
    return sorted(found, key=lambda fault: -fault.n)


def _fault(group: list[Failure]) -> Fault:
    return Fault(
        len(group),
        dict(Counter(failure.node for failure in group if failure.node).most_common()),
        dict(Counter(failure.work for failure in group).most_common()),
        group[0],
        len({failure.message for failure in group}) == 1,
    )


def headline(fault: Fault) -> str:
    """Return one line about failures with one cause: how many, their class, where, the message."""
    example = fault.example
    said = example.message.strip().splitlines()
    words = f": {said[0][:WIDTH]}" if said else ""
    differ = "" if fault.alike or not said else " (numbers, ids or paths differ)"
    where = f" on {most(fault.nodes)}" if fault.nodes else ""
    return f"{fault.n:,} failed: {example.kind}{where}{words}{differ}"


def most(counts: Mapping[str, int]) -> str:
    """Return the most frequent of some things, each with its count if there are several."""
    if len(counts) == 1:
        return next(iter(counts))
    shown = [f"{name} ({n:,})" for name, n in list(counts.items())[:SHOWN]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def short(failures: Sequence[Failure]) -> list[str]:
    """Return a line for each of the most frequent causes.

    That the report is incomplete follows from the others, and is left out beside them.
    """
    causes = [failure for failure in failures if failure.kind != "incomplete"]
    found = faults(causes or failures)
    lines = [headline(fault) for fault in found[:SHOWN]]
    if more := len(found) - len(lines):
        lines.append(f"and {counted(more, 'other cause')}")
    return lines
