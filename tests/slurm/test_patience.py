"""What goes on too long, and what ends too soon: restarts without progress, and watching."""

import subprocess
import sys
from pathlib import Path

from tests.runs.command_line import ECHO, environment
from tests.slurm.cluster import Cluster, without
from tests.slurm.runs import (
    SLURM,
    drained,
    explained,
    held,
    instead_of,
    job_ids,
    launch,
    on_cluster,
    processes,
    status,
    sweep,
)

STUCK = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 600 }")


def test_an_array_task_that_never_finishes_a_block_is_not_run_for_ever(
    cluster: Cluster, tmp_path: Path
):
    """After three restarts without a finished block it ends as failed, and explain says why."""
    on_cluster(tmp_path, STUCK + SLURM)
    [job, *_] = job_ids(sweep(cluster, tmp_path, "--set", "generation.shards=1"))
    log = tmp_path / "runs/echo/slurm/0001-generate-echo/logs/0.log"
    for restart in range(3):
        begun = restart + 1
        cluster.wait_for(lambda n=begun: log.exists() and log.read_text().count('"started"') == n)
        cluster.wait_for(lambda: processes(cluster, job, 0))
        cluster.run("scontrol", "requeue", f"{job}_0")
    drained(cluster)
    task = "generate-echo-00000-of-00001"
    told = launch(cluster, "explain", task, "--config", "echo.toml", cwd=tmp_path)

    assert explained(cluster, tmp_path, task)[-1] == "no progress"
    assert "Slurm has run this array task again 3 times" in told.stdout
    assert "retry --time 60" in told.stdout


WITHOUT_SCONTROL = """
[slurm]
cpus = 1
mem_gb = 0.4
time_min = 1
signal_delay_s = 20
setup = ["export PATH={path}"]
"""


def test_where_no_scontrol_is_reached_a_task_ends_and_retry_picks_it_up(
    cluster: Cluster, tmp_path: Path
):
    """As in a container without Slurm: it cannot ask to be run again, and ends at its limit."""
    slow = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 5 }")
    path = without(cluster.env, "scontrol", "squeue")["PATH"]
    on_cluster(tmp_path, slow + WITHOUT_SCONTROL.format(path=path))
    few = ("--set", "generation.shards=1", "--set", "models.echo.prompts=['none']")
    [job, *_] = job_ids(sweep(cluster, tmp_path, *few))
    cluster.wait_for(lambda: f"{job}_0" not in cluster.queue(), 600)
    state = cluster.states()[f"{job}_0"]
    log = (tmp_path / "runs/echo/slurm/0001-generate-echo/logs/0.log").read_text()
    drained(cluster)
    task = "generate-echo-00000-of-00001"
    failed = explained(cluster, tmp_path, task)
    n_kept = status(cluster, tmp_path)["conditions"][0]["rows"]
    retried = launch(cluster, "retry", "--config", "echo.toml", "--time", "30", cwd=tmp_path)
    cluster.run("scancel", *job_ids(retried.stdout))

    assert state == "TIMEOUT"
    assert '"requeued": false' in log
    assert failed == ["time limit"]
    assert n_kept > 0
    assert f"generate {task.split('-')[1]}, 1 array task" in retried.stdout


SECOND_FAILS = """
n=$(cat "$0.calls" 2>/dev/null || echo 0); echo $((n + 1)) >"$0.calls"
[ "$n" = 1 ] || exec "$real" "$@"
echo "slurm_load_jobs error: Socket timed out on send/recv operation" >&2
exit 1
"""


def test_one_query_that_fails_ends_no_watch(cluster: Cluster, tmp_path: Path):
    """What is queued is neither called failed nor forgotten; the next look has it again."""
    on_cluster(tmp_path)
    env = cluster.env | instead_of(cluster, tmp_path, "squeue", SECOND_FAILS)
    calls = tmp_path / "bin" / "squeue.calls"
    watch = [sys.executable, "-m", "jobs.launch", "status", "--watch", "--config", "echo.toml"]
    with held(cluster):
        sweep(cluster, tmp_path)
        process = subprocess.Popen(
            watch, cwd=tmp_path, env=environment(env), stdout=subprocess.PIPE, text=True
        )
        cluster.wait_for(lambda: calls.exists() and int(calls.read_text() or 0) >= 3)
        over = process.poll()
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    said, _ = process.communicate(timeout=300)
    looks = said.split("\033[2J")[1:]

    assert over is None
    assert process.returncode == 0
    assert "3 unknown: Slurm does not say" in looks[1]
    assert "failed:" not in "".join(looks[:3])
    assert "3 wait:" in looks[2]


def test_one_query_that_fails_ends_no_pilot(cluster: Cluster, tmp_path: Path):
    """It asks again, and shows the answers."""
    on_cluster(tmp_path)
    third = SECOND_FAILS.replace('"$n" = 1', '"$n" = 2')
    env = instead_of(cluster, tmp_path, "squeue", third)
    done = launch(cluster, "sweep", "--config", "echo.toml", "--pilot", cwd=tmp_path, env=env)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Q: ") == 15
