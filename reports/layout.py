"""How tables are set and which tests they show: what the configuration says under [report]."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Environment = Literal["auto", "table", "table*", "longtable"]
Intervals = Literal["none", "brackets", "plusminus", "row"]
Correction = Literal["holm", "bh"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is set in LaTeX; a page of HTML follows *intervals* alone.

    Attributes:
        environment: ``auto`` takes ``table*``, in parts where it is longer than a page.
        intervals: Where the cells' intervals stand: in small print in a row below (``row``), or
            beside the number (``brackets``, ``plusminus``).
        fit: Whether a table that is too wide is scaled down to the line.
        siunitx: Whether columns of numbers are siunitx's ``S``.
    """

    environment: Environment = "auto"
    intervals: Intervals = "row"
    fit: bool = True
    siunitx: bool = True


@dataclass(frozen=True, slots=True)
class Contrast:
    """A declared comparison: mean over pairs of conditions of second less first.

    Attributes:
        pairs: (first, second) condition ids: same prompt and decoding, where a model is meant.
    """

    name: str
    label: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is computed beside the scores.

    Attributes:
        correction: Whose p the daggers follow: Holm's (no false finding in the family) or
            Benjamini and Hochberg's (at most 5 % false ones among the findings).
        subgroups: What the rows are divided by: ``length``, ``source``, or another column of the
            examples.
        margins: Key of a column → the least difference that matters, in units of the score: what
            "not significantly different" must exclude by a test of equivalence.
        most_empty: Share of empty answers above which a table is stamped and nothing is marked.
    """

    correction: Correction = "holm"
    contrasts: tuple[Contrast, ...] = ()
    subgroups: tuple[str, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    most_empty: float = 0.05
