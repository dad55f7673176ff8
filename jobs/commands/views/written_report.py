"""A report, written and shown: after a sweep, and by ``report``."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from empathy_core.errors import Incomplete
from empathy_core.store import RunDir
from jobs.commands.console import print_out, relative, warn, warn_all
from jobs.commands.views import failures
from jobs.planning.plan_file import last_plan
from jobs.planning.shown_commands import LAUNCH
from jobs.stages.report import prepared_metrics, report_spec
from reports.numbers import recheck as rechecking
from reports.write import write_report


def write_and_show(
    run: RunDir,
    changes: Sequence[str] = (),
    *,
    recheck: int = 0,
    partial: bool = False,
    as_json: bool,
) -> int:
    """Write a run's tables and page, print the tables, and return the exit code.

    Args:
        run: The run.
        changes: ``report.a=b`` each.
        recheck: Rows of every metric that are computed again by the reference libraries.
        partial: Whether rows may be missing.
        as_json: Whether ``summary.json`` is printed instead of the tables.

    Raises:
        ConfigError: A change is of another table than ``[report]``.
        Incomplete: Rows are missing, and *partial* is false.
    """
    plan, _ = last_plan(run)
    spec = report_spec(run, plan, changes)
    try:
        written = write_report(run, spec, partial=partial)
    except Incomplete:
        warn_all(failures.why_incomplete(run, plan))
        raise
    if as_json:
        print_out((run.report / "summary.json").read_text())
    else:
        print_out(written.text)
        print_out(f"\ntables and page: {relative(run.report)}")
    if written.kept:
        warn(_kept(run, written.kept))
    if not recheck:
        return 0
    checked = rechecking.recheck(run, spec, prepared_metrics(run, plan), recheck)
    print_out(checked.text)
    if checked.wrong:
        warn(_not_equal(checked.wrong))
    return 1 if checked.wrong else 0


def _not_equal(columns: Sequence[str]) -> str:
    return (
        f"recheck failed: stored scores are not the reference library's ({', '.join(columns)}): "
        "expected equal values within rounding; the tables must not be used: look for another "
        "version of a package, remove the run's scores of these metrics, and run sweep again"
    )


def _kept(run: RunDir, kept: Path) -> str:
    """Return the message where a report by another version of the suite was replaced."""
    where = ["--runs", str(run.root.parent), "--compare", str(kept), str(run.root)]
    return (
        f"an earlier version of the suite wrote the tables that were there; they are kept in "
        f"{relative(kept)}. Which numbers moved, and why:\n  "
        f"{shlex.join([*LAUNCH, 'report', *where])}"
    )
