"""``logs``: what tasks wrote."""

from dataclasses import dataclass

from jobs.commands.options import LogOptions


@dataclass(frozen=True, kw_only=True)
class LogsOptions(LogOptions):
    """Print the logs of a task, a condition or a model, or of all that failed."""


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
    found = array_tasks.named(run, options.what, failed=options.failed)
    wrote = [(", ".join(t.id for t in e.tasks) + f" ({e.id})", e.log) for e in found.on_slurm]
    wrote += [(task.id, task.log) for task in found.here]
    for title, log in wrote:
        print_out(f"==> {title} {log}")
        lines = inspection.read_log(log).splitlines()
        print_out("\n".join(lines[-options.lines :] if options.lines else lines) or "(no log)")
    if not wrote:
        print_out(found.nothing)
    return 0
