"""A run that an older version of the suite submitted, on a cluster that no longer has its jobs."""

import json
from pathlib import Path

from empathy_core import store
from tests import old_runs
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, job_ids, launch


def _said(cluster: Cluster, home: Path, *arguments: str) -> str:
    done = launch(cluster, *arguments, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_jobs_that_are_gone_are_submitted_again_by_a_sweep(cluster: Cluster, tmp_path: Path):
    """Status calls them failed, explain knows them, and only what is missing is answered."""
    home = old_runs.unpack(tmp_path / "home")
    run = home / "runs" / "queued"
    config = ("--config", "queued.toml")
    [journal] = run.glob("generations/echo.prompt2.*/journal/*.jsonl")
    n_done = len(store.read_journal(journal))
    kept = {p: p.read_bytes() for p in run.glob("generations/*/0*.parquet")}
    before = json.loads(_said(cluster, home, "status", *config, "--json"))
    told = json.loads(_said(cluster, home, "explain", "--failed", *config, "--json"))
    submitted = _said(cluster, home, "sweep", *config)
    drained(cluster)
    after = json.loads(_said(cluster, home, "status", *config, "--json"))

    assert [line["done"] for line in before["conditions"]] == [False] * 3
    assert told
    assert len(job_ids(submitted)) == 3
    assert all(line["done"] for line in after["conditions"])
    assert {path: path.read_bytes() for path in kept} == kept
    assert "PARTIAL" not in (run / "report" / "table1.tex").read_text()
    assert (run / "report" / "version.json").is_file()
    log = "".join(p.read_text() for p in run.glob("slurm/0004-generate-echo/logs/*.log"))
    assert f"{n_done} blocks found, {5 - n_done} to do" in log


def test_what_an_older_version_has_in_the_queue_stays_its_own(cluster: Cluster, tmp_path: Path):
    """A version that generates otherwise neither submits it twice nor answers it twice."""
    home = old_runs.unpack(tmp_path / "home")
    path = home / "planned.toml"
    path.write_text(f"{path.read_text()}{SLURM}[slurm.options]\nhold = true\n")
    config = ("--config", "planned.toml")
    jobs = job_ids(_said(cluster, home, "sweep", *config))
    suite = old_runs.raised(tmp_path / "suite", "GENERATION_VERSION")
    newer = {"PYTHONPATH": str(suite)}
    again = launch(cluster, "sweep", *config, cwd=home, env=newer)
    assert again.returncode == 0, again.stderr
    for job in {array_task.split("_")[0] for array_task in cluster.queue()}:
        cluster.run("scontrol", "release", job)
    drained(cluster)
    after = launch(cluster, "status", *config, "--json", cwd=home, env=newer)

    assert len(jobs) == 3
    assert "generate" not in again.stdout
    assert all(line["done"] for line in json.loads(after.stdout)["conditions"])
    assert len(list((home / "runs/planned/generations").glob("echo.*"))) == 1
