"""A refinement on a cluster: one array a step, and what a machine alone finds."""

from pathlib import Path

import pytest

from tests.runs.refined import CALL, REFINED, write_refined
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, job_ids, launch, quick

SMALL = REFINED.replace('proposer = "echo"\nproposals = 3\n', "").replace("[6, 12, 18]", "[6, 12]")


@pytest.mark.timeout(900)
def test_step_after_step_it_ends_as_on_one_machine(cluster: Cluster, tmp_path: Path):
    """The first call submits a round; a second one waits for each step, to the end."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, text in ((here, SMALL), (there, quick(SMALL + SLURM))):
        folder.mkdir()
        write_refined(folder, text)
    alone = launch(cluster, *CALL, cwd=here)
    first = launch(cluster, "refine", "--config", "echo.toml", cwd=there)
    drained(cluster)
    rest = launch(cluster, "refine", "--config", "echo.toml", "--wait", cwd=there)

    for done in (alone, first, rest):
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(job_ids(first.stdout)) == 3  # answers, scores, the step's own report
    assert "run the same command again when it is done" in first.stdout
    assert len(job_ids(rest.stdout)) == 6  # another round, and the test
    assert "Optimism" in rest.stdout
    for name in ("rankings.csv", "candidates.jsonl", "outcome.json"):
        ours, theirs = (f / "runs/echo/refine/shorter" / name for f in (there, here))
        assert ours.read_bytes() == theirs.read_bytes()
