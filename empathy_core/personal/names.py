"""Names where a text says that one follows: a greeting, a signature, an introduction. Pure.

A name in the middle of a sentence has no form that tells it from other words in capitals. A title
(``Dr.``) is left where it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import regex  # type: ignore[import-untyped]  # has no stubs

from empathy_core.personal.spans import Span

# ---------------------------------------------------------------------------- words

_GREETINGS = (
    "Dear(?:est)?|Hi|Hello|Hey|Hiya|Greetings|Good (?:morning|afternoon|evening)|Thanks|Thank you|"
    "Liebe[rs]?|Hallo|Sehr geehrter?|Guten (?:Tag|Morgen|Abend)|Ch(?:er|\u00e8re)|Bonjour|Bonsoir|"
    "Querid[oa]|Estimad[oa]|Hola|Buenos d\u00edas"
)
_CLOSINGS = "|".join((
    r"(?:(?:kind|kindest|best|warm|warmest|with|all the|my|very) ){0,3}(?:regards|wishes|best)"
    r"(?: (?:to|for) you(?: both| all)?)?",
    "wishing you (?:all )?(?:the (?:very )?best|well|luck)",
    "i wish you (?:all )?(?:the best(?: of luck)?|well)",
    "(?:yours? |very )?(?:sincerely|faithfully|truly|respectfully|warmly|cordially)(?: yours?)?",
    "yours", "take (?:good )?care(?: of yourself)?", "(?:be|stay) (?:well|safe|strong)",
    "(?:best of |good )luck(?: to (?:you(?: both)?|both of you))?", "cheers", "hugs", "peace",
    "(?:much |lots of |with )?love", "(?:many )?thanks(?: again)?", "(?:many )?blessings",
    "thank you(?: so much| very much| for reading)?", "(?:i )?hope (?:this|that|it) helps",
    "in solidarity", "god bless(?: you(?: both)?)?", "with (?:care|gratitude|compassion|warmth)",
    "namaste", "xo(?:xo)?",
    "(?:viele |liebe |herzliche |beste |mit freundlichen )gr\u00fc(?:\u00df|ss)en?",
    "alles gute", "cordialement", "bien \u00e0 vous", "amiti\u00e9s",
    "(?:un )?(?:abrazo|saludos)(?: cordiales)?", "atentamente",
))  # fmt: skip
_INTRODUCTIONS = (
    r"my (?:\w{2,12}(?:['\u2019]s)? )?name(?: is|['\u2019]s)|(?:you can |please |just )?call me|"
    r"i(?:['\u2019]m| am) called|i go by|named|mein name ist|ich hei(?:\u00dfe|sse)|"
    r"je m['\u2019]appelle|mon nom est|me llamo|mi nombre es"
)
_RELATIVES = (
    "husband|wife|boyfriend|girlfriend|partner|fianc\u00e9e?|fiancee?|ex|son|daughter|brother|sister|"
    "mother|father|mom|mum|dad|(?:best )?friend|boss|cousin|aunt|uncle|roommate|therapist"
)
_TITLE = (
    r"(?:(?:Dr|Drs|Mr|Mrs|Ms|Mx|Miss|Prof|Professor|Doctor|Doc|Rev|Father|Sister|Pastor|Coach|Sir|"
    r"Frau|Herrn?|Mme|Madame|Monsieur|Mlle|Sra?|Se\u00f1ora?|Dra)\.?\s)"
)
_DEGREES = (
    r"(?:L\.?P\.?C\.?C?(?:-?[A-Z]{1,2})?|LMHC[AP]?|LMFT-?[AS]?|LCSW-?[CR]?|LICSW|LMSW|LSCSW|LADC|LCPC|LCMHC|"
    r"LPCMH|LPCA|LMAC|LAC|LCADC|MFT-?[CI]?|MFTI|MFCC|Ph\.?D\.?|Psy\.?D\.?|M\.?D\.?|Ed\.?[DS]\.?|"
    r"D\.?B\.?H\.?|NCC|CASAC|M\.?A\.?|M\.?S\.?W\.?|M\.?S\.?|M\.?Ed\.?|RP|RCC|R\.?N\.?|CCTP|CADC|"
    r"CHt|CPC)"
)
"""Degrees and licences of those who give counsel."""
_WORD = r"(?:\p{Lu}['\u2019])?\p{Lu}\p{Ll}+(?:['\u2019-]?\p{Lu}\p{Ll}+)?"
_FULL = (
    rf"(?P<found>(?:\p{{Lu}}\.[ ]?){{0,2}}{_WORD}(?:\s\p{{Lu}}\.?(?=\s))?"
    rf"(?:[ ]{_WORD}){{0,2}}(?:[ ]\p{{Lu}}\.)?)"
)
_TAIL = rf"(?:,? {_DEGREES}(?!\w)){{0,5}}"
_END = rf"{_TAIL}(?=[\s.~!)]{{0,3}}$|\s?[~(])"
"""Where a signature ends: at the end of the text, or before the writer's practice or address."""
_BEGIN = r"(?:^|(?<=[\n.!?\u2026:;\"\u201c(-]\s?))[ ]*"
"""Where a text, a line or a sentence begins."""


@lru_cache(maxsize=1)
def _not_names() -> frozenset[str]:
    """Return words that stand in a greeting or at an end and are nobody's name."""
    path = Path(__file__).with_name("not_names.txt")
    return frozenset(path.read_text(encoding="utf-8").split())


# ---------------------------------------------------------------------------- places


@dataclass(frozen=True, slots=True)
class NamePlace:
    """A place in a text where a name stands.

    Attributes:
        before: Regular expression of what stands before the name; without looking around, so that
            polars reads it, too.
        after: Of what stands behind it.
        begin: Of what stands before *before*.
        hint: What every text matches in which it is found; empty: *before* and a capitalised word.
        last: Only so many of the last characters of a text are looked at; 0 means all.
    """

    before: str
    after: str = ""
    begin: str = ""
    hint: str = ""
    last: int = 0

    @property
    def cheap(self) -> str:
        """See ``search.Finder``."""
        return self.hint or rf"{self.before}\p{{Lu}}[\p{{Ll}}'\u2019.]"

    @property
    def pattern(self) -> regex.Pattern[str]:
        """The whole, with the group ``found``."""
        return regex.compile(f"{self.begin}{self.before}{_FULL}{self.after}")


LAST = 200
"""Characters of a text in which a signature is looked for."""
_GREETED = rf"(?:{_GREETINGS})(?: to you| there)?,?\s"
_PLACES = (
    NamePlace(
        rf"{_GREETED}{_TITLE}{{0,2}}",
        r"(?=\s?(?:[,!.;:?\n\u2014\u2013~-]|$)| and | I\b)",
        _BEGIN,
    ),
    NamePlace(rf"{_GREETED}{_TITLE}{{1,2}}", begin=_BEGIN),
    NamePlace(
        rf"(?:^|[\s.!?,;:~(])(?i:{_CLOSINGS})[\s,.!~\u2026\u2014\u2013-]{{1,6}}{_TITLE}?",
        _END,
        last=LAST,
    ),
    NamePlace(
        rf"(?:^|[\n.!?,\"\u201d)]\s{{0,2}})[\u2014\u2013~-]{{1,2}}[ ]?{_TITLE}?",
        _END,
        last=LAST,
    ),
    NamePlace(rf"[\n.!?\u2026,~]\s{{0,3}}{_TITLE}", _END, last=LAST),
    NamePlace(
        r"[\n.!?\u2026]\s{1,3}",
        rf"{_TAIL}[\s~]{{0,3}}$",
        hint=r"\p{Lu}\p{Ll}+[^\p{Ll}]*$",
        last=LAST,
    ),
    NamePlace("", rf",? {_DEGREES}(?!\w)", r"(?<!\p{L})", rf" {_DEGREES}"),
    NamePlace(rf"\b(?:Hi|Hello|Hey)(?: there)?[,.!]? I(?: am|['\u2019]m) {_TITLE}?", r"(?=[.,!])"),
    NamePlace(rf"\b[Mm]y (?:{_RELATIVES}), ", r"(?=,)"),
    NamePlace(
        rf"\b(?i:{_INTRODUCTIONS})[,:]?\s{_TITLE}?",
        hint=r"(?i:name|call me|called|go by|hei(?:\u00df|ss)e|appelle|mon nom|llamo|nombre)",
    ),
)
NAME_HINTS = tuple(dict.fromkeys(place.cheap for place in _PLACES if not place.last))
NAME_ENDS = tuple(dict.fromkeys(place.cheap for place in _PLACES if place.last))


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[int, regex.Pattern[str], regex.Pattern[str]], ...]:
    """Return of each place how many last characters are looked at, its hint and its pattern."""
    return tuple((of.last, regex.compile(of.cheap), of.pattern) for of in _PLACES)


def names(text: str) -> Iterator[Span]:
    """Yield where names stand, without their titles."""
    for last, hint, pattern in _compiled():
        start = max(0, len(text) - last) if last else 0
        if hint.search(text, start):
            for match in pattern.finditer(text, start):
                if span := _named(match):
                    yield span


def _named(match: regex.Match[str]) -> Span | None:
    """Return where the first words of a match stand that can be a name; null if none can."""
    start, found = match.start("found"), match["found"]
    apart = list(takewhile(lambda word: word[1] in _not_names(), _words(found)))
    words = _words(found)[len(apart) :]
    kept = list(takewhile(lambda word: word[1] not in _not_names(), words))
    return (start + kept[0][0].start(), start + kept[-1][0].end()) if kept else None


def _words(text: str) -> list[tuple[regex.Match[str], str]]:
    """Return the words of a text, each with the form in which it is looked up."""
    return [(word, word[0].casefold().rstrip(".")) for word in regex.finditer(r"\S+", text)]
