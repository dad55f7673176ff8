"""The report's settings: decided in one place, recorded with it, read by all that speaks of it.

What ``report --set`` changed stands in ``report/settings.json``. A verdict of ``claims``, the words
of ``explain`` and a comparison of two runs follow that record and not the configuration, so that no
table is printed under one correction and judged under another.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empathy_core import metrics
from empathy_core.errors import ConfigError, Damaged
from empathy_core.metrics._jury import juries
from empathy_core.metrics._people import once_rated
from empathy_core.store import RunDir, read_json
from jobs.config import read as configuration
from jobs.config.schema import ReportTable
from jobs.planning.plan import Plan
from reports.keys import column_keys
from reports.spec import SETTINGS
from reports.tables.columns import unknown_columns


@dataclass(frozen=True, slots=True)
class Recorded:
    """The settings of a report.

    Attributes:
        table: What the report follows.
        configured: What the configuration says under ``[report]``, without ``--set``.
    """

    table: ReportTable
    configured: ReportTable

    def changed(self) -> dict[str, tuple[object, object]]:
        """Return dotted path → (configured, followed) of what ``--set`` changed."""
        return unlike(self.configured, self.table)

    def as_options(self) -> tuple[str, ...]:
        """Return what ``--set`` takes to make the configuration's settings these."""
        changed = {path: value for path, (_, value) in self.changed().items()}
        return tuple(f"{p}={_toml(value)}" for p, value in changed.items() if value is not None)

    def record(self) -> dict[str, Any]:
        """Return what ``settings.json`` holds."""
        return {
            "report": self.table.model_dump(mode="json"),
            "configuration": self.configured.model_dump(mode="json"),
        }


def to_write(plan: Plan, overrides: Sequence[str] = ()) -> Recorded:
    """Return the settings of a report that is about to be written.

    Args:
        plan: Whose configuration is followed. What an older version of the suite knew under
            ``[report]`` and this one does not is left out.
        overrides: ``report.a=b`` each.

    Raises:
        ConfigError: An override is no setting of ``[report]``, or has a wrong value.
    """
    own = _known(plan.config.get("report", {}))
    table = configuration.report_table(own, overrides)
    if overrides:
        check_margins(table.margins, {m.name: m.options for m in plan.metrics})
    return Recorded(table, configuration.report_table(own, ()))


def check_margins(margins: Iterable[str], chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse margins of what is no column of a metric.

    Args:
        margins: Keys of columns.
        chosen: Name of a metric → its settings.

    Raises:
        ConfigError: Naming each, with the nearest column.
    """
    loaded = {name: metrics.load(name, options) for name, options in chosen.items()}
    computed = {metrics.key(n, m): m for n, m in loaded.items()}
    computed = {**computed, **juries(computed)}
    keys = column_keys({**computed, **once_rated(computed)}).values()
    known = {key: key for key in keys}
    if wrong := [name for name in margins if name not in known]:
        problems = unknown_columns(wrong, known, loaded)
        raise ConfigError("\n".join(f"report.margins: {problem}" for problem in problems))


def written(run: RunDir, plan: Plan, overrides: Sequence[str] = ()) -> Recorded:
    """Return the settings of the report that stands in *run*; without one, those of *plan*.

    A report of an older version holds no record: it is taken to follow the configuration.

    Raises:
        ConfigError: *overrides* contradict the report that stands there.
        Damaged: The record cannot be read.
    """
    path = run.report / SETTINGS
    if not path.exists():
        return to_write(plan, overrides)
    recorded = _read(run)
    asked = configuration.report_table(recorded.table.model_dump(mode="json"), overrides)
    if wrong := unlike(recorded.table, asked):
        differences = "; ".join(f"{p}: {_toml(a)} in the report, {_toml(b)} asked for"
                         for p, (a, b) in wrong.items())  # fmt: skip
        options = " ".join(f"--set {text}" for text in overrides)
        msg = (
            f"--set contradicts the report in {run.report} ({differences}): its numbers "
            "are explained by its own settings. Leave out --set, or write the report again with "
            f"them: report {options}"
        )
        raise ConfigError(msg)
    return recorded


def _read(run: RunDir) -> Recorded:
    path = run.report / SETTINGS
    try:
        raw = read_json(path)
        tables = (_known(raw[name]) for name in ("report", "configuration"))
        return Recorded(*(configuration.report_table(table, ()) for table in tables))
    except (Damaged, OSError, LookupError, TypeError, AttributeError, ConfigError) as error:
        msg = f"{path} is no record of a report's settings ({error}): write it again with report"
        raise Damaged(msg) from error


def out_of_date(recorded: Recorded, run: RunDir, plan: Plan) -> str:
    """Return a sentence if the configuration changed after the report was written; else nothing."""
    changed = unlike(recorded.configured, to_write(plan).configured)
    if not changed:
        return ""
    differences = "; ".join(f"{p}: {_toml(a)} -> {_toml(b)}" for p, (a, b) in changed.items())
    return (
        f"the configuration changed after the report in {run.report} was written "
        f"({differences}); what is shown here is the report's: run report to bring it up to date"
    )


def _known(table: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in table.items() if k in ReportTable.model_fields}


def unlike(one: ReportTable, other: ReportTable) -> dict[str, tuple[object, object]]:
    """Return dotted path → both values of every setting that differs; null where absent."""
    left, right = (_flat(t.model_dump(mode="json"), "report") for t in (one, other))
    paths = (*left, *(p for p in right if p not in left))
    return {p: (left.get(p), right.get(p)) for p in paths if left.get(p) != right.get(p)}


def _flat(table: Mapping[str, Any], path: str) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        here = f"{path}.{key}"
        flat |= _flat(value, here) if isinstance(value, Mapping) else {here: value}
    return flat


def _toml(value: object) -> str:
    """Return *value* as ``--set`` takes it, and as a reader knows it."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
