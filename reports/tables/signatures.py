"""The metrics of a table with their settings, as the note below it names them. Pure."""

from collections.abc import Sequence
from typing import Any

from reports.keys import metric_name
from reports.labels import short_signature
from reports.numbers.significance import Wanted
from reports.spec import ReportSpec


def signatures(spec: ReportSpec, wanted: Sequence[Wanted]) -> list[str]:
    """Name the metrics of *wanted* with their settings."""
    shown: dict[tuple[str, str], list[str]] = {}
    for key in dict.fromkeys(key for key, _ in wanted):
        metric: Any = spec.metrics[key]
        dimension = ""
        name, settings = metric_name(key), short_signature(metric.signature())
        is_people = key in spec.rated_by_people
        if is_people or hasattr(metric, "rubric"):  # a judge's, alike but for what is asked
            dimension = metric.dimension.name
            instrument = metric.instrument if is_people else metric.rubric
            name = f"{'people' if is_people else metric.judge}_{instrument.name}"
            settings = settings.replace(f"dimension {dimension}; ", "", 1)
        shown.setdefault((name, settings), []).append(dimension)
    listed = (_metric(name, of, settings) for (name, settings), of in shown.items())
    return [f"Metrics: {', '.join(listed)}."]


def _metric(name: str, dimensions: Sequence[str], settings: str) -> str:
    asked = ", ".join(filter(None, dimensions))
    return f"{name} ({f'dimensions {asked}; ' if asked else ''}{settings})"
