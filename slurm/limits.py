"""How many array tasks a user may have in the queue, read from the cluster's accounting."""

import os
import pwd

from slurm.queue import SlurmError, ask


def read_submit_limit(account: str | None, qos: str | None, extra: int | None = None) -> int | None:
    """Return how many array tasks a user may have in the queue; null if no limit is known.

    Args:
        account: As asked for; null means the user's default.
        qos: Likewise.
        extra: The profile's own limit.
    """
    try:
        text = _associations() + "\n" + _qualities()
        bounds = parse_limits(text, pwd.getpwuid(os.getuid()).pw_name, account, qos)
    except (SlurmError, KeyError):  # a site without accounting has no such limits, or hides them
        bounds = []
    bounds += [extra] if extra else []
    return min(bounds, default=None)


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
