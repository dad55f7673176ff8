"""The cluster of slurm/sim is a real one: it schedules, refuses, breaks, mends and accounts."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import until
from tests.slurm.cluster import SIM, Cluster, CommandFailed, without

QUIET = ("-o", "/dev/null")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, as pytest's own does not."""
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as folder:
        yield Path(folder)


def _carriers(env: dict[str, str]) -> list[str]:
    """Return the commands of living processes that carry the cluster's SLURM_CONF."""
    mark = f"SLURM_CONF={env['SLURM_CONF']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "comm").read_text().strip())
        except OSError:  # it has ended, or is another user's
            continue
    return sorted(found)


def test_starting_it_twice_changes_nothing(cluster: Cluster):
    """A second up says so, and the same controller runs on."""
    pid = cluster.folder / "pid" / "slurmctld.pid"
    before = pid.read_text()

    again = subprocess.run(
        [SIM / "up.sh", cluster.folder], capture_output=True, text=True, check=True
    )

    assert "already up" in again.stderr
    assert pid.read_text() == before


def test_two_clusters_do_not_disturb_each_other_and_down_leaves_nothing(
    cluster: Cluster, short_path: Path
):
    """A second one, in a folder with a space, has its own jobs, and its end is its own."""
    knobs = {"acct": False, "cpu_nodes": 1, "gpu_nodes": 0, "max_array": 50}
    other = Cluster.start(short_path / "a second", **knobs)
    try:
        here = cluster.submit(*QUIET, "--wrap", "sleep 60")
        there = other.submit(*QUIET, "--wrap", "sleep 60")
        other.wait_for(lambda: other.queue() == {there: "RUNNING"})
        assert other.run("sinfo", "-h", "-N", "-p", "all", "-o", "%N").split() == ["c1"]
        assert there not in cluster.queue()
        with pytest.raises(CommandFailed, match="Invalid job array"):
            other.submit("--array=0-50", *QUIET, "--wrap", "true")
        with pytest.raises(CommandFailed, match="accounting storage is disabled"):
            other.run("sacct")
        assert {"slurmctld", "slurmd", "munged", "sleep"} <= set(_carriers(other.env))
    finally:
        other.stop()

    assert _carriers(other.env) == []
    assert not Path(other.env["SIM_DIR"]).is_symlink()
    assert here in cluster.queue()
    cluster.run("scancel", here)


def test_a_start_that_fails_leaves_nothing(short_path: Path):
    """With an impossible setting up fails, with words, and no daemon stays."""
    with pytest.raises(CommandFailed, match="slurm/sim: "):
        Cluster.start(short_path, acct=False, max_array="many")

    assert _carriers({"SLURM_CONF": str(short_path / "slurm.conf")}) == []


def test_it_ends_with_the_process_that_started_it(short_path: Path):
    """Killed -9, a test leaves no cluster behind."""
    code = (
        "import os, pathlib, sys; from tests.slurm.cluster import Cluster; "
        "Cluster.start(pathlib.Path(sys.argv[1]), acct=False); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code, str(short_path)]
    killed = subprocess.run(command, cwd=SIM.parents[1], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    assert until(lambda: not (short_path / "pid").exists())
    assert (short_path / "log" / "slurmctld.log").exists()
    assert _carriers({"SLURM_CONF": str(short_path / "slurm.conf")}) == []


def test_arrays_and_dependencies(cluster: Cluster):
    """After an array with a failed array task, afterany runs and afterok never does."""
    array = cluster.submit("--array=0-3%2", *QUIET, "--wrap", "exit $((SLURM_ARRAY_TASK_ID == 2))")
    anyway = cluster.submit(f"--dependency=afterany:{array}", *QUIET, "--wrap", "true")
    only_ok = cluster.submit(
        f"--dependency=afterok:{array}", "--kill-on-invalid-dep=yes", *QUIET, "--wrap", "true"
    )

    cluster.wait_for(lambda: not {anyway, only_ok} & set(cluster.queue()))

    states = cluster.states()
    assert [states[f"{array}_{i}"] for i in range(4)] == [
        "COMPLETED", "COMPLETED", "FAILED", "COMPLETED",
    ]  # fmt: skip
    assert states[anyway] == "COMPLETED"
    assert states[only_ok] == "CANCELLED"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (("-p", "nosuch"), "invalid partition"),
        (("-p", "gpu", "--gres=gpu:9"), "Requested node configuration is not available"),
        (("-t", "2-00:00:00"), "time limit"),
    ],
)
def test_what_cannot_be_had_is_refused(cluster: Cluster, request_: tuple[str, ...], words: str):
    """A bad partition, too many GPUs and too long a time are errors of sbatch."""
    with pytest.raises(CommandFailed, match=words):
        cluster.submit(*request_, *QUIET, "--wrap", "true")


def test_gpus_are_numbered(cluster: Cluster):
    """Two GPUs appear in CUDA_VISIBLE_DEVICES."""
    seen = cluster.run("srun", "-p", "gpu", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES")

    assert seen.strip() == "0,1"


def test_a_frozen_node_goes_on_where_it_was(cluster: Cluster):
    """Nothing moves while c2 is frozen, and its job ends once it thaws."""
    log, go = cluster.folder / "frozen.txt", cluster.folder / "go"
    script = f"until [ -e {go} ]; do sleep 0.1; done; echo thawed"
    job = cluster.submit("-w", "c2", "-o", str(log), "--wrap", script)
    cluster.wait_for(lambda: cluster.queue().get(job) == "RUNNING")
    cluster.node("hang", "c2")
    go.touch()
    with pytest.raises(TimeoutError):
        cluster.wait_for(lambda: job not in cluster.queue(), timeout_s=5)
    cluster.node("resume", "c2")

    cluster.wait_for(lambda: job not in cluster.queue())

    assert "thawed" in log.read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="a power cut needs namespaces, and these need root")
def test_after_a_power_cut_the_job_runs_elsewhere(cluster: Cluster):
    """The node is DOWN, its job is requeued and ends on another, and the node can come back."""
    log = cluster.folder / "cut.txt"
    script = "hostname; sleep $((SLURM_RESTART_COUNT ? 0 : 600))"
    job = cluster.submit("-p", "cpu", "-o", str(log), "--open-mode=append", "--wrap", script)
    cluster.wait_for(lambda: log.exists() and log.read_text().strip())
    node = log.read_text().strip()
    cluster.node("crash", node)
    # how soon the controller looks again depends on how busy it is; it may drain the node as well
    cluster.wait_for(lambda: "DOWN" in cluster.node_state(node), 900)

    cluster.wait_for(lambda: cluster.states()[job] == "COMPLETED")

    first, second = log.read_text().split()
    assert first == node != second
    cluster.node("start", node)
    cluster.back_in_service()
    cluster.wait_for(lambda: cluster.node_state(node) == {"IDLE"})


def test_sacct_knows_what_ended(cluster: Cluster):
    """The accounting has the exit code of a failed job, a moment late."""
    job = cluster.submit(*QUIET, "--wrap", "exit 3")

    def accounted() -> str:
        return cluster.run("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,ExitCode").strip()

    cluster.wait_for(lambda: accounted() == "FAILED|3:0")


def test_a_path_without_sacct_still_has_the_rest(cluster: Cluster):
    """What is left out is not found, and everything else is."""
    env = without(cluster.env, "sacct")
    script = "command -v sacct; squeue --version && python3 -c 'print(1)'"

    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[1:] == ["1"]
    assert done.stdout.startswith("slurm-wlm")


def test_a_drained_node_goes_back_into_service(cluster: Cluster):
    """Slurm drains a node by itself where a job id turns up on it twice; the next test needs it."""
    cluster.run("scontrol", "update", "nodename=c1", "state=drain", "reason=test")
    cluster.back_in_service()

    cluster.wait_for(lambda: "drain" not in cluster.run("sinfo", "-h", "-n", "c1", "-o", "%T"))
