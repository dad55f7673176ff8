"""Every number of a report under its key, as a value and as it is printed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal

import polars as pl

from empathy_core.metrics._people import CORRECTED
from empathy_core.types import Column
from reports.keys import ALL, Keys
from reports.labels import number, p_text
from reports.numbers.adapter_vs_base import as_pairs
from reports.numbers.aggregate import Aggregated
from reports.numbers.corrected import CONTRAST, DIFFERENCE, MEAN
from reports.numbers.significance import p_column
from reports.spec import ReportSpec


@dataclass(frozen=True, slots=True)
class CitedAs:
    """What prose calls a number that is no column's of a condition, or needs more words than that.

    Attributes:
        column: How it is printed.
        statistic: What it is of what it is about, e.g. ``optimism``: only where the text says one
            of these is it meant. Empty: whatever the text says.
        conditions: Keys of the conditions that it is of.
        measure: Key of the column that it is of; empty where *columns* has the names.
        columns: Names of what is rated or measured, where that is no column of the report.
        models: Names of models that are no conditions of the report; *prompts* likewise.
    """

    column: Column
    statistic: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    measure: str = ""
    columns: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One number that prose may cite.

    Attributes:
        key: See ``keys``.
        kind: A score, a difference of two conditions, a declared contrast, a number of people's
            agreement and of judges held against people, one of Table 3 (``made``), or of a prompt
            refinement.
        value: Null where no row is scored, as is *text* then a dash.
        low: Lower bound of the 95 % interval; null where there is none, as is *high*.
        p: Corrected for the family that the table notes name; null for a score, and where there
            is no test.
        n: Rows that the value is made of.
        n_questions: Clusters that they belong to.
        text: *value* as the tables print it; so are *low_text*, *high_text* and *p_text*, which
            are empty where the number is null.
        condition: Id of what is scored, or of a difference's second; empty of a contrast.
        less: Id of a difference's first; else empty.
        contrast: Name of a declared contrast; else empty.
        metric: Key of the metric; *column*: name of its column; *subset*: name of the rows.
        one_sided: The interval is one bound alone, of a share of 0 or 1; the other end is the
            scale's.
        prose: What it is called, where conditions and columns do not say it; no part of the
            frame.
    """

    key: str
    kind: Literal["score", "difference", "contrast", "agreement", "made", "refinement"]
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
    condition: str = ""
    less: str = ""
    contrast: str = ""
    metric: str = ""
    column: str = ""
    subset: str = ""
    one_sided: bool = False
    prose: CitedAs | None = None

    @property
    def interval_text(self) -> str:
        """Return the interval as prose cites it; empty where there is none."""
        if not self.low_text:
            return ""
        if self.one_sided:
            above = self.low == 0
            sign = "\N{LESS-THAN OR EQUAL TO}" if above else "\N{GREATER-THAN OR EQUAL TO}"
            return f"{sign} {self.high_text if above else self.low_text}"
        return f"[{self.low_text}, {self.high_text}]"


ColumnsByPlace = Mapping[tuple[str, str], Column]


def results(
    spec: ReportSpec,
    numbers: Aggregated,
    compared: pl.DataFrame | None = None,
    people: pl.DataFrame | None = None,
) -> tuple[Result, ...]:
    """Return the results: scores first, then differences in both orders, then contrasts.

    Of differences and contrasts, those of main columns. The p of an adapter less its base is that
    of Table 2: *compared* is ``adapter_vs_base.COMPARED``. In the end come judges corrected by
    people: *people* is ``corrected.PEOPLE``.
    """
    columns = {(k, c.name): c for k, m in spec.with_corrected.items() for c in m.columns}
    keys = spec.keys(numbers.summary["subset"])
    corrected = {} if people is None else _corrected(people)
    p = p_column(spec)
    return (
        *_scores(numbers.summary, columns, keys),
        *_differences(_tested(numbers.pairs, compared), columns, keys, p),
        *_contrasts(numbers.contrasts, columns, keys, p),
        *(_scores(corrected[MEAN], columns, keys) if corrected else ()),
        *(_differences(corrected[DIFFERENCE], columns, keys, p) if corrected else ()),
        *(_contrasts(corrected[CONTRAST], columns, keys, p) if corrected else ()),
    )


def _corrected(people: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return kind → rows of corrected judges, as the frames of other scores and differences."""
    given = people.filter(pl.col("value").is_not_null()).with_columns(
        metric=CORRECTED + pl.col("metric"), subset=pl.lit(ALL), score="value",
        difference="value", first="less", second="condition", name="contrast", n="n_rated",
    )  # fmt: skip
    parts = {kind: given.filter(pl.col("kind") == kind) for kind in (MEAN, DIFFERENCE, CONTRAST)}
    return parts | {CONTRAST: parts[CONTRAST].drop("condition", "less")}


def _scores(summary: pl.DataFrame, columns: ColumnsByPlace, keys: Keys) -> Iterator[Result]:
    for row in summary.iter_rows(named=True):
        at = row["metric"], row["column"]
        key = keys.score(row["condition"], at, row["subset"])
        yield _result(key, "score", columns[at], row | {"value": row["score"], "p": None})


def _differences(
    pairs: pl.DataFrame, columns: ColumnsByPlace, keys: Keys, p: str
) -> Iterator[Result]:
    for row in pairs.iter_rows(named=True):
        at = row["metric"], row["column"]
        if not columns[at].main:
            continue
        one, other = row["second"], row["first"]
        value, low, high = row["difference"], row["low"], row["high"]
        found = row | {"value": value, "p": row[p], "condition": one, "less": other}
        key = keys.difference(one, other, at)
        yield _result(key, "difference", columns[at], found)
        turned = found | {
            "value": None if value is None else -value,
            "low": None if high is None else -high,
            "high": None if low is None else -low,
            "condition": other,
            "less": one,
        }
        key = keys.difference(other, one, at)
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
    contrasts: pl.DataFrame, columns: ColumnsByPlace, keys: Keys, p: str
) -> Iterator[Result]:
    for row in contrasts.iter_rows(named=True):
        at = row["metric"], row["column"]
        key = keys.contrast(row["name"], at)
        found = row | {"value": row["difference"], "p": row[p], "contrast": row["name"]}
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
        **{name: row.get(name, "") for name in ("condition", "less", "contrast", "metric")},
        column=row["column"],
        subset=row.get("subset", ALL),
        one_sided=row.get("one_sided") is True,
    )


def frame(found: Sequence[Result]) -> pl.DataFrame:
    """Return results as a frame, a row each."""
    numbers = dict.fromkeys(("value", "low", "high", "p"), pl.Float64)
    names = [f.name for f in fields(Result) if f.name != "prose"]
    schema = dict.fromkeys(names, pl.String) | numbers
    as_row = attrgetter(*names)
    return pl.DataFrame(
        [as_row(r) for r in found],
        schema | {"n": pl.Int64, "n_questions": pl.Int64, "one_sided": pl.Boolean},
        orient="row",
    )
