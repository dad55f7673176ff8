"""What people and judges of a run said of its replies: severe faults, and ratings, by their text.

A reply is known by its question and its words, so that a therapist's answer that a run repeats as a
condition is told of wherever the same words are chosen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from empathy_core.best_of import FOUND
from empathy_core.data.cleaning import clean
from empathy_core.data.normal import normalised, question_digest
from empathy_core.rubrics.spec import Dimension
from empathy_core.store import RunDir
from empathy_core.training.preference.candidates import FoundPairs, PairCandidate
from jobs.planning.plan_file import last_plan
from jobs.planning.planned_metrics import metrics_of
from jobs.planning.progress import adapters_of, read_trained
from reports.numbers.judged_faults import RED, judged_faults, looks_for_faults
from reports.rows.collect import Collected, collect
from reports.rows.people import RatedAnswers, people_of
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

Reply = tuple[str, str]
"""Digest of the question, and the words of the reply in their normal form."""
_Answer = tuple[str, str, int]
"""Condition, example, sample."""


@dataclass(frozen=True, slots=True)
class SaidOfReplies:
    """What is known of replies.

    Attributes:
        flagged: Replies with a severe fault (Red): a judge finds it more probable than not, or any
            person found it and no adjudication says otherwise.
        people: Reply → dimension → people's value, the higher the better. Of answers that raters
            were given by chance.
    """

    flagged: frozenset[Reply] = frozenset()
    people: Mapping[Reply, Mapping[str, float]] = field(default_factory=dict)

    def marked(self, found: FoundPairs) -> FoundPairs:
        """Return pairs with what is known of their replies."""
        return replace(found, candidates=tuple(map(self._marked, found.candidates)))

    def _marked(self, one: PairCandidate) -> PairCandidate:
        chosen, rejected = (reply(one.context, text) for text in (one.chosen, one.rejected))
        of, other = self.people.get(chosen, {}), self.people.get(rejected, {})
        both = {name: (of[name], other[name]) for name in of if name in other}
        return replace(one, flagged=one.flagged or chosen in self.flagged, people=both)


def reply(context: str, text: str) -> Reply:
    """Return what a reply is known by; *text* need not be clean."""
    return question_digest(context), normalised(clean(text)[0])


def said_in(run: RunDir) -> SaidOfReplies:
    """Return what is known of all replies of a run, as far as it is there.

    Raises:
        Damaged: A round of ratings, or the rows, cannot be read.
    """
    if not run.plans():
        return SaidOfReplies()
    plan, _ = last_plan(run)
    computed = metrics_of(plan)
    asked = {key: of for key, of in computed.items() if looks_for_faults(of)}
    asked |= people_of(run, computed)
    if not asked:
        return SaidOfReplies()
    adapters = adapters_of(plan, read_trained(run, plan))
    spec = ReportSpec(
        conditions=plan.conditions,
        metrics=asked,
        data_digest=plan.data_digest,
        adapters=adapters,
    )
    return said_of_replies(collect(run, spec, partial=True), spec)


def said_of_replies(collected: Collected, spec: ReportSpec) -> SaidOfReplies:
    """Return what is known of the replies that were read."""
    flagged = {*_judged(collected, spec), *_flagged_by_people(collected.people)}
    values = dict(_values(collected.people))
    if not flagged and not values:
        return SaidOfReplies()
    known = _replies(collected, spec, {*flagged, *values})
    people: dict[Reply, dict[str, list[float]]] = {}
    for answer, of in values.items():
        for dimension, value in of.items() if answer in known else ():
            people.setdefault(known[answer], {}).setdefault(dimension, []).append(value)
    return SaidOfReplies(
        frozenset(known[answer] for answer in flagged if answer in known),
        {of: {d: sum(v) / len(v) for d, v in by.items()} for of, by in people.items()},
    )


def _judged(collected: Collected, spec: ReportSpec) -> Iterator[_Answer]:
    for judge in judged_faults(collected, spec):
        for condition, answers in judge.red.items():
            yield from ((condition, *answer) for answer in answers)


def _flagged_by_people(said: RatedAnswers | None) -> Iterator[_Answer]:
    """Yield the answers in which anybody found a severe fault; an adjudication has the last word.

    Tables call a fault confirmed where half of the raters find it. Here one is enough: a reply that
    is taught costs more than one that is lost.
    """
    for rubric, dimension in _dimensions(said):
        if said is None or dimension.severity != RED:
            continue
        found = pl.when("adjudicated").then(pl.col("value") >= FOUND).otherwise(
            pl.col("ratings").list.max() >= FOUND
        )  # fmt: skip
        yield from said.of(rubric, dimension.name).filter(found).select("condition", *KEY).rows()


def _values(said: RatedAnswers | None) -> Iterator[tuple[_Answer, Mapping[str, float]]]:
    """Yield answers and people's value on each dimension that says what is better."""
    found: dict[_Answer, dict[str, float]] = {}
    for rubric, dimension in _dimensions(said):
        if said is None or dimension.severity is not None or dimension.direction is None:
            continue
        sign = 1 if dimension.direction == "higher" else -1
        rows = said.of(rubric, dimension.name).filter("drawn", pl.col("value").is_not_null())
        for *answer, value in rows.select("condition", *KEY, "value").iter_rows():
            found.setdefault(tuple(answer), {})[f"{rubric}.{dimension.name}"] = sign * value
    yield from found.items()


def _dimensions(said: RatedAnswers | None) -> list[tuple[str, Dimension]]:
    if said is None:
        return []
    return [(rubric, of.dimensions[0]) for (rubric, _), of in said.instruments.items()]


def _replies(collected: Collected, spec: ReportSpec, answers: set[_Answer]) -> dict[_Answer, Reply]:
    """Return each of some answers → its question and words."""
    contexts = dict(collected.examples.select("id", "context").iter_rows())
    found: dict[_Answer, Reply] = {}
    for condition in spec.conditions:
        wanted = sorted({example for c, example, _ in answers if c == condition.id})
        if not wanted:
            continue
        rows = collected.texts(condition.id, wanted).select(*KEY, "text")
        for example, sample, text in rows.iter_rows():
            found[condition.id, example, sample] = reply(contexts[example], text)
    return found
