"""Claims as authors write them: a file of claims, or comments in the LaTeX of the paper."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reports.claims.manuscript import Manuscript, Place

IGNORE = "claims: ignore"
"""A comment: what stands on this line is no result."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Attributes:
        says: In the words of ``grammar``.
        quotes: The prose that it stands for.
        where: Section or page.
    """

    says: str
    place: Place
    quotes: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an author must mend."""

    place: Place
    message: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What one file holds.

    Attributes:
        aliases: The author's words → what they stand for.
    """

    claims: tuple[Claim, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    says: str = Field(min_length=1)
    quote: str | list[str] = ""
    where: str = ""


# ---------------------------------------------------------------------------- a file of claims


def read_toml(path: Path, name: str = "") -> Claims:
    """Return the claims of a file; whatever is wrong in it is a problem, all of it at once.

    *name*: what the file is called in what is said; empty: its path.
    """
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        fields = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        return Claims((), problems=(Problem(Place(name), f"cannot be read ({reason})"),))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = Place(name, int(line[1]) if line else 0)
        return Claims((), problems=(Problem(place, f"is no TOML: {error}"),))
    entries = fields.get("claims", [])
    listed = entries if isinstance(entries, list) else []
    places = _places(name, text, len(listed))
    claims, problems = [], list(_misplaced(name, fields, listed))
    for entry, place in zip(listed, places, strict=True):
        try:
            read = _Entry.model_validate(entry)
        except ValidationError as error:
            problems += [Problem(place, _told(wrong)) for wrong in error.errors()]
            continue
        quotes = [read.quote] if isinstance(read.quote, str) else read.quote
        claims.append(Claim(read.says, place, tuple(filter(None, quotes)), read.where))
    names = fields.get("names", {})
    aliases = {k: v for k, v in names.items() if isinstance(v, str)} if _is_table(names) else {}
    return Claims(tuple(claims), aliases, tuple(problems))


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _misplaced(name: str, fields: Mapping[str, Any], entries: Sequence[Any]) -> Iterator[Problem]:
    """Yield what is wrong with the file as a whole."""
    known = ("claims", "names")
    for key in fields:
        if key not in known:
            yield Problem(Place(name), f"unknown key '{key}'{_nearest(key, known)}")
    if not entries:
        yield Problem(Place(name), 'holds no claim; expected tables [[claims]] with says = "…"')
    names = fields.get("names", {})
    if not _is_table(names) or not all(isinstance(v, str) for v in names.values()):
        yield Problem(Place(name), '[names] must be a table of texts: ours = "llama.prompt2"')


def _told(wrong: Any) -> str:
    key = ".".join(str(part) for part in wrong["loc"])
    if wrong["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(key, tuple(_Entry.model_fields))}"
    if wrong["type"] == "missing":
        return 'a claim needs says = "…"'
    return f"{key or 'claim'}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}"


def _nearest(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, n=1, cutoff=0.5)
    guess = f". Did you mean '{close[0]}'?" if close else "."
    return f"{guess} Known: {', '.join(known)}"


def _places(name: str, text: str, n: int) -> list[Place]:
    """Return where each of *n* claims says what it says; without lines if that is not plain."""
    heads = [m.start() for m in re.finditer(r"^[ \t]*\[\[\s*claims\s*\]\]", text, re.MULTILINE)]
    if len(heads) != n:
        return [Place(name)] * n
    found = []
    for start, end in pairwise([*heads, len(text)]):
        says = re.compile(r"^[ \t]*says\s*=", re.MULTILINE).search(text, start, end)
        found.append(Place(name, text.count("\n", 0, says.start() if says else start) + 1))
    return found


# ---------------------------------------------------------------------------- comments


def read_comments(manuscript: Manuscript) -> Claims:
    """Return the claims that stand in comments: ``% claim: …``.

    ``% claims: name OURS = llama.prompt2`` gives a name, ``% claims: ignore`` leaves a line out.
    """
    claims, aliases, problems = [], {}, []
    for comment in (c for file in manuscript.files for c in file.comments if not file.generated):
        kind, colon, said = comment.text.partition(":")
        kind, said = kind.strip().lower(), said.strip()
        if not colon or kind not in ("claim", "claims"):
            continue
        named = re.fullmatch(r"name\s+(.+?)\s*=\s*(.+)", said, re.IGNORECASE)
        if kind == "claims" and named:
            aliases[named[1]] = named[2]
        elif kind == "claim" and said:
            quotes = (comment.prose,) if comment.prose else ()
            claims.append(Claim(said, comment.place, quotes))
        elif not is_ignored(comment.text):
            msg = (
                f"'% {comment.text}' is no comment of ours: expected '% claim: A > B on rouge1', "
                "'% claims: ignore', or '% claims: name OURS = llama.prompt2'"
            )
            problems.append(Problem(comment.place, msg))
    return Claims(tuple(claims), aliases, tuple(problems))


def is_ignored(comment: str) -> bool:
    """Tell whether a comment says that its line holds no result."""
    return " ".join(comment.lower().split()) == IGNORE
