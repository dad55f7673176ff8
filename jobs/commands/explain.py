"""Where a number comes from: its rows, its conditions, and the command that makes it again."""

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import metrics
from empathy_core.errors import UnknownName
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.commands.as_written import written_spec
from jobs.commands.console import existing, say
from jobs.commands.nearest import is_for_slurm, key_of, unknown
from jobs.config import contrasts
from jobs.planning import origins
from jobs.planning.plan import Plan, PlannedMetric
from jobs.planning.plan_file import last_plan
from jobs.planning.report_settings import Recorded, written
from jobs.stages.report import again
from reports.keys import ALL, VERSUS, column_keys, condition_keys, exact_condition_keys
from reports.labels import full_name, row_labels
from reports.rows.collect import collect
from reports.tables import terminal
from reports.tables.run_diff import Side, changes_table, compare_runs

CORRECTED = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


def is_key(run: RunDir, what: str | None) -> bool:
    """Tell whether *what* names a number of the run's report, or a condition.

    Raises:
        ConfigError: It names nothing of the run; the nearest names are told.
    """
    if not what or not run.plans():
        return False
    plan, _ = last_plan(run)
    keys = _keys(run)
    if what in keys or what in _conditions(plan):
        return True
    if is_for_slurm(what, plan) and run.slurm.is_dir():
        return False
    if key_of(what, plan, keys):
        return True
    raise unknown(what, plan, keys, run)


def _keys(run: RunDir) -> list[str]:
    path = run.report / "results.csv"
    return pl.read_csv(path, columns=["key"])["key"].to_list() if path.exists() else []


def explain_key(options: Namespace) -> int:
    """Tell of a number, or a condition, everything that it takes to make it again."""
    run = existing(options)
    plan, path = last_plan(run)
    settings = written(run, plan, [o for o in options.overrides if o.startswith("report")])
    what = key_of(options.what, plan, _keys(run)) or options.what
    found = _number(run, what)
    made_with = _metrics(plan, found, what) if found else plan.metrics
    named = _named(plan, found, what, settings)
    conditions = [c for c in plan.conditions if c.id in named]
    records = [_record(run, plan, c, made_with) for c in conditions]
    if options.json:
        told = {"number": found, "conditions": records, "settings": settings.record()["report"]}
        say(json.dumps(told | {"plan": str(path), "again": again(run, plan, settings)}, indent=1))
        return 0
    lines = [*_number_lines(found, what, settings)]
    for record in records:
        lines += ["", *_condition_lines(record)]
    say("\n".join([*lines, "", *_made_lines(run, plan, made_with, settings)]))
    return 0


def _number(run: RunDir, what: str) -> dict[str, Any] | None:
    path = run.report / "results.csv"
    if not path.exists():
        return None
    kinds = dict.fromkeys(("value", "low", "high", "p"), pl.Float64) | _AS_PRINTED
    frame = pl.read_csv(path, schema_overrides=kinds, infer_schema_length=None)
    return next(frame.filter(pl.col("key") == what).iter_rows(named=True), None)


_AS_PRINTED = dict.fromkeys(("text", "low_text", "high_text", "p_text"), pl.String)
"""Columns whose last zeros count."""


def _conditions(plan: Plan) -> dict[str, str]:
    """Return key → id of each condition; of those that are called alike, too, by the exact key."""
    ways = exact_condition_keys(plan.conditions), condition_keys(plan.conditions)
    return {key: i for keys in ways for i, key in keys.items()}


def _metrics(plan: Plan, found: Mapping[str, Any], what: str) -> tuple[PlannedMetric, ...]:
    """Return the metric of a number; all if a report of an older version does not tell."""
    if metric := found.get("metric"):
        return tuple(m for m in plan.metrics if m.key == metric) or plan.metrics
    body = what.partition("@")[0]
    known = {m.key: metrics.load(m.name, m.options) for m in plan.metrics}
    columns = {name: key for (key, _), name in column_keys(known).items()}
    fitting = [name for name in columns if body.endswith(f".{name}")]
    key = columns[max(fitting, key=len)] if fitting else None
    return tuple(m for m in plan.metrics if key in (None, m.key))


def _named(plan: Plan, found: Mapping[str, Any] | None, what: str, settings: Recorded) -> set[str]:
    """Return the ids of the conditions that a key is of: as ``results.csv`` says.

    In a report of an older version that does not say it: the longest keys that stand in the key.
    """
    body, keys = what.partition("@")[0], _conditions(plan)
    if found is None and what in keys:
        return {keys[what]}
    known = found if found is not None and "condition" in found else None
    if known["contrast"] if known else body.startswith("contrast."):
        name = known["contrast"] if known else body.split(".")[1]
        tables = {n: t for n, t in settings.table.contrasts.items() if n == name}
        pairs = contrasts.resolve(tables, plan.conditions)
        return {i for one in pairs for pair in one.pairs for i in pair}
    if known:
        return {str(known["condition"]), str(known["less"])}
    return _standing_in(body, keys)


def _standing_in(body: str, keys: Mapping[str, str]) -> set[str]:
    found = set()
    for part in body.split(VERSUS):
        fitting = [k for k in keys if part == k or part.startswith(f"{k}.")]
        found |= {keys[max(fitting, key=len)]} if fitting else set()
    return found


def _number_lines(found: dict[str, Any] | None, what: str, settings: Recorded) -> Iterator[str]:
    if found is None:
        yield what
        return
    side = ", one-sided" if found.get("one_sided") is True else ""
    bounds = f" [{found['low_text']}, {found['high_text']}{side}]" if found["low_text"] else ""
    p = found["p_text"]
    corrected = f" ({CORRECTED.get(settings.table.correction, settings.table.correction)})"
    tested = f", p {p if p.startswith('<') else f'= {p}'}{corrected}" if p else ""
    yield f"{what} = {found['text']}{bounds}{tested}"
    yield f"  made of {found['n']:,} answers to {found['n_questions']:,} questions"
    body, _, subset = what.partition("@")
    subset = found.get("subset", subset)
    if subset not in ("", ALL):
        yield f"  of the rows with {subset.replace('=', ' = ')} alone"
    if found["kind"] == "difference":
        one, _, other = body.partition(VERSUS)
        yield f"  a difference: {one} less {other.rpartition('.')[0]}, on the rows that both have"
    if found["kind"] == "contrast":
        table = settings.table.contrasts.get(body.split(".")[1])
        sides = f": {table.second} less {table.first}" if table else ""
        yield f"  a declared contrast{sides}"


def _record(
    run: RunDir, plan: Plan, condition: Condition, made_with: Sequence[PlannedMetric]
) -> dict[str, object]:
    files = [run.generations(condition.id), *(run.scores(m.key, condition.id) for m in made_with)]
    made = plan.finetune_of(condition.model.name)
    folder = run.adapter(made.id) if made else None
    return {
        "id": condition.id,
        "key": condition_keys(plan.conditions)[condition.id],
        "name": full_name(condition, row_labels(plan.conditions)),
        **dict(origins.of_condition(plan, condition, folder)),
        "files": [str(f.relative_to(run.root)) for f in files if f.exists()],
    }


def _condition_lines(record: dict[str, object]) -> Iterator[str]:
    yield f"{record.pop('name')}  ({record.pop('id')})"
    for name, value in record.items():
        if value in (None, "", []):
            continue
        shown = value if isinstance(value, list) else str(value).splitlines()
        yield f"  {name + ':':<28}{shown[0]}"
        yield from (f"  {'':<28}{line}" for line in shown[1:])


def _made_lines(
    run: RunDir, plan: Plan, made_with: Sequence[PlannedMetric], settings: Recorded
) -> Iterator[str]:
    given = plan.provenance
    dirty = given.get("uncommitted changes", "none") != "none"
    yield f"rows        data {plan.data_digest[:16]}, in {run.examples.relative_to(run.root)}"
    yield f"metrics     {'; '.join(f'{m.name}: {m.signature}' for m in made_with)}"
    changed = "; ".join(settings.as_options())
    yield f"settings    [report] of the plan{f', with {changed}' if changed else ''}"
    yield f"command     {given.get('command', 'not recorded')}"
    uncommitted = ", with uncommitted changes (in the plan)" if dirty else ""
    yield f"commit      {given.get('commit', 'not recorded')}{uncommitted}"
    yield f"plan        {last_plan(run)[1]}"
    yield f"again       {again(run, plan, settings)}"


def compare(options: Namespace, names: Sequence[str]) -> int:
    """Print what tells two runs apart, and every difference on the rows that both have.

    Raises:
        UnknownName: There is no such run.
        ConfigError: ``--set`` contradicts the report of one of them.
        Incomplete: One of them is not whole, and ``--partial`` is not given.
    """
    first, second = (_side(options, name) for name in names)
    found = compare_runs(first, second)
    if options.json:
        told = {
            "settings": found.settings, "provenance": found.provenance,
            "only_first": found.only_first, "only_second": found.only_second,
            "changes": found.changes.to_dicts(),
        }  # fmt: skip
        say(json.dumps(told, indent=1, default=str))
        return 0
    for what, changed in (("settings", found.settings), ("made by", found.provenance)):
        say(f"{what}: {'' if changed else 'the same'}")
        for path, values in changed.items():
            say(f"  {path}: {' -> '.join(_short(v) for v in values)}")
    for name, only in zip(names, (found.only_first, found.only_second), strict=True):
        if only:
            say(f"only in {name}: {', '.join(only)}")
    if found.changes.is_empty():
        say("\nno condition is in both")
    else:
        say("\n" + terminal.text(changes_table(first, second, found)))
    return 0


def _side(options: Namespace, name: str) -> Side:
    path = Path(name)
    run = RunDir((path if path.is_dir() else options.runs / name).absolute())
    if not run.root.is_dir():
        there = sorted(p.name for p in options.runs.glob("*") if p.is_dir())
        raise UnknownName("run", name, there)
    plan, _ = last_plan(run)
    spec = written_spec(run, plan, options.overrides)
    config = {**plan.config, "report": spec.settings["report"]}
    return Side(name, spec, collect(run, spec, partial=options.partial), config)


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
