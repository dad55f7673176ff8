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
    --efficiency shows instead what array tasks used of what they were given, and what would fit.
    """

    watch: Annotated[
        bool,
        Option(
            f"look again until the queue is empty: after {LOOKS_S[0]} s, and after up to "
            f"{LOOKS_S[1]} s while nothing changes"
        ),
    ] = False
    model: Annotated[
        tuple[str, ...],
        Option("only of this model; may be given several times. Scoring belongs to none", "NAME"),
    ] = ()
    stage: Annotated[
        tuple[str, ...], Option("only of this stage; may be given several times", "NAME")
    ] = ()
    efficiency: Annotated[
        bool,
        Option(
            "instead, memory, time, processors and GPUs used against what was asked for, GPU-hours "
            "used and wasted, and the lines of a configuration that would fit"
        ),
    ] = False


def status(options: StatusOptions) -> int:
    """Show what is done, running, queued and failed.

    Raises:
        ConfigError: There is no such run, or it has no such model or stage.
    """
    from jobs.commands.console import existing, print_out

    run = existing(options)
    if options.efficiency:
        from jobs.commands.views import efficiency

        shown = efficiency.screen(run, options.model, options.stage, as_json=options.json)
        print_out(shown)
        return 0
    from jobs.executors.slurm.inspect import AccountingLooks, begin_look

    pause, before, accounting = LOOKS_S[0], "", AccountingLooks()
    while True:
        look = begin_look(run)  # Slurm answers while this imports what shows the answer
        from jobs.commands.views.run_screen import screen

        text, over = screen(
            run, look, options.model, options.stage, as_json=options.json, accounting=accounting
        )
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
