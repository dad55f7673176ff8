"""Which side of the split a row is on, and which block it is in. Pure and seeded.

The order behind every draw is that of SHA-256 digests of (purpose, seed, name): the same on every
machine and in every release of Python, and independent of the order in which rows come.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import polars as pl

from empathy_core.data.specs import SPLITS, EvaluateSpec, SplitName
from empathy_core.errors import DataError


def draw_key(purpose: str, seed: int, name: str) -> str:
    """Return the place of *name* in the order of one draw."""
    return hashlib.sha256(f"{purpose}:{seed}:{name}".encode()).hexdigest()


def sizes(n: int, fractions: Sequence[float]) -> tuple[int, int, int]:
    """Return how many of *n* rows go to each split; halves go to validation.

    6,292 rows at 75 / 12.5 / 12.5 give 4,719, 787 and 786.
    """
    train = int(n * fractions[0] + 0.5 + 1e-9)
    both = min(int(n * (fractions[0] + fractions[1]) + 0.5 + 1e-9), n)
    return train, both - train, n - both


def by_row(ids: Sequence[str], fractions: Sequence[float], seed: int) -> list[SplitName]:
    """Return each row's split: the paper's protocol, which lets a question stand on two sides."""
    train, validation, _ = sizes(len(ids), fractions)
    order = sorted(range(len(ids)), key=lambda i: draw_key("row", seed, ids[i]))
    sides: list[SplitName] = ["test"] * len(ids)
    for place, i in enumerate(order[: train + validation]):
        sides[i] = "train" if place < train else "validation"
    return sides


def by_question(
    questions: Sequence[str],
    fractions: Sequence[float],
    seed: int,
    otherwise: SplitName = "test",
) -> list[SplitName]:
    """Return each row's split, with all rows of a question on one side.

    Questions are taken in drawn order; each goes to the first split that still has room for all
    of its rows, and to *otherwise* if none has. Questions with one row fill what is left, so
    that the sizes are exact unless every question has many rows.
    """
    counts = Counter(questions)
    room = dict(zip(SPLITS, sizes(len(questions), fractions), strict=True))
    sides: dict[str, SplitName] = {}
    for question in _drawn(list(counts), "question", seed):
        n = counts[question]
        free = (split for split in SPLITS if room[split] >= n)
        side = next(free, otherwise)
        sides[question] = side
        room[side] -= n
    return [sides[question] for question in questions]


def _drawn(names: Sequence[str], purpose: str, seed: int) -> Iterator[str]:
    """Return distinct names in drawn order."""
    keys = pl.Series([draw_key(purpose, seed, name) for name in names], dtype=pl.String)
    return map(names.__getitem__, keys.arg_sort().to_list())


def split(
    frame: pl.DataFrame,
    protocol: Literal["question", "row"],
    fractions: Sequence[float],
    seed: int,
) -> pl.DataFrame:
    """Return *frame* with the column ``split``."""
    if protocol == "row":
        sides = by_row(frame["id"].to_list(), fractions, seed)
    else:
        sides = by_question(frame["question"].to_list(), fractions, seed)
    return frame.with_columns(pl.Series("split", sides, dtype=pl.String))


# ---------------------------------------------------------------------------- evaluated rows


def evaluated(
    frame: pl.DataFrame, spec: EvaluateSpec, only: Collection[str] | None = None
) -> list[str]:
    """Return the ids of the rows that are evaluated, in drawn order.

    Args:
        frame: Rows with their ``split``.
        spec: Which are evaluated.
        only: Ids of the rows to choose from; null where none is left out.

    Raises:
        DataError: One of *only* is no row of that side of the split.
    """
    chosen = frame if spec.split == "all" else frame.filter(pl.col("split") == spec.split)
    if only is not None:
        _require_there(only, chosen["id"], spec.split)
        chosen = chosen.filter(pl.col("id").is_in(list(only)))
    rows = [
        (draw_key("evaluate", spec.seed, question if spec.unit == "question" else name),
         draw_key("evaluate", spec.seed, name), name, question)
        for name, question in chosen.select("id", "question").iter_rows()
    ]  # fmt: skip
    rows.sort()
    if spec.unit == "question":
        first = {question: name for *_, name, question in reversed(rows)}
        names = [name for *_, name, question in rows if first[question] == name]
    else:
        names = [name for *_, name, _ in rows]
    return names[: spec.limit]


def _require_there(only: Collection[str], ids: pl.Series, split: str) -> None:
    if lost := sorted(set(only) - set(ids)):
        msg = (
            f"evaluate.ids names {len(lost):,} ids that are no rows of split '{split}' (e.g. "
            f"{lost[0]}): expected ids as 'data --export' writes them; correct the list, or set "
            "evaluate.split"
        )
        raise DataError(msg)


def in_blocks(frame: pl.DataFrame, ids: Sequence[str], block_size: int) -> pl.DataFrame:
    """Return *frame* in the run's order, with the column ``block``.

    Distinct contexts of the evaluated rows are ordered by (characters, first id) and cut into
    blocks of *block_size*; all rows of a context share its block. Evaluated rows come first, by
    (block, context, id); the others follow by id with a null block.
    """
    placed = in_order(frame.filter(pl.col("id").is_in(ids))).with_columns(
        (pl.col("place") // block_size).cast(pl.Int32).alias("block")
    )
    rest = frame.filter(~pl.col("id").is_in(ids)).sort("id")
    # in one piece, since to take rows of several pieces would copy their texts
    return pl.concat([placed.drop("place", "first"), rest], how="diagonal", rechunk=True)


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Return evaluated rows in the order of ``in_blocks``, with the ``place`` of their context."""
    contexts = (
        rows.group_by("context")
        .agg(pl.col("id").min().alias("first"))
        .sort(pl.col("context").str.len_chars(), "first")
        .with_row_index("place")
    )
    return rows.join(contexts, on="context", how="left").sort("place", "id")
