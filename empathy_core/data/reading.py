"""Files and Hub data sets into raw rows. Nothing is cleaned here, and nothing is guessed."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl
from polars import selectors as cs

from empathy_core.conversation import Conversation, Message, Role
from empathy_core.data import cells, files, hub, places, plain, streamed
from empathy_core.data.conversations import SYSTEM_TURNS, Conversations, TakenAnswer, not_said
from empathy_core.data.files import RawRows, Record
from empathy_core.data.specs import Source, SplitName
from empathy_core.data.streamed import NeedsWholeFile
from empathy_core.data.text_columns import TextColumns
from empathy_core.data.turns import NoTurn, alternating, in_cell, roles_of_columns
from empathy_core.errors import DataError, NoColumn


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as its source has it.

    Attributes:
        row: 0-based number in the raw file; a line that holds no whole row has one too.
        context: Null if absent.
        response: Null if absent.
        author: Null if absent.
        kept: Of the source's ``keep``, in its order; null if absent.
        references: More answers, of the source's ``references``.
        place: Where a person finds it, such as ``line 7``.
        turns: What was said before the response; empty where the context is a text.
        conversation: Id of the conversation; null where there is none.
        turn: Number of the response among the conversation's turns, where several of them are
            examples; null elsewhere.
        group: Of the source's ``group``; null where it belongs to none.
        side: Of the split that the source puts it on; null where that is drawn.
    """

    row: int
    context: str | None
    response: str | None
    author: str | None = None
    kept: tuple[str | None, ...] = ()
    place: str = ""
    turns: tuple[Message, ...] = ()
    conversation: str | None = None
    turn: int | None = None
    group: str | None = None
    side: SplitName | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """The rows of one source.

    Attributes:
        dropped: Reason → lines that hold no row at all.
        repaired: Kind → rows that were bent into shape.
        content: Key and digest of the raw content: a file's SHA-256, or the Hub's commit.
        conversations: How many there were; null for a source of single questions.
        plain: More rows, which consist of texts alone: ``row``, ``context``, ``response``,
            ``author``, ``group`` and the columns of the source's ``keep``, each null if absent.
    """

    rows: tuple[RawRow, ...]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    content: Mapping[str, str | None]
    conversations: int | None = None
    plain: pl.DataFrame | None = None


def without_texts(raw: Raw) -> Iterator[RawRow]:
    """Yield all rows with what is carried along and their further references, no texts else."""
    yield from (replace(row, context=None, response=None, turns=()) for row in raw.rows)
    if raw.plain is not None:
        for row, *kept in raw.plain.select("row", cs.starts_with("kept ")).iter_rows():
            yield RawRow(row, None, None, kept=tuple(kept))


_Taken = TypeVar("_Taken", str | None, tuple[str, ...])
_Take = Callable[[object], str | None]


def read(source: Source, *, complete: bool = False) -> Raw:
    """Return all rows of *source*.

    Args:
        source: Where the rows are, and which columns are read.
        complete: Whether each row must have every column; what is null is there.

    Raises:
        ConfigError: The source does not say where or which columns.
        DataError: The place is missing or unreadable, a column is not there, a cell holds no
            text, or there is no row.
    """
    source.check()
    if source.path:
        found, sha256 = _of_files(source)
        key: dict[str, str | None] = {"sha256": sha256}
    else:
        columns, records, commit = hub.load(source)
        found, key = RawRows(columns, records), hub.content(source, commit)
    if found.records:
        _require_columns(source, found)
    broken = _require_whole(source, found, complete=complete)
    return _cut(_Cutter(source, found, complete), found, broken, key)


def _cut(cut: "_Cutter", table: RawRows, broken: int, key: Mapping[str, str | None]) -> Raw:
    if cut.source.turn_layout.nested:
        return _of_conversations(cut, table, broken, key)
    rows = tuple(cut.rows())
    unmatched = len(table.records) - broken - len(rows)
    dropped = Counter({table.reason: broken, "pattern not found": unmatched})
    repaired = Counter({MISSING_WORD: cut.missing, SYSTEM_TURNS: cut.system})
    return Raw(rows, +dropped, +repaired, key)


def parts(source: Source) -> Iterator[Raw]:
    """Yield what ``read`` returns, of one large file in parts; its digest is in the last.

    Raises:
        NeedsWholeFile: It cannot be read in parts, which may show after some were yielded.
        DataError: See ``read``, which tells it better.
    """
    source.check()
    if source.turn_layout.by_utterance or not source.path:
        raise NeedsWholeFile
    found = places.files_of(source.path, source.hub_split, source.where)
    if len(found) != 1 or not found[0].is_file():
        raise NeedsWholeFile
    yield from _parts(source, found[0])


def _parts(source: Source, path: Path) -> Iterator[Raw]:
    roots = {name.partition(".")[0] for name in source.columns}
    texts = source.columns if plain.may_be(source) else ()
    lacking, records = set(source.columns), 0
    for table in streamed.parts(path, source.layout, source.where, roots, texts):
        there = list(map(str, table.columns))
        if any(there.count(c) > 1 for c in source.columns):
            raise NeedsWholeFile
        if isinstance(table, TextColumns):
            lacking, records = lacking - set(there), records + table.frame.height
            rows, missing = plain.rows(source, table)
            yield Raw((), {}, +Counter({MISSING_WORD: missing}), {}, plain=rows)
            continue
        lacking = {c for c in lacking if c not in there and not _has_field(table, c)}
        broken = sum(record is None for record in table.records)
        if broken and source.broken_rows == "error":
            raise NeedsWholeFile
        records += len(table.records) - broken
        yield _cut(_Cutter(source, table, complete=False), table, broken, {})
    if lacking or not records:
        raise NeedsWholeFile
    yield Raw((), {}, {}, content(source), 0 if source.turn_layout.nested else None)


def _of_conversations(
    cut: "_Cutter", table: RawRows, broken: int, key: Mapping[str, str | None]
) -> Raw:
    found = Conversations(cut.source, table, cut.place)
    rows = tuple(cut.taken(one) for one in found.taken())
    dropped = found.dropped + Counter({table.reason: broken})
    repaired = found.repaired + Counter({MISSING_WORD: cut.missing})
    return Raw(rows, +dropped, +repaired, key, found.n)


SIDES: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    "test": "test",
}
"""Words in a column of sides that need no ``sides``; case does not matter."""

MISSING_WORD = "cells that held a word for a missing value"


def content(source: Source) -> Mapping[str, str | None]:
    """Return the digest of a source's raw content without parsing it.

    Raises:
        DataError: The place is missing or unreadable.
    """
    source.check()
    if not source.path:
        return hub.content(source, hub.commit(source))
    digests = []
    for path in places.files_of(source.path, source.hub_split, source.where):
        try:
            with path.open("rb") as file:
                digests.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
        except OSError as error:
            raise files.unreadable(path, error) from error
    return {"sha256": places.content_digest(digests)}


def _of_files(source: Source) -> tuple[RawRows, str]:
    """Return the rows of a source's files, and the digest of their content."""
    roots = {name.partition(".")[0] for name in source.columns}
    parts, digests = [], []
    for path in places.files_of(str(source.path), source.hub_split, source.where):
        data = files.read(path)
        rows = files.parse(path, data, source.layout, source.where, roots)
        digests.append((path.name, hashlib.sha256(data).hexdigest()))
        parts.append((path.name, rows))
    for name, rows in parts if len(parts) > 1 else ():
        if rows.records:
            _require_columns(source, rows, name)
    return files.joined(parts), places.content_digest(digests)


def _place(source: Source) -> str:
    return source.path or f"{source.hub} (Hub)"


# ---------------------------------------------------------------------------- whole rows


def _require_whole(source: Source, table: RawRows, *, complete: bool) -> int:
    """Return how many lines hold no whole row; *complete*: whether there may be none at all.

    Raises:
        DataError: There is such a line and the source does not drop them, or there is no row.
    """
    broken = sum(record is None for record in table.records)
    if broken and source.broken_rows == "error":
        others = f"; {broken:,} lines are like it" if broken > 1 else ""
        msg = f"{_place(source)}: {table.fault}{others}. {table.remedy}"
        if not complete:
            msg += (
                f', or set {source.where}.broken_rows = "drop": such rows are dropped and counted'
            )
        raise DataError(msg)
    if broken == len(table.records):
        said = f" ({table.fault})" if broken else ""
        msg = (
            f"{_place(source)} holds no row{said}: expected a header and rows; choose another file"
        )
        raise DataError(msg)
    return broken


def _require_columns(source: Source, table: RawRows, file: str = "") -> None:
    """Prove that each column is there, and once; *file*: which of several it is.

    Raises:
        DataError: It is not.
    """
    there = [str(column) for column in table.columns]
    for column in source.columns:
        if there.count(column) > 1:
            msg = (
                f"{file or _place(source)} has {there.count(column)} columns '{column}': expected "
                "one of that name; rename the others"
            )
            raise DataError(msg)
        if column not in there and not _has_field(table, column):
            raise NoColumn(_no_column(source, column, there, file))


def _has_field(table: RawRows, column: str) -> bool:
    """Return whether any record has the field that a dotted column names."""
    if column.partition(".")[0] not in table.columns:
        return False
    return any(_any_at(record, column) for record in table.records if record is not None)


def _any_at(record: Record, column: str) -> bool:
    try:
        return cells.every(record, column) is not cells.ABSENT
    except cells.NoText:  # what is there is told where it is read
        return True


def _no_column(source: Source, column: str, there: Sequence[str], file: str = "") -> str:
    near = get_close_matches(column, there, n=1, cutoff=0.5)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    if len(there) == 1:
        guess = files.another_separator(there[0], source.where) or guess
    listed = ", ".join(there)[:300] or "none"
    found = f"{file or _place(source)} has no column '{column}'.{guess} It has: {listed}."
    return f"{found} Correct {source.where}."


# ---------------------------------------------------------------------------- rows


class _Cutter:
    """Cuts the records of a table into rows.

    Attributes:
        missing: Cells so far that held a word for a missing value.
        system: Rows so far of whose turns some were the system's, and left out.
    """

    def __init__(self, source: Source, table: RawRows, complete: bool) -> None:
        self.source, self.table, self.complete = source, table, complete
        self.words = plain.MissingWords(source.missing)
        self.missing = self.system = 0

    def rows(self) -> Iterator[RawRow]:
        """Yield rows; records that are broken or that the pattern does not match are left out."""
        source = self.source
        regex = None if source.response else source.regex()
        for row, record in self.table.numbered():
            if record is None:
                continue
            author = self._value(row, record, source.author, cells.label) if source.author else None
            kept = tuple(self._cell(row, record, name, cells.label) for name in source.keep)
            turns: tuple[Message, ...] = ()
            if source.turn_layout.turns:
                turns = self._said(row, record)
                context = Conversation(turns).text if turns else None
                response = self._value(row, record, source.response, cells.text)
            elif regex is None:
                parts = [self._value(row, record, name, cells.text) for name in source.context]
                context = "\n\n".join(part for part in parts if part) or None
                response = self._value(row, record, source.response, cells.text)
            elif match := regex.search(
                self._cell(row, record, source.column or "", cells.text) or ""
            ):
                context, response = map(self._known, match.group("context", "response"))
            else:
                continue
            yield RawRow(
                row, context, response, author, kept, self.table.place(row), turns,
                conversation=str(row) if source.turn_layout.turns else None,
                group=self._group(row, record), side=self._side(row, record),
                references=self._references(row, record),
            )  # fmt: skip

    def taken(self, one: TakenAnswer) -> RawRow:
        """Return the row of an example that is taken of a conversation."""
        source, record = self.source, self.table.record(one.row) or {}
        layout = source.turn_layout
        author = self._value(one.row, record, source.author, cells.label) if source.author else None
        kept = tuple(self._cell(one.row, record, name, cells.label) for name in source.keep)
        apart = layout.turns == "each" and not layout.by_utterance
        return RawRow(
            one.row, Conversation(one.cut.history).text, one.cut.answer.text, author, kept,
            self.table.place(one.row), one.cut.history, one.conversation,
            one.cut.place if apart else None, self._group(one.row, record),
            self._side(one.row, record), self._references(one.row, record),
        )  # fmt: skip

    def _group(self, row: int, record: Record) -> str | None:
        column = self.source.group
        return self._value(row, record, column, cells.label) if column else None

    def _side(self, row: int, record: Record) -> SplitName | None:
        if not self.source.split:
            return None
        said = self._cell(row, record, self.source.split, cells.label)
        own = {word.strip().casefold(): side for word, side in self.source.sides}
        side = {**SIDES, **own}.get((said or "").strip().casefold())
        if side is None:
            found = f"'{said}'" if said else "nothing"
            name = json.dumps(said or "WORD", ensure_ascii=False)
            msg = (
                f"{self.place(row)}: column '{self.source.split}' holds {found}, expected one of "
                f"{', '.join(dict.fromkeys((*own, *SIDES)))}; correct it, or say what it means: "
                f'sides = {{ {name} = "train" }} in {self.source.where}'
            )
            raise DataError(msg)
        return side

    def place(self, row: int) -> str:
        """Return where a person finds a row, its file included."""
        return f"{_place(self.source)}, {self.table.place(row)}"

    def _said(self, row: int, record: Record) -> tuple[Message, ...]:
        """Return the turns that a row holds before its answer, up to the person's last one."""
        in_columns = self.source.turn_layout.turns == "columns"
        said = alternating(self._columns(row, record) if in_columns else self._listed(row, record))
        if self.source.turn_layout.opening == "drop" and said and said[0].role == "assistant":
            said = said[1:]
        most = self.source.turn_layout.most_history
        return said[-most:] if most else said

    def _columns(self, row: int, record: Record) -> list[tuple[Role, str]]:
        """Return who said what in the columns of a row."""
        texts = [self._value(row, record, name, cells.text) or "" for name in self.source.context]
        return list(zip(roles_of_columns(len(texts)), texts, strict=True))

    def _listed(self, row: int, record: Record) -> list[tuple[Role, str]]:
        """Return who said what in the list of a row; the system's turns are left out."""
        (column,) = self.source.context
        try:
            said = in_cell(record, column, self.source.turn_layout, row)
        except (NoTurn, cells.NoText) as error:
            raise not_said(self.source, self.place(row), error) from error
        self.system += any(one.role == "system" for one in said)
        return [(one.role, one.text) for one in said if one.role != "system"]

    def _references(self, row: int, record: Record) -> tuple[str, ...]:
        """Return the texts of all columns of references; words for a missing value are none."""
        find = partial(self._cell, row, record, take=cells.texts, find=cells.every)
        cells_of = (find(name) for name in self.source.references)
        known = (self._known(text) for texts in cells_of for text in texts)
        return tuple(text for text in known if text)

    def _value(self, row: int, record: Record, column: str, take: _Take) -> str | None:
        return self._known(self._cell(row, record, column, take))

    def _known(self, cell: str | None) -> str | None:
        """Return a cell, or null where it only says that there is nothing."""
        if cell and self.words.say_it(cell):
            self.missing += 1
            return None
        return cell

    def _cell(
        self,
        row: int,
        record: Record,
        column: str,
        take: Callable[[object], _Taken],
        find: Callable[[Record, str], object] = cells.at,
    ) -> _Taken:
        try:
            value = find(record, column)
            if value is not cells.ABSENT or not self.complete:
                return take(value)
            found = cells.NoText("nothing, not even null")
        except cells.NoText as error:
            found = error
        msg = f"{self.place(row)}: {found.told(column, self.source.where)}"
        raise DataError(msg)
