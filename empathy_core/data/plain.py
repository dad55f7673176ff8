"""Rows of a source that consist of texts alone, many at once. Pure.

What is made of them is what ``reading`` and ``cleaning`` make of single rows.
"""

from collections.abc import Collection

import polars as pl

from empathy_core.data.specs import Source
from empathy_core.data.text_columns import TextColumns


class MissingWords:
    """Texts that say that there is nothing, whatever their case and the spaces around them."""

    def __init__(self, words: Collection[str]) -> None:
        self.words = frozenset(word.strip().casefold() for word in words)
        self.longest = max(map(len, self.words), default=0) + 8
        """Characters of a cell that may be one, a few spaces included."""

    def say_it(self, cell: str) -> bool:
        """Tell whether a cell only says that there is nothing."""
        return len(cell) <= self.longest and cell.strip().casefold() in self.words


def may_be(source: Source) -> bool:
    """Tell whether a row of a source is what its columns hold, where all of them hold texts."""
    else_ = source.turn_layout.turns or source.turn_layout.nested or source.references
    return bool(source.response) and not (
        else_ or source.split or any("." in name for name in source.columns)
    )


def rows(source: Source, table: TextColumns) -> tuple[pl.DataFrame, int]:
    """Return the rows of a part, and how many cells held a word for a missing value.

    They have the columns ``row``, ``context``, ``response``, ``author``, ``group``, and ``kept 0``
    and so on, those of ``keep``.
    """
    words, frame, missing = MissingWords(source.missing), table.frame, 0
    known: dict[str, pl.Series] = {}
    once = {"response": source.response, "author": source.author, "group": source.group}
    asked = {f"context {i}": name for i, name in enumerate(source.context)}
    for key, name in {**asked, **once}.items():
        empty = pl.Series(key, [None], dtype=pl.String).new_from_index(0, frame.height)
        cells = empty if name is None else frame[name].alias(key)
        known[key], n = _known(cells, words)
        missing += n
    parts = [pl.when(pl.col(key) != "").then(pl.col(key)) for key in asked]
    context = pl.concat_str(parts, separator="\n\n", ignore_nulls=True).alias("context")
    made = pl.DataFrame(list(known.values())).select(context, *once)
    kept = [frame[name].alias(f"kept {i}") for i, name in enumerate(source.keep)]
    numbers = pl.int_range(table.first, table.first + frame.height, eager=True).alias("row")
    return made.insert_column(0, numbers).hstack(kept), missing


def _known(cells: pl.Series, words: MissingWords) -> tuple[pl.Series, int]:
    """Return cells, null where one only says that there is nothing, and how many did."""
    short = cells.filter(cells.str.len_chars() <= words.longest).unique()
    said = [cell for cell in short if cell and words.say_it(cell)]
    if not said:
        return cells, 0
    is_said = cells.is_in(said)
    return cells.set(is_said, None), int(is_said.sum())
