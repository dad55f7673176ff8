"""An ordinal head: from features of a question and a reply to the level that is expected. Pure.

Ordered levels l_0 < … < l_m make m questions of yes or no, is the level above l_k, each answered by
a logistic regression whose two sides weigh equally: Frank and Hall (2001), A Simple Approach to
Ordinal Classification, ECML. The expected level is l_0 + sum of (l_(k+1) - l_k) P(above l_k).
"""

import re
from dataclasses import dataclass

import numpy as np

from empathy_core.stats.resampling import one_thread_each

PENALTY = 0.3
"""Of the squared weights, beside the summed loss of the rows; features are scaled to suit it."""
FEATURES = "q,r,q*r,abs(q-r),surface6"
HEAD = "frank-hall,logistic,balanced,l2-0.3"
"""What the numbers depend on besides data and settings, for signatures."""

N_SURFACE = 6
_WORD = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}]\w+)*")
_FIRST = frozenset(("i", "i'm", "i've", "i'd", "i'll", "me", "my", "we"))
_SECOND = frozenset(("you", "you're", "you've", "you'd", "you'll", "your", "yours", "yourself"))


def surface(question: str, reply: str) -> tuple[float, ...]:
    """Return counts that know nothing of meaning, as logarithms of 1 + n.

    Words of the reply and of the question, question marks, exclamation marks, and English words of
    the first and of the second person.
    """
    words = [word.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
             for word in _WORD.findall(reply)]  # fmt: skip
    counts = (
        len(words), len(_WORD.findall(question)), reply.count("?"), reply.count("!"),
        sum(word in _FIRST for word in words), sum(word in _SECOND for word in words),
    )  # fmt: skip
    return tuple(np.log1p(counts).tolist())


def features(questions: np.ndarray, replies: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the features of pairs, shape (pairs, 4 dimensions + counts).

    Args:
        questions: Embeddings of length 1, shape (pairs, dimensions).
        replies: Likewise.
        counts: Shape (pairs, counts); see ``surface``.
    """
    blocks = (questions, replies, questions * replies, np.abs(questions - replies), counts)
    return np.concatenate(blocks, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalHead:
    """A head that was trained.

    Attributes:
        centre: What is taken from features, shape (features,).
        scale: What they are then divided by, shape (features,).
        weights: Shape (features, levels - 1).
        intercepts: Shape (levels - 1,).
        values: Of the levels, from least to most, shape (levels,).
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    values: np.ndarray

    def expected(self, of: np.ndarray) -> np.ndarray:
        """Return the expected level of features (pairs, features): shape (pairs,)."""
        logits = ((of - self.centre) / self.scale) @ self.weights + self.intercepts
        above = 1 / (1 + np.exp(-logits))
        return np.asarray(self.values[0] + above @ np.diff(self.values))

    def nearest(self, expected: np.ndarray) -> np.ndarray:
        """Return which level is nearest to each value: shape (pairs,), numbers from 0."""
        middles = (self.values[1:] + self.values[:-1]) / 2
        return np.searchsorted(middles, expected)


def train(of: np.ndarray, levels: np.ndarray, values: np.ndarray, n_embedded: int) -> OrdinalHead:
    """Train a head.

    Each block of features is scaled as a whole so that it varies as much as any other, since the
    penalty treats all weights alike: four blocks of an embedding's size, each to a summed variance
    of 1, and the counts that follow, each to a variance of 1 / ``N_SURFACE``.

    Args:
        of: Features, shape (rows, features).
        levels: Number of each row's level, from 0; each occurs.
        values: Of the levels.
        n_embedded: Features that are of embeddings: the first ones, four blocks; may be 0.
    """
    from sklearn.linear_model import LogisticRegression

    centre, scale = of.mean(axis=0), _scale(of, n_embedded)
    scaled = (of - centre) / scale
    weights, intercepts = [], []
    with one_thread_each():  # so that a machine gives the same bits each time
        for k in range(len(values) - 1):
            fit = LogisticRegression(
                C=1 / PENALTY, class_weight="balanced", tol=1e-6, max_iter=2000
            )
            fit.fit(scaled, levels > k)
            weights.append(fit.coef_[0])
            intercepts.append(fit.intercept_[0])
    return OrdinalHead(centre, scale, np.array(weights).T, np.array(intercepts), values)


def _scale(of: np.ndarray, n_embedded: int) -> np.ndarray:
    deviations = of.std(axis=0)
    blocks = np.split(np.arange(n_embedded), 4) if n_embedded else []
    scale = np.ones(of.shape[1])
    for block in blocks:
        scale[block] = np.sqrt(np.square(deviations[block]).sum())
    counts = slice(n_embedded, None)
    scale[counts] = deviations[counts] * np.sqrt(N_SURFACE)
    return np.where(scale > 0, scale, 1.0)


# ---------------------------------------------------------------------------- held out


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How a head agrees with labels that it was not trained on, to four decimals.

    The score of a pair is what ``greatest`` makes of it, its level the nearest one.

    Attributes:
        f1: Mean of the levels' F1.
        kappa: Cohen's, with quadratic weights.
        f1_majority: *f1* of naming the most frequent level always.
        f1_surface: *f1* of a head that knows the counts of ``surface`` alone.
        kappa_surface: *kappa* of it.
    """

    f1: float
    kappa: float
    f1_majority: float
    f1_surface: float
    kappa_surface: float


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The features of labelled pairs.

    Attributes:
        whole: Of the whole replies: shape (pairs, features).
        windows: Of the replies' windows: shape (windows, features).
        owners: Number of each window's pair, ascending: shape (windows,).
        n_embedded: Features that are of embeddings: the first ones.
    """

    whole: np.ndarray
    windows: np.ndarray
    owners: np.ndarray
    n_embedded: int

    def of_pairs(self, kept: np.ndarray) -> "Inputs":
        """Return those of the pairs *kept*, shape (pairs,), bool."""
        places = np.cumsum(kept) - 1
        mine = kept[self.owners]
        return Inputs(
            self.whole[kept], self.windows[mine], places[self.owners[mine]], self.n_embedded
        )

    def surface_only(self) -> "Inputs":
        """Return the counts alone."""
        n = self.n_embedded
        return Inputs(self.whole[:, n:], self.windows[:, n:], self.owners, 0)


def greatest(expected: np.ndarray, owners: np.ndarray, n: int, least: float) -> np.ndarray:
    """Return the greatest of each owner's values: shape (n,); *least* where it has none."""
    found = np.full(n, least)
    np.maximum.at(found, owners, expected)
    return found


def held_out(
    inputs: Inputs, levels: np.ndarray, groups: np.ndarray, values: np.ndarray, n_folds: int
) -> HeldOut:
    """Return the agreement over folds that keep groups together and levels as balanced as can be.

    Args:
        inputs: Of pairs that have the label.
        levels: Number of each pair's level, from 0: shape (pairs,).
        groups: Number of each pair's group: shape (pairs,).
        values: Of the levels.
        n_folds: How many.
    """
    from sklearn.metrics import cohen_kappa_score, f1_score

    every = np.arange(len(values))

    def f1(named: np.ndarray) -> float:
        found = f1_score(levels, named, labels=every, average="macro", zero_division=0)
        return round(float(found), 4)

    def kappa(named: np.ndarray) -> float:
        found = cohen_kappa_score(levels, named, labels=every, weights="quadratic")
        return round(float(np.nan_to_num(found)), 4)  # one level alone on both sides

    own, counts = (
        _named(of, levels, groups, values, n_folds) for of in (inputs, inputs.surface_only())
    )
    most = np.full_like(levels, np.bincount(levels).argmax())
    return HeldOut(f1(own), kappa(own), f1(most), f1(counts), kappa(counts))


def _named(
    inputs: Inputs, levels: np.ndarray, groups: np.ndarray, values: np.ndarray, n_folds: int
) -> np.ndarray:
    """Return the level that each pair is given by a head that was trained without its fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    named = np.zeros_like(levels)
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    for known, asked in folds.split(levels[:, None], levels, groups):
        head = train(inputs.whole[known], levels[known], values, inputs.n_embedded)
        mask = np.zeros(len(levels), dtype=bool)
        mask[asked] = True
        of = inputs.of_pairs(mask)
        scores = greatest(head.expected(of.windows), of.owners, len(asked), float(values[0]))
        named[mask] = head.nearest(scores)
    return named
