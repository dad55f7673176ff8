"""``status``: one screen about a run."""

import time
from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions

LOOKS_S = (10, 60)
"""Least and longest time between two looks at the queue, in seconds: a query of squeue each."""


@dataclass(frozen=True, kw_only=True)
class StatusOptions(RunOptions):
    """Show what of a run is done, running, queued and failed.

    From the run's files, and from one query of squeue; without Slurm, from the files alone.
    """

    watch: Annotated[
        bool,
        Option(
            f"look again until the queue is empty: after {LOOKS_S[0]} s, and after up to "
            f"{LOOKS_S[1]} s while nothing changes"
        ),
    ] = False


def status(options: StatusOptions) -> int:
    """Show what is done, running, queued and failed.

    Raises:
        ConfigError: There is no such run.
    """
    from jobs.commands.console import existing, print_out
    from jobs.commands.views.run_screen import screen
    from jobs.executors.slurm.inspect import AccountingLooks

    run, accounting = existing(options), AccountingLooks()
    pause, before = LOOKS_S[0], ""
    while True:
        text, over = screen(run, as_json=options.json, accounting=accounting)
        if options.watch:
            print_out(
                "\033[2J\033[H" + time.strftime("%H:%M:%S UTC", time.gmtime())
            )  # clear the screen
        print_out(text)
        if not options.watch or over:
            return 0
        pause = longer(pause) if text == before else LOOKS_S[0]
        before = text
        time.sleep(pause)


def longer(pause_s: int) -> int:
    """Return the next pause while nothing changes, in seconds."""
    return min(pause_s * 3 // 2, LOOKS_S[1])
