"""Rows are added on a cluster when nothing is in the queue; what Slurm refuses leaves nothing."""

import json
from pathlib import Path

import polars as pl

from tests.jobs.commands.test_refused_sweeps import tree
from tests.runs.command_line import ECHO
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, held, launch, on_cluster, quick, sweep

FEW = quick((ECHO + SLURM).replace('"none", "prompt1", "prompt2"', '"prompt1"'))
SMALL, LARGE = ("--set", "evaluate.limit=12"), ("--set", "evaluate.limit=30")


def test_rows_are_added_when_nothing_is_in_the_queue(cluster: Cluster, tmp_path: Path):
    """Refused while tasks wait that know of fewer rows; then the run grows, and is whole."""
    on_cluster(tmp_path, FEW)
    run = tmp_path / "runs" / "echo"
    with held(cluster):
        sweep(cluster, tmp_path, *SMALL)
        before = tree(run)
        refused = launch(cluster, "sweep", "--config", "echo.toml", *LARGE, cwd=tmp_path)
        here = launch(
            cluster, "sweep", "--config", "echo.toml", *LARGE, "--executor", "local", cwd=tmp_path
        )
        after = tree(run)
    drained(cluster)
    answered = answers(run)
    sweep(cluster, tmp_path, *LARGE)
    drained(cluster)

    for done in (refused, here):
        assert done.returncode == 2, done.stdout
        assert "in the queue, for fewer rows:" in done.stderr
        assert "evaluate.limit adds 18" in done.stderr
        assert "cancel" in done.stderr
    assert after == before
    assert answered.items() <= answers(run).items()
    assert len(answers(run)) == 30
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert not summary["partial"]
    assert {c["n_answered"] for c in summary["conditions"] if "echo" in c["condition"]} == {30}


def answers(run: Path) -> dict[str, str]:
    """Return example → text of the echo's answers, each of which is there once."""
    rows = pl.read_parquet(list(run.glob("generations/echo*/*.parquet")))
    assert rows["example"].is_unique().all()
    return dict(rows.select("example", "text").iter_rows())


def test_what_slurm_refuses_leaves_nothing_behind(cluster: Cluster, tmp_path: Path):
    """No partition of that name: neither the first sweep nor one that adds rows writes anything."""
    on_cluster(tmp_path, FEW)
    run = tmp_path / "runs" / "echo"
    wrong = ("sweep", "--config", "echo.toml", "--set", "slurm.partition=nowhere")

    first = launch(cluster, *wrong, *SMALL, cwd=tmp_path)
    left = tree(tmp_path / "runs")
    sweep(cluster, tmp_path, *SMALL)
    drained(cluster)
    before = tree(run)
    more = launch(cluster, *wrong, *LARGE, cwd=tmp_path)
    pilot = launch(cluster, *wrong, *LARGE, "--pilot", cwd=tmp_path)

    assert left == {}
    for refused in (first, more, pilot):
        assert refused.returncode == 2, refused.stdout
        assert "Slurm would not take" in refused.stderr
    assert tree(run) == before
