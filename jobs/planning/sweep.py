"""A sweep from configuration to tables: plan under the lock, do what is missing, report."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core import store
from empathy_core.store import RunDir
from jobs.config.schema import Config
from jobs.planning import stages
from jobs.planning.plan import Plan, Task
from jobs.planning.plan_file import write_plan
from jobs.planning.progress import RunProgress, read_progress
from jobs.planning.resolving import imported
from jobs.planning.resolving.resolve import Resolved, resolve


@dataclass(frozen=True)
class Planned:
    """A plan on disk, and what it leaves to do.

    Attributes:
        tasks: Of every stage, in the order of the table.
        aside: Files that could not be used: where each is now, and why.
        written: What is done once the imported answers are written; null where they are.
    """

    resolved: Resolved
    path: Path | None
    progress: RunProgress
    tasks: tuple[Task, ...]
    aside: tuple[tuple[Path, str], ...] = ()
    written: RunProgress | None = None

    @property
    def to_come(self) -> RunProgress:
        """What will be done once the imported answers are written."""
        return self.written or self.progress

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.resolved.plan

    @property
    def warnings(self) -> list[str]:
        """What the author should know before anything is computed."""
        aside = [f"set aside as {path}: {reason}" for path, reason in self.aside]
        return [*aside, *self.resolved.remarks]


BeforeWriting = Callable[[Planned], None]
"""Raises where something refuses what would be planned, or adds what is to be written."""


def plan(config: Config, run: RunDir, command: str, before: BeforeWriting | None = None) -> Planned:
    """Plan a sweep under the lock, and record the plan.

    Side effects: rows are frozen, unusable files set aside, imported answers written.

    Raises:
        EmpathyError: Anything the user must correct first; the run is as it was.
    """
    with run.lock():
        drafted = preview(config, run, command)
        if before is not None:
            before(drafted)
        return accept(drafted, run)


def accept(drafted: Planned, run: RunDir) -> Planned:
    """Record a plan that ``preview`` returned under the same lock, and what it consists of."""
    resolved = drafted.resolved
    store.remove_leftovers(run.root)
    resolved.withheld.write()
    _write_imported(run, resolved)
    progress = read_progress(run, resolved.plan)
    aside = tuple((run.set_aside(path), reason) for path, reason in progress.unusable())
    if aside:
        _write_imported(run, resolved)
        progress = read_progress(run, resolved.plan)
    path = run.next_plan()
    write_plan(resolved.plan, path)
    return Planned(resolved, path, progress, _tasks(resolved.plan, progress), aside)


def preview(config: Config, run: RunDir, command: str, awaited: Collection[str] = ()) -> Planned:
    """Return what ``plan`` would, and write nothing.

    *awaited* are the ids of conditions and fine-tunes that are in the queue: they stay what they
    are, whatever the version of the suite that submitted them.

    Raises:
        EmpathyError: Anything the user must correct first.
    """
    resolved = resolve(config, run, command, awaited)
    progress = read_progress(run, resolved.plan)
    planned = progress.with_answers(_imported_blocks(resolved))
    return Planned(resolved, None, progress, _tasks(resolved.plan, planned), written=planned)


def _imported_blocks(resolved: Resolved) -> dict[str, list[int]]:
    """Return condition id → blocks of the imported texts, which planning writes."""
    blocks = resolved.examples.select("block", example="id")
    return {
        condition: texts.join(blocks, on="example")["block"].unique().sort().to_list()
        for condition, texts in resolved.made.items()
    }


def _tasks(plan: Plan, progress: RunProgress) -> tuple[Task, ...]:
    """Return all tasks that a sweep would do, also those that others of them come before."""
    expected = progress.expecting(plan)
    todo: dict[str, list[Task]] = {}
    for stage in stages.TABLE:
        before = [other for _, other in stages.awaited_by(stage) if todo[other.name]]
        # only of answers it is known which are to come: what follows others is done anew
        if stage.renewed:
            todo[stage.name] = stage.tasks(plan) if before else []
        elif all(other.answers or not other.takes_what_is_there for other in before):
            todo[stage.name] = stage.lacking(plan, expected)
        else:
            todo[stage.name] = stage.tasks(plan)
    return tuple(task for tasks in todo.values() for task in tasks)


def _write_imported(run: RunDir, resolved: Resolved) -> None:
    """Write the conditions of imported texts, where they are not there yet."""
    blocks = resolved.examples.select(pl.col("id").alias("example"), "block")
    for condition, texts in resolved.made.items():
        expected = texts.select("example").unique(maintain_order=True)
        store.write_bytes(store.frame_bytes(expected), run.expected(condition))
        path = run.generation(condition, 0, 1)
        there = imported.answers_in(run, condition)
        if path.exists() and (there is None or there.height == texts.height):
            continue
        new = texts if there is None else _lacking(texts, there)
        rows = new.join(blocks, on="example", how="left", maintain_order="left")
        filled = rows.with_columns(condition=pl.lit(condition), stop=pl.lit("none"))
        blank = {n: pl.lit(_blank(t), dtype=t) for n, t in store.GENERATIONS.items()}
        frame = filled.with_columns(**{n: e for n, e in blank.items() if n not in filled.columns})
        frame = frame.select(pl.col(n).cast(t) for n, t in store.GENERATIONS.items())
        tags = {"kind": "generations", "condition": condition, "data": resolved.plan.data_digest}
        frame = frame.sort("block", maintain_order=True)
        store.write_piece(frame if there is None else pl.concat([there, frame]), path, tags)


def _lacking(texts: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    return texts.join(there, on=["example", "sample"], how="anti", maintain_order="left")


def _blank(dtype: pl.DataType) -> object:
    if dtype == pl.String:
        return ""
    return [] if isinstance(dtype, pl.List) else False if dtype == pl.Boolean else 0
