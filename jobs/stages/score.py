"""The score stage: one group of metrics, one shard of units, all conditions.

References are prepared once a unit and shared by all conditions, so that an encoder embeds each
of them once.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from empathy_core import data, metrics, store
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.errors import Damaged, RunMismatch
from empathy_core.metrics import MetricProtocol
from empathy_core.store import EVALUATED, UNIT_BLOCKS, RunDir
from empathy_core.types import Condition
from jobs.planning.plan import Plan, PlannedMetric, Task
from jobs.planning.scoring import scored_by
from jobs.stages.known_scores import NO_SCORES, KnownScores, shown
from jobs.stages.protocol import Listener, Progress

_NOT_GIVEN = ("id", "context", "response", "turns", ALL_REFERENCES)
"""Columns of the examples that every metric is given under names of their own."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answers:
    """A condition's answers, and the digests of the units of this shard.

    Attributes:
        rows: Of this shard; of the whole condition for a metric that compares them all.
        inputs: Score unit → digest of what its statistics are made from.
        known: What another run computed of them under the metric that is at work.
    """

    condition: Condition
    rows: pl.DataFrame
    inputs: Mapping[int, str]
    known: KnownScores = NO_SCORES


def score(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Compute the statistics of every stale unit of one shard, under each metric of its group.

    Raises:
        Damaged: A piece of answers is not what was written.
        RunMismatch: A metric's signature here is not the plan's (other package versions).
    """
    examples = evaluated_rows(run, plan)
    shard, n_shards = task.shard, task.n_shards
    units = store.blocks_of_shard(range(plan.n_units), shard, n_shards)
    mine = scored_by(plan, task.stage)
    others = {m.opponent for m in plan.of_group(task.key)} - {c.id for c in mine}
    read = (*mine, *(c for c in plan.conditions if c.id in others))
    left_out = leaves_own_out(plan)
    of = partial(_answers, run, examples=examples, own_left_out=left_out)
    usual = [of(c, units) for c in read]
    for planned in plan.of_group(task.key):
        metric = _at_work(load(planned, examples), run)
        together = metrics.is_of_corpus(planned.signature)
        answers = _corpora([of(c, range(plan.n_units)) for c in read], units) if together else usual
        by_id = {a.condition.id: a for a in answers}
        compared = [_beside(by_id[c.id], by_id.get(planned.opponent or "")) for c in mine]
        path = {c.id: run.score(planned.key, c.id, shard, n_shards) for c in mine}
        tags = {"kind": "scores", "data": plan.data_digest, "signature": planned.signature}
        stale = [a for a in compared if a.inputs and not _current(path[a.condition.id], a.inputs)]
        kept = {a.condition.id: _kept(metric, path[a.condition.id], tags, a) for a in stale}
        ahead = [_without(a, kept[a.condition.id].units) for a in stale]
        ahead = [
            replace(a, known=KnownScores.read(run, planned.key, a.condition.id)) for a in ahead
        ]
        for done, frame in _scored(metric, ahead, listen):
            own, known = {**tags, "condition": done.condition.id}, kept[done.condition.id]
            inputs = {str(u): d for u, d in sorted({**known.units, **done.inputs}.items())}
            frames = [known.rows] if frame is None else [known.rows, frame]
            whole = pl.concat(frames).sort("block", maintain_order=True)
            own |= {"inputs": json.dumps(inputs)}
            store.write_piece(whole, path[done.condition.id], own)
            listen(Progress(0))
        log.info("%s: %d conditions scored in shard %d", planned.name, len(stale), shard)


@dataclass(frozen=True)
class _KeptScores:
    """What a piece holds that was scored from today's answers.

    Attributes:
        rows: Of the units that are kept.
        units: Each with the digest of its answers.
    """

    rows: pl.DataFrame
    units: Mapping[int, str]


def _kept(
    metric: MetricProtocol, path: Path, tags: Mapping[str, str], answers: _Answers
) -> _KeptScores:
    """Return what of a piece stays, where a run grew or some answers are new."""
    schema = store.SCORES | dict.fromkeys(metric.statistics, pl.Float64)
    nothing = _KeptScores(pl.DataFrame(schema=schema), {})
    if metrics.is_of_corpus(tags["signature"]):  # one answer more changes what is said of all
        return nothing
    expected = {**tags, "condition": answers.condition.id}
    try:
        piece, rows = store.read_piece(path)
    except Damaged:
        return nothing
    if not expected.items() <= piece.tags.items() or dict(rows.schema) != schema:
        return nothing
    scored = store.inputs_of(piece)
    units = {u: d for u, d in answers.inputs.items() if scored.get(u) == d and u in piece.blocks}
    return _KeptScores(rows.filter(pl.col("block").is_in(list(units))), units)


def _without(answers: _Answers, units: Collection[int]) -> _Answers:
    """Return a condition's answers but those of *units*."""
    rows = answers.rows.filter(~pl.col("unit").is_in(list(units)))
    inputs = {unit: digest for unit, digest in answers.inputs.items() if unit not in units}
    return _Answers(answers.condition, rows, inputs)


def _corpora(every: Sequence[_Answers], units: Sequence[int]) -> list[_Answers]:
    """Return all answers of each condition; their inputs are those of *units* alone."""
    inputs = [store.corpus_inputs(answers.inputs) for answers in every]
    return [
        replace(answers, inputs={unit: of[unit] for unit in units if unit in of})
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
    left_out = metrics.leaves_own_out(planned.signature)
    metric = metrics.prepared(planned.name, planned.options, examples, own_left_out=left_out)
    if metric.signature() != planned.signature:
        msg = (
            f"{planned.name} would be computed as {metric.signature()}, but the plan says "
            f"{planned.signature}: install the plan's package versions, or run sweep again"
        )
        raise RunMismatch(msg)
    return metric


def leaves_own_out(plan: Plan) -> bool:
    """Tell whether models, too, are compared with all references but a row's own answer."""
    return any(metrics.leaves_own_out(m.signature) for m in plan.metrics)


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
    return store.inputs_of(store.verify_piece(path))


def _answers(
    run: RunDir,
    condition: Condition,
    units: Sequence[int],
    *,
    examples: pl.DataFrame,
    own_left_out: bool,
) -> _Answers:
    """Read a condition's answers in *units*, joined with their questions and references."""
    wanted = {u * UNIT_BLOCKS + i for u in units for i in range(UNIT_BLOCKS)}
    digests, frames = store.read_rows(run.generations(condition.id), wanted)
    empty = pl.DataFrame(schema=store.GENERATIONS)
    rows = pl.concat(frames or [empty]).sort("block", maintain_order=True)
    found = metric_rows(rows, condition, examples, own_left_out=own_left_out)
    placed = found.with_columns(unit=pl.col("block") // UNIT_BLOCKS)
    return _Answers(condition, placed, store.unit_inputs(digests))


def metric_rows(
    answers: pl.DataFrame,
    condition: Condition,
    examples: pl.DataFrame,
    *,
    own_left_out: bool = False,
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
    references = data.references.compared(
        examples, people=condition.model.is_human, own_left_out=own_left_out
    )
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
) -> Iterator[tuple[_Answers, pl.DataFrame | None]]:
    """Yield each condition's statistics, as soon as they are there where nothing is shared."""
    if metrics.is_of_corpus(metric.signature()):
        for answers in stale:
            yield answers, _measured_together(metric, answers)
            listen(Progress(len(answers.inputs), kept=False))
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
) -> Iterator[tuple[_Answers, pl.DataFrame | None]]:
    """Yield each condition's statistics, null if there are none.

    A unit's references are prepared once for all of them.
    """
    found: dict[str, list[pl.DataFrame]] = {a.condition.id: [] for a in stale}
    for unit in sorted({u for a in stale for u in a.inputs}):
        states: dict[tuple[Any, ...], Any] = {}  # a subset of the rows has its own references
        for answers in stale:
            rows = answers.rows.filter(pl.col("unit") == unit)
            if rows.is_empty():
                continue
            values, there = answers.known.of(rows, metric)
            lacking = rows if not there.any() else rows.filter(~pl.Series(there))
            if lacking.height:
                references = metrics.references_of(metric, lacking)
                if references not in states:
                    states[references] = metric.reference_state(references)
                values[~there] = metric.measure(shown(lacking, metric), states[references])
            found[answers.condition.id].append(_frame(answers, rows, unit, values, metric))
            listen(Progress(1, kept=False))
    for answers in stale:
        frames = found[answers.condition.id]
        yield answers, pl.concat(frames) if frames else None


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
