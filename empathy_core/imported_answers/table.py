"""Answers made elsewhere: any table of question, or id, and text (vLLM, an API, a colleague)."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core.data import Source, TextLayout, reading
from empathy_core.data.cleaning import clean, without_surrogates
from empathy_core.data.normal import question_digest
from empathy_core.errors import DataError
from empathy_core.personal.kinds import Kind
from empathy_core.personal.search import redacted
from empathy_core.store import EVALUATED

SCHEMA = {"example": pl.String, "sample": pl.Int32, "text": pl.String}


@dataclass(frozen=True, slots=True)
class ImportedTexts:
    """Answers as they were found.

    Attributes:
        texts: ``SCHEMA``; samples are numbered from 0.
        repaired: Answers in which halves of surrogate pairs, or invalid bytes, were replaced.
        redacted: Answers in which personal data was replaced by placeholders.
    """

    texts: pl.DataFrame
    repaired: int
    redacted: int = 0

    def without(self, kinds: Collection[Kind]) -> "ImportedTexts":
        """Return the answers with placeholders for personal data of *kinds*."""
        if not kinds:
            return self
        made = [redacted(text, kinds)[0] for text in self.texts["text"]]
        texts = self.texts.with_columns(text=pl.Series(made, dtype=pl.String))
        changed = int((texts["text"] != self.texts["text"]).sum())
        return ImportedTexts(texts, self.repaired, changed)


def of_rows(rows: Sequence[tuple[str, int, str]]) -> ImportedTexts:
    """Return answers (example, sample, text) as a table can hold them."""
    whole = [(without_surrogates(name), i, without_surrogates(text)) for name, i, text in rows]
    repaired = sum(text != row[2] for (_, _, text), row in zip(whole, rows, strict=True))
    return ImportedTexts(pl.DataFrame(whole, schema=SCHEMA, orient="row"), repaired)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table of answers are called.

    Attributes:
        example: The example's id, or its question.
        text: The answer; null counts as an empty answer.
        sample: Numbers several answers to one example, if there is such a column.
    """

    example: str
    text: str
    sample: str | None = None


def read(path: Path, columns: Columns, layout: TextLayout, where: str) -> ImportedTexts:
    """Return the answers in a CSV, JSON, JSON lines or parquet file, letter by letter.

    Args:
        path: The file.
        columns: Its columns.
        layout: How it is written.
        where: Dotted name of the table that names the file.

    Raises:
        DataError: The file or a column is missing, a line holds no whole row, or a cell holds no
            text.
    """
    source = Source(
        name=where, path=str(path), context=(columns.example,), response=columns.text,
        author=columns.sample, layout=layout, missing=(), told_as=where,
    )  # fmt: skip
    rows = reading.read(source, complete=True).rows
    for row in rows:
        if not (row.context or "").strip():
            msg = f"{path}, {row.place}: column '{columns.example}' is empty; say what is answered"
            raise DataError(msg)
    return of_rows([
        (row.context or "", _number(row, columns.sample, path), row.response or "") for row in rows
    ])  # fmt: skip


def _number(row: reading.RawRow, column: str | None, path: Path) -> int:
    if column is None:
        return 0
    number = (row.author or "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", number):
        msg = (
            f"{path}, {row.place}: column '{column}' holds '{number[:40]}': it must number the "
            "samples 0, 1, 2 …; correct it"
        )
        raise DataError(msg)
    return int(number)


# ---------------------------------------------------------------------------- whose answers


@dataclass(frozen=True, slots=True)
class Key:
    """By what answers find their examples.

    Attributes:
        column: Of the file.
        by_question: Whether it holds questions; ids of examples otherwise.
        redactions: Kinds of personal data that each source of the run replaces in its questions:
            a question finds its example with them replaced, too.
    """

    column: str
    by_question: bool
    redactions: tuple[tuple[Kind, ...], ...] = ()


ID, QUESTION = Key("example", by_question=False), Key("question", by_question=True)


def keys(example: str | None, question: str | None) -> tuple[Key, ...]:
    """Return the keys to try, in order: the one that is named, else the columns of these names."""
    if question is not None:
        return (Key(question, by_question=True),)
    return (Key(example, by_question=False),) if example is not None else (ID, QUESTION)


@dataclass(frozen=True, slots=True)
class Matched:
    """Answers that found their examples, and what found none.

    Attributes:
        texts: ``example``, ``sample``, ``text`` of the evaluated examples that are answered, in
            their order.
        n_asked: Evaluated examples.
        unanswered: Ids of those without an answer.
        unknown: Ids or questions of answers to none of the run's examples.
        n_not_evaluated: Answers to examples of the run that are not evaluated.
    """

    texts: pl.DataFrame
    n_asked: int
    unanswered: tuple[str, ...]
    unknown: tuple[str, ...]
    n_not_evaluated: int

    def note(self) -> str:
        """Return what a reader of the numbers must know; empty if every example is answered."""
        parts = []
        if self.unanswered:
            parts.append(
                f"{len(self.unanswered)} of {self.n_asked} examples have no answer in the imported "
                "file; they are missing, not scored as 0"
            )
        if self.unknown:
            parts.append(f"answers to no example of this run, left out: {len(self.unknown)}")
        return "; ".join(parts)

    def remark(self) -> str:
        """Return the same with names, for the author who may still add what is missing."""
        parts = [f"answers {self.n_asked - len(self.unanswered)} of {self.n_asked} examples"]
        if self.unanswered:
            parts.append(f"no answer to {_some(self.unanswered)}")
        if self.unknown:
            parts.append(f"answers to no example of this run: {_some(self.unknown)}")
        if self.n_not_evaluated:
            parts.append(f"answers to examples that are not evaluated: {self.n_not_evaluated}")
        return "; ".join(parts)


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name[:60]}'" for name in names[:3])
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed


def matched(texts: pl.DataFrame, examples: pl.DataFrame, key: Key, where: str) -> Matched:
    """Return the answers under the examples that they answer.

    By question, each example of a question gets the question's answer; case, spaces, punctuation
    and markup do not matter.

    Args:
        texts: As ``read`` returns it; ``example`` holds what *key* says.
        examples: ``store.EXAMPLES``; those without a block are not evaluated.
        key: By what answers find their examples.
        where: For messages: the table of the configuration, and the file.

    Raises:
        DataError: No evaluated example is answered, one is answered twice, or samples are missing.
    """
    # not the digests that are frozen with the run: an older version may have made them
    known = map(question_digest, examples["context"]) if key.by_question else examples["id"]
    rows = examples.select("id", "block").with_columns(key=pl.Series(list(known), dtype=pl.String))
    names = _names(texts, key, frozenset(rows["key"]))
    named = texts.with_columns(key=pl.Series(names, dtype=pl.String))
    found = named.join(rows, on="key", how="left", maintain_order="left")
    asked = rows.filter(EVALUATED).select(example="id").with_row_index("at")
    own = found.filter(EVALUATED).select("sample", "text", example="id")
    if own.is_empty():
        raise DataError(_nothing(texts, rows, key, where, examples))
    own = _whole(_once(own.unique(maintain_order=True) if key.by_question else own, where), where)
    ordered = asked.join(own, on="example").sort("at", "sample")
    evaluated = rows.filter(EVALUATED)
    others = named.join(evaluated, on="key", how="anti")
    return Matched(
        texts=ordered.select("example", "sample", "text"),
        n_asked=asked.height,
        unanswered=tuple(asked.join(own, on="example", how="anti").sort("at")["example"]),
        unknown=tuple(dict.fromkeys(others.join(rows, on="key", how="anti")["example"])),
        n_not_evaluated=others.join(rows, on="key", how="semi").height,
    )


def _names(texts: pl.DataFrame, key: Key, known: Collection[str]) -> list[str]:
    """Return under which name each answer's example is known; *known*: those of the examples."""
    if not key.by_question:
        return texts["example"].to_list()
    return [_name(clean(question)[0], key, known) for question in texts["example"]]


def _name(question: str, key: Key, known: Collection[str]) -> str:
    plain = question_digest(question)
    if plain in known:
        return plain
    others = (question_digest(redacted(question, kinds)[0]) for kinds in key.redactions)
    return next((name for name in others if name in known), plain)


def _once(found: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return *found* as it is.

    Raises:
        DataError: An answer is there twice.
    """
    twice = found.filter(pl.struct("example", "sample").is_duplicated())["example"].unique().sort()
    if twice.len():
        msg = (
            f"{where} answers {twice.len()} examples more than once ({_some(twice.to_list())}): "
            'expected one row an example, or a column that numbers them (sample = "…")'
        )
        raise DataError(msg)
    return found


def _whole(found: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return *found* as it is.

    Raises:
        DataError: Not every example that is answered has the same samples, 0, 1, 2 ….
    """
    n_samples = int(found["sample"].n_unique())
    each = found.group_by("example", maintain_order=True).agg("sample")
    uneven = [
        name for name, numbers in each.iter_rows() if sorted(numbers) != list(range(n_samples))
    ]
    if uneven:
        msg = (
            f"{where} has not the samples 0 to {n_samples - 1} of {len(uneven)} examples "
            f"({_some(uneven)}): expected as many answers to each; add them (an empty text is "
            "allowed, and counted), or leave these examples out"
        )
        raise DataError(msg)
    return found


def _nothing(
    texts: pl.DataFrame, rows: pl.DataFrame, key: Key, where: str, examples: pl.DataFrame
) -> str:
    """Return what is said where no answer is of an evaluated example: samples of both sides."""
    what = "question" if key.by_question else "id"
    asked = examples.filter(EVALUATED)
    shown = asked["context" if key.by_question else "id"].to_list()
    of_others = set(_names(texts, key, frozenset(rows["key"]))) & set(rows["key"])
    split = f" (examples that it answers, not evaluated: {len(of_others)})" if of_others else ""
    return (
        f"{where}: none of its {texts.height} answers is of an evaluated example{split}; its "
        f"column '{key.column}' was compared with the {what}s of this run. There: "
        f"{_some(texts['example'].unique(maintain_order=True).to_list())}. Here: {_some(shown)}. "
        'Name the column with the questions (question = "…") or with the ids (example = "…"); '
        "data --export examples.csv writes both"
    )
