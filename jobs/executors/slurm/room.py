"""Which of a sweep's array tasks fit into the queue: the submit limits that hold, and packing."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobs.executors.slurm import packing
from jobs.executors.slurm.packing import TaskBundle
from jobs.planning.plan import Task
from jobs.planning.stages import stage_of
from slurm import limits
from slurm.limits import Limit, Placement
from slurm.partitions import CLOSED, Partition, default_of
from slurm.profile import Resources
from slurm.site import Site

Groups = list[list[Task]]
"""Tasks of one stage and key together, the stages in the order of the table."""


@dataclass(frozen=True)
class Room:
    """How many array tasks some groups may still bring into the queue together.

    Attributes:
        groups: Their places in the list of groups.
        n: Array tasks.
        limit: What allows no more.
    """

    groups: Collection[int]
    n: int
    limit: Limit

    @property
    def words(self) -> str:
        """Return the limit, for people."""
        return f"{self.limit.name} = {self.limit.most:,}, of which {self.n:,} are free"


def read_rooms(
    resources: Sequence[Resources],
    extra: int | None,
    partitions: Mapping[str, Partition],
    site: Site,
    cluster: str = "",
) -> list[Room]:
    """Return how much room there is under each limit, the one of most groups first.

    Args:
        resources: What the array tasks of each group get.
        extra: The profile's own limit.
        partitions: Name → partition of the cluster.
        site: The cluster; where it enforces no limits, none are asked for.
        cluster: Name of the cluster that they go to; empty means the one of this machine.

    Raises:
        Unreachable: No controller answers.
    """
    places = [Placement(given.account, given.qos, given.partition) for given in resources]
    found: dict[Limit, set[Placement]] = {}
    if site.enforces_limits:
        accounting = limits.read_accounting(cluster or site.cluster)
        found = limits.submit_limits(places, partitions, accounting)
    if extra:
        found[Limit("slurm.max_elements", extra)] = set(places)
    if not found:
        return []
    used = limits.list_used(os.getuid(), cluster)
    rooms = [
        Room([i for i, p in enumerate(places) if p in bound], limit.room(used, partitions), limit)
        for limit, bound in found.items()
    ]
    return sorted(rooms, key=lambda room: (-len(room.groups), room.n))


def fitted(grouped: Groups, rooms: Sequence[Room]) -> list[list[TaskBundle]]:
    """PURE: return the array tasks of each group, so that all fit; see `packed`."""
    dealt = packed(grouped, None)
    for _ in range(1 + len(rooms)):  # what one packs, another that overlaps may pack again
        full = [r for r in rooms if sum(len(dealt[i]) for i in r.groups) > r.n]
        for room in full:
            mine = sorted(room.groups)
            if sum(len(dealt[i]) for i in mine) > room.n:
                again = packed([grouped[i] for i in mine], room.n)
                for i, bundles in zip(mine, again, strict=True):
                    dealt[i] = bundles if len(bundles) < len(dealt[i]) else dealt[i]
        if not full:
            break
    return dealt


def closed_partitions(resources: Sequence[Resources], known: Mapping[str, Partition]) -> list[str]:
    """PURE: return a warning for each partition that starts no jobs now."""
    asked = [name for given in resources for name in (given.partition or "").split(",")]
    names = dict.fromkeys(name or default_of(known) for name in asked)
    return [
        f"partition '{name}' is {known[name].state}: it {CLOSED[known[name].state]}"
        for name in names
        if name in known and known[name].state in CLOSED
    ]


def packed(grouped: Groups, room: int | None) -> list[list[TaskBundle]]:
    """Return the array tasks of each group, at most *room* in all.

    Every group that takes what is there keeps a place, one that is renewed in any case.
    """
    first, later, last = _by_role(grouped)
    n_later, n_last = len(later), len(last)
    for_first = None if room is None else max(room - n_later - n_last, min(room, 1))
    made = packing.bundles([grouped[i] for i in first], for_first)
    for_later = None if room is None else room - sum(map(len, made)) - n_last
    follow = packing.bundles([grouped[i] for i in later], for_later)
    always = packing.bundles([grouped[i] for i in last], None)
    dealt = dict(zip([*first, *later, *last], [*made, *follow, *always], strict=True))
    return [dealt[i] for i in range(len(grouped))]


def _by_role(grouped: Groups) -> tuple[list[int], list[int], list[int]]:
    """Return which groups take nothing that is there, which do, and which are renewed."""
    roles: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, group in enumerate(grouped):
        stage = stage_of(group[0].stage)
        roles[2 if stage.renewed else int(stage.takes_what_is_there)].append(i)
    return roles
