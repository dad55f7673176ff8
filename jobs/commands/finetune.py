"""``finetune``: train adapters, and nothing else."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.commands.options import AllowOptions, ExecutorOptions, ResourceOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from empathy_core.store import RunDir
    from jobs.config.schema import Config


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(ResourceOptions, AllowOptions, ExecutorOptions):
    """Train the adapters of [finetune.*], and nothing else.

    As sweep does before it answers with them: preflight, training with checkpoints, the finished
    adapter in <run>/adapters. The same command continues after anything at all.
    """


def finetune(options: FinetuneOptions) -> int:
    """Plan, and train what adapters are missing, here or on Slurm.

    Raises:
        ConfigError: The configuration is wrong, or has no fine-tune.
        PreflightFailed: Something is wrong with the rows, and it is not allowed.
    """
    from jobs.commands.console import executor_of, run_dir
    from jobs.commands.views.fine_tunes import config_with_fine_tunes

    config = config_with_fine_tunes(options)
    run = run_dir(options, config.name)
    executor = executor_of(options.executor, quiet=options.json)
    return (_on_slurm if executor == "slurm" else _here)(config, run, options)


def _here(config: "Config", run: "RunDir", options: FinetuneOptions) -> int:
    from jobs.commands.console import print_out, show_failed, typed, warn_all
    from jobs.commands.views.fine_tunes import adapters_text
    from jobs.executors import run_local
    from jobs.executors.local import Settings
    from jobs.executors.progress_bar import ProgressBar
    from jobs.planning import versions
    from jobs.planning.stages import FINETUNE
    from jobs.planning.sweep import plan

    planned = plan(config, run, typed())
    warn_all([*versions.advice(run, planned.plan), *planned.warnings])
    settings = Settings(config.local.workers, config.local.threads)
    bar = ProgressBar(quiet=options.json)
    outcomes = run_local.execute(planned, run, settings, bar, only=[FINETUNE])
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return show_failed(failed, run, as_json=options.json)
    print_out(adapters_text(run, planned.plan, as_json=options.json))
    return 0


def _on_slurm(config: "Config", run: "RunDir", options: FinetuneOptions) -> int:
    from jobs.commands.console import print_out, typed, use_cache_of_nodes, warn_all
    from jobs.commands.submission import (
        launch_of,
        of_file,
        refuse_growth,
        settled,
        show_submitted,
        withdrawn_if_refused,
    )
    from jobs.commands.views.fine_tunes import adapters_text
    from jobs.executors.slurm import packing
    from jobs.executors.slurm.asking import refuse_groups
    from jobs.executors.slurm.submit import submit_tasks
    from jobs.executors.slurm.wanted import missing
    from jobs.planning import versions
    from jobs.planning.stages import FINETUNE
    from jobs.planning.sweep import accept, preview

    use_cache_of_nodes(config.slurm.cache)
    with run.lock():
        now = settled(run)
        drafted = preview(config, run, typed(), now.awaited_ids())
        refuse_growth(run, drafted, now)
        tasks = missing(FINETUNE, drafted.plan, drafted.progress, now)
        launch = launch_of(config, run, drafted, options)
        refuse_groups(launch, packing.groups(tasks), now)
        planned = accept(drafted, run)
        warn_all(versions.advice(run, planned.plan))
        with withdrawn_if_refused(run, planned):
            tasks = missing(FINETUNE, planned.plan, planned.progress, now)
            submitted = submit_tasks(of_file(launch, planned), tasks, now)
    if submitted.tried or submitted.n_before:
        return show_submitted(submitted, run, as_json=options.json)
    print_out(adapters_text(run, planned.plan, as_json=options.json))
    return 0
