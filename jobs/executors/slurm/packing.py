"""PURE: how tasks are bundled, and bundles become array jobs, within a cluster's limits."""

from collections.abc import Sequence

from jobs.planning.plan import Task

TaskBundle = tuple[Task, ...]
"""The tasks that one array task does, one after the other."""


def groups(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return the tasks of each (stage, key) together: they need the same weights and resources."""
    grouped: dict[tuple[str, str, int], list[Task]] = {}
    for task in tasks:
        grouped.setdefault((task.stage, task.key, task.n_shards), []).append(task)
    return list(grouped.values())


def bundles(grouped: Sequence[Sequence[Task]], room: int | None) -> list[list[TaskBundle]]:
    """Return the bundles of each group, at most *room* in all.

    Every bundle is one task where they fit; otherwise all groups' bundles take more tasks, equally,
    until they do. Where even one bundle for each group is too many, the last groups get none.

    Args:
        grouped: Tasks of each group, none empty.
        room: Array tasks that may be submitted; null means any number.
    """
    if room is None or sum(map(len, grouped)) <= room:
        return [[(task,) for task in group] for group in grouped]
    room = max(room, 0)
    kept = grouped[:room]
    per_bundle = 1
    while sum(-(-len(group) // per_bundle) for group in kept) > room:
        per_bundle += 1
    dealt = [deal(group, -(-len(group) // per_bundle)) for group in kept]
    return dealt + [[] for _ in grouped[len(kept) :]]


def deal(group: Sequence[Task], n: int) -> list[TaskBundle]:
    """Return the tasks of a group in *n* bundles of about equal size."""
    return [tuple(group[i::n]) for i in range(n)]


def arrays(of_group: Sequence[TaskBundle], largest: int) -> list[list[TaskBundle]]:
    """Cut one group's bundles into array jobs of at most *largest*."""
    return [list(of_group[i : i + largest]) for i in range(0, len(of_group), largest)]
