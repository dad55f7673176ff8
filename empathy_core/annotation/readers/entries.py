"""What a reader makes of a file: one entry for each thing that a rater said. Frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EVERY_SCALE = ""
"""As the dimension of an entry: all questions that are asked of its item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingEntry:
    """One cell, as it stands in the file.

    Attributes:
        place: Where it stands: ``line 12``, ``task 3``.
        item: As the file calls it.
        dimension: Likewise; ``EVERY_SCALE`` where the whole item was skipped.
        said: The answer as it stands there; empty for none.
        rater: As the file names who said it; empty if it does not.
        seconds: Spent on the item; null where that is not known.
        at: When it was said, as ISO 8601 in UTC; empty where that is not known.
        skipped: Whether the rater chose not to answer.
        why: Why it cannot be read, whatever it says; empty if it can.
    """

    place: str
    item: str
    dimension: str
    said: str = ""
    rater: str = ""
    seconds: float | None = None
    at: str = ""
    skipped: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingFile:
    """A file that was read.

    Attributes:
        format: What it was taken for, as printed.
        entries: In the order of the file.
        notes: What concerns the file rather than a cell.
        at: When it was made, as ISO 8601 in UTC, so far as it says; else empty.
        rater: Whose it is, where the whole file says so; else empty.
        personal: Names of columns or keys that say who a person is.
        facts: What else the file says of the rater's choices: ``consent``, ``may_train`` …
    """

    format: str
    entries: tuple[RatingEntry, ...]
    notes: tuple[str, ...] = ()
    at: str = ""
    rater: str = ""
    personal: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
