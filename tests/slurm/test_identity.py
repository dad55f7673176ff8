"""Which jobs are the run's own: whatever Slurm's commands print, and whoever else has jobs."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.command_line import ECHO, ROOT
from tests.slurm.cluster import Cluster
from tests.slurm.runs import (
    SLURM,
    drained,
    held,
    instead_of,
    job_ids,
    launch,
    on_cluster,
    quick,
    status,
    sweep,
)

LOST = """
case "$*" in *--test-only*) exec "$real" "$@";; esac
"$real" "$@" >/dev/null
echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
exit 1
"""


def test_an_answer_that_times_out_submits_nothing_twice(cluster: Cluster, tmp_path: Path):
    """Where sbatch fails though Slurm took each job, they are found, and run once."""
    on_cluster(tmp_path)
    env = instead_of(cluster, tmp_path, "sbatch", LOST)
    with held(cluster):
        first = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
        again = sweep(cluster, tmp_path)
        n_queued = len(cluster.queue()) - 1
    drained(cluster)

    assert first.returncode == 0, first.stderr
    assert len(job_ids(first.stdout)) == 3
    assert job_ids(again) == []
    assert n_queued == 6
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


LATE = """
script=$(mktemp); cp "${@: -1}" "$script"  # as sbatch would have read it by now
(sleep 25; "$real" "${@:1:$#-1}" "$script") >/dev/null 2>&1 &
"""


def test_a_job_that_appears_late_is_waited_for_and_found(cluster: Cluster, tmp_path: Path):
    """Until it is known whether Slurm took it, its state is unknown; then cancel finds it."""
    on_cluster(tmp_path)
    late = LOST.replace('"$real" "$@" >/dev/null', LATE)
    env = instead_of(cluster, tmp_path, "sbatch", late)
    with held(cluster):
        first = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
        again = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        n_generate = sum("generate" in name for name in names(cluster))
        cancelled = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        left = len(cluster.queue()) - 1

    assert first.returncode == 2
    assert "they may be in the queue" in first.stderr
    assert again.returncode == 0, again.stderr
    assert len(job_ids(again.stdout)) == 2
    assert "until it is known whether Slurm took 0001-generate-echo" in again.stderr
    assert n_generate == 3
    assert cancelled.returncode == 0, cancelled.stderr
    assert left == 0


def names(cluster: Cluster) -> list[str]:
    """Return the job name of every array task in the queue."""
    return cluster.run("squeue", "-h", "-r", "-o", "%j").split()


BANNER = """
case "$*" in *--test-only*) exec "$real" "$@";; esac
echo "Welcome. Your last job 12345 used 3.2 node-hours."
echo "Submitted batch job 1 yesterday"
exec "$real" "$@"
"""


def test_words_before_sbatchs_answer_are_no_job_id(cluster: Cluster, tmp_path: Path):
    """A site's wrapper greets with numbers of other jobs."""
    on_cluster(tmp_path)
    env = instead_of(cluster, tmp_path, "sbatch", BANNER)
    with held(cluster):
        done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
        queued = {task.partition("_")[0] for task in cluster.queue()}
        again = sweep(cluster, tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)

    assert set(job_ids(done.stdout)) <= queued
    assert job_ids(again) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"SQUEUE_PARTITION": "gpu", "SQUEUE_STATES": "FAILED", "SQUEUE_FORMAT": "%i"},
        {"SQUEUE_USERS": "nobody", "SLURM_CLUSTERS": "elsewhere", "LOGNAME": "nobody"},
        {"SACCT_FORMAT": "JobID", "SLURM_TIME_FORMAT": "%s", "USER": "nobody", "TZ": "Asia/Tokyo"},
        {"SCANCEL_PARTITION": "gpu", "SCANCEL_STATE": "RUNNING", "SCANCEL_NAME": "other"},
    ],
)
def test_the_users_variables_hide_no_job(
    cluster: Cluster, tmp_path: Path, variables: dict[str, str]
):
    """What is queued is seen, not submitted again, and cancelled."""
    on_cluster(tmp_path)
    with held(cluster):
        sweep(cluster, tmp_path)
        again = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=variables)
        shown = status(cluster, tmp_path, **variables)
        done = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path, env=variables)
        left = len(cluster.queue()) - 1

    assert job_ids(again.stdout) == [], again.stderr
    assert sum(stage["queued"] for stage in shown["stages"]) == 6
    assert done.returncode == 0, done.stderr
    assert left == 0


def test_a_job_id_that_now_means_another_job_is_left_alone(cluster: Cluster, tmp_path: Path):
    """Ids that a new database gave again: the foreign array is neither ours nor cancelled."""
    on_cluster(tmp_path)
    with held(cluster):
        said = sweep(cluster, tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        foreign = cluster.submit("-o", "/dev/null", "-a", "0-2", "--wrap", "sleep 900")
        jobs = tmp_path / "runs/echo/slurm/jobs.jsonl"
        jobs.write_text(jobs.read_text().replace(job_ids(said)[0], foreign))
        shown = status(cluster, tmp_path)
        everything = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        by_id = launch(cluster, "cancel", f"{foreign}_1", "--config", "echo.toml", cwd=tmp_path)
        by_name = launch(cluster, "cancel", "echo", "--config", "echo.toml", cwd=tmp_path)
        again = sweep(cluster, tmp_path)
        left = [task for task in cluster.queue() if task.startswith(foreign)]
        cluster.run("scancel", foreign)
    drained(cluster)

    assert [stage["queued"] for stage in shown["stages"]] == [0, 0, 0]
    assert [done.returncode for done in (everything, by_id, by_name)] == [0, 0, 0]
    assert len(job_ids(again)) == 3
    assert len(left) == 3
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


# ---------------------------------------------------------------------------- several clusters

ONE_NODE = {"cpu_nodes": 1, "gpu_nodes": 0}


@pytest.fixture(scope="module")
def far(cluster: Cluster) -> Iterator[Cluster]:
    """A second cluster of the same accounting."""
    with tempfile.TemporaryDirectory(prefix="far-", dir="/tmp") as folder:
        started = Cluster.start(Path(folder), cluster="far", join=cluster.folder, **ONE_NODE)
        try:
            yield started
        finally:
            started.stop()


FAR = ECHO + SLURM + "[slurm.options]\nclusters = 'far'\n"


def test_jobs_on_another_cluster_are_seen_and_cancelled_from_here(
    cluster: Cluster, far: Cluster, tmp_path: Path
):
    """They are submitted with ``clusters``; every query and every cancel names that cluster."""
    on_cluster(tmp_path, quick(FAR))
    with held(far):
        said = sweep(cluster, tmp_path)
        again = sweep(cluster, tmp_path)
        shown = status(cluster, tmp_path)
        there = launch(far, "status", "--config", "echo.toml", "--json", cwd=tmp_path)
        done = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        left = len(far.queue()) - 1
    launch(cluster, "retry", "--config", "echo.toml", cwd=tmp_path)
    drained(far)

    assert len(job_ids(said)) == 3
    assert job_ids(again) == []
    assert sum(stage["queued"] for stage in shown["stages"]) == 6
    assert sum(stage["queued"] for stage in json.loads(there.stdout)["stages"]) == 6
    assert done.returncode == 0, done.stderr
    assert left == 0
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


@pytest.mark.parametrize("lost", ["the answer", "the launcher"])
def test_a_job_taken_elsewhere_though_nobody_said_so_is_found_there(
    cluster: Cluster, far: Cluster, tmp_path: Path, lost: str
):
    """The cluster that was asked for is recorded before sbatch is called, and looked at."""
    on_cluster(tmp_path, quick(FAR))
    env = instead_of(cluster, tmp_path, "sbatch", LOST) if lost == "the answer" else {}
    with held(far):
        first = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
        if lost == "the launcher":
            forget(tmp_path / "runs/echo")
        again = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        n_queued = len(far.queue()) - 1
        cancelled = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        left = len(far.queue()) - 1

    assert first.returncode == 0, first.stderr
    assert len(job_ids(first.stdout)) == 3
    assert again.returncode == 0, again.stderr
    assert job_ids(again.stdout) == []
    assert n_queued == 6
    assert cancelled.returncode == 0, cancelled.stderr
    assert left == 0


def forget(run: Path) -> None:
    """Let it be long ago that a launcher was killed before it could write down any job id."""
    (run / "slurm/jobs.jsonl").unlink()
    for path in run.glob("slurm/*/submission.json"):
        raw = json.loads(path.read_text())
        path.write_text(json.dumps(raw | {"at": raw["at"] - 600}))


def test_no_job_is_to_wait_for_one_on_another_cluster(
    cluster: Cluster, far: Cluster, tmp_path: Path
):
    """Slurm cannot do it: it is refused before anything is submitted, of new and of queued jobs."""
    on_cluster(tmp_path, quick(ECHO + SLURM + "[slurm.score.options]\nclusters = 'far'\n"))
    with held(cluster), held(far):
        split = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        shown = launch(cluster, "sweep", "--config", "echo.toml", "--dry-run", cwd=tmp_path)
        plans = list((tmp_path / "runs/echo/plans").glob("*"))
        n_split = len(cluster.queue()) + len(far.queue()) - 2
        on_cluster(tmp_path)
        sweep(cluster, tmp_path, "--set", "models.echo.prompts=['none']")
        n_near = len(cluster.queue()) - 1
        on_cluster(tmp_path, quick(FAR))
        moved = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        n_after = len(cluster.queue()) + len(far.queue()) - 2
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)

    assert [done.returncode for done in (split, shown, moved)] == [2, 2, 2]
    assert "waits for generate 'echo' on the cluster 'sim'" in split.stderr
    assert "no job can wait for one on another cluster: nothing was submitted" in shown.stderr
    assert plans == []
    assert n_split == 0
    assert "to run on the cluster 'far' and waits for job " in moved.stderr
    assert n_after == n_near > 0


def test_a_cluster_that_cannot_be_asked_from_here_is_named(cluster: Cluster, tmp_path: Path):
    """From a login node of a stranger, nothing is submitted again and nothing is called failed."""
    on_cluster(tmp_path)
    with (
        tempfile.TemporaryDirectory(prefix="other-", dir="/tmp") as folder,
        held(cluster),
    ):
        sweep(cluster, tmp_path)
        other = Cluster.start(Path(folder), cluster="other", acct=False, **ONE_NODE)
        try:
            submitting = [["sweep"], ["retry"], ["cancel"], ["cancel", "echo"]]
            refused = [launch(other, *w, "--config", "echo.toml", cwd=tmp_path) for w in submitting]
            looking = [["status"], ["explain", "--failed"], ["explain", "echo"]]
            shown = [launch(other, *w, "--config", "echo.toml", cwd=tmp_path) for w in looking]
            as_json = status(other, tmp_path)
            n_there = len(other.queue())
        finally:
            other.stop()
        n_here = len(cluster.queue()) - 1
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)

    assert [done.returncode for done in refused] == [2] * 4
    assert [done.returncode for done in shown] == [0] * 3
    for done in [*refused, *shown]:
        assert "jobs of this run are on the cluster 'sim'" in done.stderr
        assert "belongs to 'other'" in done.stderr
        assert "Use a login node of 'sim'" in done.stderr
    assert all(stage["failed"] == {} for stage in as_json["stages"])
    assert sum(stage["unknown"] for stage in as_json["stages"]) == 6
    assert (n_there, n_here) == (0, 6)


def test_a_login_node_whose_clock_is_wrong_submits_nothing_twice(cluster: Cluster, tmp_path: Path):
    """Ten minutes ahead: what it has just submitted is its own, and what failed is told."""
    on_cluster(tmp_path)
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() + 600\n"
    )
    ahead = {"PYTHONPATH": f"{ROOT}:{folder}"}
    with held(cluster):
        first = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=ahead)
        again = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=ahead)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)

    assert len(job_ids(first.stdout)) == 3
    assert job_ids(again.stdout) == []
    assert "of this run were in the queue already" in again.stdout
