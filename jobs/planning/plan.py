"""PURE: what a sweep consists of, and which of it is still to be done.

Everything that submits or computes takes a ``Plan`` and a list of ``Task``. Nothing here reads
the disk: what is done is an argument.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

from empathy_core.store import UNIT_BLOCKS
from empathy_core.training.spec import Finding, FinetuneSpec
from empathy_core.types import Condition

Stage = Literal["finetune", "generate", "score", "report"]
LEXICAL = "lexical"
"""The score group of all metrics that need no encoder."""


@dataclass(frozen=True)
class PlannedMetric:
    """A metric of the plan.

    Attributes:
        key: Its folder under ``scores/``: name and hash of the signature.
        group: Metrics of one group are scored by one task: an encoder each, or ``lexical``.
    """

    name: str
    options: Mapping[str, Any]
    key: str
    signature: str
    group: str


@dataclass(frozen=True)
class Compared:
    """Condition ids that one line of Table 2 compares: same prompt, same rows, same decoding.

    Attributes:
        base: Quantised as the adapter's is.
        unquantized: The base as it is; null where the base is not quantised.
    """

    tuned: str
    base: str
    unquantized: str | None


@dataclass(frozen=True)
class PlannedFinetune:
    """One adapter of the plan.

    Attributes:
        id: Its folder under ``adapters/``: name and digest.
        digest: Of settings, base and rows, 64 hex digits.
        family: Key of its table in the configuration.
        sources: Of its training rows, as tables print them.
        n_rows: Rows that are trained on.
        findings: What the preflight of the rows said.
        prompt_chosen: On which rows the prompt was chosen.
        compared: What tables compare it with, one entry a decoding.
    """

    id: str
    digest: str
    family: str
    spec: FinetuneSpec
    base_fingerprint: str
    sources: str
    n_rows: int
    findings: tuple[Finding, ...] = ()
    prompt_chosen: str = "beforehand"
    compared: tuple[Compared, ...] = ()

    @property
    def n_steps(self) -> int:
        """Optimiser steps, unless training stops early."""
        per_epoch = -(-self.n_rows // self.spec.batch_size)
        return self.spec.max_steps or ceil(per_epoch * self.spec.epochs)


@dataclass(frozen=True)
class Words:
    """What stands around the tables, beside the configuration's own table ``[report]``."""

    assumed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One sweep, resolved: what every later step reads instead of the configuration.

    Attributes:
        data_digest: Identity of the frozen rows; the tag ``data`` of every piece.
        n_blocks: Blocks of evaluated rows, the same for every condition.
        shards: Model → number of shards of its work.
        finetunes: Adapters to be trained, before the conditions that answer with them.
        made_elsewhere: Ids of the conditions that the planner writes itself (therapist, answers).
        made_from: Name under ``[answers]`` → SHA-256 of its file when it was read; recorded, never
            part of an identity (the texts themselves are).
        provenance: Commit, versions, command; recorded, never part of an identity.
        config: The resolved configuration, as JSON has it.
    """

    conditions: tuple[Condition, ...]
    data_digest: str
    n_blocks: int
    shards: Mapping[str, int]
    score_shards: int
    overlong: Literal["error", "truncate"]
    metrics: tuple[PlannedMetric, ...]
    words: Words
    finetunes: tuple[PlannedFinetune, ...] = ()
    made_elsewhere: tuple[str, ...] = ()
    made_from: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_units(self) -> int:
        """Score units: groups of ``UNIT_BLOCKS`` blocks."""
        return -(-self.n_blocks // UNIT_BLOCKS)

    def of_model(self, model: str) -> tuple[Condition, ...]:
        """Return the conditions that one generate task of *model* works through."""
        return tuple(c for c in self.conditions if c.model.name == model)

    def finetune(self, id_: str) -> PlannedFinetune:
        """Return the fine-tune of that id."""
        return next(f for f in self.finetunes if f.id == id_)

    def finetune_of(self, model: str) -> PlannedFinetune | None:
        """Return the fine-tune whose adapter *model* answers with; null if it has none."""
        return next((f for f in self.finetunes if f.spec.name == model), None)

    def of_group(self, group: str) -> tuple[PlannedMetric, ...]:
        """Return the metrics that one score task of *group* computes."""
        return tuple(m for m in self.metrics if m.group == group)


@dataclass(frozen=True)
class Task:
    """What one process does: an adapter, a shard of a model or score group, or the report."""

    stage: Stage
    key: str
    shard: int
    n_shards: int

    @property
    def id(self) -> str:
        """Names the task in logs, e.g. ``generate-smollm2-00003-of-00008``."""
        return f"{self.stage}-{self.key}-{self.shard:05d}-of-{self.n_shards:05d}"


def finetune_tasks(plan: Plan, trained: Collection[str]) -> list[Task]:
    """Return a task for every adapter whose id is not among *trained*."""
    return [Task("finetune", f.id, 0, 1) for f in plan.finetunes if f.id not in trained]


def generate_tasks(plan: Plan, done: Mapping[str, Collection[int]]) -> list[Task]:
    """Return a task for every shard of a model that lacks a block of any of its conditions.

    Args:
        plan: The sweep.
        done: Condition id → blocks that stand in sound pieces.
    """
    tasks = []
    for model in _models(plan):
        n_shards = min(plan.shards[model], plan.n_blocks)
        missing = {
            block % n_shards
            for condition in plan.of_model(model)
            for block in set(range(plan.n_blocks)) - set(done.get(condition.id, ()))
        }
        tasks += [Task("generate", model, shard, n_shards) for shard in sorted(missing)]
    return tasks


def _models(plan: Plan) -> Iterable[str]:
    made = set(plan.made_elsewhere)
    return dict.fromkeys(c.model.name for c in plan.conditions if c.id not in made)


def score_tasks(
    plan: Plan,
    inputs: Mapping[str, Mapping[int, str]],
    scored: Mapping[tuple[str, str], Mapping[int, str]],
) -> list[Task]:
    """Return a task for every score shard with a unit that was not scored from today's answers.

    Args:
        plan: The sweep.
        inputs: Condition id → unit → digest of the answers it now holds.
        scored: (metric key, condition id) → unit → digest of the answers it was scored from.
    """
    tasks = []
    names = [condition.id for condition in plan.conditions]
    n_shards = min(plan.score_shards, plan.n_units)
    for group in dict.fromkeys(metric.group for metric in plan.metrics):
        stale = {
            unit % n_shards
            for condition in names
            for metric in plan.of_group(group)
            for unit, digest in inputs.get(condition, {}).items()
            if scored.get((metric.key, condition), {}).get(unit) != digest
        }
        tasks += [Task("score", group, shard, n_shards) for shard in sorted(stale)]
    return tasks
