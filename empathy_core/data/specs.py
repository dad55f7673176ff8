"""What a user says about data: where it is, how it is split, which rows are evaluated.

Values only; a name is looked up in ``sources/`` and nothing else is read.
"""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from empathy_core.bounds import Positive, Separator, Share
from empathy_core.data.turn_layout import NO_TURNS, TurnLayout
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.personal.kinds import Kind, in_order
from empathy_core.store import EXAMPLES, TURNS

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

HERE = Path(__file__).parent
ALL_REFERENCES = "all_references"
"""Column of the frozen rows beside ``store.EXAMPLES`` where a run has several references a row."""

OWN_NAMES = (*EXAMPLES, "exposed", "length", ALL_REFERENCES)
"""What a column that is carried along cannot be called."""


MISSING = ("nan", "-nan", "nat", "none", "null", "n/a", "#n/a", "na", "<na>")
"""What programs write where a value is missing; case does not matter."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How a file is written.

    Attributes:
        encoding: Python's name of it; null means UTF-8, or what a byte order mark says. Where
            ``utf-8`` is given, invalid bytes are replaced and counted.
        separator: The character between cells; null means the comma, semicolon, tab or ``|`` by
            which the header has the columns that are read.
        quotes: Whether quotation marks may enclose a cell.
        sheet: Of an Excel file; null where it has only one.
        table: Of an SQLite database; null where it has only one.
    """

    encoding: str | None = None
    separator: Separator | None = None
    quotes: bool = True
    sheet: str | None = None
    table: str | None = None

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
class Source:
    """One file or Hub data set of questions and answers.

    Texts come from columns (``context`` and ``response``) or, where ``response`` is empty, from
    one text column that a pattern takes apart. ``a.b`` is the field b of a column a that holds
    objects, ``a.0`` the first entry of one that holds lists.

    Attributes:
        name: Unique in a run; the first part of every example's id.
        hub: Id of a data set on the Hub; null where only a path will do.
        path: A CSV, TSV, JSON, JSONL, parquet, Excel or SQLite file, packed (``.gz``, ``.zst``
            and the like) or not; a pattern of several files, such as ``data/*.jsonl``; or a folder
            that ``save_to_disk`` of datasets wrote. It wins over ``hub``.
        revision: A Hub branch, tag or commit; null means ``main``.
        hub_config: The Hub's name of a subset; null means its default.
        hub_split: The Hub's name of the split that is read, or that of a folder of
            ``save_to_disk``.
        context: Columns that together are the question, joined by a blank line; the column with
            the turns where it is a conversation.
        response: Column with the answer; empty where a pattern finds it; ``last`` where it is the
            last answer of a conversation.
        references: Columns with more good answers to the question, a text or a list of texts in
            each: answers are compared with all of them.
        author: Column that tells who answered; null where the source does not say.
        pattern: Regular expression with the named groups ``context`` and ``response``.
        column: The text column that ``pattern`` reads.
        group: Column with what must not be torn, such as the patient: rows of one group are on the
            same side of the split and one cluster, of whatever source they are; null where rows
            belong to nothing.
        split: Column with the side of the split that each row is on: ``train``, ``validation``
            (or ``valid``, ``val``, ``dev``) or ``test``; null means that sides are drawn.
        sides: What else that column holds → ``train``, ``validation`` or ``test``.
        keep: Columns that are carried along, to divide the tables by; no row depends on them.
        layout: How its file is written.
        turn_layout: Where its conversations are; none by default.
        broken_rows: What is done with lines that hold no whole row: too few or too many cells,
            broken JSON. ``drop`` leaves them out and counts them.
        missing: Texts that count as a missing value where one is all that a cell holds; case
            does not matter. Not looked for in the columns of ``keep``.
        redact: Kinds of personal data that are replaced by placeholders in questions, references
            and turns; null means those of ``data.redact``, an empty list none.
        licence: As the source states it; empty if unknown.
        redistribute: Whether that licence lets the texts be passed on.
        homepage: Where the data are described; empty if nowhere.
        may_leave: Whether its texts may be sent to a server elsewhere, by licence and by consent.
        told_as: Dotted name of its table in the configuration; empty means ``data.sources.<name>``.
    """

    name: str
    hub: str | None = None
    path: str | None = None
    revision: str | None = None
    hub_config: str | None = None
    hub_split: str = "train"
    context: tuple[str, ...] = ()
    response: str = ""
    references: tuple[str, ...] = ()
    author: str | None = None
    pattern: str | None = None
    column: str | None = None
    group: str | None = None
    split: str | None = None
    sides: tuple[tuple[str, SplitName], ...] = ()
    keep: tuple[str, ...] = ()
    layout: TextLayout = TextLayout()
    turn_layout: TurnLayout = NO_TURNS
    broken_rows: Literal["error", "drop"] = "error"
    missing: tuple[str, ...] = MISSING
    redact: tuple[Kind, ...] | None = None
    licence: str = ""
    redistribute: bool = False
    homepage: str = ""
    may_leave: bool = False
    told_as: str = ""

    @property
    def where(self) -> str:
        """The dotted name of its table in the configuration."""
        return self.told_as or f"data.sources.{self.name}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        labels = filter(None, (self.author, self.group, self.split))
        named = (
            *self.texts,
            *self.references,
            *self.turn_layout.columns,
            *labels,
            *self.keep,
        )
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
        self.turn_layout.check(where, self.context, self.response)
        if self.turn_layout.turns and (self.pattern or self.column):
            msg = f"{where}: turns and pattern exclude each other: remove one of them"
            raise ConfigError(msg)
        if self.response or self.turn_layout.nested:
            self._check_columns()
        elif not self.column or not self.pattern:
            msg = f"{where} names no columns: set context and response, or column and pattern"
            raise ConfigError(msg)
        else:
            self.regex()
        if self.sides and not self.split:
            msg = f'{where}.sides says what a column holds: set split = "…" to it, or remove sides'
            raise ConfigError(msg)
        self.layout.check(where)
        if self.layout != TextLayout() and not self.path:
            msg = (
                f"{where}: encoding, separator, quotes, sheet and table are of a file; remove "
                "them, or set path"
            )
            raise ConfigError(msg)
        _require_free(self, (*self.texts, *OWN_NAMES))

    def _check_columns(self) -> None:
        if not self.context:
            msg = f'{self.where} names no context column: set {self.where}.context = ["…"]'
            raise ConfigError(msg)
        if asked := [name for name in self.references if name in self.context]:
            msg = (
                f"{self.where} takes '{asked[0]}' for the question and for a reference, so that an "
                "echo would be perfect: name two different columns"
            )
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
        redact: Kinds of personal data that are replaced by placeholders such as ``[e-mail]`` in
            questions, references and turns of all sources; by default none is.
        references: With what answers are compared: a row's ``own`` references, or those of all rows
            with the same ``question``.
        test_ids: A text file with the ids of the examples that are the test split, one a line;
            the others are training or validation rows. Null means that it is drawn.
    """

    protocol: Literal["question", "row"] = "question"
    fractions: tuple[Share, Share, Share] = (0.75, 0.125, 0.125)
    seed: int = 0
    duplicates: Literal["keep", "drop"] = "drop"
    test_ids: str | None = None
    references: Literal["own", "question"] = "own"
    redact: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class DataSpec(SplitSettings):
    """The rows of a run and how they are split.

    Attributes:
        sources: Where rows come from, in this order.
    """

    sources: tuple[Source, ...]

    def redacted(self, source: Source) -> tuple[Kind, ...]:
        """Return the kinds of personal data that are replaced in the texts of a source."""
        return in_order(self.redact if source.redact is None else source.redact)

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
        if self.test_ids and sum(self.fractions[:2]) <= 0:
            msg = (
                f"data.fractions is {self.fractions}, and data.test_ids names the test rows: "
                "expected shares of train and validation for the others; correct it"
            )
            raise ConfigError(msg)
        for source in self.sources:
            source.check()
            if source.group and self.protocol == "row":
                msg = (
                    f'data.protocol = "row" would tear the groups of {source.where}.group: '
                    'expected "question"; set it, or remove group'
                )
                raise ConfigError(msg)
        taken = tuple(TURNS) if any(s.turn_layout.turns for s in self.sources) else ()
        taken += ("group",) if any(s.group for s in self.sources) else ()
        for source in self.sources:
            _require_free(source, taken)


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
        ids: A text file with the ids of the rows that are evaluated, one a line, all of them of
            ``split``; null means that none is left out.
    """

    split: Literal["train", "validation", "test", "all"] = "test"
    limit: Positive | None = None
    unit: Literal["row", "question"] = "row"
    seed: int = 0
    block_size: Positive = 16
    ids: str | None = None

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


_TURN_KEYS = tuple(field.name for field in fields(TurnLayout))


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
    of_turns = {key: table.pop(key) for key in _TURN_KEYS if key in table}
    return Source(name=name, **table, turn_layout=TurnLayout(**of_turns))
