"""Answers made elsewhere: any table of example id and text (vLLM, an API, a colleague)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core.data import Layout, Source, reading
from empathy_core.data.cleaning import clean, question_digest, without_surrogates
from empathy_core.errors import DataError

SCHEMA = {"example": pl.String, "sample": pl.Int32, "text": pl.String}


@dataclass(frozen=True, slots=True)
class Imported:
    """Answers as they were found.

    Attributes:
        texts: ``SCHEMA``; samples are numbered from 0.
        repaired: Answers in which halves of surrogate pairs, or invalid bytes, were replaced.
    """

    texts: pl.DataFrame
    repaired: int


def imported(rows: Sequence[tuple[str, int, str]]) -> Imported:
    """Return answers (example, sample, text) as a table can hold them."""
    whole = [(without_surrogates(name), i, without_surrogates(text)) for name, i, text in rows]
    repaired = sum(text != row[2] for (_, _, text), row in zip(whole, rows, strict=True))
    return Imported(pl.DataFrame(whole, schema=SCHEMA, orient="row"), repaired)


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


def read(path: Path, columns: Columns, layout: Layout, where: str) -> Imported:
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
        author=columns.sample, layout=layout, missing=(), table=where,
    )  # fmt: skip
    rows = reading.read(source, complete=True).rows
    for row in rows:
        if not (row.context or "").strip():
            msg = f"{path}, {row.place}: column '{columns.example}' is empty; say what is answered"
            raise DataError(msg)
    return imported([
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


def by_question(texts: pl.DataFrame, examples: pl.DataFrame) -> pl.DataFrame:
    """Return answers to examples instead of to questions: each row of a question gets its answer.

    Args:
        texts: As ``read`` returns it, with the question's text as ``example``.
        examples: ``store.EXAMPLES``.
    """
    digests = [question_digest(clean(question)[0]) for question in texts["example"]]
    asked = texts.with_columns(question=pl.Series(digests, dtype=pl.String))
    return (
        examples.select("question", "id")
        .join(asked.select("question", "sample", "text").unique(maintain_order=True), on="question")
        .select("sample", "text", example="id")
        .select("example", "sample", "text")
    )


def once(found: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return *found* as it is.

    Raises:
        DataError: An answer is there twice.
    """
    twice = found.filter(pl.struct("example", "sample").is_duplicated())["example"].unique().sort()
    if twice.len():
        msg = (
            f"{path} answers {twice.len()} examples more than once ({', '.join(twice.head(3))} …): "
            'expected one row an example, or a column that numbers them (sample = "…")'
        )
        raise DataError(msg)
    return found


def matched(texts: pl.DataFrame, examples: Sequence[str], path: Path) -> pl.DataFrame:
    """Return the answers to *examples*, in their order; answers to other examples are left out.

    Raises:
        DataError: An example, or one of its samples, has no answer.
    """
    n_samples = int(texts["sample"].n_unique()) or 1
    wanted = pl.DataFrame({"example": list(examples)}).join(
        pl.DataFrame({"sample": range(n_samples)}, schema={"sample": pl.Int32}), how="cross"
    )
    found = wanted.join(texts, on=["example", "sample"], how="left", maintain_order="left")
    lacking = found.filter(pl.col("text").is_null())["example"].unique(maintain_order=True)
    if lacking.len():
        msg = (
            f"{path} has no answer to {lacking.len()} of {len(examples)} evaluated examples "
            f"({', '.join(lacking.head(3))} …): add them (an empty text is allowed, and counted); "
            "the ids stand in examples/examples.parquet of the run"
        )
        raise DataError(msg)
    return found
