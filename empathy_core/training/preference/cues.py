"""How far the preferred reply is known by its length alone, or by its style alone. Pure.

A tuning that learns nothing but to write longer, or to end its sentences, prefers the chosen reply
of most held-out pairs if length or punctuation tells it: the share says nothing of what was said.
So two simple classifiers are trained on the pairs that are trained on, and asked about
those that are held out. What an adapter reaches beyond them is more than length and style.

Each is a logistic regression without an intercept of the difference of the two replies' features,
chosen less rejected (Bradley and Terry's model with covariates), scaled to a mean square of 1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core.stats.resampling import one_thread_each
from empathy_core.training.preference.pair_share import pair_share, within
from empathy_core.visible import n_words

MOST = 2000
"""Pairs of a side that are looked at: the first by id, which is a digest."""
LEAST = 10
"""Pairs of a side, without which nothing is said."""
PENALTY = 1.0
"""Of half the squared weights, beside the summed loss of the pairs."""

_WORD = re.compile(r"[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?\N{HORIZONTAL ELLIPSIS}]+")
_ENDED = re.compile(r"[.!?\N{HORIZONTAL ELLIPSIS}][\"')\]\N{RIGHT DOUBLE QUOTATION MARK}]*\s*$")
_FIRST = frozenset(("i", "i'm", "i've", "i'd", "i'll", "me", "my", "we", "us", "our"))
_SECOND = frozenset(("you", "you're", "you've", "you'd", "you'll", "your", "yours", "yourself"))
_MARKS = {
    "question marks": "?", "exclamation marks": "!", "commas": ",", "colons": ":",
    "brackets": "(", "quotation marks": '"', "asterisks": "*", "line breaks": "\n",
}  # fmt: skip
STYLE = (
    *_MARKS, "words of the first person", "words of the second person", "letters of a word",
    "words of a sentence", "capitals", "ends of replies",
)  # fmt: skip
"""What ``style`` counts, in its order."""


def length(reply: str) -> tuple[float, ...]:
    """Return the logarithm of a reply's words, as ``metrics.length`` counts them."""
    return (float(np.log(max(n_words(reply), 1))),)


def style(reply: str) -> tuple[float, ...]:
    """Return how a reply is written, whatever it says and however long it is.

    Marks and English words of the first and second person for each word, letters of a word,
    logarithm of the words of a sentence, share of words with a capital, and whether the reply ends
    where a sentence does.
    """
    words = [w.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for w in _WORD.findall(reply)]
    n = max(len(words), 1)
    lower = [word.lower() for word in words]
    return (
        *(reply.count(mark) / n for mark in _MARKS.values()),
        sum(word in _FIRST for word in lower) / n,
        sum(word in _SECOND for word in lower) / n,
        sum(map(len, words)) / n,
        float(np.log(n / max(len(_SENTENCE_END.findall(reply)), 1))),
        sum(word[:1].isupper() for word in words) / n,
        float(bool(_ENDED.search(reply))),
    )


CUES: Mapping[str, tuple[Callable[[str], tuple[float, ...]], tuple[str, ...]]] = {
    "length": (length, ()),
    "style": (style, STYLE),
}
"""What a classifier sees of a reply, and what that is called where it is more than one thing."""


def cues(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a record of each of ``CUES``; none with fewer than ``LEAST`` pairs on a side.

    Args:
        frame: ``pairs.PAIRS``, by id.

    ``cue``, and of the held-out pairs what ``pair_share`` tells: the share in which the classifier
    takes the chosen reply for the preferred one. ``most``: which of the things that it sees tells
    most of the pairs that it learnt from, empty where there is one.
    """
    sides = [frame.filter(split=split).head(MOST) for split in ("train", "validation")]
    if min(side.height for side in sides) < LEAST:
        return []
    questions = sides[1]["question"].to_list()
    found = []
    for name, (of, called) in CUES.items():
        train, held = (_differences(side, of) for side in sides)
        told = pair_share(_told(train, held), questions)
        found.append({"cue": name, **told, "most": called[_most(train)] if called else ""})
    return found


def _differences(side: pl.DataFrame, of: Callable[[str], tuple[float, ...]]) -> np.ndarray:
    """Return chosen less rejected, shape (pairs, features)."""
    chosen, rejected = (np.array([*map(of, side[name])]) for name in ("chosen", "rejected"))
    return np.asarray(chosen - rejected)


def _most(train: np.ndarray) -> int:
    """Return the feature that alone tells most pairs, the first of equals."""
    signs = np.sign(train).mean(axis=0)
    return int(np.abs(signs).argmax())


def _told(train: np.ndarray, held: np.ndarray) -> list[float]:
    """Return, of each held-out pair, 1 if the chosen reply is taken for it, 0 if not, else a half.

    Args:
        train: Differences of the pairs that are learnt from, shape (pairs, features).
        held: The same of those that are held out.
    """
    from sklearn.linear_model import LogisticRegression

    scale = np.sqrt(np.square(train).mean(axis=0))
    scaled = train / np.where(scale > 0, scale, 1.0)
    # each pair is seen from both of its sides, so that the loss counts it twice
    both, labels = np.concatenate([scaled, -scaled]), np.repeat([1, 0], len(scaled))
    fit = LogisticRegression(C=1 / (2 * PENALTY), fit_intercept=False, tol=1e-8, max_iter=2000)
    with one_thread_each():  # so that a machine gives the same bits each time
        fit.fit(both, labels)
    told = (held / np.where(scale > 0, scale, 1.0)) @ fit.coef_[0]
    return [0.5 if of == 0 else float(of > 0) for of in told.tolist()]


def cues_text(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the records in words; nothing where there are none."""
    if not found:
        return ""
    n, questions = found[0]["n"], found[0]["n_questions"]
    said = ", and ".join(f"by {of['cue']} alone in {within(of)}" for of in found)
    most = "".join(f"; of {of['cue']}, {of['most']} identify most" for of in found if of["most"])
    return (
        f"simple classifiers identify the chosen reply of {n} held-out pairs ({questions} "
        f"questions) {said}{most}. An adapter that does no better may have learnt no more"
    )
