"""Rows whose score is another one than before, and what they are alike in. Pure."""

import re
import unicodedata
from collections.abc import Iterator

import polars as pl

from reports.changes import Unlike
from reports.rows.pieces import KEY

_SPECIAL = re.compile(r"<\|?[^<>|\s]{1,24}\|?>|\[[A-Z]{1,8}\]")
"""What tokenizers write special tokens like: ``</s>``, ``<|eot|>``, ``[SEP]``."""

_UNSEEN = {"Cc", "Cf", "Cn", "Zs", "Zl", "Zp"}
_VERY_SHORT_WORDS = 4
"""Below it a text has no 4-gram."""


def unlike(before: pl.DataFrame, now: pl.DataFrame, texts: pl.DataFrame) -> Unlike:
    """Return the rows whose statistics differ, each with its features.

    Args:
        before: ``example``, ``sample`` and a column for each statistic; null: unscored.
        now: The same by another version of the metric. Statistics that only one of them has are
            left out.
        texts: ``example``, ``sample``, ``text``, ``reference`` of all rows.
    """
    statistics = [n for n in before.columns if n in now.columns and n not in (*KEY, "condition")]
    both = now.select(*KEY, *statistics).join(
        before.select(*KEY, *(pl.col(n).alias(f"{n} before") for n in statistics)),
        on=KEY,
        how="full",
        coalesce=True,
        maintain_order="left_right",
    )
    differs = [pl.col(n).ne_missing(pl.col(f"{n} before")) for n in statistics]
    keys = both.filter(pl.any_horizontal(differs) if differs else pl.lit(value=False)).select(KEY)
    rows = keys.join(texts, on=KEY, how="left", maintain_order="left")
    found = rows.select(*KEY, "text", "reference").iter_rows()
    return Unlike({(e, s): tuple(features(t or "", r or "")) for e, s, t, r in found})


def features(text: str, reference: str) -> Iterator[str]:
    """Yield what is special about an answer and its reference, as ``changes`` names it."""
    unseen = not _visible(_SPECIAL.sub("", text))
    if unseen:
        yield "nothing visible" if text.strip() else "empty"
    elif any(unicodedata.category(c) == "Cf" for c in text):
        yield "invisible characters"
    both = text + reference
    if unicodedata.normalize("NFC", both) != both:
        yield "not in composed form"
    if any(c.isalpha() and "LATIN" not in unicodedata.name(c, "LATIN") for c in both):
        yield "letters of other scripts"
    counted = (reference,) if unseen else (text, reference)
    if min(len(one.split()) for one in counted) < _VERY_SHORT_WORDS:
        yield "very short"


def _visible(text: str) -> bool:
    return any(unicodedata.category(c) not in _UNSEEN for c in text)
