"""The report of two runs, each in a process of its own, Python's start included in neither.

- A million scored rows, 10 conditions x 12,500 rows x 8 metrics, in 40 pieces of answers and 320 of
  scores: asked are less than 60 s and, as the largest resident set the kernel saw, 4 GiB.
- A paper's grid, 24 conditions (8 models x 3 prompts) x 787 rows under BLEU, ROUGE and three more
  metrics, with all pairs, prompts, interactions, pages and figures: asked are less than 10 s.
- The same grid rated by two judges on 15 dimensions each besides, of which one answer in a hundred
  has no rating: 30 more metrics, and asked is the same.

Seconds are those on the clock; those of CPU time are printed beside them, since the machine may be
shared.

    python tests/benchmarks/bench_report.py
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from empathy_core import metrics, models, rubrics, store  # noqa: E402 - after the path
from empathy_core.metrics import MetricProtocol  # noqa: E402 - after the path
from empathy_core.metrics import _judge as judges  # noqa: E402 - after the path
from reports.spec import ReportSpec  # noqa: E402 - after the path
from reports.write import write_report  # noqa: E402 - after the path
from tests.runs.by_hand import DATA, HUMAN, Toy, condition, spec  # noqa: E402 - after the path

N_SHARDS, BLOCK_ROWS = 4, 16
BUDGET_S, BUDGET_BYTES, GRID_BUDGET_S = 60.0, 4 * 2**30, 10.0
RATED, N_DIMENSIONS = ("emotionqueen", "counselbench", "mentalalign"), 15
MISSING = 0.01
WHOSE = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN  # the figures may have one of their own
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


def judged() -> tuple[ReportSpec, int]:
    """Return the same under two judges besides, each asked about as many dimensions."""
    report, n_rows = grid()
    asked = [
        (rubric, of) for rubric in map(rubrics.rubric, RATED) for of in rubric.dimensions
    ][:N_DIMENSIONS]  # fmt: skip
    model = models.model("llama3_1_8b_instruct")
    found: dict[str, MetricProtocol] = {
        f"judge_{name}_{rubric.name}_{of.name}-00000000": judges.Metric(
            name, f"Judge {name}", model, replace(rubric, dimensions=(of,))
        )
        for name in ("one", "two")
        for rubric, of in asked
    }
    return replace(report, metrics={**report.metrics, **found}), n_rows


RUNS = {"million": million, "grid": grid, "judged": judged}


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
    if isinstance(metric, judges.Metric):
        return ratings(metric, rng, n_rows)
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(2 * n_rows)]
    rows = pl.DataFrame({"text": texts[:n_rows], "reference": texts[n_rows:]})
    values = metric.measure(rows, metric.reference_state(texts[n_rows:]))
    return pl.DataFrame(values, schema=dict.fromkeys(metric.statistics, pl.Float64))


def ratings(metric: judges.Metric, rng: np.random.Generator, n_rows: int) -> pl.DataFrame:
    """Return what a judge makes of each answer, drawn; without a score where it did not answer."""
    of = metric.dimension
    drawn = rng.dirichlet(np.ones(len(of.labels)), n_rows)
    points, values = drawn[:, : len(of.values)], np.array(of.values)
    points = points / points.sum(axis=1, keepdims=True)
    mass = np.where(rng.random(n_rows) < MISSING, 0.1, 0.9)
    above = {t.name: points[:, values >= t.at_least].sum(axis=1) for t in metric.rubric.thresholds}
    scores = pl.DataFrame({"score": points @ values, **above})
    rated = scores.select(pl.when(pl.Series(mass) >= metric.min_mass).then(pl.all()))
    seen = {"mass": mass, "low_mass": (mass < metric.min_mass).astype(float)}
    labels = {f"p{i}": mass * of_label for i, of_label in enumerate(drawn.T)}
    found = rated.with_columns(n=1.0, judged=1.0).hstack(pl.DataFrame({**seen, **labels}))
    zeros = (pl.lit(0.0).alias(name) for name in ("not_applicable", "too_long", "empty"))
    return found.with_columns(zeros).select(metric.statistics)


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
    started, used = time.monotonic(), cpu_seconds()
    write_report(store.RunDir(Path(folder)), about)
    seconds, used = time.monotonic() - started, cpu_seconds() - used
    peak_kib = sum(resource.getrusage(who).ru_maxrss for who in WHOSE)
    print(json.dumps({"seconds": seconds, "cpu": used, "bytes": peak_kib * 1024}))


def cpu_seconds() -> float:
    """Return the CPU time so far, of the children that have ended as well."""
    return sum(of.ru_utime + of.ru_stime for of in map(resource.getrusage, WHOSE))


def main() -> None:
    """Time both runs and print the ratios to what is asked."""
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
        return
    found = timed("million")
    print(f"a million rows: {told(found)}, {found['bytes'] / 2**20:,.0f} MiB")
    print(f"report-1M: {BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")
    print(f"report-1M-memory: {BUDGET_BYTES / found['bytes']:.1f}x (asked 1.0x)")
    found = timed("grid")
    print(f"24 conditions x 787 rows: {told(found)}")
    print(f"report-24x787: {GRID_BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")
    found = timed("judged")
    print(f"24 conditions x 787 rows, 30 judge columns: {told(found)}")
    print(f"report-24x787-judged: {GRID_BUDGET_S / found['seconds']:.1f}x (asked 1.0x)")


def told(found: dict[str, float]) -> str:
    """Return how long a report took."""
    return f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of CPU time)"


if __name__ == "__main__":
    main()
