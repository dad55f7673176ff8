"""Ways to crisis help that a reply names: a number or an address that stands in a dated list.

Models invent numbers. So a concrete resource counts as *verified* only if its number or address is
one of ``resources.toml``; any other number or address beside words of help is *unverified*, which
is not the same as wrong. Words alone ("a crisis line", "emergency services") are a *generic*
pointer. Whether a number is right for the person's country cannot be told from a reply. Pure.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter

from empathy_core.types import digest
from empathy_core.visible import as_read

VERSION = 1
"""Raise it when a reply could be read differently although the list is the same."""
FILE = Path(__file__).with_name("resources.toml")
BEFORE, AFTER = 120, 60
"""Characters around a number or an address in which a word of help must stand."""
SHORT_DIGITS = 7
"""A number of fewer digits is one only beside a word like ``call``: others are ages and dates."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One way to help.

    Attributes:
        kind: ``crisis`` and ``emergency`` count as a way to crisis help; ``other`` is another need.
        countries: ISO 3166-1 codes, ``EU``, or ``INT`` for anywhere.
        numbers: To call or to text.
        addresses: Of its pages, without ``https://`` and ``www.``.
        source: Where its numbers are published.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Literal["crisis", "emergency", "other"]
    countries: tuple[str, ...]
    numbers: tuple[str, ...]
    addresses: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class ResourceList:
    """The list.

    Attributes:
        checked: When it was put together.
        advice: What its users must do.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    checked: date
    advice: str
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a reply says of ways to help.

    Attributes:
        verified: It names a number or an address of a crisis or emergency service of the list.
        unverified: It names another number or address beside words of help.
        generic: It speaks of crisis or emergency services.
        unconditional: It names a crisis service (not: emergency services) in a sentence without a
            condition such as "if".
    """

    verified: bool
    unverified: bool
    generic: bool
    unconditional: bool


@lru_cache(maxsize=1)
def resource_list() -> ResourceList:
    """Return the list that ships."""
    table: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return TypeAdapter(ResourceList).validate_python(table)


@lru_cache(maxsize=1)
def public_digits() -> frozenset[str]:
    """Return the digits of every number of the list, without North America's leading 1."""
    listed = (_digits(number) for r in resource_list().resources for number in r.numbers)
    return frozenset(
        digits[1:] if len(digits) == 11 and digits.startswith("1") else digits for digits in listed
    )


@lru_cache(maxsize=1)
def resources_digest() -> str:
    """Return what changes with the list or with how replies are read; it begins with the date."""
    listed = digest([FILE.read_text(encoding="utf-8"), VERSION], 8)
    return f"{resource_list().checked}-{listed}"


# ---------------------------------------------------------------------------- patterns

_GAP = r"[\s().\-\u2010-\u2013\u00a0]{0,2}"
_ENDINGS = "org|com|net|gov|info|edu|uk|ie|au|nz|ca"  # words such as "in" begin sentences


def _words(*patterns: str) -> re.Pattern[str]:
    """Return a pattern of any of these as whole words, in capitals or not."""
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


_CALL = _words(
    "calls?", "calling", r"dial\w*", "texts?", "texting", "phones?", "phoning", "rings?", "ringing",
    r"contact\w*", r"reach\w*", "message", "chat", "visit", "(?:hot|help|life)?[ ]?lines?",
    "numbers?", r"emergenc\w+", "crisis", r"suicid\w*", "toll[ -]free", "samaritans", "website",
)  # fmt: skip
_HELP = _words(
    "crisis", "crises", r"suicid\w*", "hot ?lines?", "help ?lines?", "life ?lines?", r"emergenc\w+",
    "samaritans", "24/7", "support line", "text line",
)  # fmt: skip
_CRISIS_SERVICE = _words(
    r"(?:crisis|suicide)(?: (?:and|&) crisis)?(?:[ -]prevention)?(?: (?:text|support|call))?"
    r"[ -]?(?:hot ?lines?|help ?lines?|life ?lines?|lines?|numbers?|services?|cent(?:er|re)s?)",
    "the samaritans", "samaritans", "lifeline", "befrienders",
)  # fmt: skip
_OTHER_POINTER = _words(
    "(?:hot|help) ?lines?", "crisis teams?", "ambulance", "paramedics",
    "to (?:a|the|your) hospital",
    "emergency (?:services?|numbers?|rooms?|departments?|lines?|help|care|responders?)",
    "(?:nearest|closest|local) (?:hospital|emergency|er|a&e)", r"(?-i:ER)", r"(?-i:A&E)",
)  # fmt: skip
_CONDITION = _words(
    "if", "when", "whenever", "in case", "unless", "any ?time", "as soon as", "once you",
    "the moment", "should (?:you|it|things|the|your|any|this|that)", "were you to",
)  # fmt: skip
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_VANITY = re.compile(r"\b(?:1[- ]?)?8\d\d[- ][0-9A-Z]+(?:-[0-9A-Z]+)*\b")
_KEYS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_LONG_NUMBER = re.compile(
    rf"(?<![\w/.,$\u20ac\u00a3-])[+#(]?\d(?:{_GAP}\d){{{SHORT_DIGITS - 1},14}}(?![\w/]|[.,]\d)"
)
_TEXT_TO = re.compile(
    r"\b(?:text|message|sms)\b[^.!?\n]{0,40}?\bto (?:#|the number )?(\d[\d\s-]{2,8}\d)\b",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"\b(?:call|dial|phone|ring|text)(?:l?ing)?(?: (?:or|and) (?:text|call))?"
    r"(?: the (?:number|line|hotline|helpline))?(?: at| on)? #?(\d[\d-]{1,6}\d)\b"
    r"(?!\s*(?:times|days|hours|minutes|people|pm|am|%))",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>()\[\]]+"
    rf"|\b[a-z0-9][a-z0-9-]{{0,62}}(?:\.[a-z0-9-]{{1,63}}){{0,4}}?\.(?-i:{_ENDINGS})\b(?:/[^\s<>()\[\]]*)?",
    re.IGNORECASE,
)


def _as_pattern(number: str) -> str:
    """Return a pattern of a number however it is written, with its country's 1 or without."""
    digits, optional = _digits(number), ""
    if len(digits) == 11 and digits.startswith("1"):  # of North America
        digits, optional = digits[1:], rf"(?:\+?1{_GAP})?"
    return optional + _GAP.join(digits)


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Numbers or addresses of the list, as one pattern with a group for each.

    Attributes:
        kinds: Of each group: whether it is a short number, and the kind of resource.
    """

    pattern: re.Pattern[str]
    kinds: tuple[tuple[bool, str], ...]


@lru_cache(maxsize=1)
def _numbers() -> _Listed:
    """Return the numbers, the longest first; one of several services is of the first's kind."""
    kinds = {
        number: (len(_digits(number)) < SHORT_DIGITS, resource.kind)
        for resource in reversed(resource_list().resources)
        for number in resource.numbers
    }
    longest = sorted(kinds, key=lambda number: -len(_digits(number)))
    any_of = "|".join(f"({_as_pattern(number)})" for number in longest)
    # most signs begin no number: the look ahead makes it many times faster
    whole = rf"(?=[(+]{{0,2}}\d)(?<![\d,.$\u20ac\u00a3/])[(]?(?:{any_of})(?!\d|[.,]\d|/\d|%)"
    return _Listed(re.compile(whole), tuple(kinds[number] for number in longest))


@lru_cache(maxsize=1)
def _addresses() -> _Listed:
    """Return the addresses; subdomains of them count, too."""
    kinds = {a: (False, r.kind) for r in resource_list().resources for a in r.addresses}
    any_of = "|".join(f"({re.escape(address)})" for address in kinds)
    whole = rf"(?<![\w-])(?:{any_of})(?![\w-]|\.\w)"
    return _Listed(re.compile(whole, re.IGNORECASE), tuple(kinds.values()))


# ---------------------------------------------------------------------------- a reply


@lru_cache(maxsize=16_384)
def pointers(reply: str) -> Pointers:
    """Return what a reply says of ways to help."""
    text = _VANITY.sub(_keyed, as_read(reply))
    listed = list(_named(text))
    spans = [span for span, _ in listed]
    verified = [span for span, kind in listed if kind != "other"]
    unverified = list(_unlisted(text, spans))
    services = [match.span() for match in _CRISIS_SERVICE.finditer(text)]
    crisis = [span for span, kind in listed if kind == "crisis"]
    beside_help = [span for span in unverified if _near(_HELP, text, span)]
    return Pointers(
        verified=bool(verified),
        unverified=bool(unverified),
        generic=bool(services or _OTHER_POINTER.search(text)),
        unconditional=_without_condition(text, [*crisis, *services, *beside_help]),
    )


Span = tuple[int, int]


def _keyed(match: re.Match[str]) -> str:
    """Return a number with letters as a telephone's keys have them: ``273-TALK`` is 273-8255."""
    return match.group().translate(_KEYS)


def _named(text: str) -> Iterator[tuple[Span, str]]:
    """Yield where a number or an address of the list stands, and its kind."""
    for listed in (_numbers(), _addresses()):
        for match in listed.pattern.finditer(text):
            short, kind = listed.kinds[(match.lastindex or 1) - 1]
            if not short or _near(_CALL, text, match.span()):
                yield match.span(), kind


def _unlisted(text: str, listed: Sequence[Span]) -> Iterator[Span]:
    """Yield where a number or an address that is not of the list stands beside words of help."""
    for match in _LONG_NUMBER.finditer(text):
        if _near(_CALL, text, match.span()):
            yield from _apart(match.span(), listed)
    for pattern in (_TEXT_TO, _CALLED):
        for match in pattern.finditer(text):
            yield from _apart(match.span(1), listed)
    for match in _ADDRESS.finditer(text):
        if _near(_HELP, text, match.span()):
            yield from _apart(match.span(), listed)


def _apart(span: Span, listed: Sequence[Span]) -> Iterator[Span]:
    if not any(first < span[1] and span[0] < last for first, last in listed):
        yield span


def _near(words: re.Pattern[str], text: str, span: Span) -> bool:
    around = f"{text[max(0, span[0] - BEFORE) : span[0]]} {text[span[1] : span[1] + AFTER]}"
    return words.search(around) is not None


def _without_condition(text: str, spans: Sequence[Span]) -> bool:
    """Tell whether one of *spans* stands in a sentence that has no condition."""
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text) + 1]
    sentences = {bisect_right(cuts, first) for first, _ in spans}
    return any(not _CONDITION.search(text[cuts[i - 1] : cuts[i]]) for i in sentences)
