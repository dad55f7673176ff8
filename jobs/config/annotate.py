"""``[annotate]``: what people are asked about the run's answers, and how."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from empathy_core.annotation.exclusions import ExclusionRules
from empathy_core.bounds import Above0, NotEmpty, Positive
from jobs.config.strict import ConfigModel, changing

Stratum = Literal["source", "tier"]
LEAST_RATERS = 2
"""Of an answer: one rater's severity cannot be told from the answer's worth."""


@changing(ExclusionRules)
class ExcludeTable(ConfigModel):
    """``[annotate.exclude]``: which ratings are left out; what no rule names is only reported."""

    def rules(self) -> ExclusionRules:
        """Return the rules."""
        return ExclusionRules(**self.model_dump())


class AnnotateTable(ConfigModel):
    """``[annotate]``: people who rate a sample of the answers, without a server.

    Attributes:
        rubrics: Names of rubrics that ship, or paths to one's own; ``[]``: nobody is asked.
        dimensions: Names of the dimensions that are asked; ``[]`` for all of the rubrics'.
        conditions: What is compared: a model, or ``model.prompt``, each; ``[]`` for all conditions
            of the run, the therapists among them. One rater rates all of them for a question.
        questions: How many questions are drawn.
        raters: How many people rate; packets call them R01, R02, ….
        raters_per_item: How many of them rate each answer.
        strata: Questions are drawn within each source and each crisis tier, or one of the two, in
            proportion; ``[]`` draws from all at once.
        tier_column: Column with the crisis tier of each question, carried along by a source's
            ``keep``; null means that the screen decides.
        repeats: Share of a rater's answers that come a second time, unmarked, to see how far a
            rater agrees with him- or herself.
        attention: Share of a rater's answers that belong to another question, to see who reads.
        helpline: What a rater can turn to, with its number: on the first page and below each
            other one. Required by ``annotate export``.
        consent: What raters agree to on the first page, e.g. the approval's number; empty: the
            page asks for no consent.
        contact: Whom raters can ask; empty: nobody is named.
        may_train: Whether ratings may be used to train models: ``ask`` each rater, or ``yes`` or
            ``no`` for all, which the first page says.
        crisis_per_sitting: How many answers to messages about suicide a rater is shown at most
            until eight hours have passed; the others wait for the next sitting.
        minutes_per_item: Minutes that a rater needs for one answer, for the estimate of
            ``annotate plan``.
        seed: Of the drawing of questions.
        exclude: Which ratings are left out, and only these.
    """

    rubrics: tuple[NotEmpty, ...] = ()
    dimensions: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    questions: Positive = 60
    raters: Annotated[int, Field(ge=LEAST_RATERS, le=99)] = 3
    raters_per_item: Annotated[int, Field(ge=LEAST_RATERS)] = 3
    strata: tuple[Stratum, ...] = ("source", "tier")
    tier_column: str | None = None
    repeats: Annotated[float, Field(ge=0.05, le=0.1)] = 0.05
    attention: Annotated[float, Field(ge=0, le=0.1)] = 0.05
    helpline: str = ""
    consent: str = ""
    contact: str = ""
    may_train: Literal["ask", "yes", "no"] = "ask"
    crisis_per_sitting: Annotated[int, Field(ge=1, le=30)] = 30
    minutes_per_item: Above0 = 1.5
    seed: int = 0
    exclude: ExcludeTable = ExcludeTable()

    @model_validator(mode="after")
    def _enough_raters(self) -> Self:
        if self.raters_per_item > self.raters:
            raise PydanticCustomError(
                "too_few_raters",
                "raters_per_item = {each} needs as many raters, and raters = {all}; "
                "raise raters, or lower raters_per_item",
                {"each": self.raters_per_item, "all": self.raters},
            )
        return self
