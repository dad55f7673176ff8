"""Rows of a run: those that are frozen, more of the same, or new ones that nobody has answered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl

from empathy_core import data
from empathy_core.counted import counted
from empathy_core.data import growing
from empathy_core.data.growing import GrowthStep
from empathy_core.errors import Damaged, RunMismatch
from empathy_core.store import EVALUATED, RunDir, read_json
from empathy_core.types import digest
from jobs.config.schema import Config
from jobs.planning import versions
from jobs.planning.shown_commands import command
from jobs.planning.withheld import WithheldWrites


@dataclass(frozen=True)
class RunRows:
    """The rows of a run, on disk or to be frozen.

    Attributes:
        examples: ``store.EXAMPLES``, in the run's order.
        audit: What the data audit found.
        identity: Of the rows when they were first frozen; what pieces bear is made of it.
        carried: What the rows carry along.
        steps: How they grew; empty where they never did.
        added: Rows that this plan adds to those that are there.
    """

    examples: pl.DataFrame
    audit: Mapping[str, Any]
    identity: Mapping[str, Any]
    carried: pl.DataFrame
    steps: tuple[GrowthStep, ...] = ()
    added: int = 0

    @property
    def evaluated(self) -> pl.DataFrame:
        """Those that are answered."""
        return self.examples.filter(EVALUATED)

    def earlier(self) -> list[pl.DataFrame]:
        """Return the evaluated rows as they were before each enlargement, the first ones first."""
        return [growing.until(self.evaluated, step) for step in self.steps[:-1]]


def rows_of(config: Config, run: RunDir, withheld: WithheldWrites) -> RunRows:
    """Return the rows of a run; what it does not hold yet is written by *withheld*.

    Frozen rows bind from the first plan on: before it, nobody can have answered them.

    Raises:
        RunMismatch: The run was made from other data or another split, or has more rows already.
        DataError: A source is missing or unreadable.
    """
    spec, evaluate = config.data_spec(), config.evaluate_spec()
    identity = data.identity(spec, evaluate)
    if run.data.exists() and run.plans():
        return _bound(config, run, identity, withheld)
    prepared = data.prepare(spec, evaluate)
    versions.check_refrozen(run, digest(prepared.identity, 16))
    withheld.later(partial(data.freeze, prepared, run))
    return RunRows(prepared.examples, prepared.audit, identity, prepared.carried.frame)


def _bound(
    config: Config, run: RunDir, identity: Mapping[str, Any], withheld: WithheldWrites
) -> RunRows:
    """Return the rows of a run that was planned before, with more of them evaluated if asked."""
    frozen, limit = data.load_frozen(run), config.evaluate.limit
    begun = growing.begun(frozen.examples, frozen.identity["evaluate"]["limit"])
    steps = frozen.steps or begun
    changed = data.changes(_limited(frozen.identity, steps[-1].limit), identity)
    if changed and data.changes(_limited(frozen.identity, limit), identity):
        raise RunMismatch(_other_data(run, changed))
    rows = RunRows(
        frozen.examples, read_json(run.audit), frozen.identity, pl.DataFrame(), frozen.steps
    )
    if changed or not frozen.settled:
        rows = _enlarged(config, run, rows, steps, withheld)
    carried = _carried(config.data_spec(), rows.examples["id"], run, withheld)
    return replace(rows, carried=carried)


def _limited(identity: Mapping[str, Any], limit: int | None) -> dict[str, Any]:
    return {**identity, "evaluate": {**identity["evaluate"], "limit": limit}}


def _other_data(run: RunDir, changed: list[str]) -> str:
    return (
        f"{run.root} was made from other data: {'; '.join(changed)}. The rows of existing answers "
        f"must not change: set the old values again, or {_or_else(run)}"
    )


def _enlarged(
    config: Config,
    run: RunDir,
    rows: RunRows,
    steps: tuple[GrowthStep, ...],
    withheld: WithheldWrites,
) -> RunRows:
    """Return the rows under another ``evaluate.limit`` than they were last evaluated under.

    Raises:
        RunMismatch: Fewer rows are asked for than there are, or they cannot be made again.
    """
    evaluate, there = config.evaluate_spec(), rows.evaluated
    if lost := set(there["id"]) - growing.drawn(rows.examples, evaluate):
        changed = f"evaluate.limit: {steps[-1].limit} → {evaluate.limit}"
        raise RunMismatch(_fewer(run, changed, there.height, len(lost)))
    prepared = data.prepare(config.data_spec(), evaluate)
    examples = rows.examples
    if steps[-1].limit != evaluate.limit:  # else a sweep was killed just before it had said so
        try:
            examples, steps = growing.grown(examples, prepared.examples, steps, evaluate)
        except RunMismatch as error:
            raise RunMismatch(f"{run.root}: {error}; {_or_else(run)}") from error
    audit = {**prepared.audit, "evaluated": _audited(prepared.audit, examples)}
    withheld.later(partial(data.enlarge, examples, steps, audit, run))
    added = examples.filter(EVALUATED).height - there.height
    return replace(rows, examples=examples, audit=audit, steps=steps, added=added)


def _audited(audit: Mapping[str, Any], examples: pl.DataFrame) -> dict[str, Any]:
    blocks = int(examples.filter(EVALUATED)["block"].n_unique())
    return {**audit["evaluated"], "blocks": blocks}


def _fewer(run: RunDir, changed: str, there: int, lost: int) -> str:
    return (
        f"{run.root} was made from other data: {changed}. Of its {counted(there, 'evaluated row')} "
        f"{lost} would be evaluated no more; expected as many rows or more: rows are never taken "
        f"out of a run. Set the old value again, or {_or_else(run)}"
    )


def _or_else(run: RunDir) -> str:
    again = command(run, "sweep", "--config", "CONFIG", "--from", run.root.name, name="NEW")
    return f"copy what can be kept into a new run: {again}"


def _carried(
    spec: data.DataSpec, ids: pl.Series, run: RunDir, withheld: WithheldWrites
) -> pl.DataFrame:
    """Return what frozen rows carry along, read again where that is not what is asked for.

    A sweep that was killed while it replaced them is repaired in the same way.
    """
    try:
        found = data.columns.load(run)
    except Damaged:
        found = None
    if found is not None and found.keep == data.columns.wanted(spec.sources):
        return found.frame
    fresh = data.carried(spec, ids)
    withheld.later(partial(data.columns.replace, fresh, run))
    return fresh.frame


def examples_of(config: Config, run: RunDir) -> pl.DataFrame:
    """Return the run's rows, or what they would be; nothing is written."""
    return rows_of(config, run, WithheldWrites()).examples
