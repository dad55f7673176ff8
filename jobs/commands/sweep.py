"""``sweep``: plan, generate, score, report."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from jobs.commands.options import AllowOptions, ExecutorOptions, Option, ResourceOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from empathy_core.store import RunDir
    from jobs.config.schema import Config
    from jobs.planning.sweep import Planned


@dataclass(frozen=True, kw_only=True)
class SweepOptions(ResourceOptions, AllowOptions, ExecutorOptions):
    """Plan, generate, score and report; only what is missing is done.

    The run directory is the state: call the same command again after anything at all (Ctrl-C, a
    power cut, an error that you fixed) and it continues from the last finished block. A new model,
    prompt, decoding or metric in the configuration simply grows the run, and so does a larger
    evaluate.limit; other changes of data or splits are refused, since rows must not move under
    answers that are there. --from copies what of another run holds. What is refused leaves the run
    as it was.
    """

    dry_run: Annotated[
        bool,
        Option(
            "print conditions, shards, work to do and done, one rendered prompt each, and the "
            "scripts for Slurm"
        ),
    ] = False
    test_only: Annotated[
        bool, Option("a dry run that also asks Slurm whether it would take every script")
    ] = False
    pilot: Annotated[
        bool,
        Option(
            "answer one block with each model first, show five answers of each condition, and "
            "propose shards, time and memory for everything"
        ),
    ] = False
    copy_from: Annotated[
        Path | None,
        Option(
            "copy from another run, a folder or a name, the answers and scores that hold here: "
            "same model, prompt, decoding and question, proven row by row; that run is only read",
            "RUN",
            ("--from",),
        ),
    ] = None


def sweep(options: SweepOptions) -> int:
    """Plan, execute, report.

    Raises:
        ConfigError: The configuration is wrong, or evaluates nothing.
        EmpathyError: Anything else that the user must fix first; nothing computed is touched.
    """
    from jobs.commands.console import executor_of, run_dir, use_cache_of_nodes
    from jobs.config import read as configuration
    from jobs.config.schema import require_conditions

    config = configuration.read(options.config, options.changes, options.allow)
    require_conditions(config)
    run = run_dir(options, config.name)
    if options.dry_run or options.test_only:
        return _dry_run(config, run, options)
    executor = executor_of(options.executor, quiet=options.json)
    if executor == "slurm":
        use_cache_of_nodes(config.slurm.cache)
    if options.pilot:
        from jobs.commands.pilot import pilot

        return pilot(config, run, options, executor, partial(_copy, run, options))
    return (_on_slurm if executor == "slurm" else _here)(config, run, options)


def _on_slurm(config: "Config", run: "RunDir", options: SweepOptions) -> int:
    from jobs.commands.console import typed
    from jobs.commands.submission import show_submitted, submit_sweep

    submitted = submit_sweep(config, run, typed(), options, partial(_copy, run, options))
    if submitted is None:
        from jobs.commands.views.written_report import write_and_show

        return write_and_show(run, as_json=options.json)
    return show_submitted(submitted, run, as_json=options.json)


def _here(config: "Config", run: "RunDir", options: SweepOptions) -> int:
    from jobs.commands.console import show_failed, typed, warn_all
    from jobs.commands.submission import refuse_growth_here
    from jobs.commands.views.written_report import write_and_show
    from jobs.executors import run_local
    from jobs.executors.local import Settings
    from jobs.executors.progress_bar import ProgressBar
    from jobs.planning import versions
    from jobs.planning.sweep import plan

    def before(drafted: "Planned") -> None:
        refuse_growth_here(run, drafted)
        _copy(run, options, drafted)

    planned = plan(config, run, typed(), before)
    warn_all([*versions.advice(run, planned.plan), *planned.warnings])
    settings = Settings(config.local.workers, config.local.threads)
    outcomes = run_local.execute(planned, run, settings, ProgressBar(quiet=options.json))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return show_failed(failed, run, as_json=options.json)
    return write_and_show(run, as_json=options.json)


def _copy(run: "RunDir", options: SweepOptions, drafted: "Planned") -> None:
    """Copy what holds of another run into this one, once its plan is written."""
    from empathy_core.store import RunDir
    from jobs.commands.console import print_out, warn

    if options.copy_from is None:
        return
    from jobs.stages import copied

    by_name = options.runs / options.copy_from
    folder = options.copy_from if options.copy_from.is_dir() else by_name
    found = copied.add(RunDir(folder.absolute()), drafted, run)
    (warn if options.json else print_out)(found.text())


def _dry_run(config: "Config", run: "RunDir", options: SweepOptions) -> int:
    from jobs.commands.console import print_out, typed, use_cache_of_nodes, warn_all
    from jobs.commands.submission import scripts
    from jobs.commands.views import plan_preview
    from jobs.planning import versions
    from jobs.planning.sweep import preview
    from slurm import detect

    on_slurm = options.test_only or options.executor == "slurm"
    on_slurm = on_slurm or (options.executor == "auto" and detect.state() == "up")
    if on_slurm:
        use_cache_of_nodes(config.slurm.cache)
    planned = preview(config, run, typed())
    warn_all(versions.advice(run, planned.plan))
    _copy(run, options, planned)
    texts = scripts(config, run, planned, options, ask=options.test_only) if on_slurm else []
    if options.json:
        print_out(json.dumps(plan_preview.as_json(planned) | {"scripts": texts}, indent=1))
    else:
        print_out("\n\n".join([plan_preview.text(planned), *texts]))
    return 0
