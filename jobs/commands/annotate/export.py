"""``annotate export``: packets for people who rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.commands.options import RunOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from jobs.commands.views.rating import RatingSettings
    from jobs.planning.ratings.rounds import ExportedRound


@dataclass(frozen=True, kw_only=True)
class AnnotateExportOptions(RunOptions):
    """Make the packets of a round: a file for each rater, which works offline.

    [annotate] says what is asked, of how many questions, and by whom. Questions are drawn within
    sources and crisis tiers; all compared conditions answer each of them. In runs/NAME/annotation/
    ROUND/packets/R01/ lies packet.html, which needs no network and saves in the browser, and the
    same packet as a sheet and for Label Studio, Potato and Qualtrics. Which condition wrote an
    answer stands only in key.parquet, which stays in the run. The same settings again change
    nothing; other settings make a new round. Refused without a helpline, where the licence of a
    source is not known, and while answers are missing.
    """


def export(options: AnnotateExportOptions) -> int:
    """Draw questions and write a packet for each rater.

    Raises:
        ConfigError: There is no such run, or ``[annotate]`` cannot be followed.
        Incomplete: Answers are missing.
    """
    from jobs.commands.console import print_out, relative, warn_all
    from jobs.commands.views.rating import rating_settings
    from jobs.planning.ratings.rounds import export_round
    from jobs.planning.ratings.rows import licence_notes

    settings = rating_settings(options)
    notes = licence_notes(settings.run, settings.licences)
    exported = export_round(settings.run, settings.plan, settings.table)
    if options.json:
        import json

        print_out(json.dumps(_record(exported, settings), indent=1, ensure_ascii=False))
        return 0
    state = "made" if exported.new else "there already, with these settings"
    print_out(f"{exported.round.name}: {state}, in {relative(exported.folder.root)}")
    for line in _lines(exported, settings):
        print_out(line)
    warn_all(f"note: {note}" for note in [*notes, *_notes(exported, settings)])
    return 0


def _record(exported: "ExportedRound", settings: "RatingSettings") -> dict[str, object]:
    from empathy_core.annotation.writing import PAGE

    return {
        "round": exported.round.name,
        "new": exported.new,
        "folder": str(exported.folder.root),
        "packets": [
            {
                "rater": packet.rater,
                "packet": packet.id,
                "page": str(exported.folder.packet(packet.rater) / PAGE),
                "items": packet.n_items,
                "at_risk": packet.n_at_risk,
                "minutes": round(packet.n_items * settings.table.minutes_per_item),
            }
            for packet in exported.packets
        ],
    }


def _lines(exported: "ExportedRound", settings: "RatingSettings") -> Iterator[str]:
    from empathy_core.annotation.sampling import chances_by_stratum
    from empathy_core.counted import counted
    from jobs.commands.console import relative

    n = len(exported.questions)
    asked = counted(len(exported.round.dimensions), "question")
    conditions = counted(len(exported.round.conditions), "condition")
    yield f"  {counted(n, 'message')}, {conditions}, {asked} about each reply"
    yield "  drawn within each source and crisis tier; with + where one alone has too few:"
    for stratum, (drawn, there) in chances_by_stratum(exported.sample).items():
        yield f"    {stratum}: {drawn:,} of {there:,}"
    for packet in exported.packets:
        minutes = round(packet.n_items * settings.table.minutes_per_item)
        risk = f", {packet.n_at_risk} to people at risk" if packet.n_at_risk else ""
        where = relative(exported.folder.packet(packet.rater))
        yield (
            f"  {packet.rater}: {counted(packet.n_items, 'reply', 'replies')}{risk}, "
            f"about {counted(minutes, 'minute')}: {where}"
        )


def _notes(exported: "ExportedRound", settings: "RatingSettings") -> Iterator[str]:
    from empathy_core.annotation.assignment import SHARED_ITEMS
    from empathy_core.counted import counted
    from jobs.planning.ratings.rounds import answers_shared, lacking_answers

    if not settings.table.consent:
        yield "annotate.consent is empty: the first page asks for no consent"
    for condition, n in lacking_answers(exported).items():
        yield f"{condition} has no answer to {counted(n, 'drawn message')}"
    few = {r: n for r, n in answers_shared(exported.packets).items() if n < SHARED_ITEMS}
    if few:
        yield (
            f"{', '.join(few)} share fewer than {SHARED_ITEMS} replies with any other rater, too "
            "few to tell how severe they are: raise annotate.questions or lower annotate.raters"
        )
    if not any(packet.n_of("repeat") for packet in exported.packets):
        yield "nothing comes a second time: there are too few messages, or all are about suicide"
    yield f"nobody who rates may read {exported.folder.key.name}: it says who wrote what"
