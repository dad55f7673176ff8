"""Every two conditions beside each other, and the contrasts that the configuration declares. Pure.

A difference is the second less the first, on the examples that both have scored; an example of
several samples counts once, as their mean.
"""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from empathy_core.stats import Difference, benjamini_hochberg, holm, least_detectable
from reports.numbers.significance import opposed
from reports.numbers.values import ends, or_null

PAIRS: dict[str, Any] = {
    "first": pl.String,  # condition
    "second": pl.String,  # condition
    "subset": pl.String,
    "metric": pl.String,  # key
    "column": pl.String,
    "first_score": pl.Float64,  # on the examples that both have scored, as are all that follow
    "second_score": pl.Float64,
    "difference": pl.Float64,  # second less first; null: no row is scored by both
    "low": pl.Float64,  # of the 95 % interval; null: too few questions
    "high": pl.Float64,
    "p_bootstrap": pl.Float64,
    "p_randomization": pl.Float64,
    "p_holm": pl.Float64,  # p_randomization, corrected over the family
    "p_bh": pl.Float64,  # the same by Benjamini and Hochberg: share of false findings
    "p_floor": pl.Float64,  # least p_randomization that these questions and shuffles allow
    "effect": pl.Float64,  # difference in standard deviations of a question's difference
    "standard_error": pl.Float64,  # of the difference
    "detectable": pl.Float64,  # least difference found with 80 % probability, corrected for m tests
    "narrow_low": pl.Float64,  # of the 90 % interval, which a test of equivalence takes
    "narrow_high": pl.Float64,
    "n": pl.Int64,  # examples that both have scored
    "n_left_out": pl.Int64,  # examples that one of them has not
    "n_questions": pl.Int64,
    "opposed": pl.Boolean,  # the two cells, each of all its rows, differ the other way
    "least": pl.Float64,  # least difference, whatever the answers without a score would get
    "most": pl.Float64,  # the greatest; null: cannot be bounded
}
"""Schema of the pairs, a row for each pair and column. A family is one column's pairs: the
question which condition is best under it."""

CONTRASTS: dict[str, Any] = {
    "name": pl.String,  # of the table in the configuration
    "label": pl.String,
    "pairs": pl.Int64,  # pairs of conditions that the difference is a mean over
    **{name: kind for name, kind in PAIRS.items() if name not in ("first", "second", "subset")},
}
"""Schema of the declared contrasts. A family is all contrasts under all main columns."""


def record(
    found: Difference, cells: float, bounds: tuple[float, float] | None
) -> dict[str, object]:
    """Return what stands of a difference in every frame, corrections apart.

    Args:
        found: On the examples that both have scored.
        cells: Difference of the two scores as the tables print them, each of all its own rows.
        bounds: See ``bounds.Possible.difference``; null where every answer has a score, so that
            the difference is what it is.
    """
    least, most = (found.value, found.value) if bounds is None else bounds
    return {
        "first_score": found.first,
        "second_score": found.second,
        "difference": found.value,
        **ends(found.interval),
        "p_bootstrap": found.p_bootstrap,
        "p_randomization": found.p_randomization,
        "p_floor": found.p_floor,
        "effect": found.effect,
        "standard_error": found.standard_error,
        **ends(found.narrow, "narrow"),
        "n": found.n,
        "n_left_out": found.n_left_out,
        "n_questions": found.n_clusters,
        "opposed": opposed(cells, found.value),
        "least": or_null(least),
        "most": or_null(most),
    }


def corrected(frame: pl.DataFrame, family: Sequence[str]) -> pl.DataFrame:
    """Return *frame* with both corrections, each over the rows that agree in *family*.

    So is the least difference that could have been found.
    """
    if frame.is_empty():
        return frame
    parts = frame.partition_by(family, maintain_order=True) if family else [frame]
    return pl.concat([_corrected(part) for part in parts])


def _corrected(family: pl.DataFrame) -> pl.DataFrame:
    found = family["p_randomization"].to_list()
    n_tests = len(found) - found.count(None)
    detectable = [
        None if error is None or not n_tests else least_detectable(error, n_tests)
        for error in family["standard_error"]
    ]
    ways: tuple[tuple[str, Callable[..., tuple[float | None, ...]]], ...] = (
        ("p_holm", holm),
        ("p_bh", benjamini_hochberg),
    )
    return family.with_columns(
        pl.Series("detectable", detectable, dtype=pl.Float64),
        *(pl.Series(name, way(found), dtype=pl.Float64) for name, way in ways),
    )
