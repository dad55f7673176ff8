"""What came of a prompt refinement: numbers as they are stored beside it and set in tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from empathy_core.errors import Damaged
from empathy_core.store import write_bytes
from empathy_core.types import Column


@dataclass(frozen=True, slots=True)
class PromptGain:
    """How much better a prompt is than its parent on some rows, in units of the column.

    Attributes:
        parent: The parent's score; null where no row is scored by both.
        candidate: The candidate's.
        value: Above 0 is better, whichever direction the column has; null likewise.
        low: Of the 95 % interval; null with too few questions.
        high: Of the same.
        p: Two-sided, by randomisation; null likewise.
        n: Rows scored by both.
        n_left_out: Rows that one of them lacks.
    """

    parent: float | None
    candidate: float | None
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    n_left_out: int


@dataclass(frozen=True, slots=True)
class MovedColumn:
    """A column on the test rows: candidate less parent, as it is, without correction.

    Attributes:
        column: How it is called and printed.
        parent: The parent's score.
        candidate: The candidate's.
        difference: Null where no row is scored by both.
        low: Of the 95 % interval; null with too few questions.
        high: Of the same.
        p: Two-sided, by randomisation, of this column alone.
        n: Rows scored by both.
    """

    column: Column
    parent: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


@dataclass(frozen=True, slots=True)
class PromptOnTest:
    """A candidate that reached the test rows.

    Attributes:
        validation: On all validation rows that it was chosen by.
        test: On the test rows.
        optimism: Validation gain less test gain; null where one of them is.
        p_holm: Of the test gain, corrected over what reached the test.
        moved: Every column of the run.
        reported: The column that it is reported by as well; null where none is declared.
    """

    name: str
    validation: PromptGain
    test: PromptGain
    optimism: float | None
    p_holm: float | None
    moved: tuple[MovedColumn, ...]
    reported: MovedColumn | None = None


@dataclass(frozen=True, slots=True)
class RefinementOutcome:
    """What came of a refinement.

    Attributes:
        name: Key of its table.
        model: Label of the model that answered.
        parent: Name of the prompt that was to be improved.
        target: The column that candidates were chosen by.
        better: Which of its values are good.
        n_candidates: Candidates that took part.
        dropped: Why others did not, and how many.
        n_rounds: Rounds.
        n_validation: Validation rows that the last candidates were scored on.
        n_test: Test rows.
        chosen: Name of the candidate that was best on validation; empty: none beat the parent.
        best: The best validation gain of all; what was not above 0 was not tested.
        tested: What reached the test, the best on validation first.
        test: Digest of the ids of the test rows.
        seen: Names of tested prompts under which the run had answered test rows before.
        remarks: What weakens the outcome, a sentence each.
    """

    name: str
    model: str
    parent: str
    target: Column
    better: Literal["higher", "lower"]
    n_candidates: int
    dropped: dict[str, int]
    n_rounds: int
    n_validation: int
    n_test: int
    chosen: str
    best: PromptGain
    tested: tuple[PromptOnTest, ...]
    test: str
    seen: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


_OUTCOME = TypeAdapter(RefinementOutcome)


def write_outcome(outcome: RefinementOutcome, path: Path) -> None:
    """Write what came of a refinement."""
    write_bytes(_OUTCOME.dump_json(outcome, indent=1), path)


def read_outcome(path: Path) -> RefinementOutcome:
    """Return what came of a refinement.

    Raises:
        Damaged: The file is not what was written.
    """
    try:
        return _OUTCOME.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        msg = (
            f"{path} cannot be read ({str(error).splitlines()[0]}): expected what a refinement "
            "found; remove it and run refine again, which makes it from what is there"
        )
        raise Damaged(msg) from error
