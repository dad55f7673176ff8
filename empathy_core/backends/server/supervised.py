"""A program that lives no longer than this process, with all that it starts: see ``supervisor``."""

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

log = logging.getLogger(__name__)

MARK = "EMPATHY_SERVER"
"""Variable in the environment of a program and all that it starts; its value tells two apart."""

UNTOUCHED = {"SPT_NOENV": "1"}
"""Keeps setproctitle, which vLLM uses, from writing a title over the environment in /proc."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_PATIENCE_S = 75
"""How long after the grace the supervisor may take; a little more than its ``STUCK_S``."""


class Supervised:
    """One start of a program under a supervisor.

    Attributes:
        pid: Process id of the program; null before it has started.
        refusal: Why it could not be started; null if it could.
        code: How its first process ended by itself, as ``Popen.returncode``; null if it did not.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path, grace_s: float
    ) -> None:
        """Start *command* with exactly this environment; what it prints is appended to *output*.

        Neither stands in the arguments or the environment of the supervisor: it hears of them
        through a pipe.
        """
        self.pid: int | None = None
        self.refusal: OSError | None = None
        self.code: int | None = None
        self._mark, self._grace_s = secrets.token_hex(16), grace_s
        self._ended, self._gone = threading.Event(), threading.Event()
        with output.open("ab") as file:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,  # what ends the task's group must not end it
            )
        threading.Thread(target=self._listen, args=[self._supervisor.stdout], daemon=True).start()
        order = {
            "command": list(command),
            "environment": {**environment, **UNTOUCHED, MARK: self._mark},
            "grace_s": grace_s,
        }
        self._order_pipe = self._supervisor.stdin
        with suppress(OSError):  # the supervisor is dead, which is heard on the other pipe
            self._write(json.dumps(order).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        if self._order_pipe is not None:
            self._order_pipe.write(data)
            self._order_pipe.flush()

    def is_alive(self) -> bool:
        """Tell whether the program runs, or is about to."""
        return not self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the program has ended, and tell whether it has."""
        return self._ended.wait(timeout_s)

    def close(self) -> None:
        """End the program and all that it started; return when nothing is left of it."""
        with suppress(OSError):
            if self._order_pipe is not None:
                self._order_pipe.close()
        if not self._gone.wait(self._grace_s + _PATIENCE_S):
            log.warning("the supervisor %d does not answer; it is ended", self._supervisor.pid)
            self._supervisor.kill()
            kill_marked(self._mark)
        self._supervisor.wait()
        if self._supervisor.stdout is not None and self._gone.is_set():
            self._supervisor.stdout.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        """Hear what the supervisors say until both are dead; do their work if they have not."""
        cleared = False
        for line in pipe:
            event = json.loads(line)
            cleared = cleared or event["event"] == "gone"
            self._hear(event)
        if not cleared:
            kill_marked(self._mark)
        self._ended.set()
        self._gone.set()

    def _hear(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "started":
                self.pid = event["pid"]
            case "refused":
                self.refusal = OSError(event["errno"], event["strerror"])
                self._ended.set()
            case "ended":
                self.code = event["code"]
                self._ended.set()


def kill_marked(mark: str) -> None:
    """Kill all processes that have *mark* in their environment, until there is none."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := list(marked(mark))) and time.monotonic() < deadline:
        for process in found:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def marked(mark: str) -> Iterator[int]:
    """Yield the living processes of this user that have *mark* in their environment."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # ended, or another user's
                # that of a zombie is empty
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
