"""The evidence of a run, and that of a published table. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from empathy_core import models
from empathy_core.metrics._people import People
from empathy_core.types import Condition
from reports.claims.evidence import Evidence, Gap, Measure, Score, Subject
from reports.claims.evidence_of_people import names_of_people
from reports.keys import ALL, column_keys
from reports.labels import row_labels
from reports.numbers.adapter_vs_base import as_pairs
from reports.numbers.significance import COMMON, p_column
from reports.numbers.values import both
from reports.spec import ReportSpec
from reports.tables.published import Published, PublishedRow

CORRECTIONS = {"p_holm": "Holm", "p_bh": "Benjamini-Hochberg"}

ColumnKeys = Mapping[tuple[str, str], str]
"""(metric key, column) → key."""


# ---------------------------------------------------------------------------- of a run


def evidence_of_run(
    spec: ReportSpec,
    summary: pl.DataFrame,
    pairs: pl.DataFrame,
    spreads: pl.DataFrame | None = None,
    source: str = "",
    compared: pl.DataFrame | None = None,
) -> Evidence:
    """Return the numbers of a run, on all rows.

    Args:
        spec: What the run is about.
        summary: ``aggregate.SUMMARY``.
        pairs: ``pairs.PAIRS``.
        spreads: ``prompts.SPREADS``; null leaves the range over prompts to the pairs.
        source: What the run is called.
        compared: ``adapter_vs_base.COMPARED``: an adapter less its base is tested in the family of
            its fine-tune, as Table 2 has it, and not among all pairs.
    """
    columns, p = column_keys(spec.with_corrected), p_column(spec)
    keys = {c.id: spec.keys().condition(c.id) for c in spec.conditions}
    found = pl.DataFrame(schema={"kind": pl.String}) if spreads is None else spreads
    own = {}
    if compared is not None and not compared.is_empty():
        own = dict(_gaps(summary, as_pairs(compared), keys, columns, p))
    return Evidence(
        source=source or spec.title,
        subjects=tuple(_subjects(spec, keys)),
        measures=tuple(_measures(spec, columns)),
        scores=dict(_scores(summary, keys, columns)),
        gaps=dict(_gaps(summary, pairs, keys, columns, p)) | own,
        places=dict(_gaps(summary, pairs, keys, columns, p, _of_places(pairs))),
        unranked=frozenset(_unranked(summary, keys, columns)),
        ranges=dict(_ranges(found, columns, p)),
        interactions=dict(_interactions(found, columns, p)),
        bases=_bases(spec, keys),
        margins=spec.analysis.margins,
        correction=CORRECTIONS[p],
    )


def _measures(spec: ReportSpec, columns: ColumnKeys) -> Iterator[Measure]:
    for key, metric in spec.metrics.items():
        for i, column in enumerate(metric.columns):
            called = names_of_people(metric) if isinstance(metric, People) and i == 0 else ()
            yield Measure(columns[key, column.name], column, column.main, called)


def _scores(
    summary: pl.DataFrame, keys: Mapping[str, str], columns: ColumnKeys
) -> Iterator[tuple[tuple[str, str], Score]]:
    for row in summary.filter(pl.col("subset") == ALL).iter_rows(named=True):
        if row["score"] is not None:
            at = keys[row["condition"]], columns[row["metric"], row["column"]]
            yield at, Score(row["score"], row["low"], row["high"], row["n"])


def _gaps(
    summary: pl.DataFrame,
    pairs: pl.DataFrame,
    keys: Mapping[str, str],
    columns: ColumnKeys,
    p: str,
    subset: str = ALL,
) -> Iterator[tuple[tuple[str, str, str], Gap]]:
    cells = _cells(summary, subset)
    for row in pairs.filter(pl.col("subset") == subset).iter_rows(named=True):
        at = row["metric"], row["column"]
        gap = _gap(row, p, ("difference", "second_score", "first_score"))
        one, other = (cells.get((row[side], *at)) for side in ("second", "first"))
        shown = None if one is None or other is None else (one, other)
        yield (keys[row["second"]], keys[row["first"]], columns[at]), replace(gap, cells=shown)


def _of_places(pairs: pl.DataFrame) -> str:
    return COMMON if COMMON in pairs["subset"] else ALL


def _cells(summary: pl.DataFrame, subset: str) -> dict[tuple[str, str, str], float]:
    rows = summary.filter(pl.col("subset") == subset, pl.col("score").is_not_null())
    return {row[:3]: row[3] for row in rows.select("condition", "metric", "column", "score").rows()}


def _unranked(
    summary: pl.DataFrame, keys: Mapping[str, str], columns: ColumnKeys
) -> Iterator[tuple[str, str]]:
    rows = summary.filter(pl.col("subset") == ALL, ~pl.col("ranked"))
    for condition, metric, column in rows.select("condition", "metric", "column").rows():
        yield keys[condition], columns[metric, column]


def _ranges(
    spreads: pl.DataFrame, columns: ColumnKeys, p: str
) -> Iterator[tuple[tuple[str, str], Gap]]:
    for row in spreads.filter(pl.col("kind") == "spread").iter_rows(named=True):
        key = _group(row["model"], row["decoding"]), columns[row["metric"], row["column"]]
        yield key, _gap(row, p, ("value", "high_score", "low_score"))


def _gap(row: Mapping[str, Any], p: str, names: tuple[str, str, str]) -> Gap:
    value, second, first = (row[name] for name in names)
    scores = None if second is None or first is None else (second, first)
    return Gap(
        value, row["low"], row["high"], row[p], row["n"], row["n_questions"], scores,
        opposed=row.get("opposed") is True,
        least=row.get("least", value), most=row.get("most", value),
        narrow=both(row.get("narrow_low"), row.get("narrow_high")),
        detectable=row.get("detectable"),
    )  # fmt: skip


def _interactions(
    spreads: pl.DataFrame, columns: ColumnKeys, p: str
) -> Iterator[tuple[tuple[str, str, str], float | None]]:
    for row in spreads.filter(pl.col("kind") == "interaction").iter_rows(named=True):
        one, other = (_group(name, row["decoding"]) for name in row["model"].split(" x "))
        yield (one, other, columns[row["metric"], row["column"]]), row[p]


def _subjects(spec: ReportSpec, keys: Mapping[str, str]) -> Iterator[Subject]:
    inherited, rows = _inherited(spec), row_labels(spec.conditions)
    tuned = {pair.tuned for pair in spec.finetunes}
    for condition in spec.conditions:
        model = condition.model
        published = "" if condition.id in inherited else model.published
        names = dict.fromkeys(filter(None, (model.name, model.label, published)))
        human = model.is_human
        prompts = () if human else (condition.prompt.name, condition.prompt.label)
        decoded = (f"{prompt}, {condition.decoding.name}" for prompt in prompts)
        yield Subject(
            keys[condition.id],
            tuple(names),
            tuple(dict.fromkeys(prompts)),
            _group(model.name, condition.decoding.name),
            human,
            condition.id in tuned or bool(model.adapter),
            tuple(dict.fromkeys(filter(None, (rows[condition.id], *decoded)))),
        )


def _group(model: str, decoding: str) -> str:
    return f"{model} {decoding}"


def _inherited(spec: ReportSpec) -> set[str]:
    """Return the adapters that bear the published name of their base, which is not theirs."""
    by_id: dict[str, Condition] = {c.id: c for c in spec.conditions}
    return {
        pair.tuned
        for pair in spec.finetunes
        if by_id[pair.tuned].model.published == by_id[pair.base].model.published
    }


def _bases(spec: ReportSpec, keys: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for pair in spec.finetunes:
        tuned = keys[pair.tuned]
        found[tuned] = tuple(dict.fromkeys((*found.get(tuned, ()), keys[pair.base])))
    return found


# ---------------------------------------------------------------------------- of a publication


def evidence_of_published(published: Published) -> Evidence:
    """Return the numbers that a publication prints: no rows, hence no interval and no test.

    Rows of several tables that have the same model and prompt are one condition if no number of
    theirs differs. A fine-tune's base is what stands in its table.
    """
    people = {m.published for m in map(models.model, models.names()) if m.is_human}
    found: list[tuple[Subject, dict[str, float]]] = []
    bases: dict[str, tuple[str, ...]] = {}
    for table in published.tables:
        here = {_placed(found, row, row.model in people).key: row for row in table.rows}
        for key, row in here.items():
            if row.base:
                bases[key] = tuple(k for k, other in here.items() if other.model == row.base)
    return Evidence(
        source=published.name,
        subjects=tuple(subject for subject, _ in found),
        measures=tuple(Measure(column.name, column) for column in published.columns),
        scores={
            (subject.key, name): Score(value)
            for subject, values in found
            for name, value in values.items()
        },
        bases=bases,
    )


def _placed(
    found: list[tuple[Subject, dict[str, float]]], row: PublishedRow, human: bool
) -> Subject:
    """Put *row* into *found*, into the condition that it repeats if there is one."""
    for i, (subject, values) in enumerate(found):
        if _agree(subject, values, row):
            values.update(row.values)
            names = (*subject.model_names, row.label) if row.label else subject.model_names
            found[i] = replace(subject, model_names=tuple(dict.fromkeys(names))), values
            return found[i][0]
    subject = _subject(row, [s.key for s, _ in found], human)
    found.append((subject, dict(row.values)))
    return subject


def _agree(subject: Subject, values: Mapping[str, float], row: PublishedRow) -> bool:
    is_same = subject.model_names[0] == row.model and _prompt(row) == subject.prompt_names
    return is_same and all(values.get(name, value) == value for name, value in row.values.items())


def _prompt(row: PublishedRow) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (row.prompt, row.prompt_label))))


def _subject(row: PublishedRow, taken: Sequence[str], human: bool) -> Subject:
    model = _plain(row.model)
    key = f"{model}.{_plain(row.prompt)}" if row.prompt else model
    while key in taken:  # another table prints other numbers for the same condition
        key += "-again"
    names = tuple(dict.fromkeys(filter(None, (row.model, row.label))))
    return Subject(key, names, _prompt(row), row.model, human, bool(row.base))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-")
