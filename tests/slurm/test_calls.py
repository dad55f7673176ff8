"""How often each command calls Slurm's: as the page about clusters says."""

from collections import Counter
from pathlib import Path

import pytest

from tests.docs.markdown_pages import DOCS, tables
from tests.slurm.cluster import Cluster
from tests.slurm.runs import drained, held, launch, on_cluster

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
