"""Sweeps on a real cluster: what is submitted, what is not, and what it leaves behind."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.runs.command_line import ECHO, ROOT, environment
from tests.runs.command_line import launch as locally
from tests.slurm.cluster import Cluster, without
from tests.slurm.runs import (
    SLURM,
    drained,
    explained,
    held,
    job_ids,
    launch,
    on_cluster,
    processes,
    quick,
    status,
    sweep,
    tables,
)


@pytest.fixture(scope="module")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, made on the cluster with a secret in the environment."""
    folder = tmp_path_factory.mktemp("it's finished")
    on_cluster(folder)
    secrets = {"HF_TOKEN": "hf_" + "s" * 20, "SLURM_MEM_PER_CPU": "1", "SBATCH_PARTITION": "no"}
    done = launch(cluster, "sweep", "--config", "echo.toml", cwd=folder, env=secrets)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    drained(cluster)
    return folder


def test_the_cluster_gives_the_same_bytes_as_this_machine(cluster: Cluster, finished: Path):
    """Answers, scores and tables do not depend on the executor."""
    local = ["--executor", "local", "--name", "local"]
    done = locally("sweep", "--config", "echo.toml", *local, cwd=finished)
    assert done.returncode == 0, done.stderr

    assert tables(finished / "runs/echo") == tables(finished / "runs/local")


def test_the_demo_on_the_cluster_gives_the_same_tables(cluster: Cluster, tmp_path: Path):
    """SmolLM2's answers, scores and tables are the same to the byte (few and short here)."""
    few = ["--config", "demo", "--set", "evaluate.limit=4", "--set", "evaluate.block_size=2"]
    few += ["--set", "decoding.greedy.max_new_tokens=12", "--set", "generation.shards=1"]
    few += ["--set", f"slurm.python={preloaded.python()!r}"]
    done = launch(cluster, "sweep", *few, "--profile", "simulated", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drained(cluster)
    local = ["--executor", "local", "--name", "local"]
    here = locally("sweep", *few, *local, cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    answers = tables(tmp_path / "runs/demo")

    assert any(name.startswith("generations/smollm2") for name in answers)
    assert answers == tables(tmp_path / "runs/local")


def test_nothing_to_do_submits_nothing(cluster: Cluster, finished: Path):
    """A second sweep of a finished run prints the tables and submits nothing."""
    said = sweep(cluster, finished)

    assert "submitted" not in said
    assert "tables and page" in said
    assert cluster.queue() == {}


def test_what_a_run_leaves_is_private_and_holds_no_secret(cluster: Cluster, finished: Path):
    """Modes are 0700 and 0600; no token is in a file, and Slurm does not know it either."""
    run = finished / "runs/echo"
    paths = [p for p in run.rglob("*") if "__pycache__" not in p.parts]
    open_ones = [p for p in paths if stat.S_IMODE(p.stat().st_mode) & 0o077]
    holding = [p for p in paths if p.is_file() and b"hf_sss" in p.read_bytes()]
    jobs = job_ids((finished / "said").read_text())
    shown = cluster.run("scontrol", "show", "job", jobs[0])
    kept = cluster.run("sacct", "-j", jobs[0], "--env-vars")

    assert open_ones == []
    assert holding == []
    assert "hf_sss" not in shown + kept


def test_files_of_a_submission_do_not_grow_but_for_logs(finished: Path):
    """An array leaves a script, a list of its array tasks, and a log an array task."""
    folder = finished / "runs/echo/slurm/0001-generate-echo"
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    job = job_ids((finished / "said").read_text())[0]

    assert names == [
        f"{job}_submission.sh", "logs/0.log", "logs/1.log", "logs/2.log", "submission.json",
    ]  # fmt: skip


def test_gc_removes_what_is_finished_and_nothing_else(cluster: Cluster, finished: Path):
    """Logs, scripts and old code go; answers, scores and tables stay, and a sweep still works."""
    before = tables(finished / "runs/echo")
    done = launch(cluster, "gc", "--config", "echo.toml", cwd=finished)

    assert done.returncode == 0, done.stderr
    assert not list((finished / "runs/echo/slurm").glob("0*"))
    assert tables(finished / "runs/echo") == before
    assert "tables and page" in sweep(cluster, finished)


def test_a_second_sweep_leaves_what_is_queued_alone(cluster: Cluster, tmp_path: Path):
    """While a run is in the queue, sweep submits nothing; a new prompt is submitted alone."""
    on_cluster(tmp_path)
    more = 'models.echo.prompts=["none", "prompt1", "prompt2", "special_tokens"]'
    with held(cluster):
        sweep(cluster, tmp_path)
        same = sweep(cluster, tmp_path)
        grown = sweep(cluster, tmp_path, "--set", more)
    drained(cluster)
    standing = status(cluster, tmp_path)
    rows = [line["rows"] for line in standing["conditions"]]

    assert job_ids(same) == []
    assert "array tasks of this run were in the queue already" in same
    assert len(job_ids(grown)) == 3
    assert all(line["done"] for line in standing["conditions"])
    assert rows == [116, 128, 128, 128, 128]
    assert "PARTIAL" not in (tmp_path / "runs/echo/report/table1.tex").read_text()


def test_two_sweeps_at_once_do_each_shard_once(cluster: Cluster, tmp_path: Path):
    """Two launchers in the same second submit each task once between them."""
    on_cluster(tmp_path)
    command = [sys.executable, "-m", "jobs.launch", "sweep", "--config", "echo.toml"]
    both = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(cluster.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    drained(cluster)
    started = [
        line
        for log in (tmp_path / "runs/echo/slurm").rglob("*.log")
        for line in log.read_text().splitlines()
        if '"event": "done"' in line and "generate" in line
    ]

    assert [process.returncode for process in both] == [0, 0], said
    assert len(started) == 3
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


def test_an_edit_after_submission_changes_nothing(cluster: Cluster, tmp_path: Path):
    """Array tasks run the code and the plan of the submission, from another folder."""
    on_cluster(tmp_path)
    copy = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    for package in ("jobs", "slurm", "empathy_core", "reports"):  # what is not committed yet too
        subprocess.run(["cp", "-rT", str(ROOT / package), str(copy / package)], check=True)
    env = cluster.env | {"PYTHONPATH": str(copy)}
    with held(cluster):
        sweep_done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path, env=env)
        assert sweep_done.returncode == 0, sweep_done.stderr
        (copy / "jobs" / "executors" / "slurm" / "array_task.py").write_text(
            "raise SystemExit('edited')\n"
        )
        (tmp_path / "echo.toml").write_text("name = 'echo'\n")
    drained(cluster)
    report = json.loads((tmp_path / "runs/echo/report/summary.json").read_text())

    assert report["partial"] is False


def test_other_package_versions_are_refused(cluster: Cluster, tmp_path: Path):
    """An array task that finds another version than the plan's does nothing and says so."""
    on_cluster(tmp_path)
    other = tmp_path / "other" / "polars-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 0.1\n")
    line = f"export PYTHONPATH=$PYTHONPATH:{other.parent}"
    said = sweep(cluster, tmp_path, "--set", f"slurm.setup=['{line}']")
    drained(cluster)
    task = "generate-echo-00000-of-00003"
    told = launch(cluster, "explain", task, "--config", "echo.toml", cwd=tmp_path)

    assert len(job_ids(said)) == 3
    assert explained(cluster, tmp_path, task) == ["mistake"]
    assert "polars 0.1 (planned: " in told.stdout


@pytest.mark.parametrize("lacking", [("sacct",), ("sacct", "squeue", "scontrol", "sbatch")])
def test_everything_is_told_without_accounting_and_without_slurm(
    cluster: Cluster, tmp_path: Path, lacking: tuple[str, ...]
):
    """Status, explain and logs work with squeue alone, and from the files alone."""
    config = ECHO.replace("[models.echo]", "[models.echo]\noptions = { fail = 'panic' }")
    on_cluster(tmp_path, quick(config + SLURM))
    sweep(cluster, tmp_path)
    drained(cluster)
    env = without(cluster.env, *lacking)
    command = ["status", "--config", "echo.toml", "--json"]
    shown = locally(*command, cwd=tmp_path, env=env)
    stages = {s["stage"]: s for s in json.loads(shown.stdout)["stages"]}
    told = locally(
        "explain", "generate-echo-00000-of-00003", "--config", "echo.toml", "--json",
        cwd=tmp_path, env=env,
    )  # fmt: skip
    logged = locally("logs", "echo", "--config", "echo.toml", cwd=tmp_path, env=env)
    kinds = [a["kind"] for a in json.loads(told.stdout)[0]["attempts"]]

    assert sum(stages["generate"]["failed"].values()) + stages["generate"]["done"] == 3
    assert stages["generate"]["failed"] != {}
    assert kinds in (["exception"], ["done"])
    assert "echo failed on" in logged.stdout
    assert ("Slurm was not reached" in shown.stderr) == ("squeue" in lacking)


def test_cancel_takes_one_or_all_and_retry_brings_them_back(cluster: Cluster, tmp_path: Path):
    """Cancelled array tasks leave a stamped report that waits for nobody; retry completes it."""
    slow = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 0.1 }")
    on_cluster(tmp_path, slow + SLURM)
    said = sweep(cluster, tmp_path)
    first = job_ids(said)[0]
    cluster.wait_for(lambda: processes(cluster, first, 1))
    for process in processes(cluster, first, 1):  # it cannot end before it is cancelled
        os.kill(process, signal.SIGSTOP)
    one = launch(cluster, "cancel", f"{first}_1", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)
    assert one.returncode == 0, one.stderr
    assert "PARTIAL" in (tmp_path / "runs/echo/report/table1.tex").read_text()
    assert explained(cluster, tmp_path, "generate-echo-00001-of-00003") == ["cancelled"]
    with held(cluster):
        again = launch(cluster, "retry", "--config", "echo.toml", cwd=tmp_path)
        assert "generate echo, 1 array task\n" in again.stdout, again.stderr
        everything = launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        assert everything.returncode == 0, everything.stderr
    drained(cluster)
    launch(cluster, "retry", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)

    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])
    assert "PARTIAL" not in (tmp_path / "runs/echo/report/table1.tex").read_text()


def test_a_cancelled_report_is_made_by_the_next_sweep(cluster: Cluster, tmp_path: Path):
    """With its report job cancelled, a run has no tables; a sweep writes them at once."""
    on_cluster(tmp_path)
    with held(cluster):
        sweep(cluster, tmp_path)
        done = launch(cluster, "cancel", "report", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)
    there = (tmp_path / "runs/echo/report").exists()
    said = sweep(cluster, tmp_path)

    assert done.returncode == 0, done.stderr
    assert not there
    assert job_ids(said) == []
    assert (tmp_path / "runs/echo/report/table1.tex").exists()


def test_a_launcher_killed_after_sbatch_loses_no_job(cluster: Cluster, tmp_path: Path):
    """A submission whose job id was never recorded is found again by its comment."""
    on_cluster(tmp_path)
    record = tmp_path / "runs/echo/slurm/jobs.jsonl"
    with held(cluster):
        sweep(cluster, tmp_path)
        lines = [line for line in record.read_text().splitlines() if line]
        record.write_text("\n".join(lines[1:]) + "\n")
        again = sweep(cluster, tmp_path)
    drained(cluster)

    assert job_ids(again) == []
    assert len([line for line in record.read_text().splitlines() if line]) == len(lines) == 3
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


def test_the_pilot_measures_and_proposes(cluster: Cluster, tmp_path: Path):
    """One block of each condition is answered; the rest goes on from it; empties stop it."""
    on_cluster(tmp_path)
    done = launch(cluster, "sweep", "--config", "echo.toml", "--pilot", cwd=tmp_path)
    blocks = [line["rows"] for line in status(cluster, tmp_path)["conditions"]]

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Q: ") == 15
    assert "[models.echo]\nshards = 1" in done.stdout
    assert all(0 < rows < 20 for rows in blocks[1:])


def test_setup_and_a_blind_node_are_named(cluster: Cluster, tmp_path: Path):
    """A set-up line that fails and a node that does not see the run say so, in plain words."""
    on_cluster(tmp_path)
    sweep(cluster, tmp_path, "--set", "slurm.setup=['false']")
    drained(cluster)
    assert explained(cluster, tmp_path, "generate-echo-00000-of-00003") == ["setup failed"]
    init = cluster.run(ROOT / "slurm/sim/node.sh", cluster.folder, "pids", "g1").split()[-1]
    hide = ["nsenter", "-t", init, "-m", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    subprocess.run(hide, check=True)
    try:
        launch(cluster, "retry", "--config", "echo.toml", cwd=tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
        drained(cluster)
        sweep(cluster, tmp_path, "--name", "blind", "--set", "slurm.partition='gpu'")
        drained(cluster)
        kinds = explained(cluster, tmp_path, "generate-echo-00000-of-00003", "--name", "blind")
    finally:
        subprocess.run(["nsenter", "-t", init, "-m", "umount", str(tmp_path)], check=True)

    assert kinds == ["run directory not seen"]
    assert os.environ.get("SLURM_JOB_ID") is None
