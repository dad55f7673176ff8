"""Candidates of a refinement: prompts with their parent and origin, and what was left out and why.

A candidate is written by hand, read from a file of instructions, or proposed by a model. What a
model writes is an instruction only; the frame stays the parent's (``prompts.instructions``).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from empathy_core.errors import ConfigError
from empathy_core.prompts.instructions import (
    PLACE,
    instruction_of,
    with_instruction,
    wording_digest,
)
from empathy_core.types import Prompt
from empathy_core.visible import nothing_visible

Maker = Literal["hand", "file", "proposed"]
MOST_WORDS = 400
"""Of a proposed instruction: a longer one is most likely an answer, or never ended."""
_TAGGED = re.compile(r"<instruction>(.*?)(?:</instruction>|\Z)", re.DOTALL | re.IGNORECASE)
_GOES_ON = re.compile(r"\n\s*(?:message|reply|version) \d+\b.*", re.DOTALL | re.IGNORECASE)
"""A small model goes on with the form of what it was shown."""
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_QUOTES = (
    ('"', '"'),
    ("'", "'"),
    ("\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"),
)


@dataclass(frozen=True, slots=True)
class PromptCandidate:
    """One candidate.

    Attributes:
        name: Of its prompt; empty for what was dropped unnamed.
        prompt: Null where no prompt could be made of it.
        made: By whom.
        parent: Name of the prompt that it is compared with.
        parent_digest: ``wording_digest`` of that.
        said: The instruction, or what was returned in its place.
        shown: Ids of the rows that its proposer saw; empty for others.
        proposer: Id of the condition that proposed it; empty for others.
        seed: Of the proposer's draw; null for others.
        template: Name of the proposer's instruction; empty for others.
        dropped: Why it takes no part; empty if it does.
    """

    name: str
    prompt: Prompt | None
    made: Maker
    parent: str
    parent_digest: str
    said: str
    shown: tuple[str, ...] = ()
    proposer: str = ""
    seed: int | None = None
    template: str = ""
    dropped: str = ""

    def record(self) -> dict[str, Any]:
        """Return what is written of it, a line of JSON; its prompt stands in a file of its own."""
        found = asdict(replace(self, prompt=None))
        del found["prompt"]
        digest = wording_digest(self.prompt) if self.prompt else None
        return {**found, "shown": list(self.shown), "digest": digest}


def by_hand(prompts: Iterable[Prompt], parent: Prompt) -> list[PromptCandidate]:
    """Return prompts that somebody wrote as candidates."""
    return [
        PromptCandidate(
            prompt.name, prompt, "hand", parent.name, wording_digest(parent), instruction_of(prompt)
        )
        for prompt in prompts
    ]


def from_instructions(
    instructions: Sequence[tuple[str, str]], parent: Prompt, origin: str
) -> list[PromptCandidate]:
    """Return candidates of a file: (name or empty, instruction) each."""
    return [
        _made(name or f"file-{i:02d}", said, "file", parent, origin)
        for i, (name, said) in enumerate(instructions, start=1)
    ]


@dataclass(frozen=True, slots=True)
class ProposalOrigin:
    """Where a proposal comes from; as in ``PromptCandidate``."""

    shown: tuple[str, ...]
    proposer: str
    seed: int
    template: str


def proposed(reply: str, number: int, parent: Prompt, origin: ProposalOrigin) -> PromptCandidate:
    """Return the candidate that a model's reply is; *number* from 1."""
    name, said = f"proposed-{number:02d}", cleaned(reply)
    found = _made(name, said, "proposed", parent, f"proposed by {origin.proposer}")
    return replace(found, said=said if found.prompt else reply, **asdict(origin))


def _made(name: str, said: str, made: Maker, parent: Prompt, origin: str) -> PromptCandidate:
    problem = _unusable(said)
    prompt = None if problem else with_instruction(parent, said, name, origin)
    return PromptCandidate(
        name, prompt, made, parent.name, wording_digest(parent), said, dropped=problem
    )


def _unusable(said: str) -> str:
    """Return why no prompt can be made of an instruction; empty if one can."""
    if nothing_visible(said):
        return "it is empty"
    if PLACE in said:
        return f"it holds {PLACE}: the question would stand there twice"
    n_words = len(said.split())
    if n_words > MOST_WORDS:
        return f"it has {n_words} words, and {MOST_WORDS} are the most"
    return ""


def cleaned(reply: str) -> str:
    """Return the instruction in a reply: without tags, fence and quotation marks around it."""
    tagged = _TAGGED.search(reply)
    text = _GOES_ON.sub("", tagged[1] if tagged else reply).strip()
    fenced = _FENCE.match(text)
    text = (fenced[1] if fenced else text).strip()
    for begin, end in _QUOTES:
        if len(text) > 1 and text[0] == begin and text[-1] == end:
            text = text[1:-1].strip()
    return text


def told_apart(candidates: Iterable[PromptCandidate], parent: Prompt) -> list[PromptCandidate]:
    """Return candidates with those dropped that say what the parent or an earlier one says."""
    seen = {wording_digest(parent): "it says what the parent prompt says"}
    found = []
    for one in candidates:
        said = wording_digest(one.prompt) if one.prompt else None
        if said in seen:
            found.append(replace(one, dropped=seen[said]))
            continue
        if said is not None:
            seen[said] = f"it says what candidate '{one.name}' says"
        found.append(one)
    return found


def require_names(candidates: Iterable[PromptCandidate], parent: Prompt) -> None:
    """Refuse two prompts of one name: rows of tables are called by it.

    Raises:
        ConfigError: Naming the first.
    """
    taken = {parent.name}
    for one in candidates:
        if one.prompt and not one.dropped and one.name in taken:
            msg = (
                f"two prompts of the refinement are called '{one.name}': expected a name for each, "
                "by which tables call it; rename the file, or the line's name"
            )
            raise ConfigError(msg)
        taken.add(one.name)


# ---------------------------------------------------------------------------- files


def read_instructions(path: Path) -> list[tuple[str, str]]:
    """Return (name or empty, instruction) of each line of a JSONL file.

    A line is ``{"instructions": "…"}`` with a ``name`` or without, or a program as DSPy saves it,
    whose predictors each have ``signature.instructions``.

    Raises:
        ConfigError: The file cannot be read, or a line holds no instruction.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # see store.json_lines
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read ({error}): expected JSONL in UTF-8; fix the file or its path"
        raise ConfigError(msg) from error
    found: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found += _of_line(line, f"{path}, line {number}")
    if not found:
        msg = f'{path} holds no instruction: expected {{"instructions": "…"}} a line; write some'
        raise ConfigError(msg)
    return found


def _of_line(line: str, where: str) -> list[tuple[str, str]]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        msg = f"{where} is no JSON ({error}): expected one object a line; correct it"
        raise ConfigError(msg) from error
    name = entry.get("name", "") if isinstance(entry, dict) else ""
    if not isinstance(name, str) or (name and not re.fullmatch(r"[A-Za-z0-9][\w-]*", name)):
        msg = (
            f"{where}: {name!r} cannot be the name of a prompt: expected letters, digits, '_' and "
            "'-'; correct it, or leave the name out"
        )
        raise ConfigError(msg)
    said = list(_instructions(entry))
    if not said:
        msg = (
            f'{where} holds no text under "instructions": expected one, or a program as DSPy '
            "saves it; correct the line"
        )
        raise ConfigError(msg)
    return [(name if len(said) == 1 else "", text.strip()) for text in said]


def _instructions(entry: Any) -> Iterator[str]:
    """Yield every text under a key ``instructions``, however deep it stands."""
    if not isinstance(entry, Mapping):
        return
    for key, value in entry.items():
        if key == "instructions" and isinstance(value, str):
            yield value
        else:
            yield from _instructions(value)
