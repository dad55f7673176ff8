"""How many words many texts have, where a word is what stands between white space. Pure."""

import numpy as np
import polars as pl

from empathy_core.data import normal_bytes

_TEXTS = 5_000
"""That are looked at at once."""


def word_counts(texts: pl.Series) -> pl.Series:
    r"""Return how often each text matches ``\S+``."""
    parts = [_counts(texts[i : i + _TEXTS]) for i in range(0, len(texts), _TEXTS)]
    return pl.concat([pl.Series([], dtype=pl.UInt32), *parts])


def _counts(texts: pl.Series) -> pl.Series:
    ended = pl.select(pl.concat_str(texts, pl.lit(" "))).to_series()
    data, bounds = normal_bytes.buffer(ended)
    space = data == ord(" ")
    space |= (data - ord("\t")) < 5  # up to the carriage return
    begins = ~space
    begins[1:] &= space[:-1]  # each text ends with one
    found = np.diff(np.searchsorted(np.flatnonzero(begins), bounds))
    odd = np.unique(np.searchsorted(bounds, _other_spaces(data), side="right") - 1)
    found[odd] = texts[odd].str.count_matches(r"\S+").to_numpy()
    return pl.Series(found, dtype=pl.UInt32)


def _other_spaces(data: np.ndarray) -> np.ndarray:
    """Return where characters begin that may be white space beyond ASCII's."""
    dashes = np.flatnonzero(data == 0xE2)  # U+2000 to U+2FFF, with dashes and quotation marks
    third = data[dashes + 2]
    none = (data[dashes + 1] == 0x80) & (third > 0x8A) & ~np.isin(third, (0xA8, 0xA9, 0xAF))
    others = [np.flatnonzero(data == first) for first in (0xC2, 0xE1, 0xE3)]
    return np.concatenate([dashes[~none], *others])
