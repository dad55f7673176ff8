"""How often each command calls Slurm's: as the page about clusters says."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.markdown_pages import DOCS, tables
from tests.runs.command_line import environment
from tests.slurm.cluster import Cluster
from tests.slurm.runs import drained, held, launch, on_cluster, sweep

PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr", "sinfo")
HEADING = "What each command asks of Slurm"


@pytest.fixture
def counted(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    """A PATH on which Slurm's commands write down that they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        real = cluster.run("which", name).strip()
        option = '"${1#--}"' if name == "sbatch" else '""'
        (folder / name).write_text(
            f'#!/bin/bash\necho {name} {option} >> {tmp_path}/calls\nexec {real} "$@"\n'
        )
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{cluster.env['PATH']}"}


def documented() -> dict[str, Counter[str]]:
    """Return command → program → calls, from the page."""
    [rows] = [rows for heading, rows in tables(DOCS / "cluster.md") if heading == HEADING]
    counts = {
        command.replace("`", ""): dict(zip(PROGRAMS, map(int, cells), strict=True))
        for command, *cells in rows
    }
    return {command: +Counter(programs) for command, programs in counts.items()}


def test_the_page_says_how_often_slurm_is_called(
    cluster: Cluster, tmp_path: Path, counted: dict[str, str]
):
    """Three arrays of one kind each; how many array tasks they have changes nothing."""
    on_cluster(tmp_path)
    seen: dict[str, Counter[str]] = {}

    def call(name: str, *words: str) -> None:
        log = tmp_path / "calls"
        log.write_text("")
        done = launch(cluster, *words, "--config", "echo.toml", cwd=tmp_path, env=counted)
        assert done.returncode == 0, done.stderr
        seen[name] = Counter(line.split()[0] for line in log.read_text().splitlines())

    with held(cluster):
        call("sweep (first)", "sweep")
        call("status", "status")
        call("sweep (everything queued)", "sweep")
        call("cancel generate-echo-00001-of-00003", "cancel", "generate-echo-00001-of-00003")
        call("cancel", "cancel")
    call("status (some failed)", "status")
    call("explain --failed", "explain", "--failed")
    call("retry", "retry")
    drained(cluster)
    call("sweep (everything done)", "sweep")

    assert seen == documented()


def test_watching_asks_the_accounting_only_of_what_has_ended(
    cluster: Cluster, tmp_path: Path, counted: dict[str, str]
):
    """Each look is a query of squeue; sacct is asked twice at most, since it may be late."""
    on_cluster(tmp_path)
    log = tmp_path / "calls"
    watch = [sys.executable, "-m", "jobs.launch", "status", "--watch", "--config", "echo.toml"]
    with held(cluster):
        sweep(cluster, tmp_path)
        launch(cluster, "cancel", "generate-echo-00001-of-00003", *watch[-2:], cwd=tmp_path)
        process = subprocess.Popen(
            watch, cwd=tmp_path, env=environment(cluster.env | counted), stdout=subprocess.PIPE
        )
        cluster.wait_for(lambda: log.exists() and log.read_text().count("squeue") >= 4)
        calls = Counter(line.split()[0] for line in log.read_text().splitlines())
        launch(cluster, "cancel", *watch[-2:], cwd=tmp_path)
    said, _ = process.communicate(timeout=300)

    assert said.count(b"1 failed: ") >= 3
    assert 1 <= calls["sacct"] <= 2
