"""The local executor: a bounded queue of worker processes over the same task code as Slurm's."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from queue import Empty, Queue

from empathy_core import store
from empathy_core.backends.gpus import list_gpus
from empathy_core.store import RunDir
from jobs.executors.local_history import record, record_start
from jobs.planning.plan import Task
from jobs.stages.events import received

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How one task ended.

    Attributes:
        message: One line that says what went wrong; empty if nothing did.
        exit_code: 2 for what the user must correct, 1 for other failures.
    """

    task: Task
    message: str
    log: Path
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        """Whether the task ended well."""
        return not self.message


@dataclass(frozen=True)
class Settings:
    """How many processes, and how many threads each; null shares the machine's cores."""

    workers: int = 1
    threads: int | None = None


Event = Callable[[int, int], None]
"""Called with (rows, tokens) whenever a worker has finished some."""


class LocalExecutor:
    """Runs tasks in worker processes, at most ``settings.workers`` at once.

    Workers are sessions of their own, so that Ctrl-C reaches this process alone; they end with
    it, however it ends, because their input does.
    """

    def __init__(
        self, run: RunDir, plan: Path, settings: Settings, *, every_gpu: bool = False
    ) -> None:
        """Take a run's plan; *every_gpu* gives each worker all GPUs rather than one."""
        self._command = [sys.executable, "-m", "jobs.executors.worker", str(run.root), str(plan)]
        self._run = run
        self._settings = settings
        self._processes: list[subprocess.Popen[str]] = []
        self._stopping = threading.Event()
        self._numbers = count()
        self._gpus = [] if every_gpu else list_gpus()

    def execute(self, tasks: Sequence[Task], on_progress: Event) -> list[Outcome]:
        """Do all tasks and return how each ended, in order of completion.

        Raises:
            KeyboardInterrupt: After the workers have been stopped; what they finished is on disk.
        """
        queue: Queue[Task] = Queue()
        for task in tasks:
            queue.put(task)
        outcomes: list[Outcome] = []
        n_workers = min(self._settings.workers, len(tasks))
        threads = [
            threading.Thread(target=self._serve, args=(queue, outcomes, on_progress), daemon=True)
            for _ in range(n_workers)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=0.2)
        except KeyboardInterrupt:
            self._stopping.set()
            raise
        finally:
            for process in self._processes:
                process.kill()
                process.wait()
        return outcomes

    def _serve(self, queue: Queue[Task], outcomes: list[Outcome], on_progress: Event) -> None:
        process = None
        number = next(self._numbers)
        while not self._stopping.is_set():
            try:
                task = queue.get_nowait()
            except Empty:
                break
            if process is None or process.poll() is not None:
                process = self._start(number)
            log_of_task = self._run.log(task.id)
            record_start(log_of_task)
            message, code, kind = self._do(process, task, on_progress)
            if self._stopping.is_set():
                break
            if message:
                record(log_of_task, "failed", task=task.id, message=message, code=code, kind=kind)
            else:
                record(log_of_task, "ended", code=0)
            outcomes.append(Outcome(task, message, log_of_task, code))

    def _start(self, number: int) -> subprocess.Popen[str]:
        path = store.make_dir(self._run.logs) / "workers.log"
        with store.disk_errors(path):
            descriptor = store.open_file(path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(descriptor, "a") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(self._settings) | _gpu(number, self._gpus),
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _do(
        self, process: subprocess.Popen[str], task: Task, on_progress: Event
    ) -> tuple[str, int, str]:
        """Have a worker do one task; return what went wrong, its exit code and its class."""
        if process.stdin is None or process.stdout is None:
            return "the worker has no pipe", 1, "exception"
        try:
            process.stdin.write(json.dumps(asdict(task)) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return (
                f"the worker could not start; see {self._run.logs / 'workers.log'}",
                1,
                "exception",
            )
        for event in received(process.stdout, log.debug):
            if event["event"] == "progress":
                on_progress(event["rows"], event["tokens"])
            elif event["event"] == "done":
                return "", 0, "done"
            else:
                return str(event["message"]), int(event["code"]), str(event["kind"])
        ended = process.wait()
        return _death(ended), 1, "killed" if ended < 0 else "exception"


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a worker: its share of the cores, and threads that sleep."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = str(settings.threads or max(1, (cores or 1) // settings.workers))
    suite = str(Path(__file__).resolve().parents[2])
    return os.environ | {
        # spinning threads on shared cores make torch up to a hundred times slower
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "POLARS_MAX_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [suite, os.environ.get("PYTHONPATH")])),
    }


def _gpu(number: int, available: Sequence[str]) -> dict[str, str]:
    """Return what gives worker *number* one GPU of its own; workers share if there are fewer."""
    return {"CUDA_VISIBLE_DEVICES": available[number % len(available)]} if available else {}


def _death(code: int) -> str:
    if code >= 0:
        return f"the worker ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the kernel does this when memory runs out" if name == "SIGKILL" else ""
    return f"the worker was ended by {name}{hint}"
