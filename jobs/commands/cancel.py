"""``cancel``: take what of a run is in Slurm's queue out of it."""

from dataclasses import dataclass

from jobs.commands.options import TaskOptions


@dataclass(frozen=True, kw_only=True)
class CancelOptions(TaskOptions):
    """Cancel what of a run is in Slurm's queue: everything, or one task, condition or model."""


def cancel(options: CancelOptions) -> int:
    """Cancel a run's array tasks in the queue: all, or those of a task, condition or model.

    Raises:
        ClusterError: Slurm does not answer, or refuses.
        UnknownName: The run has nothing of that name.
    """
    from jobs.commands.console import existing, print_out
    from jobs.commands.submission import reached
    from jobs.executors.slurm import inspect as inspection
    from jobs.executors.slurm.submit import ClusterError
    from jobs.planning.plan_file import last_plan
    from jobs.planning.shown_commands import command
    from slurm import queue
    from slurm.queue import SlurmError

    run = existing(options)
    now = reached(run)
    if options.what:
        plan, _ = last_plan(run)
        wanted = inspection.chosen(options.what, plan, inspection.inspect(run))
        names = [e.id for e in wanted if e.state is not None]
    else:
        names = now.every_job()
    try:
        queue.cancel(names)
    except SlurmError as error:
        msg = f"Slurm: {error}; see what is in the queue with\n  {command(run, 'status')}"
        raise ClusterError(msg) from error
    print_out(f"cancelled {' '.join(names)}" if names else "nothing of this run is in the queue")
    return 0
