"""Sweeps on a simulated cluster: configurations, and waiting for them."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import preloaded
from tests.runs import command_line
from tests.runs.command_line import ECHO, write_config
from tests.slurm.cluster import Cluster

QUIET = ("-o", "/dev/null")

SLURM = """
[slurm]
cpus = 1
mem_gb = 0.4
time_min = 30
"""


_OF_SHARDS = """
name = "echo"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 1
[generation]
shards = SHARDS
[models.echo]
prompts = ["none"]
[metrics.bleu]
"""


def of_shards(n_shards: int) -> str:
    """Return a configuration of so many shards, each of one question of ``write_questions``."""
    return _OF_SHARDS.replace("SHARDS", str(n_shards))


def launch(
    cluster: Cluster, *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user of the cluster would."""
    return command_line.launch(*arguments, cwd=cwd, env=cluster.env | (env or {}))


def on_cluster(folder: Path, text: str | None = None) -> None:
    """Write the configuration ``echo.toml``: of echoes, with `quick` array tasks, unless given."""
    write_config(folder, quick() if text is None else text)


def quick(text: str = ECHO + SLURM) -> str:
    """Return a configuration whose array tasks need not import the libraries.

    For tests that neither stop them nor look into them: what a fork uses is not seen by Slurm.
    """
    return text.replace("[slurm]", f"[slurm]\npython = '{preloaded.python()}'")


def sweep(cluster: Cluster, folder: Path, *arguments: str) -> str:
    """Submit a sweep that must succeed, and return what it said."""
    done = launch(cluster, "sweep", "--config", "echo.toml", *arguments, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def drained(cluster: Cluster, timeout_s: float = 600) -> None:
    """Wait until nothing is in the queue.

    It takes longest of all waiting, and each look starts a program: few looks.
    """
    cluster.wait_for(lambda: not cluster.queue(), timeout_s, nap_s=0.4)


@contextmanager
def held(cluster: Cluster) -> Iterator[None]:
    """Let nothing that is submitted start, however slow this machine is."""
    n_nodes = len(set(cluster.run("sinfo", "-h", "-N", "-p", "all", "-o", "%N").split()))
    blocker = cluster.submit(
        "-p", "all", "-N", str(n_nodes), "--exclusive", "-t", "15", *QUIET, "--wrap", "sleep 900"
    )
    try:
        cluster.wait_for(lambda: cluster.queue().get(blocker) == "RUNNING")
        yield
    finally:
        cluster.run("scancel", blocker)


def instead_of(cluster: Cluster, folder: Path, program: str, lines: str) -> dict[str, str]:
    """Return a PATH on which *lines* of bash, that may call ``"$real"``, stand for a program."""
    real = cluster.run("which", program).strip()
    (folder / "bin").mkdir(exist_ok=True)
    wrapper = folder / "bin" / program
    wrapper.write_text(f"#!/bin/bash\nreal={real}\n{lines}\n")
    wrapper.chmod(0o755)
    return {"PATH": f"{wrapper.parent}:{cluster.env['PATH']}"}


def status(cluster: Cluster, folder: Path, *arguments: str, **env: str) -> dict[str, Any]:
    """Return what ``status --json`` says."""
    done = launch(
        cluster, "status", "--config", "echo.toml", "--json", *arguments, cwd=folder, env=env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def explained(cluster: Cluster, folder: Path, what: str, *arguments: str) -> list[str]:
    """Return the classes of all attempts at what is asked for, oldest first."""
    done = launch(
        cluster, "explain", what, "--config", "echo.toml", "--json", *arguments, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return [a["kind"] for array_task in json.loads(done.stdout) for a in array_task["attempts"]]


def tables(run: Path) -> dict[str, str]:
    """Return path → digest of what must not depend on the executor: answers, scores, tables."""
    found = command_line.contents(run)
    return {k: v for k, v in found.items() if not re.match(r"slurm/|prompts/", k)}


def job_ids(said: str) -> list[str]:
    """Return the job ids that a sweep printed."""
    return re.findall(r"^submitted (\d+):", said, re.MULTILINE)


def processes(cluster: Cluster, job: str, index: int) -> list[int]:
    """Return the processes of one array task, on whatever node it runs."""
    wanted = {
        f"SLURM_CONF={cluster.env['SLURM_CONF']}",
        f"SLURM_ARRAY_JOB_ID={job}",
        f"SLURM_ARRAY_TASK_ID={index}",
    }
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = set((folder / "environ").read_bytes().decode(errors="replace").split("\0"))
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= variables and b"jobs.executors.slurm.array_task" in command:
            found.append(int(folder.name))
    return found
