"""How a run's elements stand: per stage and model, from the files, the queue and the logs."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jobs.executors.slurm.inspect import Element, Inspected, accounting, history, read_log
from jobs.planning.plan import Plan, Task, finetune_tasks, generate_tasks
from jobs.planning.progress import Standing, to_score
from slurm.signals import read_events


@dataclass(frozen=True)
class StageLine:
    """One stage of one model, score group, or the report.

    Attributes:
        done: Tasks that are done, whoever did them.
        failed: Class of failure → tasks that are not done and not in the queue.
        waits: Why the queued ones wait, in Slurm's words → how many.
        gpu_h_asked: GPUs times time limit of every element submitted.
        gpu_h_used: GPUs times time between first and last word of each attempt.
    """

    stage: str
    key: str
    done: int
    running: int
    queued: int
    failed: Mapping[str, int] = field(default_factory=dict)
    waits: Mapping[str, int] = field(default_factory=dict)
    gpu_h_asked: float = 0.0
    gpu_h_used: float = 0.0


def failed_elements(
    plan: Plan, standing: Standing, found: Inspected, done: Collection[str] | None = None
) -> list[Element]:
    """Return the newest element of each task that is not done and not in the queue.

    Args:
        plan: What there is to do.
        standing: What is done.
        found: What was submitted.
        done: ``done_tasks``, where they are known already.
    """
    done = done_tasks(plan, standing) if done is None else done
    ended = {
        element.id: element
        for task, element in found.elements.items()
        if element.state is None and task not in done
    }
    # scoring and report do what there is: if answers are lacking, that is not their failure
    follower = ("score", "report")
    return [e for e in ended.values() if e.submission.stage not in follower or not _well(e)]


def _well(element: Element) -> bool:
    """Tell whether an element ended well by its own account."""
    events = read_events(read_log(element.log))
    return bool(events) and events[-1]["event"] == "ended" and events[-1]["code"] == 0


def done_tasks(plan: Plan, standing: Standing) -> set[str]:
    """Return the ids of the tasks of *plan*, all but the report, with nothing left to do."""
    lacking = {t.id for t in finetune_tasks(plan, standing.trained)}
    lacking |= {t.id for t in generate_tasks(plan, standing.done())}
    lacking |= {t.id for t in to_score(plan, standing, more_to_come=True)}
    return {task.id for task in every_task(plan)} - lacking


def every_task(plan: Plan) -> list[Task]:
    """Return all tasks of *plan*, done or not."""
    made = finetune_tasks(plan, ()) + generate_tasks(plan, {})
    n_shards = min(plan.score_shards, plan.n_units)
    groups = dict.fromkeys(metric.group for metric in plan.metrics)
    return made + [Task("score", g, s, n_shards) for g in groups for s in range(n_shards)]


def stage_lines(
    plan: Plan, standing: Standing, found: Inspected, now: float | None = None
) -> list[StageLine]:
    """Return a line for each stage and key that was submitted; none if nothing was."""
    if not found.submissions:
        return []
    done = done_tasks(plan, standing)
    failed = failed_elements(plan, standing, found, done) if found.reached else []
    kinds = {e.id: k for e, k in _kinds(failed, found)}
    of: dict[tuple[str, str], dict[str, Element]] = {
        (s.stage, s.key): {} for s in found.submissions
    }
    for task, element in found.elements.items():
        of[element.submission.stage, element.submission.key][task] = element
    return [_line(mine, done, kinds, found, now or time.time()) for mine in of.values() if mine]


def _kinds(elements: list[Element], found: Inspected) -> Iterable[tuple[Element, str]]:
    rows = accounting(elements, found) if elements else []
    for element in elements:
        yield element, history(element, rows)[-1].kind


def _line(
    mine: Mapping[str, Element],
    done: set[str],
    kinds: Mapping[str, str],
    found: Inspected,
    now: float,
) -> StageLine:
    """Return the line of the tasks of one stage and key: task id → its newest element."""
    first = next(iter(mine.values())).submission
    of = (first.stage, first.key)
    states = Counter[str]()
    failed, waits = Counter[str](), Counter[str]()
    for task, element in mine.items():
        kind = kinds.get(element.id, "")
        if task in done or (element.state is None and found.reached and not kind):
            states["done"] += 1
        elif element.state is None:
            failed[kind or "Slurm was not reached"] += 1
        elif element.state == "PENDING":
            states["queued"] += 1
            waits[element.reason] += 1
        else:
            states["running"] += 1
    ours = [s for s in found.submissions if (s.stage, s.key) == of and s.job]
    asked = sum(s.gpus * len(s.shards) * float(s.asked.get("time_min", 0)) for s in ours)
    used = _used_h(mine.values(), now) if asked else 0.0
    return StageLine(
        *of, states["done"], states["running"], states["queued"],
        dict(failed), dict(waits), round(asked / 60, 2), round(used, 2),
    )  # fmt: skip


def _used_h(elements: Iterable[Element], now: float) -> float:
    seconds = 0.0
    for element in {e.id: e for e in elements}.values():
        start = last = None
        for event in read_events(read_log(element.log)):
            if event["event"] == "started":
                seconds += (last - start) if start and last else 0
                start = last = event["at"]
            last = event["at"]
        if start:
            end = now if element.state == "RUNNING" else last
            seconds += max(0, end - start) * element.submission.gpus
    return seconds / 3600
