"""What a user says of preference pairs. Values only."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field

from empathy_core.bounds import Above0, NotNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Where pairs come from, and which of them are kept.

    Attributes:
        path: Of ``file``: a CSV, TSV, JSON, JSONL or parquet file of pairs. Of ``therapist``: such
            a file of a model's answers, or the folder of a run that has generated them. Of
            ``scores``: the folder of a run whose answers have been scored or rated.
        made_from: ``file``: each row is a question and two replies, of which one is preferred.
            ``therapist``: the reference answers of the run's own training and validation rows
            are preferred to a model's answers to the same questions; that people prefer them is
            assumed, and said wherever the pairs are told of. ``scores``: of two answers of a run
            to the same question, the one with the better score in ``column`` is preferred.
        column: Of ``scores``: key of a column of that run, as its ``results.csv`` has it: a
            judge's, people's (``human_…``), a comparison's, or any other metric's.
        margin: Of ``scores``: least difference of the two scores, in units of the score (what is
            printed in percent goes from 0 to 1); of a comparison, of the two replies' probabilities
            of being preferred, in either order.
        conditions: Of ``scores``: conditions of that run whose answers are compared, each an id,
            ``model.prompt`` or a model; none means all. Samples of one condition are compared with
            each other, too.
        least_raters: Of ``scores`` of people: each answer needs the ratings of so many, or an
            adjudication.
        least_mass: Of ``scores`` of a judge whose probabilities are read: least share of its
            probability that the labels must have; null means what the judge required.
        per_question: Pairs of a question that are kept at most, those with the largest difference
            of scores first; null means all.
        context: Column with the question.
        chosen: Column with the preferred reply; of ``file`` alone.
        rejected: Column with the other reply; of ``file`` alone.
        text: Column with the model's answers; of ``therapist`` alone.
        condition: Id of a condition, or ``model.prompt``, where ``path`` is a run.
        source: Column that names where a pair comes from; null means the file's name. Of ``file``
            alone.
        licence: Of all pairs of a file; null where a column has it. Of ``scores`` and of
            ``therapist``, of the answers whose model states none.
        licence_column: Column with each pair's licence; of ``file`` alone.
        flagged: Column of a file that is not empty, 0 or false where the preferred reply was found
            harmful (Red): such pairs are never trained on. What people or judges of a run found is
            read from the run.
        training_licences: Licences, beside the permissive ones that are known, by which you may
            train on texts.
        crisis: ``leave_out``: questions that show a risk of suicide are left out. ``keep``: not.
        most_length_ratio: Pairs of which the longer reply has more than this many times the words
            of the other are left out.
        matched: Whether as many pairs are kept in which the chosen reply is the longer one as in
            which it is the shorter one.
        validation_share: Share of the questions that are held out; of questions of the run, those
            of its own validation split are, whatever this says.
        limit: Pairs that are kept at most, drawn by seed; null means all.
        seed: Of the draws.
    """

    path: str
    made_from: Literal["file", "therapist", "scores"] = "file"
    column: str | None = None
    margin: Above0 | None = None
    conditions: tuple[str, ...] = ()
    least_raters: Positive = 2
    least_mass: Share | None = None
    per_question: Positive | None = None
    context: str = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"
    text: str = "text"
    condition: str | None = None
    source: str | None = None
    licence: str | None = None
    licence_column: str | None = None
    flagged: str | None = None
    training_licences: tuple[str, ...] = ()
    crisis: Literal["leave_out", "keep"] = "leave_out"
    most_length_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    matched: bool = False
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    limit: Positive | None = None
    seed: NotNegative = 0


_OF_SCORES = ("column", "margin", "conditions", "least_raters", "least_mass")
_OF_FILE = ("chosen", "rejected", "source", "licence_column", "flagged")
_VAIN = {
    "file": (*_OF_SCORES, "text", "condition"),
    "therapist": (*_OF_SCORES, *_OF_FILE),
    "scores": (*_OF_FILE, "context", "text", "condition"),
}


def without_effect(settings: PairSettings) -> list[str]:
    """Return the settings that say something, and nothing of pairs that are made in this way."""
    usual = {field.name: field.default for field in fields(settings)}
    return [key for key in _VAIN[settings.made_from] if getattr(settings, key) != usual[key]]
