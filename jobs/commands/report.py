"""``report``: tables and page of what is there."""

import shlex
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from empathy_core.store import RunDir
from jobs.commands.console import existing, say, warn


def report(options: Namespace) -> int:
    """Merge and write the tables of the run's newest plan, or set two runs beside each other."""
    if options.compare:
        from jobs.commands.compare import compare

        return compare(options, options.compare)
    return _write_report(
        existing(options), options, recheck=options.recheck, partial=options.partial
    )


def _write_report(run: RunDir, options: Namespace, *, recheck: int, partial: bool) -> int:
    from jobs.planning import versions
    from jobs.planning.plan_file import last_plan
    from jobs.stages.report import prepared_metrics, report_spec
    from reports.write import write_report

    plan, _ = last_plan(run)
    if options.command == "report":
        for outdated in versions.outdated_scores(plan):
            warn(outdated)
    spec = report_spec(run, plan, options.overrides if options.command == "report" else ())
    written = write_report(run, spec, partial=partial)
    if options.json:
        say((run.report / "summary.json").read_text())
    else:
        say(written.text)
        say(f"\ntables and page: {_relative(run.report)}")
    if written.kept:
        warn(_kept(run, written.kept))
    if recheck:
        from reports.numbers.recheck import recheck as compare

        found = compare(run, spec, prepared_metrics(run, plan), recheck)
        say(found.text)
        if found.wrong:
            warn(_not_equal(found.wrong))
            return 1
    return 0


def _not_equal(columns: Sequence[str]) -> str:
    return (
        f"recheck failed: stored scores are not the reference library's ({', '.join(columns)}): "
        "expected equal values within rounding; the tables must not be used: look for another "
        "version of a package, remove the run's scores of these metrics, and run sweep again"
    )


def _kept(run: RunDir, kept: Path) -> str:
    """Return what is said where a report by another version of the suite was replaced."""
    where = ["--runs", str(run.root.parent), "--compare", str(kept), str(run.root)]
    return (
        f"an earlier version of the suite wrote the tables that were there; they are kept in "
        f"{_relative(kept)}. Which numbers moved, and why:\n  "
        f"{shlex.join(['python', '-m', 'jobs.launch', 'report', *where])}"
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
