"""How far raters agree, people or judges, in the coefficients of the field. Pure.

All are functions of sums over items, so that whole questions are resampled exactly and an interval
(``accelerated``) costs a matrix product. Kendall's tau is such a function to first order.
"""

from dataclasses import dataclass, replace

import numpy as np

from empathy_core.stats.coefficients import Coefficient, estimates, ratio
from empathy_core.stats.intervals import ROUNDING, Interval
from empathy_core.stats.ranks import concordance, untied
from empathy_core.stats.rater_pairs import (
    all_pairs,
    by_pair,
    intraclass,
    kappa,
    mean_squares,
)
from empathy_core.stats.resampling import Resampler
from empathy_core.stats.results import Estimate

MOST_VALUES = 30
"""With more different ratings, they are no categories: there is no nominal or ordinal alpha."""


_COEFFICIENTS = (
    "raw", "alpha_nominal", "alpha_ordinal", "alpha_interval", "kappa", "tau", "icc_absolute",
    "icc_consistency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of raters over items, each coefficient with its interval over questions.

    The coefficients of pairs of raters are means over all pairs that share an item. Each is null
    where nothing varies, since agreement beyond chance is then not defined.

    Attributes:
        raw: Share of equal ratings among pairs of ratings of one item, each item weighted by its
            number of ratings: what alpha corrects for chance.
        alpha_nominal: Krippendorff's alpha (2018), Content Analysis, chapter 12; any missing.
        alpha_ordinal: Of ranks.
        alpha_interval: Of squared differences.
        kappa: Cohen's kappa with quadratic weights (1968), Psychological Bulletin 70(4); by pair.
        tau: Kendall's tau-b (1945), Biometrika 33(3); by pair, over all items.
        icc_absolute: ICC(A,1) of McGraw and Wong (1996), Forming inferences about some intraclass
            correlation coefficients, Psychological Methods 1(1): one rater's ratings as they are;
            on the items that all have rated, or by pair (*icc_by_pair*).
        icc_consistency: ICC(C,1): as if each rater's mean were the same.
        prevalence: Each rating and its share of all; empty above ``MOST_VALUES``.
        n_raters: With a rating.
        n_ratings: Of all items, single ones too.
        icc_by_pair: No item is rated by all, so that both ICC are means over pairs of raters, each
            on the items that both have rated.
    """

    raw: Estimate
    alpha_nominal: Estimate
    alpha_ordinal: Estimate
    alpha_interval: Estimate
    kappa: Estimate
    tau: Estimate
    icc_absolute: Estimate
    icc_consistency: Estimate
    prevalence: tuple[tuple[float, float], ...]
    n_raters: int
    n_ratings: int
    icc_by_pair: bool = False

    def averaged(self, icc: Estimate, k: int | None = None) -> Estimate:
        """Return ICC(A,k) or ICC(C,k), of the mean of *k* raters; null: of all.

        Spearman (1910) and Brown (1910), British Journal of Psychology 3: k r / (1 + (k - 1) r),
        which is exact for both of McGraw and Wong's, and so for the ends of an interval.
        """
        n = self.n_raters if k is None else k

        def stepped(r: float) -> float | None:
            below = 1 + (n - 1) * r
            return n * r / below if below > ROUNDING else None

        ends = [stepped(of) for of in (icc.interval.low, icc.interval.high)] if icc.interval else []
        low, high = (*ends, None, None)[:2]
        bounds = None if low is None or high is None else Interval(low, high)
        value = None if icc.value is None else stepped(icc.value)
        return replace(icc, value=value, interval=bounds)


def rater_agreement(ratings: np.ndarray, resampler: Resampler) -> Agreement:
    """Return how far raters agree.

    A rating may be missing: an item that one rater has rated is left out, but for *prevalence*,
    and each pair of raters is compared on the items that both have rated.

    Args:
        ratings: Shape (raters, items); NaN where one has not rated.
        resampler: Of the items; the question that an item answers is its cluster.

    Raises:
        ValueError: There are fewer than two raters, or the resampler is of other items.
    """
    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2 or len(ratings) < 2 or ratings.shape[1] != len(resampler.clusters):
        raise ValueError(
            f"ratings of shape {ratings.shape} and {len(resampler.clusters):,} items do not fit; "
            "give the shape (raters, items) with two raters at least"
        )
    given = ~np.isnan(ratings)
    values, counts = np.unique(ratings[given], return_counts=True)
    middle = float(ratings[given].mean()) if given.any() else 0.0
    centred = ratings - middle  # no coefficient depends on it; sums of squares lose fewer digits
    scale = float(np.abs(values - middle).max(initial=0.0))
    pairs = all_pairs(len(ratings))
    shared = estimates(
        [_raw(centred), *_alphas(centred, scale), kappa(centred, scale, pairs), _tau(ratings)],
        given.sum(axis=0) >= 2, resampler, heavy=True,
    )  # fmt: skip
    by_all = given.all(axis=0)
    complete = (
        estimates(_icc(centred, scale), by_all, resampler, heavy=True)
        if by_all.any()
        else estimates(
            intraclass(centred, scale, pairs), given.sum(axis=0) >= 2, resampler, heavy=True
        )
    )
    shares = zip(values, counts / max(1, counts.sum()), strict=True)
    prevalence = tuple((float(of), float(share)) for of, share in shares)
    named = dict(zip(_COEFFICIENTS, (*shared, *complete), strict=True))
    return Agreement(
        **named,
        prevalence=prevalence if len(values) <= MOST_VALUES else (),
        n_raters=int(given.any(axis=1).sum()),
        n_ratings=int(given.sum()),
        icc_by_pair=not by_all.any(),
    )


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """Agreement of judges, whose ratings are no categories but expected values of labels.

    Attributes:
        alpha: Krippendorff's, of squared differences; a judge that is sterner than another lowers
            it.
        consistency: ICC(C,1): as if each judge's mean were the same.
        same: Share of pairs of ratings that are nearest to the same whole number.
    """

    alpha: Estimate
    consistency: Estimate
    same: Estimate


def judge_agreement(ratings: np.ndarray, resampler: Resampler) -> JudgeAgreement:
    """Return how far judges agree; an answer that one alone has rated is left out.

    Args:
        ratings: Shape (judges, items); NaN where one has not rated. Labels are a whole number
            apart.
        resampler: Of the items; the question that an item answers is its cluster.
    """
    given = ~np.isnan(ratings)
    centred = ratings - (float(ratings[given].mean()) if given.any() else 0.0)
    scale = float(np.nanmax(np.abs(centred), initial=0.0))
    alpha, same = estimates(
        [interval_alpha(centred, scale), _raw(np.floor(ratings + 0.5))],
        given.sum(axis=0) >= 2, resampler,
    )  # fmt: skip
    _, consistency = estimates(_icc(centred, scale), given.all(axis=0), resampler)
    return JudgeAgreement(alpha, consistency, same)


# ---------------------------------------------------------------------------- of all raters


def _pairable(ratings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many ratings each item has, and 1 over the number of others: 0 where alone."""
    n = (~np.isnan(ratings)).sum(axis=0).astype(float)
    return n, np.divide(1.0, n - 1, out=np.zeros_like(n), where=n > 1)


def _raw(ratings: np.ndarray) -> Coefficient:
    n, weight = _pairable(ratings)
    equal = sum(2.0 * (ratings[i] == ratings[j]) for i, j in all_pairs(len(ratings)))
    return Coefficient(
        np.column_stack([equal * weight, n]), lambda sums: ratio(sums[..., 0], sums[..., 1], 1.0)
    )


def _alphas(ratings: np.ndarray, scale: float) -> tuple[Coefficient, Coefficient, Coefficient]:
    """Return the nominal, ordinal and interval alpha.

    The first two of coincidences: pairs of ratings c, k of one item, each over its number of
    ratings less one.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    last = interval_alpha(ratings, scale)
    if len(values) > MOST_VALUES:
        none = Coefficient(np.zeros((ratings.shape[1], 1)), lambda sums: sums[..., 0] * np.nan)
        return none, none, last
    _, weight = _pairable(ratings)
    counts = (ratings[..., None] == values).sum(axis=0).astype(float)
    lower, upper = np.triu_indices(len(values))
    pairs = counts[:, lower] * counts[:, upper] - np.where(lower == upper, counts[:, lower], 0.0)
    of = _Coincidences(len(values))
    rows = pairs * weight[:, None]
    return Coefficient(rows, of.nominal), Coefficient(rows, of.ordinal), last


class _Coincidences:
    """Reductions of sums of coincidences (..., pairs c <= k of *n_values* ratings)."""

    def __init__(self, n_values: int) -> None:
        lower, upper = np.triu_indices(n_values)
        apart = lower != upper
        eye = np.eye(n_values)
        self._twice = 2.0 * apart
        self._to_counts = eye[lower] + eye[upper] * apart[:, None]
        self._to_differences = (eye[upper] - eye[lower]).T

    def nominal(self, sums: np.ndarray) -> np.ndarray:
        counts = sums @ self._to_counts
        n = counts.sum(axis=-1)
        expected = n**2 - (counts**2).sum(axis=-1)
        return np.asarray(1 - ratio((n - 1) * (sums @ self._twice), expected, n**2))

    def ordinal(self, sums: np.ndarray) -> np.ndarray:
        """Of ratings' mid-ranks: delta_ck is how many lie between the middles of c and k."""
        counts = sums @ self._to_counts
        ranks = np.cumsum(counts, axis=-1) - counts / 2
        n = counts.sum(axis=-1)
        seen = ((ranks @ self._to_differences) ** 2 * sums * self._twice).sum(axis=-1)
        squares = n * (counts * ranks**2).sum(axis=-1)
        expected = 2 * (squares - (counts * ranks).sum(axis=-1) ** 2)
        return np.asarray(1 - ratio((n - 1) * seen, expected, squares))


def interval_alpha(ratings: np.ndarray, scale: float) -> Coefficient:
    """Return Krippendorff's alpha of squared differences; *ratings* have a mean near zero."""
    n, weight = _pairable(ratings)
    paired = np.where(n > 1, np.nan_to_num(ratings), 0.0)
    x, xx = paired.sum(axis=0), (paired**2).sum(axis=0)
    seen = 2 * (n * xx - x**2) * weight

    def reduce(sums: np.ndarray) -> np.ndarray:
        seen, n, x, xx = np.moveaxis(sums, -1, 0)
        return 1 - ratio((n - 1) * seen, 2 * (n * xx - x**2), n**2 * scale**2)

    return Coefficient(np.column_stack([seen, n, x, xx]), reduce)


def _icc(ratings: np.ndarray, scale: float) -> tuple[Coefficient, Coefficient]:
    k = len(ratings)
    squares = np.stack([ratings.sum(axis=0) ** 2, (ratings**2).sum(axis=0)], axis=1)
    rows = np.column_stack([np.ones(ratings.shape[1]), squares, ratings.T])

    def reduce(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, of_items, squares = np.moveaxis(sums[..., :3], -1, 0)
        return mean_squares(n, of_items, squares, sums[..., 3:], k, scale)

    return (
        Coefficient(rows, lambda sums: reduce(sums)[0]),
        Coefficient(rows, lambda sums: reduce(sums)[1]),
    )


def icc(table: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ICC(A,1) and ICC(C,1) of whole tables (..., raters, items); *scale* is its size."""
    of_items, squares = table.sum(axis=-2) ** 2, (table**2).sum(axis=(-2, -1))
    n, of_raters = np.asarray(table.shape[-1], float), table.sum(axis=-1)
    return mean_squares(n, of_items.sum(axis=-1), squares, of_raters, table.shape[-2], scale)


# ---------------------------------------------------------------------------- of pairs of raters


def _tau(ratings: np.ndarray) -> Coefficient:
    """Return tau-b, of which pairs of items are resampled to first order.

    A mean over pairs of items is not a sum over items. Its projection is (Hajek; van der Vaart
    (1998), Asymptotic Statistics, chapter 12): twice the mean over items of what each has with the
    sample's, less the sample's own. On the sample itself it is exact.
    """

    def statistics(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        n = max(1, len(x))
        own = np.column_stack([concordance(x, y), untied(x), untied(y)]) / n
        return np.column_stack([np.ones_like(x), 2 * own - own.sum(axis=0) / n])

    def reduce(sums: np.ndarray) -> np.ndarray:
        n, concordant, first, second = np.moveaxis(sums, -1, 0)
        with np.errstate(all="ignore"):
            below = np.sqrt(np.maximum(0.0, first) * np.maximum(0.0, second))
        return np.asarray(np.clip(ratio(concordant, below, n), -1.0, 1.0))

    return by_pair(ratings, statistics, reduce, all_pairs(len(ratings)))


def tau_b(table: np.ndarray, scale: float) -> np.ndarray:
    """Return the mean tau-b over pairs of raters of small whole tables (..., raters, items).

    What differs by rounding on the *scale* is tied.
    """
    i, j = np.triu_indices(table.shape[-1], 1)
    apart = table[..., i] - table[..., j]
    signs = np.sign(apart).astype(np.float32)  # there are many resamples
    signs[np.abs(apart) <= ROUNDING * scale] = 0
    products = (signs @ signs.swapaxes(-1, -2)).astype(float)
    untied = np.diagonal(products, axis1=-2, axis2=-1)
    first, second = np.triu_indices(table.shape[-2], 1)
    below = np.sqrt(untied[..., first] * untied[..., second])
    found = ratio(products[..., first, second], below, 1.0)
    known = np.isfinite(found)
    return ratio(np.where(known, found, 0.0).sum(axis=-1), known.sum(axis=-1), 1.0)
