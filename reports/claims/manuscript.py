r"""An author's LaTeX: the files that ``\input`` names, their comments, and what is prose."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from empathy_core.errors import DataError

MARKER = re.compile(r"%.*Written by `report`")
"""What the suite's own fragments bear in one of their first lines."""

_TOKENS = re.compile(
    r"\\begin\{(?P<env>verbatim\*?|Verbatim|lstlisting|minted|comment|filecontents\*?)\}"
    r".*?\\end\{(?P=env)\}"
    r"|\\(?:verb|lstinline)\*?(?P<bar>[^A-Za-z*\s{\[])[^\n]*?(?P=bar)"
    r"|\\\\|\\[%{}$]"
    r"|%(?P<comment>[^\n]*)",
    re.DOTALL,
)
_INCLUDED = re.compile(
    r"\\(?:input|include|subfile)\b\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>[^\s{}\\%]+))"
)
_LABEL = re.compile(r"\\label\s*\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; line 0: not known."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Comment:
    """What follows a percent sign; *prose* is the text that it is about: before it, or above."""

    place: Place
    text: str
    prose: str


@dataclass(frozen=True, slots=True)
class TexFile:
    """One file.

    Attributes:
        name: As the reader knows it.
        prose: The text with comments and verbatim blanked out: every place is where it was.
        generated: Written by the suite itself.
    """

    name: str
    text: str
    prose: str
    comments: tuple[Comment, ...]
    generated: bool

    def line(self, at: int) -> int:
        """Return the line, from 1, of a place in the text."""
        return self.text.count("\n", 0, at) + 1


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A document.

    Attributes:
        warnings: Files that are not there or not followed, labels that are used twice.
    """

    files: tuple[TexFile, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Reading:
    root: Path
    files: list[TexFile] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


def read(path: Path) -> Manuscript:
    r"""Return the document that begins in *path*.

    ``\input`` and ``\include`` are followed within the folder of *path* and below, as LaTeX does
    from there; never out of it.

    Raises:
        DataError: *path* itself cannot be read.
    """
    reading = _Reading(path.resolve().parent)
    _read(path.resolve(), str(path), reading)
    return Manuscript(tuple(reading.files), (*reading.warnings, *_doubled(reading.files)))


def _read(path: Path, name: str, reading: _Reading) -> None:
    reading.seen.add(path)
    file = scan(_text(path), name)
    reading.files.append(file)
    for found in _INCLUDED.finditer(file.prose):
        asked = (found["braced"] or found["bare"] or "").strip().strip('"')
        place = Place(name, file.line(found.start()))
        if asked and "#" not in asked:
            _follow(asked, place, reading)


def _follow(asked: str, place: Place, reading: _Reading) -> None:
    """Read what is asked for at *place*, unless that was done or must not be."""
    plain = reading.root / asked
    path = (plain if plain.suffix == ".tex" else plain.with_name(f"{plain.name}.tex")).resolve()
    if not path.exists() and plain.is_file():
        path = plain.resolve()
    if not path.is_relative_to(reading.root):
        reading.warnings.append(f"{place}: {asked} lies outside {reading.root}: not followed")
    elif not path.is_file():
        reading.warnings.append(f"{place}: {asked} is not there: not followed")
    elif path not in reading.seen:
        name = Path(reading.files[0].name).parent / path.relative_to(reading.root)
        try:
            _read(path, str(name), reading)
        except DataError as error:
            reading.warnings.append(str(error))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): expected a LaTeX file"
        raise DataError(msg) from error


def scan(text: str, name: str) -> TexFile:
    """Return *text* with its comments taken apart."""
    prose, comments = list(text), []
    for token in _TOKENS.finditer(text):
        if token["comment"] is not None:
            comments.append(token)
        if token["comment"] is not None or token["env"] or token["bar"]:
            for i in range(*token.span()):
                prose[i] = "\n" if text[i] == "\n" else " "
    kept = "".join(prose)
    return TexFile(
        name,
        text,
        kept,
        tuple(_comments(comments, text, kept, name)),
        any(MARKER.match(line) for line in text.splitlines()[:5]),
    )


def _comments(
    found: Sequence[re.Match[str]], text: str, prose: str, name: str
) -> Iterator[Comment]:
    lines = prose.splitlines()
    for token in found:
        line = text.count("\n", 0, token.start()) + 1
        above = (said for i in range(line - 1, -1, -1) if (said := lines[i].strip()))
        yield Comment(Place(name, line), token["comment"].lstrip("%").strip(), next(above, ""))


def _doubled(files: Sequence[TexFile]) -> Iterator[str]:
    """Yield a warning for each label that LaTeX would see twice."""
    places: dict[str, list[Place]] = {}
    for file in files:
        for found in _LABEL.finditer(file.prose):
            at = Place(file.name, file.line(found.start()))
            places.setdefault(found[1].strip(), []).append(at)
    for label, where in places.items():
        if len(where) > 1:
            times = Counter(where)
            yield f"\\label{{{label}}} is used {len(where)} times: {', '.join(map(str, times))}"
