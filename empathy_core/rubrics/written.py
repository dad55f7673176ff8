"""Ratings that a rater writes as JSON: how they are asked for, and how they are read. Pure.

Reading is strict. The whole answer is one JSON object with the asked keys and nothing beside it,
blanks and one code fence apart; whatever else it says is no rating, and never guessed at.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from empathy_core.rubrics.spec import Dimension

ANSWER, REASON = "answer", "reason"
"""Keys of the object, the reason first: what is written after it can depend on it."""
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)


def request(dimension: Dimension, *, reason: bool) -> str:
    """Return the end of a rating's text: what is to be written, and in which form."""
    allowed = ", ".join(dimension.labels)
    why = f'"{REASON}": "...", ' if reason else ""
    first = "a reason of one short sentence, and then " if reason else ""
    return (
        f"Answer with {first}one of these and nothing else: {allowed}\n"
        f'Write one JSON object: {{{why}"{ANSWER}": "..."}}\nAnswer:'
    )


def schema(dimension: Dimension, *, reason: bool) -> str:
    """Return the JSON schema of a rating, for servers that hold answers to one."""
    properties: dict[str, Any] = {REASON: {"type": "string"}} if reason else {}
    properties[ANSWER] = {"type": "string", "enum": list(dimension.labels)}
    return json.dumps({
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    })  # fmt: skip


def label_in(text: str, labels: Sequence[str], *, reason: bool) -> str | None:
    """Return the label that a rater wrote; null where the text is not exactly one rating.

    A whole number counts as its digits: ``{"answer": 2}`` is the label ``2``.

    Args:
        text: All that was written.
        labels: What may be answered.
        reason: Whether a reason was asked for; it must be there then, and else must not.
    """
    bare = text.strip()
    fenced = _FENCE.match(bare)
    try:
        found = json.loads(fenced[1] if fenced else bare, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        return None
    keys = [REASON, ANSWER] if reason else [ANSWER]
    if not isinstance(found, dict) or sorted(found) != sorted(keys):
        return None
    if not isinstance(found.get(REASON, ""), str):
        return None
    given = found[ANSWER]
    label = str(given) if type(given) is int else given
    return label if isinstance(label, str) and label in labels else None


def _unrepeated(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse one that says something twice, of which JSON keeps the last.

    Raises:
        ValueError: A key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a key is there twice"
        raise ValueError(msg)
    return found
