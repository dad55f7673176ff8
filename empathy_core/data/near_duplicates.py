"""Texts that are nearly equal: Jaccard similarity of their sets of five-word sequences. Pure.

Words are those of ``normal.words``.

Exact, not estimated, by prefix filtering (Bayardo et al. 2007, doi 10.1145/1242572.1242591; Xiao
et al. 2008, doi 10.1145/1367497.1367516): under any fixed order of all sequences, two sets of
similarity t share one of the first n - ⌈t n⌉ + 1 sequences of each. Pairs that do are compared
whole. Frequent sequences come last in the order, so that stock phrases make few such pairs.

Time and memory grow with the words of all texts and with the pairs that are compared, of which
there are about as many as near duplicates; n copies of one text with a word changed are n²/2 pairs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from empathy_core.data import normal_bytes
from empathy_core.data.normal_bytes import PackedWords

WORDS = 5
THRESHOLD = 0.8

_BYTES_PER_CHUNK = 2_000_000
_TEXTS_PER_CHUNK = 4_096
_PAIRS_PER_CHUNK = 20_000
"""What is looked at at once: bounds of memory."""
_WAITING_PAIRS = 4_000_000
_SAMPLE = 20_000
"""Texts of which it is counted how frequent sequences are; any estimate gives the same pairs."""

_ROW_BITS, _RANK_BITS, _HASH_BITS = 12, 6, 46
"""Parts of a key: text of a chunk, frequency of a sequence, its hash."""
_HASH_MASK = np.uint64(2**_HASH_BITS - 1)
_RANK_HASH_BITS = np.uint64(_RANK_BITS + _HASH_BITS)
_COUNTED_BITS = 20
_FACTORS = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xBF58476D1CE4E5B9)))
"""Odd: of words, of their further bytes, of sequences."""
_LETTERS = np.array([2 ** (8 * n) - 1 for n in range(9)], np.uint64)
"""Number of a word's bytes → the bits of eight bytes that are its."""


def near_duplicates(
    texts: Sequence[str] | pl.Series, threshold: float = THRESHOLD, words: int = WORDS
) -> np.ndarray:
    """Return the pairs of texts with a Jaccard similarity of at least *threshold*.

    Texts of fewer than *words* words have no sequence and so no neighbour.

    Returns:
        Indices of shape (pairs, 2), int64; the first of a pair is the smaller; sorted.
    """
    given = texts if isinstance(texts, pl.Series) else pl.Series(texts, dtype=pl.String)
    sequences = _Sequences(given, words)
    keys, sizes = _prefixes(sequences, threshold)
    found = [np.empty((0, 2), np.int64)]
    for pairs in _candidates(keys, sizes, threshold):
        for start in range(0, len(pairs), _PAIRS_PER_CHUNK):
            some = pairs[start : start + _PAIRS_PER_CHUNK]
            found.append(some[_near(some, sequences, threshold)])
    every: np.ndarray = np.unique(np.concatenate(found), axis=0)
    return every


# ---------------------------------------------------------------------------- sequences


class _Sequences:
    """The sets of sequences of texts, made when they are asked for.

    Attributes:
        ranks: Bucket of a hash → how frequent its sequences are, 0 to 63.
    """

    def __init__(self, texts: pl.Series, words: int) -> None:
        self.texts, self.words = texts, words
        self.ranks = np.zeros(2**_COUNTED_BITS, np.uint8)
        step = max(1, -(-len(texts) // _SAMPLE))
        counts = np.zeros(2**_COUNTED_BITS, np.int64)
        for _, keys, _ in self.of(np.arange(0, len(texts), step)):
            np.add.at(counts, _bucket(keys), 1)
        seen = np.log2(np.maximum(counts, 1)) * 4
        self.ranks = np.minimum(seen, 2**_RANK_BITS - 1).astype(np.uint8)

    def of(self, places: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield places of texts, the keys of their sequences below each other, and set sizes.

        A key is rank and hash; those of a text are distinct and in ascending order.
        """
        for some in self._chunks(places):
            keys, rows = _hashes(normal_bytes.words(self.texts[some]), self.words)
            keys |= self.ranks[_bucket(keys)].astype(np.uint64) << np.uint64(_HASH_BITS)
            keys |= rows << _RANK_HASH_BITS
            keys.sort()
            first = np.ones(len(keys), bool)
            np.not_equal(keys[1:], keys[:-1], out=first[1:])
            keys = keys[first]
            rows = (keys >> _RANK_HASH_BITS).astype(np.int64)
            sizes = np.bincount(rows, minlength=len(some))
            yield some, keys & np.uint64(2 ** int(_RANK_HASH_BITS) - 1), sizes

    def _chunks(self, places: np.ndarray) -> Iterator[np.ndarray]:
        sizes = self.texts[places].str.len_bytes().to_numpy()
        ends, start = np.cumsum(sizes, dtype=np.int64), 0
        while start < len(places):
            before = ends[start - 1] if start else 0
            end = int(np.searchsorted(ends, before + _BYTES_PER_CHUNK, side="right"))
            end = min(max(end, start + 1), start + _TEXTS_PER_CHUNK)
            yield places[start:end]
            start = end


def _bucket(hashes: np.ndarray) -> np.ndarray:
    return (hashes & np.uint64(2**_COUNTED_BITS - 1)).astype(np.int64)


def _hashes(packed: PackedWords, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of each sequence of words, and the text that it is in.

    A hash is a polynomial of the hashes of its words, modulo 2⁶⁴. 46 bits are kept; two sequences
    of a text, or of a pair that is compared, have the same one with a probability of 10⁻⁹.
    """
    last = len(packed.begins) - words + 1
    if last < 1:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    of_words = _hashes_of_words(packed)
    hashes = of_words[:last].copy()
    for i in range(1, words):
        hashes *= _FACTORS[2]
        hashes += of_words[i : i + last]
    hashes ^= hashes >> np.uint64(32)
    hashes *= _FACTORS[1]
    whole = packed.texts[:last] == packed.texts[words - 1 :]
    return hashes[whole] >> np.uint64(64 - _HASH_BITS), packed.texts[:last][whole].astype(np.uint64)


def _hashes_of_words(packed: PackedWords) -> np.ndarray:
    """Return a hash of each word; of two words of up to eight bytes there is never the same."""
    begins, sizes = packed.begins, packed.ends - packed.begins
    eight = np.ndarray(len(packed.data) - 7, "<u8", packed.data, strides=(1,))
    hashes: np.ndarray = eight[begins] & _LETTERS[np.minimum(sizes, 8)]
    hashes *= _FACTORS[0]
    hashes ^= hashes >> np.uint64(32)
    longer, done = np.flatnonzero(sizes > 8), 8
    while len(longer):
        more = eight[begins[longer] + done] & _LETTERS[np.minimum(sizes[longer] - done, 8)]
        mixed = (hashes[longer] + more) * _FACTORS[1]
        hashes[longer] = mixed ^ (mixed >> np.uint64(29))
        done += 8
        longer = longer[sizes[longer] > done]
    return hashes


# ---------------------------------------------------------------------------- pairs


def _prefixes(sequences: _Sequences, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return hash and text of the first sequences of each text, in one number, and set sizes."""
    n = len(sequences.texts)
    found, sizes, bits = _Growing(sequences.texts, threshold), np.zeros(n, np.int64), _bits(n)
    for places, keys, of in sequences.of(np.arange(n)):
        sizes[places] = of
        firsts = np.minimum(of - np.ceil(threshold * of - 1e-6).astype(np.int64) + 1, of)
        kept = keys[_of_each(np.cumsum(of) - of, firsts)]
        texts = np.repeat(places, firsts).astype(np.uint64)
        found.add((kept << bits) | texts)  # the upper bits of the key fall off
    return found.keys[: found.n], sizes


class _Growing:
    """Keys one behind the other, in memory that is taken once: it is had when it is written.

    Parts of their own would lie between the arrays that are made and freed on the way, and keep
    all of their memory.
    """

    def __init__(self, texts: pl.Series, threshold: float) -> None:
        # a word has two bytes with the space behind it, unless its normal form is longer
        most = int(((1 - threshold) * (texts.str.len_bytes() + 1) / 2 + 1).sum())
        self.keys, self.n = np.empty(most, np.uint64), 0

    def add(self, some: np.ndarray) -> None:
        """Put some behind those that are there."""
        if self.n + len(some) > len(self.keys):
            self.keys = np.concatenate([self.keys, np.empty(self.n + len(some), np.uint64)])
        self.keys[self.n : self.n + len(some)] = some
        self.n += len(some)


def _bits(n: int) -> np.uint64:
    return np.uint64(max(int(n - 1).bit_length(), _RANK_BITS + 1))


def _candidates(keys: np.ndarray, sizes: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Yield pairs of texts that share one of their first sequences and may be near.

    *keys* are sorted in place.
    """
    keys.sort()
    bits = _bits(len(sizes))
    keys = keys[_twice(keys, bits)]
    hashes, texts = keys >> bits, keys & ((np.uint64(1) << bits) - np.uint64(1))
    texts, apart, waiting = texts.astype(np.int64), 1, [np.empty((0, 2), np.int64)]
    here = np.arange(len(hashes))
    while len(here := here[here + apart < len(hashes)]):
        here = here[hashes[here] == hashes[here + apart]]
        one, other = texts[here], texts[here + apart]
        small, large = np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])
        alike = small >= threshold * large - 1e-6
        waiting.append(np.column_stack([one[alike], other[alike]]))
        if sum(map(len, waiting)) > _WAITING_PAIRS:
            yield np.unique(np.concatenate(waiting), axis=0)
            waiting = []
        apart += 1
    if waiting:
        yield np.unique(np.concatenate(waiting), axis=0)


def _twice(keys: np.ndarray, bits: np.uint64) -> np.ndarray:
    """Return which sorted keys have the upper bits of a neighbour, with little memory."""
    found = np.zeros(len(keys), bool)
    for start in range(0, len(keys) - 1, _WAITING_PAIRS):
        end = min(start + _WAITING_PAIRS, len(keys) - 1)
        same = (keys[start:end] >> bits) == (keys[start + 1 : end + 1] >> bits)
        found[start:end] |= same
        found[start + 1 : end + 1] |= same
    return found


def _near(pairs: np.ndarray, sequences: _Sequences, threshold: float) -> np.ndarray:
    """Return which of some pairs reach the threshold."""
    places, where = np.unique(pairs, return_inverse=True)
    parts = list(sequences.of(places))
    if not parts:
        return np.zeros(len(pairs), bool)
    keys = np.concatenate([part for _, part, _ in parts]) & _HASH_MASK
    sizes = np.concatenate([of for *_, of in parts])
    starts, where = np.cumsum(sizes) - sizes, where.reshape(pairs.shape)
    both = np.concatenate([_of_pairs(keys, starts[side], sizes[side]) for side in where.T])
    both.sort()
    equal = both[1:][both[1:] == both[:-1]] >> np.uint64(_HASH_BITS)
    shared = np.bincount(equal.astype(np.int64), minlength=len(pairs))
    union = sizes[where].sum(axis=1) - shared
    return np.asarray(shared >= threshold * union - 1e-6)


def _of_pairs(keys: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the hashes of one side of each pair, with the pair's number above them."""
    numbers = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    return np.asarray((numbers << np.uint64(_HASH_BITS)) | keys[_of_each(starts, sizes)])


def _of_each(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the numbers from each start on, so many as its size tells."""
    behind = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return np.asarray(behind + np.arange(sizes.sum()))
