"""The demo, made small: real text by a real model, to the paper's table."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
import sacrebleu

from tests.papers import needs_latex
from tests.runs.command_line import ROOT, launch

SMALL = (
    "evaluate.limit=6",
    "decoding.greedy.max_new_tokens=16",
    "generation.shards=1",
    "local.workers=1",
)


def sweep(folder: Path, *changes: str, name: str = "demo", config: str = "demo") -> None:
    arguments = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    done = launch("sweep", "--config", config, "--name", name, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small demo's finished run."""
    folder = tmp_path_factory.mktemp("demo")
    sweep(folder)
    return folder


def answers(folder: Path, name: str = "demo") -> dict[tuple[str, str], str]:
    found = {}
    for path in folder.glob(f"runs/{name}/generations/smollm2*/*.parquet"):
        for row in pl.read_parquet(path).iter_rows(named=True):
            prompt = row["condition"].split(".")[1]
            found[prompt, row["example"]] = row["text"]
    return found


def test_the_table_holds_real_text_of_three_prompts_and_the_therapist(demo: Path):
    """Four rows with numbers; the model wrote something under each prompt."""
    with (demo / "runs/demo/report/summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    texts = answers(demo)

    assert len(texts) == 18
    assert all(len(text.split()) >= 5 for text in texts.values())
    assert len({(r["model"], r["prompt"]) for r in rows}) == 4


def test_the_printed_bleu_is_the_reference_librarys(demo: Path):
    """From the stored texts, sacrebleu computes what summary.csv says."""
    examples = pl.read_parquet(demo / "runs/demo/examples/examples.parquet")
    references = dict(examples.select("id", "response").iter_rows())
    summary = pl.read_csv(demo / "runs/demo/report/summary.csv")
    texts = answers(demo)
    for prompt, label in (("none", "No Prompt"), ("prompt2", "Prompt 2")):
        mine = [(text, references[e]) for (p, e), text in texts.items() if p == prompt]
        hypotheses, refs = [list(side) for side in zip(*mine, strict=True)]
        expected = sacrebleu.corpus_bleu(hypotheses, [refs], smooth_method="none").score / 100
        row = summary.filter(
            (pl.col("prompt") == label)
            & (pl.col("column") == "bleu")
            & (pl.col("subset") == "all")
            & pl.col("model").str.contains("SmolLM2")
        )

        assert row["score"].item() == pytest.approx(expected, abs=5e-7)


def _without_encoders() -> str:
    """Return the demo's configuration with the metrics that need no model: texts are compared."""
    text = (ROOT / "jobs" / "configs" / "demo.toml").read_text()
    start, end = text.index("[metrics.bertscore]"), text.index("[metrics.length]")
    return text[:start] + text[end:]


@pytest.mark.parametrize("block_size", [1, 4])
def test_in_fp32_another_block_size_changes_no_text(demo: Path, block_size: int):
    """Batches are a matter of speed; every answer is the same to the letter."""
    name = f"blocks-{block_size}"
    (demo / f"{name}.toml").write_text(_without_encoders())
    change = f"evaluate.block_size={block_size}"
    sweep(demo, change, name=name, config=f"{name}.toml")

    assert answers(demo, name) == answers(demo)


def test_a_recheck_agrees_with_the_reference_libraries(demo: Path):
    """A recheck goes through every metric's own library and finds no difference."""
    done = launch("report", "--config", "demo", "--recheck", "6", cwd=demo)

    assert done.returncode == 0, done.stderr
    text = done.stdout.lower()
    assert "bleu" in text
    assert "bertscore" in text


@needs_latex
def test_the_fragment_compiles_inside_a_paper(demo: Path, tmp_path: Path):
    """An article that loads what the table names takes table1.tex; the standalone one compiles."""
    for path in (demo / "runs/demo/report").glob("*.tex"):
        shutil.copy(path, tmp_path)
    preamble = r"\documentclass{article}\usepackage{booktabs}"
    paper = preamble + r"\begin{document}\input{table1}\end{document}"
    (tmp_path / "paper.tex").write_text(paper)
    for name in ("paper.tex", "table1-standalone.tex"):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]


def test_the_page_needs_no_network_and_tells_the_command(demo: Path):
    """index.html loads nothing from elsewhere, and names the command and the commit."""
    page = (demo / "runs/demo/report/index.html").read_text()

    assert not re.findall(r"(?:src|href)=[\"']https?://", page)
    assert "jobs.launch sweep" in page


def test_status_knows_the_speed(demo: Path):
    """The standing of a finished run has rows, scores and tokens/s."""
    done = launch("status", "--config", "demo", "--json", cwd=demo)
    lines = json.loads(done.stdout)["conditions"]

    assert all(line["done"] for line in lines)
    assert any((line["tokens_per_s"] or 0) > 0 for line in lines)
