"""One step of a refinement: an ordinary run that is planned, done here or on Slurm, and read."""

import time
from dataclasses import dataclass

from empathy_core.counted import counted
from empathy_core.errors import Incomplete
from empathy_core.store import RunDir
from jobs.commands.console import print_out, show_failed, typed, warn_all
from jobs.commands.options import ResourceOptions
from jobs.commands.submission import reached, show_submitted, submit_sweep
from jobs.commands.views import failures
from jobs.config.schema import Config
from jobs.executors import run_local
from jobs.executors.local import Settings
from jobs.executors.progress_bar import ProgressBar
from jobs.planning import sweep
from jobs.planning.plan_file import last_plan
from jobs.planning.shown_commands import command
from jobs.stages.report import report_spec
from reports.numbers.refined import RowsOfRun
from reports.rows.collect import collect
from reports.tables.columns import named_columns

LOOK_S = 15
"""Between two looks at the queue while a step is awaited, in seconds."""


class StepPending(Exception):
    """A step is not done, so that what follows cannot be decided yet.

    Attributes:
        exit_code: 0 where it was submitted, else what the failure means.
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(exit_code)


@dataclass(frozen=True)
class StepRunner:
    """Does steps.

    Attributes:
        executor: ``local`` or ``slurm``.
        wait: Whether a step that is on Slurm is awaited.
        quiet: Whether only JSON is printed.
    """

    executor: str
    options: ResourceOptions
    wait: bool
    quiet: bool

    def rows(self, config: Config, run: RunDir) -> RowsOfRun:
        """Return the proven rows of a step, which is done first as far as it is not.

        Raises:
            StepPending: Some of it failed, or is on Slurm.
            EmpathyError: The user must fix something first; what is there is kept.
        """
        if not self.quiet:
            print_out(f"== {run.root.name}: {_size(config)}")
        do = self._on_slurm if self.executor == "slurm" else self._here
        do(config, run)
        return read_rows(run)

    def _here(self, config: Config, run: RunDir) -> None:
        planned = sweep.plan(config, run, typed())
        warn_all(planned.warnings)
        settings = Settings(config.local.workers, config.local.threads)
        outcomes = run_local.execute(planned, run, settings, ProgressBar(quiet=self.quiet))
        failed = [outcome for outcome in outcomes if not outcome.ok]
        if failed:
            raise StepPending(show_failed(failed, run, as_json=self.quiet))

    def _on_slurm(self, config: Config, run: RunDir) -> None:
        submitted = submit_sweep(config, run, typed(), self.options)
        if submitted is None or is_done(run):  # its report may be in the queue: nobody waits for it
            return
        code = show_submitted(submitted, run, as_json=self.quiet)
        if code or not self.wait:
            raise StepPending(code)
        while reached(run).queued:
            time.sleep(LOOK_S)


def _size(config: Config) -> str:
    """Return what a step answers, before it is planned."""
    prompts = sum(len(model.prompts or ()) for model in config.models.values())
    split = config.evaluate.split
    rows = "what the proposer is shown" if split == "all" else f"{split} rows"
    return f"{counted(prompts, 'prompt')}, {rows}"


def read_rows(run: RunDir) -> RowsOfRun:
    """Return the proven rows of a step that is done.

    Raises:
        Incomplete: Rows are missing.
    """
    plan, _ = last_plan(run)
    spec = report_spec(run, plan)
    try:
        return RowsOfRun(collect(run, spec), spec, named_columns(spec.metrics))
    except Incomplete:
        warn_all(failures.why_incomplete(run, plan))
        raise


def is_done(run: RunDir) -> bool:
    """Tell whether a step's rows are all there."""
    if not run.plans():
        return False
    plan, _ = last_plan(run)
    try:
        collect(run, report_spec(run, plan))
    except Incomplete:
        return False
    return True


def rated(run: RunDir) -> str:
    """Return what to do where people have not rated the answers of a step."""
    return (
        f"let people rate them: set [annotate], then\n  {command(run, 'annotate', 'export')}\n"
        f"  {command(run, 'annotate', 'import', 'FILE')}\nand run refine again"
    )
