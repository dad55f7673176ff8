"""The conversations of a source: where they are, and the examples that are taken of them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from empathy_core.data import cells, turns
from empathy_core.data.files import RawRows, Record
from empathy_core.data.specs import Source
from empathy_core.data.turn_layout import LAST
from empathy_core.data.turns import Cut, NoTurn, Utterance
from empathy_core.errors import ConfigError, DataError

NO_ANSWER = "conversation without an answer to take"
SYSTEM_TURNS = "conversations with system turns left out"
SAID_TWICE = "utterances that are there twice"


@dataclass(frozen=True, slots=True)
class TakenAnswer:
    """An example that is taken of a conversation.

    Attributes:
        conversation: Its id, unique in the source.
        row: Number of the raw row of the answer, or of the whole conversation.
    """

    conversation: str
    row: int
    cut: Cut


def not_said(source: Source, place: str, error: NoTurn | cells.NoText) -> DataError:
    """Return what to tell of a cell that holds no turns; *place* tells where it is."""
    said = (
        error.told(source.context[0], source.where)
        if isinstance(error, cells.NoText)
        else f"{error}, in {source.where}"
    )
    return DataError(f"{place}: {said}")


@dataclass
class Conversations:
    """Takes the examples of a source of conversations.

    Attributes:
        place: Tells where a person finds a row.
        n: Conversations so far.
        dropped: Reason -> conversations without an example.
        repaired: Kind -> how often something was left out.
    """

    source: Source
    table: RawRows
    place: Callable[[int], str]
    n: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    def taken(self) -> Iterator[TakenAnswer]:
        """Yield the examples, conversation by conversation.

        Raises:
            DataError: A row holds no turn, or nobody known speaks.
        """
        layout = self.source.turn_layout
        self._require_no_answers()
        said = self._by_utterance() if layout.by_utterance else self._in_cells()
        for name, utterances in said:
            self.n += 1
            if any(one.role == "system" for one in utterances):
                self.repaired[SYSTEM_TURNS] += 1
            found = turns.cuts(utterances, layout)
            if not found:
                self.dropped[NO_ANSWER] += 1
            for cut in found:
                yield TakenAnswer(name, cut.answer.row, cut)

    def _require_no_answers(self) -> None:
        """Refuse a file that has a column of the name that stands for the last answer.

        Raises:
            ConfigError: It has one.
        """
        source = self.source
        if source.response == LAST and LAST in self.table.columns:
            msg = (
                f'{source.where}: response = "{LAST}" is the last answer of a conversation, and '
                f"{source.path or source.hub} has a column '{LAST}' too: expected no column of "
                'that name; rename it, or set turns = "each" and leave response out'
            )
            raise ConfigError(msg)

    def _in_cells(self) -> Iterator[tuple[str, list[Utterance]]]:
        (column,) = self.source.context
        for row, record in self._records():
            try:
                yield str(row), turns.in_cell(record, column, self.source.turn_layout, row)
            except (NoTurn, cells.NoText) as error:
                raise not_said(self.source, self.place(row), error) from error

    def _records(self) -> Iterator[tuple[int, Record]]:
        return ((i, record) for i, record in self.table.numbered() if record is not None)

    # ------------------------------------------------------------------------ utterances in rows

    def _by_utterance(self) -> Iterator[tuple[str, list[Utterance]]]:
        """Yield conversations in the order of their first rows; their rows may be apart."""
        found: dict[str, list[tuple[str, Utterance]]] = {}
        for row, record in self._records():
            name, place, one = self._utterance(row, record)
            if name in found:
                self._require_one_file(name, found[name][-1][1].row, row)
            found.setdefault(name, []).append((place, one))
        for name, said in found.items():
            yield name, self._ordered(name, said)

    def _require_one_file(self, name: str, earlier: int, row: int) -> None:
        """Refuse a conversation that is in several files, unless places order its utterances.

        Files that were numbered each from 1 would become one conversation silently.

        Raises:
            DataError: It is.
        """
        if not self.table.parts or self.source.turn_layout.turn_order:
            return
        if (one := self.table.file(earlier)) != self.table.file(row):
            msg = (
                f"{self.place(row)}: conversation '{name}' is in {one} already: expected each "
                f"conversation in one file; make {self.source.where} two sources, one a file, or, "
                'if it is one conversation, set turn_order = "…", the column with the places'
            )
            raise DataError(msg)

    def _utterance(self, row: int, record: Record) -> tuple[str, str, Utterance]:
        layout, (column,) = self.source.turn_layout, self.source.context
        name = self._label(row, record, layout.conversation)
        if not name:
            msg = (
                f"{self.place(row)}: column '{layout.conversation}' holds nothing, expected the id "
                "of the conversation; write it there, or name another column as conversation in "
                f"{self.source.where}"
            )
            raise DataError(msg)
        place = self._label(row, record, layout.turn_order) if layout.turn_order else ""
        try:
            role = turns.role_of(self._label(row, record, self._role_column()), layout)
        except NoTurn as error:
            msg = f"{self.place(row)}: the utterance {error}, in {self.source.where}"
            raise DataError(msg) from error
        try:
            text = cells.text(cells.at(record, column)) or ""
        except cells.NoText as error:
            raise not_said(self.source, self.place(row), error) from error
        return name, place or "", Utterance(role, text, row)

    def _role_column(self) -> str:
        if self.source.turn_layout.role:
            return self.source.turn_layout.role
        there = [name for name in turns.ROLE_FIELDS if name in self.table.columns]
        if len(there) == 1:
            return there[0]
        columns = ", ".join(map(str, self.table.columns))[:300]
        msg = (
            f"{self.source.where}: who speaks is told by none, or by several, of the columns of "
            f"{self.source.path or self.source.hub} ({columns}): expected one called "
            f'{", ".join(turns.ROLE_FIELDS)}; set role = "…" to the column'
        )
        raise ConfigError(msg)

    def _label(self, row: int, record: Record, column: str) -> str | None:
        try:
            return cells.label(cells.at(record, column))
        except cells.NoText as error:
            msg = f"{self.place(row)}: {error.told(column, self.source.where)}"
            raise DataError(msg) from error

    def _ordered(self, name: str, said: list[tuple[str, Utterance]]) -> list[Utterance]:
        if not self.source.turn_layout.turn_order:
            return [one for _, one in said]
        first: dict[str, Utterance] = {}
        for place, one in said:
            known = first.setdefault(place, one)
            if known is one:
                continue
            if (known.role, known.text) != (one.role, one.text):
                msg = (
                    f"{self.place(one.row)}: conversation '{name}' has another utterance at "
                    f"'{place}' of {self.source.turn_layout.turn_order} already: expected one; "
                    f"correct the file, or turn_order in {self.source.where}"
                )
                raise DataError(msg)
            self.repaired[SAID_TWICE] += 1
        return [first[place] for place in sorted(first, key=_order)]


def _order(place: str) -> tuple[bool, float, tuple[tuple[int, str], ...]]:
    """Return what places are sorted by: as numbers, else as text with the numbers in it."""
    try:
        return False, float(place), ()
    except ValueError:
        parts = re.findall(r"\d+|\D+", place)
        return True, 0.0, tuple((int(p), "") if p.isdecimal() else (-1, p) for p in parts)
