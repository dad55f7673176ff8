"""How many array tasks a user may have in the queue, as the cluster's accounting says.

Only this user's association is asked for, and the accounts above it. Sources: "Resource limits" of
Slurm's documentation, whose order of precedence is that of `bounds`.
"""

import os
import pwd
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from slurm.partitions import Partition, default_of
from slurm.queue import SlurmError, ask


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an array task goes, as asked for; null means the user's default."""

    account: str | None
    qos: str | None
    partition: str | None


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the number of a user's array tasks in the queue.

    Attributes:
        name: In Slurm's words, with what sets it, for people.
        most: Array tasks.
        qos: Which QOS it is of, a job's or its partition's; null if it is no QOS's.
        accounts: Which accounts' jobs count; null means all.
        partition: Which partition's jobs count; null means all.
    """

    name: str
    most: int
    qos: str | None = None
    accounts: frozenset[str] | None = None
    partition: str | None = None

    def room(self, used: Iterable["UsedSlot"], partitions: Mapping[str, Partition]) -> int:
        """Return how many more array tasks fit."""
        return max(self.most - sum(self._counts(task, partitions) for task in used), 0)

    def _counts(self, task: "UsedSlot", partitions: Mapping[str, Partition]) -> bool:
        names = task.partition.split(",")
        if self.qos is not None:
            theirs = {partitions[name].qos for name in names if name in partitions}
            return self.qos in {task.qos, *theirs}
        if self.accounts is not None and task.account not in self.accounts:
            return False
        return self.partition is None or self.partition in names


@dataclass(frozen=True, slots=True)
class UsedSlot:
    """One of the user's array tasks in the queue."""

    account: str
    qos: str
    partition: str


@dataclass(frozen=True, slots=True)
class Association:
    """What bounds a user, or an account, in the accounting.

    Attributes:
        partition: Where it holds; empty means everywhere.
        most: MaxSubmitJobs; null means no limit.
        group: GrpSubmitJobs; null means no limit.
        parent: Account above; empty at the top.
    """

    account: str
    partition: str = ""
    most: int | None = None
    group: int | None = None
    default_qos: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """The limits of a QOS on numbers of jobs; null means no limit.

    Attributes:
        over_partition: Whether they go over those of a partition's QOS.
    """

    name: str
    per_user: int | None = None
    per_account: int | None = None
    group: int | None = None
    over_partition: bool = False


@dataclass(frozen=True, slots=True)
class Accounting:
    """What the accounting says of a user."""

    own: tuple[Association, ...] = ()
    above: Mapping[str, Association] | None = None
    qualities: Mapping[str, Quality] | None = None

    def bounds(self, place: Placement, partition: Partition | None) -> Iterator[Limit]:
        """PURE: yield every limit that an array task counts against.

        Of each kind, Slurm goes by the first of: the partition's QOS, the job's QOS, the user's
        association, the accounts above it (all of these).

        Args:
            place: What is asked for.
            partition: Where it goes; null if it is not known.
        """
        mine = [a for a in self.own if place.account in (None, a.account)]
        mine = [a for a in mine if a.partition in ("", partition.name if partition else "")]
        of_job = (
            {place.qos} if place.qos else {a.default_qos or "normal" for a in mine} or {"normal"}
        )
        known = self.qualities or {}
        jobs = [known[name] for name in sorted(of_job) if name in known]
        qualities = [known[partition.qos]] if partition and partition.qos in known else []
        over = any(quality.over_partition for quality in jobs)
        qualities = [*jobs, *qualities] if over else [*qualities, *jobs]
        yield from _first(qualities, "per_user", "MaxSubmitJobsPerUser")
        yield from _first(qualities, "per_account", "MaxSubmitJobsPerAccount")
        yield from _first(qualities, "group", "GrpSubmitJobs")
        if all(quality.per_user is None for quality in qualities):
            yield from _of_user(mine)
        if all(quality.group is None for quality in qualities):
            yield from self._of_accounts(mine)

    def _of_accounts(self, mine: Iterable[Association]) -> Iterator[Limit]:
        above = self.above or {}
        for own in mine:
            name, below = own.account, {own.account}
            if own.group is not None:
                yield Limit(f"GrpSubmitJobs of your association with {name}", own.group,
                            accounts=frozenset(below))  # fmt: skip
            while (account := above.get(name)) is not None:
                if account.group is not None:
                    yield Limit(f"GrpSubmitJobs of account {name}", account.group,
                                accounts=frozenset(below))  # fmt: skip
                name = account.parent
                if name in below:
                    break
                below.add(name)


def _first(qualities: Iterable[Quality], kind: str, words: str) -> Iterator[Limit]:
    for quality in qualities:
        most = getattr(quality, kind)
        if most is not None:
            yield Limit(f"{words} of QOS {quality.name}", most, qos=quality.name)
            return


def _of_user(mine: Iterable[Association]) -> Iterator[Limit]:
    for own in mine:
        if own.most is not None:
            yield Limit(
                f"MaxSubmitJobs of your association with account {own.account}", own.most,
                accounts=frozenset({own.account}), partition=own.partition or None,
            )  # fmt: skip


def read_accounting(cluster: str = "") -> Accounting:
    """Ask the accounting about this user; a site without accounting, or that hides it, has none.

    Args:
        cluster: The cluster's name; empty means all that the accounting knows.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
        own = _associations("user=" + user, cluster)
        above: dict[str, Association] = {}
        wanted = {association.account for association in own}
        while wanted:
            found = _associations(f"account={','.join(sorted(wanted))}", cluster, "user=")
            above |= {association.account: association for association in found}
            wanted = {association.parent for association in found} - {"", *above}
        fields = "Name,MaxSubmitJobsPerUser,MaxSubmitJobsPerAccount,GrpSubmitJobs,Flags"
        text = ask(["sacctmgr", "-n", "-P", "show", "qos", f"format={fields}"])
    except (SlurmError, KeyError):
        return Accounting()
    return Accounting(tuple(own), above, parse_qualities(text))


def _associations(which: str, cluster: str, *more: str) -> list[Association]:
    fields = "Account,Partition,MaxSubmitJobs,GrpSubmitJobs,DefaultQOS,ParentName"
    there = [f"cluster={cluster}"] if cluster else []
    command = ["sacctmgr", "-n", "-P", "show", "assoc", "where", which, *more, *there]
    return parse_associations(ask([*command, f"format={fields}"]))


def parse_associations(text: str) -> list[Association]:
    """PURE: return what ``sacctmgr show assoc`` printed."""
    rows = (line.split("|") for line in text.splitlines())
    return [
        Association(r[0], r[1], _number(r[2]), _number(r[3]), r[4], r[5])
        for r in rows
        if len(r) == 6
    ]


def parse_qualities(text: str) -> dict[str, Quality]:
    """PURE: return name → QOS of what ``sacctmgr show qos`` printed."""
    rows = (line.split("|") for line in text.splitlines())
    found = (
        Quality(r[0], _number(r[1]), _number(r[2]), _number(r[3]), "OverPartQOS" in r[4])
        for r in rows
        if len(r) == 5
    )
    return {quality.name: quality for quality in found}


def _number(cell: str) -> int | None:
    return int(cell) if cell.isdigit() else None


def list_used(uid: int, cluster: str = "") -> list[UsedSlot]:
    """Return all array tasks of a user that are in the queue, whatever they do.

    Raises:
        Unreachable: No controller answers.
    """
    states = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING,STOPPED,REQUEUED"
    command = ["squeue", "-h", "-a", "-r", "-t", states, "-o", "%a|%q|%P", "-u", str(uid)]
    rows = (
        line.split("|")
        for line in ask([*command, *(["-M", cluster] if cluster else [])]).splitlines()
    )
    return [UsedSlot(*row) for row in rows if len(row) == 3]


def submit_limits(
    places: Collection[Placement], partitions: Mapping[str, Partition], accounting: Accounting
) -> dict[Limit, set[Placement]]:
    """PURE: return each limit with the placements that count against it.

    Args:
        places: What is asked for.
        partitions: Name → partition of the cluster.
        accounting: What bounds the user.
    """
    found: dict[Limit, set[Placement]] = {}
    for place in places:
        names = (place.partition or default_of(partitions)).split(",")
        for name in names:
            for limit in accounting.bounds(place, partitions.get(name)):
                found.setdefault(limit, set()).add(place)
    return found
