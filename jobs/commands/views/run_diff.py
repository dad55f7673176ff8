"""``report --compare`` of two runs: how they differ, on the rows that both have."""

import json
from collections.abc import Sequence
from pathlib import Path

from empathy_core.errors import UnknownName
from empathy_core.store import RunDir
from jobs.commands.views.as_written import written_spec
from jobs.planning.plan_file import last_plan
from reports.rows.collect import collect
from reports.tables import terminal
from reports.tables.run_diff import ComparedRun, changes_table, compare_runs


def compared(first: ComparedRun, second: ComparedRun, *, as_json: bool) -> str:
    """Return the differences between two runs, and every score's on the rows that both have."""
    diff = compare_runs(first, second)
    if as_json:
        shown = {
            "settings": diff.settings, "provenance": diff.provenance,
            "only_first": diff.only_first, "only_second": diff.only_second,
            "changes": diff.changes.to_dicts(),
        }  # fmt: skip
        return json.dumps(shown, indent=1, default=str)
    lines: list[str] = []
    for what, changed in (("settings", diff.settings), ("made by", diff.provenance)):
        lines.append(f"{what}: {'' if changed else 'the same'}")
        lines += [f"  {path}: {' -> '.join(map(_short, v))}" for path, v in changed.items()]
    for side, only in ((first, diff.only_first), (second, diff.only_second)):
        lines += [f"only in {side.name}: {', '.join(only)}"] if only else []
    if diff.changes.is_empty():
        return "\n".join([*lines, "\nno condition is in both"])
    return "\n".join([*lines, "\n" + terminal.text(changes_table(first, second, diff))])


def side(runs: Path, name: str, changes: Sequence[str], *, partial: bool) -> ComparedRun:
    """Return one of the two runs: a folder, or a name in *runs*.

    Raises:
        UnknownName: There is no such run.
        ConfigError: *changes* (``--set``) contradict its report.
        Incomplete: It is not complete, and *partial* is false.
    """
    path = Path(name)
    run = RunDir((path if path.is_dir() else runs / name).absolute())
    if not run.root.is_dir():
        there = sorted(p.name for p in runs.glob("*") if p.is_dir())
        raise UnknownName("run", name, there)
    plan, _ = last_plan(run)
    spec = written_spec(run, plan, changes)
    config = {**plan.config, "report": spec.settings["report"]}
    return ComparedRun(name, spec, collect(run, spec, partial=partial), config)


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
