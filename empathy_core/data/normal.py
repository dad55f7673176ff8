"""What makes two texts the same to us: their normal form. Pure.

Case, spaces, and the punctuation of sentences do not tell texts apart, since copies of a text
differ in them. Everything else does: letters, digits, marks (without them Thai and Hindi words
become others), symbols (an emoji, ``C++``), and signs at digits (1.5 mg is not 15 mg).
"""

import re
import unicodedata

from empathy_core.types import digest

LETTER_OR_DIGIT = re.compile(r"[^\W_]")

_SPELLINGS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys("\u2018\u2019\u201b\u2032\u00b4\uff07", "'"),
    **dict.fromkeys("\u201c\u201d\u2033\uff02", '"'),
    # what NFKC would make a plain digit of: 10² is not 102
    **{
        c: f"^{i}"
        for i, c in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    },
}
"""Signs that are written in several ways, and the one of them that is taken."""
_SPELLING = re.compile(f"[{''.join(_SPELLINGS)}]")

_SIGNS = re.compile(
    r"\d([\W_]+)(?=\d)"  # 1.5, 2-3, 12:30, 5/7, 1 5
    r"|([-.])(?<![^\s(\[\"'][-.])(?=\d)"  # -5, .5
)
_IN_NAMES = "#%&@"
"""Punctuation to Unicode, but a part of names and numbers: C#, 5 %, R&D."""


def normalised(text: str) -> str:
    """Return the normal form of a text: equal for texts that are the same to us."""
    return _reduced(text, _JOINED)


def question_digest(context: str) -> str:
    """Return what rows of the same question share: their normal form."""
    return digest(normalised(context), 16)


def words(text: str) -> list[str]:
    """Return a text's words in their normal form; symbols are parts of words, or words."""
    return _reduced(text, _APART).split()


def _reduced(text: str, table: "_Rule") -> str:
    if text.isascii():
        text = text.casefold()
    else:  # NFKC twice, since a folded text may no longer be in it
        text = _SPELLING.sub(lambda match: _SPELLINGS[match[0]], text)
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    parts, done = [], 0
    for match in _SIGNS.finditer(text):
        begin, end = match.span(match.lastindex or 0)
        parts += [text[done:begin].translate(table), _sign(text[begin:end])]
        done = end
    return "".join([*parts, text[done:].translate(table)])


def _sign(between: str) -> str:
    """Return what stands between two digits without spaces; of spaces alone, one."""
    seen = "".join(c for c in between if not c.isspace() and unicodedata.category(c) != "Cf")
    return seen or (" " if any(map(str.isspace, between)) else "")


class _Rule(dict[int, str | None]):
    """A character's code → what becomes of it; found out once a character."""

    def __init__(self, gap: str | None) -> None:
        super().__init__()
        self.gap = gap

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf" or _is_selector(code):  # joiners and the like stand within words
            kept = character if _is_tag(code) else None
        elif character in _IN_NAMES:
            kept = character
        else:
            kept = (
                self.gap if category[0] in "PZ" or category == "Cc" or code == 0x60 else character
            )
        self[code] = kept
        return kept


def _is_selector(code: int) -> bool:
    """Return whether a character only chooses between two drawings of the one before it."""
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def _is_tag(code: int) -> bool:
    """Return whether a character is of those that tell the flags of regions apart."""
    return 0xE0020 <= code <= 0xE007F


_JOINED, _APART = _Rule(None), _Rule(" ")
