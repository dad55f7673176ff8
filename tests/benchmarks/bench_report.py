"""The report of two runs, each in a process of its own, Python's start included in neither.

- A million scored rows, 10 conditions x 12,500 rows x 8 metrics, in 40 pieces of answers and 320 of
  scores: asked are less than 60 s and, as the largest resident set the kernel saw, 4 GiB.
- A paper's grid, 24 conditions (8 models x 3 prompts) x 787 rows under BLEU, ROUGE and three more
  metrics, with all pairs, prompts, interactions, pages and figures: asked are less than 10 s.

    python tests/benchmarks/bench_report.py
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from empathy_core import metrics, store  # noqa: E402 - after the path
from empathy_core.metrics import MetricProtocol  # noqa: E402 - after the path
from reports.spec import ReportSpec  # noqa: E402 - after the path
from reports.write import write_report  # noqa: E402 - after the path
from tests.runs.by_hand import DATA, HUMAN, Toy, condition, spec  # noqa: E402 - after the path

N_SHARDS, BLOCK_ROWS = 4, 16
BUDGET_S, BUDGET_BYTES, GRID_BUDGET_S = 60.0, 4 * 2**30, 10.0
WORDS = ("I", "hear", "how", "heavy", "this", "has", "become", "and", "wonder", "what", "helps")


def million() -> tuple[ReportSpec, int]:
    """Return nine models and the therapists under eight metrics, and the number of rows."""
    models = [condition(f"model{i}", f"Model {i}") for i in range(9)]
    toys = {f"toy{i}-00000000": Toy(f"toy{i}", main=i < 4) for i in range(8)}
    return spec(HUMAN, *models, metrics=toys), 12_500


def grid() -> tuple[ReportSpec, int]:
    """Return eight models under three prompts and six metrics, and the number of rows."""
    asked = [
        condition(f"model{i}", f"Model {i}", prompt)
        for i in range(8)
        for prompt in ("none", "prompt1", "prompt2")
    ]
    real = {metrics.key(n, m): m for n in ("bleu", "rouge") if (m := metrics.load(n, {}))}
    toys = {f"toy{i}-00000000": Toy(f"toy{i}") for i in range(3)}
    return spec(*asked, metrics={**real, **toys}), 787


RUNS = {"million": million, "grid": grid}


def make(run: store.RunDir, report: ReportSpec, n_rows: int) -> None:
    """Write the run; texts of about 60 words, statistics drawn by seed."""
    rng = np.random.default_rng(0)
    blocks = np.arange(n_rows) // BLOCK_ROWS
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(500)]
    ids = [f"amod-{i}" for i in range(n_rows)]
    examples = pl.DataFrame(
        {
            "id": ids,
            "context": [texts[i % 500] for i in range(n_rows)],
            "response": [texts[i % 499] for i in range(n_rows)],
            "source": "amod", "row": range(n_rows), "raw_sha256": "", "question": ids,
            "pair": ids, "author": None, "split": "test", "block": blocks,
        },
        schema=store.EXAMPLES,
    )  # fmt: skip
    store.write_bytes(store.frame_bytes(examples), run.examples)
    for made_by in report.conditions:
        keys = pl.DataFrame({"condition": made_by.id, "example": ids, "sample": 0, "block": blocks})
        answers = keys.with_columns(
            text=pl.Series([texts[i % 497] for i in range(n_rows)]), stop=pl.lit("eos"),
            prompt_sha256=pl.lit("0" * 64), n_prompt_tokens=100, n_output_tokens=80,
            n_special_tokens=0, prompt_truncated=False, output_ids=[1] * 80,
            thought=pl.lit(""), n_thought_tokens=0,
        ).cast(store.GENERATIONS)  # fmt: skip
        tags = {"kind": "generations", "condition": made_by.id, "data": DATA}
        digests = store.block_digests(answers)
        for shard in range(N_SHARDS):
            part = answers.filter(pl.col("block") % N_SHARDS == shard)
            store.write_piece(part, run.generation(made_by.id, shard, N_SHARDS), tags)
        inputs = json.dumps({str(u): d for u, d in store.unit_inputs(digests).items()})
        units = keys.with_columns(pl.col("block") // store.UNIT_BLOCKS).cast(store.SCORES)
        for key, metric in report.metrics.items():
            values = statistics(metric, rng, n_rows)
            marks = {**tags, "kind": "scores", "signature": metric.signature(), "inputs": inputs}
            for shard in range(N_SHARDS):
                part = units.hstack(values).filter(pl.col("block") % N_SHARDS == shard)
                store.write_piece(part, run.score(key, made_by.id, shard, N_SHARDS), marks)


def statistics(metric: MetricProtocol, rng: np.random.Generator, n_rows: int) -> pl.DataFrame:
    """Return a row of statistics for each answer; of a real metric, of answers of drawn words."""
    if isinstance(metric, Toy):
        return pl.DataFrame({"overlap": rng.random(n_rows), "words": 60.0, "n": 1.0})
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(2 * n_rows)]
    rows = pl.DataFrame({"text": texts[:n_rows], "reference": texts[n_rows:]})
    values = metric.measure(rows, metric.reference_state(texts[n_rows:]))
    return pl.DataFrame(values, schema=dict.fromkeys(metric.statistics, pl.Float64))


def timed(name: str) -> dict[str, float]:
    """Make the run *name* and report it in a child; return its seconds and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        make(store.RunDir(Path(folder)), *RUNS[name]())
        command = [sys.executable, __file__, name, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def child(name: str, folder: str) -> None:
    """Report a run and print what it took."""
    about, _ = RUNS[name]()
    started = time.monotonic()
    write_report(store.RunDir(Path(folder)), about)
    seconds = time.monotonic() - started
    whose = (
        resource.RUSAGE_SELF,
        resource.RUSAGE_CHILDREN,
    )  # the figures may have one of their own
    peak_kib = sum(resource.getrusage(who).ru_maxrss for who in whose)
    print(json.dumps({"seconds": seconds, "bytes": peak_kib * 1024}))


def main() -> None:
    """Time both runs and print the ratios to what is asked."""
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
        return
    found = timed("million")
    print(f"a million rows: {found['seconds']:.1f} s, {found['bytes'] / 2**20:,.0f} MiB")
    print(f"report-1M: {BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")
    print(f"report-1M-memory: {BUDGET_BYTES / found['bytes']:.1f}x (asked 1.0x)")
    found = timed("grid")
    print(f"24 conditions x 787 rows: {found['seconds']:.1f} s")
    print(f"report-24x787: {GRID_BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
