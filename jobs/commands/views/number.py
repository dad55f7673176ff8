"""Where a number comes from: its rows, its conditions, and the command that makes it again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from empathy_core import metrics
from empathy_core.annotation import read_rounds
from empathy_core.counted import counted
from empathy_core.metrics._jury import juries
from empathy_core.metrics._people import CORRECTED as CORRECTED_KEY
from empathy_core.metrics._people import PEOPLE
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.commands.views.nearest import is_for_slurm, is_logged, key_of, unknown
from jobs.config import contrasts
from jobs.config.contrasts import MINUS
from jobs.planning import origins
from jobs.planning.plan import Plan, PlannedMetric
from jobs.planning.plan_file import last_plan
from jobs.planning.report_settings import Recorded, written
from jobs.stages.report import again
from reports.keys import ALL, VERSUS, column_keys, condition_keys, exact_condition_keys
from reports.labels import full_name, row_labels

CORRECTED = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


def is_key(run: RunDir, what: str) -> bool:
    """Tell whether *what* names a number of the run's report, or a condition.

    Raises:
        ConfigError: It names nothing of the run; the message lists the nearest names.
    """
    if not run.plans():
        return False
    plan, _ = last_plan(run)
    keys = _keys(run)
    if what in keys or what in _conditions(plan):
        return True
    if (is_for_slurm(what, plan) and run.slurm.is_dir()) or is_logged(what, run):
        return False
    if key_of(what, plan, keys):
        return True
    raise unknown(what, plan, keys, run)


def _keys(run: RunDir) -> list[str]:
    path = run.report / "results.csv"
    return pl.read_csv(path, columns=["key"])["key"].to_list() if path.exists() else []


def explained(run: RunDir, what: str, changes: Sequence[str], *, as_json: bool) -> str:
    """Return everything that it takes to make a number, or the answers of a condition, again.

    Args:
        run: The run.
        what: A name for which ``is_key`` is true.
        changes: ``--set``; those of ``[report]`` must not contradict the report that is there.
        as_json: Whether to return JSON.
    """
    plan, path = last_plan(run)
    settings = written(run, plan, [change for change in changes if change.startswith("report")])
    key = key_of(what, plan, _keys(run)) or what
    number = _number(run, key)
    made_with = _metrics(plan, number, key) if number else plan.metrics
    ids = _named(plan, number, key, settings)
    records = [_record(run, plan, c, made_with) for c in plan.conditions if c.id in ids]
    if as_json:
        shown = {"number": number, "conditions": records, "settings": settings.record()["report"]}
        return json.dumps(
            shown | {"plan": str(path), "again": again(run, plan, settings)}, indent=1
        )
    lines = [*_number_lines(number, key, settings)]
    for record in records:
        lines += ["", *_condition_lines(record)]
    rated = str((number or {}).get("metric") or "").startswith((PEOPLE, CORRECTED_KEY))
    people = _people_lines(run) if rated else ()
    return "\n".join([*lines, "", *_made_lines(run, plan, made_with, settings), *people])


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


def _metrics(plan: Plan, number: Mapping[str, Any], what: str) -> tuple[PlannedMetric, ...]:
    """Return the metric of a number; all if a report of an older version does not say it."""
    if str(number.get("metric") or "").startswith(PEOPLE):
        return ()
    if metric := str(number.get("metric") or "").removeprefix(CORRECTED_KEY):
        jury = juries({m.key: metrics.load(m.name, m.options) for m in plan.metrics}).get(metric)
        wanted = list(jury.members) if jury else [metric]
        return tuple(m for m in plan.metrics if m.key in wanted) or plan.metrics
    body = what.partition("@")[0]
    known = {m.key: metrics.load(m.name, m.options) for m in plan.metrics}
    columns = {name: key for (key, _), name in column_keys(known).items()}
    fitting = [name for name in columns if body.endswith(f".{name}")]
    key = columns[max(fitting, key=len)] if fitting else None
    return tuple(m for m in plan.metrics if key in (None, m.key))


def _named(plan: Plan, number: Mapping[str, Any] | None, what: str, settings: Recorded) -> set[str]:
    """Return the ids of the conditions that a key is of: as ``results.csv`` says.

    In a report of an older version that does not: the longest keys of conditions in the key.
    """
    body, keys = what.partition("@")[0], _conditions(plan)
    if number is None and what in keys:
        return {keys[what]}
    known = number if number is not None and "condition" in number else None
    if known["contrast"] if known else body.startswith("contrast."):
        name = known["contrast"] if known else body.split(".")[1]
        tables = {n: t for n, t in settings.table.contrasts.items() if n == name}
        pairs = contrasts.resolve(tables, plan.conditions)
        return {i for contrast in pairs for pair in contrast.pairs for i in pair}
    if known:
        return {str(known["condition"]), str(known["less"])}
    return _conditions_in(body, keys)


def _conditions_in(body: str, keys: Mapping[str, str]) -> set[str]:
    ids = set()
    for part in body.split(VERSUS):
        fitting = [k for k in keys if part == k or part.startswith(f"{k}.")]
        ids |= {keys[max(fitting, key=len)]} if fitting else set()
    return ids


def _number_lines(number: dict[str, Any] | None, what: str, settings: Recorded) -> Iterator[str]:
    if number is None:
        yield what
        return
    side = ", one-sided" if number.get("one_sided") is True else ""
    bounds = f" [{number['low_text']}, {number['high_text']}{side}]" if number["low_text"] else ""
    p = number["p_text"]
    corrected = f" ({CORRECTED.get(settings.table.correction, settings.table.correction)})"
    tested = f", p {p if p.startswith('<') else f'= {p}'}{corrected}" if p else ""
    yield f"{what} = {number['text']}{bounds}{tested}"
    yield (
        f"  computed from {counted(number['n'], 'answer')} to "
        f"{counted(number['n_questions'], 'question')}"
    )
    body, _, subset = what.partition("@")
    subset = number.get("subset", subset)
    if subset not in ("", ALL):
        yield f"  only of the rows with {subset.replace('=', ' = ')}"
    if number["kind"] == "difference":
        second, _, first = body.partition(VERSUS)
        first = first.rpartition(".")[0]
        yield f"  a difference: {second} {MINUS} {first}, on the rows that both have"
    if number["kind"] == "contrast":
        table = settings.table.contrasts.get(body.split(".")[1])
        sides = f": {table.second} {MINUS} {table.first}" if table else ""
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
    named = "; ".join(f"{m.name}: {m.signature}" for m in made_with)
    yield f"metrics     {named or 'none: people rated'}"
    changed = "; ".join(settings.as_options())
    yield f"settings    [report] of the plan{f', with {changed}' if changed else ''}"
    yield f"command     {given.get('command', 'not recorded')}"
    uncommitted = ", with uncommitted changes (in the plan)" if dirty else ""
    yield f"commit      {given.get('commit', 'not recorded')}{uncommitted}"
    yield f"plan        {last_plan(run)[1]}"
    yield f"again       {again(run, plan, settings)}"


def _people_lines(run: RunDir) -> Iterator[str]:
    """Yield where people's ratings lie."""
    for name, of in read_rounds(run).items():
        raters = counted(len(of.raters), "rater")
        yield f"ratings     {name} ({of.kind}, {raters}), in {run.annotation.name}/{name}"
