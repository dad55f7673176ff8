"""All that is found in one text, and the text with placeholders in its place. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from empathy_core.personal import names, numbers, online, phones, places
from empathy_core.personal.kinds import KINDS, WORDS, Kind, in_order
from empathy_core.personal.spans import Span


@dataclass(frozen=True, slots=True)
class Finder:
    """How one kind is found.

    Attributes:
        hints: Regular expressions, of which every text in which the kind is found matches one;
            fast to look for in many texts, as polars reads them.
        spans: Yields where the kind stands in a text.
        ends: More hints, of the last ``names.LAST`` characters of a text.
    """

    hints: tuple[str, ...]
    spans: Callable[[str], Iterator[Span]]
    ends: tuple[str, ...] = ()

    def maybe(self, texts: pl.Expr) -> pl.Expr:
        """Return in which texts the kind may be found; in all others it is not."""
        tails = texts.str.tail(names.LAST)
        return pl.any_horizontal(
            *(texts.str.contains(hint) for hint in self.hints),
            *(tails.str.contains(hint) for hint in self.ends),
        )


FINDERS: Mapping[Kind, Finder] = {
    "email": Finder(online.EMAIL_HINTS, online.emails),
    "profile": Finder(online.PROFILE_HINTS, online.profiles),
    "iban": Finder(numbers.IBAN_HINTS, numbers.ibans),
    "card": Finder(numbers.CARD_HINTS, numbers.cards),
    "ssn": Finder(numbers.SSN_HINTS, numbers.ssns),
    "phone": Finder(phones.PHONE_HINTS, phones.phones),
    "birth_date": Finder(places.BIRTH_HINTS, places.birth_dates),
    "address": Finder(places.ADDRESS_HINTS, places.addresses),
    "name": Finder(names.NAME_HINTS, names.names, names.NAME_ENDS),
}


@dataclass(frozen=True, slots=True)
class Personal:
    """One thing that was found.

    Attributes:
        start: Its first character in the text.
        end: Behind its last.
    """

    kind: Kind
    start: int
    end: int


def found(text: str, kinds: Collection[Kind] = KINDS) -> list[Personal]:
    """Return what is found in a text, in the order of the text; nothing overlaps.

    Placeholders are never found again. Where two kinds overlap, the first of ``KINDS`` counts.
    """
    taken = [match.span() for match in _PLACEHOLDER.finditer(text)]
    kept: list[Personal] = []
    for kind in in_order(kinds):
        for start, end in sorted(set(FINDERS[kind].spans(text)), key=lambda s: (s[0], -s[1])):
            if all(end <= begin or start >= stop for begin, stop in taken):
                taken.append((start, end))
                kept.append(Personal(kind, start, end))
    return sorted(kept, key=lambda one: one.start)


_PLACEHOLDER = re.compile("|".join(re.escape(words.placeholder) for words in WORDS.values()))


def redacted(text: str, kinds: Collection[Kind]) -> tuple[str, Counter[Kind]]:
    """Return a text with a placeholder for all that is found, and how often each kind was.

    Nothing else of the text changes. It is done until nothing is found, since a placeholder may be
    to its neighbour what a space is: so a text that was redacted stays as it is.
    """
    counts: Counter[Kind] = Counter()
    while here := found(text, kinds):
        counts.update(one.kind for one in here)
        parts, done = [], 0
        for one in here:
            parts += [text[done : one.start], WORDS[one.kind].placeholder]
            done = one.end
        text = "".join([*parts, text[done:]])
    return text, counts


def masked(text: str) -> str:
    """Return the form of a text without its content: ``Xxxx``, ``000-0000``, ``xxxx@xxxx.xxx``."""
    return "".join(_mask(character) for character in text)


def _mask(character: str) -> str:
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character
