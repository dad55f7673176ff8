"""What stands by for what fails: how it grows, what it costs, and how a budget is shared."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.store import RunDir
from jobs.executors.slurm.in_queue import QueuedTask, QueueState
from jobs.executors.slurm.room import Room
from jobs.executors.slurm.standby import Standby, _Places, gpu_hours, grown, is_followed, spent_h
from jobs.executors.slurm.submissions import Ledger, Submission, log_path
from jobs.planning import stages
from jobs.planning.stages import FINETUNE, TABLE
from slurm.limits import Limit
from slurm.partitions import Partition, parse_partitions
from slurm.profile import Resources, Retry

RETRY = Retry(times=3, mem_factor=1.5, time_factor=2.0, gpu_hours=50)
LINES = (
    "PartitionName=gpu Default=YES QoS=N/A MaxTime=1-00:00:00 TotalNodes=3 State=UP "
    "TRES=cpu=96,mem=3T,node=3,billing=96,gres/gpu=12,gres/gpu:a100=12\n"
    "PartitionName=cpu Default=NO QoS=N/A MaxTime=UNLIMITED TotalNodes=4 State=UP TRES=cpu=8,node=4"
)


def test_memory_and_time_grow_with_each_try_up_to_the_limit_of_the_partition():
    """10 GB become 15, 22.5 and 33.75; 400 minutes 800 and then the day that is allowed."""
    partitions = parse_partitions(LINES)
    tries = [grown(Resources(mem_gb=10.0, time_min=400), RETRY, k, partitions) for k in (1, 2, 3)]

    assert [t.mem_gb for t in tries] == [15.0, 22.5, 33.75]
    assert [t.time_min for t in tries] == [800, 1440, 1440]


def test_a_whole_nodes_memory_does_not_grow():
    """mem_gb = 0 asks for all that there is."""
    assert grown(Resources(mem_gb=0.0), RETRY, 1, {}) == Resources(mem_gb=0.0)


@pytest.mark.parametrize(
    ("asked", "hours"),
    [
        (Resources(gpus=2, time_min=90), 3.0),
        (Resources(gres="gpu:a100:4", time_min=60), 4.0),
        (Resources(options={"gpus-per-task": "a100:2"}, time_min=30), 1.0),
        (Resources(gpus=1, options={"exclusive": True}, time_min=60), 4.0),
        (Resources(partition="cpu", options={"exclusive": True}, time_min=60), 0.0),
        (Resources(time_min=600), 0.0),
    ],
)
def test_gpu_hours_count_typed_gpus_and_whole_nodes(asked: Resources, hours: float):
    """The node of three with 12 GPUs has four."""
    assert gpu_hours(asked, parse_partitions(LINES)) == hours


def test_all_but_reports_are_followed():
    """A report has nothing to do again."""
    followed = [stage.name for stage in TABLE if is_followed(stage)]

    assert followed == ["finetune", "generate", "score", "choose", "score_chosen"]


def test_a_stage_of_many_tasks_that_others_need_done_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
):
    """Slurm cannot be told to wait for one try of each of them."""
    many = replace(FINETUNE, one_task=False)
    monkeypatch.setattr(stages, "TABLE", (many, *TABLE[1:]))

    assert not is_followed(many)


@given(
    budget=st.floats(0, 500),
    arrays=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 4)), min_size=1, max_size=8),
    free=st.integers(0, 300),
)
def test_tries_never_take_more_than_the_budget_and_the_room(
    budget: float, arrays: list[tuple[int, int]], free: int
):
    """However the arrays are, and with no more array tasks than the array that they follow."""
    room = Room(range(len(arrays)), free, Limit("a limit", free))
    n_on_gpus = sum(gpus > 0 for _, gpus in arrays)
    retry = RETRY.model_copy(update={"gpu_hours": budget})
    standby = Standby(retry, budget, {}, len(arrays), n_on_gpus, [_Places(room, free)])
    taken_h, taken = 0.0, 0
    for i, (n, gpus) in enumerate(arrays):
        reserved = standby.follow(i, Resources(gpus=gpus, time_min=60), n)
        taken_h += sum(gpu_hours(t.given, {}) * t.n for t in reserved.tries)
        taken += sum(t.n for t in reserved.tries)
        assert all(1 <= t.n <= n for t in reserved.tries)
        assert bool(reserved.lacking) == (len(reserved.tries) < 3)

    assert taken_h <= budget + 1e-9
    assert taken <= free


def test_an_array_that_has_room_and_budget_is_followed_by_as_many_array_tasks():
    """Three tries of 2 + 4 + 8 GPU-hours for each of three array tasks."""
    standby = Standby(RETRY, 42.0, {}, 1, 1)
    reserved = standby.follow(0, Resources(gpus=1, time_min=60, mem_gb=8.0), 3)

    assert [t.n for t in reserved.tries] == [3, 3, 3]
    assert standby.gpu_h == 0
    assert reserved.lacking == ""


def test_partitions_tell_their_longest_time_limit_and_the_gpus_of_a_node():
    """UNLIMITED is no limit; where no GPUs are counted, there are none."""
    found = parse_partitions(LINES)

    assert (found["gpu"].max_min, found["gpu"].node_gpus) == (1440, 4)
    assert (found["cpu"].max_min, found["cpu"].node_gpus) == (None, 0)
    assert parse_partitions("PartitionName=a State=UP") == {"a": Partition("a")}


def test_a_budget_has_spent_what_is_reserved_and_what_was_used(tmp_path: Path):
    """Two GPUs, three hours: one waits, one used an hour, one was never needed."""
    run = RunDir(tmp_path)
    tried = Submission(
        "0002-generate-m", "generate", "m", 3, ((0,), (1,), (2,)), "0001.json", (),
        after_not_ok=("7",), retry=1, asked={"gpus": 2, "time_min": 180}, job="8",
    )  # fmt: skip
    first = Submission(
        "0001-generate-m", "generate", "m", 3, ((0,), (1,), (2,)), "0001.json", (),
        asked={"gpus": 2, "time_min": 120}, job="7",
    )  # fmt: skip
    log = log_path(run, tried.name, 1)
    log.parent.mkdir(parents=True)
    ended = 'event: {"event": "ended", "at": 4600, "code": 0}\n'
    log.write_text('event: {"event": "started", "at": 1000}\n' + ended)
    waits = (QueuedTask(tried, 0, "PENDING"),)

    assert spent_h(QueueState(Ledger(run), (first, tried), waits), {}) == 6.0 + 2.0
    assert spent_h(QueueState(Ledger(run), (first, tried), ()), {}) == 2.0
