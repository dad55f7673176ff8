"""``annotate plan``: how much people must rate to see a difference."""

from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotatePlanOptions(RunOptions):
    """Say how many questions people must rate to see a difference between two conditions.

    For a chance of 80 % to find it with a two-sided test at 5 %. How much differences vary between
    questions is taken from ratings that the run has, else from a judge's, else from a public data
    set; the plan says from which. It also says what a judge could save, never more than half, and
    how many replies and minutes that is for each rater of [annotate]. It writes nothing.
    """

    difference: Annotated[
        float | None,
        Option(
            "difference that matters, in points of the scale; three of them if absent", "POINTS"
        ),
    ] = None


def plan(options: AnnotatePlanOptions) -> int:
    """Print how much people must rate.

    Raises:
        ConfigError: There is no such run, or the difference is not above 0.
    """
    import json

    from empathy_core.errors import ConfigError
    from jobs.commands.console import print_out
    from jobs.commands.views.rating import rating_settings
    from jobs.commands.views.rating_plan import record, text
    from jobs.planning.ratings.needed import rating_plan

    if options.difference is not None and not options.difference > 0:
        msg = (
            f"--difference {options.difference:g} is no difference to be found; expected points of "
            "the scale above 0, such as 0.2"
        )
        raise ConfigError(msg)
    settings = rating_settings(options)
    found = rating_plan(settings.run, settings.plan, settings.table)
    if options.json:
        print_out(json.dumps(record(found, options.difference), indent=1, ensure_ascii=False))
    else:
        print_out(text(found, options.difference))
    return 0
