"""The pilot: one block per model, five answers of each condition to read, and what the rest needs.

The block is the middle one in the run's order by length, so that it takes about as long as the
average. A server is asked about as many rows as it has under way at once, that block among them:
with few it would seem slow. Answers are kept: the sweep goes on from them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core import data, store
from empathy_core.errors import Damaged
from empathy_core.store import EVALUATED, RunDir
from empathy_core.types import Condition
from empathy_core.visible import nothing_visible
from jobs.planning.plan import Plan, Task
from jobs.planning.stages import GENERATE

MOST_EMPTY = 0.05
"""Share of empty answers above which something is wrong with prompt, template or decoding."""

ROOM = 1.5
"""What is asked for over what was measured: nodes differ, and so do questions."""


@dataclass(frozen=True)
class Measured:
    """What the finished pieces of one condition took.

    Attributes:
        load_s: Seconds until the weights were ready.
        peak_mb: Largest memory of the process, and of the GPU.
    """

    rows: int
    tokens: int
    seconds: float
    load_s: float = 0.0
    peak_mb: int = 0
    gpu_peak_mb: int = 0


@dataclass(frozen=True)
class Proposal:
    """What a model's whole work needs.

    Attributes:
        hours: Of one array task at a time, loading not counted.
        mem_gb: Null where no memory was measured.
    """

    model: str
    tokens_per_s: float
    hours: float
    shards: int
    time_min: int
    mem_gb: int | None


def pilot_tasks(plan: Plan, done: dict[str, set[int]]) -> list[Task]:
    """Return one task for each model that lacks the middle block of any of its conditions.

    Adapters, which may not be trained yet, and their quantised bases are left out.
    """
    middle = plan.blocks[plan.n_blocks // 2]
    others = {name for f in plan.finetunes for name in (f.spec.name, f.spec.base.name)}
    others -= set(plan.config.get("models", ()))
    models = dict.fromkeys(task.key for task in GENERATE.tasks(plan) if task.key not in others)
    cuts = {model: _n_shards(plan, model) for model in models}
    return [
        Task(GENERATE.name, model, middle % cuts[model], cuts[model])
        for model in models
        if any(middle not in done.get(c.id, ()) for c in plan.of_model(model))
    ]


def _n_shards(plan: Plan, model: str) -> int:
    """Return into how many shards a model's work is cut, so that one is as much as a pilot asks."""
    engine = plan.of_model(model)[0].model.engine
    if engine is None:
        return plan.n_blocks
    rows = int(plan.config.get("evaluate", {}).get("block_size", 1))
    return max(1, plan.n_blocks // math.ceil(engine.max_in_flight / rows))


@dataclass(frozen=True)
class EngineComparison:
    """Two models of one plan with the same weights on different engines.

    Attributes:
        times: How many times as many tokens a second the first makes.
    """

    model: str
    than: str
    times: float


LEAST_TIMES = 1.5
"""Below it, one engine is not said to be faster: so much may be the node's."""


def faster(plan: Plan, proposals: Sequence[Proposal]) -> list[EngineComparison]:
    """Return where the same weights answered faster on another engine, the most first."""
    first = {p.model: plan.of_model(p.model)[0] for p in proposals}
    pairs = [
        EngineComparison(a.model, b.model, a.tokens_per_s / b.tokens_per_s)
        for a in proposals
        for b in proposals
        if first[a.model].fingerprint and first[a.model].fingerprint == first[b.model].fingerprint
        and first[a.model].model.engine != first[b.model].model.engine
        and a.tokens_per_s >= LEAST_TIMES * b.tokens_per_s
    ]  # fmt: skip
    return sorted(pairs, key=lambda pair: -pair.times)


def measured(run: RunDir, condition: Condition) -> Measured | None:
    """Return what a condition's answers took so far, in pieces and under way; null if none."""
    rows = tokens = load_peak = gpu_peak = 0
    seconds = load = 0.0
    for path in run.generations(condition.id).glob("*.timing.json"):
        try:
            timing = store.read_json(path)
        except Damaged:
            continue
        rows, tokens = rows + timing["rows"], tokens + timing["tokens"]
        seconds += timing["seconds"]
        load = max(load, timing.get("load_s", 0.0))
        load_peak = max(load_peak, timing.get("peak_mb", 0))
        gpu_peak = max(gpu_peak, timing.get("gpu_peak_mb", 0))
    for path in run.journals(condition.id).glob("*.jsonl"):
        for block in store.read_journal(path).values():
            rows, seconds = rows + len(block.rows), seconds + block.seconds
            tokens += sum(row["n_output_tokens"] for row in block.rows)
    return Measured(rows, tokens, seconds, load, load_peak, gpu_peak) if rows and seconds else None


def propose(
    model: str, timings: Sequence[Measured], n_rows: int, n_blocks: int, target_min: int
) -> Proposal:
    """Return how a model's work is best cut, from what each of its conditions took.

    Args:
        model: Its name.
        timings: One for each condition of the model, none empty.
        n_rows: Answers that each condition consists of.
        n_blocks: Blocks of the run; there are no more shards than these.
        target_min: Minutes that one shard should take.
    """
    whole_s = sum(m.seconds / m.rows * n_rows for m in timings)
    load_s = max(m.load_s for m in timings)
    shards = min(max(1, math.ceil(whole_s / (60 * target_min))), n_blocks)
    peak = max(m.peak_mb for m in timings)
    return Proposal(
        model,
        sum(m.tokens for m in timings) / sum(m.seconds for m in timings),
        whole_s / 3600,
        shards,
        math.ceil(ROOM * (whole_s / shards + load_s) / 60) + 5,
        math.ceil(ROOM * peak / 1024) if peak else None,
    )


def proposals(run: RunDir, plan: Plan, target_min: int) -> list[Proposal]:
    """Return a proposal for each model that has been measured."""
    examples = data.load(run)
    n_rows = examples.filter(EVALUATED).height
    proposed = []
    made = plan.not_generated
    for model in dict.fromkeys(c.model.name for c in plan.conditions if c.id not in made):
        conditions = plan.of_model(model)
        timings = [m for c in conditions if (m := measured(run, c))]
        if timings and len(timings) == len(conditions):
            samples = max(c.decoding.n_samples for c in conditions)
            proposed.append(propose(model, timings, n_rows * samples, plan.n_blocks, target_min))
    return proposed


def answers(run: RunDir, condition: Condition) -> pl.DataFrame:
    """Return ``context`` and ``text`` of every answer of a condition that is there."""
    _, frames = store.read_rows(run.generations(condition.id))
    if not frames:
        return pl.DataFrame(schema={"context": pl.String, "text": pl.String, "block": pl.Int32})
    questions = data.load(run).select(pl.col("id").alias("example"), "context")
    whole = pl.concat(frames).join(questions, on="example", how="left", maintain_order="left")
    return whole.select("context", "text", "block")


def empty_share(frame: pl.DataFrame) -> float:
    """Return the share of answers of which nothing is visible."""
    return sum(map(nothing_visible, frame["text"])) / frame.height if frame.height else 0.0
