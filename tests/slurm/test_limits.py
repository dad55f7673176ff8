"""What a cluster does not take: large arrays, a full queue, wrong names; a silent controller."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.command_line import write_questions
from tests.slurm.cluster import Cluster, CommandFailed
from tests.slurm.runs import (
    SLURM,
    drained,
    instead_of,
    job_ids,
    launch,
    of_shards,
    on_cluster,
    quick,
    status,
    sweep,
)


def many(folder: Path, n_shards: int) -> None:
    """Write a configuration of many shards, a question each."""
    write_questions(folder, n_shards)
    on_cluster(folder, quick(of_shards(n_shards) + SLURM))


@pytest.fixture(scope="module")
def small(slurm_programs: None) -> Iterator[Cluster]:
    """A cluster of two nodes, without accounting, whose arrays have at most 8 array tasks."""
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as folder:
        knobs = {"acct": False, "max_array": 8, "cpu_nodes": 1, "gpu_nodes": 1}
        started = Cluster.start(Path(folder), **knobs)
        try:
            yield started
        finally:
            started.stop()


@pytest.fixture(scope="module")
def strict(slurm_programs: None) -> Iterator[Cluster]:
    """A cluster where a user may have 30 jobs in the queue."""
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as folder:
        knobs = {
            "acct": True, "enforce": "associations,limits,qos", "max_submit": 30,
            "cpu_nodes": 2, "gpu_nodes": 0,
        }  # fmt: skip
        started = Cluster.start(Path(folder), **knobs)
        try:
            yield started
        finally:
            started.stop()


def test_arrays_are_cut_at_the_largest_size(small: Cluster, tmp_path: Path):
    """20 shards under MaxArraySize = 8 are three arrays; all are done, without accounting."""
    many(tmp_path, 20)
    said = sweep(small, tmp_path)
    drained(small)
    sizes = re.findall(r"generate echo, (\d+) array tasks?", said)

    assert sizes == ["8", "8", "4"]
    assert all(line["done"] for line in status(small, tmp_path)["conditions"])


def test_elements_take_more_tasks_where_the_queue_has_little_room(strict: Cluster, tmp_path: Path):
    """120 shards under a submit limit of 30 are packed into array tasks, and all are done."""
    many(tmp_path, 120)
    said = sweep(strict, tmp_path)
    n_queued = len(strict.queue())
    drained(strict)

    assert "generate echo, 24 array tasks for 120 tasks" in said
    assert n_queued <= 30
    assert all(line["done"] for line in status(strict, tmp_path)["conditions"])


def _takes(cluster: Cluster, *options: str) -> bool:
    try:
        cluster.run("sbatch", "--test-only", *options, "--wrap", "true")
    except CommandFailed:
        return False
    return True


@pytest.fixture
def of_partition(strict: Cluster) -> Iterator[Cluster]:
    """The same, where the partition's QOS lets a user have 12 jobs in the queue."""
    strict.run("sacctmgr", "-i", "-Q", "modify", "qos", "long", "set", "MaxSubmitJobsPerUser=12")
    strict.run("scontrol", "update", "partitionname=cpu", "qos=long")
    strict.wait_for(lambda: not _takes(strict, "--array=1-13"))
    yield strict
    strict.run("scontrol", "update", "partitionname=cpu", "qos=")
    strict.run("sacctmgr", "-i", "-Q", "modify", "qos", "long", "set", "MaxSubmitJobsPerUser=-1")


def test_the_limit_of_the_partitions_qos_is_read(of_partition: Cluster, tmp_path: Path):
    """24 shards under a limit of 12 are packed beforehand; other partitions do not count."""
    many(tmp_path, 24)
    other = of_partition.submit("-p", "all", "-o", "/dev/null", "--hold", "--wrap", "true")
    said = sweep(of_partition, tmp_path)
    of_partition.run("scancel", other)
    drained(of_partition)

    assert "generate echo, 8 array tasks for 24 tasks" in said
    assert all(line["done"] for line in status(of_partition, tmp_path)["conditions"])


def test_a_refusal_that_names_a_limit_packs_more(of_partition: Cluster, tmp_path: Path):
    """Where the accounting is hidden: fewer array tasks until sbatch takes them; the rest named."""
    many(tmp_path, 24)
    env = instead_of(of_partition, tmp_path, "sacctmgr", "exit 1")
    done = launch(of_partition, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
    drained(of_partition)
    rest = launch(of_partition, "retry", "--all", "--config", "echo.toml", cwd=tmp_path)
    drained(of_partition)

    assert "generate echo, 12 array tasks for 24 tasks" in done.stdout
    assert done.returncode == 2
    assert "QOSMaxSubmitJobPerUserLimit" in done.stderr
    assert "choose another qos, account or partition" in done.stderr
    assert rest.returncode == 0, rest.stderr
    assert all(line["done"] for line in status(of_partition, tmp_path)["conditions"])


def test_what_does_not_fit_is_named_and_can_follow(strict: Cluster, tmp_path: Path):
    """With a queue that is nearly full, what fits is submitted and the rest is one command away."""
    other = strict.submit("-o", "/dev/null", "--hold", "-a", "1-28", "--wrap", "true")
    on_cluster(tmp_path)
    done = launch(strict, "sweep", "--config", "echo.toml", cwd=tmp_path)
    strict.run("scancel", other)
    assert done.returncode == 2
    assert "not submitted:" in done.stderr
    assert "retry" in done.stderr
    assert len(job_ids(done.stdout)) >= 1
    drained(strict)
    rest = launch(strict, "retry", "--all", "--config", "echo.toml", cwd=tmp_path)
    assert rest.returncode == 0, rest.stderr
    drained(strict)

    assert all(line["done"] for line in status(strict, tmp_path)["conditions"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("slurm.partition='gpus'", "invalid partition"),
        ("slurm.account='nobody'", "account"),
        ("slurm.qos='urgent'", "qos"),
        ("slurm.mem_gb=100000.0", "requested node configuration"),
        ("slurm.gpus=9", "not available"),
        ("slurm.time_min=100000", "time limit"),
        ("slurm.report.partition='gone'", "invalid partition"),
    ],
)
def test_what_slurm_would_refuse_is_refused_before_anything_is_submitted(
    strict: Cluster, tmp_path: Path, change: str, words: str
):
    """One message with Slurm's words, exit code 2, and nothing in the queue."""
    on_cluster(tmp_path)
    done = launch(strict, "sweep", "--config", "echo.toml", "--set", change, cwd=tmp_path)

    assert done.returncode == 2, done.stdout
    assert "nothing was submitted" in done.stderr
    assert words in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert strict.queue() == {}
    mended = launch(  # with other data: nobody answered those of the refused sweep
        strict, "sweep", "--config", "echo.toml", "--set", "evaluate.limit=8", "--dry-run",
        cwd=tmp_path,
    )  # fmt: skip
    assert mended.returncode == 0, mended.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("slurm.partiton='cpu'", "slurm.partiton='cpu': unknown key. Did you mean 'partition'?"),
        ("slurm.options.nicee=3", "sbatch has no option 'nicee'; did you mean 'nice'?"),
        ("slurm.options.array='1-3'", "'array' is set by the suite"),
        ("slurm.env.HF_TOKEN='x'", "looks like a secret"),
        ("slurm.profile='apptaner'", "Did you mean 'apptainer'?"),
    ],
)
def test_mistakes_in_the_profile_are_refused(tmp_path: Path, change: str, words: str):
    """Wrong keys and options are named with the closest match; Slurm is not even asked."""
    from tests.runs.command_line import launch as locally

    on_cluster(tmp_path)
    done = locally("sweep", "--config", "echo.toml", "--dry-run", "--set", change, cwd=tmp_path)

    assert done.returncode == 2
    assert words in done.stderr


def _answers(cluster: Cluster) -> bool:
    try:
        return "UP" in cluster.run("scontrol", "ping")
    except CommandFailed:
        return False


def test_a_silent_controller_is_named_and_nothing_is_lost(small: Cluster, tmp_path: Path):
    """With slurmctld down, sweep exits 2 and status tells what the files say."""
    on_cluster(tmp_path)
    sweep(small, tmp_path)
    drained(small)
    pid = (small.folder / "pid" / "slurmctld.pid").read_text().strip()
    small.run("kill", pid)
    small.wait_for(lambda: not Path(f"/proc/{pid}").exists())
    try:
        refused = launch(small, "sweep", "--config", "echo.toml", cwd=tmp_path)
        shown = launch(small, "status", "--config", "echo.toml", cwd=tmp_path)
    finally:
        small.run("slurmctld")
    small.wait_for(lambda: _answers(small))

    assert refused.returncode == 2
    assert "no controller of Slurm answers" in refused.stderr
    assert shown.returncode == 0
    assert "4 of 4 conditions are complete" in shown.stdout


def test_a_refusal_half_way_keeps_what_was_submitted(strict: Cluster, tmp_path: Path):
    """If sbatch refuses a later array, the earlier ones are recorded, and retry adds the rest."""
    on_cluster(tmp_path)
    fake = tmp_path / "bin"
    fake.mkdir()
    real = strict.run("which", "sbatch").strip()
    counter = tmp_path / "count"
    (fake / "sbatch").write_text(
        "#!/bin/bash\n"
        'case "$*" in *--test-only*) exec ' + real + ' "$@";; esac\n'
        f"n=$(cat {counter} 2>/dev/null || echo 0); echo $((n+1)) > {counter}\n"
        '[ "$n" -ge 1 ] && { echo "sbatch: error: Batch job submission failed: no" >&2; exit 1; }\n'
        f'exec {real} "$@"\n'
    )
    (fake / "sbatch").chmod(0o755)
    env = {"PATH": f"{fake}:{strict.env['PATH']}"}
    done = launch(strict, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
    drained(strict)
    assert done.returncode == 2
    assert len(job_ids(done.stdout)) == 1
    assert "Batch job submission failed: no" in done.stderr
    assert status(strict, tmp_path)["stages"][0]["done"] == 3
    rest = launch(strict, "retry", "--all", "--config", "echo.toml", cwd=tmp_path)
    assert rest.returncode == 0, rest.stderr
    drained(strict)

    assert all(line["done"] for line in status(strict, tmp_path)["conditions"])


def test_a_path_that_sbatch_cannot_take_is_refused(small: Cluster, tmp_path: Path):
    """Spaces, quotes and percent signs work; a line break is refused before anything happens."""
    on_cluster(tmp_path)
    odd = """runs of "today" it's 100%j"""
    said = sweep(small, tmp_path, "--runs", odd)
    broken = launch(small, "sweep", "--config", "echo.toml", "--runs", "a\nb", cwd=tmp_path)
    drained(small)
    shown = launch(small, "status", "--config", "echo.toml", "--runs", odd, cwd=tmp_path)

    assert len(job_ids(said)) == 3
    assert "4 of 4 conditions are complete" in shown.stdout
    assert broken.returncode == 2
    assert "line break" in broken.stderr
