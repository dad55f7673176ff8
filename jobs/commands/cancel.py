"""``cancel``: take what of a run is in Slurm's queue out of it."""

from dataclasses import dataclass

from jobs.commands.options import TaskOptions

NOTHING = "nothing of this run is in the queue"


@dataclass(frozen=True, kw_only=True)
class CancelOptions(TaskOptions):
    """Cancel what of a run is in Slurm's queue: everything, or one task, condition or model."""


def cancel(options: CancelOptions) -> int:
    """Cancel a run's array tasks in the queue: all, or those of a task, condition or model.

    Raises:
        ClusterError: Slurm does not answer, or refuses.
        UnknownName: The run has nothing of that name.
    """
    from jobs.commands.console import existing, print_out, warn
    from jobs.commands.submission import reached
    from jobs.executors.slurm import inspect as inspection
    from jobs.executors.slurm.launching import ClusterError
    from jobs.planning.plan_file import last_plan
    from jobs.planning.shown_commands import command
    from slurm.queue import SlurmError

    run = existing(options)
    now = reached(run, to="cancel")
    tasks = list(now.queued)
    if options.what:
        plan, _ = last_plan(run)
        chosen = inspection.chosen(options.what, plan, inspection.inspect(run, now))
        retries = [other for task in chosen for other in task.standby]
        wanted = {(task.submission.name, task.index) for task in [*chosen, *retries]}
        tasks = [task for task in tasks if (task.submission.name, task.index) in wanted]
    try:
        done = now.cancel(tasks, whole_jobs=not options.what)
    except SlurmError as error:
        msg = f"Slurm: {error}; see what is in the queue with\n  {command(run, 'status')}"
        raise ClusterError(msg) from error
    if now.unknown:
        names = ", ".join(submission.name for submission in now.unknown)
        warn(f"not cancelled, since nobody knows whether Slurm has it: {names}; look again soon")
    if done.names or not done.others:
        print_out(f"cancelled {' '.join(done.names)}" if done.names else NOTHING)
    for user, theirs in done.others.items():
        warn(
            f"not cancelled, since they are jobs of the user '{user}': {' '.join(theirs)}; "
            "expected that user, or an operator of Slurm, to cancel them"
        )
    return 2 if done.others else 0
