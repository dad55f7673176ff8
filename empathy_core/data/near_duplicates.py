"""Texts that are nearly equal: Jaccard similarity of their sets of five-word sequences. Pure.

Words are those of ``normal.words``.

Exact, not estimated: every pair that shares a sequence is compared, by sparse matrix products.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from empathy_core.data import normal

if TYPE_CHECKING:
    import numpy as np

WORDS = 5
THRESHOLD = 0.8
_ENTRIES_PER_CHUNK = 20_000_000
"""Upper bound of one product's non-zero entries: about 250 MB, however many texts there are."""


def near_duplicates(
    texts: Sequence[str], threshold: float = THRESHOLD, words: int = WORDS
) -> "np.ndarray":
    """Return the pairs of texts with a Jaccard similarity of at least *threshold*.

    Texts of fewer than *words* words have no sequence and so no neighbour.

    Returns:
        Indices of shape (pairs, 2), int64; the first of a pair is the smaller; sorted.
    """
    import numpy as np

    shingles, sizes = _shingles(texts, words)
    other = shingles.T.tocsr()
    found = [np.empty((0, 2), dtype=np.int64)]
    for start, end in _chunks(shingles):
        shared = (shingles[start:end] @ other).tocoo()
        left, right = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
        union = sizes[left] + sizes[right] - shared.data
        near = (left < right) & (shared.data >= threshold * union - 1e-6)
        found.append(np.column_stack([left[near], right[near]]))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _shingles(texts: Sequence[str], words: int) -> "tuple[Any, np.ndarray]":
    """Return a sparse matrix (texts, sequences that two texts share) and each text's set size."""
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        ngram_range=(words, words), tokenizer=normal.words, token_pattern=None, lowercase=False,
        binary=True, norm=None, alternate_sign=False, n_features=2**30, dtype=np.float32,
    )  # fmt: skip
    if not texts:
        return csr_matrix((0, 1), dtype=np.float32), np.zeros(0)
    hashed = vectorizer.transform(texts)
    sizes = np.diff(hashed.indptr).astype(np.float64)
    # A column for each sequence that occurs twice or more; the others can be in no intersection.
    _, column, count = np.unique(hashed.indices, return_inverse=True, return_counts=True)
    row = np.repeat(np.arange(len(texts)), np.diff(hashed.indptr))
    shared = count[column] > 1
    ones = np.ones(int(shared.sum()), dtype=np.float32)
    shape = (len(texts), max(len(count), 1))
    return csr_matrix((ones, (row[shared], column[shared])), shape=shape), sizes


def _chunks(shingles: Any) -> Iterator[tuple[int, int]]:
    """Yield row ranges whose product stays within the bound."""
    import numpy as np

    frequency = np.asarray(shingles.sum(axis=0)).ravel()
    cost = np.concatenate([[0.0], np.cumsum(shingles @ frequency, dtype=np.float64)])
    start, n = 0, shingles.shape[0]
    while start < n:
        end = int(np.searchsorted(cost, cost[start] + _ENTRIES_PER_CHUNK, side="right")) - 1
        end = min(max(end, start + 1), n)
        yield start, end
        start = end
