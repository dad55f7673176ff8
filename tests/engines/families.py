"""Finds the processes of a server in /proc, by other means than the suite does: their output."""

import math
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
    inner = named.get("inner", 0)
    below = [p for p in found if p not in supervisors and parent(p) == inner]
    if below:  # orphans of the server, too; numbers of processes begin again at some time
        named["server"] = min(below, key=lambda process: begun(process) or math.inf)
    return named


def parent(process: int) -> int:
    """Return the parent of a process; 0 if it is gone."""
    return _in_stat(process, 1)


def begun(process: int) -> int:
    """Return when a process began, in ticks since the machine did; 0 if it is gone."""
    return _in_stat(process, 19)


def _in_stat(process: int, place: int) -> int:
    with suppress(OSError):
        text = Path(f"/proc/{process}/stat").read_text()
        return int(text.rpartition(")")[2].split()[place])
    return 0


def kill(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, if the process is there."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def left_of(log: Path, patience_s: float = 120) -> dict[int, str]:
    """Return what is left after the time that it may take to end it all; best nothing."""
    until(lambda: not writing_to(log), patience_s)
    return writing_to(log)
