"""Whether a run has room for what is to be written, asked beforehand."""

from collections.abc import Sequence
from pathlib import Path

from empathy_core.store import RunDir
from jobs.planning.plan import Plan, Task
from jobs.planning.quotas import Space, room
from jobs.planning.stages import GENERATE, SCORE
from jobs.planning.sweep import Planned

ANSWER_BYTES = 4096
"""Of one answer, in its journal and its result file, generously."""


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


def warnings(planned: Planned, run: RunDir) -> list[str]:
    """Return what there is too little of for a run, with what to do."""
    answering = [task for task in planned.tasks if task.stage == GENERATE.name]
    plan, size = planned.plan, GENERATE.size
    n_rows = size(plan, planned.progress, answering) if size and answering else 0
    return lacking(run.root, needed(plan, planned.tasks, n_rows), room(run.root))


def lacking(folder: Path, wanted: Space, left: Space) -> list[str]:
    """PURE: return what there is too little of, with what to do."""
    found = []
    if left.files is not None and left.files < (wanted.files or 0):
        found.append(
            f"{folder} has room for {left.files:,} more files, and about {wanted.files:,} will "
            "be written: free some, use fewer shards, or choose another --runs"
        )
    if left.bytes_ is not None and left.bytes_ < (wanted.bytes_ or 0):
        found.append(
            f"{folder} has room for {left.bytes_ / 2**30:.2f} GB more, and up to "
            f"{(wanted.bytes_ or 0) / 2**30:.2f} GB will be written: free some, or choose another "
            "--runs"
        )
    return found
