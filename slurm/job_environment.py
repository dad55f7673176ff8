"""Inside an array task: which one this is, and what Slurm's signals mean.

USR2 comes before the time limit: the array task asks Slurm to run it again. TERM comes before
preemption and after scancel: it is noted and waited out, since an array task that ended by itself
within its grace time would not be requeued; what fails in that time does so because Slurm ends what
the array task has started. Neither is needed for safety: what is finished is on the disk already.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from slurm import durations
from slurm.events import emit_event
from slurm.queue import SlurmError, ask


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """The array task that this process is.

    Attributes:
        restarts: How often Slurm has run it before.
    """

    job: str
    index: int
    node: str
    restarts: int

    @property
    def id(self) -> str:
        """As Slurm writes it, e.g. ``12_3``."""
        return f"{self.job}_{self.index}"


def current() -> JobEnvironment:
    """Return the array task that this process is, from Slurm's variables.

    Raises:
        KeyError: Slurm did not start this process as part of an array job.
    """
    env = os.environ
    return JobEnvironment(
        env["SLURM_ARRAY_JOB_ID"],
        int(env["SLURM_ARRAY_TASK_ID"]),
        env.get("SLURMD_NODENAME") or socket.gethostname(),
        int(env.get("SLURM_RESTART_COUNT", "0")),
    )


EARLY_S = 65
"""Slurm sends a warning up to a minute earlier than it was asked to (man sbatch, --signal)."""


GRACE_S = 600.0
"""How long Slurm may take to end what it has told to end (``GraceTime``, ``KillWait``)."""


class Signals:
    """Handles USR2 and TERM from now on.

    Args:
        job: The array task that this process is.
        advanced: Whether this attempt has finished anything. If not, the next would fare no
            better at the time limit: it is asked for only once something is finished.
        limit_s: Time limit of an attempt, in seconds.
        warning_s: How long before it the warning was asked for.

    Attributes:
        deferred: Whether the work wants to save its state first: a warning then only sets
            ``soon``, and the work calls ``ask`` once it has saved.
        soon: Whether a warning came while deferred.
    """

    def __init__(
        self,
        job: JobEnvironment,
        advanced: Callable[[], bool],
        limit_s: float,
        warning_s: float,
    ) -> None:
        self._job, self._advanced = job, advanced
        self._begun = time.monotonic()
        self._warning_s = warning_s
        self._limit_from_s = limit_s - warning_s - EARLY_S
        self._waiting = False
        self._told_at: float | None = None
        self.deferred = self.soon = False
        signal.signal(signal.SIGUSR2, self._warned)
        signal.signal(signal.SIGTERM, self._told)

    def progressed(self) -> None:
        """Ask to be run again, if the warning came before anything was finished."""
        if self._waiting:
            self._ask(limit=True)

    def _warned(self, *_: object) -> None:
        # a warning long before the limit comes from preemption, or from a person
        limit = self._at_limit()
        if self.deferred:
            self.soon = True
            emit_event("warned", limit=limit, requeued=False, advanced=self._advanced(),
                 message="saving first")  # fmt: skip
        elif limit and not self._advanced():
            self._waiting = True
            emit_event("warned", limit=True, requeued=False, advanced=False,
                 message="nothing is finished yet: going on")  # fmt: skip
        else:
            self._ask(limit=limit)

    def ask(self) -> None:
        """Ask to be run again, after what was deferred is saved; returns only if refused."""
        self.soon = False
        self._ask(limit=self._at_limit())

    def _at_limit(self) -> bool:
        """Tell whether the time limit is near: by Slurm's own word, since it can be changed."""
        left_s = time_left_s(self._job)
        if left_s is None:
            return time.monotonic() - self._begun >= self._limit_from_s
        return left_s <= self._warning_s + EARLY_S

    def _ask(self, *, limit: bool) -> None:
        self._waiting = False
        code, said = _requeue(self._job)
        emit_event("warned", limit=limit, requeued=not code, advanced=self._advanced(),
             message=said or "asked to be run again")  # fmt: skip
        if code == 0:
            time.sleep(3600)  # Slurm ends this process; ending first would end the array task

    def wait_out(self, grace_s: float = GRACE_S) -> None:
        """Wait for the end, if Slurm has just told this process to end: what failed fails by that.

        Slurm tells every process of the array task, servers and training processes too, in
        whatever session they are. One that ended by itself now would have failed, and Slurm would
        not run it again.
        """
        if self._told_at is None:
            return
        left_s = grace_s - (time.monotonic() - self._told_at)
        if left_s > 0:
            emit_event("waiting", message="told to end, and so was what it had started")
            time.sleep(left_s)

    def _told(self, *_: object) -> None:
        self._told_at = time.monotonic()
        emit_event("term", message="asked to end: preempted or cancelled")


def time_left_s(job: JobEnvironment) -> int | None:
    """Return how long this attempt may still run, in seconds; null if nobody says."""
    try:
        text = ask(["squeue", "-h", "-j", job.id, "-o", "%L"], timeout_s=20).strip()
    except SlurmError:
        return None
    return durations.seconds(text)


def _requeue(job: JobEnvironment) -> tuple[int, str]:
    # Slurm obeys by ending every process of the step, this command too, which may not have heard
    # yet that it was obeyed: it must live until then.
    patient = ["sh", "-c", 'trap "" TERM; exec scontrol requeue "$1"', "requeue", job.id]
    try:
        done = subprocess.run(
            patient,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stderr.strip()
