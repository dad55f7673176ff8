"""How many questions people must rate to find a difference between two conditions. Pure.

Both conditions answer the same questions, and the same raters rate both answers to a question, so
that what counts is the spread of the differences within questions. A difference of a question is
the mean over its raters; with r raters its variance is

    between questions + between raters of one question / r

so that more raters help only against the second part.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from empathy_core.stats.corrected import MOST_GAIN
from empathy_core.stats.equivalence import POWER
from empathy_core.stats.resampling import ALPHA

_MOST_QUESTIONS = 10**9


def power_of_paired_test(
    n: int, difference: float, deviation: float, alpha: float = ALPHA
) -> float:
    """Return the chance that a two-sided paired t test of *n* questions finds a difference.

    Of the noncentral t with n - 1 degrees of freedom, both tails: Cohen (1988), Statistical Power
    Analysis for the Behavioral Sciences, chapter 2.

    Args:
        n: Questions, two at least.
        difference: The true mean difference.
        deviation: Standard deviation of the differences within questions, above 0.
        alpha: Of the test.
    """
    from scipy.special import nctdtr, stdtrit

    shift = abs(difference) / deviation * sqrt(n)
    t = float(stdtrit(n - 1, 1 - alpha / 2))
    below = nctdtr(n - 1, shift, np.array([t, -t]))
    missed, opposite = np.where(np.isnan(below), 0.0, below)  # not a number where next to 0
    return float(1 - missed + opposite)


def questions_needed(
    difference: float, deviation: float, power: float = POWER, alpha: float = ALPHA
) -> int:
    """Return the fewest questions with which a paired t test has *power*.

    About (z(1 - alpha / 2) + z(power))^2 x (deviation / difference)^2, and two more, since the
    spread is estimated as well.

    Raises:
        ValueError: There is no difference or no spread.
    """
    if not (difference != 0 and deviation > 0):
        raise ValueError(
            f"a difference of {difference:g} with a spread of {deviation:g} has no sample size: "
            "both must be above 0"
        )
    low, high = 1, 2
    while power_of_paired_test(high, difference, deviation, alpha) < power:
        low, high = high, high * 2
        if high > _MOST_QUESTIONS:
            raise ValueError(
                f"a difference of {difference:g} needs over {_MOST_QUESTIONS:,} questions"
            )
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of_paired_test(middle, difference, deviation, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def difference_found(n: int, deviation: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the least true difference that *n* questions find with *power*.

    Args:
        n: Questions, two at least.
        deviation: As for ``power_of_paired_test``.
        power: Wanted.
        alpha: Of the test.
    """
    low, high = 0.0, deviation
    while power_of_paired_test(n, high, deviation, alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        enough = power_of_paired_test(n, middle, deviation, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class PairedSpread:
    """How differences within questions vary.

    Attributes:
        questions: Variance between questions, of what all raters would say on average.
        raters: Variance between raters of one question; null where one rating a question is known,
            so that *questions* holds both.
        n_questions: Questions that it is estimated from; 0 where it is taken from a table.
    """

    questions: float
    raters: float | None
    n_questions: int

    def deviation(self, raters: int) -> float:
        """Return the standard deviation of a question's difference, averaged over *raters*.

        Where the parts are not known apart it is that of one rating: more raters then promise
        nothing.
        """
        return sqrt(self.questions + (self.raters or 0.0) / raters)


def paired_spread(differences: np.ndarray) -> PairedSpread | None:
    """Return the spread of *differences* of two conditions, or null where it cannot be told.

    One-way analysis of variance with unequal numbers; Searle, Casella and McCulloch (1992),
    Variance Components, section 3.6. A variance between questions below 0 becomes 0.

    Args:
        differences: Shape (questions, raters): first - second, by one rater; NaN where not rated.
    """
    table = np.asarray(differences, float)
    n = np.isfinite(table).sum(axis=1)
    table, n = table[n > 0], n[n > 0]
    if len(n) < 2:
        return None
    means = np.nanmean(table, axis=1)
    degrees = int((n - 1).sum())
    if degrees == 0:
        return _known(PairedSpread(float(means.var(ddof=1)), None, len(n)))
    total = n.sum()
    within = float(np.nansum((table - means[:, None]) ** 2) / degrees)
    centre = (n * means).sum() / total
    between = float((n * (means - centre) ** 2).sum() / (len(n) - 1))
    each = (total - (n**2).sum() / total) / (len(n) - 1)
    return _known(PairedSpread(max(0.0, (between - within) / float(each)), within, len(n)))


def _known(spread: PairedSpread) -> PairedSpread | None:
    return spread if spread.deviation(1) > 0 else None


def judge_gain(correlation: float, n_rated: int, n: int) -> float:
    """Return by how much a judge multiplies the rated questions, at its best weight.

    The variance of a corrected mean is that of people's alone times 1 - rho^2 (1 - n_rated / n),
    rho being the correlation of people's and the judge's differences: Angelopoulos, Duchi and
    Zrnic (2023), PPI++ (arXiv 2311.01453), section 6. Never above ``MOST_GAIN``, whatever rho.

    Args:
        correlation: rho; below 0 a judge helps nothing, since its weight is at least 0.
        n_rated: Questions that people rate.
        n: Questions that the judge rates.
    """
    rho = min(1.0, max(0.0, correlation))
    left = 1 - rho**2 * (1 - min(1.0, n_rated / n))
    return min(MOST_GAIN, 1 / left) if left > 0 else MOST_GAIN


def questions_with_judge(needed: int, correlation: float, n: int) -> int:
    """Return how many questions people must rate beside a judge of all *n*.

    The fewest m with m x ``judge_gain`` at least *needed*; never fewer than half of *needed*.
    """
    for rated in range(ceil(needed / MOST_GAIN), needed):
        if rated * judge_gain(correlation, rated, max(n, rated)) >= needed:
            return rated
    return needed
