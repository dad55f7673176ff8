"""``annotate adjudicate``: a packet with the flags on which raters differ."""

import json
from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotateAdjudicateOptions(RunOptions):
    """Make a packet for one more rater, who settles the flags on which raters differ.

    Flags are faults and questions of yes and no. The packet asks only what is disputed. Original
    ratings stay as they are: agreement is computed from them, and only where one value an answer is
    needed does the settled one count. Import the packet's result as any other.
    """

    round: Annotated[str | None, Option("round whose flags are settled; the newest if absent")] = (
        None
    )


def adjudicate(options: AnnotateAdjudicateOptions) -> int:
    """Make the packet of what is disputed, and say where it is.

    Raises:
        ConfigError: There is no such run or round, or no helpline is named.
        Incomplete: Answers are missing.
        Damaged: A file of a round cannot be read.
    """
    from jobs.commands.console import print_out
    from jobs.commands.views.rating import rating_settings
    from jobs.commands.views.rating_rounds_shown import adjudication_record, adjudication_text
    from jobs.planning.ratings.adjudication import adjudication_round
    from jobs.planning.ratings.returned import rated_round

    settings = rating_settings(options)
    of = rated_round(settings.run, options.round)
    found = adjudication_round(settings.run, settings.plan, settings.table, of)
    if options.json:
        print_out(json.dumps(adjudication_record(settings.run, found), indent=1))
    else:
        print_out(adjudication_text(settings.run, of.of, found))
    return 0
