"""A spreadsheet: a row an item, a column a question, as the packet's CSV file has them."""

from typing import Any

from empathy_core.annotation.readers.content import seconds_of
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile, scale_text
from empathy_core.errors import DataError

ITEM = ("item", "item_id", "item id")
_RATER, _SECONDS = ("rater", "rater_id"), ("seconds", "lead_time")
_SKIP = ("skip", "skipped")
_OTHERS = {
    "packet",
    *ITEM,
    *_RATER,
    *_SECONDS,
    *_SKIP,
    "question",
    "answer",
    "reply",
    "message",
    "note",
    "notes",
    "comment",
    "comments",
    "page",
    "place",
    "number",
    "no",
}
_YES = {"1", "x", "yes", "true", "y", "skip", "skipped"}


def _recognises(given: GivenFile) -> bool:
    if given.map.columns or given.content.column(*ITEM) is None:
        return False
    return any(given.asked.scale(name) for name in given.content.header)


def _read(given: GivenFile) -> RatingFile:
    content, columns = given.content, _columns(given)
    item, rater = content.column(*ITEM), content.column(*_RATER)
    seconds, skip = content.column(*_SECONDS), content.column(*_SKIP)
    entries = []
    for place, cells in content.cells():
        about: dict[str, Any] = {
            "place": place,
            "item": cells[item] if item is not None else "",
            "rater": cells[rater].strip() if rater is not None else "",
            "seconds": seconds_of(cells[seconds]) if seconds is not None else None,
        }
        if skip is not None and cells[skip].strip().casefold() in _YES:
            entries.append(RatingEntry(**about, dimension=EVERY_SCALE, skipped=True))
            continue
        entries += [RatingEntry(**about, dimension=d, said=cells[c]) for c, d in columns.items()]
    return RatingFile(
        format="spreadsheet (CSV)",
        entries=tuple(entries),
        notes=tuple(_unused(given, columns)),
        personal=_RATER if rater is not None else (),
    )


def _columns(given: GivenFile) -> dict[int, str]:
    """Return the place of a column → the question that it answers.

    Raises:
        DataError: Two columns answer the same one.
    """
    columns: dict[int, str] = {}
    for at, name in enumerate(given.content.header):
        if name.casefold() in _OTHERS or not (scale := given.scale(name)):
            continue
        if scale_text(scale) in columns.values():
            msg = (
                f"{given.content.name} has two columns for '{scale_text(scale)}'; expected one; "
                "remove the other"
            )
            raise DataError(msg)
        columns[at] = scale_text(scale)
    return columns


def _unused(given: GivenFile, columns: dict[int, str]) -> list[str]:
    """Return the note on columns that are called like no question and nothing else."""
    left = [
        name for at, name in enumerate(given.content.header)
        if name and at not in columns and name.casefold() not in _OTHERS
    ]  # fmt: skip
    listed = ", ".join(left)
    return [f"columns that are no question of the round, not read: {listed}"] if left else []


READER = FormatReader(
    "spreadsheet (CSV)",
    "a column 'item' and a column for each question, as the packet's CSV file has them",
    _recognises,
    _read,
)
