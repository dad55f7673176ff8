"""Sound ratings of each dimension as arrays: raters by conditions by answers. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core import rubrics
from empathy_core.errors import EmpathyError
from empathy_core.metrics import MetricProtocol, rates
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.rubrics.spec import Dimension, Rubric
from empathy_core.stats import Resampler
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

Asked = tuple[str, str, str]
"""Rubric, dimension, and the digest of what a rater reads and what it counts as."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedDimension:
    """What people said on one dimension.

    Attributes:
        asked: Rubric, dimension and digest.
        rubric_label: As printed.
        label: Likewise, of the dimension.
        raters: Pseudonyms, in order.
        conditions: Ids of those with a rating, in the report's order.
        rows: ``example``, ``sample``, ``question``: a row each answer that any condition has rated.
        ratings: Shape (raters, conditions, rows); NaN where there is none.
    """

    asked: Asked
    rubric_label: str
    label: str
    raters: tuple[str, ...]
    conditions: tuple[str, ...]
    rows: pl.DataFrame
    ratings: np.ndarray

    @property
    def resampler(self) -> Resampler:
        """Of the rows; the question is the cluster."""
        return Resampler.by(self.rows["question"])

    @property
    def name(self) -> str:
        """What keys call it: rubric and dimension."""
        return f"{self.asked[0]}_{self.asked[1]}"


def rated_dimensions(collected: Collected, spec: ReportSpec) -> list[RatedDimension]:
    """Return every dimension that people have rated: judges' first, in the report's order."""
    answers = collected.ratings.answers
    if answers.is_empty():
        return []
    known = dict(_known(spec.metrics))
    found = answers.select("rubric", "dimension", "rubric_digest").unique(maintain_order=True)
    every: list[Asked] = list(found.sort(pl.all()).iter_rows())
    order = [*(asked for asked in known if asked in every), *(a for a in every if a not in known)]
    return [_table(asked, known.get(asked) or _shipped(asked), answers, spec) for asked in order]


def asked_of(metric: Any) -> tuple[Rubric, Dimension] | None:
    """Return what a judge or a jury rates; null of every other metric."""
    if (members := getattr(metric, "members", None)) is not None:
        metric = next(iter(members.values()))
    return (metric.rubric, metric.dimension) if rates(metric) else None


def dimension_of(metric: Any) -> Dimension:
    """Return the dimension that a judge or a jury rates."""
    members = getattr(metric, "members", None)
    first = metric if members is None else next(iter(members.values()))
    of: Dimension = first.dimension
    return of


def _known(metrics: Mapping[str, MetricProtocol]) -> Iterator[tuple[Asked, tuple[str, str]]]:
    """Yield what judges are asked, and the labels of rubric and dimension."""
    for metric in metrics.values():
        if (of := asked_of(metric)) is not None:
            rubric, dimension = of
            asked = rubric.name, dimension.name, dimension_digest(rubric, dimension)
            yield asked, (rubric.label, dimension.label)


def _shipped(asked: Asked) -> tuple[str, str]:
    """Return the labels of a dimension that no judge is asked: those that ship, or its names."""
    try:
        rubric = rubrics.rubric(asked[0])
    except EmpathyError:
        return asked[:2]
    label = next((d.label for d in rubric.dimensions if d.name == asked[1]), asked[1])
    return rubric.label, label


def _table(
    asked: Asked, labels: tuple[str, str], answers: pl.DataFrame, spec: ReportSpec
) -> RatedDimension:
    rubric, dimension, digest = asked
    mine = answers.filter(
        pl.col("rubric") == rubric, pl.col("dimension") == dimension,
        pl.col("rubric_digest") == digest,
    )  # fmt: skip
    raters = mine["rater"].unique().sort().to_list()
    there = set(mine["condition"])
    conditions = [c.id for c in spec.conditions if c.id in there]
    rows = mine.select(*KEY, "question").unique(KEY, maintain_order=True).sort(KEY)
    places = rows.select(KEY).with_row_index("row")
    at = mine.join(places, on=KEY, how="left", maintain_order="left")
    ratings = np.full((len(raters), len(conditions), rows.height), np.nan)
    rater, condition = (
        at[name].replace_strict(of, range(len(of)), return_dtype=pl.Int64).to_numpy()
        for name, of in (("rater", raters), ("condition", conditions))
    )
    ratings[rater, condition, at["row"].to_numpy()] = at["value"].to_numpy()
    return RatedDimension(asked, *labels, tuple(raters), tuple(conditions), rows, ratings)


def beside(of: RatedDimension, frame: pl.DataFrame, name: str) -> np.ndarray:
    """Return a number of a condition's answers, in the order of the rated rows: (rows,).

    Args:
        of: What was rated.
        frame: ``KEY`` and *name*; NaN is returned where it has no row, or no number.
        name: Of a column.
    """
    if name not in frame.columns:
        return np.full(of.rows.height, np.nan)
    found = of.rows.join(frame.select(*KEY, name), on=KEY, how="left", maintain_order="left")
    return found[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
