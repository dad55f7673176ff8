"""``report``: tables and page of what is there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class ReportOptions(RunOptions):
    """Merge the scores of a run and write its tables and page.

    Every (condition, example) must be there exactly once, with one provenance; otherwise it refuses
    with exit code 3 and names the file. --partial reports what is there and stamps every page.
    --set report.intervals=none and the like change [report] without a new sweep.
    """

    partial: Annotated[bool, Option("report what is there, stamped PARTIAL n/N")] = False
    recheck: Annotated[
        int, Option("also recompute N rows of every metric through the reference libraries", "N")
    ] = 0
    compare: Annotated[
        tuple[str, str] | None,
        Option(
            "instead, show the differences between two runs, paired where they have equal rows; "
            "or between a report (its folder) and a run or report: which numbers moved, and by "
            "which change of the suite",
            ("A", "B"),
        ),
    ] = None


def report(options: ReportOptions) -> int:
    """Write the tables of the run's newest plan, or compare two runs or reports.

    Raises:
        ConfigError: There is no such run, or ``--set`` is of another table than ``[report]``.
        Incomplete: Rows are missing and ``--partial`` is not given.
    """
    from jobs.commands.console import existing, hint_at_others, warn_all
    from jobs.commands.views.written_report import write_and_show
    from jobs.planning import versions
    from jobs.planning.plan_file import last_plan

    if options.compare:
        return _compare(options, options.compare)
    run = existing(options)
    hint_at_others(options, run)
    warn_all(versions.outdated_scores(last_plan(run)[0]))
    return write_and_show(
        run,
        options.changes,
        recheck=options.recheck,
        partial=options.partial,
        as_json=options.json,
    )


def _compare(options: ReportOptions, names: tuple[str, str]) -> int:
    from empathy_core.store import RunDir
    from jobs.commands.console import print_out
    from jobs.commands.views import report_diff, run_diff

    first, second = (report_diff.find(options.runs, name) for name in names)
    if not (isinstance(first, RunDir) and isinstance(second, RunDir)):
        both: list[tuple[str, RunDir | Path]] = [(names[0], first), (names[1], second)]
        print_out(report_diff.compared(*both, partial=options.partial, as_json=options.json))
        return 0
    sides = [
        run_diff.side(options.runs, name, options.changes, partial=options.partial)
        for name in names
    ]
    print_out(run_diff.compared(*sides, as_json=options.json))
    if not options.json:
        for hint in report_diff.hints(first, second):
            print_out(hint)
    return 0
