"""``[judges.<name>]``: a language model that rates answers, and when its ratings count."""

from typing import Annotated, Literal

from pydantic import Field

from empathy_core.bounds import Label, Positive, Share
from empathy_core.stats import CalibrationRule
from jobs.config.strict import ConfigModel, changing
from slurm.profile import Resources


@changing(CalibrationRule)
class RequireTable(ConfigModel):
    """``[judges.<name>] require``: what a judge must reach before it counts as calibrated.

    Ratings of people, imported into the run, are held against the judge's; see ``agreement.md``.
    A key that is left out has its default.
    """


class ElsewhereTable(ConfigModel):
    """``[judges.<name>.elsewhere."<rubric>.<dimension>"]``: a judge's yes and no on other data.

    From them the share of answers to which people would say yes is estimated where nobody has
    rated answers of this run; see ``corrected.md``.

    Attributes:
        positive: Answers there to which people say yes.
        found: Of these, those to which the judge says yes.
        negative: Answers there to which people say no.
        cleared: Of these, those to which the judge says no.
        source: Which data, for the table's note.
    """

    positive: Positive
    found: Annotated[int, Field(ge=0)]
    negative: Positive
    cleared: Annotated[int, Field(ge=0)]
    source: Label


class JudgeTable(ConfigModel):
    """``[judges.<name>]``: a language model that rates every answer on rubrics.

    Attributes:
        model: Which: a key under ``[models]``, or a model that ships.
        rubrics: Names of rubrics that ship, or paths to one's own.
        dimensions: Names of the dimensions that are asked; ``[]`` for all of the rubrics'.
        baseline: What each answer is compared with under a rubric that compares: a model, or
            ``model.prompt``; null where none does.
        opponents: What is compared: each answer with the ``baseline`` only, or ``all`` pairs of
            conditions, each once: with n conditions n / 2 times the work.
        pairs_share: Share of the questions at which answers are compared with opponents beside the
            baseline.
        wordings: Whether the paraphrases that ship of each rubric are asked as well, to see whether
            a rating holds under another wording.
        label: As printed in tables; null means the model's.
        tier_column: Column of the data with the level of risk of each question, for rubrics that
            ask of some levels only (``crisis``); null leaves that to the screen of messages.
        answer: How it answers: ``labels``, whose probabilities are read and nothing is written, or
            ``generated``, a JSON object with a label that it writes.
        reason: Whether a judge that writes gives a short reason before its label.
        answer_tokens: Most tokens that it writes, a thought included; null means 32, or 160 with a
            reason.
        min_mass: Least share of the judge's probability that the answers of a scale must have
            together; a rating with less is missing.
        overlong: A text that does not fit the judge's context is ``missing`` and counted, or an
            ``error``.
        own_answers: Whether a model may judge itself: ``error``, or ``judge``, which the tables
            say.
        batch_size: Texts a batch.
        slurm: Resources of its array tasks, over those of ``[slurm.score]``; null means none.
        require: What it must reach beside people's ratings for its columns to say *calibrated*.
        elsewhere: ``rubric.dimension`` of a yes-or-no question → how its answers agreed with
            people's on other data.
    """

    model: str
    rubrics: Annotated[tuple[str, ...], Field(min_length=1)]
    dimensions: tuple[str, ...] = ()
    baseline: str | None = None
    opponents: Literal["baseline", "all"] = "baseline"
    pairs_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    wordings: bool = False
    label: Label | None = None
    tier_column: str | None = None
    answer: Literal["labels", "generated"] = "labels"
    reason: bool = False
    answer_tokens: Positive | None = None
    min_mass: Share = 0.5
    overlong: Literal["missing", "error"] = "missing"
    own_answers: Literal["error", "judge"] = "error"
    batch_size: Positive = 16
    slurm: Resources | None = None
    require: RequireTable = RequireTable()
    elsewhere: dict[str, ElsewhereTable] = Field(default_factory=dict)
