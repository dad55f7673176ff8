"""One worker process of the local executor: takes tasks on stdin, tells of them on stdout.

Protocol, one JSON object a line. In: a ``Task``. Out: ``{"event": "progress", "rows", "tokens"}``,
``{"event": "done"}``, ``{"event": "failed", "message", "exit_code"}``. End of input means that the
parent is gone or has no more work; the worker then ends at once: all that is finished is on disk.
"""

import json
import logging
import os
import sys
import threading
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import TextIO

from empathy_core import store
from empathy_core.errors import EmpathyError
from empathy_core.store import RunDir
from jobs.planning.plan import Plan, Task
from jobs.planning.plan_file import read_plan
from jobs.stages.protocol import Listener, Progress

log = logging.getLogger("jobs.executors.worker")


def do(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Do one task; what an executor of any kind calls."""
    stage = import_module(f"jobs.stages.{task.stage}")  # what other stages need is not imported
    getattr(stage, task.stage)(run, plan, task, listen)


class Talker:
    """Writes events to the parent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, **event: object) -> None:
        """Write one event; if nobody listens any more, end."""
        try:
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(1)

    def progress(self, progress: Progress) -> None:
        """Tell of rows done."""
        self.say(event="progress", **asdict(progress))


def main(root: str, plan_path: str) -> None:
    """Serve tasks until the input ends."""
    parent = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not reach the protocol
    run, plan, talker = RunDir(Path(root)), read_plan(Path(plan_path)), Talker(parent)
    tasks: Queue[Task] = Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        _serve(run, plan, tasks.get(), talker)


def _listen(tasks: Queue[Task]) -> None:
    for line in sys.stdin:
        tasks.put(Task(**json.loads(line)))
    os._exit(0)


def _serve(run: RunDir, plan: Plan, task: Task, talker: Talker) -> None:
    try:
        _log_to(run.log(task.id))
        log.info("started %s in process %d", task.id, os.getpid())
        with run.task_lock(task.id):  # another sweep of this machine may have it at hand
            do(run, plan, task, talker.progress)
    except EmpathyError as error:
        log.error("%s", error)  # noqa: TRY400  the message says it all; a traceback would bury it
        talker.say(event="failed", message=str(error), exit_code=error.exit_code)
    except Exception as error:  # the boundary of a task: the next one may still succeed
        log.exception("failed")
        last = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
        talker.say(event="failed", message=last, exit_code=1)
    else:
        log.info("done")
        talker.say(event="done")


def _log_to(path: Path) -> None:
    """Send logging, and whatever libraries write to the standard streams, to *path*."""
    store.make_dir(path.parent)
    with store.disk_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, store.MODE_FILE)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
