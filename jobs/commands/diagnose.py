"""``diagnose``: why answers of a condition are broken."""

from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Argument, Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class DiagnoseOptions(RunOptions):
    """Answer broken rows of a condition again, step by step, and name the cause.

    WHAT is a condition's id, or a part of it that no other has. Broken rows come first: empty,
    special tokens, echo, repetition, noise, cut at the limit. Loads the model. Also writes
    diagnosis/<condition>.html in the run.
    """

    what: Annotated[str, Argument("condition, or a unique part of its id", "WHAT")]
    rows: Annotated[int, Option("at most N rows", "N")] = 5
    example: Annotated[tuple[str, ...], Option("this row; may be given several times", "ID")] = ()
    steps: Annotated[int, Option("steps of each row", "N")] = 12
    top: Annotated[int, Option("most probable tokens of each step", "K")] = 5


def diagnose(options: DiagnoseOptions) -> int:
    """Answer rows again, show what the model held for probable, and name the cause.

    Raises:
        ConfigError: No condition, or several, are called so; it has no weights; an example is
            not among its answers.
        Incomplete: It has no answers yet.
    """
    from jobs.commands.console import existing, print_out, relative
    from jobs.commands.views.diagnosis import LookedAt, diagnosed

    run = existing(options)
    limits = LookedAt(options.rows, options.steps, options.top)
    text, page = diagnosed(run, options.what, options.example, limits, as_json=options.json)
    print_out(text)
    if not options.json:
        print_out(f"\npage: {relative(page)}")
    return 0
