"""The report that stands in a run, as it was written: for the commands that speak of it."""

from collections.abc import Sequence

from empathy_core.store import RunDir
from jobs.commands.console import warn
from jobs.planning import report_settings
from jobs.planning.plan import Plan
from jobs.stages.report import spec_of
from reports.spec import ReportSpec


def written_spec(run: RunDir, plan: Plan, overrides: Sequence[str] = ()) -> ReportSpec:
    """Return what the report that stands in *run* is: for all that speaks of it.

    Side effect: warns where the configuration changed after it was written.

    Raises:
        ConfigError: *overrides* contradict it.
        Damaged: Its record of settings cannot be read.
    """
    found = report_settings.written(run, plan, overrides)
    if told := report_settings.out_of_date(found, run, plan):
        warn(f"warning: {told}")
    return spec_of(run, plan, found)
