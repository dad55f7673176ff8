"""``annotate refine``: which questions and prompts reveal gaps, and the next round of ratings."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotateRefineOptions(RunOptions):
    """Rank questions and prompts by what ratings show, and make packets of the next round.

    Low, disputed, or far from the judges: these come first, with the reason. The next round draws
    all questions by known chances, those with the largest gaps more often, so that its own ratings
    still estimate the mean over all questions. With --also, questions with the largest gaps are
    added that were not drawn; they are marked, and no estimate uses them. Above the lists stand
    the first questions with each reply, what people gave it, and what judges did.
    """

    round: Annotated[str | None, Option("round that it follows from; the newest if absent")] = None
    questions: Annotated[
        int | None, Option("questions of the next round; as [annotate] says if absent", "N")
    ] = None
    times: Annotated[float, Option("how much more often questions with gaps are drawn")] = 3.0
    also: Annotated[int, Option("questions with the largest gaps that are added undrawn", "N")] = 0
    shown: Annotated[int, Option("lines of each list", "N")] = 10
    texts: Annotated[
        int, Option("questions of the list that are shown with their replies and ratings", "N")
    ] = 3
    dry_run: Annotated[bool, Option("only the lists; make no packets")] = False


def refine(options: AnnotateRefineOptions) -> int:
    """Print the lists, and make the next round.

    Raises:
        ConfigError: There is no such run or round, nothing is rated, or an option is wrong.
        Incomplete: Answers are missing.
        Damaged: A file of a round cannot be read.
    """
    from empathy_core.annotation.rounds import read_round_ratings
    from jobs.commands.console import print_out
    from jobs.commands.views.gaps_shown import gaps_text
    from jobs.commands.views.judge_scores import judge_scores
    from jobs.commands.views.rating import rating_settings
    from jobs.commands.views.rating_rounds_shown import next_round_record, next_round_text
    from jobs.planning.ratings.next_round import NextRoundOptions, next_round
    from jobs.planning.ratings.replies_with_gaps import questions_with_gaps
    from jobs.planning.ratings.returned import rated_round

    settings = rating_settings(options)
    of = rated_round(settings.run, options.round)
    how = NextRoundOptions(options.questions, options.times, options.also, options.dry_run)
    judged = judge_scores(settings.run, settings.plan)
    found = next_round(settings.run, settings.plan, settings.table, of, how, judged)
    first = found.questions["name"].head(max(0, options.texts)).to_list()
    ratings = read_round_ratings(of.folder)
    read = questions_with_gaps(settings.run, settings.plan, first, ratings, judged)
    if options.json:
        record = next_round_record(found) | {"read": [asdict(one) for one in read]}
        print_out(json.dumps(record, indent=1, ensure_ascii=False))
    else:
        print_out(gaps_text(settings.plan, of.asked.scales, read))
        print_out(next_round_text(settings.run, settings.plan, of.of, found, options.shown))
    return 0
