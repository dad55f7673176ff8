"""Which kinds of personal data are looked for, and what stands in their place. Values only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

VERSION = 1
"""Raise it when a text could be redacted differently: it is part of the identity of redacted rows.
"""

Kind = Literal[
    "email", "profile", "iban", "card", "ssn", "phone", "birth_date", "address", "name"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are looked for: where two overlap, the first counts."""


@dataclass(frozen=True, slots=True)
class KindWords:
    """How a kind is called.

    Attributes:
        placeholder: What stands in its place after a redaction.
        label: What it is, for counts.
    """

    placeholder: str
    label: str


WORDS: Mapping[Kind, KindWords] = {
    "email": KindWords("[e-mail]", "e-mail addresses"),
    "profile": KindWords("[profile]", "profiles and user names"),
    "iban": KindWords("[IBAN]", "bank accounts (IBAN)"),
    "card": KindWords("[card]", "payment cards"),
    "ssn": KindWords("[SSN]", "US social security numbers"),
    "phone": KindWords("[phone]", "telephone numbers"),
    "birth_date": KindWords("[date of birth]", "dates of birth"),
    "address": KindWords("[address]", "postal addresses"),
    "name": KindWords("[name]", "names in greetings, signatures and introductions"),
}


def in_order(kinds: Collection[Kind]) -> tuple[Kind, ...]:
    """Return kinds as they are looked for, each once."""
    return tuple(kind for kind in KINDS if kind in kinds)
