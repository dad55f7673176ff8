"""What Slurm knows of our array tasks: one query of squeue, one of sacct, for all of them.

A job id alone names no job: a cluster whose database was made anew counts from one again, and each
cluster counts for itself. So each query names the cluster, the user and the jobs, and each answer
says when a job was submitted, and the words that tell whose it is: see `JobIdentity`.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from slurm import durations


class SlurmError(Exception):
    """A command of Slurm's failed; the message holds its words."""


class SubmitError(SlurmError):
    """sbatch refused a job."""


class Unreachable(SlurmError):
    """No controller answers."""


class Unanswered(SlurmError):
    """sbatch ended without saying whether Slurm has taken a job."""


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

CLOCKS_S = 60
"""How far the clocks of a launcher and of a controller may be apart, in seconds."""


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """An array job as it was submitted; a job is this one only if `matches` says so.

    Attributes:
        token: Words that no other job has: they are in its comment, its name and its log's path.
        at: When sbatch was called, in seconds since 1970, by the controller's clock.
        uid: The user's number; null means whoever asks.
        cluster: Name of its cluster; empty means the one that is asked without naming any.
        job: Job id; null while it is not known.
        clusters: Names of those that sbatch could choose from; where its answer was lost, the job
            is on one of them.
        random: Whether the token was drawn for this job alone: then no clock need agree.
    """

    token: str
    at: int = 0
    uid: int | None = None
    cluster: str = ""
    job: str | None = None
    clusters: tuple[str, ...] = ()
    random: bool = False

    def matches(self, job: str, submitted: int, *words: str) -> bool:
        """Tell whether a job that Slurm lists is this one.

        Args:
            job: Its id.
            submitted: When, in seconds since 1970 (a requeue renews it); 0 if nobody knows.
            words: Its comment and name: a site's plug-in may overwrite one of them.
        """
        known = self.job in (None, job) and any(self.token in word for word in words)
        in_time = self.random or not submitted or submitted >= self.at - CLOCKS_S
        return known and in_time


@dataclass(frozen=True, slots=True)
class Queued:
    """One array task as squeue lists it.

    Attributes:
        state: In Slurm's words, e.g. ``PENDING``.
        reason: Why it waits or how it ended; ``None`` in Slurm's words if nobody knows.
        node: Where it runs or ran; empty if it never did.
        submitted: When, in seconds since 1970; a requeue renews it.
        name: Of its job.
        comment: Of its job.
    """

    job: str
    index: int
    state: str
    reason: str
    node: str
    submitted: int = 0
    name: str = ""
    comment: str = ""

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
        start: As Slurm writes it, in UTC.
        submitted: When, in seconds since 1970; a requeue renews it.
    """

    job: str
    index: int
    state: str
    exit_code: str
    node: str
    elapsed_s: int
    gpus: int
    start: str
    submitted: int = 0


def own_environment() -> dict[str, str]:
    """Return this process's variables without those that change what Slurm's commands answer.

    ``SQUEUE_PARTITION`` hides jobs, ``SLURM_CLUSTERS`` asks another cluster. Times are in UTC.
    """
    ours = ("SLURM_CONF", "SLURM_CONF_SERVER")
    theirs = ("SLURM_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SBATCH_")
    kept = {k: v for k, v in os.environ.items() if k in ours or not k.startswith(theirs)}
    return kept | {"TZ": "UTC"}


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
            command, capture_output=True, text=True, timeout=timeout_s, check=False,
            env=own_environment(),
        )  # fmt: skip
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


def list_queued(jobs: Collection[str], uid: int, cluster: str = "") -> list[Queued]:
    """Return the array tasks of *jobs* that are queued or have lately ended, in one query.

    Args:
        jobs: Ids of jobs of one user on one cluster.
        uid: The user's number.
        cluster: Its name; empty means the one that this machine belongs to.

    Raises:
        Unreachable: No controller answers.
    """
    if not jobs:
        return []
    listed = ["-j", ",".join(sorted(jobs))]
    try:
        return parse_queue(ask([*_SQUEUE, "-r", "-u", str(uid), *listed, *_on(cluster)]))
    except Unreachable:
        raise
    except SlurmError as error:  # where one job is asked for, and Slurm has forgotten it
        if "invalid job id" in str(error).lower():
            return []
        raise


def list_jobs(uid: int, cluster: str = "") -> list[Queued]:
    """Return all of a user's jobs, an array as one line: to find one whose id is not known.

    Raises:
        Unreachable: No controller answers.
    """
    return parse_queue(ask([*_SQUEUE, "-u", str(uid), *_on(cluster)]))


_SQUEUE = ("squeue", "-h", "-a", "-t", "all", "-o",
           _SEPARATOR.join(["%F", "%K", "%T", "%N", "%V", "%j", "%k", "%r"]))  # fmt: skip


def _on(cluster: str) -> list[str]:
    return ["-M", cluster] if cluster else []


def parse_queue(text: str) -> list[Queued]:
    """Return the array tasks that squeue printed; a job that is no array has index 0."""
    rows = []
    for line in text.splitlines():
        parts = line.split(_SEPARATOR, 7)
        if len(parts) == 8:
            job, index, state, node, submitted, name, comment, reason = parts
            rows.append(
                Queued(job, int(index) if index.isdigit() else 0, state, reason, node,
                       durations.since_1970(submitted), name, comment)
            )  # fmt: skip
    return rows


def list_attempts(jobs: Iterable[JobIdentity]) -> list[Accounted]:
    """Return every attempt of the array tasks of *jobs*, oldest first, in one query a cluster.

    Raises:
        Unreachable: There is no accounting here, or it does not answer.
    """
    attempts: list[Accounted] = []
    fields = "JobID,State,ExitCode,NodeList,ElapsedRaw,AllocTRES,Start,Submit"
    for asked, at in questions_of_accounting(jobs):
        rows = parse_accounting(ask(["sacct", "-X", "-D", "-n", "-P", "-o", fields, *asked]))
        # of an earlier job of the same id
        attempts += [r for r in rows if not r.submitted or r.submitted >= at[r.job]]
    return attempts


def questions_of_accounting(
    jobs: Iterable[JobIdentity],
) -> Iterator[tuple[list[str], dict[str, int]]]:
    """Yield what sacct is asked of *jobs*: one question for each user and cluster.

    Each is its arguments, and job id → the earliest time that it can have been submitted at, in
    seconds since 1970.
    """
    for (uid, cluster), mine in by_user_and_cluster(jobs).items():
        at = {job.job: job.at - CLOCKS_S for job in mine if job.job}
        if at:
            since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(max(0, min(at.values()))))
            yield ["-u", str(uid), "-S", since, "-j", ",".join(sorted(at)), *_on(cluster)], at


def by_user_and_cluster(jobs: Iterable[JobIdentity]) -> dict[tuple[int, str], list[JobIdentity]]:
    """Return (user's number, cluster) → the jobs that one query asks for."""
    grouped: dict[tuple[int, str], list[JobIdentity]] = {}
    for job in jobs:
        uid = os.getuid() if job.uid is None else job.uid
        grouped.setdefault((uid, job.cluster), []).append(job)
    return grouped


def parse_accounting(text: str) -> list[Accounted]:
    """Return the attempts that ``sacct -X -D -n -P`` printed, oldest first."""
    found = []
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != 8:
            continue
        job, _, index = parts[0].partition("_")
        if not index.isdigit():  # 12_[3-7]: not started yet
            continue
        state, exit_code, node, elapsed, tres, start, submitted = parts[1:]
        gpus = sum(
            int(value)
            for name, _, value in (item.partition("=") for item in tres.split(","))
            if name == "gres/gpu" and value.isdigit()
        )
        # "CANCELLED by 0" names who cancelled
        kind = state.split()[0] if state else ""
        found.append(
            Accounted(job, int(index), kind, exit_code, node, int(elapsed or 0), gpus, start,
                      durations.since_1970(submitted))
        )  # fmt: skip
    return sorted(found, key=lambda row: (row.job, row.index, row.start))


def cancel(words: Sequence[str], cluster: str = "") -> None:
    """Cancel jobs (``12``), array tasks (``12_3``) or `ranges` of them.

    Raises:
        SlurmError: scancel fails.
    """
    for i in range(0, len(words), _WORDS):
        ask(["scancel", *_on(cluster), *words[i : i + _WORDS]])


_WORDS = 200
_PARTS = 100
"""So many words a call of scancel, and ranges a word: 20,000 tasks that lie apart are one call."""


def ranges(tasks: Iterable[str]) -> list[str]:
    """PURE: return jobs and array tasks in few words: ``12_[1-2,4]`` for 12_1, 12_2 and 12_4."""
    by_job: dict[str, set[int]] = {}
    whole: list[str] = []
    for task in tasks:
        job, _, index = task.partition("_")
        if index.isdigit():
            by_job.setdefault(job, set()).add(int(index))
        else:
            whole.append(task)
    words = list(dict.fromkeys(whole))
    for job, indices in by_job.items():
        parts = _parts(sorted(indices))
        cuts = (parts[i : i + _PARTS] for i in range(0, len(parts), _PARTS))
        named = (",".join(cut) for cut in cuts)
        words += [f"{job}_{name}" if name.isdigit() else f"{job}_[{name}]" for name in named]
    return words


def _parts(indices: Sequence[int]) -> list[str]:
    """Return ascending numbers as ``1-5`` or ``7``."""
    parts, first = [], None
    for here, following in zip(indices, [*indices[1:], None], strict=True):
        first = here if first is None else first
        if following != here + 1:
            parts.append(str(here) if first == here else f"{first}-{here}")
            first = None
    return parts
