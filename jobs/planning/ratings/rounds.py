"""A round of ratings, from the drawing of its questions to the files of its packets."""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from empathy_core.annotation import Round, RoundDir, read_rounds, write_round
from empathy_core.annotation.asked import round_dimensions
from empathy_core.annotation.assignment import assigned, rater_names
from empathy_core.annotation.packets import (
    Deal,
    Packet,
    RatedQuestion,
    key,
    packets,
    text_digest,
)
from empathy_core.annotation.page import FirstPage
from empathy_core.annotation.round_items import SHOWN_ONCE
from empathy_core.annotation.rounds import read_key
from empathy_core.annotation.sampling import draw
from empathy_core.annotation.writing import new_secret, read_secret, write_packets
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.config.annotate import AnnotateTable
from jobs.config.asked_of_people import rubrics_asked
from jobs.planning.plan import Plan
from jobs.planning.ratings.rows import RatedRun, rated_run

_NOT_SHOWN = ("minutes_per_item", "exclude")
"""The settings that change no packet."""


@dataclass(frozen=True)
class ExportedRound:
    """A round with its packets on disk.

    Attributes:
        round: Its record.
        folder: Its paths.
        packets: What each rater gets.
        sample: ``SAMPLE``.
        questions: Example → what was drawn.
        new: Whether it was made now; otherwise it was there with the same settings.
    """

    round: Round
    folder: RoundDir
    packets: tuple[Packet, ...]
    sample: pl.DataFrame
    questions: Mapping[str, RatedQuestion]
    new: bool


def export_round(run: RunDir, plan: Plan, table: AnnotateTable) -> ExportedRound:
    """Return a round of ratings with these settings: the one that is there, or a new one.

    Raises:
        ConfigError: No helpline is named, or the run has too few questions; see ``rated_run``.
        Incomplete: Answers are missing.
        Damaged: A round that is there cannot be read.
    """
    require_helpline(table)
    rated = rated_run(run, plan, table)
    sample = draw(rated.candidates, table.questions, table.strata, table.seed)
    with run.lock():
        return _round_of(run, plan, table, rated, DrawnRound(sample))


def require_helpline(table: AnnotateTable) -> None:
    """Refuse to make packets without help that raters can turn to.

    Raises:
        ConfigError: None is named.
    """
    if not table.helpline.strip():
        msg = (
            "annotate.helpline is empty; expected what a rater who is distressed can turn to, with "
            'its number, e.g. helpline = "Samaritans, 116 123"; packets are not made without one'
        )
        raise ConfigError(msg)


@dataclass(frozen=True)
class DrawnRound:
    """What a round asks, and why.

    Attributes:
        sample: ``SAMPLE``.
        kind: Of ``Round``.
        of: Name of the round that it follows from.
        purposive: Examples that are rated besides those that were drawn.
        settings: What it was made with, besides ``[annotate]``.
    """

    sample: pl.DataFrame
    kind: str = "ratings"
    of: str = ""
    purposive: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def refinement_round(
    run: RunDir, plan: Plan, table: AnnotateTable, rated: RatedRun, drawn: DrawnRound
) -> ExportedRound:
    """Return the round of a sample that follows from another: the one that is there, or a new one.

    Raises:
        Damaged: A round that is there cannot be read.
    """
    with run.lock():
        return _round_of(run, plan, table, rated, drawn)


def _round_of(
    run: RunDir, plan: Plan, table: AnnotateTable, rated: RatedRun, drawn: DrawnRound
) -> ExportedRound:
    chosen = drawn.sample.filter("chosen")
    examples = [*chosen["example"].to_list(), *drawn.purposive]
    questions = rated.questions(examples, table.seed)
    wanted = Round(
        name="", kind=drawn.kind, of=drawn.of, conditions=tuple(c.id for c in rated.conditions),
        dimensions=round_dimensions(rubrics_asked(table)), raters=rater_names(table.raters),
        raters_per_item=table.raters_per_item, data=plan.data_digest, seed=table.seed,
        settings=shown_settings(table) | dict(drawn.settings),
    )  # fmt: skip
    there = _same(run, wanted, questions)
    about = there or _named(wanted, next_name(run))
    folder = RoundDir.of(run, about.name)
    if not there:  # what an export that was killed has left is of another secret
        shutil.rmtree(folder.packets, ignore_errors=True)
    clusters = drawn.sample.filter(pl.col("example").is_in(examples))["question"].to_list()
    deal = Deal(
        about.name, about.data, read_secret(folder) if there else new_secret(folder),
        table.repeats, table.attention, rated.foreign(clusters, table.seed),
        frozenset(drawn.purposive),
    )  # fmt: skip
    by_stratum = {
        name: rows["example"].to_list()
        for (name,), rows in chosen.group_by("stratum", maintain_order=True)
    } | ({"purposive": list(drawn.purposive)} if drawn.purposive else {})
    teams = assigned(
        by_stratum, about.raters, about.raters_per_item, table.seed, len(rated.conditions)
    )
    made = packets(questions, teams, about.raters, deal)
    write_packets(folder, made, list(rated.asked), first_page(table))
    if not there:
        write_round(run, about, drawn.sample, key(made))
    return ExportedRound(about, folder, tuple(made), drawn.sample, questions, new=not there)


def shown_settings(table: AnnotateTable) -> dict[str, Any]:
    """Return what of ``[annotate]`` a round records: all that changes a packet."""
    settings: dict[str, Any] = table.model_dump(mode="json")
    return {name: value for name, value in settings.items() if name not in _NOT_SHOWN}


def first_page(table: AnnotateTable) -> FirstPage:
    """Return what raters are told before they begin."""
    return FirstPage(
        helpline=table.helpline, consent=table.consent, contact=table.contact,
        may_train=table.may_train, crisis_per_sitting=table.crisis_per_sitting,
    )  # fmt: skip


def _named(of: Round, name: str) -> Round:
    return replace(of, name=name)


def next_name(run: RunDir) -> str:
    """Return what the next round is called; one that was never finished is made anew."""
    numbers = [int(n[1]) for name in read_rounds(run) if (n := re.fullmatch(r"round-(\d+)", name))]
    return f"round-{max(numbers, default=0) + 1:03d}"


def _same(run: RunDir, wanted: Round, questions: Mapping[str, RatedQuestion]) -> Round | None:
    """Return the round of these settings, whose answers are still those of the run."""
    for name, there in read_rounds(run).items():
        if there == _named(wanted, name):
            shown = read_key(RoundDir.of(run, name)).filter(pl.col("kind").is_in(SHOWN_ONCE))
            columns = ("condition", "example", "sample", "answer_sha256")
            if set(shown.select(columns).iter_rows()) == _digests(questions):
                return there
    return None


def _digests(questions: Mapping[str, RatedQuestion]) -> set[tuple[str, str, int, str]]:
    return {
        (a.condition, a.example, a.sample, text_digest(a.text))
        for question in questions.values()
        for a in question.answers
    }


def lacking_answers(exported: ExportedRound) -> dict[str, int]:
    """Return condition → drawn questions that it has no answer to; only where there are any."""
    there = Counter(a.condition for q in exported.questions.values() for a in q.answers)
    n = len(exported.questions)
    return {c: n - there[c] for c in exported.round.conditions if there[c] < n}


def answers_shared(made: Sequence[Packet]) -> dict[str, int]:
    """Return rater → answers that the rater with whom most are shared rates as well."""
    of = {
        packet.rater: {
            (i.answer.condition, p.question.example) for p in packet.pages for i in p.items
            if i.kind == "answer"
        }
        for packet in made
    }  # fmt: skip
    return {
        rater: max((len(mine & other) for name, other in of.items() if name != rater), default=0)
        for rater, mine in of.items()
    }
