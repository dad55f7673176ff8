"""What Slurm knows of our array tasks: one query of squeue, one of sacct, for all of them."""

import getpass
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class SlurmError(Exception):
    """A command of Slurm's failed; the message holds its words."""


class SubmitError(SlurmError):
    """sbatch refused a job."""


class Unreachable(SlurmError):
    """No controller answers."""


SILENT = (
    "unable to contact", "connection refused", "timed out", "zero bytes",
    "could not establish a configuration", "problem talking to the database",
    "communication connection failure", "accounting storage is disabled",
)  # fmt: skip
"""Words of Slurm's commands when no controller or database answers, in lower case."""

ENDED = (
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL",
    "DEADLINE", "REVOKED", "PREEMPTED",
)  # fmt: skip
"""States of array tasks that squeue still knows and that Slurm will not run again."""

LAUNCH = "launch"
"""Stands for the signal in an exit code where squeue tells only ``JobLaunchFailure``."""

_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Queued:
    """One array task as squeue lists it.

    Attributes:
        state: In Slurm's words, e.g. ``PENDING``.
        reason: Why it waits or how it ended; ``None`` in Slurm's words if nobody knows.
        node: Where it runs or ran; empty if it never did.
    """

    job: str
    index: int
    state: str
    reason: str
    node: str

    @property
    def ended(self) -> bool:
        """Whether Slurm is through with it."""
        return self.state in ENDED

    def as_accounted(self) -> "Accounted":
        """Return what the accounting would say, as far as squeue knows it."""
        # the reason of a killed batch script and of one that never began is the same
        code = f"0:{LAUNCH}" if self.reason == "JobLaunchFailure" else "?"
        return Accounted(self.job, self.index, self.state, code, self.node, 0, 0, "")


@dataclass(frozen=True, slots=True)
class Accounted:
    """One attempt of an array task as the accounting has it; a requeued array task has several.

    Attributes:
        exit_code: ``code:signal``.
        gpus: Allocated.
    """

    job: str
    index: int
    state: str
    exit_code: str
    node: str
    elapsed_s: int
    gpus: int
    start: str


def ask(command: Sequence[str], timeout_s: float = 60) -> str:
    """Return what a command of Slurm's prints.

    Raises:
        Unreachable: The command is absent, or no controller or database answers.
        SlurmError: It fails for another reason.
    """
    if shutil.which(command[0]) is None:
        msg = f"{command[0]} is not on PATH"
        raise Unreachable(msg)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{command[0]} did not answer within {timeout_s:.0f} s"
        raise Unreachable(msg) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        words = said[-1] if said else f"exit code {done.returncode}"
        whole = " ".join(said).lower()
        kind = Unreachable if any(sign in whole for sign in SILENT) else SlurmError
        raise kind(f"{command[0]}: {words}")
    return done.stdout


def list_queued() -> list[Queued]:
    """Return every array task of the user's that is queued or has lately ended, in one query.

    Raises:
        Unreachable: No controller answers.
    """
    form = _SEPARATOR.join(["%F", "%K", "%T", "%N", "%r"])
    text = ask(["squeue", "-h", "-r", "-t", "all", "-u", getpass.getuser(), "-o", form])
    return parse_queue(text)


def parse_queue(text: str) -> list[Queued]:
    """Return the array tasks that squeue printed; a job that is no array has index 0."""
    found = []
    for line in text.splitlines():
        parts = line.split(_SEPARATOR, 4)
        if len(parts) == 5:
            job, index, state, node, reason = parts
            found.append(Queued(job, int(index) if index.isdigit() else 0, state, reason, node))
    return found


def list_comments() -> dict[str, str]:
    """Return comment → job id of the user's jobs in the queue.

    Raises:
        Unreachable: No controller answers.
    """
    text = ask(["squeue", "-h", "-u", getpass.getuser(), "-t", "all", "-o", "%F|%k"])
    return {comment: job for job, _, comment in (line.partition("|") for line in text.splitlines())}


def list_attempts(jobs: Iterable[str]) -> list[Accounted]:
    """Return every attempt of the array tasks of *jobs*, oldest first, in one query.

    Raises:
        Unreachable: There is no accounting here, or it does not answer.
    """
    listed = ",".join(sorted(jobs))
    if not listed:
        return []
    fields = "JobID,State,ExitCode,NodeList,ElapsedRaw,AllocTRES,Start"
    text = ask(["sacct", "-X", "-D", "-n", "-P", "-j", listed, "-o", fields])
    return parse_accounting(text)


def parse_accounting(text: str) -> list[Accounted]:
    """Return the attempts that ``sacct -X -D -n -P`` printed, oldest first."""
    found = []
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != 7:
            continue
        job, _, index = parts[0].partition("_")
        if not index.isdigit():  # 12_[3-7]: not started yet
            continue
        state, exit_code, node, elapsed, tres, start = parts[1:]
        gpus = sum(
            int(value)
            for name, _, value in (item.partition("=") for item in tres.split(","))
            if name == "gres/gpu" and value.isdigit()
        )
        # "CANCELLED by 0" names who cancelled
        kind = state.split()[0] if state else ""
        found.append(
            Accounted(job, int(index), kind, exit_code, node, int(elapsed or 0), gpus, start)
        )
    return sorted(found, key=lambda row: (row.job, row.index, row.start))


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs or array tasks (``12`` or ``12_3``).

    Raises:
        SlurmError: scancel fails.
    """
    if jobs:
        ask(["scancel", *jobs])
