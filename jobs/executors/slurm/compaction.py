"""Many result files of finished conditions become few, once nothing of the run is in the queue."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from empathy_core.errors import EmpathyError
from empathy_core.store import RunDir, compacting
from empathy_core.store.compacting import Compacted, Stamps
from empathy_core.types import Condition
from jobs.executors.slurm.in_queue import read_queue_state
from jobs.planning.plan import Plan
from jobs.planning.progress import (
    RunProgress,
    adapters_of,
    answer_tags,
    read_when_asked,
    score_tags,
)
from jobs.planning.stages import stage_of
from slurm.queue import SlurmError

log = logging.getLogger(__name__)


def compact_finished(run: RunDir, plan: Plan) -> None:
    """Make few files of the many of each complete condition; whatever stands against it is logged.

    The report job calls it. Tasks in the queue could look for the files, and add some: where there
    are any besides reports, or nobody can say, everything stays as it is.
    """
    try:
        many = [condition for condition in plan.conditions if _has_many(run, plan, condition)]
        if many and _only_reports(run):
            for condition in many:
                _compact(run, plan, condition)
    except (EmpathyError, SlurmError, OSError) as error:
        log.warning("result files are not compacted: %s", error)
    except Exception:  # the report is written: nothing that happens here may fail it
        log.exception("result files are not compacted")


def _has_many(run: RunDir, plan: Plan, condition: Condition) -> bool:
    return any(map(compacting.can_compact, _folders(run, plan, condition)))


def _folders(run: RunDir, plan: Plan, condition: Condition) -> list[Path]:
    scores = [run.scores(metric.key, condition.id) for metric in plan.metrics]
    return [run.generations(condition.id), *scores]


def _only_reports(run: RunDir) -> bool:
    """Tell whether nothing of a run is in the queue but reports."""
    queued = read_queue_state(run).queued
    if any(not stage_of(task.submission.stage).renewed for task in queued):
        log.info("result files are not compacted: other jobs of the run are in the queue")
        return False
    return True


def _compact(run: RunDir, plan: Plan, condition: Condition) -> None:
    """Compact one condition.

    New files are made while everybody may go on; they get their names, and old ones go, while no
    sweep can plan or submit anything, if nothing has changed and nothing was submitted meanwhile.
    """
    folders = _folders(run, plan, condition)
    before = compacting.stamps(folders)
    progress = read_when_asked(run, plan)
    if not _complete(plan, progress, condition):
        return
    with ExitStack() as made:
        new = list(_prepared(run, plan, condition, progress, made))
        with run.lock():
            if not new or not _only_reports(run):
                return
            if compacting.stamps(folders) != before:
                log.info("%s is not compacted: its files have changed meanwhile", condition.id)
                return
            old: Stamps = {path: stamp for one in new for path, stamp in one.put().items()}
            there = {k: v for k, v in compacting.stamps(folders).items() if k not in old}
    n_less = len(old)
    while old:
        time.sleep(PAUSE_S)  # whoever waits for the lock takes it now
        with run.lock():
            old = compacting.remove(old, there, HELD_S)
    log.info("%s: %d result files fewer", condition.id, n_less)


HELD_S, PAUSE_S = 1.0, 0.2
"""How long nobody can plan while old files are removed, and the time in between, in seconds."""


def _prepared(
    run: RunDir, plan: Plan, condition: Condition, progress: RunProgress, made: ExitStack
) -> Iterator[Compacted]:
    """Yield the new files of each folder; *made* removes at its end those without a name."""
    data = plan.data_digest
    adapter = adapters_of(plan, progress.trained).get(condition.id)
    tags = [answer_tags(condition.id, data, adapter)]
    tags += [score_tags(condition.id, data, metric.signature) for metric in plan.metrics]
    for folder, of_folder in zip(_folders(run, plan, condition), tags, strict=True):
        if new := compacting.prepare(folder, of_folder):
            made.callback(new.drop)
            yield new


def _complete(plan: Plan, progress: RunProgress, condition: Condition) -> bool:
    """Tell whether every answer is there, and scored under every metric."""
    answers = progress.generated[condition.id].blocks
    if condition.id not in plan.not_generated and set(answers) != set(plan.blocks):
        return False
    return all(
        progress.scored[metric.key, condition.id].blocks.get(unit) == digest
        for metric in plan.metrics
        for unit, digest in progress.inputs_of(metric, condition.id).items()
    )
