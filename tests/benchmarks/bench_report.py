"""Merge and report of 1,000,000 scored rows: asked are less than 60 s and less than 4 GiB.

10 conditions x 12,500 rows x 8 metrics, in 40 pieces of answers and 320 of scores. The report runs
in a process of its own, whose peak memory is the largest resident set the kernel saw.

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

from empathy_core import store  # noqa: E402 - after the path
from reports.spec import ReportSpec  # noqa: E402 - after the path
from reports.write import write_report  # noqa: E402 - after the path
from tests.report_runs import DATA, HUMAN, Toy, condition, spec  # noqa: E402 - after the path

N_MODELS, N_ROWS, N_METRICS, N_SHARDS, BLOCK_ROWS = 9, 12_500, 8, 4, 16
BUDGET_S, BUDGET_BYTES = 60.0, 4 * 2**30
WORDS = ("I", "hear", "how", "heavy", "this", "has", "become", "and", "wonder", "what", "helps")


def about() -> ReportSpec:
    """Return nine models and the therapists under eight metrics."""
    models = [condition(f"model{i}", f"Model {i}") for i in range(N_MODELS)]
    metrics = {f"toy{i}-00000000": Toy(f"toy{i}", main=i < 4) for i in range(N_METRICS)}
    return spec(HUMAN, *models, metrics=metrics)


def make(run: store.RunDir, report: ReportSpec) -> None:
    """Write the run; texts of about 60 words, statistics drawn by seed."""
    rng = np.random.default_rng(0)
    blocks = np.arange(N_ROWS) // BLOCK_ROWS
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(500)]
    ids = [f"amod-{i}" for i in range(N_ROWS)]
    examples = pl.DataFrame(
        {
            "id": ids,
            "context": [texts[i % 500] for i in range(N_ROWS)],
            "response": [texts[i % 499] for i in range(N_ROWS)],
            "source": "amod", "row": range(N_ROWS), "raw_sha256": "", "question": ids,
            "pair": ids, "author": None, "split": "test", "block": blocks,
        },
        schema=store.EXAMPLES,
    )  # fmt: skip
    store.write_bytes(store.frame_bytes(examples), run.examples)
    for made_by in report.conditions:
        keys = pl.DataFrame({"condition": made_by.id, "example": ids, "sample": 0, "block": blocks})
        answers = keys.with_columns(
            text=pl.Series([texts[i % 497] for i in range(N_ROWS)]), stop=pl.lit("eos"),
            prompt_sha256=pl.lit("0" * 64), n_prompt_tokens=100, n_output_tokens=80,
            n_special_tokens=0, prompt_truncated=False, output_ids=[1] * 80,
        ).cast(store.GENERATIONS)  # fmt: skip
        tags = {"kind": "generations", "condition": made_by.id, "data": DATA}
        digests = store.block_digests(answers)
        for shard in range(N_SHARDS):
            part = answers.filter(pl.col("block") % N_SHARDS == shard)
            store.write_piece(part, run.generation(made_by.id, shard, N_SHARDS), tags)
        inputs = json.dumps({str(u): d for u, d in store.unit_inputs(digests).items()})
        units = keys.with_columns(pl.col("block") // store.UNIT_BLOCKS).cast(store.SCORES)
        for key, metric in report.metrics.items():
            values = pl.DataFrame({"overlap": rng.random(N_ROWS), "words": 60.0, "n": 1.0})
            marks = {**tags, "kind": "scores", "signature": metric.signature(), "inputs": inputs}
            for shard in range(N_SHARDS):
                part = units.hstack(values).filter(pl.col("block") % N_SHARDS == shard)
                store.write_piece(part, run.score(key, made_by.id, shard, N_SHARDS), marks)


def main() -> None:
    """Make the run, report it in a child, and print both ratios."""
    if len(sys.argv) > 1:
        started = time.monotonic()
        write_report(store.RunDir(Path(sys.argv[1])), about())
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": time.monotonic() - started, "bytes": peak_kib * 1024}))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(store.RunDir(Path(folder)), about())
        command = [sys.executable, __file__, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout)
    rows = (N_MODELS + 1) * N_ROWS * N_METRICS
    print(f"{rows:,} rows: {found['seconds']:.1f} s, {found['bytes'] / 2**20:,.0f} MiB")
    print(f"report-1M: {BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")
    print(f"report-1M-memory: {BUDGET_BYTES / found['bytes']:.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
