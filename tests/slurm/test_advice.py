"""What is said of failures and of what waits, on a real cluster: causes, nodes, times, reasons."""

import json
from pathlib import Path

import pytest

from tests.runs.command_line import write_questions
from tests.slurm.cluster import Cluster, without
from tests.slurm.runs import (
    QUIET,
    SLURM,
    drained,
    held,
    job_ids,
    launch,
    of_shards,
    on_cluster,
    quick,
    status,
    sweep,
)

BROKEN = """
[slurm]
cpus = 8
mem_gb = 0.4
time_min = 30
setup = ['[ "$(hostname -s)" != c2 ]', '[ "$(hostname -s)" = c2 ] || sleep 1']
"""


def test_a_broken_node_among_three_is_named_and_left_out(cluster: Cluster, tmp_path: Path):
    """It swallows most of an array; all its failures are one entry, and retry keeps away."""
    write_questions(tmp_path, 18)
    on_cluster(tmp_path, quick(of_shards(18) + BROKEN))
    sweep(cluster, tmp_path)
    drained(cluster)
    told = launch(cluster, "explain", "--failed", "--config", "echo.toml", cwd=tmp_path)
    seen = status(cluster, tmp_path)
    [cause] = [failure for failure in seen["failures"] if failure["kind"] == "setup failed"]
    n_failed = seen["stages"][0]["failed"]["setup failed"]
    again = launch(cluster, "retry", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)

    assert n_failed >= 4
    assert (cause["n"], cause["nodes"]) == (n_failed, {"c2": n_failed})
    assert told.stdout.count("line 1 of setup") == 2  # the headline, and one example
    assert f"{n_failed} failed: setup failed on c2" in told.stdout
    assert f"logs {cause['example']}" in told.stdout
    assert f"c2 failed {n_failed} of {n_failed} attempts" in told.stdout
    assert "retry --exclude c2" in told.stdout
    assert again.returncode == 0, again.stderr
    assert "kept away from c2" in again.stderr
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


def test_a_broken_node_is_not_left_out_where_that_is_switched_off(cluster: Cluster, tmp_path: Path):
    """With max_node_failures = 0 nothing is excluded by itself."""
    write_questions(tmp_path, 18)
    on_cluster(tmp_path, quick(of_shards(18) + BROKEN + "max_node_failures = 0\n"))
    sweep(cluster, tmp_path)
    drained(cluster)
    with held(cluster):
        again = launch(cluster, "retry", "--config", "echo.toml", "--json", cwd=tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)
    answer = json.loads(again.stdout)

    assert answer["avoided"] == []
    assert "exclude" not in answer["submitted"][0]["asked"]


def test_times_do_not_depend_on_time_zones(cluster: Cluster, tmp_path: Path):
    """Array tasks nine hours ahead, a login node eight behind: the same times, in UTC."""
    config = of_shards(2).replace("[models.echo]", "[models.echo]\noptions = { fail = 'number 1' }")
    write_questions(tmp_path, 2)
    on_cluster(tmp_path, quick(config + SLURM + "env = { TZ = 'Asia/Tokyo' }\n"))
    sweep(cluster, tmp_path)
    drained(cluster)
    words = ("explain", "--failed", "--config", "echo.toml")
    west, east = (
        launch(cluster, *words, cwd=tmp_path, env={"TZ": zone})
        for zone in ("America/Los_Angeles", "Asia/Tokyo")
    )
    read = launch(cluster, *words, "--json", cwd=tmp_path, env={"TZ": "America/Los_Angeles"})
    spent = [a["end"] - a["start"] for task in json.loads(read.stdout) for a in task["attempts"]]
    logs = (tmp_path / "runs/echo/slurm").rglob("*.log")
    zoned = [line for log in logs for line in log.read_text().splitlines() if " INFO " in line]

    assert west.stdout == east.stdout
    assert " UTC, " in west.stdout
    assert all(0 <= seconds < 300 for seconds in spent)
    assert zoned
    assert all(line.split(" INFO ")[0].endswith("Z") for line in zoned)


WAITING = (
    (("uhold",), "JobHeldUser", "scontrol release"),
    (("hold",), "JobHeldAdmin", "ask your site's support"),
    (("update", "Dependency=afterok:{failed}"), "DependencyNeverSatisfied", "cancel it and submit"),
)
"""What is done to an array task that waits, Slurm's words for it, and ours."""


def test_what_waits_is_told_of_in_slurms_words_with_what_to_do(cluster: Cluster, tmp_path: Path):
    """Holds and a dependency that is never met: the reason and the next command, each pasteable."""
    on_cluster(tmp_path)
    failed = cluster.submit(*QUIET, "--wrap", "false")
    cluster.wait_for(lambda: cluster.states().get(failed) == "FAILED")
    task = "generate-echo-00001-of-00003"
    told: dict[str, str] = {}
    with held(cluster):
        [job, *_] = job_ids(sweep(cluster, tmp_path))
        for (verb, *words), reason, _ in WAITING:
            given = [word.format(failed=failed) for word in words]
            cluster.run(
                "scontrol", verb, *(["job=" + f"{job}_1"] if words else [f"{job}_1"]), *given
            )
            cluster.wait_for(
                lambda r=reason: r in cluster.run("squeue", "-h", "-r", "-o", "%r"), 30
            )
            done = launch(cluster, "explain", task, "--config", "echo.toml", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            told[reason] = done.stdout
            undo = ["update", f"job={job}_1", "Dependency="] if words else ["release", f"{job}_1"]
            cluster.run("scontrol", *undo)
        cluster.run("scontrol", "uhold", f"{job}_1")
        seen = launch(cluster, "status", "--config", "echo.toml", cwd=tmp_path).stdout
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    drained(cluster)

    for _, reason, words in WAITING:
        assert reason in told[reason]
        assert words in told[reason]
    assert f"scontrol release {job}_1" in told["JobHeldUser"]
    assert f"cancel {task}" in told["DependencyNeverSatisfied"]
    assert "1 wait: JobHeldUser: it is held by its user: release it" in seen


def test_nodes_out_of_service_are_no_refusal(cluster: Cluster, tmp_path: Path):
    """With every node of the partition drained, jobs are submitted all the same, with a warning."""
    on_cluster(tmp_path, quick())
    cluster.run("scontrol", "update", "nodename=c[1-3]", "state=drain", "reason=new firmware")
    try:
        done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        cluster.wait_for(lambda: "Nodes required" in cluster.run("squeue", "-h", "-o", "%r"))
        told = launch(
            cluster, "explain", "generate-echo-00000-of-00003", "--config", "echo.toml",
            cwd=tmp_path,
        )  # fmt: skip
    finally:
        cluster.run("scontrol", "update", "nodename=c[1-3]", "state=resume")
    drained(cluster)

    assert done.returncode == 0, done.stderr
    assert "c1 drained (new firmware)" in done.stderr
    assert "no node that it may use is in service" in told.stdout
    assert "sinfo -R" in told.stdout
    assert all(line["done"] for line in status(cluster, tmp_path)["conditions"])


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [("DOWN", 0, "takes jobs, and starts none"), ("DRAIN", 2, "takes no new jobs")],
)
def test_a_closed_partition_is_named(
    cluster: Cluster, tmp_path: Path, state: str, code: int, words: str
):
    """Where Slurm takes jobs, they are submitted with a warning; where not, the refusal says so."""
    on_cluster(tmp_path, quick())
    cluster.run("scontrol", "update", "partitionname=cpu", f"state={state}")
    try:
        done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    finally:
        cluster.run("scontrol", "update", "partitionname=cpu", "state=UP")
    drained(cluster)

    assert done.returncode == code
    assert words in done.stderr


def test_a_reservation_for_maintenance_is_named(cluster: Cluster, tmp_path: Path):
    """What waits for its end says so, and how to see it."""
    on_cluster(tmp_path, quick())
    cluster.run(
        "scontrol", "create", "reservation", "reservationname=maint", "starttime=now+60",
        "duration=60", "nodes=c[1-3]", "users=nobody", "flags=maint,ignore_jobs",
    )  # fmt: skip
    try:
        done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
        cluster.wait_for(lambda: "maintenance" in cluster.run("squeue", "-h", "-o", "%r"))
        task = "generate-echo-00000-of-00003"
        told = launch(cluster, "explain", task, "--config", "echo.toml", cwd=tmp_path)
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    finally:
        cluster.run("scontrol", "delete", "reservationname=maint")
    drained(cluster)

    assert done.returncode == 0, done.stderr
    assert "ReqNodeNotAvail, Reserved for maintenance" in told.stdout
    assert "scontrol show reservation" in told.stdout


def test_where_slurm_is_not_reached_nothing_that_waits_is_called_a_failure(
    cluster: Cluster, tmp_path: Path
):
    """On a laptop that mounts the run: whether a task waits or runs is unknown, and so it is said.

    It was called a failure, with the advice to submit it again.
    """
    on_cluster(tmp_path)
    absent = without(cluster.env, "sbatch", "scontrol", "squeue", "sacct")
    task = "generate-echo-00001-of-00003"

    def said(*words: str) -> str:
        done = launch(cluster, *words, "--config", "echo.toml", cwd=tmp_path, env=absent)
        assert "Slurm was not reached" in done.stderr
        return done.stdout

    with held(cluster):
        sweep(cluster, tmp_path)
        told, failed = said("explain", task), said("explain", "--failed")
        logs = said("logs", "--failed")
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)

    assert "attempt 1: unknown" in told
    assert "retry" not in told
    assert failed == logs == "nothing failed, as far as the files tell\n"
