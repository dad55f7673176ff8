"""Every number of a report that prose may cite, of all tables. Pure."""

import polars as pl

from reports.numbers.aggregate import Aggregated
from reports.numbers.made_results import derived_results, refinement_results
from reports.numbers.people_results import HeldAgainstPeople
from reports.numbers.results import Result, results
from reports.spec import ReportSpec


def every_result(
    spec: ReportSpec,
    numbers: Aggregated,
    people: HeldAgainstPeople,
    compared: pl.DataFrame,
    corrected: pl.DataFrame,
    made: pl.DataFrame,
) -> tuple[Result, ...]:
    """Return the results of a report, each under a key of its own.

    Args:
        spec: The report.
        numbers: Scores, pairs, contrasts.
        people: How far people agree, and judges with them.
        compared: ``adapter_vs_base.COMPARED``.
        corrected: ``corrected.PEOPLE``.
        made: ``derived.DERIVED``.
    """
    return (
        *results(spec, numbers, compared, corrected),
        *people.results,
        *derived_results(spec, made),
        *refinement_results(spec),
    )
