"""A refinement on a cluster: one array a step, and what a machine alone finds."""

from pathlib import Path

import pytest

from tests.runs.refined import CALL, REFINED, write_refined
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, job_ids, launch, quick

SMALL = REFINED.replace('proposer = "echo"\nproposals = 3\n', "").replace("[6, 12, 18]", "[6, 12]")
MOST_CALLS = 5


@pytest.mark.timeout(900)
def test_called_again_after_each_step_it_ends_as_on_one_machine(cluster: Cluster, tmp_path: Path):
    """Each call submits the next step; the last one prints what came of it."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, text in ((here, SMALL), (there, quick(SMALL + SLURM))):
        folder.mkdir()
        write_refined(folder, text)
    alone = launch(cluster, *CALL, cwd=here)
    said = []
    for _ in range(MOST_CALLS):
        done = launch(cluster, "refine", "--config", "echo.toml", cwd=there)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
        if "Optimism" in done.stdout:
            break
        drained(cluster)

    assert alone.returncode == 0, alone.stderr
    assert len(said) == 4  # two rounds, the test, and what came of it
    assert [len(job_ids(text)) > 0 for text in said] == [True, True, True, False]
    assert all("submitted" in text and "goes on from there" in text for text in said[:3])
    for name in ("rankings.csv", "candidates.jsonl", "outcome.json"):
        ours, theirs = (f / "runs/echo/refine/shorter" / name for f in (there, here))
        assert ours.read_bytes() == theirs.read_bytes()
