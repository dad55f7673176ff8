"""The report of a run, as it was written: for the commands that explain or check it."""

from collections.abc import Sequence

from empathy_core.store import RunDir
from jobs.commands.console import warn
from jobs.planning import report_settings
from jobs.planning.plan import Plan
from jobs.stages.report import spec_of
from reports.spec import ReportSpec


def written_spec(run: RunDir, plan: Plan, overrides: Sequence[str] = ()) -> ReportSpec:
    """Return what the report of *run* is, with the settings that it was written with.

    Side effect: warns where the configuration changed after it was written.

    Raises:
        ConfigError: *overrides* contradict it.
        Damaged: Its record of settings cannot be read.
    """
    settings = report_settings.written(run, plan, overrides)
    if change := report_settings.out_of_date(settings, run, plan):
        warn(f"warning: {change}")
    return spec_of(run, plan, settings)
