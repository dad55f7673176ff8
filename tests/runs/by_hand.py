"""Small hand-made runs for the tests of reports: rows written through the store, toy metrics."""

# ruff: noqa: D102 - the protocol documents the members of a metric

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from empathy_core import prompts, store
from empathy_core.store import EVALUATED, UNIT_BLOCKS, RunDir
from empathy_core.types import Column, Condition, Decoding, ModelSpec
from reports.spec import ReportSpec

DATA = "d" * 16
GREEDY = Decoding(max_new_tokens=64)
BLOCK_ROWS = 2
N_EXAMPLES = 40
N_SHARDS = 3


@dataclass(frozen=True)
class Toy:
    """Mean of a length by words, and the share of words that the reference has too.

    ``unscored`` names a text that gets no score.
    """

    name: str = "toy"
    main: bool = True
    unscored: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column(f"{self.name}_overlap", "Overlap", main=self.main, ratio=(0, 2)),
            Column(
                f"{self.name}_words", "Words", better="lower", decimals=1, main=self.main,
                ratio=(1, 2),
            ),
        )  # fmt: skip

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("overlap", "words", "n")

    def signature(self) -> str:
        return f"metric:{self.name}|tok:split|toolib:1.2.3"

    def prepare(self, references: Sequence[str]) -> "Toy":
        return self

    def reference_state(self, references: Sequence[str]) -> Any:
        return None

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        return np.array([self._row(t, r) for t, r in rows.select("text", "reference").iter_rows()])

    def _row(self, text: str, reference: str) -> list[float]:
        if self.unscored and text == self.unscored:
            return [np.nan] * 3
        words, known = text.split(), set(reference.split())
        share = sum(w in known for w in words) / len(words) if words else 0.0
        return [share, len(words), 1]

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        return self.measure(rows, None)[:, :2]

    def score(self, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :2] / sums[..., 2:]


def condition(
    name: str,
    label: str,
    prompt: str = "none",
    published: str = "",
    backend: Any = "hf",
    decoding: Decoding = GREEDY,
) -> Condition:
    """Return a condition without weights."""
    model = ModelSpec(name, label, backend, published=published)
    return Condition(model, prompts.prompt(prompt), decoding, fingerprint=name)


HUMAN = condition("therapist", "Therapist Baseline", "none", "Therapist Baseline", "human")
LLAMA = condition("llama", "LLaMA 3.1 8B Instruct", "prompt1", "LLaMA 3.1 8B Instruct")
LLAMA2 = condition("llama", "LLaMA 3.1 8B Instruct", "prompt2", "LLaMA 3.1 8B Instruct")
FLAN = condition("flan_t5", "FLAN-T5 (base)", "prompt1", "FLAN-T5")

Answer = Callable[[Condition, int, int], str]


def plain_answer(made_by: Condition, row: int, sample: int) -> str:
    """Return a text that shares fewer words with the reference the longer the model's name is."""
    shared = " ".join(f"w{i}" for i in range(8 - len(made_by.id) % 5))
    return f"{shared} {' '.join(f'{made_by.model.name}{row}' for _ in range(3 + row % 3))}"


def examples(n: int = N_EXAMPLES) -> pl.DataFrame:
    """Return n evaluated rows and one that is not evaluated."""
    rows = {
        "id": [f"sample-{i}" for i in range(n + 1)],
        "context": [f"What shall I do about worry {i}?" for i in range(n + 1)],
        "response": ["w0 w1 w2 w3 w4 w5 w6 w7"] * (n + 1),
        "source": ["sample"] * (n + 1),
        "row": list(range(n + 1)),
        "raw_sha256": ["0"] * (n + 1),
        "question": [str(i // 2) for i in range(n + 1)],
        "pair": [str(i) for i in range(n + 1)],
        "author": [None] * (n + 1),
        "split": ["test"] * n + ["train"],
        "block": [*(i // BLOCK_ROWS for i in range(n)), None],
    }
    return pl.DataFrame(rows, schema=store.EXAMPLES)


def spec(
    *conditions: Condition, metrics: Mapping[str, Any] | None = None, **changes: Any
) -> ReportSpec:
    """Return a report about *conditions* under one toy metric, or *metrics*."""
    return ReportSpec(
        conditions=conditions or (HUMAN, LLAMA, LLAMA2, FLAN),
        metrics=metrics or {"toy-00000000": Toy()},
        data_digest=DATA,
        **{"audit_text": "41 rows, 40 evaluated", **changes},
    )


def make(
    root: Path,
    about: ReportSpec,
    answer: Answer = plain_answer,
    n_shards: int = N_SHARDS,
    n: int = N_EXAMPLES,
) -> RunDir:
    """Write a whole run; the human condition covers every second example."""
    run = RunDir(root)
    rows = examples(n)
    store.write_bytes(store.frame_bytes(rows), run.examples)
    for made_by in about.conditions:
        if made_by.model.is_human:
            half = rows.filter(EVALUATED)[::2].select(example="id")
            store.write_bytes(store.frame_bytes(half), run.expected(made_by.id))
        write_answers(run, made_by, rows, answer, n_shards)
    for made_by in about.conditions:  # once all have answers, since some scores are of two
        for key, metric in about.metrics.items():
            write_scores(run, made_by, key, metric, n_shards)
    return run


def write_answers(
    run: RunDir, made_by: Condition, rows: pl.DataFrame, answer: Answer, n_shards: int
) -> None:
    """Write the pieces of a condition."""
    wanted = rows.with_row_index("i").filter(EVALUATED)
    if run.expected(made_by.id).exists():
        covered = pl.read_parquet(run.expected(made_by.id))
        wanted = wanted.join(covered, left_on="id", right_on="example", how="semi")
    n_samples = made_by.decoding.n_samples
    records = [
        (
            made_by.id,
            example,
            sample,
            block,
            answer(made_by, i, sample),
            "eos",
            "",
            9,
            5,
            0,
            False,
            [1],
            "",
            0,
        )
        for i, example, block in wanted.select("i", "id", "block").iter_rows()
        for sample in range(n_samples)
    ]
    frame = pl.DataFrame(records, schema=store.GENERATIONS, orient="row")
    tags = {"kind": "generations", "condition": made_by.id, "data": DATA}
    for shard in range(n_shards):
        mine = frame.filter(pl.col("block") % n_shards == shard)
        store.write_piece(mine, run.generation(made_by.id, shard, n_shards), tags)


def write_scores(run: RunDir, made_by: Condition, key: str, metric: Any, n_shards: int) -> None:
    """Score the answers that lie in the run and write the pieces."""
    read = [store.read_piece(p) for p in store.list_pieces(run.generations(made_by.id))]
    blocks = {b: d for piece, _ in read for b, d in piece.blocks.items()}
    rows = pl.concat([frame for _, frame in read]).sort("block", maintain_order=True)
    questions = pl.read_parquet(run.examples).select("context", example="id", reference="response")
    rows = rows.join(questions, on="example", how="left", maintain_order="left")
    rows = rows.with_columns(prompt=pl.lit("p"))
    state = metric.reference_state(rows["reference"].to_list())
    values = metric.measure(rows, state)
    frame = rows.select("condition", "example", "sample", pl.col("block") // UNIT_BLOCKS)
    statistics = pl.DataFrame(values, schema=dict.fromkeys(metric.statistics, pl.Float64))
    frame = frame.hstack(statistics.fill_nan(None))
    made_from = store.unit_inputs(blocks)
    if opponent := getattr(metric, "opponent", ""):
        pieces = map(store.verify_piece, store.list_pieces(run.generations(opponent)))
        other = {b: d for piece in pieces for b, d in piece.blocks.items()}
        made_from = store.paired_inputs(made_from, store.unit_inputs(other))
    inputs = json.dumps({str(u): d for u, d in made_from.items()})
    tags = {
        "kind": "scores", "condition": made_by.id, "data": DATA,
        "signature": metric.signature(), "inputs": inputs,
    }  # fmt: skip
    for shard in range(n_shards):
        mine = frame.filter(pl.col("block") % n_shards == shard)
        if mine.height:
            store.write_piece(mine, run.score(key, made_by.id, shard, n_shards), tags)


def relabelled(of: Condition, label: str) -> Condition:
    """Return the condition under another label."""
    return replace(of, model=replace(of.model, label=label))
