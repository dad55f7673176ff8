"""Diversity is of all answers of a condition, however its rows are dealt to score tasks."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from empathy_core.metrics import diversity
from empathy_core.store import RunDir
from jobs.planning.plan import Task
from jobs.planning.plan_file import last_plan
from jobs.stages.score import score
from tests.runs.command_line import ECHO, launch, write_config

CONFIG = (
    ECHO.replace("block_size = 4", "block_size = 2")
    .replace('["none", "prompt1", "prompt2"]', '["none"]')
    .replace("[metrics.bleu]\n[metrics.rouge]\n[metrics.length]\n[metrics.diagnostics]",
             "[metrics.diversity]")
    .replace("[scoring]\nshards = 2", "[scoring]\nshards = 1")
)  # fmt: skip
"""60 questions make 30 blocks, and so 4 units: a group of before had 16 questions."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished run of two conditions."""
    folder = tmp_path_factory.mktemp("diverse")
    write_config(folder, CONFIG)
    done = launch("sweep", "--config", "echo.toml", cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return RunDir(folder / "runs" / "echo")


def scored(run: RunDir, name: str) -> pl.DataFrame:
    """Return the statistics of a condition, by example."""
    rows = pl.read_parquet(run.root / f"scores/diversity-*/{name}/*.parquet")
    assert rows["example"].is_unique().all()
    return rows.sort("example", "sample")


def conditions(run: RunDir) -> list[str]:
    """Return the conditions that have scores."""
    return sorted(path.name for path in (run.root / "scores").glob("diversity-*/*"))


@pytest.mark.parametrize("shards", [2, 5])
def test_any_number_of_score_shards_gives_the_same_statistics(
    run: RunDir, tmp_path: Path, shards: int
):
    """Row for row and to the bit; a fifth shard has no unit and writes nothing of use."""
    copy = RunDir(tmp_path / "echo")
    shutil.copytree(run.root, copy.root)
    shutil.rmtree(copy.root / "scores")
    plan = last_plan(copy)[0]

    for shard in range(shards):
        score(copy, plan, Task("score", "lexical", shard, shards), lambda _: None)

    assert conditions(copy) == conditions(run) != []
    for name in conditions(run):
        assert scored(copy, name).equals(scored(run, name))


def _distinct(texts: list[str], n: int) -> float:
    """Return distinct-n of all texts by its definition: Li et al. (2016)."""
    tokens = [Tokenizer13a()(text).split() for text in texts]
    every = Counter(tuple(t[i : i + n]) for t in tokens for i in range(len(t) - n + 1))
    return len(every) / sum(every.values())


def test_a_reports_number_is_of_the_whole_corpus(run: RunDir):
    """Counted again from the answers alone; groups of 16 questions would give another number."""
    with (run.root / "report" / "summary.csv").open(newline="") as file:
        found = {
            (row["condition"], row["column"]): float(row["score"])
            for row in csv.DictReader(file)
            if row["column"].startswith("group_distinct") and row["subset"] == "all"
        }
    (name,) = {of for of, _ in found if of.startswith("echo")}
    rows = pl.read_parquet(run.root / f"generations/{name}/*.parquet")
    texts = dict(zip(rows["text"], rows["block"] // 8, strict=True))

    for n in range(1, diversity.DISTINCT + 1):
        assert found[name, f"group_distinct{n}"] == pytest.approx(
            _distinct(list(texts), n), abs=1e-6
        )
        first = [text for text, unit in texts.items() if unit == 0]
        assert _distinct(first, n) > found[name, f"group_distinct{n}"] + 0.001
