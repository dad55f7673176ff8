"""Rows whose side of the split is given, or that must stay together. Pure.

Sides are given by a column of a source, or by a list of the test rows; groups (patients, say) must
not be torn. All rows of a group are one cluster: they share ``question``.
"""

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from empathy_core.counted import counted
from empathy_core.data import splitting
from empathy_core.data.specs import DataSpec, SplitName
from empathy_core.errors import DataError
from empathy_core.types import digest


def in_groups(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose ``question`` is shared by all rows of a group, and of its questions.

    A question that two groups share makes one cluster of both.
    """
    if "group" not in frame.columns:
        return frame
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = parent[above] = parent.setdefault(above, above)
            name = parent[name]
        return name

    pairs = frame.select("question", "group").drop_nulls().unique(maintain_order=True)
    for question, group in pairs.iter_rows():
        one, other = sorted((root(f"q{question}"), root(f"g{group}")))
        parent[other] = one
    members: dict[str, list[str]] = {}
    for question in sorted(set(pairs["question"])):
        members.setdefault(root(f"q{question}"), []).append(question)
    named = {question: digest(of, 16) for of in members.values() if len(of) > 1 for question in of}
    return frame.with_columns(pl.col("question").replace(named))


def split(frame: pl.DataFrame, data: DataSpec, test: Collection[str] | None) -> pl.DataFrame:
    """Return rows with the column ``split``, without ``side``.

    Args:
        frame: Clean rows.
        data: How sides are drawn that are not given.
        test: Ids of the test rows; null where they are not given.

    Raises:
        DataError: Sides that are given tear a question or a group, or a row is not there.
    """
    if "side" not in frame.columns and test is None:
        return splitting.split(frame, data.protocol, data.fractions, data.seed)
    given = _given(frame, test)
    if data.protocol == "question":
        given = _of_questions(frame, given)
    free = [i for i, side in enumerate(given) if side is None]
    drawn = iter(_drawn(frame[free], data, closed=test is not None))
    sides = [next(drawn) if side is None else side for side in given]
    split = pl.Series("split", sides, dtype=pl.String)
    return frame.drop("side", strict=False).with_columns(split)


def _drawn(frame: pl.DataFrame, data: DataSpec, *, closed: bool) -> list[SplitName]:
    """Return the sides of rows that have none; *closed*: whether the test rows are given."""
    train, validation, test = data.fractions
    shares = (train, validation, test)
    if closed:
        shares = (train / (train + validation), validation / (train + validation), 0.0)
    if data.protocol == "row":
        return splitting.by_row(frame["id"].to_list(), shares, data.seed)
    questions = frame["question"].to_list()
    return splitting.by_question(questions, shares, data.seed, "train" if closed else "test")


def _given(frame: pl.DataFrame, test: Collection[str] | None) -> list[SplitName | None]:
    known = frame["side"] if "side" in frame.columns else pl.Series([None] * frame.height)
    sides: list[SplitName | None] = known.to_list()
    if test is None:
        return sides
    ids = frame["id"].to_list()
    if lost := sorted(set(test) - set(ids)):
        msg = (
            f"data.test_ids names {len(lost):,} examples that are not there (e.g. {lost[0]}): "
            "expected ids as 'data --export' writes them, of rows that are kept; correct the "
            'list, or set duplicates = "keep" if they are duplicates of other rows'
        )
        raise DataError(msg)
    wanted = set(test)
    return ["test" if name in wanted else side for name, side in zip(ids, sides, strict=True)]


def _of_questions(frame: pl.DataFrame, given: Sequence[SplitName | None]) -> list[SplitName | None]:
    """Return sides, each that is given for all rows of its question.

    Raises:
        DataError: Rows of a question have several.
    """
    questions = frame["question"].to_list()
    first: dict[str, int] = {}
    torn: list[tuple[int, int]] = []
    for i, (question, side) in enumerate(zip(questions, given, strict=True)):
        if side is not None and given[first.setdefault(question, i)] != side:
            torn.append((first[question], i))
    if torn:
        ids, (one, other) = frame["id"], torn[0]
        n = len({questions[i] for _, i in torn})
        msg = (
            f"the sides that are given put {counted(n, 'question')} (conversations, groups) on "
            f"several sides of the split, e.g. {ids[one]} ({given[one]}) and {ids[other]} "
            f"({given[other]}): expected each on one; correct the column or the list, or set "
            'data.protocol = "row" to take the rows as they are, leaks counted by the audit'
        )
        raise DataError(msg)
    return [given[first[question]] if question in first else None for question in questions]


def read_ids(text: str) -> Iterator[str]:
    """Yield the ids in the text of a list, one a line; blank lines are none."""
    return (line.strip() for line in text.splitlines() if line.strip())
