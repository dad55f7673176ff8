"""What the suite has changed in how numbers are made: each change once, and what it can move. Pure.

A report records the version of the numbers that it was written by; one without a record is of
version 0. Whoever compares two reports is told which changes lie between them, and which of these
can have moved which number. Raise the version by adding a change: a sentence for authors and their
coauthors, and what of a number it can move. Changes that only made a metric's signature, rows or
answers another one belong here too, since tables move with them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

NumberKind = Literal["score", "difference", "contrast"]
Part = Literal["value", "interval", "p", "n", "key"]
"""What of a number is another one; ``key``: only one of the two reports has the number."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """The rows of a condition whose statistics under one metric are others than before.

    Attributes:
        rows: (example, sample) → what is special about them (``unlike_rows.FEATURES``).
    """

    rows: Mapping[tuple[str, int], Collection[str]]

    def having(self, features: Collection[str]) -> bool:
        """Tell whether a row has one of these features."""
        return any(set(features) & set(of) for of in self.rows.values())


@dataclass(frozen=True, slots=True)
class Constituent:
    """A condition that a number is made of.

    Attributes:
        samples: Answers to an example.
        lacking: Whether an answer is missing, or was not scored by the number's metric.
        unlike: Null where the rows were not compared: other runs, or scores that are gone.
    """

    name: str
    samples: int = 1
    lacking: bool = False
    unlike: Unlike | None = None


@dataclass(frozen=True, slots=True)
class MovedNumber:
    """A number of two reports, and what of it is another one.

    Attributes:
        metric: Name of its metric, e.g. ``rouge``.
        share: Whether it is a share of rows.
        sides: Empty where it is not known what it is made of.
        same_rows: Whether both reports are of the same frozen rows.
        same_metric: Whether both computed it under the same signature.
        shared_key: Whether one report has several numbers under this key.
    """

    key: str
    kind: NumberKind
    parts: tuple[Part, ...]
    metric: str = ""
    share: bool = False
    sides: tuple[Constituent, ...] = ()
    same_rows: bool = True
    same_metric: bool = True
    shared_key: bool = False


Moves = Callable[[MovedNumber, Part], bool]


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        version: Of the numbers, since it was made.
        date: Of the change, ISO.
        about: A few words.
        says: One sentence on what is done now and what was done before.
        moves: Tells whether it can have moved a part of a number; null: it moves no number, but
            marks, verdicts or words.
        rows: Features of the rows by which it moves a score; empty: it does not.
    """

    version: int
    date: str
    about: str
    says: str
    moves: Moves | None
    rows: tuple[str, ...] = field(default=())


# ---------------------------------------------------------------------------- what can be moved


def _by_rows(*features: str) -> Moves:
    """A score of a row is another one: what is made of such rows moves in every part."""

    def moves(moved: MovedNumber, part: Part) -> bool:
        if part == "key" or moved.same_metric:
            return False
        seen = [side.unlike for side in moved.sides]
        if not seen or None in seen:  # it may be
            return True
        return any(unlike.having(features) for unlike in seen if unlike)

    return moves


def _samples(moved: MovedNumber, part: Part) -> bool:
    return part != "key" and any(side.samples > 1 for side in moved.sides)


def _lacking(moved: MovedNumber, part: Part) -> bool:
    return part != "key" and any(side.lacking for side in moved.sides)


def _tests(moved: MovedNumber, part: Part) -> bool:
    return part == "p" and moved.kind != "score"


def _shares(moved: MovedNumber, part: Part) -> bool:
    return part == "interval" and moved.share


def _means(moved: MovedNumber, part: Part) -> bool:
    return part == "interval" and not moved.share


def _keys(moved: MovedNumber, part: Part) -> bool:
    return part == "key" or moved.shared_key


def _new_keys(moved: MovedNumber, part: Part) -> bool:
    return part == "key" and moved.kind in ("made", "refinement")


def _answers(moved: MovedNumber, part: Part) -> bool:
    """Answers are others: where the rows were compared, they are those of before."""
    seen = [side.unlike for side in moved.sides]
    return part != "key" and (not seen or None in seen)


def _rows(moved: MovedNumber, _: Part) -> bool:
    return not moved.same_rows


def _diversity(moved: MovedNumber, part: Part) -> bool:
    return part != "key" and moved.metric == "diversity" and not moved.same_metric


TODAY = "2026-11-28"

CHANGES: tuple[Change, ...] = (
    Change(
        1, TODAY, "several samples",
        "The samples of an example are averaged before conditions are compared, and each example "
        "has weight 1; before, a condition with several samples was compared by sample 0 alone.",
        _samples,
    ),
    Change(
        2, TODAY, "missing rows",
        "A score is of all examples that a condition has, each once; a difference is of those "
        "that both have, and where the two disagree both are printed and neither is significant; "
        "what a metric could not score is bounded. Before, such rows were left out without a note.",
        _lacking,
    ),
    Change(
        3, TODAY, "number of shuffles",
        "The number of shuffles of a test is fixed in advance by the number of tests of its "
        "family; before, it was 10,000, so that with many conditions nothing could be significant.",
        _tests,
    ),
    Change(
        4, TODAY, "intervals of shares",
        "The interval of a share of rows allows for shares near 0 and 1 (one-sided at 0 and 1); "
        "before, it was a percentile bootstrap, too narrow there, and had no width at 0.",
        _shares,
    ),
    Change(
        5, TODAY, "intervals of means",
        "Intervals of scores are by the bootstrap-t, and there is none where the questions do not "
        "vary; before, they were percentiles, and those of skewed scores at few questions covered "
        "too seldom.",
        _means,
    ),
    Change(
        6, TODAY, "nothing to count",
        "Texts are compared in composed form (NFC), and rows in which a metric has no token or "
        "n-gram to count are counted and noted or left out; before, equal texts in other scripts "
        "scored 0.",
        _by_rows("not in composed form", "letters of other scripts", "very short"),
        ("not in composed form", "letters of other scripts", "very short"),
    ),
    Change(
        7, TODAY, "empty answers",
        "An answer in which nothing is visible (invisible characters, special tokens alone) is "
        "empty: it scores 0 and is counted; before, such answers were scored as texts.",
        _by_rows("empty", "nothing visible", "invisible characters"),
        ("empty", "nothing visible", "invisible characters"),
    ),
    Change(
        8, TODAY, "cleaning",
        "Rows are duplicates only if signs between digits, marks and symbols are equal too (1.5 mg "
        "and 15 mg are not), and cells that are no plain text are refused; runs frozen before keep "
        "their rows.",
        _rows,
    ),
    Change(
        9, TODAY, "keys",
        "Numbers whose names differ only in signs or scripts have keys of their own; before, the "
        "first number was printed for all of them.",
        _keys,
    ),
    Change(
        10, TODAY, "marks",
        "Bold, daggers and ranks need the sign of the difference as well as p, leave out what ties "
        "at zero, and stand on one set of rows for the whole table.",
        None,
    ),
    Change(
        11, TODAY, "verdicts",
        "Claims are corrected as the report's tables are, and \"not significantly different\" is "
        "true only by an equivalence test at a declared margin.",
        None,
    ),
    Change(
        12, TODAY, "answers",
        "The reasoning of a model is kept apart and not scored, answers end at the chat "
        "template's end of turn, and tokens that a checkpoint forces or forbids are in force; "
        "before, reasoning was scored as an answer, some answers went on after their turn, and "
        "these settings were dropped. Answers that were made before stay as they are.",
        _answers,
    ),
    Change(
        13, "2026-11-29", "diversity",
        "Distinct n-grams among answers and self-BLEU compare all answers of a condition, and "
        "equal answers to one question count once; before, groups of 8 blocks were compared.",
        _diversity,
    ),
    Change(
        14, "2026-11-30", "keys of Table 3",
        "Numbers of Table 3 and of prompt refinements have keys of their own; before, they had "
        "none.",
        _new_keys,
    ),
)  # fmt: skip

VERSION = CHANGES[-1].version
"""Of the numbers that this code makes."""


def between(first: int, second: int) -> tuple[Change, ...]:
    """Return the changes that lie between two versions, whichever is the older."""
    low, high = sorted((first, second))
    return tuple(change for change in CHANGES if low < change.version <= high)


def causes(moved: MovedNumber, part: Part, among: Collection[Change]) -> tuple[Change, ...]:
    """Return the changes that can have moved a part of a number."""
    return tuple(c for c in among if c.moves is not None and c.moves(moved, part))
