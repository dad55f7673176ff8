"""Any table with a row for each rating, its columns named on the command line or as ours are."""

from empathy_core.annotation.readers.content import seconds_of
from empathy_core.annotation.readers.entries import RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile
from empathy_core.errors import DataError

_OWN = ("item", "dimension", "value")
_ANSWER = ("condition", "example")
_BY_ANSWER = {*_ANSWER, "rater", "dimension", "value"}
PARTS = (*_OWN, *_ANSWER, "sample", "rater", "rubric", "seconds", "at")
"""What columns can be for."""


def _recognises(given: GivenFile) -> bool:
    content = given.content
    if not content.header:
        return False
    there = {name for name in PARTS if content.column(name) is not None}
    return bool(given.map.columns) or there >= set(_OWN) or there >= _BY_ANSWER


def _read(given: GivenFile) -> RatingFile:
    columns = _places(given)
    entries = []
    for place, cells in given.content.cells():
        of = {part: cells[at].strip() for part, at in columns.items()}
        dimension = of["dimension"]
        answer = answer_text(of.get("condition"), of.get("example"), of.get("sample"))
        entries.append(
            RatingEntry(
                place=place,
                item=of.get("item") or answer,
                dimension=f"{of['rubric']}.{dimension}" if of.get("rubric") else dimension,
                said=cells[columns["value"]],
                rater=of.get("rater", ""),
                seconds=seconds_of(of.get("seconds", "")),
                at=of.get("at", ""),
            )
        )
    return RatingFile(
        format="table with a row for each rating",
        entries=tuple(entries),
        personal=(given.content.header[columns["rater"]],) if "rater" in columns else (),
    )


def answer_text(condition: str | None, example: str | None, sample: str | None) -> str:
    """Return how an entry names an answer for which the file has no item."""
    return "\x1f".join((condition or "", example or "", sample or "0"))


def _places(given: GivenFile) -> dict[str, int]:
    """Return what a column is for → its place.

    Raises:
        DataError: A column is not there, or one that is needed is not named.
    """
    content, listed = given.content, ", ".join(given.content.header)
    wanted = {part: part for part in PARTS if content.column(part) is not None}
    found: dict[str, int] = {}
    for part, name in {**wanted, **given.map.columns}.items():
        at = content.column(name)
        if at is None:
            msg = (
                f"{content.name} has no column '{name}' (--map {part}={name}); its columns: "
                f"{listed}; name one of these"
            )
            raise DataError(msg)
        found[part] = at
    whose = "item" in found or (set(_ANSWER) <= set(found) and "rater" in found)
    if not whose or not {"dimension", "value"} <= set(found):
        msg = (
            f"{content.name}: not all columns that are needed are known; expected item (or "
            f"condition, example and rater), dimension and value; its columns: {listed}; say "
            "which is which: --map item=…,dimension=…,value=…,rater=…"
        )
        raise DataError(msg)
    return found


READER = FormatReader(
    "table with a row for each rating",
    "columns item, dimension and value, or others that --map names",
    _recognises,
    _read,
)
