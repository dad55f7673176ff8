"""A judged run on a cluster: the bytes of one on this machine, in array tasks of its own."""

from pathlib import Path

from empathy_core.store import RunDir
from jobs.executors.slurm.submissions import Ledger
from tests.judging import write_judged
from tests.runs.judged import JUDGED
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, launch, quick, tables

CONFIG = ("--config", "judged.toml")
RESOURCES = "[judges.one.slurm]\ntime_min = 7\nmem_gb = 1\n[scoring]\nshards = 2\n"


def test_a_judged_run_on_a_cluster_has_the_bytes_of_one_here(cluster: Cluster, tmp_path: Path):
    """The judge's array tasks have the time and memory of its table, the others the stage's."""
    write_judged(tmp_path, quick(JUDGED + RESOURCES + SLURM))
    here = launch(cluster, "sweep", *CONFIG, "--executor", "local", "--name", "here", cwd=tmp_path)
    assert here.returncode == 0, here.stderr

    there = launch(cluster, "sweep", *CONFIG, cwd=tmp_path)
    assert there.returncode == 0, there.stdout + there.stderr
    drained(cluster)

    runs = tmp_path / "runs"
    ran, calm = tables(runs / "judged"), tables(runs / "here")
    assert ran == calm
    assert sum("scores/judge_one" in path for path in ran) == 2 * 2 * 2
    submitted = Ledger(RunDir(runs / "judged")).submissions()
    asked = {s.key: s.resources for s in submitted if s.stage == "score"}
    assert (asked["judge-one"].time_min, asked["judge-one"].mem_gb) == (7, 1)
    assert (asked["lexical"].time_min, asked["lexical"].mem_gb) == (30, 0.4)
