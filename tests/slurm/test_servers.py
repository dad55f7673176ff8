"""Servers of array tasks: two of one node do not meet, and none outlives its task."""

import sys
from pathlib import Path

from tests.engines.families import left_of, roles, writing_to
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]


def _submitted(cluster: Cluster, folder: Path, array: str, *options: str) -> str:
    """Submit tasks of ``tests.engines.task``; the server of task 3 writes to ``3.txt``."""
    script = folder / "job.sh"
    task = f"exec {sys.executable} -m tests.engines.task {folder}/$SLURM_ARRAY_TASK_ID.txt stubborn"
    script.write_text(f"#!/bin/sh\nexport PYTHONPATH={ROOT}\n{task}\n")
    printed = f"--output={folder}/%a.out"
    return cluster.submit(f"--array={array}", printed, "--no-requeue", *options, str(script))


def _ready(folder: Path, *tasks: int) -> bool:
    outputs = [folder / f"{task}.out" for task in tasks]
    return all(output.exists() and "ready" in output.read_text() for output in outputs)


def _port(log: Path) -> str:
    """Return the port in the arguments of the server that writes to *log*."""
    command = writing_to(log)[roles(log)["server"]].split()
    return next(part for part in command if part.isdigit())


def test_no_server_outlives_its_task(cluster: Cluster, tmp_path: Path):
    """Cancelled, preempted, or ended by a power cut."""
    logs = [tmp_path / f"{task}.txt" for task in range(3)]
    here = _submitted(cluster, tmp_path, "0-1", "--partition=scavenge", "--nodelist=c1")
    _submitted(cluster, tmp_path, "2", "--partition=cpu", "--nodelist=c2")
    cluster.wait_for(lambda: _ready(tmp_path, 0, 1, 2))
    assert len({_port(log) for log in logs}) == 3
    assert all(len(writing_to(log)) >= 6 for log in logs)

    cluster.run("scancel", f"{here}_0")
    assert left_of(logs[0]) == {}
    assert writing_to(logs[1])

    wanted = cluster.submit(
        "--partition=cpu", "--nodelist=c1", "--exclusive", "--output=/dev/null", "--wrap=sleep 600"
    )
    assert left_of(logs[1]) == {}
    cluster.run("scancel", wanted)

    cluster.node("crash", "c2")
    assert left_of(logs[2]) == {}
    cluster.node("start", "c2")
