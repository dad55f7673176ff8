"""Telephone numbers: digits that are one by the numbering plan of a country. Pure.

The plans are those of the library phonenumbers (Google's libphonenumber). Numbers of the list of
public services (``crisis/resources.toml``) are nobody's own, and answers are better with them.
"""

import re
from collections.abc import Iterator

from empathy_core.crisis.resources import public_digits
from empathy_core.personal.spans import Span

PHONE_HINTS = (
    r"[0-9][ ().\-/\u2010-\u2013\u00a0]{0,3}[0-9](?:[ ().\-/\u2010-\u2013\u00a0]{0,3}[0-9]){4}",
)
_BETWEEN = r"[ ().\-/\u2010-\u2013\u00a0]{0,3}"
_CANDIDATE = re.compile(
    rf"(?<![\w.,/#=&%$\u20ac\u00a3:-])(?:\+{_BETWEEN}|\(?)[0-9](?:{_BETWEEN}[0-9]){{6,14}}"
    r"(?![\w%]|[.,:/-][0-9])"
)
_DATE = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2}|(?:1[89]|20)\d\d\W{1,3}(?:1[89]|20)\d\d"
)
_SAID = re.compile(
    r"\b(?:call|text|phone|tel|telephone|mobile|mob|cell|number|whatsapp|sms)\b\W{0,3}(?:\w+\W{1,3}){0,3}$",
    re.IGNORECASE,
)
_WITH_TRUNK_0 = ("GB", "DE", "FR", "IE", "NL", "AT", "CH", "BE", "SE", "AU", "NZ", "ZA", "IN")
"""Countries whose numbers are looked for without a country code: at home they begin with 0."""


def phones(text: str) -> Iterator[Span]:
    """Yield where telephone numbers stand: international, of North America, or beginning with 0.

    Without a + the digits must be in groups, or stand behind a word such as ``call``, since a
    price or an ISBN has as many.
    """
    for match in _CANDIDATE.finditer(text):
        said = _SAID.search(text, max(0, match.start() - 40), match.start()) is not None
        if not _DATE.fullmatch(match[0]) and _is_phone(match[0], said=said):
            yield match.span()


def _is_phone(written: str, *, said: bool) -> bool:
    digits = re.sub(r"\D", "", written)
    own = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    if own in public_digits() or digits in public_digits():
        return False
    if written.startswith("+"):
        return _valid("+" + digits, None)
    if not said and len(re.findall(r"[0-9]+", written)) < 2:
        return False
    if digits.startswith("00"):
        return _valid("+" + digits[2:], None)
    if digits.startswith("0"):
        return any(_valid(digits, region) for region in _WITH_TRUNK_0)
    return len(own) == 10 and _valid(own, "US")


def _valid(digits: str, region: str | None) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False
