"""The metrics of a plan as whoever reads scores needs them: without encoder or judge at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from empathy_core import metrics
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._jury import juries
from empathy_core.stats import CalibrationRule
from jobs.planning.plan import Plan, PlannedMetric


class _AsPlanned:
    """A metric that bears the plan's signature: to read its scores takes no encoder."""

    def __init__(self, metric: MetricProtocol, signature: str) -> None:
        self._metric, self._signature = metric, signature

    def signature(self) -> str:
        return self._signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metric, name)


def loaded(planned: Sequence[PlannedMetric]) -> dict[str, MetricProtocol]:
    """Return key → metric of a plan, juries as well; no encoder is needed."""
    found = {m.key: metrics.load(m.name, m.options) for m in planned}
    return {**found, **juries(found)}


def metrics_of(plan: Plan) -> dict[str, MetricProtocol]:
    """Return key → metric of everything that tables show: those of the plan, then the juries."""
    found: dict[str, MetricProtocol] = {
        m.key: _AsPlanned(metrics.load(m.name, m.options), m.signature) for m in plan.metrics
    }
    return {**found, **juries(found)}


def requirements(plan: Plan) -> Mapping[str, CalibrationRule]:
    """Return name of a judge → what it must reach; plans of earlier versions name nothing."""
    known = {f.name for f in fields(CalibrationRule)}
    declared: dict[str, CalibrationRule] = {}
    for name, table in plan.config.get("judges", {}).items():
        given = table.get("require") or {}
        changed = {k: v for k, v in given.items() if k in known and v is not None}
        declared[name] = CalibrationRule(**changed)
    return declared
