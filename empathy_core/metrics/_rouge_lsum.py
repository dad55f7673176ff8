"""ROUGE-Lsum: the union of longest common subsequences, line by line, as ``rouge_score`` has it.

Lin (2004), section 3.2, https://aclanthology.org/W04-1013. A line of a text is a sentence of the
paper. Of several longest subsequences the union is of the one that ``rouge_score`` reads out, so
that its choice is part of the number.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np


def lines(text: str) -> list[str]:
    """Return the lines that are not empty."""
    return [line for line in text.split("\n") if line]


def union_hits(reference: Sequence[Sequence[int]], answer: Sequence[Sequence[int]]) -> int:
    """Return how many of the reference's tokens the answer's lines have in common with its lines.

    A token counts at most as often as either text has it.

    Args:
        reference: Tokens of each line, as numbers.
        answer: Likewise; a token that the reference does not have is a number that it has not.
    """
    columns = [np.array(line) for line in answer if line]
    left_of_answer = Counter(chain.from_iterable(answer))
    left_of_reference = Counter(chain.from_iterable(reference))
    hits = 0
    for line in reference:
        for token in (line[i] for i in sorted(_union(line, columns))):
            if left_of_answer[token] > 0 and left_of_reference[token] > 0:
                hits += 1
                left_of_answer[token] -= 1
                left_of_reference[token] -= 1
    return hits


def _union(line: Sequence[int], columns: Sequence[np.ndarray]) -> set[int]:
    """Return the places in a line of the reference that some line of the answer shares."""
    found: set[int] = set()
    for column in columns:
        there = set(column.tolist())
        # what the answer's line does not have leaves its row of the table as the one before
        rows = [i for i, token in enumerate(line) if token in there]
        found.update(rows[i] for i in _subsequence([line[i] for i in rows], column))
    return found


def _subsequence(row_tokens: Sequence[int], column: np.ndarray) -> list[int]:
    """Return the places in *row_tokens* of the subsequence that ``rouge_score`` reads out.

    A row of the table of lengths from the one before, at once: where tokens are equal one more
    than diagonally before, else the greater of above and left, which is a running maximum.
    """
    table = np.zeros((len(row_tokens) + 1, len(column) + 1), dtype=np.int32)
    for i, token in enumerate(row_tokens):
        longer = np.where(column == token, table[i, :-1] + 1, table[i, 1:])
        np.maximum.accumulate(longer, out=table[i + 1, 1:])
    lengths, tokens = table.tolist(), column.tolist()
    i, j, found = len(row_tokens), len(tokens), []
    while i and j:
        if row_tokens[i - 1] == tokens[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif lengths[i][j - 1] > lengths[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return found
