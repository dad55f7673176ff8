"""What of a run counts as failed on Slurm, from what was submitted and what is there."""

from collections.abc import Collection
from pathlib import Path

import pytest

from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from jobs.executors.slurm.inspect import ArrayTask, Inspected
from jobs.executors.slurm.progress import failed_array_tasks
from jobs.executors.slurm.submissions import Submission
from jobs.planning.plan import Plan, PlanNotes
from jobs.planning.progress import RunProgress, SoundPieces

PROMPT = Prompt("none", "none", "{context}", ())
PLAN = Plan(
    conditions=(Condition(ModelSpec("m", "M", "echo"), PROMPT, Decoding()),),
    data_digest="d", n_blocks=6, shards={"m": 2}, score_shards=1, overlong="error", metrics=(),
    notes=PlanNotes(),
)  # fmt: skip
"""Six blocks in two shards."""


def submitted(n_shards: int, *shards: int) -> Inspected:
    """Return what is known of one array that has left the queue."""
    made = Submission(
        "0001", "generate", "m", n_shards, tuple((s,) for s in shards), "0001.json", (), job="7"
    )
    array_tasks = [ArrayTask(made, i, Path("log")) for i in range(len(shards))]
    by_task = {task.id: one for one in array_tasks for task in one.tasks}
    return Inspected(RunDir(Path("nowhere")), True, "", (made,), by_task, {})


def answered(blocks: Collection[int]) -> RunProgress:
    """Return a run in which these blocks are answered."""
    pieces = {c.id: SoundPieces(dict.fromkeys(blocks, "d")) for c in PLAN.conditions}
    return RunProgress(RunDir(Path("nowhere")), pieces, {})


@pytest.mark.parametrize(("there", "n_failed"), [(range(6), 0), ((0, 1, 2, 4, 5), 1), ((3,), 0)])
def test_what_a_pilot_answered_is_no_failure_though_a_sweep_cuts_it_otherwise(
    there: Collection[int], n_failed: int
):
    """Its block, the fourth of six, is there or not; the shards of the sweep do not matter."""
    assert len(failed_array_tasks(PLAN, answered(there), submitted(6, 3))) == n_failed


def test_a_shard_of_the_sweep_that_lacks_a_block_has_failed():
    assert len(failed_array_tasks(PLAN, answered((0, 1, 3, 5)), submitted(2, 0, 1))) == 1
