"""Array tasks that stand by: submitted beforehand, they do again what fails, with more of all.

Nobody waits on the login node, and nodes often may not submit. So each array is followed by others
that Slurm starts only if it fails (``afternotok``), and removes if it does not. How much they may
cost is the run's budget of GPU-hours; it is reserved when they are submitted.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.executors.slurm.in_queue import QueueState
from jobs.executors.slurm.inspect import ArrayTask
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.progress import busy_s
from jobs.executors.slurm.room import Room
from jobs.executors.slurm.submissions import Submission, log_path
from jobs.planning import stages
from jobs.planning.stages import Stage, stage_of
from slurm.partitions import Partition, default_of
from slurm.profile import Resources, Retry


@dataclass(frozen=True)
class StandbyArray:
    """One array that stands by.

    Attributes:
        given: What each array task gets.
        n: Array tasks.
    """

    given: Resources
    n: int


@dataclass(frozen=True)
class Reserved:
    """What is to stand by for one array.

    Attributes:
        tries: Each is for what those before it failed to do.
        lacking: Why there are fewer than asked for; empty if there are not.
    """

    tries: Sequence[StandbyArray]
    lacking: str = ""


@dataclass
class _Places:
    """What arrays that stand by may still take of a `Room`."""

    room: Room
    left: int


@dataclass
class Standby:
    """What may still be submitted to stand by, dealt out fairly over the arrays to come.

    Attributes:
        gpu_h: GPU-hours that are left of the budget.
        partitions: Name → partition, for the GPUs of whole nodes and the longest time limit.
        n_arrays: Arrays to come that are followed.
        n_on_gpus: Those of them that have GPUs.
        places: What is left under each submit limit.
    """

    retry: Retry
    gpu_h: float
    partitions: Mapping[str, Partition] = field(default_factory=dict)
    n_arrays: int = 1
    n_on_gpus: int = 1
    places: Sequence[_Places] = ()

    def follow(self, group: int, given: Resources, n: int) -> Reserved:
        """Reserve what stands by for an array of *n* array tasks.

        An array that stands by has as many array tasks, or as few as fit into a fair share of what
        is left: each then does several tasks, of which most are done already.

        Args:
            group: Its place in the list of groups.
            given: What each of its array tasks gets.
            n: Array tasks.
        """
        tries = [grown(given, self.retry, k, self.partitions) for k in self._numbers()]
        hours = [gpu_hours(each, self.partitions) for each in tries]
        places = [p for p in self.places if group in p.room.groups]
        free = min((p.left for p in places), default=len(tries) * n * self.n_arrays)
        share, share_h = free // max(1, self.n_arrays), self.gpu_h / max(1, self.n_on_gpus)
        self.n_arrays -= 1
        self.n_on_gpus -= bool(hours[0])
        for times in reversed(self._numbers()):
            each_h = sum(hours[:times])
            size = min(n, share // times, math.floor(share_h / each_h) if each_h else n)
            if size > 0:
                self.gpu_h -= size * each_h
                for p in places:
                    p.left -= size * times
                break
        else:
            times, size = 0, 0
        why = "" if times == len(tries) else self._lacking(hours, share, share_h, places)
        return Reserved([StandbyArray(given, size) for given in tries[:times]], why)

    def _numbers(self) -> range:
        return range(1, self.retry.times + 1)

    def _lacking(
        self, hours: Sequence[float], share: int, share_h: float, places: Sequence[_Places]
    ) -> str:
        if share < len(hours):
            return f"no room in the queue ({'; '.join(p.room.words for p in places)})"
        return (
            f"one array task would take {sum(hours):.3g} GPU-hours in {len(hours)} tries, and its "
            f"share of what is left of slurm.retry.gpu_hours = {self.retry.gpu_hours:g} is "
            f"{share_h:.3g}"
        )


def is_followed(stage: Stage) -> bool:
    """Tell whether arrays of a stage are followed by some that stand by.

    Not where others begin only if several of its jobs end well: Slurm cannot be told to wait for
    one try of each.
    """
    waits_ok = (a.stage for other in stages.TABLE for a in other.after if a.how == "afterok")
    return not stage.renewed and (stage.one_task or stage.name not in waits_ok)


def grown(
    given: Resources, retry: Retry, number: int, partitions: Mapping[str, Partition]
) -> Resources:
    """PURE: return what an array task gets at a try: more memory, and more time.

    Args:
        given: What it got first; without memory (or all of a node's) or time these stay so.
        retry: By how much both grow each time.
        number: Of the try, from 1.
        partitions: Name → partition; none gives more time than it allows.
    """
    more: dict[str, object] = {}
    if given.mem_gb:
        more["mem_gb"] = round(given.mem_gb * retry.mem_factor**number, 3)
    if given.time_min:
        time_min = math.ceil(round(given.time_min * retry.time_factor**number, 6))
        longest = [p.max_min for p in _of(given, partitions) if p.max_min]
        more["time_min"] = max(given.time_min, min([time_min, *longest]))
    return given.model_copy(update=more)


def gpu_hours(given: Resources, partitions: Mapping[str, Partition]) -> float:
    """PURE: return GPUs times time limit of one array task, in hours; a whole node has all its."""
    gpus = given.n_gpus
    if given.options.get("exclusive") is True:
        gpus = max([gpus, *(p.node_gpus for p in _of(given, partitions))])
    return gpus * (given.time_min or 0) / 60


def _of(given: Resources, partitions: Mapping[str, Partition]) -> list[Partition]:
    names = (given.partition or default_of(partitions)).split(",")
    return [partitions[name] for name in names if name in partitions]


def spent_h(
    queue_state: QueueState, partitions: Mapping[str, Partition], now: float | None = None
) -> float:
    """Return the GPU-hours that tries took so far, and those that are reserved in the queue.

    What did not begin, and will not, costs nothing.
    """
    now = time.time() if now is None else now
    queued = {(task.submission.name, task.index) for task in queue_state.queued}
    total = 0.0
    for submission in queue_state.submissions:
        if not submission.retry:
            continue
        reserved = gpu_hours(submission.resources, partitions)
        limit_s = 60 * float(submission.asked.get("time_min") or 0)
        for index in range(len(submission.shards) if reserved else 0):
            if (submission.name, index) in queued:
                total += reserved
                continue
            log = log_path(queue_state.ledger.run, submission.name, index)
            used_s = busy_s(ArrayTask(submission, index, log), now)
            total += reserved * min(1, used_s / limit_s)
    return total


def read_standby(
    retry: Retry | None,
    resources: Sequence[Resources],
    dealt: Sequence[Sequence[TaskBundle]],
    rooms: Sequence[Room],
    partitions: Mapping[str, Partition],
    queue_state: QueueState,
) -> Standby | None:
    """Return what may stand by for these groups; null if nothing is tried again by itself.

    Args:
        retry: The budget, and how often; null means never.
        resources: What the array tasks of each group get.
        dealt: The array tasks of each group.
        rooms: What each submit limit allows.
        partitions: Name → partition.
        queue_state: What is in the queue, and was.
    """
    if retry is None:
        return None
    left_h = max(0.0, retry.gpu_hours - spent_h(queue_state, partitions))
    n_arrays = [_n_followed(bundles, queue_state.site.largest_array) for bundles in dealt]
    on_gpus = sum(n for n, given in zip(n_arrays, resources, strict=True) if given.n_gpus)
    places = [
        _Places(room, max(0, room.n - sum(len(dealt[i]) for i in room.groups))) for room in rooms
    ]
    return Standby(retry, left_h, partitions, sum(n_arrays), on_gpus, places)


def _n_followed(bundles: Sequence[TaskBundle], largest: int) -> int:
    """Return how many arrays of one group are followed by some that stand by."""
    if not bundles or not is_followed(stage_of(bundles[0][0].stage)):
        return 0
    return -(-len(bundles) // largest)


def words(submission: Submission) -> str:
    """PURE: return which try an array is and what it gets, for people; empty if it is none."""
    if not submission.retry:
        return ""
    given = submission.resources
    memory = f"{given.mem_gb:g} GB" if given.mem_gb else ""
    limit = f"{given.time_min} min" if given.time_min else ""
    shown = ", ".join(part for part in (memory, limit) if part)
    return f"retry {submission.retry}" + (f" ({shown})" if shown else "")
