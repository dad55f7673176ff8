"""Postal addresses, and dates that a text says someone was born on. Pure."""

from collections.abc import Iterator

import regex  # type: ignore[import-untyped]  # has no stubs

from empathy_core.personal.spans import Span, groups

# ---------------------------------------------------------------------------- addresses

_STREETS = (
    "Street", "St", "Avenue", "Ave", "Road", "Rd", "Boulevard", "Blvd", "Lane", "Ln", "Drive",
    "Dr", "Court", "Ct", "Place", "Terrace", "Square", "Highway", "Hwy", "Parkway", "Pkwy",
    "Close", "Crescent", "Circle",
)  # fmt: skip
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|"
    "NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC"
)
_ADDRESSES = (
    r"[0-9]{1,5}[A-Za-z]?,? (?:[NSEW]{1,2}\.? )?"
    r"(?:\p{Lu}[\p{L}'\u2019.]{1,20} |[0-9]{1,3}(?:st|nd|rd|th) ){1,3}"
    rf"(?:{'|'.join(_STREETS)})\b\.?(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?[0-9]{{1,5}}[A-Za-z]?)?",
    r"\p{Lu}[\p{L}-]{1,25}(?:stra(?:\u00df|ss)e|str\.|weg|platz|allee|gasse) [0-9]{1,4}"
    r"(?: ?[a-z])?",
    r"[0-9]{1,4}(?: bis| ter)?,? (?:rue|avenue|boulevard|place) (?:d(?:e|u|es) |de la |d['\u2019])?"
    r"\p{Lu}[\p{L}'\u2019-]{2,25}",
    r"P\.? ?O\.? Box [0-9]{1,6}",
    rf"(?:{_STATES}),? [0-9]{{5}}(?:-[0-9]{{4}})?",
    r"[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][ABD-HJLNP-UW-Z]{2}",
)
_ADDRESS = regex.compile(rf"(?<![\w.,-])(?P<found>{'|'.join(_ADDRESSES)})(?![\w-])")
ADDRESS_HINTS = (  # bounded repetitions, which the patterns have, are slow to look for
    rf"[0-9].* (?:{'|'.join(_STREETS)})",
    r"[0-9].* ?(?:rue|avenue|boulevard|place) ",
    r"(?:stra(?:\u00df|ss)e|str\.|weg|platz|allee|gasse) [0-9]|Box [0-9]",
    rf"(?:{_STATES}),? [0-9]{{5}}",
    r"[0-9][0-9A-Z]? [0-9][A-Z]{2}",
)


def addresses(text: str) -> Iterator[Span]:
    """Yield where a street with its number, a PO box, a US ZIP or a British postcode stands.

    Streets are known by English, German and French words; other places are not found.
    """
    return groups(_ADDRESS, text)


# ---------------------------------------------------------------------------- dates of birth

BIRTH_HINTS = (r"(?i:born|birth|\bd\.?o\.?b|geboren|naissance|n\u00e9e? le|naci|nacim)",)
_MONTHS = (
    "jan(?:uary|uar)?|feb(?:ruary|ruar)?|m(?:arch|ar|\u00e4rz)|apr(?:il)?|ma[iy]|june?|juni|july?|"
    "juli|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?|janvier|"
    "f\u00e9vrier|mars|avril|juin|juillet|ao\u00fbt|septembre|octobre|novembre|d\u00e9cembre|enero|"
    "febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
)
_YEAR = r"(?:,? (?:de )?[0-9]{4})"
_DATES = (
    r"[0-9]{1,2}(?P<sign>[./-])[0-9]{1,2}(?P=sign)(?:[0-9]{4}|[0-9]{2})|[0-9]{4}-[0-9]{2}-[0-9]{2}|"
    rf"[0-9]{{1,2}}(?:st|nd|rd|th|\.)? (?:of |de )?(?:{_MONTHS})\b\.?{_YEAR}?|"
    rf"(?:{_MONTHS})\b\.? [0-9]{{1,2}}(?:st|nd|rd|th)?{_YEAR}?"
)
_BIRTH = regex.compile(
    r"\b(?:born(?: on)?|date of birth|birth ?da(?:y|te)|d\.?o\.?b\.?|geboren(?: am)?|geburtsdatum|"
    r"date de naissance|n\u00e9e? le|fecha de nacimiento|nac\u00ed(?: el)?|nacid[oa] el)"
    rf"(?:\s?:|,? (?:is|was|ist|est|es)(?: on)?)?(?: the)?\s{{1,2}}(?P<found>{_DATES})(?![\w/])",
    regex.IGNORECASE,
)


def birth_dates(text: str) -> Iterator[Span]:
    """Yield where dates stand that the text says are of a birth; a year alone is none."""
    return groups(_BIRTH, text)
