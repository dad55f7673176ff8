"""Ratings by a judge when a run gets more rows: those that are there stay, and cost nothing."""

from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.metrics._judge import Metric
from empathy_core.store import RunDir
from tests.judging import sweep_here, write_judged

ONE = "models.echo.prompts=['none']"
pytestmark = pytest.mark.slow


def ratings(run: RunDir) -> pl.DataFrame:
    """Return the ratings of all answers on both dimensions."""
    folders = sorted((run.root / "scores").glob("*warmth*/*")) + sorted(
        (run.root / "scores").glob("*harm*/*")
    )
    frames = [pl.read_parquet(p) for folder in folders for p in store.list_pieces(folder)]
    return pl.concat(frames, how="diagonal").sort("example", *frames[0].columns[4:6])


def test_a_judge_reads_only_the_added_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nine rows, then sixteen: seven answers are read, and all ratings are those of one go."""
    write_judged(tmp_path)
    run = RunDir(tmp_path / "runs" / "judged")
    read: list[int] = []
    real = Metric.measure

    def measure(self: Metric, rows: pl.DataFrame, state: object) -> object:
        read.append(rows.height)
        return real(self, rows, state)

    monkeypatch.setattr(Metric, "measure", measure)
    sweep_here(tmp_path, ONE, "evaluate.limit=9")
    few, n_few = ratings(run), sum(read)
    read.clear()
    sweep_here(tmp_path, ONE, "evaluate.limit=16")
    grown, n_added = ratings(run), sum(read)
    run.root.rename(tmp_path / "grown")
    sweep_here(tmp_path, ONE, "evaluate.limit=16")
    once = ratings(run)

    assert (n_few, n_added) == (2 * 9, 2 * 7)
    kept = grown.filter(pl.col("example").is_in(few["example"].to_list()))
    assert kept.equals(few)
    names = [name for name, dtype in once.schema.items() if dtype == pl.Float64]
    assert grown["example"].to_list() == once["example"].to_list()
    for name in names:
        apart = (grown[name].fill_null(-1) - once[name].fill_null(-1)).abs().max()
        assert apart < 1e-5  # type: ignore[operator]  # a number; batches are others
