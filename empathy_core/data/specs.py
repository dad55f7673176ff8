"""What a user says about data: where it is, how it is split, which rows are evaluated.

Values only; a name is looked up in ``sources/`` and nothing else is read.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from empathy_core.bounds import Positive, Separator, Share
from empathy_core.conversation import Role
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.store import EXAMPLES, TURNS

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

HERE = Path(__file__).parent
OWN_NAMES = (*EXAMPLES, "exposed", "length")
"""What a column that is carried along cannot be called."""


MISSING = ("nan", "-nan", "nat", "none", "null", "n/a", "#n/a", "na", "<na>")
"""What programs write where a value is missing; case does not matter."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How a text file is written.

    Attributes:
        encoding: Python's name of it; null means UTF-8, or what a byte order mark says. Where
            ``utf-8`` is given, invalid bytes are replaced and counted.
        separator: The character between cells; null means a comma in CSV and a tab in TSV.
        quotes: Whether quotation marks may enclose a cell.
    """

    encoding: str | None = None
    separator: Separator | None = None
    quotes: bool = True

    def check(self, where: str) -> None:
        """Prove that the encoding is one that Python knows; *where*: the table's dotted name.

        Raises:
            ConfigError: It is not.
        """
        try:
            if self.encoding:
                b"text".decode(self.encoding)
        except (LookupError, ValueError) as error:
            msg = (
                f"{where}.encoding is '{self.encoding}', which is no encoding of texts ({error}): "
                "expected a name such as utf-8, utf-16, cp1252 or gb18030; correct it"
            )
            raise ConfigError(msg) from error


@dataclass(frozen=True, slots=True)
class TurnLayout:
    """Where a source's conversations are, and which examples are made of them.

    Attributes:
        turns: ``last``: the last answer of each conversation is an example, with all that was said
            before it; ``each``: every answer is one, with what was said before it; ``columns``:
            each column of ``context`` is a turn, the last one the person's. Null means no
            conversations, with ``response = "last"`` it means ``last``.
        role: Field of a turn, or column of an utterance, that tells who speaks; empty means one
            called ``role``, ``from``, ``speaker`` or ``interlocutor``.
        roles: Who speaks, in the file's words → ``user`` (who asks for help), ``assistant`` (who
            answers) or ``system`` (left out and counted).
        conversation: Column with the id of the conversation, where each row is one utterance.
        turn_order: Column with the place of an utterance; empty means the order of the file.
        least_history: Turns that must be there before an answer.
        most_history: Turns before an answer that are kept, the latest; null means all.
        most_answers: Answers that are taken of one conversation, evenly spaced with its last one
            among them; null means all.
        opening: ``drop`` leaves out what is answered before the person has said anything; some
            chat templates ask for it.
    """

    turns: Literal["last", "each", "columns"] | None = None
    role: str = ""
    roles: tuple[tuple[str, Role], ...] = ()
    conversation: str = ""
    turn_order: str = ""
    least_history: Positive = 1
    most_history: Positive | None = None
    most_answers: Positive | None = None
    opening: Literal["keep", "drop"] = "keep"

    @property
    def by_utterance(self) -> bool:
        """Whether each row of the file is one utterance."""
        return bool(self.conversation)

    @property
    def nested(self) -> bool:
        """Whether answers are turns of a conversation, not a column of their own."""
        return self.turns in ("last", "each")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read besides the texts."""
        if not self.by_utterance:
            return ()
        return tuple(filter(None, (self.conversation, self.role, self.turn_order)))

    def check(self, where: str, source: "Source") -> None:
        """Prove that the settings fit each other; *where*: the table's dotted name.

        Raises:
            ConfigError: They do not.
        """
        if problem := next(self._problems(source), ""):
            raise ConfigError(f"{where}: {problem}")

    def _given(self) -> list[str]:
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]

    def _problems(self, source: "Source") -> Iterator[str]:
        if self.turns is None:
            if given := self._given():
                yield (
                    f"{given[0]} is about conversations, and none are named: expected turns = "
                    f'"each", or response = "{LAST}"; set one of them, or remove {given[0]}'
                )
            return
        if source.pattern or source.column:
            yield "turns and pattern exclude each other: remove one of them"
        if self.most_history is not None and self.most_history < self.least_history:
            yield (
                f"most_history = {self.most_history} is less than least_history = "
                f"{self.least_history}, so that no answer would be left; correct one of them"
            )
        yield from self._of_columns(source) if self.turns == "columns" else self._of_nested(source)

    def _of_nested(self, source: "Source") -> Iterator[str]:
        if len(source.context) != 1:
            yield (
                f"context names {len(source.context)} columns: expected the one that holds the "
                'conversation; name it, or set turns = "columns" if each column is a turn'
            )
        if source.response not in ("", LAST):
            yield (
                f"response is '{source.response}', and answers are turns of the conversation: "
                f'expected response = "{LAST}"; set it, or remove turns'
            )
        if self.turn_order and not self.conversation:
            yield (
                "turn_order is about files with one utterance a row: expected conversation = "
                '"…", the column with the id of the conversation; set it, or remove turn_order'
            )
        if self.most_answers and self.turns == LAST:
            yield (
                'most_answers does nothing where only the last answer is taken: set turns = "each"'
                ", or remove it"
            )

    def _of_columns(self, source: "Source") -> Iterator[str]:
        if len(source.context) < 2:
            yield (
                'turns = "columns" needs a column a turn: expected context = ["…", "…", "…"]; '
                "name them, or remove turns"
            )
        if source.response in ("", LAST):
            yield 'with turns = "columns" the answer is a column of its own: set response to it'
        used = ("turns", "most_history", "opening")
        if given := [name for name in self._given() if name not in used]:
            yield (
                f'{given[0]} does nothing to turns = "columns", whose columns are the person\'s '
                "and the answerer's in turn: remove it"
            )


LAST = "last"
"""A source's ``response`` that is no column: the last answer of a conversation."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file or Hub data set of questions and answers.

    Texts come from columns (``context`` and ``response``) or, where ``response`` is empty, from
    one text column that a pattern takes apart. ``a.b`` is the field b of a column a that holds
    objects, ``a.0`` the first entry of one that holds lists.

    Attributes:
        name: Unique in a run; the first part of every example's id.
        hub: Id of a data set on the Hub; null where only a path will do.
        path: A CSV, TSV, JSON, JSONL or parquet file, ``.gz`` allowed; it wins over ``hub``.
        revision: A Hub branch, tag or commit; null means ``main``.
        hub_config: The Hub's name of a subset; null means its default.
        hub_split: The Hub's name of the split that is read.
        context: Columns that together are the question, joined by a blank line; the column with
            the turns where it is a conversation.
        response: Column with the answer; empty where a pattern finds it; ``last`` where it is the
            last answer of a conversation.
        author: Column that tells who answered; null where the source does not say.
        pattern: Regular expression with the named groups ``context`` and ``response``.
        column: The text column that ``pattern`` reads.
        keep: Columns that are carried along, to divide the tables by; no row depends on them.
        layout: How its file is written.
        turn_layout: Where its conversations are; none by default.
        broken_rows: What is done with lines that hold no whole row: too few or too many cells,
            broken JSON. ``drop`` leaves them out and counts them.
        missing: Texts that count as a missing value where one is all that a cell holds; case
            does not matter. Not looked for in the columns of ``keep``.
        licence: As the source states it; empty if unknown.
        redistribute: Whether that licence lets the texts be passed on.
        homepage: Where the data are described; empty if nowhere.
        may_leave: Whether its texts may be sent to a server elsewhere, by licence and by consent.
        table: Dotted name of its table in the configuration; empty means ``data.sources.<name>``.
    """

    name: str
    hub: str | None = None
    path: str | None = None
    revision: str | None = None
    hub_config: str | None = None
    hub_split: str = "train"
    context: tuple[str, ...] = ()
    response: str = ""
    author: str | None = None
    pattern: str | None = None
    column: str | None = None
    keep: tuple[str, ...] = ()
    layout: TextLayout = TextLayout()
    turn_layout: TurnLayout = TurnLayout()
    broken_rows: Literal["error", "drop"] = "error"
    missing: tuple[str, ...] = MISSING
    licence: str = ""
    redistribute: bool = False
    homepage: str = ""
    may_leave: bool = False
    table: str = ""

    @property
    def where(self) -> str:
        """The dotted name of its table in the configuration."""
        return self.table or f"data.sources.{self.name}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        author = (self.author,) if self.author else ()
        named = (*self.texts, *self.turn_layout.columns, *author, *self.keep)
        return tuple(dict.fromkeys(named))

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that hold questions and answers."""
        if self.turn_layout.nested:
            return self.context
        return (*self.context, self.response) if self.response else (self.column or "",)

    def regex(self) -> re.Pattern[str]:
        """Return the compiled pattern; a dot matches line breaks too.

        Raises:
            ConfigError: It is no regular expression, or lacks one of the two groups.
        """
        try:
            compiled = re.compile(self.pattern or "", re.DOTALL)
        except re.error as error:
            msg = f"{self.where}.pattern is no regular expression ({error}): correct it"
            raise ConfigError(msg) from error
        if not {"context", "response"} <= set(compiled.groupindex):
            msg = (
                f"{self.where}.pattern has the named groups "
                f"{sorted(compiled.groupindex)}: expected (?P<context>…) and (?P<response>…)"
            )
            raise ConfigError(msg)
        return compiled

    def check(self) -> None:
        """Prove that the source says where its texts are.

        Raises:
            ConfigError: No place or no columns, or settings that contradict each other.
        """
        where = self.where
        if not self.path and not self.hub:
            msg = f"{where} has no hub id and no path: set {where}.path to the file"
            raise ConfigError(msg)
        self.turn_layout.check(where, self)
        if self.response or self.turn_layout.nested:
            self._check_columns()
        elif not self.column or not self.pattern:
            msg = f"{where} names no columns: set context and response, or column and pattern"
            raise ConfigError(msg)
        else:
            self.regex()
        self.layout.check(where)
        if self.layout != TextLayout() and not self.path:
            msg = f"{where}: encoding, separator and quotes are of a file; remove them, or set path"
            raise ConfigError(msg)
        _require_free(self, (*self.texts, *OWN_NAMES))

    def _check_columns(self) -> None:
        if not self.context:
            msg = f'{self.where} names no context column: set {self.where}.context = ["…"]'
            raise ConfigError(msg)
        if self.response in self.context:
            msg = (
                f"{self.where} takes '{self.response}' for the question and for the answer, so "
                "that an echo would be perfect: name two different columns"
            )
            raise ConfigError(msg)


def _require_free(source: Source, names: tuple[str, ...]) -> None:
    if taken := [name for name in source.keep if name in names]:
        msg = (
            f"{source.where}.keep names '{taken[0]}', which is a text or a name of the suite's own "
            "columns: leave it out"
        )
        raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """How the rows of a run are split.

    Attributes:
        protocol: ``question``: no question stands on two sides; ``row``: the paper's.
        fractions: Shares of train, validation and test; they sum to 1.
        seed: Of the draw.
        duplicates: ``drop`` keeps the first of rows with equal normalised question and answer.
    """

    protocol: Literal["question", "row"] = "question"
    fractions: tuple[Share, Share, Share] = (0.75, 0.125, 0.125)
    seed: int = 0
    duplicates: Literal["keep", "drop"] = "drop"


@dataclass(frozen=True, slots=True)
class DataSpec(SplitSettings):
    """The rows of a run and how they are split.

    Attributes:
        sources: Where rows come from, in this order.
    """

    sources: tuple[Source, ...]

    def check(self) -> None:
        """Prove that sources and fractions make sense.

        Raises:
            ConfigError: They do not.
        """
        names = [source.name for source in self.sources]
        if not names or len(set(names)) < len(names):
            msg = f"data.sources is {names}: expected at least one, each name once; correct it"
            raise ConfigError(msg)
        if min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-9:
            msg = f"data.fractions is {self.fractions}: expected three shares of sum 1; correct it"
            raise ConfigError(msg)
        for source in self.sources:
            source.check()
        with_turns = any(source.turn_layout.turns for source in self.sources)
        for source in self.sources if with_turns else ():
            _require_free(source, tuple(TURNS))


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """``[evaluate]``: which rows are answered and scored.

    Attributes:
        split: The side of the split whose rows are answered; ``all`` takes every row.
        limit: Rows (or questions, by ``unit``) drawn by seed; null takes all.
        unit: ``question`` draws one row of each distinct question.
        seed: Of the draw.
        block_size: Distinct contexts in a block: the rows of a batch, and what is done again after
            an interruption. Part of a condition's identity except in float32.
    """

    split: Literal["train", "validation", "test", "all"] = "test"
    limit: Positive | None = None
    unit: Literal["row", "question"] = "row"
    seed: int = 0
    block_size: Positive = 16

    def check(self) -> None:
        """Prove that the counts are positive.

        Raises:
            ConfigError: They are not.
        """
        if self.block_size < 1 or (self.limit is not None and self.limit < 1):
            msg = (
                f"evaluate.limit is {self.limit} and evaluate.block_size is {self.block_size}: "
                "expected at least 1; correct it"
            )
            raise ConfigError(msg)


def source_names() -> list[str]:
    """Return the names of the sources that ship."""
    return sorted(path.stem for path in (HERE / "sources").glob("*.toml"))


def source(name: str) -> Source:
    """Return a source that ships.

    Raises:
        UnknownName: No file ``sources/<name>.toml``.
    """
    if name not in source_names():
        hint = "Any other file or Hub data set needs its columns (context, response) named."
        raise UnknownName("data source", name, source_names(), hint)
    table = tomllib.loads((HERE / "sources" / f"{name}.toml").read_text(encoding="utf-8"))
    table["context"] = tuple(table.get("context", ()))
    if "path" in table:  # of a file that ships beside this module
        table["path"] = str(HERE / table["path"])
    return Source(name=name, **table)
