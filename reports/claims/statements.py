"""What a claim can state: the words of its parts, not yet looked up. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

from empathy_core.types import Column
from reports.labels import printed

PATTERN = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)\s?%?"
"""A decimal number, with a percent sign or without."""

DUST = 1e-9
"""Share of half a digit that binary fractions may be off: 0.26745 typed as 0.2675 is right."""


@dataclass(frozen=True, slots=True)
class Digits:
    """A typed number.

    Attributes:
        text: As typed.
        value: What it says; a percentage is a share.
        half: Half of the unit of its last digit, in units of *value*.
        decimals: Digits after the point, as typed.
    """

    text: str
    value: float
    half: float
    decimals: int = 0

    @classmethod
    def of(cls, text: str) -> "Digits":
        """Return *text*, which fits ``PATTERN``, as a number.

        Raises:
            ValueError: It does not fit.
        """
        plain = re.sub(r"\s", "", text)
        if not re.fullmatch(PATTERN, plain):
            msg = f"'{text}' is not a number"
            raise ValueError(msg)
        return cls.scaled(plain, plain.rstrip("%"), percent=plain.endswith("%"))

    @classmethod
    def scaled(
        cls, text: str, mantissa: str, exponent: int = 0, *, percent: bool = False
    ) -> "Digits":
        """Return the number whose mantissa is *mantissa*, a plain decimal; shown as *text*."""
        scale = 10.0**exponent * (0.01 if percent else 1.0)
        decimals = len(mantissa.partition(".")[2])
        return cls(text, float(mantissa) * scale, 0.5 * 10.0**-decimals * scale, decimals)

    @property
    def percent(self) -> bool:
        """Whether it bears a percent sign."""
        return self.text.endswith("%")

    def is_rounding_of(self, value: float, column: Column) -> bool:
        """Tell whether *value*, or what a table prints of it, gives these digits when rounded.

        Under a column of percentages the sign may be left out: 12.5 is then 0.125.
        """
        scales = (1.0, 100.0) if column.percent and not self.percent else (1.0,)
        return any(
            abs(scale * of - self.value) <= self.half * (1 + DUST)
            for scale in scales
            for of in (value, printed(value, column))
        )


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
