"""The partitions of a cluster: whether they take and run jobs, and whose limits hold in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slurm.queue import SlurmError, ask

CLOSED = {
    "DOWN": "takes jobs, and starts none until an administrator opens it",
    "DRAIN": "takes no new jobs",
    "INACTIVE": "takes no new jobs, and starts none",
}
"""States of a partition that is not up, and what they mean (man scontrol)."""

UNAVAILABLE = re.compile(r"down|drain|fail|maint|reboot|unknown|power(ing)?_down|.*\*$")
"""States of nodes that take no job now, as sinfo writes them; a star means that one is silent."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Attributes:
        state: ``UP``, ``DOWN``, ``DRAIN`` or ``INACTIVE``.
        qos: Its QOS, whose limits hold for all jobs in it; empty if it has none.
        default: Whether jobs go there that name none.
    """

    name: str
    state: str = "UP"
    qos: str = ""
    default: bool = False


def read_partitions(cluster: str = "") -> dict[str, Partition]:
    """Return name → partition; none where the controller does not say."""
    there = ["-M", cluster] if cluster else []
    try:
        return parse_partitions(ask(["scontrol", *there, "-a", "-o", "show", "partition"]))
    except SlurmError:
        return {}


def parse_partitions(text: str) -> dict[str, Partition]:
    """PURE: return what ``scontrol -o show partition`` printed."""
    found = {}
    for line in text.splitlines():
        values = dict(re.findall(r"(\S+?)=(\S*)", line))
        if name := values.get("PartitionName"):
            qos = values.get("QoS", "N/A")
            found[name] = Partition(
                name, values.get("State", "UP"), "" if qos == "N/A" else qos,
                values.get("Default") == "YES",
            )  # fmt: skip
    return found


def default_of(partitions: Mapping[str, Partition]) -> str:
    """PURE: return the partition of jobs that name none; empty if there is no such."""
    return next((partition.name for partition in partitions.values() if partition.default), "")


def unavailable_nodes(partition: str | None, cluster: str = "") -> list[str]:
    """Return the nodes that take no job now, each with its state and the administrator's reason.

    Args:
        partition: Name, or several with commas; null means the default.
        cluster: Its name; empty means the one that this machine belongs to.
    """
    there = ["-M", cluster] if cluster else []
    asked = partition or default_of(read_partitions(cluster))
    where = ["-p", asked] if asked else ["-a"]
    try:
        rows = [
            line.split("|", 2)
            for line in ask(["sinfo", *there, "-h", "-N", *where, "-o", "%N|%T|%E"]).splitlines()
        ]
    except SlurmError:
        return []
    away = (row for row in rows if len(row) == 3 and UNAVAILABLE.match(row[1]))
    return list(dict.fromkeys(f"{node} {state} ({reason})" for node, state, reason in away))
