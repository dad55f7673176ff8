"""Run a module of the suite until it comes to a place where it has not been killed yet.

``python -m tests.killed -m jobs.launch …``: a place is a change of a file of the run (``open`` to
write, rename, mkdir, unlink, fsync, half of an ``os.write``) together with the calls of the suite
that lead to it. There the process records the place in the file that ``SUITE_TESTS_KILLED`` names,
and ends itself by SIGKILL. Its workers do the same.
"""

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

RECORD = "SUITE_TESTS_KILLED"
SUITE = tuple(
    f"{Path(__file__).parents[1] / name}/" for name in ("empathy_core", "jobs", "reports")
)
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link")


def places(record: Path) -> list[list[str]]:
    """Return the places of all kills: what was to be done, and the calls that led there."""
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


class Killer:
    """Ends this process at the first place that is new."""

    def __init__(self, record: Path) -> None:
        self._record, self._run = record, f"{record.parent}/runs/"
        self._known = {tuple(place) for place in places(record)}
        self._write, self._fsync = os.write, os.fsync

    def watch(self) -> None:
        """Look at every change of a file from now on."""
        os.write, os.fsync = self._half, self._before_fsync  # type: ignore[assignment]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writing or event in CHANGES) and self._of_run(arguments[0]):
            self._end_if_new(event)

    def _half(self, descriptor: int, data: bytes) -> int:
        if self._of_run(f"/proc/self/fd/{descriptor}"):
            self._end_if_new("os.write", lambda: self._write(descriptor, data[: len(data) // 2]))
        return self._write(descriptor, data)

    def _before_fsync(self, descriptor: int) -> None:
        if self._of_run(f"/proc/self/fd/{descriptor}"):
            self._end_if_new("os.fsync")
        self._fsync(descriptor)

    def _of_run(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        text = os.path.realpath(path)
        return f"{text}/".startswith(self._run)

    def _end_if_new(self, event: str, last: Any = lambda: None) -> None:
        place = (event, *_calls())
        if place in self._known:
            return
        line = (json.dumps(place) + "\n").encode()
        record = os.open(self._record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._write(record, line)
        last()
        os.kill(os.getpid(), signal.SIGKILL)


def _calls() -> list[str]:
    """Return function and line of each call of the suite, innermost first."""
    found, frame = [], sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(SUITE):
            found.append(f"{Path(code.co_filename).stem}.{code.co_name}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return found


def main() -> None:
    """Be ``python -m`` of the arguments, and so for this process's own workers."""
    record = Path(os.environ[RECORD])
    program = record.with_name("python-killed")
    if not program.exists():
        new = program.with_name(f"{program.name}.{os.getpid()}")
        new.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.killed "$@"\n')
        new.chmod(0o755)
        new.rename(program)
    sys.executable = str(program)
    with record.with_name("pids").open("a") as pids:
        pids.write(f"{os.getpid()}\n")
    sys.argv = sys.argv[2:]
    Killer(record).watch()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
