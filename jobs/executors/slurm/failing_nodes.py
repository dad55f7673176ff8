"""Nodes that fail most of what they take, while others succeed at the same work."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empathy_core.store import RunDir
from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.inspect import (
    ArrayTask,
    Attempts,
    Inspected,
    began,
    read_history,
    with_ended,
)
from jobs.executors.slurm.submissions import Submission
from jobs.planning.plan import Plan
from slurm import queue
from slurm.profile import Profile
from slurm.queue import SlurmError

NOT_THE_NODE = (
    "done", "running", "queued", "never started", "cancelled", "preempted", "time limit",
    "time limit, nothing finished", "no progress", "incomplete", "unknown",
)  # fmt: skip
"""Classes of an attempt's end that say nothing against its node."""

TAKEN_WELL = ("done", "preempted", "time limit")
"""Of these, those that show that the node works."""

ALPHA = 0.05
"""How improbable a node's share of the failures must be, were all nodes alike."""


@dataclass(frozen=True, slots=True)
class NodeAttempt:
    """One attempt at an array task.

    Attributes:
        work: Stage and partition: only what does the same kind of work is compared.
        failed: Whether it failed, in a way that may be the node's fault.
    """

    work: tuple[str, str]
    node: str
    failed: bool


@dataclass(frozen=True, slots=True)
class FailingNode:
    """A node that fails most of what it takes.

    Attributes:
        n_failed: Of its attempts.
        n_taken: All of its attempts at the same kind of work.
        others_failed: Of the other nodes' attempts.
        others_taken: All attempts of the other nodes.
    """

    node: str
    n_failed: int
    n_taken: int
    others_failed: int
    others_taken: int

    @property
    def words(self) -> str:
        """Return the evidence."""
        return (
            f"{self.node} failed {self.n_failed} of {self.n_taken} attempts, the other nodes "
            f"{self.others_failed} of {self.others_taken}"
        )


def failing_nodes(tried: Iterable[NodeAttempt], least: int) -> list[FailingNode]:
    """PURE: return the nodes to keep away from, those with most failures first.

    Such a node has failed *least* attempts, and more than half of those that it took. Were all
    nodes alike, so many of the failures would be its own with a probability of at most ``ALPHA``:
    Fisher's exact test, one-sided, against the nodes that fail half or less, times the number of
    nodes (Bonferroni). So one that is alone, or takes what fails everywhere, is never named.

    Args:
        tried: All attempts of a run.
        least: Failures that a node may not have; 0 means that none is named.
    """
    by_work: dict[tuple[str, str], list[NodeAttempt]] = {}
    for attempt in tried:
        by_work.setdefault(attempt.work, []).append(attempt)
    named: dict[str, FailingNode] = {}
    for attempts in by_work.values() if least else ():
        for node in _failing(attempts, least):
            named.setdefault(node.node, node)
    return sorted(named.values(), key=lambda node: (-node.n_failed, node.node))


def _failing(attempts: Sequence[NodeAttempt], least: int) -> Iterable[FailingNode]:
    taken = Counter(attempt.node for attempt in attempts)
    failed = Counter(attempt.node for attempt in attempts if attempt.failed)
    suspect = [node for node in taken if 2 * failed[node] > taken[node]]
    others_failed = failed.total() - sum(failed[node] for node in suspect)
    others_taken = taken.total() - sum(taken[node] for node in suspect)
    for node in suspect:
        found = FailingNode(node, failed[node], taken[node], others_failed, others_taken)
        if failed[node] >= least and others_taken and _chance(found) * len(taken) <= ALPHA:
            yield found


def _chance(node: FailingNode) -> float:
    """Return how probable it is that so many of the failures fall to a node among equals."""
    from scipy.stats import hypergeom  # heavy, and rarely needed

    everything = node.n_taken + node.others_taken
    n_failed = node.n_failed + node.others_failed
    return float(hypergeom.sf(node.n_failed - 1, everything, n_failed, node.n_taken))


def tried(
    array_tasks: Iterable[ArrayTask], rows: Mapping[tuple[str, int], Attempts]
) -> list[NodeAttempt]:
    """Return all attempts of which the node is known, from the logs and the accounting."""
    return [
        NodeAttempt(
            (array_task.submission.stage, str(array_task.submission.asked.get("partition", ""))),
            attempt.node,
            attempt.kind not in NOT_THE_NODE,
        )
        for array_task in array_tasks
        for attempt in read_history(array_task, rows)
        if attempt.node and (attempt.kind in TAKEN_WELL or attempt.kind not in NOT_THE_NODE)
    ]


def all_array_tasks(inspected: Inspected) -> list[ArrayTask]:
    """Return all array tasks of a run, each once."""
    earlier = (task for tasks in inspected.earlier.values() for task in tasks)
    every = [*earlier, *inspected.array_tasks.values()]
    return list({(task.submission.name, task.index): task for task in every}.values())


def max_node_failures(config: Mapping[str, Any]) -> int:
    """Return after how many failures a node may be named, from a plan's configuration."""
    slurm = dict(config.get("slurm") or {})
    return int(slurm.get("max_node_failures", Profile().max_node_failures))


def named_nodes(
    plan: Plan, inspected: Inspected, rows: Mapping[tuple[str, int], Attempts]
) -> list[FailingNode]:
    """Return the nodes of a run to keep away from."""
    least = max_node_failures(plan.config)
    return failing_nodes(tried(all_array_tasks(inspected), rows), least) if least else []


def to_avoid(run: RunDir, least: int, queue_state: QueueState) -> list[FailingNode]:
    """Return the nodes that what is submitted next keeps away from; the accounting is asked."""
    if not least or not queue_state.submissions:
        return []
    jobs = [s.identity(run) for s in _newest(queue_state.submissions) if s.job]
    try:
        told = queue.list_attempts(jobs)
    except SlurmError:  # no accounting here, or it is silent: the logs tell most
        told = []
    rows = with_ended(told, queue_state.ended)
    return failing_nodes(tried(began(run, queue_state, rows), rows), least)


def _newest(submissions: Sequence[Submission]) -> list[Submission]:
    """Return the array jobs that some task was submitted with last, and all that stand by."""
    kept: list[Submission] = []
    later: set[tuple[str, str, int, int]] = set()
    for one in reversed(submissions):
        tasks = {(one.stage, one.key, one.n_shards, shard) for part in one.shards for shard in part}
        if one.retry or not tasks <= later:
            kept.append(one)
        later |= tasks if not one.retry else set()
    return kept[::-1]
