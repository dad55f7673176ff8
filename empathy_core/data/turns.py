"""What a file's turns say, and which answers are taken of a conversation. Pure.

A *turn* is all that one side says before the other answers: utterances of the same side are joined
by a line break. Chat templates ask for turns that alternate.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from empathy_core.conversation import Message, Role
from empathy_core.data import cells
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.visible import nothing_visible

ROLE_FIELDS = ("role", "from", "speaker", "interlocutor")
TEXT_FIELDS = ("content", "value", "text", "utterance")
ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "client", "patient", "seeker"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "bot", "model", "therapist", "counselor", "counsellor", "supporter"),
        "assistant",
    ),
    "system": "system",
}
"""Words for who speaks that need no ``roles``; case does not matter."""


class NoTurn(ValueError):
    """A cell holds no turns that can be read; the rest of a sentence, remedy included."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance as its file has it.

    Attributes:
        role: ``system`` is left out of conversations.
        row: 0-based number of the raw row that it is in.
    """

    role: Role
    text: str
    row: int


# ---------------------------------------------------------------------------- what a cell says


def role_of(word: str | None, layout: TurnLayout) -> Role:
    """Return who speaks, by the file's word for it.

    Raises:
        NoTurn: Nobody is known by that word.
    """
    own = {name.strip().casefold(): role for name, role in layout.roles}
    found = {**ROLES, **own}.get((word or "").strip().casefold())
    if found is None:
        said = f"is of '{word}'" if word else "does not say who speaks"
        name = word or "WORD"
        known = ", ".join(dict.fromkeys((*own, *ROLES)))
        raise NoTurn(
            f"{said}, expected one of {known}; add roles = {{ {json.dumps(name)} = "
            '"user" } for who asks for help ("assistant": who answers, "system": left out)'
        )
    return found


def in_cell(
    record: Mapping[str, object], column: str, layout: TurnLayout, row: int
) -> list[Utterance]:
    """Return the utterances in the cell of a conversation; empty where it holds nothing.

    Args:
        record: A raw row.
        column: Its column with a list of turns, or ``column.field`` with the field of their texts.
        layout: How turns are written.
        row: Number of the record.

    Raises:
        NoTurn: It holds no list of turns, or one that cannot be read.
    """
    value, rest = _list_at(record, column)
    prefix = column.removesuffix(f".{rest}") if rest else column
    field = layout.role.removeprefix(f"{prefix}.")
    if len({isinstance(entry, str) for entry in value}) > 1:
        place = next(
            i
            for i, entry in enumerate(value)
            if isinstance(entry, str) != isinstance(value[0], str)
        )
        raise NoTurn(
            f"turn {place + 1} is {cells.kind(value[place])}, and turn 1 is "
            f"{cells.kind(value[0])}: expected turns that are all written alike; correct the file"
        )
    found = []
    for i, entry in enumerate(value):
        try:
            found.append(_utterance(entry, i, rest, replace(layout, role=field), row))
        except (NoTurn, cells.NoText) as error:
            raise NoTurn(f"turn {i + 1} {_told(error)}") from error
    return found


def _told(error: NoTurn | cells.NoText) -> str:
    if isinstance(error, NoTurn):
        return str(error)
    return (
        f"holds {error.found} where its text is to be, expected text; name the field of the text, "
        'such as context = "messages.content"'
    )


def _list_at(record: Mapping[str, object], column: str) -> tuple[Sequence[object], str]:
    """Return the list that a column leads to, and what of the column's name is left behind it."""
    names = [column] if column in record else column.split(".")
    value: object = record
    for i, name in enumerate(names):
        if i and isinstance(value := _listed(value), list):
            return value, ".".join(names[i:])
        value = cells.at(value, name) if isinstance(value, Mapping) else value
    value = _listed(value)
    if value is None or value is cells.ABSENT:
        return [], ""
    if not isinstance(value, list):
        raise NoTurn(
            f"column '{column}' holds {cells.kind(value)}, expected a list of turns (or one as "
            "JSON); name the column that holds it; where each row is one utterance, set "
            'conversation = "…", the column with the id of the conversation'
        )
    return value, ""


def _listed(value: object) -> object:
    """Return a value, of a text with a JSON list the list, of an object of lists its turns."""
    if isinstance(value, str) and value.strip()[:1] == "[":
        try:
            return json.loads(value, strict=False)
        except ValueError:
            return value
    if isinstance(value, Mapping) and len(value) > 1:  # a Sequence of datasets: a list a field
        fields = list(value.values())
        if all(isinstance(of, list) for of in fields) and len(set(map(len, fields))) == 1:
            return [dict(zip(value, turn, strict=True)) for turn in zip(*fields, strict=True)]
    return value


def _utterance(entry: object, place: int, rest: str, layout: TurnLayout, row: int) -> Utterance:
    if isinstance(entry, str):  # turns without names: the person begins
        return Utterance("assistant" if place % 2 else "user", entry, row)
    if not isinstance(entry, Mapping):
        raise NoTurn(f"is {cells.kind(entry)}, expected text, or an object with role and text")
    role = role_of(cells.label(_field(entry, layout.role, ROLE_FIELDS, "role")), layout)
    text = _field(entry, rest, TEXT_FIELDS, "context")
    return Utterance(role, _text(text), row)


def _field(entry: Mapping[str, object], named: str, usual: Sequence[str], key: str) -> object:
    """Return the value of the field that is named, or of the one that is called as usual."""
    if named:
        value = cells.at(entry, named)
        if value is not cells.ABSENT:
            return value
    there = [name for name in usual if name in entry]
    if not named and len(there) == 1:
        return entry[there[0]]
    fields = ", ".join(map(str, entry))[:80] or "none"
    wanted = f"'{named}'" if named else f"one of {', '.join(usual)}"
    how = 'role = "…"' if key == "role" else 'context = "COLUMN.FIELD"'
    raise NoTurn(f"has the fields {fields}, expected {wanted}; set {how}")


def _text(value: object) -> str:
    """Return the text of a turn; parts, as chats with images have them, are joined."""
    if isinstance(value, list):
        kinds = [part.get("type") if isinstance(part, Mapping) else None for part in value]
        if set(kinds) - {"text"}:
            raise NoTurn(
                "holds parts that are no text, expected text alone; remove such conversations"
            )
        return "\n".join(cells.text(part["text"]) or "" for part in value)
    return cells.text(value) or ""


# ---------------------------------------------------------------------------- what is said


def joined(said: Sequence[Utterance]) -> list[Utterance]:
    """Return turns that alternate: without empty ones, those of one side in a row as one.

    A joined turn has the row of its first utterance.
    """
    found: list[Utterance] = []
    for one in said:
        if nothing_visible(one.text):
            continue
        if found and found[-1].role == one.role:
            found[-1] = replace(found[-1], text=f"{found[-1].text.rstrip()}\n{one.text.lstrip()}")
        else:
            found.append(one)
    return found


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer of a conversation, and what was said before it.

    Attributes:
        place: Of the answer among the conversation's turns, from 0.
    """

    place: int
    history: tuple[Message, ...]
    answer: Utterance


def cuts(said: Sequence[Utterance], layout: TurnLayout) -> list[Cut]:
    """Return the answers that are taken of a conversation; empty if none has a history.

    Args:
        said: All utterances, in order; those of the system are left out.
        layout: Which answers are taken.
    """
    turns = joined([one for one in said if one.role != "system"])
    if layout.opening == "drop" and turns and turns[0].role == "assistant":
        turns = turns[1:]
    places = [i for i, one in enumerate(turns) if one.role == "assistant"]
    places = [i for i in places if i >= max(layout.least_history, 1)]
    chosen = places[-1:] if layout.turns == "last" else _spaced(places, layout.most_answers)
    return [Cut(i, tuple(_history(turns[:i], layout)), turns[i]) for i in chosen]


def _history(turns: Sequence[Utterance], layout: TurnLayout) -> Iterator[Message]:
    kept = turns[-layout.most_history :] if layout.most_history else turns
    if layout.opening == "drop" and kept[0].role == "assistant":
        kept = kept[1:]
    return (Message(one.role, one.text) for one in kept)


def _spaced(places: Sequence[int], most: int | None) -> list[int]:
    """Return at most so many of *places*, evenly spaced, the last among them."""
    n = len(places)
    if most is None or n <= most:
        return list(places)
    return [places[n * (i + 1) // most - 1] for i in range(most)]


def alternating(turns: Sequence[tuple[Role, str]]) -> tuple[Message, ...]:
    """Return turns as ``joined`` does, for those that are no utterances of a file any more."""
    said = joined([Utterance(role, text, 0) for role, text in turns])
    return tuple(Message(one.role, one.text) for one in said)


def roles_of_columns(n: int) -> list[Role]:
    """Return who speaks in each of *n* columns: in turn, the person in the last."""
    return ["user" if (n - i) % 2 else "assistant" for i in range(n)]
