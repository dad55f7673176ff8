"""LaTeX → the numbers in it that an author typed as results. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from reports.claims import tabular
from reports.claims.blank import blanked, is_setting, without_generated
from reports.claims.claim_files import is_ignored
from reports.claims.expand import definitions, expanded
from reports.claims.manuscript import Place, TexFile
from reports.claims.statements import Digits

NEAR_BEFORE, NEAR_AFTER = 200, 60
"""Characters around a number that may say what it is of."""

WrittenForm = Literal["value", "p", "beside", "ratio", "relative"]
WrittenRelation = Literal["=", "<", ">", "<=", ">="]

_GLUE = r"(?:\s|~|\$|\\[,;:! ]|\{\})*"
_GROUP = r"(?:,|\\,|\{,\}|\N{THIN SPACE}|\N{NARROW NO-BREAK SPACE})"
_MANTISSA = (
    rf"[1-9]\d{{0,2}}(?:{_GROUP}\d{{3}})+(?:\.\d+)?(?!{_GROUP}?\d)"  # 1,234.56
    r"|0(?:,|\{,\})\d{2,}|\d{1,3}\{,\}\d{1,2}|\d{1,3},\d{1,2}(?=\s*\\%)"  # 0,77; 77{,}8
    r"|\d*[.\N{MIDDLE DOT}]\d+|\d+"
)
_EXPONENT = (
    r"[eE][-+\N{MINUS SIGN}]?\d+"
    rf"|{_GLUE}(?:\\times|\\cdot|\N{{MULTIPLICATION SIGN}}){_GLUE}10"
    r"(?:\s*\^\s*\{?\s*[-\N{MINUS SIGN}]?\s*\d+\s*\}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
)
_PERCENT = (
    r"(?:\s|~|\$|\\[,;:! ]|[{}-])*"
    r"(?:\\%|percent\b|per\s?cent\b|percentage[ -]points?\b|pp\b|\\percent\b)"
)
_NUMBER = re.compile(
    r"(?<![0-9_.^])(?:(?<![A-Za-z])|(?<=\\pm)|(?<=\\approx)|(?<=\\le)|(?<=\\leq)|(?<=\\ge)|(?<=\\geq)|(?<=\\sim))"
    rf"(?<![A-Za-z]-)(?P<mantissa>{_MANTISSA})"
    rf"(?P<exponent>{_EXPONENT}|(?<=10)\s*\^\s*\{{?\s*[-\N{{MINUS SIGN}}]\s*\d+\s*\}}?)?"
    rf"(?P<last>\(\d{{1,4}}\))?(?![A-Za-z0-9]|\.\d)(?P<percent>{_PERCENT})?"
)
_COMMA = re.compile(r"(?<![\w.,])\d{1,3},\d{1,4}(?![\w,])")
_WITH_COMMAS = re.compile(r"(?<![\d.,\[(])0,\d{2,}|\d\{,\}\d{1,2}(?!\d)")
"""Somewhere in a text whose decimal sign is the comma."""

_DIMENSION = (
    r"(?:pt|em|ex|cm|mm|in|bp|pc|sp|mu|fill?l?)\b|\s*\\[A-Za-z]*(?:width|height|skip|sep)\b"
)
_UNIT = (
    r"(?:\s|~|\\[,;: ]|-|\$)*(?:hours?|hrs?|h|minutes?|min|seconds?|secs?|s|ms|[\N{MICRO SIGN}un]s|"
    r"days?|weeks?|months?|years?|[KMGTP]i?B|[KMB]|billion|million|thousand|[kMGT]?Hz|[kM]?bps|"
    r"parameters?|params|bits?|bytes?|tokens?|words|sentences|characters|epochs?|steps?|examples|rows|answers|"
    r"questions|samples|participants|raters|people|users|GPU\S*|CPU\S*|cores?|kWh|k?W|k?g|"
    r"[kcmn\N{MICRO SIGN}]?m|"
    r"[EPTG]?FLOPS?|USD|EUR|GBP|dollars|euros|pounds|cents|"
    r"(?:standard deviations|\\?\N{DEGREE SIGN}))(?![A-Za-z])"
)
_CONFIDENCE = r"(?:\s|~|-)*(?:confidence|credible|bootstrap|CI|CIs|interval|intervals|quantile)\b"
_SHARE = (
    r"(?:\s|~)*(?:\([^()]*\)\s*)?(?:of\s+(?:the\s+|our\s+|all\s+)?)?(?:for\s+)?"
    r"(?:train(?:ing)?|validation|development|dev|test(?:ing)?)\b(?!\s+answers)"
)
_AFTER = re.compile(rf"{_DIMENSION}|{_UNIT}|{_CONFIDENCE}")
_TIMES = re.compile(rf"{_GLUE}(?:times\b|-?\s?fold\b|\\times\b|\N{{MULTIPLICATION SIGN}}|x\b)")
_COST = re.compile(
    r"[^.;]{0,40}\b(?:fast|slow|cheap|small|large|big|long|speed|memory|cost|comput|paramet|token|"
    r"latenc|through)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    rf"{_GLUE}(?:points?\s+)?(?:higher|lower|more|less|better|worse|fewer|above|below|relative|"
    r"increase|decrease|improvement|reduction|drop|gain|of (?:that|the score))\b"
)
_BEFORE = re.compile(
    r"(?:[Ss]ections?|[Ss]ec\.|\\S|\N{SECTION SIGN}|[Tt]ables?|[Ff]igures?|[Ff]ig\.|[Ee]quations?|"
    r"[Ee]q\.|[Aa]ppendix|[Cc]hapter|[Ll]isting|[Aa]lgorithm|[Tt]heorem|[Ll]emma|[Ss]tep|[Ii]tem|"
    r"[Vv]ersions?|[Rr]elease|\bv|Python|PyTorch|[Tt]ransformers|CUDA|[Ll]icen[cs]e|"
    r"CC[- ]BY(?:-\w+)*|Apache|GPL|Ubuntu|\\\$|\$\\\$|\N{EURO SIGN}|\N{POUND SIGN}|USD|EUR|[=<>]=)"
    r"(?:\s|~|\{|-)*$"
)
_CITES = re.compile(r"\\[A-Za-z]*[cC]ite")
_CELL_OF_NONE = re.compile(
    r"(?i:learning[ -]rate|weight[ -]decay|dropout|temperature|warm-?up|momentum|threshold|"
    r"patience|\b(?:hours?|minutes|seconds|runtime|time|param(?:eter)?s|memory|price|cost|latency|throughput|"
    r"version|release|year)\b)|\bGB\b|\bLR\b"
)
"""Row or head of a cell that holds a setting or a quantity."""
_SIGNS: Mapping[str, WrittenRelation] = {
    "=": "=", "\\approx": "=", "\\sim": "=", "\\simeq": "=", "\N{ALMOST EQUAL TO}": "=",
    "of": "=", "is": "=", "was": "=",
    "<": "<", "\\lt": "<", "\\ll": "<", "\\textless": "<", "below": "<", "under": "<",
    "less than": "<", "smaller than": "<", "fewer than": "<", "lower than": "<",
    ">": ">", "\\gt": ">", "\\gg": ">", "\\textgreater": ">", "above": ">", "over": ">",
    "more than": ">", "larger than": ">", "greater than": ">", "higher than": ">", "exceeds": ">",
    "exceed": ">", "exceeding": ">",
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\N{LESS-THAN OR EQUAL TO}": "<=",
    "at most": "<=", "up to": "<=", "no more than": "<=",
    "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "at least": ">=", "no less than": ">=",
}  # fmt: skip
_SIGN = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
_RELATION = re.compile(rf"(?P<sign>{_SIGN})(?:[\s~${{}}]|\\[,;: ])*$")
_P = re.compile(
    r"(?<![A-Za-z\\])(?<!top-)(?<!top-\$)(?<!top )(?<!top \$)[pP](?:\s?-?\s?values?)?"
    r"(?:_(?:\w|\{(?:[^{}]|\{[^{}]*\})*\}))?"
    rf"(?:[\s~${{}}]|\\[,;: ])*(?P<sign>{_SIGN})(?:[\s~${{}}]|\\[,;: ])*$"
)
_BESIDE = re.compile(r"(?P<pm>\\pm|\N{PLUS-MINUS SIGN}|\+/?-)(?:[\s~${}]|\\[,;: ])*$")
_SCRIPT = re.compile(
    r"(?P<base>\S)\s*(?:\^\s*\{[^{}]*\}\s*)?[_^]\s*\{\s*(?P<sign>[-+\N{MINUS SIGN}])?\s*$"
)
_LIST = r"(?:--?|\N{EN DASH}|,|;|to\b|and\b)"
_OPENED = re.compile(rf"(?:[\[(]|\d(?:\\?%)?[\s$~]*{_LIST})[\s$~]*[-+\N{{MINUS SIGN}}]?\s*$")
_CLOSED = re.compile(rf"[\s$~]*(?:[\])]|{_LIST}[\s$~]*[-+\N{{MINUS SIGN}}]?\s*[\d.])")
_INTERVAL = re.compile(r"interval|\bCIs?\b|confidence|bound|between|range", re.IGNORECASE)

_STOP = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\bcf)(?<!\bal)(?<![Ff]ig)(?<!\b[Ee]q)(?<!\b[Ss]ec)"
    r"(?<!\b[Tt]ab)(?<!\bresp)(?<!approx)[.!?](?=[\s}')~]|$)"
    r"|\n\s*\n|\\(?:item|section|subsection|subsubsection|paragraph|caption|footnote|par)(?![A-Za-z])"
    r"|\\(?:begin|end)\{|\\\\"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A typed number that may be a result, with the text around it.

    Attributes:
        before: The text before it, as is *after* that behind it.
        sentence: What is said of it: its sentence; of a cell, the words of row and head.
        form: ``p``: of a test. ``beside``: after plus-minus, or small below the number before.
            ``ratio``: so many times. ``relative``: so many percent more.
        relation: To what it is typed for: ``<`` where the text says less than this.
        sure: Two decimals or more, or a percentage with a decimal; else it takes a name beside it.
        bounds: Whether it stands where bounds of intervals do.
        subscript: Beside the number before, without plus-minus.
        cited: Its sentence cites other work.
    """

    place: Place
    digits: Digits
    before: str
    after: str
    sentence: str
    form: WrittenForm = "value"
    relation: WrittenRelation = "="
    sure: bool = True
    bounds: bool = False
    subscript: bool = False
    cited: bool = False


def numbers(file: TexFile, macros: Mapping[str, str] | None = None) -> Iterator[Number]:
    """Yield the decimals, percentages and p that may be results.

    Left out: what ``% claims: ignore`` stands beside, what the suite wrote itself, arguments of
    commands that hold none, lengths, formulas but for what they come to, versions, dates,
    sections, sums of money, quantities with a unit, settings of a training, levels of confidence.

    Args:
        file: Where they stand.
        macros: Name → body of the author's macros; null: those of *file*.
    """
    if file.generated:
        return
    ignored = {c.place.line for c in file.comments if is_ignored(c.text)}
    written = definitions([file]) if macros is None else macros
    source = expanded(without_generated(file), written)
    text = blanked(source.text)
    around = _Around(text, tabular.cells(source.text, text))
    for found in _matches(text):
        line = file.line(source.origins[found.start("mantissa")])
        if line not in ignored and (number := around.number(found, Place(file.name, line))):
            yield number


def _matches(text: str) -> Iterator[re.Match[str]]:
    """Yield every number, those with a decimal comma too where the text has such."""
    if not _WITH_COMMAS.search(text):
        yield from _NUMBER.finditer(text)
        return
    dotted = list(text)
    for found in _COMMA.finditer(text):
        group = re.fullmatch(r"[1-9]\d{0,2},\d{3}", found[0])
        if not group:
            dotted[found.start() + found[0].index(",")] = "."
    yield from _NUMBER.finditer("".join(dotted))


class _Around:
    """The text around each number: its sentence, or its row and head."""

    def __init__(self, text: str, cells: tuple[tabular.NumberCell, ...]) -> None:
        self.text, self.cells = text, cells
        self.stops = [0, *(m.end() for m in _STOP.finditer(text)), len(text)]

    def number(self, found: re.Match[str], place: Place) -> Number | None:
        """Return what was *found* as a number; null if it can be no result."""
        start, end = found.start("mantissa"), found.end()
        near, cell = self.text[max(0, start - 80) : start], tabular.at(self.cells, start)
        script = _SCRIPT.search(near)
        if script and not re.match(r"[\d})]", script["base"]):
            return None  # an exponent, or the index of a name
        digits = _digits(found)
        if digits is None:
            return None
        behind = bisect_right(self.stops, start)
        opened = self.stops[behind - 1]
        sentence = self.text[opened : self.stops[min(behind, len(self.stops) - 1)]]
        form, relation = self._form(found, near, cell, scripted=script is not None)
        if form == "value" and self._is_none(found, near, digits, cell):
            return None
        if "." not in digits.text and not digits.percent and form != "p":
            return None
        before = self.text[max(0, start - NEAR_BEFORE) : start]
        after = self.text[end : end + NEAR_AFTER]
        return Number(
            place, digits, before, after, sentence if cell is None else cell.words, form, relation,
            sure=_is_sure(digits),
            bounds=bool(_OPENED.search(near) or _CLOSED.match(after) or _INTERVAL.search(sentence)),
            subscript=script is not None and not script["sign"] and form == "beside",
            cited=cell is None and bool(_CITES.search(sentence)),
        )  # fmt: skip

    def _form(
        self, found: re.Match[str], near: str, cell: tabular.NumberCell | None, *, scripted: bool
    ) -> tuple[WrittenForm, WrittenRelation]:
        p, beside = _P.search(near), _BESIDE.search(near)
        relation = _RELATION.search(near)
        sign: WrittenRelation = _SIGNS[relation["sign"]] if relation else "="
        if p or (cell and re.search(r"(?<![A-Za-z])[pP](?![A-Za-z])", cell.head)):
            return "p", _SIGNS[p["sign"]] if p else sign
        if beside or scripted:
            return "beside", "="
        if _TIMES.match(self.text, found.end()) and not found["percent"]:
            costly = _COST.match(self.text, found.end())
            return ("ratio", "=") if not costly else ("value", sign)
        if found["percent"] and _RELATIVE.match(self.text, found.end()):
            return "relative", sign
        return "value", sign

    def _is_none(
        self, found: re.Match[str], near: str, digits: Digits, cell: tabular.NumberCell | None
    ) -> bool:
        """Tell whether what stands beside a number says that it is no result."""
        if cell is not None:
            return bool(_CELL_OF_NONE.search(cell.words))
        end = found.end()
        if _AFTER.match(self.text, end) or _TIMES.match(self.text, end) or _BEFORE.search(near):
            return True
        if is_setting(near) or (found["percent"] and re.match(_SHARE, self.text[end:])):
            return True
        return bool(re.fullmatch(r"(?:19|20)\d\d\.\d\d", digits.text))


def _digits(found: re.Match[str]) -> Digits | None:
    """Return what was found as a number; null where it is a bare count."""
    mantissa, exponent, percent = found["mantissa"], found["exponent"], bool(found["percent"])
    plain = mantissa
    if re.match(rf"[1-9]\d{{0,2}}(?:{_GROUP}\d{{3}})+(?:\.|$)", plain):
        plain = re.sub(_GROUP, "", plain)
    plain = re.sub(r"\{,\}|,|\N{MIDDLE DOT}", ".", plain)
    if exponent and mantissa == "10" and not re.search("[eE]|times|cdot", exponent):
        plain = "1"  # 10^{-3} alone
    power = _power(exponent) if exponent else 0
    if percent and "." not in plain and float(plain) == 0 and len(plain) > 1:
        return None
    text = re.sub(r"[\s~$]|\\[,;:! ]", "", mantissa + (exponent or "")).replace("{,}", ",")
    shown = (plain if not exponent else text) + "%" * percent
    return Digits.scaled(shown, plain, power, percent=percent)


def _power(exponent: str) -> int:
    """Return the power of ten that an exponent says."""
    plain = exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹\N{MINUS SIGN}", "-0123456789-"))
    tail = plain.partition("10")[2] if "10" in plain and plain[0] not in "eE" else plain
    return int(re.sub(r"[^-0-9]", "", tail))


def _is_sure(digits: Digits) -> bool:
    """Tell whether a number is written as results are, whatever is said around it."""
    if digits.percent:
        return digits.decimals > 0
    return digits.decimals > 1 and (digits.decimals > 2 or digits.value not in (0.0, 1.0))
