"""Pairs of scored answers: of two answers to a question the better one is chosen. Pure.

Two answers are compared by what a column says of each, or by what a judge said of both together, in
either order. Where they differ by less than the margin, or something is missing, there is no pair,
and the reason is counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from empathy_core.training.preference.candidates import PairCandidate
from empathy_core.training.preference.pairs import CLOSE, UNLIKE_ORDERS

_ROUNDING = 1e-9
"""What a difference may be less than the margin: 4.2 - 3.2 is less than 1 in floating point."""


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """What two answers are to.

    Attributes:
        licence: Of its source, as stated; empty if unknown.
        tested: Whether the run keeps it for testing.
    """

    context: str
    source: str
    licence: str
    tested: bool


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """One answer.

    Attributes:
        by: Its condition and sample.
        text: Clean.
        licence: Of the model that wrote it, as stated; empty if unknown; null if a person did.
        cut: Whether the model was stopped at its token limit.
    """

    by: str
    text: str
    licence: str | None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ComparedReplies:
    """Two answers to a question.

    Attributes:
        scores: Of both, as the column has them.
        differences: By how much the first is better than the second, the higher the better: of
            scores one, of a comparison one for each order. Empty where something is missing.
        missing: What is missing; empty where nothing is.
    """

    question: AnsweredQuestion
    first: WrittenReply
    second: WrittenReply
    scores: tuple[float, float] | None
    differences: tuple[float, ...]
    missing: str = ""

    @property
    def distance(self) -> float:
        """By how much they differ in the order in which they do least; 0 if orders disagree."""
        if min(self.differences) < 0 < max(self.differences):
            return 0.0
        return min(map(abs, self.differences))


@dataclass(frozen=True, slots=True)
class JudgedReplies:
    """What became of compared replies.

    Attributes:
        left_out: Reason → how many.
        differences: Of all that nothing is missing of.
    """

    candidates: tuple[PairCandidate, ...]
    left_out: Mapping[str, int]
    differences: tuple[float, ...]


def as_candidates(compared: Iterable[ComparedReplies], margin: float) -> JudgedReplies:
    """Return the pairs whose replies differ by *margin* or more, and why there are no others."""
    left_out: Counter[str] = Counter()
    found, differences = [], []
    for both in compared:
        if both.missing:
            left_out[both.missing] += 1
            continue
        differences.append(both.distance)
        if min(both.differences) < 0 < max(both.differences):
            left_out[UNLIKE_ORDERS] += 1
        elif both.distance < margin - _ROUNDING:
            left_out[CLOSE] += 1
        else:
            found.append(_candidate(both))
    return JudgedReplies(tuple(found), left_out, tuple(differences))


def _candidate(both: ComparedReplies) -> PairCandidate:
    sides, scores = (both.first, both.second), both.scores or (0.0, 0.0)
    if both.differences[0] < 0:
        sides, scores = sides[::-1], scores[::-1]
    chosen, rejected = sides
    question = both.question
    return PairCandidate(
        question.context, chosen.text, rejected.text, question.source, question.licence,
        of_models=tuple(_licences(sides)), tested=question.tested,
        chosen_by=chosen.by, rejected_by=rejected.by, scores=scores,
        cut=(chosen.cut, rejected.cut),
    )  # fmt: skip


def _licences(sides: Iterable[WrittenReply]) -> Iterator[str]:
    """Yield the licences of models; what a person wrote is under that of the question's source."""
    yield from (one.licence for one in sides if one.licence is not None)
