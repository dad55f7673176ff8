"""Exports of Argilla: records with nested responses, or flattened to a key for each question.

Only responses with the status ``submitted`` count; a discarded one is a skipped item, a draft is
left out and counted. Exports without statuses cannot be told apart, and are refused.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from empathy_core.annotation.readers.content import as_cell
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.readers.label_studio import chosen, item_named
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile, scale_text
from empathy_core.errors import DataError

_FLAT = ".responses"
_PERSONAL = ("user_id", "users", "username", "email", "first_name", "last_name")


def _recognises(given: GivenFile) -> bool:
    first = given.content.records[0] if given.content.records else {}
    nested = "responses" in first and ("fields" in first or "metadata" in first)
    return nested or any(key.endswith(_FLAT) for key in first)


def _read(given: GivenFile) -> RatingFile:
    left: Counter[str] = Counter()
    entries: list[RatingEntry] = []
    for number, record in enumerate(given.content.records, start=1):
        item = _item(given, record)
        answers = _nested(record["responses"]) if "responses" in record else _flat(record)
        for question, value, who, status, at in answers:
            about = {"place": f"record {number}", "item": item, "rater": who, "at": at}
            entries += _entry(given, about, status, question, value)
            if status not in ("submitted", "discarded"):
                left[status] += 1
    return RatingFile(
        format="Argilla",
        entries=tuple(entries),
        notes=tuple(f"not submitted ({status}), left out: {n}" for status, n in left.items()),
        at=max((entry.at for entry in entries), default=""),
        personal=_PERSONAL,
    )


def _entry(
    given: GivenFile, about: Mapping[str, Any], status: str, question: str, value: Any
) -> Iterator[RatingEntry]:
    """Yield a response as an entry, if it counts.

    Raises:
        DataError: It has no status.
    """
    if not status:
        msg = (
            f"{given.content.name}, {about['place']}: a response has no status; expected "
            "'submitted', 'draft' or 'discarded' for each; export the records with their statuses"
        )
        raise DataError(msg)
    if status == "discarded":
        yield RatingEntry(**about, dimension=EVERY_SCALE, skipped=True)
    elif status == "submitted" and (scale := given.scale(question)):
        said, why = chosen(value)
        yield RatingEntry(**about, dimension=scale_text(scale), said=said, why=why)


def _item(given: GivenFile, record: Mapping[str, Any]) -> str:
    """Return the item of a record: of its metadata, its fields, or its own keys."""
    named: dict[str, Any] = {}
    for place in (record, record.get("fields"), record.get("metadata")):
        if isinstance(place, Mapping):
            named |= {key.removeprefix("metadata."): value for key, value in place.items()}
    if external := named.get("external_id"):
        named.setdefault("item", external)
    return item_named(named, given.asked)


_Response = tuple[str, Any, str, str, str]
"""Question, value, person, status, time."""


def _flat(record: Mapping[str, Any]) -> Iterator[_Response]:
    for key, values in record.items():
        if not key.endswith(_FLAT) or not isinstance(values, list):
            continue
        users, statuses = record.get(f"{key}.users") or [], record.get(f"{key}.status") or []
        for i, value in enumerate(values):
            who = as_cell(users[i]) if i < len(users) else ""
            status = as_cell(statuses[i]) if i < len(statuses) else ""
            yield key.removesuffix(_FLAT), value, who, status, ""


def _nested(responses: Any) -> Iterator[_Response]:
    """Yield responses, be they a list by person or an object by question."""
    if isinstance(responses, Mapping):
        for question, of in responses.items():
            for one in of or []:
                yield question, one.get("value"), *_who(one)
        return
    for response in responses or []:
        values = response.get("values") or {"": None}
        for question, value in values.items():
            inside = value.get("value") if isinstance(value, Mapping) else value
            yield question, inside, *_who(response)


def _who(response: Mapping[str, Any]) -> tuple[str, str, str]:
    at = response.get("updated_at") or response.get("inserted_at") or ""
    return as_cell(response.get("user_id")), as_cell(response.get("status")), str(at)


READER = FormatReader(
    "Argilla",
    "JSON records with 'responses', or with keys that end in '.responses'",
    _recognises,
    _read,
)
