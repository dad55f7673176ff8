"""Exports of Label Studio: JSON, JSON_MIN and CSV.

Several people may have rated a task: each annotation is its own. A task that was skipped
(``was_cancelled``) is a skipped item. The short formats have no annotation of skipped tasks.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from empathy_core.annotation.readers.content import as_cell, seconds_of
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile, scale_text
from empathy_core.annotation.round_items import AskedRound

_FORMAT = "Label Studio"
_ITEM = ("item", "item_id", "id")
_PERSONAL = (
    "completed_by", "annotator", "annotators", "updated_by", "email", "username", "first_name",
    "last_name", "created_username", "comment_authors",
)  # fmt: skip
SEVERAL = "holds several answers to a question with one"


def _is_export(given: GivenFile) -> bool:
    first = given.content.records[:1]
    return bool(first) and "annotations" in first[0] and "data" in first[0]


def _is_flat(given: GivenFile) -> bool:
    header = {name.casefold() for name in given.content.header}
    return not given.map.columns and {"annotator", "annotation_id"} <= header


def item_named(data: Mapping[str, Any], asked: AskedRound) -> str:
    """Return the item of a record: the value of a key for it, or the only one that is an item."""
    named = [str(data[key]) for key in _ITEM if data.get(key) not in (None, "")]
    known = [name for name in named if asked.item(name)]
    others = [v for v in data.values() if isinstance(v, str) and v in asked.items]
    return next(iter([*known, *others, *named]), "")


def _read_export(given: GivenFile) -> RatingFile:
    entries: list[RatingEntry] = []
    for number, task in enumerate(given.content.records, start=1):
        item = item_named(task.get("data") or {}, given.asked)
        for annotation in task.get("annotations") or []:
            entries += _annotation(given, annotation, f"task {task.get('id', number)}", item)
    return _file("JSON", entries)


def _file(which: str, entries: list[RatingEntry]) -> RatingFile:
    return RatingFile(
        format=f"{_FORMAT} ({which})",
        entries=tuple(entries),
        at=max((entry.at for entry in entries), default=""),
        personal=_PERSONAL,
    )


def _annotation(
    given: GivenFile, annotation: Mapping[str, Any], place: str, item: str
) -> Iterator[RatingEntry]:
    about: dict[str, Any] = {
        "place": place,
        "item": item,
        "rater": _person(annotation.get("completed_by")),
        "seconds": seconds_of(annotation.get("lead_time")),
        "at": str(annotation.get("updated_at") or annotation.get("created_at") or ""),
    }
    if annotation.get("was_cancelled"):
        yield RatingEntry(**about, dimension=EVERY_SCALE, skipped=True)
        return
    for result in annotation.get("result") or []:
        scale = given.scale(str(result.get("from_name", "")))
        if scale is None:
            continue  # a text field for notes, say
        said, why = chosen(result.get("value"))
        yield RatingEntry(**about, dimension=scale_text(scale), said=said, why=why)


def _person(who: Any) -> str:
    """Return how an export names a person: a number, or a record of one."""
    if isinstance(who, Mapping):
        return next((str(who[key]) for key in ("id", "email", "username") if who.get(key)), "")
    return as_cell(who)


def chosen(value: Any) -> tuple[str, str]:
    """Return what a result says, and why it cannot be read (empty if it can)."""
    if isinstance(value, Mapping):
        keys = [key for key in ("choices", "rating", "number", "text") if key in value]
        return chosen(value[keys[0]]) if keys else ("", "")
    if isinstance(value, list):
        if len(value) == 1:
            return chosen(value[0])
        return ("; ".join(map(as_cell, value)), SEVERAL) if value else ("", "")
    return as_cell(value), ""


def _read_flat(given: GivenFile) -> RatingFile:
    content = given.content
    scales = {
        at: scale_text(scale) for at, name in enumerate(content.header)
        if (scale := given.scale(name))
    }  # fmt: skip
    entries = []
    for place, cells in content.cells():
        row = dict(zip((name.casefold() for name in content.header), cells, strict=False))
        about: dict[str, Any] = {
            "place": place,
            "item": item_named(row, given.asked),
            "rater": row["annotator"].strip(),
            "seconds": seconds_of(row.get("lead_time")),
            "at": row.get("updated_at") or row.get("created_at") or "",
        }
        for column, dimension in scales.items():
            said, why = chosen(_as_json(cells[column]))
            entries.append(RatingEntry(**about, dimension=dimension, said=said, why=why))
    return _file("CSV" if content.json is None else "JSON_MIN", entries)


def _as_json(cell: str) -> Any:
    """Return a cell that holds a JSON list or object as such, any other as it stands."""
    if cell[:1] not in ("{", "["):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell


EXPORT = FormatReader(
    f"{_FORMAT} (JSON)",
    "a JSON list of tasks with 'data' and 'annotations'",
    _is_export,
    _read_export,
)
FLAT = FormatReader(
    f"{_FORMAT} (JSON_MIN or CSV)",
    "the columns or keys 'annotator' and 'annotation_id'",
    _is_flat,
    _read_flat,
)
