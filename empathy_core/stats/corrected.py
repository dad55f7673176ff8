"""What people would say of all answers, from their ratings of some and a judge's of all. Pure.

Prediction-powered inference with power tuning in Hajek form, one estimator for all designs of a
sample: Angelopoulos, Duchi and Zrnic (2023), PPI++ (arXiv 2311.01453); weights by the chance of
being rated as in Zrnic and Candes (2024), Active statistical inference (ICML). With weights
w = rated / chance, ratings Y, and judge scores f:

    delta = sum w (Y - lambda f) / sum w
    value = lambda x (mean of f over all) + delta

At lambda = 0 that is the mean of people's ratings alone. It is unbiased however wrong the judge
is; lambda in [0, 1] is what makes its variance least, so that a useless judge does no harm.

Skewed ratings (almost all at the top of the scale) make Student's interval miss on one side. Hall
(1992), On the removal of skewness by transformation, Journal of the Royal Statistical Society B
54(1), 221-228, moves its ends; without skewness it is Student's own.
"""

from dataclasses import dataclass

import numpy as np

from empathy_core.stats.intervals import ROUNDING, Interval
from empathy_core.stats.refusals import Refusal
from empathy_core.stats.resampling import LEAST_CLUSTERS, LEVEL

MOST_GAIN = 2.0
"""A judge no better than what it judges saves half of the labels at most: Dorner, Nastl and Hardt
(2025), Limits to scalable evaluation at the frontier (ICLR)."""
LEAST_CARRIERS, LEAST_VARIED = 10, 5
"""Judge scores are not used (lambda = 0) where the spread of ratings lies in fewer than
``LEAST_VARIED`` questions, (sum b^2)^2 / sum b^4; or that of what the judge leaves unexplained in
fewer than ``LEAST_CARRIERS``, and in fewer than that of ratings: a few disagreements say too little
of how many there are among the unrated; intervals then covered 87 to 92 %
(``simulate_corrected``)."""
_CHANCE_OUTSIDE = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class RatedSample:
    """Which answers were chosen to be rated, and with what chance.

    Attributes:
        clusters: Shape (rows,): the question of each answer, whole numbers.
        chances: Shape (rows,), or one for all: the chance that an answer was given to raters,
            above 0 and at most 1; chosen by design, never by looking at ratings.
        strata: Shape (rows,), whole numbers: questions were chosen within each; their shares are
            taken as given. Null: one stratum.
        asked: Shape (rows,), true where an answer was given to raters, rated or not: *chances*
            are multiplied by each stratum's response rate (weighted by 1 / chance), which is right
            where it is chance within a stratum who does not answer. Null: all asked were rated.
        finite: The rows are all that there is to say something of, so that the interval is of
            people's mean on just these: residuals count 1 - chance, judge scores nothing, since
            all are known. Otherwise the questions are a sample of others.
        level: Chance that an interval covers.
    """

    clusters: np.ndarray
    chances: np.ndarray | float
    strata: np.ndarray | None = None
    asked: np.ndarray | None = None
    finite: bool = False
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class Corrected:
    """A mean of people's ratings, alone and corrected by a judge's.

    Attributes:
        human: Mean of people's ratings, weighted by 1 / chance.
        human_interval: Of *human*.
        value: The corrected mean.
        interval: Of *value*.
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


def corrected_mean(
    human: np.ndarray, judge: np.ndarray, sample: RatedSample
) -> Corrected | Refusal:
    """Return people's mean over all answers, or why there is none.

    It is refused with fewer than ``LEAST_CLUSTERS`` rated questions; with a stratum of fewer than
    two; where ratings do not vary; and where judge scores leave the range of those beside ratings:
    the share of all below the least or above the greatest of these is more than a random sample
    of that size leaves outside once in a thousand, the 99.9 % quantile of Beta(2, n - 1) (n:
    rated questions, Kish's effective number; Wilks (1941), Determination of sample sizes for
    setting tolerance limits, Annals of Mathematical Statistics 12(1)).

    Args:
        human: Shape (rows,): ratings (means over raters); NaN where there is none.
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
    frame = Frame.of(sample, scored)
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
    labelled: np.ndarray, weights: np.ndarray, judge: np.ndarray, frame: "Frame"
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


# ---------------------------------------------------------------------------- the estimator


@dataclass(frozen=True, slots=True)
class CorrectedMeans:
    """Means of many samples of one frame: each attribute is (...,), *bounds* a pair of these."""

    human: np.ndarray
    human_error: np.ndarray
    human_bounds: tuple[np.ndarray, np.ndarray]
    value: np.ndarray
    error: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray]
    weight: np.ndarray
    n_clusters: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The rows of a ``RatedSample``, sorted by question.

    Attributes:
        sample: With the rows' *chances*, *asked* and *strata* filled in.
        order: Shape (rows,): rows by question.
        starts: Shape (clusters,): the first of each in *order*.
        stratum: Shape (clusters,), from 0 without gaps.
    """

    sample: RatedSample
    order: np.ndarray
    starts: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, sample: RatedSample, kept: np.ndarray) -> "Frame":
        """Return that of the rows *kept* (rows,) of *sample*."""
        n = int(kept.sum())
        chances = np.broadcast_to(np.asarray(sample.chances, float), kept.shape)[kept]
        if not ((chances > 0) & (chances <= 1)).all():
            raise ValueError("a chance of being rated must be above 0 and at most 1")
        strata = np.zeros(n, int) if sample.strata is None else np.asarray(sample.strata)[kept]
        clusters = np.unique(np.asarray(sample.clusters)[kept], return_inverse=True)[1]
        strata = np.unique(strata, return_inverse=True)[1]
        order = np.argsort(clusters, kind="stable")
        starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
        stratum = strata[order][starts]
        if (stratum[clusters] != strata).any():
            raise ValueError("a question lies in two strata")
        asked = None if sample.asked is None else np.asarray(sample.asked, bool)[..., kept]
        known = RatedSample(clusters, chances, strata, asked, sample.finite, sample.level)
        return cls(known, order, starts, stratum)

    def by_cluster(self, values: np.ndarray) -> np.ndarray:
        """Return sums (..., clusters) of *values* (..., rows)."""
        ordered = values[..., self.order]
        if len(self.starts) == len(self.order):
            return np.asarray(ordered)
        return np.asarray(np.add.reduceat(ordered, self.starts, axis=-1))

    def by_stratum(self, values: np.ndarray) -> np.ndarray:
        """Return sums (..., strata) of *values* (..., clusters)."""
        return np.asarray(values @ np.eye(int(self.stratum.max(initial=0)) + 1)[self.stratum])

    def weights(self, labelled: np.ndarray) -> tuple[np.ndarray, float]:
        """Return weights of rows (..., rows), 0 where not *labelled*, and the response rate."""
        base = labelled / self.sample.chances
        if self.sample.asked is None:
            return base, 1.0
        asked = self.sample.asked | labelled
        of_clusters = [
            self.by_stratum(self.by_cluster(w)) for w in (asked / self.sample.chances, base)
        ]
        with np.errstate(all="ignore"):
            raised = of_clusters[0] / of_clusters[1]
        raised = np.where(np.isfinite(raised), raised, 1.0)
        rate = float(labelled.sum() / max(1, asked.sum()))
        return base * raised[..., self.sample.strata], rate

    def estimate(
        self,
        human: np.ndarray,
        judge: np.ndarray,
        weight: float | None = None,
        *,
        symmetric: bool = False,
    ) -> CorrectedMeans:
        """Return corrected means of many samples at once; nothing is refused.

        Args:
            human: Shape (..., rows); NaN where not rated.
            judge: Shape (rows,), all finite.
            weight: Lambda; null: what makes the variance least.
            symmetric: Ratings are differences, and skewness in a sample of them is chance.
        """
        labelled = ~np.isnan(human)
        w, _ = self.weights(labelled)
        total = w.sum(axis=-1)
        y, f = np.where(labelled, human, 0.0), np.broadcast_to(judge, human.shape)
        y_mean, f_mean = ((w * of).sum(axis=-1) / total for of in (y, f))
        spread = _Spread.of(self, w * (len(judge) / total)[..., None], labelled)
        u = spread.of_residuals(y - y_mean[..., None])
        part = spread.of_residuals(f - f_mean[..., None])
        known = self._of_all(judge) if not self.sample.finite else np.zeros(part.shape[-1])
        chosen = _best(u, known - part) if weight is None else np.full(total.shape, weight)
        if weight is None:
            carriers, varied = _carriers(u - chosen[..., None] * part), _carriers(u)
            few = (carriers < LEAST_CARRIERS) & (carriers < varied) | (varied < LEAST_VARIED)
            chosen = np.where(few, 0.0, chosen)
        e = u + chosen[..., None] * (known - part)
        value = y_mean + chosen * (judge.mean() - f_mean)
        skew, human_skew = _skewness(e), _skewness(u)
        skew = np.where(np.abs(human_skew) > np.abs(skew), human_skew, skew)
        if symmetric:
            skew = human_skew = np.zeros(total.shape)
        n = spread.rated.sum(axis=-1)
        fitted = (chosen > 0) & (chosen < 1) & (weight is None)
        e = e * _unfitted(known - part, fitted)
        errors = [np.sqrt((of**2).sum(axis=-1)) / len(judge) for of in (u, e)]
        left = u - chosen[..., None] * part
        degrees = [_degrees(of, n, spread.effective, symmetric=symmetric) for of in (u, left)]
        t = [_student(of, self.sample.level) for of in degrees]
        return CorrectedMeans(
            y_mean, errors[0], _bounds(y_mean, errors[0], human_skew, t[0]),
            value, errors[1], _bounds(value, errors[1], skew, t[1]), chosen, n,
        )  # fmt: skip

    def _of_all(self, judge: np.ndarray) -> np.ndarray:
        """Return what the mean of *judge* (rows,) owes to each cluster (clusters,)."""
        sums = self.by_cluster(judge - judge.mean())
        n = self.by_stratum(np.ones(len(self.starts)))
        centred = sums - (self.by_stratum(sums) / n)[self.stratum]
        return np.asarray(centred * np.sqrt(n / np.maximum(1, n - 1))[self.stratum])


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """How residuals become what a mean owes to each cluster.

    Attributes:
        frame: Of the rows.
        weights: Shape (..., rows); their sum is the number of rows.
        rated: Shape (..., clusters).
        factors: Shape (..., clusters): 1 / sqrt(1 - share), *share* being the cluster's of the
            stratum's weight: sqrt(n / (n - 1)) of n equal ones; Bell and McCaffrey (2002), Bias
            reduction in standard errors for linear regression with multi-stage samples, Survey
            Methodology 28(2). Of a finite population times sqrt(1 - chance).
        effective: Shape (...,): rated clusters, or fewer of unequal weight (Kish).
    """

    frame: Frame
    weights: np.ndarray
    rated: np.ndarray
    factors: np.ndarray
    effective: np.ndarray

    @classmethod
    def of(cls, frame: Frame, weights: np.ndarray, labelled: np.ndarray) -> "_Spread":
        n_rows = frame.by_cluster(labelled.astype(float))
        of_clusters = frame.by_cluster(weights)
        whole = np.maximum(ROUNDING, frame.by_stratum(of_clusters))[..., frame.stratum]
        rest = 1 - of_clusters / whole
        factors = 1 / np.sqrt(np.where(rest > ROUNDING, rest, 1.0))
        effective = of_clusters.sum(axis=-1) ** 2 / (of_clusters**2).sum(axis=-1)
        if frame.sample.finite:
            unscaled, _ = frame.weights(labelled)
            chances = n_rows / np.maximum(frame.by_cluster(unscaled), ROUNDING)
            factors = factors * np.sqrt(np.maximum(0, 1 - chances))
        return cls(frame, weights, n_rows > 0, factors, effective)

    def of_residuals(self, residuals: np.ndarray) -> np.ndarray:
        """Return their weighted sums (..., clusters), centred within strata; 0 if not rated."""
        sums = self.frame.by_cluster(self.weights * residuals)
        n = np.maximum(1.0, self.frame.by_stratum(self.rated.astype(float)))
        centred = sums - (self.frame.by_stratum(sums) / n)[..., self.frame.stratum]
        return np.asarray(np.where(self.rated, centred * self.factors, 0.0))


def _best(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return lambda in [0, 1] that makes the sum of (u + lambda v)^2 least; 0 where v is 0."""
    squares = (v**2).sum(axis=-1)
    known = squares > ROUNDING
    return np.asarray(
        np.where(known, np.clip(-(u * v).sum(axis=-1) / np.where(known, squares, 1), 0, 1), 0.0)
    )


def _unfitted(v: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Return what makes up for residuals (..., clusters) that a *fitted* lambda has made small.

    1 / (1 - h), h being a cluster's share of the sum of v^2; MacKinnon and White (1985), Some
    heteroskedasticity-consistent covariance matrix estimators with improved finite sample
    properties, Journal of Econometrics 29(3). One cluster in a judge's tail then counts for less.
    """
    squares = (v**2).sum(axis=-1, keepdims=True)
    share = v**2 / np.where(squares > ROUNDING, squares, 1.0)
    return np.asarray(np.where(fitted[..., None], 1 / np.maximum(1 - share, 0.1), 1.0))


def _carriers(parts: np.ndarray) -> np.ndarray:
    """Return in how many clusters a sum of squares lies: n of equal ones, n / 3 of a normal."""
    fourth = (parts**4).sum(axis=-1)
    known = fourth > ROUNDING
    return np.asarray(
        np.where(known, (parts**2).sum(axis=-1) ** 2 / np.where(known, fourth, 1), 0.0)
    )


def _skewness(parts: np.ndarray) -> np.ndarray:
    """Return the skewness of a sum of independent *parts* (..., clusters)."""
    squares = (parts**2).sum(axis=-1)
    known = squares > ROUNDING
    return np.asarray(
        np.where(known, (parts**3).sum(axis=-1) / np.where(known, squares, 1) ** 1.5, 0.0)
    )


def _degrees(
    parts: np.ndarray, n: np.ndarray, effective: np.ndarray, *, symmetric: bool
) -> np.ndarray:
    """Return the degrees of freedom of an error estimated from *parts* (..., clusters).

    They are *n* rated clusters - 1, or fewer where clusters weigh unequally, or where tails are
    heavier than the normal's (ratings that differ in few questions): a variance estimated from n
    parts of kurtosis k and skewness g has, beside what goes with the mean, the relative variance
    (k - 1 - g^2) / n, which is 2 / n of normal ones; Satterthwaite (1946), An approximate
    distribution of estimates of variance components, Biometrics Bulletin 2(6).
    """
    squares = (parts**2).sum(axis=-1)
    safe = np.where(squares > ROUNDING, squares, 1.0)
    with_mean = 0.0 if symmetric else (parts**3).sum(axis=-1) ** 2 / safe
    excess = n * ((parts**4).sum(axis=-1) - with_mean) / safe**2 - 1
    return np.asarray(np.minimum(effective - 1, 2 * n / np.maximum(excess, ROUNDING)))


def _student(degrees: np.ndarray, level: float) -> np.ndarray:
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.maximum(1, degrees), (1 + level) / 2))


def _bounds(
    value: np.ndarray, error: np.ndarray, skew: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval value -+ *t* errors, its ends moved for skewness.

    Of T = (value - true) / error, T + g T^2 / 3 + g^2 T^3 / 27 + g / 6 is about Student's, g being
    the skewness of *value*; its inverse is 3 / g x ((1 + g (x - g / 6))^(1/3) - 1).
    """
    g = np.where(np.abs(skew) < 1e-6, 1e-6, skew)  # below it cube roots lose digits
    ends = [3 / g * (np.cbrt(1 + g * (x - g / 6)) - 1) for x in (t, -t)]
    return value - error * ends[0], value - error * ends[1]
