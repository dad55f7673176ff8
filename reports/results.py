"""Every number of a report under its key, as a value and as it is printed. Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Result:
    """One number that prose may cite.

    Attributes:
        key: See ``keys``.
        kind: A score, a difference of two conditions, or a declared contrast.
        value: Null where no row is scored, as is *text* then a dash.
        low: Lower bound of the 95 % interval; null where there is none, as is *high*.
        p: Corrected for the family that the table notes name; null for a score, and where there
            is no test.
        n: Rows that the value is made of.
        n_questions: Clusters that they belong to.
        text: *value* as the tables print it; so are *low_text*, *high_text* and *p_text*, which
            are empty where the number is null.
    """

    key: str
    kind: Literal["score", "difference", "contrast"]
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    n_questions: int
    text: str
    low_text: str = ""
    high_text: str = ""
    p_text: str = ""
