"""PURE: how tasks become elements, and elements become arrays, within a cluster's limits."""

from collections.abc import Sequence
from typing import TypeVar

from jobs.planning.plan import Plan, Task

T = TypeVar("T")
Element = tuple[Task, ...]
"""The tasks that one element of an array does, one after the other."""


def groups(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return the tasks of each (stage, key) together: they need the same weights and resources."""
    found: dict[tuple[str, str, int], list[Task]] = {}
    for task in tasks:
        found.setdefault((task.stage, task.key, task.n_shards), []).append(task)
    return list(found.values())


def elements(grouped: Sequence[Sequence[Task]], room: int | None) -> list[list[Element]]:
    """Return the elements of each group, at most *room* in all.

    Every element does one task where they fit; otherwise all groups' elements take more tasks,
    equally, until they do. Where even one element for each group is too many, the last groups
    get none.

    Args:
        grouped: Tasks of each group, none empty.
        room: Elements that may be submitted; null means any number.
    """
    if room is None or sum(map(len, grouped)) <= room:
        return [[(task,) for task in group] for group in grouped]
    room = max(room, 0)
    kept = grouped[:room]
    per_element = 1
    while sum(-(-len(group) // per_element) for group in kept) > room:
        per_element += 1
    dealt = [_dealt(group, -(-len(group) // per_element)) for group in kept]
    return dealt + [[] for _ in grouped[len(kept) :]]


def _dealt(group: Sequence[Task], n: int) -> list[Element]:
    return [tuple(group[i::n]) for i in range(n)]


def arrays(of_group: Sequence[Element], largest: int) -> list[list[Element]]:
    """Cut one group's elements into arrays of at most *largest*."""
    return [list(of_group[i : i + largest]) for i in range(0, len(of_group), largest)]


def pairs(plan: Plan, task: Task) -> frozenset[tuple[str, str]]:
    """Return what a task of *plan* makes: (metric key, condition id), or ("", condition id)."""
    if task.stage == "generate":
        return frozenset(("", c.id) for c in plan.of_model(task.key))
    metrics = plan.of_group(task.key) if task.stage == "score" else plan.metrics
    return frozenset((m.key, c.id) for m in metrics for c in plan.conditions)
