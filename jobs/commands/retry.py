"""``retry``: submit again what failed on Slurm."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jobs.commands.options import Option, ResourceOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from empathy_core.store import RunDir
    from jobs.executors.slurm.launching import Submitted
    from jobs.planning.plan import Plan
    from jobs.planning.progress import RunProgress


@dataclass(frozen=True, kw_only=True)
class RetryOptions(ResourceOptions):
    """Submit again what was submitted to Slurm and failed.

    Nothing that is done or in the queue is submitted. --mem, --time and --exclude change what the
    array tasks get; scoring and the report follow anew.
    """

    all: Annotated[bool, Option("also what was never submitted, for want of room")] = False


def retry(options: RetryOptions) -> int:
    """Submit again what was submitted and failed, with more of what it lacked.

    Raises:
        ConfigError: Nothing was submitted, or by a version that scores otherwise.
        ClusterError: Slurm does not answer, or refuses.
    """
    from empathy_core.counted import counted
    from jobs.commands.console import existing, print_out
    from jobs.commands.submission import show_submitted

    run = existing(options)
    submitted = _submit(run, options)
    if submitted.tried:
        return show_submitted(submitted, run, as_json=options.json)
    if submitted.n_before:
        print_out(f"nothing to retry: {counted(submitted.n_before, 'array task')} in the queue")
    else:
        print_out("nothing to retry: everything is done")
    return 0


def _submit(run: "RunDir", options: RetryOptions) -> "Submitted":
    from empathy_core.errors import ConfigError
    from jobs.commands.console import alike
    from jobs.commands.submission import resources_given, settled
    from jobs.config.schema import Config
    from jobs.executors.slurm.launching import launch
    from jobs.executors.slurm.submit import submit_missing, submit_tasks
    from jobs.executors.slurm.wanted import missing
    from jobs.planning import versions
    from jobs.planning.plan_file import last_plan
    from jobs.planning.stages import FINETUNE

    with run.lock():
        now = settled(run)
        plan, path = last_plan(run)
        if outdated := versions.outdated_scores(plan):
            raise ConfigError("; ".join(outdated))  # or each array task that scores would fail
        config = Config.model_validate_json(json.dumps(plan.config))
        progress = _without_damage(run, plan)
        to_submit = launch(config, run, plan, path.name, resources_given(options))
        if not now.submissions:
            msg = (
                "nothing of this run was ever submitted: expected a sweep first:\n"
                f"  {alike(options, 'sweep')}"
            )
            raise ConfigError(msg)
        before = [t for s in now.submissions for e in s.bundles for t in e]
        only = None if options.all else {task.id for task in before}
        if only and all(task.stage == FINETUNE.name for task in before):  # nothing follows
            lacking = missing(FINETUNE, plan, progress, now)
            return submit_tasks(to_submit, [t for t in lacking if t.id in only], now)
        return submit_missing(to_submit, progress, now, only)


def _without_damage(run: "RunDir", plan: "Plan") -> "RunProgress":
    """Set aside what is damaged, and return what is done."""
    from jobs.commands.console import warn
    from jobs.planning.progress import read_progress

    progress = read_progress(run, plan)
    for damaged, reason in progress.unusable():
        warn(f"set aside as {run.set_aside(damaged)}: {reason}")
        progress = read_progress(run, plan)
    return progress
