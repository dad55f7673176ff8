"""``annotate refine``: which questions and prompts reveal gaps, and the next round of ratings."""

import json
from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotateRefineOptions(RunOptions):
    """Rank questions and prompts by what ratings show, and make packets of the next round.

    Low, disputed, or far from the judges: these come first, with the reason. The next round draws
    all questions by known chances, those with the largest gaps more often, so that its own ratings
    still estimate the mean over all questions. With --also, questions with the largest gaps are
    added that were not drawn; they are marked, and no estimate uses them.
    """

    round: Annotated[str | None, Option("round that it follows from; the newest if absent")] = None
    questions: Annotated[
        int | None, Option("questions of the next round; as [annotate] says if absent", "N")
    ] = None
    times: Annotated[float, Option("how much more often questions with gaps are drawn")] = 3.0
    also: Annotated[int, Option("questions with the largest gaps that are added undrawn", "N")] = 0
    shown: Annotated[int, Option("lines of each list", "N")] = 10
    dry_run: Annotated[bool, Option("only the lists; make no packets")] = False


def refine(options: AnnotateRefineOptions) -> int:
    """Print the lists, and make the next round.

    Raises:
        ConfigError: There is no such run or round, nothing is rated, or an option is wrong.
        Incomplete: Answers are missing.
        Damaged: A file of a round cannot be read.
    """
    from jobs.commands.console import print_out
    from jobs.commands.views.judge_scores import judge_scores
    from jobs.commands.views.rating import rating_settings
    from jobs.commands.views.rating_rounds_shown import next_round_record, next_round_text
    from jobs.planning.ratings.next_round import NextRoundOptions, next_round
    from jobs.planning.ratings.returned import rated_round

    settings = rating_settings(options)
    of = rated_round(settings.run, options.round)
    how = NextRoundOptions(options.questions, options.times, options.also, options.dry_run)
    judged = judge_scores(settings.run, settings.plan)
    found = next_round(settings.run, settings.plan, settings.table, of, how, judged)
    if options.json:
        print_out(json.dumps(next_round_record(found), indent=1))
    else:
        print_out(next_round_text(settings.run, settings.plan, of.of, found, options.shown))
    return 0
