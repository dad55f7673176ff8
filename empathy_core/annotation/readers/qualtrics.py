"""A survey of Qualtrics as CSV: three header rows, then a row for each respondent.

A column is a question about one item: which, says a mapping file (code, item, dimension), or the
column's own name, ``item.dimension`` or ``item_dimension``.
"""

from collections.abc import Iterator

from empathy_core.annotation.readers.content import FileContent
from empathy_core.annotation.readers.entries import RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile
from empathy_core.errors import DataError

_WHO = ("rater", "ResponseId")
_NOT_MEANT = {"survey preview", "preview", "spam", "survey test"}
_PERSONAL = (
    "IPAddress", "RecipientLastName", "RecipientFirstName", "RecipientEmail", "ExternalReference",
    "ExternalDataReference", "LocationLatitude", "LocationLongitude", "ResponseId", "rater",
)  # fmt: skip


def _recognises(given: GivenFile) -> bool:
    content = given.content
    return _header_rows(content) > 0 or content.column("ResponseId") is not None


def _read(given: GivenFile) -> RatingFile:
    content, columns = given.content, dict(_columns(given))
    if not columns:
        msg = (
            f"{content.name}: no column is known to be a question about an item; expected a "
            "mapping file with the columns code, item and dimension; give it with --codes FILE. "
            f"Columns: {', '.join(content.header[:30])}"
        )
        raise DataError(msg)
    who = content.column(given.map.columns.get("rater", _WHO[0]), *_WHO)
    kind, finished = content.column("Status", "DistributionChannel"), content.column("Finished")
    entries, not_meant, unfinished = list[RatingEntry](), 0, 0
    for place, cells in content.cells(skipped=_header_rows(content)):
        if kind is not None and cells[kind].strip().casefold() in _NOT_MEANT:
            not_meant += 1
            continue
        unfinished += finished is not None and cells[finished].strip().casefold() in ("0", "false")
        rater = cells[who].strip() if who is not None else ""
        entries += [
            RatingEntry(place=f"{place}, {content.header[at]}", item=item, dimension=dimension,
                        said=cells[at], rater=rater)
            for at, (item, dimension) in columns.items()
        ]  # fmt: skip
    notes = {
        f"previews and spam, left out: {not_meant}": not_meant,
        f"unfinished responses, read as far as they go: {unfinished}": unfinished,
    }
    return RatingFile(
        format="Qualtrics (CSV)",
        entries=tuple(entries),
        notes=tuple(text for text, n in notes.items() if n),
        personal=_PERSONAL,
    )


def _header_rows(content: FileContent) -> int:
    """Return how many rows after the first belong to the header: texts, then import ids."""
    for number, line in enumerate(content.lines[1:3], start=1):
        if any("importid" in cell.casefold() for cell in line.cells):
            return number
    return 0


def _columns(given: GivenFile) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the place of a column, and item and dimension that it is about."""
    for at, name in enumerate(given.content.header):
        if name in given.map.codes:
            yield at, given.map.codes[name]
            continue
        for cut in (i for i, sign in enumerate(name) if sign in "._:"):
            if given.asked.item(name[:cut]) and len(given.asked.scale(name[cut + 1 :])) == 1:
                yield at, (name[:cut], name[cut + 1 :])
                break


READER = FormatReader(
    "Qualtrics (CSV)", "three header rows, the third with ImportId", _recognises, _read
)
