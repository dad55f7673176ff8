"""What Potato writes: ``user_state.json`` of a person, and its exports as JSON lines and CSV.

A question with one answer can hold several in data of older versions; that is no answer, since
which came last is not known. A label may stand as the name of what was chosen, as its value, or as
both; where the two are different points, there is no answer either.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from empathy_core.annotation.points import NA, RATED, read_point
from empathy_core.annotation.readers.content import as_cell
from empathy_core.annotation.readers.entries import RatingEntry, RatingFile
from empathy_core.annotation.readers.label_studio import SEVERAL
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile, scale_text
from empathy_core.annotation.round_items import ScaleName

_STATE = "instance_id_to_label_to_value"
_TRUE, _UNSET = {"true", "on", "checked"}, {"", "false", "off"}
_PERSONAL = ("user_id", "username", "email", "phase_to_page_to_label_to_value")
"""The last holds what people wrote into forms before and after."""


def _is_state(given: GivenFile) -> bool:
    return isinstance(given.content.json, dict) and _STATE in given.content.json


def _is_lines(given: GivenFile) -> bool:
    records = _records(given)
    return bool(records) and {"instance_id", "user_id", "labels"} <= set(records[0])


def _records(given: GivenFile) -> list[dict[str, Any]]:
    """Return the objects of JSON lines, be it only one line."""
    whole = given.content.json
    return [whole] if isinstance(whole, dict) else given.content.records


def _is_csv(given: GivenFile) -> bool:
    header = {name.casefold() for name in given.content.header}
    return not given.map.columns and {"instance_id", "user_id"} <= header


def _read_state(given: GivenFile) -> RatingFile:
    state = given.content.json
    who = as_cell(state.get("user_id"))
    entries: list[RatingEntry] = []
    for number, (item, labels) in enumerate(state[_STATE].items(), start=1):
        about = {"place": f"instance {number}", "item": item, "rater": who}
        entries += _entries(given, about, _by_schema(labels))
    return _file("user_state.json", entries)


def _file(which: str, entries: list[RatingEntry]) -> RatingFile:
    return RatingFile(format=f"Potato ({which})", entries=tuple(entries), personal=_PERSONAL)


_Labels = Mapping[str, Mapping[str, Any]]
"""Schema → name of a label → its value."""


def _by_schema(labels: Any) -> _Labels:
    """Return the labels of an instance, of either form in which a state holds them."""
    if isinstance(labels, Mapping):
        return {
            schema: dict(of) if isinstance(of, Mapping) else {"": of}
            for schema, of in labels.items()
        }
    found: dict[str, dict[str, Any]] = {}
    for pair in labels if isinstance(labels, Sequence) else ():
        if isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], Mapping):
            label, value = pair
            found.setdefault(str(label.get("schema")), {})[str(label.get("name"))] = value
    return found


def _read_lines(given: GivenFile) -> RatingFile:
    entries: list[RatingEntry] = []
    for number, record in enumerate(_records(given), start=1):
        about = {
            "place": f"line {number}",
            "item": as_cell(record.get("instance_id")),
            "rater": as_cell(record.get("user_id")),
        }
        entries += _entries(given, about, _by_schema(record.get("labels")))
    return _file("JSON lines", entries)


def _read_csv(given: GivenFile) -> RatingFile:
    content, entries = given.content, list[RatingEntry]()
    item, who = content.column("instance_id"), content.column("user_id")
    for place, cells in content.cells():
        labels: dict[str, dict[str, Any]] = {}
        for name, cell in zip(content.header, cells, strict=False):
            # "rubric.dimension" may be the schema's own name: then nothing stands behind it
            schema, _, label = (name, "", "") if given.asked.scale(name) else name.rpartition(".")
            if cell.strip():
                labels.setdefault(schema, {})[label] = cell
        about = {"place": place, "item": cells[item or 0], "rater": cells[who or 0]}
        entries += _entries(given, about, labels)
    return _file("CSV", entries)


def _entries(given: GivenFile, about: Mapping[str, Any], labels: _Labels) -> Iterator[RatingEntry]:
    """Yield the answers to one item; what belongs to no question of the round is left."""
    for schema, of in labels.items():
        names = {n: as_cell(v) for n, v in of.items() if as_cell(v).casefold() not in _UNSET}
        if scale := given.scale(schema):
            if len(names) > 1 and "" in names:  # its own guess at the one that counts
                del names[""]
            said, why = _of_one(given, names, scale)
            yield RatingEntry(**about, dimension=scale_text(scale), said=said, why=why)
            continue
        for name, value in names.items():
            if found := given.scale(name):
                yield RatingEntry(**about, dimension=scale_text(found), said=value)


def _of_one(given: GivenFile, names: Mapping[str, str], scale: ScaleName) -> tuple[str, str]:
    """Return what was chosen of one question, and why it cannot be read (empty if it can)."""
    if len(names) != 1:
        return ("; ".join(names), SEVERAL) if names else ("", "")
    [(name, value)] = names.items()
    if not name or value.casefold() in _TRUE:
        return name or value, ""
    of = given.asked.scales[scale]
    by_name, by_value = read_point(name, of), read_point(value, of)
    if by_name.state not in (RATED, NA):
        return value, ""
    if by_value.state not in (RATED, NA) or by_name.label == by_value.label:
        return name, ""
    return f"{name}: {value}", "names one point and has the value of another"


STATE = FormatReader(
    "Potato (user_state.json)", f"a JSON object with '{_STATE}'", _is_state, _read_state
)
LINES = FormatReader(
    "Potato (JSON lines)",
    "JSON lines with 'instance_id', 'user_id' and 'labels'",
    _is_lines,
    _read_lines,
)
CSV = FormatReader("Potato (CSV)", "the columns 'instance_id' and 'user_id'", _is_csv, _read_csv)
