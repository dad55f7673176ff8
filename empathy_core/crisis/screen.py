"""Which level of suicide risk a person's message shows, by rules that can be read. Pure.

The screen selects questions; it is no diagnosis and no substitute for a person's label. How many it
misses is measured where labels are given, never assumed. The levels (*tiers*) are those of
``rubrics/crisis.toml``; a message gets the highest that a phrase of it shows:

1. What is passed over (figures of speech, news, people who have died, fear of dying) and what is
   denied ("I'm not suicidal") is taken out of the text.
2. A class of ``[shown_alone]`` shows its tier by itself. Of ``[shown_together]`` two different
   classes are needed; they show *passive*, or *active* where one of them is a veiled plan.
3. In a sentence about the past alone, any sign shows *passive*.
4. A sign becomes *immediate* with a stated intent, with preparations (letters, things given away,
   means at hand), with an attempt of the past days, or with a plan that has a way and a place.

Messages about somebody else are read in the same way. Self-injury without a word of death is
*passive*: our choice, since a reply should then ask about safety. A retraction lowers nothing.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from empathy_core.crisis.phrases import FILE, phrases
from empathy_core.rubrics import rubric
from empathy_core.types import digest
from empathy_core.visible import as_read

VERSION = 1
"""Raise it when a text could get another tier."""

RUBRIC = "crisis"
NONE, PASSIVE, ACTIVE, IMMEDIATE = "none", "passive", "active", "immediate"

_ACTIVE = ("explicit", "slang", "attempt", "facilitation", "voices")
"""Classes of phrases that show *active*; every other one shows *passive*."""
_VEILED = "veiled plan"
_RESERVED = "denied with a reservation"
_NOT_DEADLY = ("recent self-injury", _RESERVED)

_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u2032\u00b4`\uff07]")
_QUOTES = re.compile('["\u201c\u201d\u00ab\u00bb*_]')
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BLANKS = re.compile(r"\s+")
_SENTENCE = re.compile(r"[.!?;]+|\n\s*\n|\s[-\u2013\u2014]+\s|\u2014")

Sign = tuple[str, str]
"""Class of a phrase, and the tier that it shows."""


@lru_cache(maxsize=1)
def tiers() -> tuple[str, ...]:
    """Return the names of the tiers, from the lowest, which is no risk."""
    return tuple(tier.name for tier in rubric(RUBRIC).tiers)


@lru_cache(maxsize=1)
def screen_digest() -> str:
    """Return the screen's version, and what changes with its phrases or with the tiers."""
    return f"{VERSION}-{digest([FILE.read_text(encoding='utf-8'), list(tiers())], 8)}"


@lru_cache(maxsize=16_384)  # every condition answers the same questions
def tier(message: str) -> str:
    """Return the tier of a person's message."""
    sentences = _sentences(message)
    found = _signs(sentences)
    if not found:
        return NONE
    if _is_immediate(found, sentences):
        return IMMEDIATE
    return max((shown for _, shown in found), key=tiers().index)


def tiers_of(contexts: Sequence[str], given: Sequence[str | None] | None = None) -> list[str]:
    """Return the tier of each message: as given, or the screen's where none is.

    Args:
        contexts: The messages.
        given: Tiers by a column of the data; null: there is no such column. A null in it, or an
            empty text, leaves that message to the screen. Case and blanks around do not matter.

    Raises:
        ValueError: A given tier is none of ``tiers``; ``unknown_tiers`` names them beforehand.
    """
    if given is None:
        return [tier(context) for context in contexts]
    labels = [_label(value) for value in given]
    if wrong := set(labels) - {"", *tiers()}:
        raise ValueError(f"unknown tiers {sorted(wrong)}; expected one of {', '.join(tiers())}")
    return [label or tier(of) for label, of in zip(labels, contexts, strict=True)]


def unknown_tiers(given: Sequence[str | None]) -> dict[str, list[int]]:
    """Return each value that is no tier → the places where it stands, from 0."""
    found: dict[str, list[int]] = {}
    for place, value in enumerate(given):
        if _label(value) not in ("", *tiers()):
            found.setdefault(str(value), []).append(place)
    return found


def _label(value: str | None) -> str:
    return (value or "").strip().casefold()


# ---------------------------------------------------------------------------- a message


def _sentences(message: str) -> list[str]:
    """Return the sentences of a message as the phrases expect them."""
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", as_read(message))).casefold()
    text = _QUOTES.sub(" ", _APOSTROPHES.sub("", text))
    return [s for part in _SENTENCE.split(text) if (s := _BLANKS.sub(" ", part).strip())]


def _bare(sentence: str) -> str:
    """Return a sentence without what is no sign."""
    known = phrases()
    return known.denied.sub(" , ", known.passed_over.sub(" , ", sentence))


def _signs(sentences: Sequence[str]) -> list[Sign]:
    """Return every sign, in the order of the sentences, weak ones last."""
    bare = [_bare(sentence) for sentence in sentences]
    reserved = phrases().alone[_RESERVED]
    found = [(_RESERVED, PASSIVE)] * any(reserved.search(sentence) for sentence in sentences)
    found += [sign for sentence in bare for sign in _alone(sentence)]
    return found + _together(bare)


def _alone(sentence: str) -> list[Sign]:
    known = phrases()
    past = known.time["history"].search(sentence) and not known.time["now"].search(sentence)
    return [
        (name, ACTIVE if name in _ACTIVE and not past else PASSIVE)
        for name, pattern in known.alone.items()
        if name != _RESERVED and pattern.search(sentence)
    ]


def _together(sentences: Sequence[str]) -> list[Sign]:
    """Return weak signs, of which there must be two: a veiled plan may also have two parts."""
    known = phrases().together
    classes = [name for name, p in known.items() if any(p.search(s) for s in sentences)]
    parts = {match.group() for s in sentences for match in known[_VEILED].finditer(s)}
    if len(classes) < 2 and len(parts) < 2:
        return []
    shown = ACTIVE if _VEILED in classes else PASSIVE
    return [(name, shown) for name in classes]


def _is_immediate(found: Sequence[Sign], sentences: Sequence[str]) -> bool:
    """Tell whether there is more than thoughts."""
    known, bare = phrases(), [_bare(sentence) for sentence in sentences]
    lately = [s for s in bare if not known.time["history"].search(s)]
    if any(known.immediate["intent"].search(s) for s in lately):
        return True
    explicit, attempt = known.alone["explicit"], known.alone["attempt"]
    if any(known.time["soon"].search(s) and explicit.search(s) for s in bare):
        return True
    if any(known.time["just_now"].search(s) and attempt.search(s) for s in bare):
        return True
    deadly = any(name not in _NOT_DEADLY for name, _ in found)
    if deadly and any(known.immediate["prepared"].search(s) for s in lately):
        return True
    text = " . ".join(sentences)
    parts = (known.immediate["planned"], known.immediate["place"], known.method)
    return any(shown == ACTIVE for _, shown in found) and all(p.search(text) for p in parts)
