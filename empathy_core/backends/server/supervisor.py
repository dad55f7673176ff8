"""Ends a server and everything that it started, once its array task is gone; a program of its own.

``python -I -S supervisor.py`` reads one line of JSON from standard input (``command``,
``environment``, ``grace_s``), starts the server, and then only waits. Standard error is the
server's log; standard output tells the task what happened, one JSON object a line: ``started``
(``pid``), ``refused`` (the server cannot be started: ``errno``, ``strerror``), ``ended`` (``code``
as ``Popen.returncode``), ``gone`` (no process of the server is left).

The server is ended when standard input ends. It does so however the task ends: the kernel closes
it, be it by kill -9, a crash or a lack of memory. The server is also ended when the parent process
changes (where a fork of the task still holds the pipe), on SIGTERM, and when its own first process
ends. Then all its processes get SIGTERM, and those left after ``grace_s`` get SIGKILL, until
nothing is left.

Two processes do this, one inside the other: task → outer → inner → server. Both are subreapers
(``PR_SET_CHILD_SUBREAPER``): the kernel gives them the orphans among their descendants, so that
processes in sessions of their own are found as well. (vLLM's engine and workers are such, and
outlive its first process.) If either supervisor is killed, the other ends the server. If both are,
the kernel kills the server's first process (``PR_SET_PDEATHSIG``), and the task, to which the
output has ended without ``gone``, kills the rest: see ``supervised``. If the task is killed in the
same moment as both, what runs in sessions of its own is left; only Slurm's cgroups help there.

Knows nothing of the suite and imports only the standard library: it starts in milliseconds.
"""

# ruff: noqa: PTH108, PTH116, PTH123, PTH208 - importing pathlib takes as long as all of this

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""From ``linux/prctl.h``."""

LOOK_S = 0.3
"""How often the parent process is looked at, in seconds."""

STUCK_S = 60
"""How long SIGKILL is repeated: what survives it waits inside the kernel, and dies when it can."""

IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""What terminals and Slurm send to all processes of a task as a warning; the server inherits it."""


class Ending:
    """Whether SIGTERM has come."""

    asked = False

    def ask(self, *_: object) -> None:
        """Handle SIGTERM."""
        self.asked = True


def prctl(option: int, value: int) -> None:
    """Set a property of this process; where the kernel has none, the other means remain."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def tell(event: str, **details: Any) -> None:
    """Tell the task, which may be gone."""
    with suppress(OSError):
        os.write(1, (json.dumps({"event": event, **details}) + "\n").encode())


# ---------------------------------------------------------------------------- processes


def descendants() -> list[int]:
    """Return all living processes below this one; as a subreaper it has their orphans too."""
    children: dict[int, list[int]] = {}
    dead = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # the program's name stands in brackets, and may hold brackets and blanks itself
                fields = file.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
                if fields[0] in (b"Z", b"X") and int(fields[17]) <= 1:  # no other thread lives
                    dead.add(int(name))
    found, ahead = [], [os.getpid()]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return [process for process in found if process not in dead]


def reap() -> dict[int, int]:
    """Return the exit statuses of the children that have ended since the last call."""
    ended = {}
    with suppress(ChildProcessError):
        while (status := os.waitpid(-1, os.WNOHANG))[0]:
            ended[status[0]] = os.waitstatus_to_exitcode(status[1])
    return ended


def send(number: signal.Signals, processes: list[int]) -> None:
    """Send a signal to each of these processes, as far as it is still there."""
    for process in processes:
        with suppress(OSError):
            os.kill(process, number)


SHARED_MEMORY = "/dev/shm/"  # noqa: S108  no file is made there
"""Where shared memory has names: it takes the node's memory until it is removed."""

BEGAN = time.time()


def shared_memory(processes: list[int]) -> set[str]:
    """Return the shared memory of these processes that was changed since this one began."""
    found = set()
    for process in processes:
        with suppress(OSError), open(f"/proc/{process}/maps") as file:
            found |= {line.split(maxsplit=5)[5].strip() for line in file if SHARED_MEMORY in line}
    return {path for path in found if changed(path)}


def changed(path: str) -> bool:
    """Tell whether a name in shared memory was changed since this process began."""
    with suppress(OSError):
        return path.startswith(SHARED_MEMORY) and os.stat(path).st_ctime >= BEGAN
    return False


def remove(left: set[str]) -> None:
    """Remove shared memory that no process has any more."""
    if left:
        living = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        for path in left - shared_memory(living):
            with suppress(OSError):
                os.unlink(path)


def end_all(grace_s: float) -> None:
    """End all descendants: SIGTERM first, so that they can tidy up, and SIGKILL at last.

    Shared memory that they have not removed is removed at the end.
    """
    family = descendants()
    left = shared_memory(family)
    send(signal.SIGTERM, family)
    deadline = time.monotonic() + grace_s
    while descendants() and time.monotonic() < deadline:
        time.sleep(0.02)
        reap()
    kill_all()
    remove(left)


def kill_all() -> None:
    """Kill all descendants, and those that they leave behind in turn."""
    deadline, pause_s = time.monotonic() + STUCK_S, 0.01
    while (left := descendants()) and time.monotonic() < deadline:
        send(signal.SIGKILL, left)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 1)
        reap()


# ---------------------------------------------------------------------------- waiting


def wait(parent: int, child: int, ending: Ending) -> int | None:
    """Return when the server is to be ended: the exit status of *child* if that ended by itself."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that it wakes the select below
    while not ending.asked and os.getppid() == parent:
        ended = reap()
        if child in ended:
            return ended[child]
        ready, _, _ = select.select([0, readable], [], [], LOOK_S)
        if 0 in ready and not os.read(0, 4096):
            return None
        if readable in ready:
            os.read(readable, 4096)
    return None


def start_server(order: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start the server in a session of its own, and return its process.

    Whoever lets go of that object asks for the exit status: a server that has died by then would
    be reaped there, and never be missed.

    Raises:
        OSError: The command cannot be started.
    """
    supervisor = os.getpid()

    def die_with_supervisor() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before the kernel was asked
            os._exit(1)

    return subprocess.Popen(
        order["command"],
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,
        preexec_fn=die_with_supervisor,  # noqa: PLW1509 - this process has one thread
    )


def be_inner(order: dict[str, Any], parent: int, ending: Ending) -> None:
    """Start the server, and end it in time."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setsid()  # what is sent to the group of the outer one does not meet this one
    try:
        server = start_server(order)
    except OSError as error:
        tell("refused", errno=error.errno, strerror=error.strerror)
        return
    tell("started", pid=server.pid)
    code = wait(parent, server.pid, ending)
    if code is not None:
        tell("ended", code=code)
    end_all(order["grace_s"])


def be_outer(order: dict[str, Any], parent: int, ending: Ending) -> None:
    """Leave the server to the inner process, and end both if that dies or does not end it."""
    own_id = os.getpid()
    child = os.fork()
    if child == 0:
        as_subreaper(lambda: be_inner(order, own_id, ending))
    if wait(parent, child, ending) is None:
        send(signal.SIGTERM, [child])
        deadline = time.monotonic() + order["grace_s"] + 5
        while child not in reap() and time.monotonic() < deadline:
            time.sleep(0.02)
    kill_all()


def as_subreaper(work: Callable[[], None]) -> None:
    """Do *work*, after which no process of the server is left, and end this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        work()
    except Exception:
        traceback.print_exc()  # into the server's log
    finally:
        kill_all()
        tell("gone")
        os._exit(0)


def main() -> None:
    """Supervise one server."""
    parent, ending = os.getppid(), Ending()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ending.ask)
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return  # the task ended before it had said what to start
        line += part
    order = json.loads(line)
    as_subreaper(lambda: be_outer(order, parent, ending))


if __name__ == "__main__":
    main()
