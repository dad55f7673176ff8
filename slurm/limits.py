"""How much the cluster takes at once: array sizes and submit limits, read from it."""

import getpass
from dataclasses import dataclass

from slurm.queue import SlurmError, ask

DEFAULT_ARRAY = 1001
"""MaxArraySize where a site has not set it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a submission.

    Attributes:
        array: Array tasks of one array (``MaxArraySize``, whose value is one more than the largest
            index).
        submit: Array tasks that the user may have in the queue; null if there is no such limit or
            nobody tells.
    """

    array: int
    submit: int | None


def read(account: str | None, qos: str | None, extra: int | None = None) -> Limits:
    """Read the limits that hold for a user under *account* and *qos*.

    Args:
        account: As asked for; null means the user's default.
        qos: Likewise.
        extra: The profile's own limit.

    Raises:
        Unreachable: No controller answers.
    """
    array = parse_config(ask(["scontrol", "show", "config"]))
    try:
        text = _associations() + "\n" + _qualities()
        found = parse_limits(text, getpass.getuser(), account, qos)
    except SlurmError:  # a site without accounting has no such limits, or hides them
        found = []
    found += [extra] if extra else []
    return Limits(array, min(found) if found else None)


def _associations() -> str:
    fields = "User,Account,MaxSubmitJobs,GrpSubmitJobs,QOS,DefaultQOS,ParentName"
    return "\n".join(
        f"assoc|{line}"
        for line in ask(["sacctmgr", "-n", "-P", "show", "assoc", f"format={fields}"]).splitlines()
    )


def _qualities() -> str:
    fields = "Name,MaxSubmitJobsPerUser,GrpSubmitJobs"
    return "\n".join(
        f"qos|{line}"
        for line in ask(["sacctmgr", "-n", "-P", "show", "qos", f"format={fields}"]).splitlines()
    )


def parse_config(text: str) -> int:
    """Return how many tasks an array job may have, from ``scontrol show config``."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdigit():
            return max(1, int(value))
    return DEFAULT_ARRAY


def parse_limits(text: str, user: str, account: str | None, qos: str | None) -> list[int]:
    """Return every submit limit that bounds *user*, from lines ``assoc|…`` and ``qos|…``."""
    rows = [line.split("|") for line in text.splitlines() if line]
    own = [
        r for r in rows if r[0] == "assoc" and r[1] == user and (account is None or r[2] == account)
    ]
    parents = {r[2]: r[7] for r in rows if r[0] == "assoc" and not r[1] and len(r) > 7}
    accounts = {row[2] for row in own}
    while more := {parents[a] for a in accounts if parents.get(a)} - accounts:
        accounts |= more
    above = [r for r in rows if r[0] == "assoc" and not r[1] and r[2] in accounts]
    used = {qos} if qos else {row[6] or "normal" for row in own if len(row) > 6} or {"normal"}
    numbers = [cell for row in own + above for cell in row[3:5]]
    numbers += [cell for row in rows if row[0] == "qos" and row[1] in used for cell in row[2:4]]
    return [int(cell) for cell in numbers if cell.isdigit()]
