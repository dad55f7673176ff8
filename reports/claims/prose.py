"""LaTeX → the numbers in it that an author typed as results. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reports.claims.digits import Digits
from reports.claims.manuscript import MARKER, Place, TexFile
from reports.claims.read import is_ignored

NEAR_BEFORE, NEAR_AFTER = 200, 60
"""Characters around a number that may say what it is of."""

_NUMBER = re.compile(
    r"(?<![\w.^_])(?<!\d,)(?P<sign>[-+\N{MINUS SIGN}])?"
    r"(?P<digits>\d*\.\d{2,}(?P<percent>\s?\\%)?|\d+(?:\.\d+)?(?P<share>\s?\\%))"
    r"(?!\w|\.\d)"
)
_DIMENSION = (
    r"(?:pt|em|ex|cm|mm|in|bp|pc|sp|mu|fill?l?)\b|\s*\\[A-Za-z]*(?:width|height|skip|sep)\b"
)
_UNIT = (
    r"(?:\s|~|\\[,;: ]|-|\$)*(?:hours?|hrs?|h|minutes?|min|seconds?|s|ms|days?|years?|[KMGT]i?B|"
    r"[KMB]|billion|million|thousand|tokens?|words|epochs?|steps?|examples|rows|kWh|W|GPU\S*|"
    r"USD|EUR|dollars|euros|(?:\\times|\N{MULTIPLICATION SIGN})|\\?\N{DEGREE SIGN})(?![A-Za-z])"
)
_CONFIDENCE = r"(?:\s|~|-)*(?:confidence|credible|bootstrap|CI|CIs|interval|intervals)\b"
_AFTER = re.compile(rf"{_DIMENSION}|{_UNIT}|{_CONFIDENCE}")
_BEFORE = re.compile(
    r"(?:[Ss]ections?|[Ss]ec\.|\\S|\N{SECTION SIGN}|[Tt]ables?|[Ff]igures?|[Ff]ig\.|[Ee]quations?|"
    r"[Ee]q\.|[Aa]ppendix|[Cc]hapter|[Ll]isting|[Aa]lgorithm|[Vv]ersions?|[Rr]elease|\bv|"
    r"Python|PyTorch|[Tt]ransformers|CUDA|\\\$|\N{EURO SIGN}|\N{POUND SIGN}|[=<>]=)"
    r"(?:\s|~|\{)*$"
)
_LEVEL = re.compile(r"(?:\bp|\\alpha)\s*\$?\s*(?:<|>|=|\\leq?|\\geq?|\\ll)\s*\$?\s*$")
_LEVELS = (0.1, 0.05, 0.01, 0.005, 0.001, 0.0001)

_COMMANDS: dict[str, int] = {
    **dict.fromkeys(("res", "resci", "resn", "resp", "resfull"), 1),
    **dict.fromkeys(("ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref", "label"), 1),
    **dict.fromkeys(("url", "path", "doi", "arxiv", "href", "bibitem", "bibliography"), 1),
    **dict.fromkeys(("includegraphics", "input", "include", "usepackage", "documentclass"), 1),
    **dict.fromkeys(("vspace", "hspace", "color", "textcolor", "geometry", "hypersetup"), 1),
    **dict.fromkeys(("scalebox", "raisebox", "linespread", "cmidrule", "cline", "parbox"), 1),
    **dict.fromkeys(("setlength", "addtolength", "rule", "resizebox", "setcounter", "SI"), 2),
    **dict.fromkeys(("qty", "fontsize", "addtocounter"), 2),
    "definecolor": 3,
}
"""Commands → arguments of theirs that hold no result."""
_SPACED = ("spacing", "minipage", "subfigure", "subtable", "wrapfigure", "adjustbox", "multicols",
           "tabular", "tabular*", "tabularx", "tabulary", "longtable", "column")  # fmt: skip
_APART = re.compile(
    r"\\begin\{(?P<env>(?:equation|align|alignat|gather|multline|eqnarray|displaymath|math|"
    r"tikzpicture|axis|thebibliography)\*?)\}.*?\\end\{(?P=env)\}"
    r"|\\\[.*?\\\]|(?<!\\)\$\$.*?\$\$"
    r"|\\\\\*?\[[^\]\n]*\]"
    r"|\\renewcommand\*?\{?\\(?:arraystretch|baselinestretch)\}?\{[^{}]*\}"
    r"|\b\d{4}\.\d{4,5}(?:v\d+)?\b|\b10\.\d{4,}/\S+",
    re.DOTALL,
)
"""Formulas, pictures and references set apart; room between lines; arXiv and DOI."""
_GENERATED_END = re.compile(r"\\end\{(?:table\*?|longtable)\}")


@dataclass(frozen=True, slots=True)
class Number:
    """A typed number that may be a result, with the text around it."""

    place: Place
    digits: Digits
    before: str
    after: str


def numbers(file: TexFile) -> Iterator[Number]:
    """Yield the decimals of two digits or more, and percentages, that may be results.

    Left out: what ``% claims: ignore`` stands beside, what the suite wrote itself, arguments of
    commands that hold none, lengths, formulas set apart, versions, dates, sections, sums of money,
    quantities with a unit, levels of significance and of confidence.
    """
    if file.generated:
        return
    ignored = {c.place.line for c in file.comments if is_ignored(c.text)}
    text = blanked(file)
    for found in _NUMBER.finditer(text):
        line = file.line(found.start("digits"))
        if line not in ignored and _is_result(found, text):
            plain = found["digits"].replace("\\", "").replace(" ", "")
            before = text[max(0, found.start() - NEAR_BEFORE) : found.start()]
            after = text[found.end() : found.end() + NEAR_AFTER]
            yield Number(Place(file.name, line), Digits.of(plain), before, after)


def _is_result(found: re.Match[str], text: str) -> bool:
    before = text[max(0, found.start() - 30) : found.start("digits")]
    digits = found["digits"]
    if _AFTER.match(text, found.end()) or _BEFORE.search(before):
        return False
    is_year = bool(re.fullmatch(r"(?:19|20)\d\d\.\d\d", digits))
    is_level = bool(_LEVEL.search(before)) and not found["percent"] and not found["share"]
    return not is_year and not (is_level and float(digits) in _LEVELS)


def blanked(file: TexFile) -> str:
    """Return the prose with everything blanked out that holds no result; places stay."""
    text = list(file.prose)
    for comment in file.comments:
        if MARKER.match(f"%{comment.text}"):
            start = _start_of(file, comment.place.line)
            end = _GENERATED_END.search(file.prose, start)
            _blank(text, start, end.end() if end else len(text))
    for found in _APART.finditer(file.prose):
        _blank(text, *found.span())
    for found in re.finditer(r"\\([A-Za-z]+)\*?", file.prose):
        _blank(text, found.end(), _end_of_arguments(file.prose, found.end(), found[1]))
    return "".join(text)


def _blank(text: list[str], start: int, end: int) -> None:
    for i in range(start, end):
        if text[i] != "\n":
            text[i] = " "


def _start_of(file: TexFile, line: int) -> int:
    return sum(len(of) for of in file.text.splitlines(keepends=True)[: line - 1])


def _end_of_arguments(text: str, at: int, command: str) -> int:
    """Return where the arguments of *command* end that hold no result."""
    left = 1 if command == "begin" or "cite" in command.lower() else _COMMANDS.get(command, 0)
    while at < len(text):
        takes = text[at] == "[" or (text[at] == "(" and command == "cmidrule")
        if not takes and not (text[at] == "{" and left):
            break
        end = _closed(text, at)
        if text[at] == "{":
            spaced = command == "begin" and text[at + 1 : end - 1] in _SPACED
            left += 9 if spaced else -1
        if end == at:
            break
        at = end
    return at


def _closed(text: str, at: int) -> int:
    """Return the place behind the bracket that closes the one at *at*; *at* if none does."""
    opening, closing = text[at], {"{": "}", "[": "]", "(": ")"}[text[at]]
    depth = 0
    for i in range(at, len(text)):
        if text[i] in (opening, closing) and text[i - 1] != "\\":
            depth += 1 if text[i] == opening else -1
            if not depth:
                return i + 1
    return at
