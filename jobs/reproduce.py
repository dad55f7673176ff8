"""Where a number comes from: its rows, its conditions, and the command that makes it again."""

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from empathy_core.errors import ConfigError, UnknownName
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs import contrasts
from jobs.plan import Plan
from jobs.planfile import last_plan
from jobs.report import again, report_spec, report_table
from jobs.speaking import existing, say
from reports import terminal
from reports.collect import collect
from reports.compare_runs import Side, changes_table, compare_runs
from reports.keys import ALL, VERSUS, condition_keys, exact_condition_keys
from reports.labels import decoding_words, full_name, row_labels


def is_key(run: RunDir, what: str | None) -> bool:
    """Tell whether *what* names a number of the run's report, or a condition by its key.

    Raises:
        ConfigError: It begins as the key of a condition or contrast does, and is none.
    """
    if not what or not run.plans():
        return False
    plan, _ = last_plan(run)
    conditions = _conditions(plan)
    keys = _keys(run)
    if what in keys or what in conditions:
        return True
    ids = {name for c in plan.conditions for name in (c.id, c.id.rpartition("-")[0])}
    if what not in ids and what.startswith((*(f"{key}." for key in conditions), "contrast.")):
        near = get_close_matches(what, keys, n=3, cutoff=0.5)
        msg = (
            f"no number is called '{what}' in report/results.csv; the nearest: "
            f"{', '.join(near) or 'none'}; run report first if it is new"
        )
        raise ConfigError(msg)
    return False


def _keys(run: RunDir) -> set[str]:
    path = run.report / "results.csv"
    return set(pl.read_csv(path, columns=["key"])["key"]) if path.exists() else set()


def explain_key(options: Namespace) -> int:
    """Tell of a number, or a condition, everything that it takes to make it again."""
    run = existing(options)
    plan, path = last_plan(run)
    found = _number(run, options.what)
    named = _named(plan, found, options.what)
    conditions = [c for c in plan.conditions if c.id in named]
    if options.json:
        told = {"number": found, "conditions": [_record(run, plan, c) for c in conditions]}
        say(json.dumps(told | {"plan": str(path), "again": again(run, plan)}, indent=1))
        return 0
    lines = [*_number_lines(found, options.what)]
    for condition in conditions:
        lines += ["", *_condition_lines(run, plan, condition)]
    say("\n".join([*lines, "", *_made_lines(run, plan, path)]))
    return 0


def _number(run: RunDir, what: str) -> dict[str, object] | None:
    path = run.report / "results.csv"
    if not path.exists():
        return None
    printed = dict.fromkeys(_AS_PRINTED, pl.String)
    frame = pl.read_csv(path, schema_overrides=printed, infer_schema_length=None)
    return next(frame.filter(pl.col("key") == what).iter_rows(named=True), None)


_AS_PRINTED = ("text", "low_text", "high_text", "p_text")
"""Columns whose last zeros count."""


def _conditions(plan: Plan) -> dict[str, str]:
    """Return key → id of each condition; of those that are called alike, too, by the exact key."""
    ways = exact_condition_keys(plan.conditions), condition_keys(plan.conditions)
    return {key: i for keys in ways for i, key in keys.items()}


def _named(plan: Plan, found: Mapping[str, object] | None, what: str) -> set[str]:
    """Return the ids of the conditions that a key is of: as ``results.csv`` says.

    In a report of an older version that does not say it: the longest keys that stand in the key.
    """
    body, keys = what.partition("@")[0], _conditions(plan)
    if found is None and what in keys:
        return {keys[what]}
    known = found if found is not None and "condition" in found else None
    if known["contrast"] if known else body.startswith("contrast."):
        name = known["contrast"] if known else body.split(".")[1]
        tables = {n: t for n, t in report_table(plan).contrasts.items() if n == name}
        pairs = contrasts.resolve(tables, plan.conditions)
        return {i for one in pairs for pair in one.pairs for i in pair}
    if known:
        return {str(known["condition"]), str(known["less"])}
    return _standing_in(body, keys)


def _standing_in(body: str, keys: Mapping[str, str]) -> set[str]:
    parts = body.split(VERSUS)
    found = set()
    for part in parts:
        fitting = [k for k in keys if part == k or part.startswith(f"{k}.")]
        found |= {keys[max(fitting, key=len)]} if fitting else set()
    return found


def _number_lines(found: dict[str, object] | None, what: str) -> Iterator[str]:
    if found is None:
        yield what
        return
    bounds = f" [{found['low_text']}, {found['high_text']}]" if found["low_text"] else ""
    p = f", p {found['p_text']}" if found["p_text"] else ""
    yield f"{what} = {found['text']}{bounds}{p}"
    rows = found.get("subset", ALL)
    of = "" if rows == ALL else f", {rows}"
    yield f"  made of {found['n']:,} answers to {found['n_questions']:,} questions{of}"


def _record(run: RunDir, plan: Plan, condition: Condition) -> dict[str, object]:
    model = condition.model
    files = [
        run.generations(condition.id),
        *(run.scores(m.key, condition.id) for m in plan.metrics),
    ]
    return {
        "id": condition.id,
        "name": full_name(condition, row_labels(plan.conditions)),
        "weights": model.weights,
        "revision": model.revision,
        "fingerprint of the weights": condition.fingerprint,
        "adapter": model.adapter,
        "dtype": model.dtype,
        "quantization": model.quantization,
        "prompt": condition.prompt.text,
        "chat template": condition.chat,
        "decoding": decoding_words(condition.decoding),
        "files": [str(f.relative_to(run.root)) for f in files if f.exists()],
    }


def _condition_lines(run: RunDir, plan: Plan, condition: Condition) -> Iterator[str]:
    record = _record(run, plan, condition)
    yield f"{record.pop('name')}  ({record.pop('id')})"
    for name, value in record.items():
        if value in (None, "", []):
            continue
        shown = value if isinstance(value, list) else str(value).splitlines()
        yield f"  {name + ':':<28}{shown[0]}"
        yield from (f"  {'':<28}{line}" for line in shown[1:])


def _made_lines(run: RunDir, plan: Plan, path: Path) -> Iterator[str]:
    given = plan.provenance
    dirty = given.get("uncommitted changes", "none") != "none"
    yield f"rows        data {plan.data_digest[:16]}, in {run.examples.relative_to(run.root)}"
    yield f"metrics     {'; '.join(f'{m.name}: {m.signature}' for m in plan.metrics)}"
    yield f"command     {given.get('command', 'not recorded')}"
    changed = ", with uncommitted changes (in the plan)" if dirty else ""
    yield f"commit      {given.get('commit', 'not recorded')}{changed}"
    yield f"plan        {path}"
    yield f"again       {again(run, plan)}"


def compare(options: Namespace, names: Sequence[str]) -> int:
    """Print what tells two runs apart, and every difference on the rows that both have.

    Raises:
        UnknownName: There is no such run.
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
    spec = report_spec(run, plan)
    return Side(name, spec, collect(run, spec, partial=options.partial), plan.config)


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
