"""Inside an element: which one this is, and what Slurm's signals mean.

USR2 comes before the time limit: the element asks Slurm to run it again. TERM comes before
preemption and after scancel: it is noted and waited out, since an element that ended by itself
within its grace time would not be requeued. Neither is needed for safety: what is finished is
on the disk already.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slurm.script import EVENT


@dataclass(frozen=True, slots=True)
class Here:
    """The element that this process is.

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


def here() -> Here:
    """Return the element that this process is, from Slurm's variables.

    Raises:
        KeyError: This is no element of an array.
    """
    env = os.environ
    return Here(
        env["SLURM_ARRAY_JOB_ID"],
        int(env["SLURM_ARRAY_TASK_ID"]),
        env.get("SLURMD_NODENAME") or socket.gethostname(),
        int(env.get("SLURM_RESTART_COUNT", "0")),
    )


def tell(event: str, **details: Any) -> None:
    """Write one event into the log, in a line of its own that ``read_events`` finds."""
    line = EVENT + json.dumps({"event": event, "at": round(time.time()), **details})
    # begins a line of its own, whatever was written before
    os.write(1, f"\n{line}\n".encode())


def read_events(text: str) -> list[dict[str, Any]]:
    """Return the events of a log, in order; a torn line is skipped."""
    found = []
    for line in text.splitlines():
        if line.startswith(EVENT):
            try:
                event = dict(json.loads(line.removeprefix(EVENT)))
            except (ValueError, TypeError):
                continue
            found += [event] if "event" in event else []
    return found


EARLY_S = 65
"""Slurm sends a warning up to a minute earlier than it was asked to (man sbatch, --signal)."""


class Signals:
    """Handles USR2 and TERM from now on.

    Args:
        element: This one.
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
        self, element: Here, advanced: Callable[[], bool], limit_s: float, warning_s: float
    ) -> None:
        self._element, self._advanced = element, advanced
        self._begun = time.monotonic()
        self._limit_from_s = limit_s - warning_s - EARLY_S
        self._waiting = False
        self.deferred = self.soon = False
        signal.signal(signal.SIGUSR2, self._warned)
        signal.signal(signal.SIGTERM, self._told)

    def progressed(self) -> None:
        """Ask to be run again, if the warning came before anything was finished."""
        if self._waiting:
            self._ask(limit=True)

    def _warned(self, *_: object) -> None:
        # a warning long before the limit comes from preemption, or from a person
        limit = time.monotonic() - self._begun >= self._limit_from_s
        if self.deferred:
            self.soon = True
            tell("warned", limit=limit, requeued=False, advanced=self._advanced(),
                 message="saving first")  # fmt: skip
        elif limit and not self._advanced():
            self._waiting = True
            tell("warned", limit=True, requeued=False, advanced=False,
                 message="nothing is finished yet: going on")  # fmt: skip
        else:
            self._ask(limit=limit)

    def ask(self) -> None:
        """Ask to be run again, after what was deferred is saved; returns only if refused."""
        self.soon = False
        self._ask(limit=time.monotonic() - self._begun >= self._limit_from_s)

    def _ask(self, *, limit: bool) -> None:
        self._waiting = False
        code, said = _requeue(self._element)
        tell("warned", limit=limit, requeued=not code, advanced=self._advanced(),
             message=said or "asked to be run again")  # fmt: skip
        if code == 0:
            time.sleep(3600)  # Slurm ends this process; ending first would end the element

    def _told(self, *_: object) -> None:
        tell("term", message="asked to end: preempted or cancelled")


def _requeue(element: Here) -> tuple[int, str]:
    try:
        done = subprocess.run(
            ["scontrol", "requeue", element.id],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stderr.strip()
