"""What array tasks used, as the accounting has it: time, processors, memory, GPUs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from slurm import durations
from slurm.queue import JobIdentity, ask, questions_of_accounting

FIELDS = "JobID,State,ElapsedRaw,TotalCPU,AllocCPUS,MaxRSS,TRESUsageInMax,Submit"


@dataclass(frozen=True, slots=True)
class Usage:
    """One attempt of an array task; a requeued array task has several.

    Attributes:
        elapsed_s: How long it ran.
        cpu_s: Time of all its processors together, in seconds; 0 where the site does not measure.
        cpus: Allocated.
        rss_mb: Most memory in use at once; null where the site does not measure.
        gpu_percent: Most use of its GPUs at once, all together; null likewise.
        gpu_mb: Most memory of its GPUs; null likewise.
    """

    job: str
    index: int
    state: str
    elapsed_s: int
    cpu_s: float = 0.0
    cpus: int = 0
    rss_mb: float | None = None
    gpu_percent: float | None = None
    gpu_mb: float | None = None


def list_usage(jobs: Iterable[JobIdentity]) -> list[Usage]:
    """Return every attempt of the array tasks of *jobs* that has ended, oldest first.

    Raises:
        SlurmError: There is no accounting here, or it does not answer.
    """
    usage: list[Usage] = []
    for arguments, since in questions_of_accounting(jobs):
        text = ask(["sacct", "-D", "-n", "-P", "-o", FIELDS, *arguments])
        usage += parse_usage(text, since)
    return usage


def parse_usage(text: str, since: dict[str, int]) -> list[Usage]:
    """PURE: return the attempts that ``sacct -D -n -P`` printed, each with what its steps used.

    Args:
        text: A line for each attempt, and after it one for each of its steps.
        since: Job id → when it was submitted, in seconds since 1970; others of that id are not it.
    """
    found: list[Usage] = []
    taken = False
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != 8:
            continue
        name, _, step = parts[0].partition(".")
        if step:
            if taken:
                found[-1] = _with_step(found[-1], parts)
            continue
        attempt = _attempt(name, parts, since)
        taken = attempt is not None
        found += [attempt] if attempt else []
    return found


def _attempt(name: str, parts: Sequence[str], since: dict[str, int]) -> Usage | None:
    job, _, index = name.partition("_")
    state = parts[1].split()[0] if parts[1] else ""
    submitted = durations.since_1970(parts[7])
    if not index.isdigit() or state in ("PENDING", "RUNNING", "COMPLETING"):
        return None
    if submitted and submitted < since.get(job, 0):
        return None
    cpus = int(parts[4]) if parts[4].isdigit() else 0
    elapsed = int(parts[2]) if parts[2].isdigit() else 0
    return Usage(job, int(index), state, elapsed, durations.fraction_s(parts[3]), cpus)


def _with_step(attempt: Usage, parts: Sequence[str]) -> Usage:
    tres = dict(item.split("=", 1) for item in parts[6].split(",") if "=" in item)
    return replace(
        attempt,
        cpu_s=max(attempt.cpu_s, durations.fraction_s(parts[3])),
        rss_mb=_most(attempt.rss_mb, megabytes(parts[5])),
        gpu_percent=_most(attempt.gpu_percent, _number(tres.get("gres/gpuutil", ""))),
        gpu_mb=_most(attempt.gpu_mb, megabytes(tres.get("gres/gpumem", ""))),
    )


def megabytes(text: str) -> float | None:
    """PURE: return 512K, 1.5G or bytes in MB of 1024² bytes; null if it is no size."""
    size = re.fullmatch(r"([\d.]+)([KMGTP]?)", text)
    if not size:
        return None
    return float(size[1]) * 1024.0 ** (" KMGTP".index(size[2] or " ") - 2)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[\d.]+", text) else None


def _most(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
