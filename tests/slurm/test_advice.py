"""What is said of failures and of what waits, on a real cluster: causes, nodes, times, reasons."""

import json
from pathlib import Path

from tests.runs.command_line import write_questions
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, held, launch, on_cluster, quick, status, sweep

MANY = """
name = "echo"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 1
[generation]
shards = 18
[models.echo]
prompts = ["none"]
[metrics.bleu]
"""
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
    on_cluster(tmp_path, quick(MANY + BROKEN))
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
    on_cluster(tmp_path, quick(MANY + BROKEN + "max_node_failures = 0\n"))
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
    config = MANY.replace("shards = 18", "shards = 2").replace(
        "[models.echo]", "[models.echo]\noptions = { fail = 'number 1' }"
    )
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
