"""Answers made elsewhere: any table of example id and text (vLLM, an API, a colleague)."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from empathy_core.data import Source, reading
from empathy_core.data.cleaning import clean, question_digest
from empathy_core.errors import DataError


def read(path: Path, example: str, text: str, sample: str | None = None) -> pl.DataFrame:
    """Return the columns ``example``, ``sample`` (from 0) and ``text`` of a table of answers.

    Args:
        path: CSV, JSON, JSON lines or parquet.
        example: Name of the column that holds the example's id.
        text: Name of the column that holds the answer; null counts as an empty answer.
        sample: Name of the column that numbers several answers to one example, if there is one.

    Raises:
        DataError: The file or a column is missing.
    """
    source = Source(
        name="answers", path=str(path), context=(example,), response=text, author=sample
    )
    rows = reading.read(source).rows
    try:
        numbers = [int(row.author or 0) if sample else 0 for row in rows]
    except ValueError as error:
        msg = f"{path}: column '{sample}' must number the samples 0, 1, 2 …; mend it and run again"
        raise DataError(msg) from error
    return pl.DataFrame(
        {
            "example": [row.context for row in rows],
            "sample": numbers,
            "text": [row.response or "" for row in rows],
        },
        schema={"example": pl.String, "sample": pl.Int32, "text": pl.String},
    )


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
