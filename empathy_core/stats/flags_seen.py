"""Whether a judge sees what people flag: sensitivity and specificity. Pure."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from empathy_core.stats.intervals import Interval
from empathy_core.stats.resampling import Resampler
from empathy_core.stats.shares import effective


@dataclass(frozen=True, slots=True)
class SeenShare:
    """A share of answers.

    Attributes:
        value: Null without an answer.
        interval: Wilson's (1927), Probable inference, the law of succession, and statistical
            inference, Journal of the American Statistical Association 22(158); of as many
            independent answers as these tell, since answers to one question are alike.
        n: Answers.
        n_questions: Theirs.
    """

    value: float | None
    interval: Interval | None
    n: int
    n_questions: int


@dataclass(frozen=True, slots=True)
class FlagsSeen:
    """What a judge says of the answers that people flag, and of the others.

    Attributes:
        sensitivity: Of the answers that people flag, the share that the judge flags.
        specificity: Of the others, the share that it does not.
    """

    sensitivity: SeenShare
    specificity: SeenShare


def flags_seen(judge: np.ndarray, people: np.ndarray, resampler: Resampler) -> FlagsSeen:
    """Return how far a judge's flags are people's.

    Args:
        judge: Shape (items,): 1 where it flags, 0 where not; NaN where it says nothing.
        people: Likewise.
        resampler: Of the items.
    """
    known = ~np.isnan(judge + people)
    clusters, level = resampler.clusters, resampler.level
    right = judge == people
    return FlagsSeen(*(
        _share(right[known & (people == flag)], clusters[known & (people == flag)], level)
        for flag in (1, 0)
    ))  # fmt: skip


def _share(right: np.ndarray, clusters: np.ndarray, level: float) -> SeenShare:
    n, numbers = len(right), np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(numbers.max(initial=-1)) + 1
    if not n:
        return SeenShare(None, None, 0, 0)
    value = float(right.mean())
    influence = np.bincount(numbers, right - value) / n
    variance = float((influence**2).sum()) * n_clusters / max(1, n_clusters - 1)
    size = float(n_clusters)  # one question says nothing of how alike its answers are
    if n_clusters > 1:
        size = effective(value, variance, n, n_clusters, level)
    return SeenShare(value, wilson(value, size, level), n, n_clusters)


def wilson(share: float, n: float, level: float) -> Interval:
    """Return Wilson's interval of a *share* of *n*, which need not be whole."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
