"""A packet with the flags on which raters differ, for somebody else who settles them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation import Round, RoundDir, read_rounds, write_round
from empathy_core.annotation.packets import (
    Deal,
    Packet,
    PacketPage,
    RatedAnswer,
    RatedQuestion,
    key,
    text_digest,
)
from empathy_core.annotation.round_items import ASKED_OF, ScaleName
from empathy_core.annotation.rounds import read_round_ratings, read_sample
from empathy_core.annotation.settled import ANSWER, disputes
from empathy_core.annotation.writing import new_secret, write_packets
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan
from jobs.planning.ratings.returned import OpenRound
from jobs.planning.ratings.rounds import (
    first_page,
    next_name,
    require_helpline,
    shown_settings,
)
from jobs.planning.ratings.rows import RatedRun, rated_run


@dataclass(frozen=True, slots=True)
class AdjudicatedRound:
    """What is to be settled, and by whom.

    Attributes:
        disputes: ``DISPUTES`` of the round, settled ones left out.
        waiting: Rounds that ask some of them already and are not answered.
        made: The new round; null if nothing is left for one.
        packet: Of the new round.
        changed: Disputed answers whose text is not in the run any more, so that nobody can be
            asked about them.
    """

    disputes: pl.DataFrame
    waiting: tuple[Round, ...]
    made: Round | None
    packet: Packet | None
    changed: int


def adjudication_round(
    run: RunDir, plan: Plan, table: AnnotateTable, of: OpenRound
) -> AdjudicatedRound:
    """Make a round with the flags of *of* on which raters differ, for one more rater.

    Raises:
        ConfigError: No helpline is named, or *of* is itself such a round.
        Incomplete: Answers are missing.
        Damaged: A file of a round cannot be read.
    """
    require_helpline(table)
    if of.of.kind == "adjudication":
        msg = (
            f"{of.of.name} settles flags itself; expected a round that people rated; name one of "
            "those with --round"
        )
        raise ConfigError(msg)
    rounds = {name: r for name, r in read_rounds(run).items()
              if r.kind == "adjudication" and r.of == of.of.name}  # fmt: skip
    folders = [of.folder, *(RoundDir.of(run, name) for name in rounds)]
    ratings = pl.concat(read_round_ratings(folder) for folder in folders)
    found = disputes(ratings, of.asked.scales, tuple(rounds))
    waiting = {name: r for name, r in rounds.items()
               if ratings.filter(pl.col("round") == name).is_empty()}  # fmt: skip
    left = _not_asked(found, [r.settings["disputed"] for r in waiting.values()])
    if left.is_empty():
        return AdjudicatedRound(found, tuple(waiting.values()), None, None, 0)
    with run.lock():
        made, packet, changed = _made(run, plan, table, of, left)
    return AdjudicatedRound(found, tuple(waiting.values()), made, packet, changed)


_DISPUTE = ("condition", "example", "sample", "rubric", "dimension")


def _not_asked(found: pl.DataFrame, asked: Sequence[Sequence[Sequence[object]]]) -> pl.DataFrame:
    """Return disputes that no packet asks yet."""
    there = {tuple(one) for of_round in asked for one in of_round}
    keep = [row not in there for row in found.select(_DISPUTE).iter_rows()]
    return found.filter(pl.Series(keep, dtype=pl.Boolean))


def _made(
    run: RunDir, plan: Plan, table: AnnotateTable, of: OpenRound, left: pl.DataFrame
) -> tuple[Round | None, Packet | None, int]:
    """Write the round, and return it, its packet, and how many answers are not what they were."""
    rated = rated_run(run, plan, table)
    answers = _answers(rated, left)
    changed = left.select(ANSWER).n_unique() - len(answers)
    if not answers:
        return None, None, changed
    name, rater = next_name(run), _next_rater(read_rounds(run))
    folder = RoundDir.of(run, name)
    deal = Deal(name, plan.data_digest, new_secret(folder), 0, 0)
    packet = _packet(rated, of, left, answers, (rater, deal))
    scales = {scale for page in packet.pages for scale in page.only or ()}
    dimensions = tuple(d for d in of.of.dimensions if (d[0], d[1]) in scales)
    sample = read_sample(of.folder).with_columns(
        chosen=pl.col("example").is_in(sorted({a.example for a in answers.values()}))
    )
    asked_of = {item.id: sorted(page.only or ()) for page in packet.pages for item in page.items}
    made = Round(
        name=name, kind="adjudication", of=of.of.name, conditions=of.of.conditions,
        dimensions=dimensions, raters=(rater,), raters_per_item=1, data=plan.data_digest,
        seed=table.seed,
        settings=shown_settings(table) | {
            "rubrics": of.of.settings["rubrics"],
            ASKED_OF: asked_of,
            "disputed": [list(row) for row in left.select(_DISPUTE).iter_rows()],
        },
    )  # fmt: skip
    asked = [one for one in rated.asked if (one.rubric.name, one.dimension.name) in scales]
    write_packets(folder, [packet], asked, first_page(table))
    write_round(run, made, sample, key([packet]))
    return made, packet, changed


def _next_rater(rounds: Mapping[str, Round]) -> str:
    """Return the pseudonym of somebody who has rated nothing yet."""
    known = [rater for of in rounds.values() for rater in of.raters]
    numbers = [int(found[1]) for rater in known if (found := re.fullmatch(r"R(\d+)", rater))]
    return f"R{max(numbers, default=0) + 1:02d}"


_AnswerName = tuple[str, str, int]
"""Condition, example, sample."""


def _answers(rated: RatedRun, left: pl.DataFrame) -> dict[_AnswerName, RatedAnswer]:
    """Return the disputed answers whose text is still that which raters read."""
    found = {}
    for (condition,), rows in left.group_by("condition", maintain_order=True):
        texts = rated.collected.texts(str(condition), rows["example"].unique().to_list())
        text_of = {(e, s): t for e, s, t in texts.select("example", "sample", "text").iter_rows()}
        for _, example, sample, digest in rows.select(ANSWER).unique().iter_rows():
            text = text_of.get((example, sample))
            if text is not None and text_digest(text) == digest:
                name = (str(condition), example, sample)
                found[name] = RatedAnswer(*name, text)
    return found


def _packet(
    rated: RatedRun,
    of: OpenRound,
    left: pl.DataFrame,
    answers: Mapping[_AnswerName, RatedAnswer],
    by: tuple[str, Deal],
) -> Packet:
    """Return the packet: a page for each question and set of disputed flags, in a keyed order."""
    rater, deal = by
    tier_of = dict(read_sample(of.folder).select("example", "tier").iter_rows())
    disputed: dict[_AnswerName, set[ScaleName]] = {}
    for condition, example, sample, rubric, dimension in left.select(_DISPUTE).iter_rows():
        disputed.setdefault((condition, example, sample), set()).add((rubric, dimension))
    pages: dict[tuple[str, frozenset[ScaleName]], list[RatedAnswer]] = {}
    for name in sorted(answers):
        pages.setdefault((name[1], frozenset(disputed[name])), []).append(answers[name])
    rng, made = deal.rng(rater), []
    for (example, only), several in pages.items():
        tier = tier_of[example] or ""
        question = RatedQuestion(example, rated.contexts[example], tier, tuple(several))
        items = [deal.item(rater, "answer", answer, example) for answer in several]
        rng.shuffle(items)
        made.append(PacketPage(question, tuple(items), only))
    rng.shuffle(made)
    return Packet(deal.code("packet", rater), rater, tuple(made))
