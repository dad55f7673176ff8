"""Characters that a text has because it was decoded wrongly before it came here. Pure.

``â€™`` stands for an apostrophe, ``Ã©`` for ``é``: UTF-8 that a program took for cp1252 (or
Latin-1). What they were can be told, but not which texts of a file were decoded so; so they are
counted and named, and nothing is changed.
"""

import re


def _continuation() -> str:
    """Return what a program makes of the bytes 0x80 to 0xBF, for a class of a pattern."""
    alone = bytes(range(0x80, 0xC0))
    windows = alone.decode("cp1252", errors="ignore")
    return re.escape("".join(dict.fromkeys(windows + alone.decode("latin-1"))))


_MORE = f"[{_continuation()}]"
_OPEN = "[\u2019\u201d\u2026\u00bb\u2013\u2014]"
"""What may follow a letter with an accent in a text that is right."""
_MISREAD = re.compile(
    rf"[\u00c2\u00c3](?!{_OPEN}){_MORE}"  # accents of Western Europe, and a no-break space
    rf"|[\u00e2-\u00e9](?!{_OPEN}){_MORE}{{2}}"  # marks, dashes; Chinese, Japanese, Korean
    rf"|\u00f0(?!{_OPEN}){_MORE}{{3}}"  # emoji
    rf"|(?:[\u00ce\u00cf\u00d0\u00d1](?!{_OPEN}){_MORE}){{2,}}"  # Greek, Cyrillic
)


MAYBE_MISREAD = r"[\u00c2\u00c3\u00ce-\u00d1\u00e2-\u00e9\u00f0][^\x00-\x7f]"
"""What every text matches in which something was; for many texts, as polars reads it."""


def misread(text: str) -> tuple[str, str] | None:
    """Return the first characters of a text that were decoded wrongly, and what they were.

    Null where there are none.
    """
    if text.isascii():
        return None
    for match in _MISREAD.finditer(text):
        if (meant := _meant(match[0])) is not None:
            return match[0], meant
    return None


def _meant(written: str) -> str | None:
    """Return the text whose UTF-8 was taken for cp1252; null if no bytes of UTF-8 give it."""
    try:
        return b"".join(map(_byte, written)).decode("utf-8")
    except UnicodeError:
        return None


def _byte(character: str) -> bytes:
    """Return the byte of a character in cp1252; where that has none, in Latin-1."""
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
