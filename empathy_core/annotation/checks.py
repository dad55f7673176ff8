"""From the entries of a file to ratings: each one found, read and checked. Pure.

Nothing is dropped without being listed: an entry becomes a rating (with a value or with the state
that says why it has none), or a problem says why it is none. Every repair is listed, too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from empathy_core.annotation.answers import NOT_ASKED
from empathy_core.annotation.points import NA, OUT, RATED, SKIPPED, UNREADABLE, plain, read_point
from empathy_core.annotation.raters import RaterNames
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.round_items import SHOWN_ONCE, AskedItem, AskedRound, ScaleName

_SHOWN = 60
"""Signs of a cell that are recorded: a cell may hold a remark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRepair:
    """A cell that was read as something else than what stands there.

    Attributes:
        place: Where it stands in the file.
        item: Of the packet.
        dimension: ``rubric.dimension``; empty where the item's name was repaired.
        was: What stands there.
        now: What it was read as.
        kind: What was done.
    """

    place: str
    item: str
    dimension: str = ""
    was: str
    now: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellProblem:
    """Something that a person should look at.

    Attributes:
        place: Where it stands in the file.
        item: As the file calls it.
        dimension: Likewise.
        kind: Which problem it is: a key of ``PROBLEMS``.
        text: What is wrong in this case.
    """

    place: str
    item: str
    dimension: str = ""
    kind: str
    text: str


PROBLEMS = {
    "unknown item": "of no packet of this round: left out",
    "item of another rater": "of a packet of somebody else: left out",
    "unknown dimension": "no question of this round: left out",
    "not asked": "a question that is not asked of this item: left out",
    OUT: "outside the scale: no value",
    UNREADABLE: "no point of the scale: no value",
    "not offered": "an answer that the question does not offer: no value",
    "duplicate": "the same rating more than once: counted once",
    "conflict": "two ratings of one question: the later one counts",
    "changed": "another rating than in an earlier file: the later file counts",
}
"""What a problem means, and what became of the entry."""

RatingKey = tuple[str, str, str, str]
"""Rater, item, rubric, dimension."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What a file gives.

    Attributes:
        rows: Rows of ``RATINGS``, one for each rater, item and dimension.
        repairs: In the order of the file.
        problems: Likewise.
        elsewhere: Entries that stand under an item of another packet that shows the same answer.
    """

    rows: list[dict[str, Any]]
    repairs: list[CellRepair]
    problems: list[CellProblem]
    elsewhere: int


@dataclass(slots=True)
class _Sifting:
    """What is found while entries are gone through."""

    asked: AskedRound
    names: RaterNames
    read: RatingFile
    digest: str
    said: dict[RatingKey, list[tuple[RatingEntry, dict[str, Any]]]] = field(default_factory=dict)
    repairs: list[CellRepair] = field(default_factory=list)
    problems: list[CellProblem] = field(default_factory=list)
    elsewhere: int = 0

    def problem(self, entry: RatingEntry, kind: str, text: str) -> None:
        self.problems.append(
            CellProblem(place=entry.place, item=entry.item[:_SHOWN], kind=kind, text=text,
                        dimension=entry.dimension)
        )  # fmt: skip


def check_file(read: RatingFile, asked: AskedRound, names: RaterNames, digest: str) -> CheckedFile:
    """Return the ratings of a file, its repairs and its problems.

    Args:
        read: The file.
        asked: The round.
        names: Who is who in it.
        digest: SHA-256 of the file.
    """
    sifting = _Sifting(asked, names, read, digest)
    for entry in read.entries:
        _take(sifting, entry)
    rows = [_latest(sifting, several) for several in sifting.said.values()]
    return CheckedFile(rows, sifting.repairs, sifting.problems, sifting.elsewhere)


def _take(found: _Sifting, entry: RatingEntry) -> None:
    """Turn an entry into ratings, or say why it is none."""
    item = _item(found, entry)
    if item is None:
        return
    for scale in _scales(found, entry, item):
        row = _row(found, entry, item, scale)
        if row is not None:
            key = (item.rater, item.item, *scale)
            found.said.setdefault(key, []).append((entry, row))


def _item(found: _Sifting, entry: RatingEntry) -> AskedItem | None:
    """Return the item of an entry in the packet of whoever said it; null if there is none."""
    if not (entry.said.strip() or entry.skipped or entry.why):
        return None
    rater = found.read.rater or found.names.of.get(entry.rater, "")
    if "\x1f" in entry.item:
        condition, example, sample = entry.item.split("\x1f")
        answer = (condition, example, int(sample) if sample.isdigit() else -1)
        item = found.asked.item_of(rater, answer)
        if item is None:
            found.problem(entry, "unknown item", f"{rater or 'nobody'} was not shown this answer")
        return item
    item = found.asked.item(entry.item)
    if item is None:
        found.problem(entry, "unknown item", f"'{entry.item[:_SHOWN]}' is of no packet")
        return None
    if item.rater == (rater or item.rater):
        if entry.item != item.item:
            found.repairs.append(
                CellRepair(place=entry.place, item=item.item, was=entry.item[:_SHOWN],
                           now=item.item, kind="name of the item")
            )  # fmt: skip
        return item
    same = found.asked.item_of(rater, item.answer) if item.kind in SHOWN_ONCE else None
    if same is None or found.read.rater:
        found.problem(entry, "item of another rater", f"{rater} answered an item of {item.rater}")
        return None
    found.elsewhere += 1
    return same


def _scales(found: _Sifting, entry: RatingEntry, item: AskedItem) -> Iterable[ScaleName]:
    """Return the questions that an entry is about."""
    if entry.dimension == EVERY_SCALE:
        return item.scales
    scales = found.asked.scale(entry.dimension)
    if len(scales) != 1:
        found.problem(entry, "unknown dimension", f"'{entry.dimension[:_SHOWN]}'")
        return ()
    if scales[0] not in item.scales:
        if plain(entry.said) == NOT_ASKED:  # as the packet's own sheet says it
            return ()
        found.problem(entry, "not asked", "of a message of this kind")
        return ()
    return scales


def _row(
    found: _Sifting, entry: RatingEntry, item: AskedItem, scale: ScaleName
) -> dict[str, Any] | None:
    """Return the rating of one question; null if the entry says nothing."""
    value, state = None, SKIPPED
    if entry.why:
        state = UNREADABLE
        found.problem(entry, UNREADABLE, f"'{entry.said[:_SHOWN]}' {entry.why}")
    elif not entry.skipped:
        point = read_point(entry.said, found.asked.scales[scale])
        if not point.state:
            return None
        value, state = point.value, point.state
        if point.why:
            kind = "not offered" if state == NA else state
            found.problem(entry, kind, f"'{entry.said[:_SHOWN]}' {point.why}")
        if point.repair:
            found.repairs.append(
                CellRepair(place=entry.place, item=item.item, dimension=".".join(scale),
                           was=entry.said[:_SHOWN], now=point.label or state, kind=point.repair)
            )  # fmt: skip
    return {
        "round": found.asked.name,
        "item": item.item,
        "rater": item.rater,
        "kind": item.kind,
        "condition": item.condition,
        "example": item.example,
        "sample": item.sample,
        "answer_sha256": item.answer_sha256,
        "rubric": scale[0],
        "dimension": scale[1],
        "rubric_digest": found.asked.digests[scale],
        "value": value,
        "state": state,
        "excluded": "",
        "seconds": entry.seconds,
        "file": found.digest,
    }


def _latest(found: _Sifting, several: list[tuple[RatingEntry, dict[str, Any]]]) -> dict[str, Any]:
    """Return the one of several ratings of a question that counts, and report the others.

    The latest, where all say when they were made; else a rating before a skip, and the one that
    stands last in the file.
    """
    if len(several) == 1:
        return several[0][1]
    timed = all(entry.at for entry, _ in several)

    def rank(one: tuple[int, tuple[RatingEntry, dict[str, Any]]]) -> tuple[Any, ...]:
        place, (entry, row) = one
        return (entry.at if timed else "", row["state"] != SKIPPED, place)

    ordered = [pair for _, pair in sorted(enumerate(several), key=rank)]
    entry, row = ordered[-1]
    for other, was in ordered[:-1]:
        alike = (was["value"], was["state"]) == (row["value"], row["state"])
        text = f"{shown(was)} in {other.place}, {shown(row)} in {entry.place}"
        found.problem(other, "duplicate" if alike else "conflict", text)
    return row


def shown(row: Mapping[str, Any]) -> str:
    """Return a rating as messages show it."""
    return f"{row['value']:g}" if row["state"] == RATED else str(row["state"]).replace("_", " ")


def counted_kinds(found: Iterable[CellRepair | CellProblem]) -> Iterator[tuple[str, int]]:
    """Yield each kind of repair or problem and how often it was found, the most frequent first."""
    n: dict[str, int] = {}
    for one in found:
        n[one.kind] = n.get(one.kind, 0) + 1
    yield from sorted(n.items(), key=lambda pair: (-pair[1], pair[0]))
