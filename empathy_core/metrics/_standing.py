"""Whether a judge's rating counts as calibrated: what its columns say of it, in one place."""

import re
from dataclasses import dataclass, replace
from typing import Any

from empathy_core.metrics import MetricProtocol
from empathy_core.types import Column

UNCALIBRATED = "uncalibrated"
"""What a judge's rating is until people have rated the same answers, and a comparison always."""


def heading(rubric: str, whose: str) -> str:
    """Return the heading of a judge's columns, e.g. ``EPITOME, uncalibrated (judge: A)``.

    Args:
        rubric: Its label.
        whose: E.g. ``judge: A``, or ``jury: A, B``.
    """
    return f"{rubric}, {UNCALIBRATED} ({whose})"


def calibrated(n_items: int, n_raters: int) -> str:
    """Return what stands in the place of ``UNCALIBRATED``."""
    raters = "1 rater" if n_raters == 1 else f"{n_raters:,} raters"
    return f"calibrated on {n_items:,} items, {raters}"


_STANDING = re.compile(rf", (?:{UNCALIBRATED}|calibrated on [\d,]+ items, [\d,]+ raters?) \(")


def rubric_of(column: Column) -> str:
    """Return the label of the rubric in a judge's heading; empty where it has none."""
    found = [*_STANDING.finditer(column.group)]
    return column.group[: found[-1].start()] if found else ""


def is_calibrated(column: Column) -> bool:
    """Tell whether the heading of a judge's column says so."""
    found = [*_STANDING.finditer(column.group)]
    return bool(found) and UNCALIBRATED not in found[-1][0]


@dataclass(frozen=True, slots=True)
class MetricOfStanding:
    """A judge's metric whose headings say how it stands; in all else the metric.

    Attributes:
        metric: A judge's or a jury's.
        standing: See ``calibrated``.
    """

    metric: Any
    standing: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of the metric under another heading."""
        marker = f", {UNCALIBRATED} ("
        return tuple(
            replace(of, group=f", {self.standing} (".join(of.group.rsplit(marker, 1)))
            for of in self.metric.columns
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metric, name)


def with_standing(metric: MetricProtocol, standing: str) -> Any:
    """Return a judge's metric that says how it stands."""
    return MetricOfStanding(metric, standing)
