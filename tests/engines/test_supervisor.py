"""Whatever is killed, and whenever: no process of a server is left, nor one that supervises it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines.conftest import ROOT
from tests.engines.families import kill, left_of, roles, writing_to

KILLS = {
    "task": ("task",),
    "task by SIGTERM": ("task",),
    "server": ("server",),
    "outer supervisor": ("outer",),
    "inner supervisor": ("inner",),
    "both supervisors": ("outer", "inner"),
    "task and outer supervisor": ("task", "outer"),
    "task and inner supervisor": ("inner", "task"),
    "server and task": ("server", "task"),
    "server and both supervisors": ("server", "inner", "outer"),
}
MOMENTS_S = (0.1, 0.25, 0.4, 0.6, None)
"""After the start of the task's process; the last once the server answers."""


def _start_task(log: Path, *faults: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engines.task", str(log), *faults],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _said(task: subprocess.Popen[str]) -> str:
    return (task.stdout.readline() if task.stdout else "").strip()


@pytest.mark.parametrize("kills", KILLS)
def test_nothing_is_left_whatever_is_killed(kills: str, tmp_path: Path):
    """Five kills each: four at moments during the start, and one of a server that answers."""
    chance = random.Random(kills)
    for number, moment_s in enumerate(MOMENTS_S):
        log = tmp_path / f"{number}.txt"
        task = _start_task(log, *(["stubborn"] if number % 2 else []))
        if moment_s is None:
            assert _said(task) == "ready"
        else:
            time.sleep(moment_s * chance.uniform(0.8, 1.2))
        named = {"task": task.pid, **roles(log)}
        # before there is a supervisor or a server, the task
        targets = [role for role in KILLS[kills] if role in named] or ["task"]
        for role in targets:
            kill(named[role], signal.SIGTERM if "SIGTERM" in kills else signal.SIGKILL)
        if moment_s is None and "task" not in targets:
            assert _said(task) == "ended"

        assert left_of(log) == {}, (kills, moment_s)
        kill(task.pid)
        task.wait()
        if task.stdout:
            task.stdout.close()


def test_a_fork_that_holds_the_pipe_keeps_nothing_alive(tmp_path: Path):
    """A process that was forked from the task, and outlives it, does not stand for it."""
    log = tmp_path / "log.txt"
    code = f"""
import os, time
from pathlib import Path
from tests.engines import task
from empathy_core.backends.server.process import ServerLaunch, ServerProcess
import sys
command = (sys.executable, "-IS", task.FAMILY, "{{port}}", "{{served_name}}")
server = ServerProcess(ServerLaunch("family", command, {{}}, Path({str(log)!r})), grace_s=0.3)
server.start()
fork = os.fork()
if fork:
    print(fork, flush=True)
time.sleep(600)
"""
    task = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    fork = int(_said(task))
    assert len(writing_to(log)) == 6  # two supervisors, the server and its three
    try:
        kill(task.pid)
        task.wait()

        assert left_of(log) == {}
        assert Path(f"/proc/{fork}").exists()
    finally:
        kill(fork)
        if task.stdout:
            task.stdout.close()


def test_a_family_is_found_before_it_is_ended(tmp_path: Path):
    """What the other tests find nothing of is there while the server runs."""
    log = tmp_path / "log.txt"
    task = _start_task(log, "stubborn")
    assert _said(task) == "ready"
    found, named = writing_to(log), roles(log)
    sessions = {os.getsid(process) for process in found}
    kill(task.pid)
    task.wait()
    if task.stdout:
        task.stdout.close()

    assert set(named) == {"outer", "inner", "server"}
    assert len(found) == 6
    assert len(sessions) == 5  # only one child is in the server's own
    assert left_of(log) == {}


def test_shared_memory_of_a_killed_server_is_removed(tmp_path: Path):
    """A node's memory that no process has any more would be lost until it is started anew."""
    log = tmp_path / "log.txt"
    task = _start_task(log, "stubborn", "shares")
    assert _said(task) == "ready"
    shared = Path(f"/dev/shm/family-{roles(log)['server']}")
    assert shared.exists()
    kill(task.pid)
    task.wait()
    if task.stdout:
        task.stdout.close()

    assert left_of(log) == {}
    assert not shared.exists()


def test_the_supervisor_ends_where_it_is_told_nothing():
    """A task that dies before it has said what to start leaves no supervisor."""
    from empathy_core.backends.server import supervisor

    done = subprocess.run(
        [sys.executable, "-IS", supervisor.__file__], input=b'{"command"', timeout=300, check=False
    )

    assert done.returncode == 0


def test_a_server_that_dies_at_once_is_missed():
    """Dead before its start returns: its end is told, and nobody waits for it for ever."""
    folder = ROOT / "empathy_core" / "backends" / "server"
    code = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(folder)!r})
import supervisor

class Slow(subprocess.Popen):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        time.sleep(0.3)

subprocess.Popen = Slow
order = {{"command": ["false"], "environment": dict(os.environ), "grace_s": 0.1}}
supervisor.be_inner(order, os.getppid(), supervisor.Ending())
"""
    held = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert held.wait(timeout=300) == 0
    finally:
        held.kill()
    said, _ = held.communicate()

    assert '"ended", "code": 1' in said
