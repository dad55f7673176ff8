"""Failures as people read them: one entry a cause, with one example; and the nodes that fail."""

import textwrap
from collections.abc import Sequence
from typing import Any

from empathy_core.store import RunDir
from jobs.commands.views import array_tasks
from jobs.executors.faults import Failure, Fault, faults, headline, most, short
from jobs.executors.local_history import LocalTask
from jobs.executors.local_progress import failed_here
from jobs.executors.slurm.failing_nodes import FailingNode
from jobs.executors.slurm.inspect import inspect
from jobs.executors.slurm.progress import Failed, read_failed
from jobs.planning.plan import Plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command


def of_local(tasks: Sequence[LocalTask]) -> list[Failure]:
    """Return how the tasks that failed on this machine ended."""
    return [
        Failure(
            task.id, task.id.split("-")[0], task.history[-1].kind, task.history[-1].message, "",
            task.log,
        )
        for task in tasks
        if task.failed
    ]  # fmt: skip


def nodes_text(nodes: Sequence[FailingNode]) -> list[str]:
    """Return what is said of nodes that fail most of what they take."""
    if not nodes:
        return []
    names = ",".join(node.node for node in nodes)
    return [
        *(node.words for node in nodes),
        f"what this run submits from now on keeps away from {names} (slurm.max_node_failures); for "
        f"other work, add --exclude {names}",
    ]


def why_incomplete(run: RunDir, plan: Plan) -> list[str]:
    """Return the causes why rows of a run are missing, as `short`; Slurm is asked if it answers."""
    progress, seen = read_progress(run, plan), inspect(run)
    here = of_local(failed_here(run, plan, progress, seen))
    failed = read_failed(plan, progress, seen)
    return [*short([*failed.failures(), *here]), *nodes_text(failed.nodes)]


def text(run: RunDir, failed: Failed, here: Sequence[LocalTask]) -> list[str]:
    """Return what ``explain --failed`` says: each cause with its count and one example."""
    nodes = [node.node for node in failed.nodes]
    on_slurm = failed.failures()
    of_log = {task.log: array_tasks.text(run, task, read, nodes) for task, read in failed.histories}
    of_log |= {task.log: array_tasks.local_text(run, task) for task in here}
    lines: list[str] = []
    for fault in [*faults(on_slurm), *faults(of_local(here))]:
        example = of_log[fault.example.log]
        if fault.n > 1:
            lines += _summary(fault, run)
            example = textwrap.indent(example, "  ")
        lines.append(example)
    return [*lines, *nodes_text(failed.nodes)]


def _summary(fault: Fault, run: RunDir) -> list[str]:
    """Return what is said of all failures with one cause, before the example."""
    return [
        headline(fault),
        f"  in {most(fault.work)}; one example follows, and this shows its whole log:",
        f"    {command(run, 'logs', fault.example.task)}",
    ]


def as_json(run: RunDir, failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """Return the causes, the most frequent first."""
    return [
        {
            "kind": fault.example.kind,
            "message": fault.example.message,
            "cause": fault.example.cause,
            "n": fault.n,
            "nodes": dict(fault.nodes),
            "work": dict(fault.work),
            "example": fault.example.task,
            "log": str(fault.example.log),
            "next": [command(run, "logs", fault.example.task)],
        }
        for fault in faults(failures)
    ]
