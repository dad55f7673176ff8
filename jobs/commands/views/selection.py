"""PURE: which stages and models of a run ``status`` shows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from empathy_core.errors import UnknownName
from jobs.planning.plan import Plan
from jobs.planning.stages import TABLE


@dataclass(frozen=True)
class Selection:
    """What is shown of a run.

    Attributes:
        models: Names of models; null means all.
        keys: What stages do for these models: their own names, and their fine-tunes; null likewise.
        stages: Names of stages; null likewise.
    """

    models: Collection[str] | None = None
    keys: Collection[str] | None = None
    stages: Collection[str] | None = None

    def has(self, stage: str, key: str) -> bool:
        """Tell whether a stage's work on *key* is shown; scoring and report are of no model."""
        wanted_stage = self.stages is None or stage in self.stages
        return wanted_stage and (self.keys is None or key in self.keys)

    def has_model(self, name: str) -> bool:
        """Tell whether the conditions of a model are shown."""
        return self.models is None or name in self.models


def select(plan: Plan, models: Sequence[str], stages: Sequence[str]) -> Selection:
    """Return what is shown of a plan; without names, everything.

    Raises:
        UnknownName: The plan has no such model, or there is no such stage.
    """
    bases = (f.spec.base.name for f in plan.finetunes)
    known = {*(c.model.name for c in plan.conditions), *(f.spec.name for f in plan.finetunes)}
    _require("model", models, {*known, *bases})
    _require("stage", stages, [stage.name for stage in TABLE])
    trained = [f.id for f in plan.finetunes if f.spec.name in models]
    return Selection(
        models=set(models) if models else None,
        keys={*models, *trained} if models else None,
        stages=set(stages) if stages else None,
    )


def _require(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(kind, name, known)
