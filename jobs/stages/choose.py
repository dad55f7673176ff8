"""The choose stage: of one condition, the best of the samples of another (best of n).

Nothing is generated and no text is written anew: an answer that is chosen stands in the condition's
own result file as it stands in the samples', and ``choice/`` says which sample it is.
"""

import logging

import polars as pl

from empathy_core import data, store
from empathy_core.choice import SampleChoice
from empathy_core.metrics._best_of import CHOICES, chosen, n_read
from empathy_core.store import EVALUATED, UNIT_BLOCKS, RunDir
from empathy_core.types import Condition
from jobs.planning.best_of_n.done import choice_of, made_of
from jobs.planning.plan import Plan, Task
from jobs.planning.planned_metrics import loaded
from jobs.planning.progress import adapters_of, answer_tags, read_trained, read_when_asked
from jobs.stages.protocol import Listener, Progress
from jobs.stages.score import evaluated_rows, leaves_own_out, load, metric_rows

log = logging.getLogger(__name__)


def choose(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Choose for every question whose samples are scored, and write the answers that were chosen.

    The record is written last, so that a choice that was cut short is made again.

    Raises:
        Damaged: A result file of answers or scores is not what was written.
    """
    condition = next(c for c in plan.conditions if c.id == task.key)
    choice = choice_of(plan, task.key)
    inputs = made_of(read_when_asked(run, plan), choice)
    samples = _samples(run, choice, set(inputs))
    found = _chosen(run, plan, choice, set(inputs)).join(
        _costs(run, plan, choice, samples), on="example", how="left", maintain_order="left"
    )
    _write(run, plan, condition, samples, found.select(*CHOICES))
    record = run.choice(condition.id).with_suffix(".json")
    store.write_json({"inputs": {str(unit): of for unit, of in inputs.items()}}, record)
    n_chosen = found["sample"].count()
    log.info("%s: chosen for %d of %d examples", condition.id, n_chosen, found.height)
    listen(Progress(1))


def _samples(run: RunDir, choice: SampleChoice, units: set[int]) -> pl.DataFrame:
    """Return the samples that are chosen among (``store.GENERATIONS``), in order of blocks."""
    blocks = {unit * UNIT_BLOCKS + i for unit in units for i in range(UNIT_BLOCKS)}
    _, frames = store.read_rows(run.generations(choice.of), blocks)
    rows = pl.concat([pl.DataFrame(schema=store.GENERATIONS), *frames], how="diagonal")
    filled = rows.with_columns(pl.col(name).fill_null(v) for name, v in store.ADDED.items())
    return filled.filter(pl.col("sample") < choice.n).sort("block", maintain_order=True)


def _chosen(run: RunDir, plan: Plan, choice: SampleChoice, units: set[int]) -> pl.DataFrame:
    scores = {}
    for key in choice.scores:
        _, frames = store.read_rows(run.scores(key, choice.of), units)
        empty = pl.DataFrame(schema=store.SCORES)
        scores[key] = pl.concat([empty, *frames], how="diagonal").sort("block", maintain_order=True)
    return chosen(choice, loaded(plan.metrics), scores)


def _costs(run: RunDir, plan: Plan, choice: SampleChoice, samples: pl.DataFrame) -> pl.DataFrame:
    """Return the tokens of all samples of each example, and those that judges read to choose."""
    of = next(c for c in plan.conditions if c.id == choice.of)
    examples = evaluated_rows(run, plan)
    computed = {m.key: load(m, examples) for m in plan.metrics if m.key in choice.scores}
    given = metric_rows(samples, of, examples, own_left_out=leaves_own_out(plan))
    read = n_read(choice, computed, given)
    rows = samples.select("example", "n_output_tokens", read=read)
    return rows.group_by("example", maintain_order=True).agg(
        output_tokens=pl.col("n_output_tokens").cast(pl.Int64).sum(),
        judge_tokens=pl.when(pl.col("read").has_nulls()).then(None).otherwise(pl.col("read").sum()),
    )


def _write(
    run: RunDir, plan: Plan, condition: Condition, samples: pl.DataFrame, found: pl.DataFrame
) -> None:
    """Write which examples have an answer, the answers, and which samples they are."""
    none = found.filter(pl.col("sample").is_null())["example"]
    evaluated = data.load(run).filter(EVALUATED).select(example="id")
    expected = evaluated.filter(~pl.col("example").is_in(none.implode()))
    picked = samples.join(found.select("example", "sample"), on=["example", "sample"], how="semi")
    rows = picked.sort("block", maintain_order=True).with_columns(
        condition=pl.lit(condition.id), sample=pl.lit(0, dtype=pl.Int32)
    )
    by = adapters_of(plan, read_trained(run, plan))
    tags = answer_tags(condition.id, plan.data_digest, by.get(condition.id))
    versions = _versions(run, condition, set(rows["block"]))
    store.write_piece(rows, run.generation(condition.id, 0, 1), tags | store.versions_tag(versions))
    store.write_bytes(store.frame_bytes(expected), run.expected(condition.id))
    store.write_bytes(store.frame_bytes(found), run.choice(condition.id))


def _versions(run: RunDir, condition: Condition, blocks: set[int]) -> dict[int, int]:
    """Return block → version of the code that generated its samples, where that is another."""
    found: dict[int, int] = {}
    for path in store.list_pieces(run.generations(condition.choice.of)) if condition.choice else ():
        found |= store.versions(path)
    return {block: version for block, version in found.items() if block in blocks}
