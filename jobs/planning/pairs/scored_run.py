"""A run whose answers are compared by one of its columns: what is read of it, and proven whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empathy_core.errors import ConfigError, DataError, Incomplete, first_line
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._people import CORRECTED, People, once_rated
from empathy_core.store import RunDir
from empathy_core.training.preference.candidates import require_effect
from empathy_core.training.preference.settings import PairSettings
from empathy_core.types import Column, Condition
from jobs.config.contrasts import selected
from jobs.planning.plan import Plan, is_called
from jobs.planning.plan_file import last_plan
from jobs.planning.planned_metrics import metrics_of, requirements
from jobs.planning.progress import adapters_of, read_trained
from reports.keys import At, column_keys
from reports.numbers.judged_faults import looks_for_faults
from reports.rows.collect import Collected, collect
from reports.rows.compared import comparing
from reports.rows.people import people_of
from reports.spec import ReportSpec
from reports.tables.columns import unknown_columns


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One column of a run, and the answers that it is about.

    Attributes:
        spec: The conditions that are compared, and the metrics that are read.
        key: Of the column's metric.
        column: What decides.
        place: Of the column among its metric's.
        collected: Proven to be whole.
    """

    run: RunDir
    plan: Plan
    spec: ReportSpec
    key: str
    column: Column
    place: int
    collected: Collected

    @property
    def metric(self) -> Any:
        """The column's metric."""
        return self.spec.metrics[self.key]


def scored_run(name: str, settings: PairSettings) -> ScoredRun:
    """Return the run that ``[pairs.<name>]`` of scores names.

    Raises:
        ConfigError: The column or a condition is unknown or cannot decide, or the table contradicts
            itself.
        DataError: There is no run, it is not whole, or people have not rated what is asked for.
    """
    run, plan = _planned(name, settings)
    computed = metrics_of(plan)
    every: dict[str, MetricProtocol] = {**computed, **people_of(run, computed)}
    key, of = _column(name, settings, run, every)
    columns = every[key].columns
    column = next(c for c in columns if c.name == of)
    _check_decides(name, every[key], column)
    conditions = _conditions(name, settings, plan)
    spec = ReportSpec(
        conditions=conditions,
        metrics=_read(every, key, [c.id for c in conditions]),
        data_digest=plan.data_digest,
        adapters=adapters_of(plan, read_trained(run, plan)),
        requirements=requirements(plan),
    )
    try:
        collected = collect(run, spec)
    except Incomplete as error:
        listed = "\n".join(str(error).splitlines()[1:-1])
        msg = (
            f"pairs.{name}: {first_line(error).rstrip(':')}\n{listed}\nexpected every answer and "
            "score of the conditions that are compared; finish that run with sweep"
        )
        raise DataError(msg) from error
    return ScoredRun(run, plan, spec, key, column, columns.index(column), collected)


def _planned(name: str, settings: PairSettings) -> tuple[RunDir, Plan]:
    lacking = [key for key in ("column", "margin") if getattr(settings, key) is None]
    require_effect(name, settings)
    if lacking:
        msg = (
            f"pairs.{name}: {' and '.join(lacking)} not given; expected column and "
            "margin, and conditions where not all are compared; correct the table"
        )
        raise ConfigError(msg)
    run = RunDir(Path(settings.path).expanduser())
    if not run.plans():
        msg = (
            f"pairs.{name}: {run.root} is no run; expected the folder of one whose answers are "
            "scored; correct path, or make the run with sweep first"
        )
        raise DataError(msg)
    return run, last_plan(run)[0]


def _column(
    name: str, settings: PairSettings, run: RunDir, every: Mapping[str, MetricProtocol]
) -> At:
    """Return metric key and name of the column that is asked for."""
    wanted = str(settings.column)
    known = {key: at for at, key in column_keys(every).items()}
    if wanted in known:
        return known[wanted]
    once = {key: at for at, key in column_keys(once_rated(every)).items()}
    if wanted in once and once[wanted][0].startswith(CORRECTED):
        msg = (
            f"pairs.{name}: '{wanted}' is an estimate of means and has no value for one answer; "
            "expected a column of scores; name the judge's own column, or people's"
        )
        raise ConfigError(msg)
    if wanted in once:
        msg = (
            f"pairs.{name}: {run.root} has no ratings of people for '{wanted}'; expected some; "
            "bring them in with annotate import, or name another column"
        )
        raise DataError(msg)
    told = "\n".join(unknown_columns([wanted], known, every))
    msg = (
        f"pairs.{name}: {told}\nexpected a column of {run.root}, whose answers are compared; a "
        "column of another run says nothing of them: add its metric or judge there, run sweep "
        "there, and name it here"
    )
    raise ConfigError(msg)


def _check_decides(name: str, metric: MetricProtocol, column: Column) -> None:
    """Refuse a column that does not say which of two answers is better."""
    if isinstance(metric, People) and column != metric.columns[0]:
        msg = (
            f"pairs.{name}: '{column.name}' is a share of people's ratings; expected their mean; "
            f"set column = '{metric.columns[0].name}'"
        )
        raise ConfigError(msg)
    if column.better is None:
        msg = (
            f"pairs.{name}: '{column.name}' has no better direction; expected a column in which "
            "higher or lower is better; name another, or set the direction of its metric "
            "(better) and run sweep there"
        )
        raise ConfigError(msg)


def _conditions(name: str, settings: PairSettings, plan: Plan) -> tuple[Condition, ...]:
    """Return the conditions whose answers are compared, in the plan's order."""
    chosen = {c.id for c in plan.conditions} if not settings.conditions else set()
    for wanted in settings.conditions:
        found = [c for c in plan.conditions if is_called(c, wanted)]
        found = found or selected(wanted, plan.conditions)
        if not found:
            listed = ", ".join(sorted(c.id.rpartition("-")[0] for c in plan.conditions))
            msg = (
                f"pairs.{name}: the run has no condition '{wanted}'; expected of {listed}; "
                "correct conditions"
            )
            raise ConfigError(msg)
        chosen |= {c.id for c in found}
    conditions = tuple(c for c in plan.conditions if c.id in chosen)
    if sum(c.decoding.n_samples for c in conditions) < 2:
        msg = (
            f"pairs.{name}: there is one answer to each question ({conditions[0].id}); expected "
            "two or more to compare; name another condition, or draw several samples of this one"
        )
        raise ConfigError(msg)
    return conditions


def _read(
    every: Mapping[str, MetricProtocol], key: str, conditions: Sequence[str]
) -> dict[str, MetricProtocol]:
    """Return the metrics that are read: the column's, what it is made of, and who finds faults."""
    metric: Any = every[key]
    wanted = {key, *getattr(metric, "members", ())}
    if getattr(metric, "opponent", ""):
        wanted = {
            other
            for other, of in comparing(every).items()
            if (of.judge, of.rubric) == (metric.judge, metric.rubric) and of.opponent in conditions
        } | {key}
    return {
        other: of
        for other, of in every.items()
        if other in wanted or isinstance(of, People) or looks_for_faults(of)
    }
