"""``logs``: what array tasks wrote."""

from dataclasses import dataclass

from jobs.commands.options import LogOptions


@dataclass(frozen=True, kw_only=True)
class LogsOptions(LogOptions):
    """Print the logs of a task, a condition or a model on Slurm, or of all that failed."""


def logs(options: LogsOptions) -> int:
    """Print the logs of a task, a condition, a model, or of everything that failed.

    Raises:
        ConfigError: Nothing is named.
        UnknownName: The run has nothing of that name.
    """
    from jobs.commands.console import existing, print_out
    from jobs.commands.views import array_tasks
    from jobs.executors.slurm import inspect as inspection

    run = existing(options)
    for array_task in array_tasks.named(run, options.what, failed=options.failed)[0]:
        tasks = ", ".join(task.id for task in array_task.tasks)
        print_out(f"==> {tasks} ({array_task.id}) {array_task.log}")
        lines = inspection.read_log(array_task.log).splitlines()
        print_out("\n".join(lines[-options.lines :] if options.lines else lines) or "(no log)")
    return 0
