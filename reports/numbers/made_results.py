"""Numbers of Table 3 and of prompt refinements that prose may cite. Pure.

``made.<condition>.<column>`` is a score on the examples that all of a family have,
``made.<condition>-vs-<base>.<column>`` the difference to what the condition was made of, with
the p of Table 3, and the same with ``.equal_length`` behind it that difference at equal length of
the answers. ``refinement.<name>.<prompt>.validation_gain``, ``….test_gain`` and ``….optimism``
are those of a prompt that was tested, ``….moved.<column>`` how another column moved; of a
refinement that tested nothing the prompt is ``best``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import polars as pl

from empathy_core.types import Column
from reports.keys import VERSUS, column_keys, head_of, plain, spelled
from reports.labels import number, p_text
from reports.numbers.derived import NO_METRIC, TOKENS, WORDS, red_column
from reports.numbers.results import CitedAs, Result
from reports.numbers.significance import p_column
from reports.refined import MovedColumn, PromptGain, RefinementOutcome
from reports.spec import ReportSpec

BEST = "best"
"""What a key calls the best candidate on validation where none was tested."""
EQUAL_LENGTH = ("at equal length", "equal length", "adjusted for length", "length adjusted")
VALIDATION = ("validation gain", "gain on validation", "on validation")
TEST = ("test gain", "gain on test", "gain on the test rows", "test rows")
OPTIMISM = ("optimism", "optimistic")


# ---------------------------------------------------------------------------- Table 3


def derived_results(spec: ReportSpec, made: pl.DataFrame) -> tuple[Result, ...]:
    """Return the numbers of Table 3: *made* is ``derived.DERIVED``."""
    head = head_of("made", spec.conditions)
    conditions = {c.id: spec.keys().condition(c.id) for c in spec.conditions}
    keys, columns = _columns(spec)
    p = p_column(spec)
    found: dict[str, Result] = {}
    for row in made.iter_rows(named=True):
        at = row["metric"], row["column"]
        one, column, measure = conditions[row["condition"]], columns[at], keys[at]
        prose = CitedAs(column, conditions=(one,), measure=measure)
        own = row | {"value": row["score"], "low": None, "high": None, "n": row["n_common"]}
        results = [_of_table(f"{head}.{one}.{measure}", own, prose, signed=False)]
        if row["base"] is not None:
            base = conditions[row["base"]]
            key = f"{head}.{one}{VERSUS}{base}.{measure}"
            results += _differences(key, row, CitedAs(column, (), (one, base), measure), p)
        found |= {result.key: result for result in results if result.value is not None}
    return tuple(found.values())


def _differences(key: str, row: dict[str, Any], prose: CitedAs, p: str) -> Iterator[Result]:
    yield _of_table(key, row | {"value": row["difference"], "p": row[p]}, prose)
    ends = {"value": "adjusted", "low": "adjusted_low", "high": "adjusted_high"}
    adjusted = row | {name: row[of] for name, of in ends.items()}
    equal = CitedAs(prose.column, EQUAL_LENGTH, prose.conditions, prose.measure)
    yield _of_table(f"{key}.equal_length", adjusted, equal)


def _columns(spec: ReportSpec) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], Column]]:
    """Return metric and column → what keys call it, and the column; what is no metric's as well."""
    keys = dict(column_keys(spec.metrics))
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}
    judges = dict.fromkeys(c.judge for c in columns.values() if c.judge)
    beside = [WORDS, TOKENS, *map(red_column, judges)]
    columns |= {(NO_METRIC, c.name): c for c in beside}
    names = spelled(c.name for c in beside)
    return keys | {(NO_METRIC, c.name): names[c.name] for c in beside}, columns


def _of_table(key: str, row: Mapping[str, Any], prose: CitedAs, *, signed: bool = True) -> Result:
    found = _result(key, "made", row, prose, signed=signed)
    less = (row["base"] or "") if signed else ""
    return replace(
        found, condition=row["condition"], less=less, metric=row["metric"], column=row["column"]
    )


# ---------------------------------------------------------------------------- refinements


def refinement_results(spec: ReportSpec) -> tuple[Result, ...]:
    """Return the numbers of the prompt refinements of a run."""
    head = head_of("refinement", spec.conditions)
    names = spelled(of.name for of in spec.refinements)
    return tuple(
        result
        for of in spec.refinements
        for result in _of_refinement(f"{head}.{names[of.name]}", of)
        if result.value is not None
    )


def _of_refinement(head: str, of: RefinementOutcome) -> Iterator[Result]:
    def gain(prompt: str, what: tuple[str, ...], found: PromptGain, p: float | None) -> Result:
        name = what[0].replace(" ", "_")
        row = {"value": found.value, "low": found.low, "high": found.high, "p": p, "n": found.n}
        prose = _prose(of, of.target, what, () if prompt == BEST else (prompt,))
        return _result(f"{head}.{prompts[prompt]}.{name}", "refinement", row, prose)

    prompts = spelled([*(one.name for one in of.tested), BEST])
    if not of.tested:
        yield gain(BEST, VALIDATION, of.best, None)
    for one in of.tested:
        yield gain(one.name, VALIDATION, one.validation, None)
        yield gain(one.name, TEST, one.test, one.p_holm)
        key = f"{head}.{prompts[one.name]}"
        row = {"value": one.optimism, "n": one.test.n}
        prose = _prose(of, of.target, OPTIMISM, (one.name,))
        yield _result(f"{key}.optimism", "refinement", row, prose)
        yield from _moved(f"{key}.moved", of, one.name, one.moved)


def _moved(
    head: str, of: RefinementOutcome, prompt: str, moved: tuple[MovedColumn, ...]
) -> Iterator[Result]:
    """Yield how each column moved on the test rows, and both scores."""
    times: Counter[str] = Counter()
    for one in moved:
        column = one.column
        times[column.name] += 1
        again = f".{times[column.name]}" if times[column.name] > 1 else ""
        key = f"{head}.{plain(column.name)}{again}"
        row = {"value": one.difference, "low": one.low, "high": one.high, "p": one.p, "n": one.n}
        yield _result(key, "refinement", row, _prose(of, column, TEST, (prompt,)))
        sides = (("parent", of.parent, one.parent), ("candidate", prompt, one.candidate))
        for which, name, value in sides:
            score = {"value": value, "n": one.n}
            prose = _prose(of, column, TEST, (name,))
            yield _result(f"{key}.{which}", "refinement", score, prose, signed=False)


def _prose(
    of: RefinementOutcome, column: Column, what: tuple[str, ...], prompts: tuple[str, ...]
) -> CitedAs:
    return CitedAs(
        column, what, columns=(f"{column.group} {column.label}".strip(), column.name),
        models=(of.model,), prompts=prompts,
    )  # fmt: skip


# ---------------------------------------------------------------------------- both


def _result(
    key: str,
    kind: Literal["made", "refinement"],
    row: Mapping[str, Any],
    prose: CitedAs,
    *,
    signed: bool = True,
) -> Result:
    def text(name: str) -> str:
        value = row.get(name)
        return "" if value is None else number(value, prose.column, signed=signed)

    p = row.get("p") if signed else None
    has = row.get("low") is not None and row.get("high") is not None
    return Result(
        key=key, kind=kind, value=row["value"],
        low=row["low"] if has else None, high=row["high"] if has else None, p=p, n=row["n"] or 0,
        n_questions=row.get("n_questions") or 0, text=text("value"),
        low_text=text("low") if has else "", high_text=text("high") if has else "",
        p_text="" if p is None else p_text(p), prose=prose,
    )  # fmt: skip
