"""What people would say of all answers, from their ratings of some and a judge's of all. Pure.

Prediction-powered inference with power tuning in Hajek form, one estimator for all designs of a
sample: Angelopoulos, Duchi and Zrnic (2023), PPI++ (arXiv 2311.01453); weights by the chance of
being rated as in Zrnic and Candes (2024), Active statistical inference (ICML). With weights
w = rated / chance, ratings Y, and judge scores f:

    delta = sum w (Y - lambda f) / sum w
    value = lambda x (mean of f over all) + delta

At lambda = 0 that is the mean of people's ratings alone. It is unbiased however wrong the judge
is; lambda in [0, 1] is what makes its variance least, so that a useless judge does no harm.

The estimator itself, for many samples at once, is ``rated_frame``.
"""

from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, Interval
from empathy_core.stats.rated_frame import RatedSample, SamplingFrame
from empathy_core.stats.refusals import Refusal
from empathy_core.stats.resampling import LEAST_CLUSTERS

MOST_GAIN = 2.0
"""A judge no better than what it judges saves half of the labels at most: Dorner, Nastl and Hardt
(2025), Limits to scalable evaluation at the frontier (ICLR)."""
_CHANCE_OUTSIDE = 0.999


@dataclass(frozen=True, slots=True)
class Corrected:
    """A mean of people's ratings, alone and corrected by a judge's.

    Attributes:
        human: Mean of people's ratings, weighted by 1 / chance.
        human_interval: Of *human*.
        value: The corrected mean.
        interval: Of *value*. Both are Student's, with rated questions - 1 degrees of freedom or
            fewer (``rated_frame``), of means with their ends moved for skewness.
        standard_error: Of *value*; that of *human* is *human_error*.
        human_error: Standard error.
        judge: The judge's own mean over all answers, which no interval holds for.
        weight: Lambda: how far the judge is relied on, 0 (not at all) to 1.
        n_effective: As many rated answers without a judge would give the same interval: *n_rated*
            times the variance's ratio, ``MOST_GAIN`` at most.
        n_rated: Answers rated by people and scored by the judge.
        n: Answers scored by the judge.
        n_unscored: Answers without a judge score, left out.
        n_clusters: Questions with a rated answer.
        response_rate: Of the answers asked for, the share rated; 1 where not known.
        degrees: Of freedom of Student's, of *interval*.
    """

    human: float
    human_interval: Interval
    value: float
    interval: Interval
    standard_error: float
    human_error: float
    judge: float
    weight: float
    n_effective: float
    n_rated: int
    n: int
    n_unscored: int
    n_clusters: int
    response_rate: float
    degrees: float

    @property
    def p(self) -> float:
        """Two-sided, of *value* being 0; of a difference the same as of its *interval*."""
        from scipy.special import stdtr

        t = abs(self.value) / max(self.standard_error, ROUNDING)
        return float(2 * stdtr(self.degrees, -t))

    def within(self, level: float) -> tuple[float, float]:
        """Return Student's interval of *value* at another *level*; of a difference as its own."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.degrees, (1 + level) / 2)) * self.standard_error
        return self.value - half, self.value + half


def corrected_mean(
    human: np.ndarray, judge: np.ndarray, sample: RatedSample
) -> Corrected | Refusal:
    """Return people's mean over all answers, or why there is none.

    It is refused with fewer than ``LEAST_CLUSTERS`` rated questions, or with as few of equal weight
    (Kish's effective number; below it intervals of questions with 1 to 8 answers covered less than
    93 %, ``simulate_corrected``); with a stratum of fewer than
    two; where ratings do not vary; and where judge scores leave the range of those beside ratings:
    the share of all below the least or above the greatest of these is more than a random sample
    of that size leaves outside once in a thousand, the 99.9 % quantile of Beta(2, n - 1) (n:
    rated questions, Kish's effective number; Wilks (1941), Determination of sample sizes for
    setting tolerance limits, Annals of Mathematical Statistics 12(1)).

    Args:
        human: Shape (rows,): ratings, means over raters, who are taken as they are: intervals are
            over other questions, not over other raters. NaN where there is none.
        judge: Shape (rows,): on the same scale; NaN where there is no score.
        sample: Of the rows.

    Raises:
        ValueError: Arrays are of other rows, a chance is not in (0, 1], or a question lies in two
            strata.
    """
    return _corrected(human, judge, sample, symmetric=False)


def _corrected(
    human: np.ndarray, judge: np.ndarray, sample: RatedSample, *, symmetric: bool
) -> Corrected | Refusal:
    human, judge = np.asarray(human, float), np.asarray(judge, float)
    shape = (len(judge),) if judge.ndim == 1 else (-1,)
    if human.shape != shape or np.shape(sample.clusters) != shape:
        raise ValueError("ratings, judge scores and questions must have one shape: (rows,)")
    scored = np.isfinite(judge)
    frame = SamplingFrame.of(sample, scored)
    rated, f = human[scored], judge[scored]
    labelled = ~np.isnan(rated)
    weights, rate = frame.weights(labelled)
    refused = _refused(labelled, weights, f, frame)
    if refused is not None:
        return refused
    found = frame.estimate(rated, f, symmetric=symmetric)
    if found.human_error <= ROUNDING * float(np.abs(rated[labelled]).max()):
        return Refusal(
            "all ratings are the same, so that their spread is unknown",
            "ratings that differ",
            "Rate more answers, or report how many were rated and the share with this rating",
        )
    n_rated = int(labelled.sum())
    gain = (found.human_error / max(found.error, ROUNDING)) ** 2
    return Corrected(
        human=float(found.human), human_interval=_interval(*found.human_bounds),
        value=float(found.value), interval=_interval(*found.bounds),
        standard_error=float(found.error), human_error=float(found.human_error),
        judge=float(f.mean()), weight=float(found.weight),
        n_effective=n_rated * min(MOST_GAIN, float(gain)), n_rated=n_rated, n=len(f),
        n_unscored=int((~scored).sum()), n_clusters=int(found.n_clusters), response_rate=rate,
        degrees=float(found.degrees),
    )  # fmt: skip


def corrected_difference(
    humans: np.ndarray, judges: np.ndarray, sample: RatedSample
) -> Corrected | Refusal:
    """Return the difference of two conditions on the same questions, first - second.

    It is ``corrected_mean`` of the rows' differences with a weight of their own, so that what
    makes a question hard, a rater strict, or a judge mild for both falls out. A row counts where
    both conditions have a rating, or a score. The interval is Student's: differences lie about
    symmetrically around theirs, and what corrects for skewness covers less.

    Args:
        humans: Shape (2, rows); NaN where there is no rating.
        judges: Likewise.
        sample: Of the rows.

    Raises:
        ValueError: As ``corrected_mean``.
    """
    humans, judges = np.asarray(humans, float), np.asarray(judges, float)
    return _corrected(humans[0] - humans[1], judges[0] - judges[1], sample, symmetric=True)


def _interval(low: np.ndarray, high: np.ndarray) -> Interval:
    return Interval(float(low), float(high))


def _refused(
    labelled: np.ndarray, weights: np.ndarray, judge: np.ndarray, frame: SamplingFrame
) -> Refusal | None:
    """Return why ratings that are so few, or so unlike the rest, say nothing of all."""
    by_cluster = frame.by_cluster(labelled.astype(float))
    rated = by_cluster > 0
    if rated.sum() < LEAST_CLUSTERS:
        return Refusal(
            f"only {int(rated.sum()):,} questions have an answer with ratings and a judge score",
            f"at least {LEAST_CLUSTERS} for an interval",
            "Rate more questions",
        )
    of_clusters = frame.by_cluster(weights)
    effective = float(of_clusters.sum() ** 2 / (of_clusters**2).sum())
    if effective < LEAST_CLUSTERS - ROUNDING:
        return Refusal(
            f"the {int(rated.sum()):,} rated questions weigh so unequally that they tell no more "
            f"than {effective:.1f} of equal weight",
            f"at least {LEAST_CLUSTERS}",
            "Rate answers to more questions",
        )
    least = int(frame.by_stratum(rated.astype(float)).min())
    if least < 2:
        return Refusal(
            f"a stratum has {least} rated questions",
            "at least 2 in each stratum",
            "Rate more of its questions, or merge it with another before sampling",
        )
    mean_weight = frame.by_cluster(weights)[rated] / by_cluster[rated]
    n = float(mean_weight.sum() ** 2 / (mean_weight**2).sum())
    seen = judge[labelled]
    outside = float(np.mean((judge < seen.min()) | (judge > seen.max())))
    if outside > _most_outside(n):
        return Refusal(
            f"{outside:.1%} of the judge scores lie outside the range {seen.min():g} to "
            f"{seen.max():g} of those with ratings",
            f"at most {_most_outside(n):.1%}, as a random sample leaves",
            "Rate answers with such scores, chosen with known chances",
        )
    return None


def _most_outside(n: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(2, max(1.0, n - 1), _CHANCE_OUTSIDE))
