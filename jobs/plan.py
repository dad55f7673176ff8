"""PURE: what a sweep consists of, and which of it is still to be done.

Everything that submits or computes takes a ``Plan`` and a list of ``Task``. Nothing here reads
the disk: what is done is an argument.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from empathy_core.store import UNIT_BLOCKS
from empathy_core.types import Condition

Stage = Literal["generate", "score", "report"]
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
class Words:
    """What stands around the tables."""

    title: str
    caption: str
    label: str
    published: str | None
    examples: int
    assumed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One sweep, resolved: what every later step reads instead of the configuration.

    Attributes:
        data_digest: Identity of the frozen rows; the tag ``data`` of every piece.
        n_blocks: Blocks of evaluated rows, the same for every condition.
        shards: Model → number of shards of its work.
        made_elsewhere: Ids of the conditions that the planner writes itself (therapist, answers).
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
    made_elsewhere: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_units(self) -> int:
        """Score units: groups of ``UNIT_BLOCKS`` blocks."""
        return -(-self.n_blocks // UNIT_BLOCKS)

    def of_model(self, model: str) -> tuple[Condition, ...]:
        """Return the conditions that one generate task of *model* works through."""
        return tuple(c for c in self.conditions if c.model.name == model)

    def of_group(self, group: str) -> tuple[PlannedMetric, ...]:
        """Return the metrics that one score task of *group* computes."""
        return tuple(m for m in self.metrics if m.group == group)


@dataclass(frozen=True)
class Task:
    """What one process does: a shard of a model, a shard of a score group, or the report."""

    stage: Stage
    key: str
    shard: int
    n_shards: int

    @property
    def id(self) -> str:
        """Names the task in logs, e.g. ``generate-smollm2-00003-of-00008``."""
        return f"{self.stage}-{self.key}-{self.shard:05d}-of-{self.n_shards:05d}"


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
