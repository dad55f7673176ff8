"""What a claim can state: the words of its parts, not yet looked up. Pure."""

from dataclasses import dataclass
from typing import Literal

from reports.claims.digits import Digits

Relation = Literal[">", "<", ">=", "<=", "better", "worse"]
"""The signs are about the number itself; the words heed that of some columns lower is better."""


@dataclass(frozen=True, slots=True)
class Compare:
    """*left* is above, below, better or worse than *right*.

    Attributes:
        same_prompt: Only conditions under the same prompt are compared.
        significant: The claim says so itself, as in all statements.
    """

    left: str
    relation: Relation
    right: str
    on: str
    same_prompt: bool = False
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Alike:
    """*left* is not significantly different from *right*."""

    left: str
    right: str
    on: str
    same_prompt: bool = False
    significant: bool = False  # it is the lack of significance that is claimed


@dataclass(frozen=True, slots=True)
class Amount:
    """The score of *subject* is, or lies above or below, a number."""

    subject: str
    relation: Literal["=", ">", "<", ">=", "<="]
    number: Digits
    on: str
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Extreme:
    """*subject* is the best, worst, highest or lowest.

    Attributes:
        among: Of which conditions; empty: all models.
    """

    subject: str
    which: Literal["best", "worst", "highest", "lowest"]
    among: str
    on: str
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A metric goes up or down from *first* to *second*.

    Attributes:
        numbers: Score of each as typed; null where none is.
    """

    relation: Relation
    first: str
    second: str
    numbers: tuple[Digits | None, Digits | None]
    on: str
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Varies:
    """The range over the prompts of *subject* is below, or above, a bound."""

    subject: str
    relation: Literal["<", ">"]
    bound: Digits
    on: str
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The range over the prompts of *left* is larger than that of *right*."""

    left: str
    right: str
    on: str
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """*left* and *right* differ by no more than a bound."""

    left: str
    bound: Digits
    right: str
    on: str
    same_prompt: bool = False
    significant: bool = False


Statement = Compare | Alike | Amount | Extreme | Change | Varies | Sensitive | Within
