"""PURE: what a sweep consists of.

Everything that submits or computes takes a ``Plan`` and a list of ``Task``; which tasks there are
says the table of stages (``jobs.planning.stages``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from empathy_core.metrics import is_judges
from empathy_core.store import UNIT_BLOCKS
from empathy_core.training.spec import Finding, FinetuneSpec
from empathy_core.types import Condition, ModelSpec, digest

LEXICAL = "lexical"
"""The score group of all metrics that need no model; what else needs none begins with it."""


@dataclass(frozen=True)
class PlannedMetric:
    """A metric of the plan.

    Attributes:
        key: Its folder under ``scores/``: name and hash of the signature.
        group: Metrics of one group are scored by one task: an encoder each, all dimensions of a
            judge, or ``lexical``.
    """

    name: str
    options: Mapping[str, Any]
    key: str
    signature: str
    group: str

    @cached_property
    def judge(self) -> ModelSpec | None:
        """The language model whose opinion it is; null for every other metric."""
        if not is_judges(self.name):
            return None
        return TypeAdapter(ModelSpec).validate_json(json.dumps(self.options["model"]))

    @property
    def judged_by(self) -> str:
        """What tells the judge from others, whatever it is called and asked; empty without one."""
        model = self.judge
        if model is None:
            return ""
        return str(self.options.get("fingerprint") or digest(model.identity(), 16))

    @property
    def opponent(self) -> str | None:
        """Id of the condition that others are compared with; null for most metrics."""
        found: str | None = self.options.get("opponent")
        return found


@dataclass(frozen=True)
class AdapterVsBase:
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
        n_rows: Rows that are trained on; of a tuning from the bare base, pairs.
        n_pairs: Pairs that are tuned on.
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
    compared: tuple[AdapterVsBase, ...] = ()
    n_pairs: int = 0

    @property
    def n_steps(self) -> int:
        """Optimiser steps, unless training stops early; those on pairs come after those before."""
        steps = _steps(self.spec, self.n_rows) if self.spec.learns_answers else 0
        tuned = self.spec.preference is not None
        return steps + (_steps(self.spec.on_pairs(), self.n_pairs) if tuned else 0)


def _steps(spec: FinetuneSpec, n_rows: int) -> int:
    per_epoch = -(-n_rows // spec.batch_size)
    return spec.max_steps or ceil(per_epoch * spec.epochs)


@dataclass(frozen=True)
class PlanNotes:
    """What stands around the tables, beside the configuration's own table ``[report]``."""

    assumed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One sweep, resolved: what every later step reads instead of the configuration.

    Attributes:
        data_digest: Identity of the frozen rows; the tag ``data`` of every piece.
        n_blocks: Blocks of evaluated rows, the same for every condition.
        steps: First block, and how many, of the rows that came together; empty where the run never
            grew.
        shards: Model → number of shards of its work.
        finetunes: Adapters to be trained, before the conditions that answer with them.
        imported: Ids of the conditions that the planner writes itself (therapist, answers).
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
    notes: Annotated[PlanNotes, Field(alias="words")]
    finetunes: tuple[PlannedFinetune, ...] = ()
    imported: Annotated[tuple[str, ...], Field(alias="made_elsewhere")] = ()
    made_from: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[tuple[int, int], ...] = ()

    @cached_property
    def blocks(self) -> Sequence[int]:
        """The blocks; numbers are left out where a run grew."""
        if not self.steps:
            return range(self.n_blocks)
        return [first + i for first, n in self.steps for i in range(n)]

    @property
    def n_units(self) -> int:
        """Score units: groups of ``UNIT_BLOCKS`` blocks."""
        return -(-(self.blocks[-1] + 1) // UNIT_BLOCKS) if self.blocks else 0

    def of_model(self, model: str) -> tuple[Condition, ...]:
        """Return the conditions that one generate task of *model* works through."""
        return self._of_models.get(model, ())

    @cached_property
    def chosen(self) -> tuple[str, ...]:
        """Ids of the conditions whose answers are chosen among those of others (best of n)."""
        return tuple(c.id for c in self.conditions if c.choice is not None)

    @property
    def not_generated(self) -> frozenset[str]:
        """Ids of the conditions that no model answers: imported ones, and chosen ones."""
        return frozenset((*self.imported, *self.chosen))

    @cached_property
    def _of_models(self) -> Mapping[str, tuple[Condition, ...]]:
        grouped: dict[str, tuple[Condition, ...]] = {}
        for condition in (c for c in self.conditions if c.choice is None):
            name = condition.model.name
            grouped[name] = (*grouped.get(name, ()), condition)
        return grouped

    @cached_property
    def ids_of_models(self) -> Mapping[str, tuple[str, ...]]:
        """Model → ids of its conditions; asked for once a task, of which there may be thousands."""
        return {name: tuple(c.id for c in mine) for name, mine in self._of_models.items()}

    def finetune(self, id_: str) -> PlannedFinetune:
        """Return the fine-tune of that id."""
        return next(f for f in self.finetunes if f.id == id_)

    def finetune_of(self, model: str) -> PlannedFinetune | None:
        """Return the fine-tune whose adapter *model* answers with; null if it has none."""
        return next((f for f in self.finetunes if f.spec.name == model), None)

    @property
    def judges(self) -> tuple[ModelSpec, ...]:
        """The language models that judge, each once."""
        return tuple(dict.fromkeys(m.judge for m in self.metrics if m.judge is not None))

    def of_group(self, group: str) -> tuple[PlannedMetric, ...]:
        """Return the metrics that one score task of *group* computes."""
        return tuple(m for m in self.metrics if m.group == group)


@dataclass(frozen=True)
class Task:
    """What one process does: an adapter, a shard of a model or score group, or the report.

    Attributes:
        stage: Name of its stage in the table of stages.
        key: What it is about: a fine-tune, a model, a group of metrics.
        shard: From 0; its part of ``n_shards``.
    """

    stage: str
    key: str
    shard: int
    n_shards: int

    @cached_property
    def id(self) -> str:
        """Names the task in logs, e.g. ``generate-smollm2-00003-of-00008``."""
        return f"{self.stage}-{self.key}-{self.shard:05d}-of-{self.n_shards:05d}"


def is_called(condition: Condition, name: str) -> bool:
    """Tell whether *name* is a condition's id, whole or without its digest."""
    return name in (condition.id, condition.id.rpartition("-")[0])
