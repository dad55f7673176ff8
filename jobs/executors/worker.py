"""One worker process of the local executor: takes tasks on stdin, answers in events on stdout.

In: a ``Task`` a line, as JSON. Out: events (``jobs.stages.events``) ``progress`` (rows, tokens),
``done`` and ``failed`` (message, code). End of input means that the parent is gone or has no more
work; the worker then ends at once: all that is finished is on disk.
"""

import json
import logging
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from queue import Queue

from empathy_core import store
from empathy_core.errors import EmpathyError
from empathy_core.store import RunDir
from jobs.executors.failures import NotDone, classified
from jobs.planning.plan import Plan, Task
from jobs.planning.plan_file import read_plan
from jobs.planning.progress import read_own_answers, read_when_asked
from jobs.planning.stages import Stage, stage_of
from jobs.stages.events import EventSender
from jobs.stages.logs import log_progress
from jobs.stages.protocol import Listener

log = logging.getLogger("jobs.executors.worker")


def do_task(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Do one task; what an executor of any kind calls.

    Raises:
        NotDone: The body ended well, and the stage does not find its results.
    """
    stage = stage_of(task.stage)
    before = _answers(run, stage)
    stage.body()(run, plan, task, listen)
    if stage.renewed or _is_done(run, plan, task, stage):
        return
    if _answers(run, stage) == before:  # else another process has added what this one did not see
        msg = (
            f"it ended without an error, but stage '{stage.name}' does not find its "
            f"results: expected them in {run.root}; read the log; in a stage of your own, compare "
            "the files that its body writes with its entry 'done' in jobs/planning/stages.py"
        )
        raise NotDone(msg)


def _is_done(run: RunDir, plan: Plan, task: Task, stage: Stage) -> bool:
    """Tell whether nothing of a task is left to do; of answers its own files mostly say enough."""
    if stage.answers:
        own = read_own_answers(run, plan, task.shard, task.n_shards)
        if stage.done(plan, own, task):
            return True
    return stage.done(plan, read_when_asked(run, plan), task)


def _answers(run: RunDir, stage: Stage) -> frozenset[tuple[Path, int]]:
    """Return the files of answers and when they were written, where *stage* does what it finds."""
    if not stage.takes_what_is_there:
        return frozenset()
    return frozenset((p, p.stat().st_mtime_ns) for p in run.root.glob("generations/*/*.parquet"))


def main(root: str, plan_path: str) -> None:
    """Serve tasks until the input ends."""
    parent = EventSender(os.dup(1))
    os.dup2(2, 1)  # what a library prints belongs into the log
    run, plan = RunDir(Path(root)), read_plan(Path(plan_path))
    if store.is_shared(run.root):  # for what libraries write
        os.umask(store.umask_in(run.root))
    tasks: Queue[Task] = Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        _serve(run, plan, tasks.get(), parent)


def _listen(tasks: Queue[Task]) -> None:
    for line in sys.stdin:
        tasks.put(Task(**json.loads(line)))
    os._exit(0)


def _serve(run: RunDir, plan: Plan, task: Task, parent: EventSender) -> None:
    try:
        _log_to(run.log(task.id))
        log.info("started %s in process %d", task.id, os.getpid())
        with run.task_lock(task.id):  # another sweep of this machine may have it at hand
            do_task(run, plan, task, lambda done: parent.send("progress", **asdict(done)))
    except EmpathyError as error:
        log.error("%s", error)  # noqa: TRY400  the message says it all; a traceback would bury it
        parent.send("failed", **classified(error))
    except Exception as error:  # the boundary of a task: the next one may still succeed
        log.exception("failed")
        parent.send("failed", **classified(error))
    else:
        log.info("done")
        parent.send("done")


def _log_to(path: Path) -> None:
    """Send logging, and whatever libraries write to the standard streams, to *path*."""
    store.make_dir(path.parent)
    with store.disk_errors(path):
        descriptor = store.open_file(path, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    log_progress()


if __name__ == "__main__":
    main(*sys.argv[1:])
