"""The numbers that show a judge's faults, with intervals over questions. Pure.

Each returns its estimates at several levels, or a sentence that says why it cannot be told.
"""

from dataclasses import dataclass, replace

import numpy as np

from empathy_core.stats.agreement import interval_alpha
from empathy_core.stats.at_given import correlation, group_rest, plane_rest, two_way_rest
from empathy_core.stats.coefficients import Coefficient, estimates_at, ratio
from empathy_core.stats.judged import JudgedPairs, JudgedScores
from empathy_core.stats.pairwise import interval
from empathy_core.stats.resampling import Resampler
from empathy_core.stats.results import Estimate
from empathy_core.types import Column

LEAST_MASS = 0.5
"""Probability of a rubric's labels, below which the judge has not answered."""
LEAST_OF_PAIR = 10
"""Rows of a pair of conditions, below which their mean takes too much with it."""

Measured = tuple[Estimate, ...]
Told = Measured | str


@dataclass(frozen=True, slots=True, eq=False)
class Questioned:
    """What checks look at.

    Attributes:
        scores: Of one column.
        pairs: Of the same judge; null where it was not asked for preferences.
        resampler: Of the rows of *scores*.
        levels: Of the interval that is shown, and of that which decides, which leaves in each of
            its tails what one check may be wrong.
    """

    scores: JudgedScores
    pairs: JudgedPairs | None
    resampler: Resampler
    levels: tuple[float, float]

    @property
    def cells(self) -> Resampler:
        """Of all replies: conditions one after the other."""
        return self.resampler.repeated(len(self.scores.scores))

    def share(self, values: np.ndarray, resampler: Resampler) -> Measured:
        """Return the mean of *values* (items,) from 0 to 1, some NaN, as a share of rows."""
        rows, column = np.column_stack([values, np.ones(len(values))]), Column("x", "X", share=True)

        def at(level: float) -> Estimate:
            drawn = replace(resampler, level=level, n_resamples=1)  # a share is not resampled
            return interval(rows, _mean, drawn, [column])[0]

        shown, strict = (at(level) for level in self.levels)
        if strict.interval is not None and strict.interval.one_sided:  # all lies in its one tail
            strict = at((1 + self.levels[1]) / 2)
        return shown, strict

    def coefficient(self, of: Coefficient, kept: np.ndarray, resampler: Resampler) -> Measured:
        """Return a coefficient of the items *kept*."""
        (found,) = estimates_at([of], kept, resampler, self.levels, constant=True)
        return found


def _mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., :1] / sums[..., 1:])


# ---------------------------------------------------------------------------- of scores


def near(of: Questioned, label: float) -> Measured:
    """Return the share of scores that are nearest to *label*."""
    scores = of.scores.scores.ravel()
    values = np.where(np.isnan(scores), np.nan, _nearest(of) == label)
    return of.share(values, of.cells)


def _nearest(of: Questioned) -> np.ndarray:
    """Return the label that each score is nearest to, shape (conditions x rows,)."""
    labels = np.array(of.scores.labels)
    middles = (labels[1:] + labels[:-1]) / 2
    return np.asarray(labels[np.searchsorted(middles, of.scores.scores.ravel())])


def one_label(of: Questioned) -> Told:
    """Return the share of the most frequent label."""
    if len(of.scores.labels) == 2:
        return "on a scale of two labels a judge of rare events gives nearly always the same"
    labels, counts = np.unique(
        _nearest(of)[~np.isnan(of.scores.scores.ravel())], return_counts=True
    )
    return near(of, float(labels[counts.argmax()])) if len(labels) else "there is no score"


def outside_labels(of: Questioned) -> Told:
    """Return the share of replies at which the labels have less than ``LEAST_MASS``."""
    if of.scores.mass is None:
        return "the judge writes its answer, and no probability of the labels is read"
    mass = of.scores.mass.ravel()
    return of.share(np.where(np.isnan(mass), np.nan, mass < LEAST_MASS), of.cells)


def length(of: Questioned) -> Told:
    """Return the correlation of score and log length, less questions and conditions."""
    found = _against_length(of)
    return found if isinstance(found, str) else of.coefficient(found[0], found[2], of.cells)


def per_doubling(of: Questioned) -> Told:
    """Return the change of the score with a length twice as great, by the same slope."""
    found = _against_length(of)
    if isinstance(found, str):
        return found
    slope = found[1]
    doubled = Coefficient(slope.rows, lambda sums: slope.reduce(sums) * np.log(2))
    return of.coefficient(doubled, found[2], of.cells)


def _against_length(of: Questioned) -> tuple[Coefficient, Coefficient, np.ndarray] | str:
    both = ~np.isnan(of.scores.scores + of.scores.log_lengths)
    if not both.any():
        return "there is no score"
    if both.any(axis=1).sum() < 2:
        return "there is one condition: a question that asks for more words may be another question"
    x, y = (
        two_way_rest(np.where(both, table, np.nan))
        for table in (of.scores.log_lengths, of.scores.scores)
    )
    kept = both.ravel()
    found = correlation(np.nan_to_num(x.ravel()), np.nan_to_num(y.ravel()))
    return *found, kept


def self_preference(of: Questioned) -> tuple[Told, Told]:
    """Return own less others, less the other judges' same difference.

    In parts of the scale, and in standard deviations of each judge's scores; over the rows that all
    judges have scored under all conditions with a score.
    """
    own, others = of.scores.own, of.scores.others
    if own is None or not own.any():
        return _both("no condition is of the judge's own model or family")
    if others is None or not len(others):
        return _both("there is one judge, and its own replies may be better")
    judges = np.concatenate([of.scores.scores[None], others])
    scored = ~np.isnan(judges).all(axis=(0, 2))
    own, judges = own[scored], judges[:, scored]
    if own.all() or not own.any():
        return _both("all conditions that all judges have scored are its own, or none is")
    kept = ~np.isnan(judges).any(axis=(0, 1))
    judges = np.where(kept, judges, 0.0)
    apart = judges[:, own].mean(axis=1) - judges[:, ~own].mean(axis=1)
    rows = np.concatenate([[kept], apart, judges.mean(axis=1), (judges**2).mean(axis=1)]).T
    width, k = of.scores.labels[-1] - of.scores.labels[0], len(judges)

    def points(sums: np.ndarray) -> np.ndarray:
        return _less_others(ratio(sums[..., 1 : k + 1], sums[..., :1], 1.0)) / width

    def deviations(sums: np.ndarray) -> np.ndarray:
        apart, means, squares = np.split(ratio(sums[..., 1:], sums[..., :1], 1.0), 3, axis=-1)
        return _less_others(ratio(apart, np.sqrt(np.maximum(squares - means**2, 0)), width))

    return (
        of.coefficient(Coefficient(rows, points), kept, of.resampler),
        of.coefficient(Coefficient(rows, deviations), kept, of.resampler),
    )


def _both(reason: str) -> tuple[Told, Told]:
    return reason, reason


def _less_others(of_judges: np.ndarray) -> np.ndarray:
    return np.asarray(of_judges[..., 0] - of_judges[..., 1:].mean(axis=-1))


def agreement(of: Questioned) -> Told:
    """Return the mean correlation with other judges, of the replies that both have scored."""
    if of.scores.others is None or not len(of.scores.others):
        return "there is one judge"
    scores, rows = of.scores.scores.ravel(), []
    for other in of.scores.others.reshape(len(of.scores.others), -1):
        both = ~np.isnan(scores + other)
        if not both.any():
            continue
        x, y = (np.where(both, of - of[both].mean(), 0.0) for of in (scores, other))
        rows.append(np.column_stack([both, x, y, x**2, y**2, x * y]))
    if not rows:
        return "no reply is scored by another judge too"

    def reduce(sums: np.ndarray) -> np.ndarray:
        n, x, y, xx, yy, xy = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 6), -1, 0)
        n = np.maximum(n, 1)
        squares = (xx - x**2 / n) * (yy - y**2 / n)
        found = ratio(xy - x * y / n, np.sqrt(np.maximum(squares, 0)), 1.0)
        return np.asarray(found.mean(axis=-1))

    flat = np.concatenate(rows, axis=1)
    kept = np.asarray(flat[:, ::6].any(axis=1))
    return of.coefficient(Coefficient(flat, reduce), kept, of.cells)


def repeatability(of: Questioned) -> Told:
    """Return alpha (interval) of the scores under all wordings of the rubric."""
    ratings = _of_wordings(of)
    if ratings is None:
        return "there is one wording of the rubric"
    kept = (~np.isnan(ratings)).sum(axis=0) >= 2
    centred = ratings - np.nanmean(ratings) if kept.any() else ratings
    scale = float(np.nanmax(np.abs(centred), initial=0.0))
    return of.coefficient(interval_alpha(centred, scale), kept, of.cells)


def wordings_apart(of: Questioned) -> Told:
    """Return the mean absolute difference of scores under two wordings."""
    ratings = _of_wordings(of)
    if ratings is None:
        return "there is one wording of the rubric"
    first, second = np.triu_indices(len(ratings), 1)
    apart = np.abs(ratings[first] - ratings[second])
    given = ~np.isnan(apart)
    rows = np.column_stack([np.where(given, apart, 0.0).sum(axis=0), given.sum(axis=0)])
    mean = Coefficient(rows, lambda sums: ratio(sums[..., 0], sums[..., 1], 1.0))
    return of.coefficient(mean, given.any(axis=0), of.cells)


def _of_wordings(of: Questioned) -> np.ndarray | None:
    wordings = of.scores.wordings
    if wordings is None or not len(wordings):
        return None
    return np.concatenate([of.scores.scores[None], wordings]).reshape(len(wordings) + 1, -1)


# ---------------------------------------------------------------------------- of preferences

_NOT_ASKED = "the judge was not asked for preferences"


def order(of: Questioned) -> Told:
    """Return the mean preference for the reply that is shown first, over both orders."""
    if of.pairs is None:
        return _NOT_ASKED
    return of.share((of.pairs.first_of_ab + of.pairs.first_of_ba) / 2, _of_pairs(of, of.pairs))


def consistency(of: Questioned) -> Told:
    """Return the share of pairs in which the same reply is preferred in both orders."""
    if of.pairs is None:
        return _NOT_ASKED
    ab, ba = of.pairs.first_of_ab - 0.5, of.pairs.first_of_ba - 0.5
    same = np.where(np.isnan(ab + ba), np.nan, ab * ba < 0)
    return of.share(same, _of_pairs(of, of.pairs))


def swap(of: Questioned) -> Told:
    """Return the correlation of preferences in one order with those in the other, of all pairs."""
    if of.pairs is None:
        return _NOT_ASKED
    both = np.stack([of.pairs.first_of_ab, 1 - of.pairs.first_of_ba])
    kept = np.asarray(~np.isnan(both).any(axis=0))
    all_ = np.zeros(len(kept), int)
    x, y = np.zeros((2, len(kept)))
    x[kept], y[kept] = (group_rest(order[kept], all_[kept]) for order in both)
    return of.coefficient(correlation(x, y)[0], kept, _of_pairs(of, of.pairs))


def verbosity(of: Questioned) -> Told:
    """Return the correlation of preference and tanh(difference in length / its sd by pair).

    About the means of each pair of conditions; where *quality* is known, less the plane on it and
    its own tanh, since preference levels off with both.
    """
    if of.pairs is None:
        return _NOT_ASKED
    pairs = of.pairs
    y = (pairs.first_of_ab + 1 - pairs.first_of_ba) / 2
    kept = ~np.isnan(y + pairs.longer + (0 if pairs.quality is None else pairs.quality))
    sizes = np.bincount(pairs.pairs, kept, minlength=1)
    kept = kept & (sizes[pairs.pairs] >= LEAST_OF_PAIR)
    if not kept.any():
        return f"no pair of conditions has {LEAST_OF_PAIR} preferences"
    groups = np.unique(pairs.pairs[kept], return_inverse=True)[1]
    x, y = group_rest(_levelled(pairs.longer[kept], groups), groups), group_rest(y[kept], groups)
    if pairs.quality is not None:
        quality = pairs.quality[kept]
        known = np.stack(
            [group_rest(of, groups) for of in (quality, _levelled(quality, groups))], 1
        )
        x, y = plane_rest(x, known), plane_rest(y, known)
    filled = np.zeros((2, len(kept)))
    filled[:, kept] = x, y
    return of.coefficient(correlation(*filled)[0], kept, _of_pairs(of, pairs))


def _levelled(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return tanh(values / their standard deviation in each group), both (items,)."""
    squares = np.bincount(groups, group_rest(values, groups) ** 2) / np.bincount(groups)
    deviation = np.sqrt(squares)[groups]
    return np.asarray(np.tanh(values / np.where(deviation > 0, deviation, np.inf)))


def _of_pairs(of: Questioned, pairs: JudgedPairs) -> Resampler:
    return replace(of.resampler, clusters=pairs.clusters)
