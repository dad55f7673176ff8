"""A run with a classifier: trained in the score task, its agreement in the tables' notes."""

from pathlib import Path

import polars as pl
import pytest

from tests.labelled_replies import rows, write
from tests.metric_rows import ENCODER
from tests.runs.command_line import ECHO, launch, write_config

pytestmark = pytest.mark.slow

CLASSIFIER = f"""
[metrics.classifier]
path = "labelled.csv"
labels = ["warmth", "about"]
context = ["q"]
response = "r"
model = "{ENCODER}"
"""


def test_a_sweep_trains_scores_and_reports(tmp_path: Path):
    """Two score tasks agree; the notes say whose opinion it is, and how far it can be trusted."""
    config = ECHO.replace('prompts = ["none", "prompt1", "prompt2"]', 'prompts = ["none"]')
    config = config.replace("block_size = 4", "block_size = 2\nlimit = 24")  # two score batches
    write_config(tmp_path, config.replace("[metrics.bleu]\n[metrics.rouge]\n", "") + CLASSIFIER)
    write(tmp_path / "labelled.csv", rows(120))

    done = launch("sweep", "--config", "echo.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "echo"
    (folder,) = (run / "scores").glob("classifier-*")
    scores = pl.concat([pl.read_parquet(f) for f in sorted(folder.rglob("*.parquet"))])
    assert len(list(folder.rglob("*.parquet"))) == 4
    assert scores["held_out_warmth_f1"].n_unique() == 1
    assert scores["held_out_warmth_f1"][0] > 0.8
    assert scores.select(pl.col("classifier_warmth").is_between(0, 2).all()).item()
    detail = (run / "report" / "table-detail.html").read_text()
    assert "the opinion of a classifier, not of a person" in detail
    assert "labels warmth=" in detail
