"""Many result files of finished conditions become few, once nothing of the run is in the queue."""

import logging

from empathy_core import store
from empathy_core.errors import EmpathyError
from empathy_core.store import RunDir
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
        for condition in plan.conditions:
            if _has_many(run, plan, condition):
                _compact(run, plan, condition)
    except (EmpathyError, SlurmError, OSError) as error:
        log.warning("result files are not compacted: %s", error)
    except Exception:  # the report is written: nothing that happens here may fail it
        log.exception("result files are not compacted")


def _has_many(run: RunDir, plan: Plan, condition: Condition) -> bool:
    scores = (run.scores(metric.key, condition.id) for metric in plan.metrics)
    return any(map(store.can_compact, (run.generations(condition.id), *scores)))


def _compact(run: RunDir, plan: Plan, condition: Condition) -> None:
    """Compact one condition, while no sweep can plan or submit anything."""
    with run.lock():
        queued = read_queue_state(run).queued
        if any(not stage_of(task.submission.stage).renewed for task in queued):
            log.info("result files are not compacted: other jobs of the run are in the queue")
            return
        progress = read_when_asked(run, plan)
        if not _complete(plan, progress, condition):
            return
        data = plan.data_digest
        adapter = adapters_of(plan, progress.trained).get(condition.id)
        n_less = store.compact(
            run.generations(condition.id), answer_tags(condition.id, data, adapter)
        )
        for metric in plan.metrics:
            tags = score_tags(condition.id, data, metric.signature)
            n_less += store.compact(run.scores(metric.key, condition.id), tags)
        log.info("%s: %d result files fewer", condition.id, n_less)


def _complete(plan: Plan, progress: RunProgress, condition: Condition) -> bool:
    """Tell whether every answer is there, and scored under every metric."""
    answers = progress.generated[condition.id].blocks
    if condition.id not in plan.imported and set(answers) != set(plan.blocks):
        return False
    return all(
        progress.scored[metric.key, condition.id].blocks.get(unit) == digest
        for metric in plan.metrics
        for unit, digest in progress.inputs_of(metric, condition.id).items()
    )
