"""Best of n on a real cluster: chosen between two rounds of scoring, each waiting for the other."""

from pathlib import Path

import polars as pl

from tests.runs.command_line import ECHO
from tests.runs.command_line import launch as locally
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, launch, on_cluster, quick, tables

CHOOSING = (
    ECHO.replace(
        "[models.therapist]",
        "[decoding.sampled]\nsample = true\nsamples = 3\nmax_new_tokens = 32\n"
        '[decoding.best]\nof = "sampled"\nchosen_by = "rouge1"\n[models.therapist]',
    )
    .replace('prompts = ["none", "prompt1", "prompt2"]', 'prompts = ["none"]\n'
             'decodings = ["greedy", "sampled", "best"]')
)  # fmt: skip


def test_a_choice_on_the_cluster_is_that_of_this_machine(cluster: Cluster, tmp_path: Path):
    """One sweep submits every stage, and the tables, whose choices are proven, are the same."""
    on_cluster(tmp_path, quick(CHOOSING + SLURM))
    done = launch(cluster, "sweep", "--config", "echo.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    drained(cluster)
    local = locally(
        "sweep", "--config", "echo.toml", "--executor", "local", "--name", "local", cwd=tmp_path
    )

    assert local.returncode == 0, local.stderr
    assert tables(tmp_path / "runs/echo") == tables(tmp_path / "runs/local")
    [choice] = (tmp_path / "runs/echo/generations").glob("*best*/choice/choice.parquet")
    assert pl.read_parquet(choice)["sample"].null_count() == 0
