"""Every number of a report under its key, as a value and as it is printed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Literal

import polars as pl

from empathy_core.types import Column
from reports.aggregate import Aggregated
from reports.comparisons import as_pairs
from reports.keys import ALL, column_keys, condition_keys, difference_key, score_key
from reports.labels import number, p_text
from reports.ranks import p_column
from reports.spec import ReportSpec


@dataclass(frozen=True, slots=True)
class Result:
    """One number that prose may cite.

    Attributes:
        key: See ``keys``.
        kind: A score, a difference of two conditions, or a declared contrast.
        value: Null where no row is scored, as is *text* then a dash.
        low: Lower bound of the 95 % interval; null where there is none, as is *high*.
        p: Corrected for the family that the table notes name; null for a score, and where there
            is no test.
        n: Rows that the value is made of.
        n_questions: Clusters that they belong to.
        text: *value* as the tables print it; so are *low_text*, *high_text* and *p_text*, which
            are empty where the number is null.
    """

    key: str
    kind: Literal["score", "difference", "contrast"]
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    n_questions: int
    text: str
    low_text: str = ""
    high_text: str = ""
    p_text: str = ""


Columns = Mapping[tuple[str, str], Column]


def results(
    spec: ReportSpec, numbers: Aggregated, compared: pl.DataFrame | None = None
) -> tuple[Result, ...]:
    """Return the results: scores first, then differences in both orders, then contrasts.

    Of differences and contrasts, those of main columns. The p of an adapter less its base is that
    of Table 2: *compared* is ``comparisons.COMPARED``.
    """
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}
    named = condition_keys(spec.conditions), column_keys(spec.metrics)
    return (
        *_scores(numbers.summary, columns, named),
        *_differences(_tested(numbers.pairs, compared), columns, named, p_column(spec)),
        *_contrasts(numbers.contrasts, columns, named[1], p_column(spec)),
    )


Named = tuple[dict[str, str], dict[tuple[str, str], str]]
"""Keys of conditions and of columns."""


def _scores(summary: pl.DataFrame, columns: Columns, named: Named) -> Iterator[Result]:
    conditions, of_columns = named
    for row in summary.iter_rows(named=True):
        at = row["metric"], row["column"]
        key = score_key(conditions[row["condition"]], of_columns[at], row["subset"])
        yield _result(key, "score", columns[at], row | {"value": row["score"], "p": None})


def _differences(pairs: pl.DataFrame, columns: Columns, named: Named, p: str) -> Iterator[Result]:
    conditions, of_columns = named
    for row in pairs.iter_rows(named=True):
        at = row["metric"], row["column"]
        if not columns[at].main:
            continue
        one, other = conditions[row["second"]], conditions[row["first"]]
        value, low, high = row["difference"], row["low"], row["high"]
        found = row | {"value": value, "p": row[p]}
        key = difference_key(one, other, of_columns[at])
        yield _result(key, "difference", columns[at], found)
        turned = found | {
            "value": None if value is None else -value,
            "low": None if high is None else -high,
            "high": None if low is None else -low,
        }
        key = difference_key(other, one, of_columns[at])
        yield _result(key, "difference", columns[at], turned)


def _tested(pairs: pl.DataFrame, compared: pl.DataFrame | None) -> pl.DataFrame:
    """Return the pairs on all rows; an adapter and its base are those of Table 2."""
    of_all = pairs.filter(pl.col("subset") == ALL)
    if compared is None or compared.is_empty():
        return of_all
    own, at = as_pairs(compared), ["metric", "column"]
    turned = own.rename({"second": "first", "first": "second"})
    for known in (own, turned):
        of_all = of_all.join(known, on=["first", "second", *at], how="anti", maintain_order="left")
    return pl.concat([of_all, own.select(of_all.columns)])


def _contrasts(
    contrasts: pl.DataFrame, columns: Columns, of_columns: dict[tuple[str, str], str], p: str
) -> Iterator[Result]:
    for row in contrasts.iter_rows(named=True):
        at = row["metric"], row["column"]
        key = score_key(f"contrast.{row['name']}", of_columns[at])
        found = row | {"value": row["difference"], "p": row[p]}
        yield _result(key, "contrast", columns[at], found)


def _result(
    key: str,
    kind: Literal["score", "difference", "contrast"],
    column: Column,
    row: Mapping[str, Any],
) -> Result:
    signed = kind != "score"

    def text(name: str) -> str:
        return "" if row[name] is None else number(row[name], column, signed=signed)

    return Result(
        key=key,
        kind=kind,
        value=row["value"],
        low=row["low"],
        high=row["high"],
        p=row["p"],
        n=row["n"],
        n_questions=row["n_questions"],
        text=number(row["value"], column, signed=signed),
        low_text=text("low"),
        high_text=text("high"),
        p_text="" if row["p"] is None else p_text(row["p"]),
    )


def frame(found: Sequence[Result]) -> pl.DataFrame:
    """Return results as a frame, a row each."""
    numbers = dict.fromkeys(("value", "low", "high", "p"), pl.Float64)
    schema = {f.name: pl.String for f in fields(Result)} | numbers
    return pl.DataFrame(
        [astuple(r) for r in found], schema | {"n": pl.Int64, "n_questions": pl.Int64}, orient="row"
    )
