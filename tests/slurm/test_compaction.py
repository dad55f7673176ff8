"""The report job of a real sweep leaves few result files."""

from pathlib import Path

from tests.runs.command_line import write_questions
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, of_shards, on_cluster, quick, status, sweep, tables

N_SHARDS = 110


def test_a_hundred_pieces_are_few_files_when_the_last_job_has_ended(
    cluster: Cluster, tmp_path: Path
):
    """A run in 110 pieces that lacked one: tables are the same bytes, and nothing is left to do."""
    write_questions(tmp_path, N_SHARDS)
    on_cluster(tmp_path, quick(of_shards(N_SHARDS) + SLURM))
    sweep(cluster, tmp_path, "--executor", "local")
    run = tmp_path / "runs" / "echo"
    before = report_of(run)
    (folder,) = run.glob("generations/*")
    (folder / "00007-of-00110.parquet").unlink()

    sweep(cluster, tmp_path)
    drained(cluster)

    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    pieces = [f"{shard:05d}-of-00008.parquet" for shard in range(8)]
    assert left == sorted([*pieces, "00000-of-00008.timing.json"])
    assert report_of(run) == before
    (line,) = status(cluster, tmp_path)["conditions"]
    assert (line["rows"], line["done"]) == (N_SHARDS, True)
    everything = tables(run)
    sweep(cluster, tmp_path)
    assert tables(run) == everything


def report_of(run: Path) -> dict[str, str]:
    """Return file of the report → digest of what must be the same to the byte."""
    return {name: d for name, d in tables(run).items() if name.startswith("report/")}
