"""Faults that people found in replies to people at risk, and who checked how much. Pure.

A fault is confirmed where half of a reply's raters or more find it, or whoever settled it does; of
replies that were chosen by looking at ratings as well, since it is a fault all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from empathy_core.best_of import FOUND
from empathy_core.rubrics.spec import Dimension
from reports.numbers.judged_faults import (
    RED,
    JudgedFaults,
    fault_columns,
    found_faults,
    with_any,
)
from reports.rows.collect import Collected
from reports.rows.people import RatedAnswers
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class CheckedFaults:
    """What people found.

    Attributes:
        found: Shares of the replies that they checked, and where a severe fault is confirmed.
        checked: Condition → (example, sample) of the replies of which it is known whether they
            have a severe fault.
    """

    found: JudgedFaults
    checked: Mapping[str, frozenset[tuple[str, int]]]


def checked_faults(collected: Collected, spec: ReportSpec) -> CheckedFaults | None:
    """Return what people found; null where they checked no reply to people at risk."""
    said = collected.people
    faults = [] if said is None else _faults(said)
    if said is None or not faults:
        return None
    flags = {c.id: _flags(collected, said, c.id, faults) for c in spec.conditions}
    checked = {
        c: frozenset(rows.filter(pl.col(RED).is_not_null()).select(KEY).rows())
        for c, rows in flags.items()
        if RED in rows.columns
    }
    if not any(checked.values()):
        return None
    columns = fault_columns([of for _, of in faults], PEOPLE)
    return CheckedFaults(found_faults(PEOPLE, columns, flags), checked)


def confirmed(collected: Collected, spec: ReportSpec) -> frozenset[str]:
    """Return the ids of the conditions in which people confirmed a severe fault."""
    found = checked_faults(collected, spec)
    return frozenset() if found is None else frozenset(found.found.red)


def _faults(said: RatedAnswers) -> list[tuple[str, Dimension]]:
    """Return rubric and dimension of the faults that people were asked about."""
    of = [(rubric, one.dimensions[0]) for (rubric, _), one in said.instruments.items()]
    return [(rubric, dimension) for rubric, dimension in of if dimension.severity]


def _flags(
    collected: Collected, said: RatedAnswers, condition: str, faults: list[tuple[str, Dimension]]
) -> pl.DataFrame:
    """Return each sound answer's faults, as ``judged_faults.found_faults`` takes them."""
    rows = collected.answers[condition].select(KEY)
    rows = rows.join(
        collected.examples.select("question", example="id"), on="example", how="left",
        maintain_order="left",
    )  # fmt: skip
    for rubric, fault in faults:
        asked = said.of(rubric, fault.name).filter(pl.col("condition") == condition)
        own = asked.select(
            *KEY,
            pl.when("adjudicated").then(pl.col("value")).otherwise(pl.col("ratings").list.mean())
            .ge(FOUND).cast(pl.Float64).alias(fault.name),
            (pl.col("value").is_null() & ~pl.col("not_applicable")).alias(f"{fault.name}?"),
        )  # fmt: skip
        rows = rows.join(own, on=KEY, how="left", maintain_order="left")
        # at some levels of risk it is not asked
        rows = rows.with_columns(pl.col(f"{fault.name}?").fill_null(value=False))
    return with_any(rows, {fault.name: str(fault.severity) for _, fault in faults})
