"""The phrases of ``phrases.toml``, compiled."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("phrases.toml")


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is searched in a sentence.

    Attributes:
        alone: Class → what shows it by itself.
        together: Class → what shows it beside another of these classes only.
        passed_over: What is no sign, whatever stands in it.
        denied: What says that there is no risk.
        time: ``history``, ``now``, ``soon``, ``just_now``.
        immediate: ``intent``, ``prepared``, ``planned``, ``place``.
        method: A word that names a way to die or to harm oneself.
    """

    alone: Mapping[str, re.Pattern[str]]
    together: Mapping[str, re.Pattern[str]]
    passed_over: re.Pattern[str]
    denied: re.Pattern[str]
    time: Mapping[str, re.Pattern[str]]
    immediate: Mapping[str, re.Pattern[str]]
    method: re.Pattern[str]


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """Return the phrases that ship."""
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> Phrases:
    """Return the phrases of a file with this *text*."""
    table: Mapping[str, Any] = tomllib.loads(text)
    words = _spelled_out(table["words"])

    def each(name: str) -> dict[str, re.Pattern[str]]:
        return {key: _any_of(of, words) for key, of in table[name].items()}

    return Phrases(
        alone=each("shown_alone"),
        together=each("shown_together"),
        passed_over=each("passed_over")["phrases"],
        denied=each("denied")["phrases"],
        time=each("time"),
        immediate=each("immediate"),
        method=each("methods")["patterns"],
    )


def _spelled_out(words: Mapping[str, str]) -> dict[str, str]:
    """Return the words, those that stand inside a later one filled in."""
    known: dict[str, str] = {}
    for name, pattern in words.items():
        known[name] = _filled(pattern, known)
    return known


def _any_of(patterns: Sequence[str], words: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_filled(pattern, words)})" for pattern in patterns))


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda name: words[name.group(1)], pattern)
