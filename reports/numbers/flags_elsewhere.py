"""Shares of answers that people would flag, by judges that were calibrated on other data. Pure.

Only where nobody has rated answers of this run on the question: people's ratings of these need no
belief that the judge errs here as it did there, and then ``corrected`` says what they show.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from empathy_core.best_of import FOUND
from empathy_core.metrics import rates
from empathy_core.stats import FlagCounts, Refusal, flag_rate
from reports.rows.collect import Collected
from reports.spec import FlagsElsewhere, ReportSpec

FLAG_RATES: dict[str, Any] = {
    "rubric": pl.String,
    "dimension": pl.String,
    "metric": pl.String,  # key of the judge
    "judge": pl.String,  # label
    "condition": pl.String,  # id
    "value": pl.Float64,  # share that people would flag; null where refused
    "low": pl.Float64,  # of its 95 % interval
    "high": pl.Float64,
    "flagged": pl.Float64,  # share that the judge flags
    "n": pl.Int64,  # answers with a score of the judge
    "n_flagged": pl.Int64,  # of these, flagged: the judge gives yes one half or more
    "sensitivity": pl.Float64,  # on the other data
    "n_positive": pl.Int64,
    "specificity": pl.Float64,
    "n_negative": pl.Int64,
    "source": pl.String,  # which other data
    "refusal": pl.String,  # why there is no estimate; empty where there is
}
"""Schema of the shares, a row each judge's question and condition."""


def flag_rates(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return the shares (``FLAG_RATES``); empty where no judge was calibrated on other data."""
    return pl.DataFrame(list(_rows(collected, spec)), schema=FLAG_RATES)


def _rows(collected: Collected, spec: ReportSpec) -> Iterator[dict[str, object]]:
    for key, metric in spec.metrics.items():
        if not rates(metric):
            continue
        of: Any = metric
        at = of.rubric.name, of.dimension.name
        known = spec.elsewhere.get((of.judge, *at))
        if known is None or _rated_here(collected, at):
            continue
        for condition in spec.conditions:
            scores = collected.scores[condition.id, key]["score"].drop_nulls()
            yield {
                "rubric": at[0], "dimension": at[1], "metric": key, "judge": of.label,
                "condition": condition.id, **_record(scores, known),
            }  # fmt: skip


def _rated_here(collected: Collected, asked: tuple[str, str]) -> bool:
    said = collected.people
    return said is not None and bool(said.of(*asked)["value"].count())


def _record(scores: pl.Series, known: FlagsElsewhere) -> dict[str, object]:
    flagged = int((scores >= FOUND).sum())
    counts = FlagCounts(
        flagged, len(scores), known.found, known.positive, known.cleared, known.negative
    )
    found = flag_rate(counts)
    told: dict[str, object] = {
        "n": len(scores), "n_flagged": flagged, "source": known.source,
        "flagged": flagged / len(scores) if len(scores) else None,
        "sensitivity": known.found / known.positive, "n_positive": known.positive,
        "specificity": known.cleared / known.negative, "n_negative": known.negative,
    }  # fmt: skip
    if isinstance(found, Refusal):
        return told | {"refusal": str(found)}
    bounds = {"low": found.interval.low, "high": found.interval.high}
    return told | bounds | {"value": found.value, "refusal": ""}
