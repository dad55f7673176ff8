"""What is found in all texts of a run, counted by kind and by where it stands. Pure over frames."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core.personal.kinds import KINDS, VERSION, Kind
from empathy_core.personal.search import FINDERS, Personal, found, masked

FIELDS = ("question", "history", "reference")
"""Where a text stands: what is asked, what was said before that, what answers are compared with."""
MOST_CHARACTERS = 50
"""Of an example that are shown."""
MOST_TEXTS = 200_000
"""Distinct texts that are searched; of more, as many in even steps. One takes about 0.15 ms, so
that an audit of a million rows still ends within minutes."""
EXAMPLES = 3
"""Masked examples of a kind that are shown."""


def counted(texts: pl.DataFrame) -> dict[str, Any]:
    """Return how often each kind is found, as plain values; nothing is in the clear.

    Equal texts of a field count once, since conversations share histories and questions stand in
    several rows.

    Args:
        texts: ``id`` of a row, ``field`` and ``text``.

    Returns:
        ``texts``: field → distinct texts; ``searched``: how many of all were; ``kinds``: kind →
        ``fields`` (field → how often it was ``found`` and in how many ``texts``) and ``examples``,
        masked, each with its row.
    """
    every = _distinct(texts)
    distinct = every.gather_every(max(1, -(-every.height // MOST_TEXTS)))
    hints = {kind: finder.maybe(pl.col("text")) for kind, finder in FINDERS.items()}
    maybe = distinct.with_columns(**hints).filter(pl.any_horizontal(KINDS))
    times: dict[Kind, dict[str, Counter[str]]] = {kind: defaultdict(Counter) for kind in KINDS}
    examples: dict[Kind, list[str]] = {kind: [] for kind in KINDS}
    for name, field, text, *hinted in maybe.select("id", "field", "text", *KINDS).iter_rows():
        here = found(text, [kind for kind, there in zip(KINDS, hinted, strict=True) if there])
        for kind, n in Counter(one.kind for one in here).items():
            times[kind][field].update(found=n, texts=1)
        _show(here, text, f"{name}, {field}", examples)
    sizes = dict(every["field"].value_counts().iter_rows())
    return {
        "version": VERSION,
        "texts": {field: sizes[field] for field in FIELDS if field in sizes},
        "searched": distinct.height,
        "kinds": {
            kind: {"fields": _ordered(times[kind]), "examples": examples[kind]} for kind in KINDS
        },
    }


def _distinct(texts: pl.DataFrame) -> pl.DataFrame:
    """Return the first of equal texts of a field, without a copy of any."""
    texts = texts.rechunk()
    first = pl.Series(np.zeros(texts.height, bool))
    for field in texts["field"].unique():
        places = (texts["field"] == field).arg_true()
        of = texts["text"].gather(places).is_first_distinct()
        first = first.scatter(places.filter(of), values=True)
    return texts.filter(first)


def _show(
    here: Sequence[Personal], text: str, place: str, examples: Mapping[Kind, list[str]]
) -> None:
    """Add a masked example of each kind that has too few yet; one of each kind a text."""
    for one in {one.kind: one for one in reversed(here)}.values():
        if len(examples[one.kind]) < EXAMPLES:
            shown = masked(text[one.start : one.end][:MOST_CHARACTERS])
            examples[one.kind].append(f"{shown} ({place})")


def _ordered(times: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {field: dict(times[field]) for field in FIELDS if field in times}
