"""One run, three nodes, everything that a cluster does to people: every row comes back once."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.runs.command_line import launch as locally
from tests.slurm.cluster import Cluster
from tests.slurm.runs import drained, explained, job_ids, launch, processes, status, sweep, tables

CONFIG = """
name = "echo"
[data.sources.sample]
[evaluate]
split = "all"
block_size = 4
[generation]
shards = 6
[decoding.greedy]
max_new_tokens = 64
[models.therapist]
[models.echo]
prompts = ["none", "prompt1"]
options = { delay_s = 1.5 }
slurm = { partition = "scavenge", cpus = 4 }
[models.slow]
use = "echo"
prompts = ["prompt2"]
shards = 1
options = { delay_s = 0.6 }
slurm = { partition = "gpu", time_min = 1 }
[models.hog]
use = "echo"
prompts = ["none"]
shards = 1
options = { hog = "panic", hog_mb = 700 }
slurm = { partition = "gpu" }
[metrics.bleu]
[metrics.length]
[metrics.diagnostics]
[scoring]
shards = 2
[slurm]
cpus = 1
mem_gb = 0.4
time_min = 30
[slurm.score]
partition = "gpu"
[slurm.report]
partition = "gpu"
"""


def _on(cluster: Cluster, job: str, node: str) -> list[int]:
    """Return the array tasks of *job* that run on *node*."""
    lines = cluster.run("squeue", "-h", "-r", "-j", job, "-w", node, "-o", "%K").split()
    return sorted(int(index) for index in lines)


@dataclass
class Broken:
    """Which array tasks of the first array met what."""

    killed: int
    preempted: int
    cut: list[int]
    frozen: list[int]


def _break(cluster: Cluster, job: str, run: Path) -> Broken:
    """Break everything at once: a process, two nodes, and one array task's place in the queue."""
    cluster.wait_for(lambda: all(len(_on(cluster, job, f"c{i}")) == 2 for i in (1, 2, 3)))
    (killed, preempted), cut, frozen = (_on(cluster, job, f"c{i}") for i in (1, 2, 3))
    journals = run / "generations"
    cluster.wait_for(lambda: len(list(journals.glob("echo.*/journal/*.jsonl"))) >= 6)
    for process in processes(cluster, job, killed):
        os.kill(process, signal.SIGKILL)
    cluster.node("crash", "c2")
    cluster.node("hang", "c3")
    cluster.submit("-p", "cpu", "-w", "c1", "-c", "8", "-o", "/dev/null", "--wrap", "sleep 12")
    gone = ("c2", "c3")
    cluster.wait_for(lambda: not any(_on(cluster, job, node) for node in gone))
    cluster.node("start", "c2")
    cluster.node("resume", "c3")  # and now two copies of its array tasks run side by side
    return Broken(killed, preempted, cut, frozen)


def _classes_are_right(cluster: Cluster, folder: Path, broken: Broken) -> None:
    """Every array task's story names what happened to it."""

    def kinds(task: str) -> list[str]:
        return explained(cluster, folder, task)

    names = {i: f"generate-echo-{i:05d}-of-00006" for i in range(6)}
    assert kinds(names[broken.killed]) == ["killed"]
    assert kinds(names[broken.preempted])[0] == "preempted"
    for index in broken.cut + broken.frozen:
        story = kinds(names[index])
        assert (story[0], story[-1]) == ("node failure", "done")
    limits = kinds("generate-slow-00000-of-00001")
    assert limits[:2] == ["time limit", "time limit"]
    assert limits[-1] == "done"
    assert kinds("generate-hog-00000-of-00001") == ["out of memory"]


def test_everything_at_once(cluster: Cluster, tmp_path: Path):
    """Killed, preempted, out of time twice, power-cut, frozen, out of memory: the same bytes."""
    (tmp_path / "echo.toml").write_text(CONFIG)
    said = sweep(cluster, tmp_path)
    broken = _break(cluster, job_ids(said)[0], tmp_path / "runs/echo")
    drained(cluster)
    failed = {s["key"]: s["failed"] for s in status(cluster, tmp_path)["stages"] if s["failed"]}

    assert "PARTIAL" in (tmp_path / "runs/echo/report/table1.tex").read_text()
    assert failed == {
        "echo": {"killed": 1}, "hog": {"out of memory": 1}, "report": {"incomplete": 1},
    }  # fmt: skip
    _classes_are_right(cluster, tmp_path, broken)

    again = launch(cluster, "retry", "--config", "echo.toml", "--mem", "1.5", cwd=tmp_path)
    drained(cluster)
    standing = status(cluster, tmp_path)

    assert again.returncode == 0, again.stderr
    assert "generate echo, 1 array task\n" in again.stdout
    assert "generate hog, 1 array task\n" in again.stdout
    assert all(line["done"] for line in standing["conditions"])

    calm = [f"--set=models.{m}.options.delay_s=0.0" for m in ("echo", "slow")]
    calm += ["--set=models.hog.options.hog_mb=0", "--executor=local", "--name=calm"]
    done = locally("sweep", "--config", "echo.toml", *calm, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "runs/echo") == tables(tmp_path / "runs/calm")
