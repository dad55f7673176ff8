"""The score stage: one group of metrics, one shard of units, all conditions.

References are prepared once a unit and shared by all conditions, so that an encoder embeds each
of them once.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from empathy_core import data, metrics, store
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.errors import RunMismatch
from empathy_core.metrics import MetricProtocol
from empathy_core.store import EVALUATED, UNIT_BLOCKS, RunDir
from empathy_core.types import Condition
from jobs.planning.plan import Plan, PlannedMetric, Task
from jobs.stages.protocol import Listener, Progress

_NOT_GIVEN = ("id", "context", "response", "turns", ALL_REFERENCES)
"""Columns of the examples that every metric is given under names of their own."""

_BESIDE = ("opponent", "condition", data.references.ROWS)
"""Columns of the rows that are there for some metrics, or in some runs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answers:
    """A condition's answers, and the digests of the units of this shard.

    Attributes:
        rows: Of this shard; of the whole condition for a metric that compares them all.
        inputs: Score unit → digest of what its statistics are made from.
    """

    condition: Condition
    rows: pl.DataFrame
    inputs: Mapping[int, str]


def score(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Compute the statistics of every stale unit of one shard, under each metric of its group.

    Raises:
        Damaged: A piece of answers is not what was written.
        RunMismatch: A metric's signature here is not the plan's (other package versions).
    """
    examples = evaluated_rows(run, plan)
    shard, n_shards = task.shard, task.n_shards
    units = store.blocks_of_shard(range(plan.n_units), shard, n_shards)
    answers = [_answers(run, condition, examples, set(units)) for condition in plan.conditions]
    by_id = {a.condition.id: a for a in answers}
    for planned in plan.of_group(task.key):
        metric = _at_work(load(planned, examples), run)
        compared = [_beside(a, by_id.get(planned.opponent or "")) for a in answers]
        if metrics.is_of_corpus(planned.signature):
            compared = _corpora(run, plan, examples, set(units))
        path = {c.id: run.score(planned.key, c.id, shard, n_shards) for c in plan.conditions}
        tags = {"kind": "scores", "data": plan.data_digest, "signature": planned.signature}
        stale = [a for a in compared if a.inputs and not _current(path[a.condition.id], a.inputs)]
        for done, frame in _scored(metric, stale, listen):
            inputs = json.dumps({str(u): d for u, d in done.inputs.items()})
            own = {**tags, "condition": done.condition.id, "inputs": inputs}
            store.write_piece(frame, path[done.condition.id], own)
            listen(Progress(0))
        log.info("%s: %d conditions scored in shard %d", planned.name, len(stale), shard)


def _corpora(run: RunDir, plan: Plan, examples: pl.DataFrame, units: set[int]) -> list[_Answers]:
    """Return all answers of each condition; their inputs are those of *units* alone."""
    every = [_answers(run, c, examples, set(range(plan.n_units))) for c in plan.conditions]
    inputs = [store.corpus_inputs(answers.inputs) for answers in every]
    return [
        replace(answers, inputs={unit: of[unit] for unit in of if unit in units})
        for answers, of in zip(every, inputs, strict=True)
    ]


def _beside(answers: _Answers, other: _Answers | None) -> _Answers:
    """Return a condition's answers with another's to the same questions; as they are if null."""
    if other is None:
        return answers
    keys = ["example", "sample"] if other.rows["sample"].n_unique() > 1 else ["example"]
    texts = other.rows.select(*keys, opponent="text")
    rows = answers.rows.join(texts, on=keys, how="left", maintain_order="left")
    rows = rows.with_columns(condition=pl.lit(answers.condition.id))
    return _Answers(answers.condition, rows, store.paired_inputs(answers.inputs, other.inputs))


def _at_work(metric: MetricProtocol, run: RunDir) -> MetricProtocol:
    found: MetricProtocol = metric.in_run(run) if hasattr(metric, "in_run") else metric
    return found


def evaluated_rows(run: RunDir, plan: Plan) -> pl.DataFrame:
    """Return the evaluated examples, with what the sources carry along where a metric asks for it.

    Raises:
        Damaged: A file is missing, or is not what was written.
    """
    examples = data.load(run).filter(EVALUATED)
    if not any(metrics.asked(metrics.load(m.name, m.options)) for m in plan.metrics):
        return examples
    carried = data.columns.load(run).frame
    return examples.join(carried, on="id", how="left", maintain_order="left")


def load(planned: PlannedMetric, examples: pl.DataFrame) -> MetricProtocol:
    """Return the metric as the plan has it, prepared with all references of the run.

    Raises:
        RunMismatch: Its signature differs from the plan's.
    """
    metric = metrics.prepared(planned.name, planned.options, examples)
    if metric.signature() != planned.signature:
        msg = (
            f"{planned.name} would be computed as {metric.signature()}, but the plan says "
            f"{planned.signature}: install the plan's package versions, or run sweep again"
        )
        raise RunMismatch(msg)
    return metric


def _current(path: Path, inputs: Mapping[int, str]) -> bool:
    """Tell whether units were scored from just these answers, in this piece or in another cut."""
    if path.exists():
        return _scored_from(path) == dict(inputs)
    cut = path.stem.rpartition("-of-")[2]
    others = [p for p in store.list_pieces(path.parent) if not p.stem.endswith(f"-of-{cut}")]
    scored = {unit: d for other in others for unit, d in _scored_from(other).items()}
    return all(scored.get(unit) == digest for unit, digest in inputs.items())


def _scored_from(path: Path) -> dict[int, str]:
    """Return unit → digest of the answers that a piece was scored from."""
    inputs = json.loads(store.verify_piece(path).tags["inputs"])
    return {int(unit): digest for unit, digest in inputs.items()}


def _answers(
    run: RunDir, condition: Condition, examples: pl.DataFrame, units: set[int]
) -> _Answers:
    """Read a condition's answers in *units*, joined with their questions and references."""
    wanted = {u * UNIT_BLOCKS + i for u in units for i in range(UNIT_BLOCKS)}
    digests, frames = store.read_rows(run.generations(condition.id), wanted)
    empty = pl.DataFrame(schema=store.GENERATIONS)
    rows = pl.concat(frames or [empty]).sort("block", maintain_order=True)
    return _Answers(condition, metric_rows(rows, condition, examples), store.unit_inputs(digests))


def metric_rows(
    answers: pl.DataFrame, condition: Condition, examples: pl.DataFrame
) -> pl.DataFrame:
    """Return the columns that metrics take, with example, sample and block, in order of blocks.

    Every column of *examples* that a metric may ask for is there under its name as a given one.
    """
    given = {
        metrics.given_column(name): pl.col(name).cast(pl.String)
        for name in examples.columns
        if name not in _NOT_GIVEN
    }
    turns = ["turns"] if has_turns(examples) else []
    references = data.references.compared(examples, people=condition.model.is_human)
    texts = examples.select("id", "context", *turns, **given).join(references, "id")
    joined = answers.join(
        texts.rename({"id": "example"}),
        on="example",
        how="left",
        maintain_order="left",
    )
    prompts = [condition.prompt.plain(context) for context in contexts_of(joined)]
    several = cs.by_name(data.references.ROWS, require_all=False)
    return joined.with_columns(prompt=pl.Series(prompts, dtype=pl.String)).select(
        "example", "sample", "block", *metrics.ROWS, several, *given
    )


def _scored(
    metric: MetricProtocol, stale: Sequence[_Answers], listen: Listener
) -> Iterator[tuple[_Answers, pl.DataFrame]]:
    """Yield each condition's statistics, as soon as they are there where nothing is shared."""
    if metrics.is_of_corpus(metric.signature()):
        for answers in stale:
            yield answers, _measured_together(metric, answers)
            listen(Progress(1, kept=False))
        return
    alone = getattr(metric, "by_condition", False)
    for together in [[answers] for answers in stale] if alone else [stale]:
        yield from _measured(metric, together, listen)


def _measured_together(metric: MetricProtocol, answers: _Answers) -> pl.DataFrame:
    """Return the statistics of this shard's rows, measured among all of their condition."""
    rows = answers.rows
    state = metric.reference_state(metrics.references_of(metric, rows))
    values = metric.measure(rows.select(*metrics.ROWS), state)
    units = (rows["block"] // UNIT_BLOCKS).to_numpy()
    frames = [
        _frame(answers, rows.filter(units == unit), unit, values[units == unit], metric)
        for unit in sorted(answers.inputs)
    ]
    return pl.concat(frames)


def _measured(
    metric: MetricProtocol, stale: Sequence[_Answers], listen: Listener
) -> Iterator[tuple[_Answers, pl.DataFrame]]:
    """Yield each condition's statistics; a unit's references are prepared once for all of them."""
    found: dict[str, list[pl.DataFrame]] = {a.condition.id: [] for a in stale}
    given = [metrics.given_column(name) for name in metrics.asked(metric)]
    for unit in sorted({u for a in stale for u in a.inputs}):
        states: dict[tuple[Any, ...], Any] = {}  # a subset of the rows has its own references
        for answers in stale:
            rows = answers.rows.filter(pl.col("block") // UNIT_BLOCKS == unit)
            if rows.is_empty():
                continue
            references = metrics.references_of(metric, rows)
            if references not in states:
                states[references] = metric.reference_state(references)
            beside = cs.by_name(*_BESIDE, require_all=False)
            values = metric.measure(rows.select(*metrics.ROWS, *given, beside), states[references])
            found[answers.condition.id].append(_frame(answers, rows, unit, values, metric))
            listen(Progress(1, kept=False))
    for answers in stale:
        yield answers, pl.concat(found[answers.condition.id])


def _frame(
    answers: _Answers, rows: pl.DataFrame, unit: int, values: np.ndarray, metric: MetricProtocol
) -> pl.DataFrame:
    keys = rows.select(
        pl.lit(answers.condition.id).alias("condition"),
        "example",
        "sample",
        pl.lit(unit, dtype=pl.Int32).alias("block"),
    )
    columns = {name: values[:, i] for i, name in enumerate(metric.statistics)}
    return keys.with_columns(
        pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64)).fill_nan(None)
    )
