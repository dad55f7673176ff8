"""``status``: one screen about a run."""

import time
from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions

WATCH_S = 10
"""Between two looks of ``--watch``, in seconds: one query of squeue each."""


@dataclass(frozen=True, kw_only=True)
class StatusOptions(RunOptions):
    """Show what of a run is done, running, queued and failed.

    From the run's files, and from one query of squeue; without Slurm, from the files alone.
    """

    watch: Annotated[bool, Option(f"look again every {WATCH_S} s until the queue is empty")] = False


def status(options: StatusOptions) -> int:
    """Show what is done, running, queued and failed.

    Raises:
        ConfigError: There is no such run.
    """
    from jobs.commands.console import existing, print_out
    from jobs.commands.views.run_screen import screen

    run = existing(options)
    while True:
        text, over = screen(run, as_json=options.json)
        if options.watch:
            print_out("\033[2J\033[H" + time.strftime("%H:%M:%S"))  # clear the screen
        print_out(text)
        if not options.watch or over:
            return 0
        time.sleep(WATCH_S)
