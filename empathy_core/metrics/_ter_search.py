"""The search of TER for the moves of phrases that save most edits, as sacreBLEU's, but at once.

sacreBLEU computes the edit distance of up to a thousand moved texts one by one, which takes seconds
for a pair of long answers. Here all moves of one step are rows of a matrix. Which moves are tried,
in which order, and where the search ends are sacreBLEU's own functions and limits: what it finds
are the same edits, which the tests and each recheck prove.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

FAR = 10**8
"""Edits of what lies outside the beam."""

Move = tuple[int, int, int]
"""First word, number of words, and where they are put."""


def _library() -> Any:
    from sacrebleu.metrics import lib_ter

    return lib_ter


def edits(answer: Sequence[str], reference: Sequence[str]) -> int:
    """Return the edits, moves among them, that make *answer* the reference."""
    library = _library()
    words, target, n_moves, tried = list(answer), list(reference), 0, 0
    known = library.BeamEditDistance(target)
    numbers = {word: i for i, word in enumerate(dict.fromkeys((*target, *words)))}
    while True:
        distance, trace = known(words)
        moves, tried = _moves(words, target, trace, tried)
        if tried >= library._MAX_SHIFT_CANDIDATES or not moves:
            break
        moved = [library._perform_shift(words, *move) for move in moves]
        coded = np.array([[numbers[word] for word in text] for text in moved])
        saved = distance - _distances(coded, np.array([numbers[word] for word in target]))
        if saved.max() <= 0:
            break
        # most saved, then longest, then from and to the earliest place
        best = max(range(len(moves)), key=lambda i: (saved[i], *_rank(moves[i])))
        words, n_moves = moved[best], n_moves + 1
    return int(n_moves + distance)


def _rank(move: Move) -> Move:
    start, length, place = move
    return length, -start, -place


def _moves(words: list[str], target: list[str], trace: str, tried: int) -> tuple[list[Move], int]:
    """Return the moves worth trying, and how many were tried in all, equal ones counted."""
    library = _library()
    align, target_wrong, wrong = library.trace_to_alignment(library._flip_trace(trace))
    found: dict[Move, None] = {}
    for start, there, length in library._find_shifted_pairs(words, target):
        right = not any(wrong[start : start + length]) or not any(
            target_wrong[there : there + length]
        )
        if right or start <= align[there] < start + length:
            continue
        places = _places(align, there, length)
        tried += len(places)
        found.update(dict.fromkeys((start, length, place) for place in places))
        if tried >= library._MAX_SHIFT_CANDIDATES:
            break
    return list(found), tried


def _places(align: dict[int, int], there: int, length: int) -> list[int]:
    """Return where a phrase may be put, each time that another place comes up."""
    places: list[int] = []
    for offset in range(-1, length):
        at = there + offset
        if at != -1 and at not in align:
            break
        place = 0 if at == -1 else align[at] + 1
        if not places or places[-1] != place:
            places.append(place)
    return places


def _distances(texts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the edit distance of each row of *texts* from *target*, near the diagonal alone.

    A row of all matrices at a time. What an insertion costs depends on the cell to the left, which
    is a running minimum once a cell's own column is taken off.
    """
    library = _library()
    n_texts, n_words = texts.shape
    ratio: Any = len(target) / n_words
    beam = library._BEAM_WIDTH
    if beam < ratio / 2:
        beam = math.ceil(ratio / 2 + beam)
    columns = np.arange(len(target) + 1)
    above = np.tile(columns, (n_texts, 1))
    for i in range(1, n_words + 1):
        middle = math.floor(i * ratio)
        low = max(0, middle - beam)
        high = len(columns) if i == n_words else min(len(columns), middle + beam)
        row = np.full_like(above, FAR)
        cells = above[:, low:high] + 1
        first = max(low, 1)
        other = texts[:, i - 1, None] != target[first - 1 : high - 1]
        np.minimum(
            cells[:, first - low :], above[:, first - 1 : high - 1] + other,
            out=cells[:, first - low :],
        )  # fmt: skip
        cells -= columns[low:high]
        np.minimum.accumulate(cells, axis=1, out=cells)
        np.minimum(cells + columns[low:high], FAR, out=row[:, low:high])
        above = row
    return np.asarray(above[:, -1])
