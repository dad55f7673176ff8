"""``report --compare``: two runs, or two reports, beside each other, and what moved a number.

A report folder is one that the suite wrote: a run's ``report``, the one of an earlier version that
is kept beside it, or a copy of either. A run's own numbers are made from its rows, by this version.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import data, store
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.store import RunDir, read_json
from empathy_core.types import Condition
from jobs.commands.views.as_written import written_spec
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_scores
from reports.changes import VERSION, Constituent
from reports.keys import condition_keys, metric_name
from reports.labels import full_name, row_labels
from reports.numbers import adapter_vs_base, results
from reports.numbers.aggregate import aggregate
from reports.numbers.corrected import peoples_numbers
from reports.numbers.derived import compare_derived
from reports.numbers.every_result import every_result
from reports.numbers.people_results import HeldAgainstPeople
from reports.numbers.report_diff import Movements, Reported, compare_reports
from reports.rows.collect import Collected, collect
from reports.rows.pieces import KEY
from reports.rows.unlike import unlike
from reports.spec import ReportSpec
from reports.tables import report_diff as movements_text
from reports.write import csv, version_of


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows behind a report."""

    run: RunDir
    spec: ReportSpec
    collected: Collected


Named = tuple[str, RunDir | Path]
"""What a run, or the folder of a report, was called, and where it is."""


def compared(first: Named, second: Named, *, partial: bool, as_json: bool) -> str:
    """Return how two runs or reports differ, and which changes of the suite moved numbers.

    Raises:
        Incomplete: A run is not complete, and *partial* is false.
    """
    movements = _movements(first, second, partial=partial)
    return json.dumps(_as_json(movements), indent=1) if as_json else movements_text.text(movements)


def find(runs: Path, name: str) -> RunDir | Path:
    """Return a run, or the folder of a report.

    Raises:
        UnknownName: There is neither of that name.
    """
    for path in (Path(name), runs / name):
        if (path / "results.csv").is_file():
            return path.absolute()
        if (path / "plans").is_dir():
            return RunDir(path.absolute())
    there = sorted(p.name for p in runs.glob("*") if p.is_dir())
    raise UnknownName("run or report folder", name, there)


def hints(first: RunDir, second: RunDir) -> Iterator[str]:
    """Yield what of two runs differs by the version of the suite alone, and how to see more."""
    rows = [data.cleaned_by(run) for run in (first, second)]
    if rows[0] != rows[1]:
        yield f"\nrows cleaned by version {rows[0]} and {rows[1]} of the cleaning rules"
    if not all(run.report.is_dir() for run in (first, second)):
        return
    versions = [version_of(run.report) for run in (first, second)]
    if versions[0] != versions[1]:
        both = f"{first.report} {second.report}"
        yield (
            f"\ntheir reports were written by version {versions[0]} and {versions[1]} of the "
            f"numbers; what moved by that: report --compare {both}"
        )


def _movements(first: Named, second: Named, *, partial: bool) -> Movements:
    rows = [_rows(where, partial=partial) for _, where in (first, second)]
    before, now = (
        _of_folder(name, where) if isinstance(where, Path) else _of_run(name, rows_of)
        for (name, where), rows_of in zip((first, second), rows, strict=True)
    )
    about = rows[1] or rows[0]
    sides = dict(_sides(about, rows[0] or about, first[1])) if about else {}
    return compare_reports(before, now, sides, _contrasts(about))


def _rows(where: RunDir | Path, *, partial: bool) -> _Rows | None:
    """Return the rows of a run; of a report folder those of the run that it stands in, if any."""
    run = where if isinstance(where, RunDir) else RunDir(where.parent)
    if not run.plans():
        return None
    spec = written_spec(run, last_plan(run)[0])
    return _Rows(run, spec, collect(run, spec, partial=partial or isinstance(where, Path)))


# ---------------------------------------------------------------------------- numbers


def _of_run(name: str, rows: _Rows | None) -> Reported:
    """Return what this version makes of a run."""
    if rows is None:
        msg = f"{name} holds no plan: expected a run that was swept; start it with sweep"
        raise ConfigError(msg)
    collected = rows.collected
    people = HeldAgainstPeople.of(collected, rows.spec)
    spec = people.spec
    compared, corrected = adapter_vs_base.compare(collected, spec), peoples_numbers(collected, spec)
    numbers = every_result(
        spec, aggregate(collected, spec), people, compared, corrected,
        compare_derived(collected, spec),
    )  # fmt: skip
    metrics = {
        key: (metric.signature(), [asdict(column) for column in metric.columns])
        for key, metric in spec.metrics.items()
    }
    as_written = io.BytesIO(csv(results.frame(numbers)).encode())
    labels = row_labels(spec.conditions)
    made = _Made(
        name, VERSION, spec.data_digest, tuple(full_name(c, labels) for c in spec.conditions)
    )
    return _reported(made, as_written, metrics)


def _of_folder(name: str, folder: Path) -> Reported:
    """Return a report as it was written.

    Raises:
        Damaged: One of its files cannot be read.
    """
    summary = read_json(folder / "summary.json")
    metrics = {key: (m["signature"], m["columns"]) for key, m in summary["metrics"].items()}
    conditions = tuple(condition["label"] for condition in summary["conditions"])
    made = _Made(name, version_of(folder), summary["data"], conditions)
    return _reported(made, folder / "results.csv", metrics)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a report says of itself; see ``Reported``."""

    name: str
    version: int
    data: str
    conditions: tuple[str, ...]


def _reported(
    made: _Made,
    numbers: Path | io.BytesIO,
    metrics: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]],
) -> Reported:
    """Return a report; *metrics*: key → signature and columns."""
    signatures: dict[str, tuple[str, ...]] = {}
    for key, (signature, _) in metrics.items():
        signatures[metric_name(key)] = (*signatures.get(metric_name(key), ()), signature)
    times = Counter(column["name"] for _, columns in metrics.values() for column in columns)
    columns = {
        column["name"] if times[column["name"]] == 1 else f"{key}.{column['name']}": (
            metric_name(key),
            bool(column["percent"]),
        )
        for key, (_, of) in metrics.items()
        for column in of
    }
    texts = {f"{which}text": pl.String for which in ("", "low_", "high_", "p_")}
    floats = dict.fromkeys(("value", "low", "high", "p"), pl.Float64)
    schema: dict[str, Any] = {**texts, **floats}
    frame = pl.read_csv(numbers, schema_overrides=schema)
    return Reported(made.name, made.version, made.data, made.conditions, frame, signatures, columns)


# ---------------------------------------------------------------------------- rows behind them


def _sides(
    now: _Rows, then: _Rows, first: RunDir | Path
) -> Iterator[tuple[tuple[str, str], Constituent]]:
    """Yield what is known of each condition under each metric, by key and name."""
    before = _metric_keys(then, first)
    labels, keys = row_labels(now.spec.conditions), condition_keys(now.spec.conditions)
    for condition in now.spec.conditions:
        texts = _texts(now, condition)
        for key in now.spec.metrics:
            seen = now.collected.scores[condition.id, key]
            old = _scores(then.run, before.get(metric_name(key)), (now, key), condition)
            yield (
                (keys[condition.id], metric_name(key)),
                Constituent(
                    name=full_name(condition, labels),
                    samples=condition.decoding.n_samples,
                    lacking=seen.height < now.collected.expected[condition.id].height
                    or any(map(_unscored, (seen, old))),
                    unlike=None if old is None else unlike(old, seen, texts),
                ),
            )


def _metric_keys(then: _Rows, first: RunDir | Path) -> dict[str, str]:
    """Return name of a metric → folder of the scores that the first report was made of."""
    keys: Iterable[str] = then.spec.metrics
    if isinstance(first, Path):
        keys = read_json(first / "summary.json")["metrics"]
    times = Counter(map(metric_name, keys))
    return {metric_name(key): key for key in keys if times[metric_name(key)] == 1}


def _scores(
    run: RunDir, before: str | None, now: tuple[_Rows, str], condition: Condition
) -> pl.DataFrame | None:
    """Return the statistics that the first report was made of, if they are of the same answers."""
    if before is None:
        return None
    rows, key = now
    old, new = (
        read_scores(where, of, condition.id, rows.spec.data_digest)
        for where, of in ((run, before), (rows.run, key))
    )
    if not old.paths or old.blocks != new.blocks:
        return None
    return pl.concat([store.read_piece(path)[1] for path in old.paths])


def _texts(rows: _Rows, condition: Condition) -> pl.DataFrame:
    """Return ``example``, ``sample``, ``text``, ``reference`` of a condition."""
    examples = rows.collected.examples
    answers = rows.collected.texts(condition.id, examples["id"].to_list())
    references = examples.select(example="id", reference="response")
    joined = answers.join(references, on="example", how="left", maintain_order="left")
    return joined.select(*KEY, "text", "reference")


def _unscored(scores: pl.DataFrame | None) -> bool:
    """Tell whether a row has statistics that are null."""
    return scores is not None and any(series.null_count() for series in scores)


def _contrasts(rows: _Rows | None) -> dict[str, tuple[str, ...]]:
    """Return name of a declared contrast → keys of its conditions."""
    if rows is None:
        return {}
    keys = condition_keys(rows.spec.conditions)
    declared = rows.spec.analysis.contrasts
    return {c.name: tuple(keys[i] for pair in c.pairs for i in pair) for c in declared}


def _as_json(movements: Movements) -> dict[str, Any]:
    return {
        "versions": [movements.first.version, movements.second.version],
        "data": [movements.first.data, movements.second.data],
        "metrics": movements.signatures,
        "same": movements.n_same,
        "changes": [
            {"version": c.version, "date": c.date, "about": c.about, "says": c.says}
            for c in movements.between
        ],
        "moved": [
            {
                "key": m.moved.key,
                "part": m.part,
                "before": m.before,
                "now": m.now,
                "in print": m.printed,
                "changes": [c.version for c in m.causes],
                "rows": {
                    side.name: {f"{e}#{s}": list(of) for (e, s), of in side.unlike.rows.items()}
                    for side in m.moved.sides
                    if side.unlike and side.unlike.rows
                },
            }
            for m in movements.found
        ],
    }
