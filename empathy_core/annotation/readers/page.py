"""What the packet's own page writes: a JSON object, or the same answers as CSV."""

from collections.abc import Iterator, Mapping
from typing import Any

from empathy_core.annotation.answers import FORMAT, VERSION
from empathy_core.annotation.points import SKIPPED
from empathy_core.annotation.readers.content import FileContent, as_cell, seconds_of
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FormatReader, GivenFile
from empathy_core.annotation.round_items import AskedRound
from empathy_core.crisis.screen import NONE
from empathy_core.errors import DataError

_COLUMNS = {"item", "rubric", "dimension", "label", "state"}
_FACTS = ("packet", "consent", "may_train", "without_crisis", "complete")


def _is_json(given: GivenFile) -> bool:
    found = given.content.json
    return isinstance(found, dict) and found.get("format") == FORMAT


def _read_json(given: GivenFile) -> RatingFile:
    content, page = given.content, given.content.json
    _require(content, page, given.asked)
    rater = page["rater"]
    entries = [_entry(f"answer {i}", of) for i, of in enumerate(page["answers"], start=1)]
    if page.get("without_crisis"):
        entries += _left_out(given.asked, rater, {entry.item for entry in entries})
    return RatingFile(
        format="result of the page",
        entries=tuple(entries),
        at=str(page.get("saved_at") or ""),
        rater=rater,
        facts={name: page[name] for name in _FACTS if name in page},
    )


def _require(content: FileContent, page: Mapping[str, Any], asked: AskedRound) -> None:
    """Refuse a file that is not whole, is of a newer page, of nobody, or without consent.

    Raises:
        DataError: It is one.
    """
    wrong = ""
    if page.get("version") != VERSION:
        wrong = f"is of version {page.get('version')}; expected {VERSION}; update the suite"
    elif page.get("rater") not in asked.raters:
        whose = ", ".join(asked.raters)
        wrong = f"is of rater {page.get('rater')}; expected one of {whose}; name its round: --round"
    elif page.get("consent") is False:
        wrong = "says that the rater gave no consent; expected one; do not use it, and delete it"
    elif not isinstance(page.get("answers"), list):
        wrong = "holds no list of answers; expected the page's whole result; save it there again"
    if wrong:
        raise DataError(f"{content.name} {wrong}")


def _entry(place: str, of: Mapping[str, Any]) -> RatingEntry:
    return RatingEntry(
        place=place,
        item=as_cell(of.get("item")),
        dimension=f"{of.get('rubric')}.{of.get('dimension')}",
        said=as_cell(of.get("label")),
        seconds=seconds_of(of.get("seconds")),
        skipped=of.get("state") == SKIPPED,
    )


def _left_out(asked: AskedRound, rater: str, answered: set[str]) -> Iterator[RatingEntry]:
    """Yield a skip of each item about a message of a person at risk, whom the rater left out."""
    for item in asked.of_rater(rater):
        if item.tier not in ("", NONE) and item.item not in answered:
            yield RatingEntry(
                place="without_crisis", item=item.item, dimension=EVERY_SCALE, skipped=True
            )


def _is_csv(given: GivenFile) -> bool:
    return not given.map.columns and set(given.content.header) >= _COLUMNS


def _read_csv(given: GivenFile) -> RatingFile:
    names, entries = given.content.header, []
    for place, cells in given.content.cells():
        entries.append(_entry(place, dict(zip(names, cells, strict=False))))
    return RatingFile(format="result of the page (CSV)", entries=tuple(entries))


JSON = FormatReader(
    "result of the page", f"a JSON object with format '{FORMAT}'", _is_json, _read_json
)
CSV = FormatReader(
    "result of the page (CSV)", "columns item, rubric, dimension, label, state", _is_csv, _read_csv
)
