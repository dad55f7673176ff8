"""Fine-tunes on a real cluster: dependencies, a kill, a preemption, and the same adapter."""

import json
import os
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.runs.command_line import contents
from tests.runs.finetunes import LONG, TUNED, adapters, distance, write_experiment
from tests.slurm.cluster import Cluster
from tests.slurm.runs import drained, launch, processes, quick

SLURM = """
[slurm]
cpus = 1
mem_gb = 2.0
time_min = 30
"""


def _partial(run: Path) -> list[Path]:
    return list(run.glob("adapters/.*.partial/*/checkpoint-[2-9]0"))


def _submitted(cluster: Cluster, folder: Path, command: str) -> str:
    done = launch(cluster, command, "--config", "tuned.toml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_answers_wait_for_their_adapter(cluster: Cluster, tuned: Path, tmp_path: Path) -> None:
    """One sweep: training, then answers of the adapters, then scores and Table 2."""
    write_experiment(tmp_path, quick(TUNED + SLURM))
    said = _submitted(cluster, tmp_path, "sweep")
    trained = [line.split()[1].rstrip(":") for line in said.splitlines() if " finetune " in line]
    assert len(trained) == 2
    waiting = [line for line in said.splitlines() if "generate q-" in line]
    assert all(any(f"after {job}" in line for job in trained) for line in waiting)
    drained(cluster)
    run = tmp_path / "runs" / "tuned"

    assert (run / "report" / "table2.tex").is_file()
    ours, theirs = contents(run / "report"), contents(tuned / "runs" / "tuned" / "report")
    assert {k: v for k, v in ours.items() if k.endswith((".tex", ".csv"))} == {
        k: v for k, v in theirs.items() if k.endswith((".tex", ".csv"))
    }


def test_answers_of_a_training_that_failed_are_not_waited_for(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The array leaves the queue, the report is PARTIAL, and explain names the cause.

    The training fails on any processor: only the model's preflight, which the array task runs, can
    know that weights are no numbers.
    """
    write_experiment(tmp_path, quick(TUNED + SLURM))
    spoilt = load_file(tmp_path / "base" / "model.safetensors")
    spoilt["model.norm.weight"][:] = float("nan")
    save_file(spoilt, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    _submitted(cluster, tmp_path, "sweep")
    drained(cluster)
    told = launch(cluster, "explain", "--failed", "--config", "tuned.toml", "--json", cwd=tmp_path)
    kinds = {e["tasks"][0]: e["attempts"][-1]["kind"] for e in json.loads(told.stdout)}

    assert {kind for task, kind in kinds.items() if "finetune" in task} == {"mistake"}
    assert "not-a-number" in told.stdout
    assert {kind for task, kind in kinds.items() if "generate-q-" in task} == {"never started"}
    assert "PARTIAL" in (tmp_path / "runs" / "tuned" / "report" / "table1.tex").read_text()


@pytest.mark.parametrize("end", ["killed", "preempted"])
def test_ended_in_the_middle_gives_the_same_adapter(
    cluster: Cluster, tmp_path: Path, long_adapter: Path, end: str
) -> None:
    """Kill -9 and `retry`; or a requeue, as preemption does: the adapter shows neither."""
    write_experiment(tmp_path, LONG + SLURM)
    said = _submitted(cluster, tmp_path, "finetune")
    job = next(line.split()[1].rstrip(":") for line in said.splitlines() if " finetune " in line)
    run = tmp_path / "runs" / "tuned"
    cluster.wait_for(lambda: bool(_partial(run)))
    if end == "killed":
        for pid in processes(cluster, job, 0):
            os.kill(pid, signal.SIGKILL)
        drained(cluster)
        _submitted(cluster, tmp_path, "retry")
    else:
        cluster.run("scancel", "--signal=USR2", "--batch", f"{job}_0")  # as a preemption warns
    drained(cluster)
    log = "".join(path.read_text() for path in run.glob("slurm/*/logs/*.log"))

    [adapter] = adapters(run).values()
    assert distance(long_adapter, adapter) <= 1e-6
    assert log.count('"event": "started"') == 2
    assert '"event": "advanced"' in log
    if end == "preempted":
        assert '"requeued": true' in log
