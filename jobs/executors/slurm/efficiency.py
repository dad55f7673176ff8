"""What a run's array tasks used against what they were given, per stage and model."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from empathy_core.metrics import judge_group
from empathy_core.store import RunDir
from jobs.executors.slurm.failing_nodes import all_array_tasks
from jobs.executors.slurm.history import attempts
from jobs.executors.slurm.inspect import ArrayTask, Inspected, read_log
from jobs.planning.pilot import measured
from jobs.planning.plan import Plan
from jobs.planning.stages import FINETUNE, GENERATE, SCORE, stage_of
from slurm.queue import SlurmError
from slurm.usage import Usage, list_usage

T = TypeVar("T", int, float)

ROOM = 1.25
"""What is proposed, as a multiple of the most that was used."""

SHORT = 1.5
"""What is proposed where it ran out, as a multiple of what it had."""


@dataclass(frozen=True)
class Efficiency:
    """One stage of one model, score group, or the report.

    Of what is asked for, the most that any of its array tasks was given; of what is used, the most
    that any of them used.

    Attributes:
        n: Array tasks that began.
        mem_gb_asked: 0 means all of a node's; null where another option says it.
        mem_gb_used: By Slurm's accounting or the process's own account; null if neither tells.
        min_asked: Time limit, in minutes.
        min_used: All attempts of one array task together, in minutes.
        cpu_share: Time of processors over time times processors; null where nobody measures.
        gpu_share: Most use of GPUs, as a share of all that one array task had; null likewise.
        gpu_gb_used: Memory of GPUs; null likewise.
        gpu_h_used: GPUs times time of all attempts.
        gpu_h_wasted: That of attempts that ended before they had finished a block.
        table: Of a configuration, where its resources stand: ``models.llama.slurm``.
        fits_mem_gb: What would do; null if it is not known.
        fits_min: Likewise, in minutes.
    """

    stage: str
    key: str
    n: int
    mem_gb_asked: float | None
    mem_gb_used: float | None
    min_asked: int | None
    min_used: float
    cpu_share: float | None
    gpu_share: float | None
    gpu_gb_used: float | None
    gpu_h_used: float
    gpu_h_wasted: float
    table: str
    fits_mem_gb: float | None
    fits_min: int | None


@dataclass(frozen=True)
class TaskUse:
    """One array task.

    Attributes:
        attempts: Each one's seconds, and whether it finished anything.
        kinds: How its attempts ended.
        usage: What the accounting tells of it.
    """

    task: ArrayTask
    attempts: Sequence[tuple[float, bool]]
    kinds: Sequence[str]
    usage: Sequence[Usage] = ()

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return sum(seconds for seconds, _ in self.attempts)


def read_efficiency(run: RunDir, plan: Plan, inspected: Inspected) -> list[Efficiency]:
    """Return a line for each stage and key of which an array task began, in one query of sacct."""
    rows: dict[tuple[str, int], list[Usage]] = {}
    for row in _usage(inspected):
        rows.setdefault((row.job, row.index), []).append(row)
    groups: dict[tuple[str, str], list[TaskUse]] = {}
    for task in all_array_tasks(inspected):
        read = measure(task, rows.get((task.submission.job or "", task.index), ()), time.time())
        if read.attempts:
            groups.setdefault((task.submission.stage, task.submission.key), []).append(read)
    return [
        summarized(mine, _peaks(run, plan, *names), _table(plan, *names))
        for names, mine in groups.items()
    ]


def _usage(inspected: Inspected) -> list[Usage]:
    try:
        jobs = [s.identity(inspected.run) for s in inspected.submissions if s.job]
        return list_usage(jobs) if inspected.reached else []
    except SlurmError:
        return []


def measure(task: ArrayTask, usage: Sequence[Usage], now: float) -> TaskUse:
    """Return what is known of one array task: the accounting's times where it has them all."""
    told = [a for a in attempts(read_log(task.log), (), task.state) if a.start]
    ends = [a.end if a.kind != "running" else int(now) for a in told]
    spent = [
        (float(max(0, (end or a.start or 0) - (a.start or 0))), a.advanced)
        for a, end in zip(told, ends, strict=True)
    ]
    began = [row for row in usage if row.elapsed_s or row.cpu_s]
    if not spent:  # it never came to Python
        spent = [(float(row.elapsed_s), row.state == "COMPLETED") for row in began]
    elif len(began) == len(spent):
        spent = [
            (float(row.elapsed_s), advanced)
            for row, (_, advanced) in zip(began, spent, strict=True)
        ]
    kinds = [a.kind for a in told] + [row.state for row in began]
    return TaskUse(task, spent, kinds, usage)


def summarized(
    mine: Sequence[TaskUse], peaks: tuple[float | None, float | None], table: str
) -> Efficiency:
    """PURE: return the line of the array tasks of one stage and key.

    Args:
        mine: At least one.
        peaks: Memory and GPU memory by the processes' own account, in MB; null if not known.
        table: Where its resources stand.
    """
    first = mine[0].task.submission
    used = [row for read in mine for row in read.usage]
    memory = _gb(_most([*(row.rss_mb for row in used), peaks[0]]))
    gpu_memory = _gb(_most([*(row.gpu_mb for row in used), peaks[1]]))
    asked = [read.task.submission.asked for read in mine]
    minutes = max(read.seconds for read in mine) / 60
    gpu = _most(
        row.gpu_percent / 100 / read.task.submission.gpus
        for read in mine
        for row in read.usage
        if row.gpu_percent is not None and read.task.submission.gpus
    )
    return Efficiency(
        first.stage, first.key, len(mine), _most(a.get("mem_gb") for a in asked), _rounded(memory),
        _most(a.get("time_min") for a in asked), round(minutes, 2), _cpu_share(used), gpu,
        _rounded(gpu_memory), _gpu_h(mine, wasted=False), _gpu_h(mine, wasted=True), table,
        fits_memory(memory, _short(mine, "mem_gb", OUT_OF_MEMORY)),
        fits_time(minutes, _short(mine, "time_min", OUT_OF_TIME)),
    )  # fmt: skip


OUT_OF_MEMORY = ("out of memory", "OUT_OF_MEMORY")
OUT_OF_TIME = ("time limit, nothing finished", "no progress")


def _short(mine: Iterable[TaskUse], what: str, kinds: Sequence[str]) -> float:
    """Return the most that an array task had of what it ran out of; 0 if none did."""
    short = (m.task.submission.asked.get(what) for m in mine if set(kinds) & set(m.kinds))
    return _most(short) or 0.0


def fits_memory(used_gb: float | None, short_gb: float = 0.0) -> float | None:
    """PURE: return memory with some room, in GB; null if nobody measured.

    Args:
        used_gb: The most in use at once.
        short_gb: With so much, an array task ran out of it; 0 means that none did.
    """
    if used_gb is None and not short_gb:
        return None
    gb = max(ROOM * (used_gb or 0.0), SHORT * short_gb if short_gb >= (used_gb or 0.0) else 0.0)
    return float(math.ceil(round(gb, 6))) if gb > 2 else math.ceil(round(10 * gb, 6)) / 10


def fits_time(used_min: float, short_min: float = 0.0) -> int:
    """PURE: return a time limit with some room, in minutes, a multiple of five.

    Args:
        used_min: The longest that an array task ran.
        short_min: With so much, none of its blocks was finished; 0 means that there was no such.
    """
    return max(5, 5 * math.ceil(round(max(ROOM * used_min, SHORT * short_min), 6) / 5))


def _gpu_h(mine: Iterable[TaskUse], *, wasted: bool) -> float:
    seconds = sum(
        spent * read.task.submission.gpus
        for read in mine
        for number, (spent, advanced) in enumerate(read.attempts, 1)
        if not wasted or not (advanced or _goes_on(read, number))
    )
    return round(seconds / 3600, 3)


def _goes_on(read: TaskUse, number: int) -> bool:
    return number == len(read.attempts) and read.task.state not in (None, "PENDING")


def _cpu_share(used: Iterable[Usage]) -> float | None:
    known = [row for row in used if row.cpu_s and row.cpus and row.elapsed_s]
    had_s = sum(row.cpus * row.elapsed_s for row in known)
    return round(sum(row.cpu_s for row in known) / had_s, 3) if had_s else None


def _peaks(run: RunDir, plan: Plan, stage: str, key: str) -> tuple[float | None, float | None]:
    if stage != GENERATE.name:
        return None, None
    read = [m for c in plan.of_model(key) if (m := measured(run, c))]
    return _most(m.peak_mb or None for m in read), _most(m.gpu_peak_mb or None for m in read)


def _table(plan: Plan, stage: str, key: str) -> str:
    if stage == GENERATE.name and key in plan.config.get("models", ()):
        return f"models.{key}.slurm"
    families: Mapping[str, object] = plan.config.get("finetune") or {}
    if stage == FINETUNE.name and (family := plan.finetune(key).family) in families:
        return f"finetune.{family}.slurm"
    for name in plan.config.get("judges") or ():
        if stage == SCORE.name and key == judge_group(name):
            return f"judges.{name}.slurm"
    return f"slurm.{stage_of(stage).resources}"


def proposals(lines: Iterable[Efficiency]) -> dict[str, dict[str, float]]:
    """PURE: return table of a configuration → the keys that would fit all that it gives to."""
    tables: dict[str, dict[str, float]] = {}
    for line in lines:
        given = tables.setdefault(line.table, {})
        fits = (
            ("mem_gb", line.fits_mem_gb if line.mem_gb_asked else None),
            ("time_min", line.fits_min),
        )
        for name, value in fits:
            if value is not None:
                given[name] = max(value, given.get(name, 0))
    return {table: given for table, given in tables.items() if given}


def _gb(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes / 1024


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _most(values: Iterable[T | None]) -> T | None:
    return max((value for value in values if value is not None), default=None)
