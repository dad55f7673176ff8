"""The normal forms of many texts at once, as UTF-8 in one array of bytes. Pure.

They are those of ``normal``, which alone says what they are: texts of plain characters, which most
are, are taken through a table of its rules; all others one by one through ``normal`` itself.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from empathy_core.data import normal

_PUNCTUATION = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"
"""Quotation marks, dashes and the ellipsis: left out as ASCII's are, but for signs at digits."""

_ODD = (
    rf"[^\x00-\x7f{_PUNCTUATION}\u00c0-\u00d6\u00d8-\u00de\u00e0-\u00f6\u00f8-\u00ff]"
    r"|[0-9][^0-9A-Za-z]+[0-9]|[-.\u2013\u2014\u2026][0-9]"
)
"""What the table does not know: other characters, and what may be a sign at a digit."""

_GENERAL_PUNCTUATION, _LATIN_1 = 0xE2, 0xC3
"""First bytes of all plain characters that are not ASCII."""


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """Texts in one array.

    Attributes:
        data: UTF-8, uint8.
        starts: Where each text begins in ``data``, int64.
        ends: Where it ends.
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def whole(self) -> list[bytes]:
        """Return each text's bytes."""
        data = self.data.tobytes()
        return [data[a:b] for a, b in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]


def normalised(texts: pl.Series) -> PackedTexts:
    """Return the normal form of each text."""
    return _packed(texts, normal.normalised, b"")


def digests(texts: pl.Series) -> tuple[list[bytes], list[str]]:
    """Return the normal form of each text as JSON, and ``digest`` of it."""
    packed = normalised(texts)
    forms = [b'"%b"' % form for form in packed.whole()]
    for i in np.flatnonzero(_escaped(packed)).tolist():
        forms[i] = json.dumps(forms[i][1:-1].decode(), ensure_ascii=False).encode()
    return forms, [short_digest(form) for form in forms]


def short_digest(form: bytes) -> str:
    """Return what ``digest`` does, of a value that is JSON already, 16 hex digits of it."""
    return hashlib.sha256(form).hexdigest()[:16]


def _escaped(packed: PackedTexts) -> np.ndarray:
    """Return which texts hold a character that JSON writes otherwise."""
    data = packed.data
    special = (data < 32) | (data == ord('"')) | (data == ord("\\"))
    if not special.any():
        return np.zeros(len(packed.starts), bool)
    before = np.concatenate([[0], np.cumsum(special)])
    return np.asarray(before[packed.ends] > before[packed.starts])


def words(texts: pl.Series) -> PackedTexts:
    """Return the words of each text in their normal form, a space behind each but the last."""
    return _packed(texts, lambda text: " ".join(normal.words(text)), b" ")


def _packed(texts: pl.Series, one: Callable[[str], str], gap: bytes) -> PackedTexts:
    """Return the texts' normal forms; *one* makes one of them, *gap* stands for what is no word."""
    odd = texts.str.contains(_ODD)
    plain = _plain(texts.filter(~odd), gap)
    if not odd.any():
        return plain
    others = pl.Series([one(text) for text in texts.filter(odd)], dtype=pl.String)
    data, bounds = _buffer(others)
    starts, ends = (np.empty(len(texts), np.int64) for _ in range(2))
    is_odd, behind = odd.to_numpy(), len(plain.data)
    starts[~is_odd], ends[~is_odd] = plain.starts, plain.ends
    starts[is_odd], ends[is_odd] = bounds[:-1] + behind, bounds[1:] + behind
    return PackedTexts(np.concatenate([plain.data, data]), starts, ends)


def _buffer(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of texts, and the places between which they stand."""
    array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1, array.offset * 8)
    if data is None:
        return np.empty(0, np.uint8), bounds
    begin, end = int(bounds[0]), int(bounds[-1])
    return np.frombuffer(data, np.uint8, end - begin, begin), bounds - begin


def _plain(texts: pl.Series, gap: bytes) -> PackedTexts:
    """Return the normal forms of texts of plain characters."""
    data, bounds = _buffer(texts)
    made = _table(gap)[data]
    _with_letters(made, data)
    blank = made == 0
    if gap:
        _with_gaps(made, blank, data, bounds)
    kept = ~blank
    places = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
    starts, ends = places[bounds[:-1]], places[bounds[1:]]
    made = made[kept]
    if gap:  # none at a text's end
        filled = ends > starts
        ends[filled] -= made[ends[filled] - 1] == gap[0]
    return PackedTexts(made, starts, ends)


def _table(gap: bytes) -> np.ndarray:
    """Return what becomes of each byte, by the rules of ``normal``; 0 for nothing."""
    of = normal.words if gap else normal.normalised
    kept = [of(chr(code)) for code in range(128)]
    blank = gap[0] if gap else 0
    low = [ord(found[0]) if found else blank for found in map(list, map("".join, kept))]
    return np.array([*low, *range(128, 256)], np.uint8)


def _with_letters(made: np.ndarray, data: np.ndarray) -> None:
    """Make letters of Latin-1 small, and leave out the punctuation that is not ASCII."""
    capitals = np.flatnonzero(data == _LATIN_1) + 1
    made[capitals] |= 0x20  # 0x80 to 0x9E are capitals, 0xA0 to 0xBF small letters
    marks = np.flatnonzero(data == _GENERAL_PUNCTUATION)
    for i in range(3):
        made[marks + i] = 0


def _with_gaps(made: np.ndarray, blank: np.ndarray, data: np.ndarray, bounds: np.ndarray) -> None:
    """Put one gap where words end, in place: at the first of the bytes that are in no word."""
    made[data == _GENERAL_PUNCTUATION] = 32
    space = (made == 32) | blank
    before = np.empty_like(space)
    before[:1], before[1:] = True, space[:-1]
    before[bounds[:-1][bounds[:-1] < len(before)]] = True
    made[space] = 32
    np.copyto(blank, space & before)
