"""Finds the processes of a server in /proc, by other means than the suite does: their output."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.patience import until


def writing_to(log: Path) -> dict[int, str]:
    """Return process → command line of all that have *log* as their standard error.

    These are the supervisors, the server, and all that it started, wherever they are.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (folder / "fd" / "2").readlink() == log:
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                )
    return found


def roles(log: Path) -> dict[str, int]:
    """Return the processes that run of: outer and inner supervisor, server."""
    found = writing_to(log)
    supervisors = [process for process, line in found.items() if "supervisor.py" in line]
    named = {}
    for process in supervisors:
        named["inner" if parent(process) in supervisors else "outer"] = process
    for process, line in found.items():
        if "supervisor.py" not in line and parent(process) == named.get("inner", 0):
            named.setdefault("server", process)
    return named


def parent(process: int) -> int:
    """Return the parent of a process; 0 if it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{process}/stat").read_text()
        return int(text.rpartition(")")[2].split()[1])
    return 0


def kill(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, if the process is there."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def left_of(log: Path, patience_s: float = 120) -> dict[int, str]:
    """Return what is left after the time that it may take to end it all; best nothing."""
    until(lambda: not writing_to(log), patience_s)
    return writing_to(log)
