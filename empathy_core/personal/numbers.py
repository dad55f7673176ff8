"""Numbers of bank accounts, payment cards and US social security, told by their checks. Pure."""

import re
from collections.abc import Iterator, Mapping

from empathy_core.personal.spans import Span, groups

# ---------------------------------------------------------------------------- bank accounts

IBAN_HINTS = (r"[0-9]{2}(?:[ ]?[A-Z0-9]){11}",)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_LENGTHS: Mapping[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20,
    "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
    "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30,
    "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24,
    "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29, "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country, of the registry that SWIFT keeps under ISO 13616."""


def ibans(text: str) -> Iterator[Span]:
    """Yield where IBANs stand whose length is their country's and whose check digits are right."""
    for match in _IBAN.finditer(text):
        length = _LENGTHS.get(match[0][:2], 0)
        end = _end_of(match[0], length)
        if end and is_iban(match[0][:end]):
            yield match.start(), match.start() + end


def _end_of(written: str, length: int) -> int:
    """Return behind which character *length* letters and digits stand, as a whole; 0 if none."""
    seen = 0
    for place, character in enumerate(written, start=1):
        seen += character != " "
        if seen == length:
            return 0 if written[place : place + 1].strip() else place
    return 0


def is_iban(written: str) -> bool:
    """Tell whether check digits are right: ISO 7064, MOD 97-10."""
    plain = written.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


# ---------------------------------------------------------------------------- payment cards

CARD_HINTS = (r"[0-9](?:[ -]?[0-9]){12}",)
_CARD = re.compile(r"(?<![0-9A-Za-z.+-])[2-6][0-9](?:[ -]?[0-9]){11,17}(?![0-9A-Za-z]|[.-][0-9])")
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"6(?:011|4[4-9]|5)"), (16, 17, 18, 19)),  # Discover
    (re.compile(r"3(?:0[0-5]|[689])"), (14, 15, 16, 17, 18, 19)),  # Diners Club
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),  # JCB
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile(r"5[06-8]|6"), tuple(range(12, 20))),  # Maestro
)


def cards(text: str) -> Iterator[Span]:
    """Yield where numbers stand that an issuer could have given out and whose check is right."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        known = any(who.match(digits) and len(digits) in lengths for who, lengths in _ISSUERS)
        if known and len(set(digits)) > 1 and is_luhn(digits):
            yield match.span()


def is_luhn(digits: str) -> bool:
    """Tell whether the last digit is the check digit: ISO/IEC 7812-1, Luhn's formula."""
    doubled = [int(d) * 2 if place % 2 else int(d) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


# ---------------------------------------------------------------------------- social security

SSN_HINTS = (r"[0-9]{9}", r"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}")
_AREA, _GROUP, _SERIAL = r"(?!000|666|9)[0-9]{3}", r"(?!00)[0-9]{2}", r"(?!0000)[0-9]{4}"
_WRITTEN = re.compile(
    rf"(?<![\w-])(?P<found>{_AREA}(?P<sign>[ -]){_GROUP}(?P=sign){_SERIAL})(?![\w-])"
)
_SAID = re.compile(
    r"\b(?:ssn|social security(?: number| no\.?)?)[\s:#]{0,3}(?:is |was )?"
    rf"(?P<found>{_AREA}{_GROUP}{_SERIAL})(?!\d)",
    re.IGNORECASE,
)


def ssns(text: str) -> Iterator[Span]:
    """Yield where US social security numbers stand, as the agency may give them out.

    Without hyphens or spaces only where the text says what it is.
    """
    yield from groups(_WRITTEN, text)
    yield from groups(_SAID, text)
