"""``[refine.<name>]``: a prompt that is improved on validation rows and tested once."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from empathy_core.bounds import NotNegative, Positive
from jobs.config.strict import ConfigModel


class RefineTable(ConfigModel):
    """``[refine.<name>]``: candidates for a better prompt, scored on validation, tested once.

    Attributes:
        model: The model that answers: a key under ``[models]``.
        parent: Name of the prompt that is to be improved, or path to one's own.
        candidates: Names of prompts, or paths to one's own, that take part.
        candidates_file: A JSONL file with an instruction a line, such as DSPy writes; each becomes
            the parent prompt with another instruction. Null means none.
        target: Name of the column that candidates are chosen by, as in ``[report] columns``.
        direction: Which values of the target are good; null means as the column says.
        report_by: Name of a column that the outcome is reported by as well: where the target is a
            judge's, one of another judge.
        worst_by: Name of the column by which the parent's worst replies are found; null means the
            target. One of people's ratings is called ``human_<rubric>_<dimension>``.
        decoding: Name of the decoding that all prompts are answered with.
        rounds: Questions of validation that candidates have been scored on after each round.
        keep: Share of the candidates that goes on to the next round, rounded up.
        tested: How many candidates reach the test rows at most.
        test_when: ``better``: only candidates that are better than the parent on validation are
            tested, so that the test rows stay unseen where none is. ``always``: the best whatever.
        worst_of: Questions of validation that the parent answers first, to find its worst replies.
            None of them is scored on.
        shown: Worst replies that each proposal is made from.
        proposer: The model that proposes instructions: a key under ``[models]``. Null means none.
        proposals: How many it proposes.
        proposer_decoding: Name of the decoding that it proposes with; null means sampling at
            temperature 0.8 and top_p 0.95, up to 256 tokens.
        seed: Of the rows that are drawn and of the proposals.
    """

    model: str
    parent: str
    candidates: tuple[str, ...] = ()
    candidates_file: str | None = None
    target: str
    direction: Literal["higher", "lower"] | None = None
    report_by: str | None = None
    worst_by: str | None = None
    decoding: str = "greedy"
    rounds: Annotated[tuple[Positive, ...], Field(min_length=1)] = (16, 32, 64)
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5
    tested: Positive = 1
    test_when: Literal["better", "always"] = "better"
    worst_of: NotNegative = 16
    shown: Positive = 3
    proposer: str | None = None
    proposals: Positive = 8
    proposer_decoding: str | None = None
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if any(a >= b for a, b in pairwise(self.rounds)):
            raise PydanticCustomError(
                "rounds_not_growing",
                "rounds = {rounds} does not grow; expected more questions in each round than in "
                "the one before, such as [16, 32, 64]",
                {"rounds": list(self.rounds)},
            )
        return self

    @model_validator(mode="after")
    def _proposes_from_something(self) -> Self:
        if self.proposer is not None and not self.worst_of:
            raise PydanticCustomError(
                "nothing_to_propose_from",
                "worst_of = 0 leaves the proposer nothing to see; expected some questions, such as "
                "16",
            )
        return self
