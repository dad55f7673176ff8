"""One task of an array job: ``python -m jobs.executors.slurm.array_task <submission folder>``.

It does its tasks one after the other; a task that fails does not stop the next. All it says
goes to its log, the events in lines that ``status`` and ``explain`` read.
"""

import logging
import os
import sys
import time
import traceback
from pathlib import Path

from empathy_core.errors import EmpathyError, RunMismatch
from empathy_core.store import RunDir
from jobs.executors.failures import BadNode, NoProgress, classified
from jobs.executors.notify import notify
from jobs.executors.slurm.compaction import compact_finished
from jobs.executors.slurm.history import restarts_without_progress
from jobs.executors.slurm.inspect import read_log
from jobs.executors.slurm.packing import TaskBundle
from jobs.executors.slurm.submissions import Submission, log_path, read_submission
from jobs.executors.slurm.used import record_used
from jobs.executors.worker import do_task
from jobs.planning.plan import Plan, Task
from jobs.planning.plan_file import read_plan
from jobs.planning.progress import read_when_asked
from jobs.planning.provenance import versions
from jobs.planning.stages import stage_of
from jobs.stages.logs import log_progress
from jobs.stages.protocol import Progress, Saved
from slurm.events import emit_event
from slurm.job_environment import Signals, current
from slurm.profile import Profile
from slurm.script import LIMITS

log = logging.getLogger("jobs.executors.slurm.array_task")


def main(folder: str) -> int:
    """Do the tasks of this bundle and return the exit code."""
    log_progress()
    job, path = current(), Path(folder)
    emit_event(
        "started", job=job.job, index=job.index, node=job.node, restart=job.restarts,
        pid=os.getpid(),
    )  # fmt: skip
    counter = Advances()
    limit_s, warning_s = map(int, os.environ.get(LIMITS, "3600 90").split())
    counter.signals = Signals(job, counter.advanced, limit_s, warning_s)
    try:
        submission = read_submission(path)
        run = RunDir(path.parents[1])
        plan = read_plan(run.root / "plans" / submission.plan)
        check_progress(read_log(log_path(run, path.name, job.index)), _max_restarts(plan))
        check_versions(plan)
        tasks = _needed(run, plan, submission, submission.bundles[job.index])
        if tasks:
            check_gpu(plan, submission)
    except (EmpathyError, BadNode) as error:
        counter.signals.wait_out()
        return _failed("start", error)
    is_last = stage_of(submission.stage).renewed  # the last job of a run
    if is_last:
        record_used(run, plan)
    code = max((_do(run, plan, task, counter) for task in tasks), default=0)
    if is_last:
        compact_finished(run, plan)
    emit_event("ended", code=code)
    if is_last:
        notify(run, plan, code)
    return code


def _needed(run: RunDir, plan: Plan, submission: Submission, tasks: TaskBundle) -> list[Task]:
    """Return the tasks to do: at a retry, what others have done meanwhile is left out."""
    if not submission.retry:
        return list(tasks)
    stage, progress = stage_of(submission.stage), read_when_asked(run, plan)
    needed = [task for task in tasks if not stage.done(plan, progress, task)]
    log.info("retry %d: %d of %d tasks are to be done", submission.retry, len(needed), len(tasks))
    return needed


class Advances:
    """Knows whether this attempt has finished anything that the next one need not do again."""

    signals: Signals | None = None
    _kept = False

    def add(self, progress: Progress) -> bool:
        """Take note; answer whether the work is to save its state, since a warning came."""
        if progress.kept and not self._kept:
            self._kept = True
            emit_event("advanced")
        if self.signals and progress.kept:
            self.signals.progressed()
        return bool(self.signals and self.signals.soon)

    def advanced(self) -> bool:
        """Tell whether it has."""
        return self._kept


def _do(run: RunDir, plan: Plan, task: Task, counter: Advances) -> int:
    started = time.monotonic()
    log.info("%s", task.id)
    if counter.signals:
        counter.signals.deferred = stage_of(task.stage).saves_first
    try:
        _until_done(run, plan, task, counter)
    except Exception as error:  # the boundary of a task: the next one may still succeed
        if counter.signals:
            counter.signals.wait_out()
        return _failed(task.id, error)
    emit_event("done", task=task.id, seconds=round(time.monotonic() - started, 1))
    return 0


def _until_done(run: RunDir, plan: Plan, task: Task, counter: Advances) -> None:
    """Do a task; where it saved its state because of a warning, ask Slurm to run it again."""
    while True:
        try:
            return do_task(run, plan, task, counter.add)
        except Saved:
            if counter.signals:
                counter.signals.ask()  # returns only if Slurm refused: then it goes on here


def _failed(task: str, error: Exception) -> int:
    known = isinstance(error, EmpathyError)
    log.error("%s", error if known else "".join(traceback.format_exception(error)))
    details = classified(error)
    details["message"] = details["message"][:2000]
    emit_event("failed", task=task, **details)
    return int(details["code"])


def _max_restarts(plan: Plan) -> int:
    return int(dict(plan.config.get("slurm") or {}).get("max_restarts", Profile().max_restarts))


def check_progress(log: str, most: int) -> None:
    """Refuse to begin again what has begun *most* times since it last finished anything.

    Args:
        log: The array task's whole log, this attempt's beginning included.
        most: So many attempts more are allowed after one without progress.

    Raises:
        NoProgress: There were more.
    """
    n = restarts_without_progress(log)
    if n >= most:
        msg = (
            f"Slurm has run this array task again {n} times, and no attempt finished a block or "
            "wrote a checkpoint: another would fare no better. Expected progress within an "
            "attempt: give it more time (retry --time), set a smaller evaluate.block_size or, for "
            "a fine-tune, checkpoint_steps, or raise slurm.max_restarts"
        )
        raise NoProgress(msg)


def check_gpu(plan: Plan, submission: Submission) -> None:
    """Refuse to do a GPU's work on a processor, for hours, because the node's GPU is broken.

    Raises:
        BadNode: GPUs were given, torch is built for them, and it cannot use one.
    """
    if not submission.gpus or not stage_of(submission.stage).needs_gpu(plan, submission.key):
        return
    import torch

    if torch.version.cuda and not torch.cuda.is_available():
        msg = (
            f"no usable GPU on this node: {submission.gpus} asked for, and CUDA_VISIBLE_DEVICES "
            f"is '{os.environ.get('CUDA_VISIBLE_DEVICES', '')}'; expected one that torch can use; "
            "avoid this node: explain prints the command"
        )
        raise BadNode(msg)


def check_versions(plan: Plan) -> None:
    """Refuse to compute with other packages than the plan was made with.

    Raises:
        RunMismatch: Naming each package that differs.
    """
    now = versions()
    differ = [
        f"{name.removeprefix('version of ')} {now[name]} (planned: {plan.provenance[name]})"
        for name in now
        if plan.provenance.get(name, now[name]) != now[name]
    ]
    if differ:
        msg = (
            f"this node finds other packages than the plan's: {', '.join(differ)}; expected the "
            "launcher's; point 'slurm.python' or 'slurm.setup' at its environment, or sweep again"
        )
        raise RunMismatch(msg)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
