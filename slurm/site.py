"""What a cluster says of itself: its name, its largest array, and what it hides from its users."""

import re
import time
from dataclasses import dataclass

from slurm import durations
from slurm.queue import ask

DEFAULT_ARRAY = 1001
"""MaxArraySize where a site has not set it."""


@dataclass(frozen=True, slots=True)
class Site:
    """One cluster, which this machine belongs to unless it was asked for by name.

    Attributes:
        cluster: Its name; empty if it does not say.
        largest_array: Array tasks of one array (``MaxArraySize``, whose value is one more than the
            largest index).
        hides_jobs: Whether a user sees nobody else's jobs (``PrivateData``).
        enforces_limits: Whether limits of accounts and QOS hold (``AccountingStorageEnforce``).
        ahead_s: How far this machine's clock is ahead of the controller's, in seconds.
    """

    cluster: str = ""
    largest_array: int = DEFAULT_ARRAY
    hides_jobs: bool = False
    enforces_limits: bool = True
    ahead_s: int = 0

    def now(self) -> float:
        """Return the time by the controller's clock, in seconds since 1970."""
        return time.time() - self.ahead_s


def read_site(cluster: str = "") -> Site:
    """Ask the controller of a cluster; an empty name means the one that this machine belongs to.

    Raises:
        Unreachable: It does not answer.
    """
    text = ask(["scontrol", *(["-M", cluster] if cluster else []), "show", "config"])
    return parse_site(text, time.time())


def parse_site(text: str, here: float | None = None) -> Site:
    """Return what ``scontrol show config`` printed.

    Args:
        text: It begins with the controller's time.
        here: The time by this machine's clock when it answered, in seconds since 1970.
    """
    told = re.search(r"^Configuration data as of (\S+)", text)
    there = durations.since_1970(told[1]) if told else 0
    pairs = (line.partition("=") for line in text.splitlines())
    values = {name.strip(): value.strip() for name, _, value in pairs}
    largest = values.get("MaxArraySize", "")
    return Site(
        cluster=values.get("ClusterName", ""),
        largest_array=max(1, int(largest)) if largest.isdigit() else DEFAULT_ARRAY,
        hides_jobs="jobs" in values.get("PrivateData", "").lower().split(","),
        enforces_limits=_enforces_limits(values.get("AccountingStorageEnforce")),
        ahead_s=round(here - there) if here and there else 0,
    )


def _enforces_limits(value: str | None) -> bool:
    """Tell whether limits hold; where a site does not say, they may."""
    return value is None or bool({"limits", "safe", "all"} & set(value.lower().split(",")))
