"""Two runs beside each other: what changed, and by how much on the rows that both have. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.stats import Resampler, holm, paired_difference
from reports.keys import column_keys, exact_condition_keys
from reports.labels import NOTHING, count
from reports.numbers.significance import ALPHA
from reports.numbers.values import ends
from reports.rows.align import statistics_of
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec
from reports.tables.cells import difference_cell, heads, p_cell, score_cell
from reports.tables.table import DAGGER, Cell, Group, Row, Table, TableText, line_label

CHANGES: dict[str, Any] = {
    "condition": pl.String,  # key
    "column": pl.String,  # key
    "why_not": pl.String,  # why the two cannot be compared; empty if they can
    "first": pl.Float64,  # on the rows that both have scored, as are all that follow
    "second": pl.Float64,
    "difference": pl.Float64,  # second less first
    "low": pl.Float64,  # of the 95 % interval
    "high": pl.Float64,
    "p": pl.Float64,  # approximate randomisation by question
    "p_holm": pl.Float64,  # over all that stand here
    "n": pl.Int64,  # rows that both have scored
    "n_left_out": pl.Int64,  # rows that only one has
    "n_questions": pl.Int64,
}
"""Schema of a comparison, a row for each condition and main column that both runs have."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run.

    Attributes:
        config: The resolved configuration.
    """

    name: str
    spec: ReportSpec
    collected: Collected
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What tells two runs apart.

    Attributes:
        settings: Dotted path → value in the first and in the second run; null where absent.
        provenance: The same of commit, versions and command.
        only_first: Keys of conditions that only the first run has.
        only_second: Keys of conditions that only the second has.
        changes: ``CHANGES``.
    """

    settings: Mapping[str, tuple[object, object]]
    provenance: Mapping[str, tuple[object, object]]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    changes: pl.DataFrame


def compare_runs(first: ComparedRun, second: ComparedRun) -> RunDiff:
    """Compare conditions of equal names, row by row where both runs hold the same row."""
    ids = [
        {key: i for i, key in exact_condition_keys(s.spec.conditions).items()}
        for s in (first, second)
    ]
    shared = [key for key in ids[0] if key in ids[1]]
    keys = [s.spec.keys() for s in (first, second)]
    rows = [
        change
        for key in shared
        for change in _changes(
            first, second, keys[0].condition(ids[0][key]), (ids[0][key], ids[1][key])
        )
    ]
    frame = pl.DataFrame(rows, schema=CHANGES)
    corrected = pl.Series("p_holm", holm(frame["p"].to_list()), dtype=pl.Float64)
    return RunDiff(
        _unlike(_flat(first.config), _flat(second.config)),
        _unlike(first.spec.provenance, second.spec.provenance),
        tuple(keys[0].condition(i) for key, i in ids[0].items() if key not in ids[1]),
        tuple(keys[1].condition(i) for key, i in ids[1].items() if key not in ids[0]),
        frame.with_columns(corrected).select(*CHANGES),
    )


def _flat(table: Mapping[str, Any], path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in table.items():
        here = f"{path}.{key}" if path else key
        found |= _flat(value, here) if isinstance(value, Mapping) else {here: value}
    return found


def _unlike(
    first: Mapping[str, object], second: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    both = (*first, *(key for key in second if key not in first))
    return {k: (first.get(k), second.get(k)) for k in both if first.get(k) != second.get(k)}


def _changes(
    first: ComparedRun, second: ComparedRun, key: str, ids: tuple[str, str]
) -> Iterator[dict[str, object]]:
    theirs = {name: (k, c) for (k, c), name in column_keys(second.spec.metrics).items()}
    rows, n_unlike = _common_rows(first, second, ids)
    for (metric_key, column), name in column_keys(first.spec.metrics).items():
        metric = first.spec.metrics[metric_key]
        place = [c.name for c in metric.columns].index(column)
        if not metric.columns[place].main or name not in theirs:
            continue
        named: dict[str, object] = {"condition": key, "column": name}
        other = theirs[name][0]
        if metric_key != other:
            yield named | {"why_not": "the metric's signature differs"}
            continue
        one, two = (
            statistics_of(rows, side.collected.scores[i, metric_key], metric.statistics)
            for side, i in zip((first, second), ids, strict=True)
        )
        resampler = Resampler.by(rows["question"])
        found = paired_difference(one, two, metric.score, resampler)[place]
        yield named | {
            "why_not": "" if found.n else "no row in common",
            "first": found.first, "second": found.second, "difference": found.value,
            **ends(found.interval),
            "p": found.p_randomization, "n": found.n, "n_left_out": found.n_left_out + n_unlike,
            "n_questions": found.n_clusters,
        }  # fmt: skip


def _common_rows(
    first: ComparedRun, second: ComparedRun, ids: tuple[str, str]
) -> tuple[pl.DataFrame, int]:
    """Return the rows that either side should have (``KEY``, ``question``).

    A row is the same in both if its id is, and question and reference are the same text; how
    many ids stand for two texts is returned as well, and these rows are left out.
    """
    wanted = []
    for side, i in zip((first, second), ids, strict=True):
        texts = side.collected.examples.select("question", "pair", example="id")
        wanted.append(side.collected.expected[i].select(KEY).join(texts, on="example", how="left"))
    rows = pl.concat(wanted).unique(maintain_order=True)
    unlike = pl.struct(KEY).is_duplicated()
    return rows.filter(~unlike), rows.filter(unlike).select(KEY).unique().height


# ---------------------------------------------------------------------------- in words


def changes_table(first: ComparedRun, second: ComparedRun, compared: RunDiff) -> Table:
    """Return the table of all changes, a group for each condition."""
    columns = {
        name: next(c for c in first.spec.metrics[k].columns if c.name == column)
        for (k, column), name in column_keys(first.spec.metrics).items()
    }

    def line(row: dict[str, Any]) -> Row:
        column = columns[row["column"]]
        if row["why_not"]:
            return Row((line_label(column),), (*[Cell(NOTHING)] * 4, Cell(row["why_not"])))
        p = row["p_holm"]
        return Row(
            (line_label(column),),
            (
                score_cell(row["first"], column), score_cell(row["second"], column),
                difference_cell(row["difference"], row["low"], row["high"], column,
                                dagger=p is not None and p < ALPHA),
                p_cell(p), Cell(_counts(row["n"], row["n_left_out"])),
            ),
        )  # fmt: skip

    groups = tuple(
        Group(str(part["condition"][0]), tuple(map(line, part.iter_rows(named=True))))
        for _, part in compared.changes.group_by("condition", maintain_order=True)
    )
    shown = heads(first.name, second.name, "Difference [95%]", "p (Holm)", "n")
    notes = (f"{DAGGER} p < {ALPHA}, approximate randomisation by question, Holm-corrected.",)
    words = TableText(f"{second.name} beside {first.name}.", "tab:runs", notes)
    return Table(words, ("Condition", "Metric"), (), shown, groups)


def _counts(n: int, n_left_out: int) -> str:
    return f"{count(n)} ({count(n_left_out)} left out)" if n_left_out else count(n)
