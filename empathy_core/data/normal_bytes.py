"""The normal forms of many texts at once, as UTF-8 in one array of bytes. Pure.

They are those of ``normal``, which alone says what they are: texts of plain characters, which most
are, are taken through a table of its rules; all others one by one through ``normal`` itself.
"""

import hashlib
import json
import string
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import polars as pl

from empathy_core.data import normal

_MARKS = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"
"""Quotation marks, dashes and the ellipsis: left out as ASCII's are, but for signs at digits."""
_OF_MARKS = np.array(sorted(mark.encode()[2] for mark in _MARKS), np.uint8)
_ODD_LATIN_1 = np.array([0x97, 0x9F, 0xB7], np.uint8)
"""Second bytes of the multiplication sign, of the sharp s and of the division sign."""

_GENERAL_PUNCTUATION, _LATIN_1 = 0xE2, 0xC3
"""First bytes of all plain characters that are not ASCII."""

_END, _BLANK = 0, 32
"""Bytes behind a text, and between words."""

_SHELTER = np.zeros(256, np.uint8)
_SHELTER[list(string.punctuation.encode())] = np.arange(0xC4, 0xC4 + 33)[np.arange(33) != 0x1E][:32]
"""Punctuation of ASCII → a byte that plain texts do not hold, for it where it is to be kept."""

_STOPS = np.zeros(256, bool)
_STOPS[[_END, *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"]] = True
"""Bytes that end what stands between two digits."""
_LONGEST_SIGN = 8
"""Bytes between two digits; of more, it is not asked whether letters are among the rest."""


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


@dataclass(frozen=True, slots=True)
class PackedWords:
    """The words of texts in one array; those of a text stand below each other.

    Attributes:
        data: UTF-8, uint8, with at least eight bytes behind the last word.
        begins: Where each word begins in ``data``, int64.
        ends: Where it ends.
        texts: Number of the text that it is in.
    """

    data: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    texts: np.ndarray


# ---------------------------------------------------------------------------- digests


def digests(questions: pl.Series, answers: pl.Series) -> list[pl.Series]:
    """Return ``digest`` of the normal form of each question, of both texts, and of each answer."""
    asked, given = _forms(normalised(questions)), _forms(normalised(answers))
    pairs = (b"[%b,%b]" % pair for pair in zip(asked, given, strict=True))
    made = {"question": asked, "pair": pairs, "answer": given}
    return [
        pl.Series(name, [hashlib.sha256(form).hexdigest()[:16] for form in forms], dtype=pl.String)
        for name, forms in made.items()
    ]


def _forms(packed: PackedTexts) -> list[bytes]:
    """Return normal forms as JSON."""
    forms = [b'"%b"' % form for form in packed.whole()]
    for i in np.flatnonzero(_escaped(packed)).tolist():
        forms[i] = json.dumps(forms[i][1:-1].decode(), ensure_ascii=False).encode()
    return forms


def _escaped(packed: PackedTexts) -> np.ndarray:
    """Return which texts hold a character that JSON writes otherwise."""
    data, found = packed.data, np.zeros(len(packed.starts), bool)
    special = np.flatnonzero((data == ord('"')) | (data == ord("\\")))
    if len(special):
        before = np.searchsorted(special, packed.starts)
        found = np.asarray(np.searchsorted(special, packed.ends) > before)
    return found


def sha256(texts: pl.Series) -> list[str]:
    """Return the SHA-256 of the UTF-8 of each text."""
    data, bounds = buffer(texts)
    view = memoryview(data.data)
    return [hashlib.sha256(view[a:b]).hexdigest() for a, b in pairwise(bounds.tolist())]


# ---------------------------------------------------------------------------- normal forms


def normalised(texts: pl.Series) -> PackedTexts:
    """Return the normal form of each text."""
    plain = _Plain(texts)
    table, left_out = _table("")
    made = np.frombuffer(plain.data.tobytes().translate(table, left_out), np.uint8)
    ends = np.flatnonzero(made == _END)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    if len(plain.odd):
        others = [normal.normalised(texts[i]).encode() for i in plain.odd.tolist()]
        sizes = np.array([len(other) for other in others])
        starts[plain.odd] = len(made) + np.cumsum(sizes) - sizes
        ends[plain.odd] = starts[plain.odd] + sizes
        made = np.concatenate([made, np.frombuffer(b"".join(others), np.uint8)])
    return PackedTexts(made, starts, ends)


def words(texts: pl.Series) -> PackedWords:
    """Return the words of each text in their normal form; of some texts behind all others."""
    plain = _Plain(texts)
    table, _ = _table(" ")
    for i in plain.odd.tolist():
        plain.data[plain.starts[i] : plain.ends[i]] = _BLANK
    others = "\0".join(" ".join(normal.words(texts[i])) for i in plain.odd.tolist())
    parts = (plain.data.tobytes().translate(table), others.encode(), bytes(8))
    data = np.frombuffer(b"".join(parts), np.uint8)
    within = np.zeros(len(data) + 1, bool)
    np.greater(data, _BLANK, out=within[1:])
    edges = np.flatnonzero(within[1:] != within[:-1])
    begins, ends = edges[::2], edges[1::2]
    of = np.concatenate([np.arange(len(texts)), plain.odd])
    closed = np.flatnonzero(data == _END)[: len(of)]
    counts = np.diff(np.searchsorted(begins, closed), prepend=0)
    return PackedWords(data, begins, ends, np.repeat(of, counts))


@lru_cache(maxsize=2)
def _table(gap: str) -> tuple[bytes, bytes]:
    """Return what becomes of each byte by the rules of ``normal``, and the bytes to leave out.

    *gap* is a space for words; it is empty where nothing takes the place of what is no word.
    """
    of = normal.words if gap else normal.normalised
    kept = ["".join(of(chr(code))) for code in range(128)]
    low = [ord(found) if found else _BLANK for found in kept]
    low[_END] = _END
    left_out = bytes(code for code, found in enumerate(kept) if not found and code != _END)
    table = bytearray([*low, *range(128, 256)])
    for sign in np.flatnonzero(_SHELTER).tolist():
        table[_SHELTER[sign]] = sign
    return bytes(table), left_out


# ---------------------------------------------------------------------------- bytes


class _Plain:
    """Texts as bytes, of which all is plain but the texts that are odd.

    Letters of Latin-1 are small, and blanks stand for punctuation that is not ASCII.

    Attributes:
        data: UTF-8, uint8, a byte ``_END`` behind each text and nowhere else.
        starts: Where each text begins, int64.
        ends: Where the byte behind it is.
        odd: Numbers of the texts that the table does not know: with other characters, or with what
            may be a sign at a digit.
    """

    def __init__(self, texts: pl.Series) -> None:
        ended = pl.select(pl.concat_str(texts, pl.lit("\0"))).to_series()
        data, bounds = buffer(ended if len(texts) else texts)
        self.data, self.starts, self.ends = data.copy(), bounds[:-1], bounds[1:] - 1
        within = self._ends_within()
        signs, others = _signs(self.data)
        places = np.concatenate([within, others, self._other_characters()])
        self.odd = np.unique(np.searchsorted(self.ends, places))
        self.data[signs] = _SHELTER[self.data[signs]]

    def _ends_within(self) -> np.ndarray:
        """Return where a text holds the byte that stands behind texts, and make it a blank."""
        there = np.flatnonzero(self.data == _END)
        within = np.setdiff1d(there, self.ends) if len(there) > len(self.ends) else there[:0]
        self.data[within] = _BLANK
        return within

    def _other_characters(self) -> np.ndarray:
        """Return where characters begin that are not plain; the others are made what they are."""
        data = self.data
        high = np.flatnonzero(data >= 0x80)
        first = high[data[high] >= 0xC0]
        mark = first[data[first] == _GENERAL_PUNCTUATION]
        mark = mark[(data[mark + 1] == 0x80) & np.isin(data[mark + 2], _OF_MARKS)]
        letter = first[data[first] == _LATIN_1]
        letter = letter[~np.isin(data[letter + 1], _ODD_LATIN_1)]
        odd = np.setdiff1d(first, np.concatenate([mark, letter])) if len(first) else first
        for i in range(3):
            data[mark + i] = _BLANK
        data[letter + 1] |= 0x20  # 0x80 to 0x9E are capitals, 0xA0 to 0xBF small letters
        return odd


def _signs(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where single signs stand between two digits, and digits that may have other signs.

    Those are before them, or between them and the next digit.
    """
    digits = np.flatnonzero((data - ord("0")) < 10)
    before, third = data[digits - 1], data[np.maximum(digits - 3, 0)]
    signed = (before == ord("-")) | (before == ord(".")) | (third == _GENERAL_PUNCTUATION)
    one, gap = digits[:-1], np.diff(digits)
    single = (gap == 2) & (_SHELTER[data[digits[:-1] + 1]] != 0)
    signed[1:] &= ~single
    signs = one[single] + 1
    more = (gap > 1) & ~single
    one, gap = one[more], gap[more]
    for i in range(1, _LONGEST_SIGN + 1):
        open_ = (i >= gap) | ~_STOPS[data[np.minimum(one + i, len(data) - 1)]]
        one, gap = one[open_], gap[open_]
    return signs, np.concatenate([digits[signed], one])


def buffer(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of texts, and the places between which they stand."""
    array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1, array.offset * 8)
    if data is None:
        return np.empty(0, np.uint8), bounds
    begin, end = int(bounds[0]), int(bounds[-1])
    return np.frombuffer(data, np.uint8, end - begin, begin), bounds - begin
