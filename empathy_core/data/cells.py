"""What a cell holds: a text, nothing, or something that is refused. Pure.

A text is taken as it is. A label (who answered, a group, an id) may also be a number or a truth
value, written as JSON writes it, since ``5`` names the same as ``"5"``.
"""

import json
import math
from collections.abc import Mapping
from decimal import Decimal


class _Absent:
    """The value of a field that a record does not have."""


ABSENT = _Absent()


class NoText(ValueError):
    """A cell holds no text.

    Attributes:
        found: What it holds, in words.
        field: ``.field`` or ``.0`` (or several) that lead to a text in it; empty if nothing does.
    """

    def __init__(self, found: str, field: str = "") -> None:
        super().__init__(found)
        self.found, self.field = found, field

    def told(self, column: str, where: str) -> str:
        """Return it as the rest of a sentence; *where*: the table that names the column."""
        found = f"column '{column}' holds {self.found}: expected text"
        if self.field:
            return f"{found}; in {where}, write '{column}{self.field}' to take the text in it"
        return f"{found}; write text there, or name another column in {where}"


def at(record: Mapping[str, object], column: str) -> object:
    """Return the value of a column, or of the field that ``column.field`` or ``column.0`` names.

    Raises:
        NoText: What should hold the field holds a text, a number or the like.
    """
    if column in record or "." not in column:
        return record.get(column, ABSENT)
    value: object = record
    for part in column.split("."):
        if value is None or value is ABSENT:
            return value
        value = _field(value, part)
    return value


def _field(value: object, part: str) -> object:
    if isinstance(value, Mapping):
        return value.get(part, ABSENT)
    if isinstance(value, list) and part.isdecimal():
        return value[int(part)] if len(part) < 9 and int(part) < len(value) else ABSENT
    raise NoText(f"{kind(value)} where '{part}' is to be found")


def every(record: Mapping[str, object], column: str) -> object:
    """Return what ``at`` does; of a list of objects, ``column.field`` is that field of each.

    Raises:
        NoText: See ``at``.
    """
    head, _, field = column.rpartition(".")
    if column not in record and head and not field.isdecimal():
        entries = at(record, head)
        if isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
            return [at(entry, field) for entry in entries]
    return at(record, column)


def text(value: object) -> str | None:
    """Return the text of a cell; null where it holds nothing.

    Raises:
        NoText: It holds no text.
    """
    if value is None or isinstance(value, str):
        return value
    if value is ABSENT or _is_nan(value):
        return None
    raise NoText(kind(value), _path_to_text(value))


def texts(value: object) -> tuple[str, ...]:
    """Return the texts of a cell that holds one, several in a list, or none.

    Raises:
        NoText: It holds something else, or an entry of the list does.
    """
    if not isinstance(value, list):
        found = [text(value)]
    else:
        try:
            found = [text(entry) for entry in value]
        except NoText as error:
            raise NoText(f"a list that holds {error.found}", _plain_field(error.field)) from error
    return tuple(entry for entry in found if entry is not None)


def _plain_field(field: str) -> str:
    """Return a path to a text if it is the same for each entry of a list, as ``every`` takes it."""
    return "" if field.rpartition(".")[2].isdecimal() or field.count(".") != 1 else field


def label(value: object) -> str | None:
    """Return the text of a cell, or of its number or truth value as JSON writes them.

    Raises:
        NoText: It holds none of them.
    """
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    return text(value)


def _is_nan(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def _path_to_text(value: object, depth: int = 4) -> str:
    if isinstance(value, Mapping):
        first = sorted(value, key=lambda name: name not in ("text", "content", "value", "answer"))
        inner: list[tuple[object, object]] = [(name, value[name]) for name in first]
    else:
        inner = [(0, value[0])] if isinstance(value, list) and value else []
    for name, entry in inner:
        if isinstance(entry, str):
            return f".{name}"
    deeper = ((name, _path_to_text(entry, depth - 1)) for name, entry in inner if depth)
    return next((f".{name}{rest}" for name, rest in deeper if rest), "")


def kind(value: object) -> str:
    """Return what a value that is no text is, in words."""
    if isinstance(value, Mapping):
        return f"an object with the fields {', '.join(map(str, value))[:60] or '(none)'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return f"the truth value {json.dumps(value)}"
    if isinstance(value, int | float | Decimal):
        return f"the number {str(value)[:20]}"
    return {"str": "a text", "bytes": "bytes"}.get(name := type(value).__name__, f"a {name}")
