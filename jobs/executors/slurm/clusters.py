"""PURE: which clusters array jobs go to; no job can wait for one on another cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def clusters_of(asked: Mapping[str, Any], here: str) -> tuple[str, ...]:
    """Return the names of the clusters that sbatch chooses from.

    Args:
        asked: Resources of an array task; only its options count.
        here: Name of this machine's cluster, which is the one unless others are asked for.
    """
    names = str(dict(asked.get("options") or {}).get("clusters", "")).split(",")
    return tuple(sorted({name.strip() for name in names if name.strip()})) or (here,)


@dataclass(frozen=True, slots=True)
class Placed:
    """An array job, in the queue or about to be submitted.

    Attributes:
        name: For the message.
        clusters: Where it is, or which ones sbatch would choose from.
        waits: Ids of the jobs that it waits for.
    """

    name: str
    clusters: tuple[str, ...]
    waits: Sequence[str] = ()


def waits_elsewhere(job: Placed, by_id: Mapping[str, Placed]) -> str:
    """Return what is wrong if a job would wait for one elsewhere; empty if it would not."""
    for other in (by_id[waited] for waited in job.waits if waited in by_id):
        if len(job.clusters) > 1 or job.clusters != other.clusters:
            return (
                f"{job.name} is to run on {_named(job.clusters)} and waits for {other.name} on "
                f"{_named(other.clusters)}, and no job can wait for one on another cluster: "
                "nothing was submitted. Expected one cluster for everything: name it under "
                "[slurm.options], as clusters = 'NAME', and sweep again when nothing of this "
                "run is queued elsewhere"
            )
    return ""


def _named(clusters: Sequence[str]) -> str:
    return f"the cluster '{' or '.join(clusters)}'" if clusters[0] else "this machine's cluster"
