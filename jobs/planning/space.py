"""Whether the file system of a run has room for what is to be written, asked beforehand."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.store import RunDir
from jobs.planning.plan import Plan, Task
from jobs.planning.stages import GENERATE, SCORE
from jobs.planning.sweep import Planned

ANSWER_BYTES = 4096
"""Of one answer, in its journal and its result file, generously."""


@dataclass(frozen=True)
class Space:
    """Room on a file system, or what is needed of it.

    Attributes:
        files: Files and folders; null where the file system sets no number.
        bytes_: Of 8 bits.
    """

    files: int | None
    bytes_: int


def needed(plan: Plan, tasks: Sequence[Task], n_rows: int) -> Space:
    """PURE: return what these tasks will write, about; the weights of adapters are not counted.

    A log for each task, two files for each condition of a shard of answers, one for each metric and
    condition of a shard of scores.

    Args:
        plan: What the tasks are of.
        tasks: Those to do.
        n_rows: Answers that they make.
    """
    files = len(tasks)
    for task in tasks:
        if task.stage == GENERATE.name:
            files += 2 * len(plan.of_model(task.key))
        elif task.stage == SCORE.name:
            files += len(plan.conditions) * len(plan.of_group(task.key))
    return Space(files, n_rows * ANSWER_BYTES)


def free(folder: Path) -> Space:
    """Return what a user may still write; of quotas, those that the file system itself reports."""
    found = os.statvfs(folder)
    files = found.f_favail if found.f_files else None
    return Space(files, found.f_bavail * found.f_frsize)


def warnings(planned: Planned, run: RunDir) -> list[str]:
    """Return what the run's file system has too little of, with what to do."""
    answering = [task for task in planned.tasks if task.stage == GENERATE.name]
    plan, size = planned.plan, GENERATE.size
    n_rows = size(plan, planned.progress, answering) if size and answering else 0
    return lacking(run.root, needed(plan, planned.tasks, n_rows), free(run.root))


def lacking(folder: Path, wanted: Space, room: Space) -> list[str]:
    """PURE: return what there is too little of, with what to do."""
    found = []
    if room.files is not None and room.files < (wanted.files or 0):
        found.append(
            f"{folder} has room for {room.files:,} more files, and about {wanted.files:,} will "
            "be written: free some, use fewer shards, or choose another --runs"
        )
    if room.bytes_ < wanted.bytes_:
        found.append(
            f"{folder} has {room.bytes_ / 2**30:.2f} GB free, and up to "
            f"{wanted.bytes_ / 2**30:.2f} GB will be written: free some, or choose another --runs"
        )
    return found
