"""Killed at any moment, a sweep goes on, and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.runs import ECHO, contents, environment, launch, write_config

N_KILLS = 50


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def test_fifty_kills_leave_the_same_bytes(tmp_path: Path):
    """Launcher or worker, killed -9 fifty times at random moments; then one more sweep."""
    slow = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 0.004 }")
    config = str(write_config(tmp_path, slow))
    calm = launch("sweep", "--config", config, "--name", "calm", cwd=tmp_path)
    assert calm.returncode == 0, calm.stderr
    started = time.monotonic()
    again = launch("sweep", "--config", config, "--name", "calm", cwd=tmp_path)
    idle_s = time.monotonic() - started
    assert again.returncode == 0, again.stderr
    seed, n_killed = random.Random(7), 0
    command = [sys.executable, "-m", "jobs.launch", "sweep", "--config", config, "--name", "wild"]
    while n_killed < N_KILLS:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seed.uniform(0.2, 1.2) * idle_s)
        workers = _children(process.pid)
        victim = seed.choice(workers) if workers and seed.random() < 0.3 else process.pid
        try:
            os.kill(victim, signal.SIGKILL)
            n_killed += 1
        except ProcessLookupError:
            pass
        if victim != process.pid:
            time.sleep(seed.uniform(0, 0.3))
            process.kill()
        process.wait()
        _all_gone(workers)
    (tmp_path / "runs/wild/examples/.examples.parquet.0f0f0f0f.tmp").write_bytes(b"half")

    final = launch("sweep", "--config", config, "--name", "wild", cwd=tmp_path)

    assert final.returncode == 0, final.stderr
    assert contents(tmp_path / "runs" / "wild") == contents(tmp_path / "runs" / "calm")


def _all_gone(workers: list[int]) -> None:
    """Workers die with their parent."""
    deadline = time.monotonic() + 120
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
