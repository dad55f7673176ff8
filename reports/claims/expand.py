r"""LaTeX as it prints: an author's own macros and siunitx spelled out, every place known. Pure.

``\badscore`` becomes what ``\newcommand`` made of it, ``\SI{77.83}{\percent}`` becomes
``77.83\%``; a quantity with another unit is no result and goes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.claims.claim_files import is_ignored
from reports.claims.manuscript import TexFile

_DEFINED = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|DeclareRobustCommand)\*?\s*\{?\s*\\([A-Za-z@]+)\s*\}?"
    r"\s*(?=\{)"
    r"|\\def\s*\\([A-Za-z@]+)\s*(?=\{)"
)
_LENGTHS = ("arraystretch", "baselinestretch")
_DEPTH = 5
"""How often macros are looked for in what macros stand for."""
_QUANTITY = re.compile(
    r"\\(?P<name>num|tablenum|numrange|numlist|numproduct|SI|qty|SIrange|qtyrange|SIlist|qtylist)"
    r"(?![A-Za-z])\s*(?=[\[{])"
)
_PERCENT = re.compile(r"\s*\\(?:percent(?![A-Za-z])|%)\s*")


@dataclass(frozen=True, slots=True)
class Source:
    """A text, and of each of its characters the place in the file that it comes from."""

    text: str
    origins: Sequence[int]

    @classmethod
    def of(cls, text: str) -> "Source":
        """Return *text* as it stands."""
        return cls(text, range(len(text)))

    def replaced(self, spans: Iterable[tuple[int, int, str]]) -> "Source":
        """Return the text with spans (start, end, new text), in order, replaced."""
        parts: list[str] = []
        origins: list[int] = []
        at = 0
        for start, end, new in spans:
            if start < at:
                continue
            parts += [self.text[at:start], new]
            origins += [*self.origins[at:start], *[self.origins[start]] * len(new)]
            at = end
        return Source("".join([*parts, self.text[at:]]), [*origins, *self.origins[at:]])


def definitions(files: Iterable[TexFile]) -> dict[str, str]:
    r"""Return name → body of the macros without arguments that hold a number and are used.

    One that is never used prints nothing: its number is looked at where it is defined.
    """
    proses = [(file, file.prose) for file in files if not file.generated]
    found: dict[str, str] = {}
    for file, text in proses:
        ignored = {c.place.line for c in file.comments if is_ignored(c.text)}
        for name, start, body, end in _defined(text):
            plain = text[body + 1 : end - 1]
            if re.search(r"\d", plain) and "#" not in plain and file.line(start) not in ignored:
                found[name] = plain
    times = {
        name: sum(len(re.findall(rf"\\{name}(?![A-Za-z@])", text)) for _, text in proses)
        - sum(name == other for _, text in proses for other, *_ in _defined(text))
        for name in found
    }
    return {name: body for name, body in found.items() if times[name] > 0}


def _defined(text: str) -> Iterable[tuple[str, int, int, int]]:
    """Yield name, start, and start and end of the body of every definition without arguments."""
    for found in _DEFINED.finditer(text):
        name, end = found[1] or found[2], closed(text, found.end())
        if end > found.end() and name not in _LENGTHS:
            yield name, found.start(), found.end(), end


def expanded(text: str, macros: Mapping[str, str]) -> Source:
    """Return *text* with macros and quantities spelled out."""
    spans = [(start, end, "") for name, start, _, end in _defined(text) if name in macros]
    source = Source.of(text).replaced(spans)
    if macros:
        names = "|".join(map(re.escape, sorted(macros, key=len, reverse=True)))
        used = re.compile(rf"\\({names})(?![A-Za-z@])(?:\{{\}})?")
        for _ in range(_DEPTH):
            calls = [(m.start(), m.end(), macros[m[1]]) for m in used.finditer(source.text)]
            if not calls:
                break
            source = source.replaced(calls)
    return source.replaced(_quantities(source.text))


def _quantities(text: str) -> Iterable[tuple[int, int, str]]:
    for found in _QUANTITY.finditer(text):
        at = found.end()
        arguments: list[str] = []
        if text[at] == "[":
            at = closed(text, at)
        wanted = 1 + ("range" in found["name"]) + (found["name"][0] in "Sq")
        while len(arguments) < wanted and at < len(text) and text[at] == "{":
            end = closed(text, at)
            if end == at:
                break
            arguments.append(text[at + 1 : end - 1])
            at = end
        if len(arguments) == wanted:
            yield found.start(), at, _spelled(found["name"], arguments)


def _spelled(name: str, arguments: Sequence[str]) -> str:
    """Return numbers as prose has them; nothing if their unit is another than percent."""
    sign = ""
    if name[0] in "Sq":
        if not _PERCENT.fullmatch(arguments[-1]):
            return " "
        sign, arguments = r"\%", arguments[:-1]
    if name.endswith("list"):
        return ", ".join(_plain(part) + sign for part in arguments[0].split(";"))
    if name == "numproduct":
        return arguments[0].replace("x", r" \times ")
    return "--".join(_plain(part) + sign for part in arguments)


def _plain(number: str) -> str:
    """Return a number as siunitx reads it: a comma is a decimal sign, blanks are none."""
    bare = re.sub(r"\s|~|\\[,;:!]", "", number).replace("{,}", ".").replace(",", ".")
    return re.sub(r"\+-|\\pm", r" \\pm ", bare)


def closed(text: str, at: int) -> int:
    """Return the place behind the bracket that closes the one at *at*; *at* if none does."""
    opening, closing = text[at], {"{": "}", "[": "]", "(": ")"}[text[at]]
    depth = 0
    for i in range(at, len(text)):
        if text[i] in (opening, closing) and text[i - 1] != "\\":
            depth += 1 if text[i] == opening else -1
            if not depth:
                return i + 1
    return at
