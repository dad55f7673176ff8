"""Strengths of conditions from preferences between two of them at a time. Pure.

Bradley and Terry (1952), Rank Analysis of Incomplete Block Designs: I, Biometrika 39(3/4),
324-345: condition i is preferred to j with probability expit(s_i - s_j). A judge's preference lies
between 0 and 1, so that only its mean is modelled (``logit``); on a preference of 0 or 1 it is the
usual model. Strengths are log-odds with a mean of zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from empathy_core.stats.intervals import ROUNDING, Interval, student
from empathy_core.stats.logit import LogitFit, expit, fit_logit
from empathy_core.stats.refusals import Refusal, too_few
from empathy_core.stats.resampling import LEAST_CLUSTERS, LEVEL

_NEVER = 1e-6
"""A condition that gets less of the preference over another, of 1, has never won: a strength that
rests on a judge's digits beyond that would be above 13."""
_ALONE = 1e-6  # of the information, left without one question: the rest is rounding
_AT_ONCE = 4096  # clusters, whose matrices take (conditions - 1)^2 numbers each


@dataclass(frozen=True, slots=True)
class Strength:
    """A strength, or a difference of two.

    Attributes:
        value: Log-odds.
        error: Its standard error; null where the interval is.
        interval: Null under ``LEAST_CLUSTERS``, where one question alone joins conditions, and
            where the questions do not vary.
    """

    value: float
    error: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """Those of several conditions.

    Attributes:
        names: Of the conditions.
        values: Log-odds with a mean of zero, one for each; null where there are none.
        covariance: Shape (conditions, conditions); null where there is no interval.
        effective: How many questions of equal weight tell as much: of each strength in the
            diagonal, of each difference beside it, shape (conditions, conditions); null as
            *covariance*.
        refusal: Why there are no strengths, or only no intervals.
        n: Comparisons with a preference.
        n_left_out: Other comparisons.
        n_clusters: Questions that they are on.
        level: Chance that an interval covers.
    """

    names: tuple[str, ...]
    values: tuple[float, ...] | None
    covariance: np.ndarray | None
    effective: np.ndarray | None
    refusal: Refusal | None
    n: int
    n_left_out: int
    n_clusters: int
    level: float

    def of(self, name: str) -> Strength | None:
        """Return the strength of a condition; null where there are none."""
        weights = np.zeros(len(self.names))
        place = self.names.index(name)
        weights[place] = 1.0
        return self._contrast(weights, (place, place))

    def difference(self, first: str, second: str) -> Strength | None:
        """Return the strength of *second* less that of *first*; null where there are none.

        Its ``expit`` is the mean preference for *second* over *first* that the model expects.
        """
        weights = np.zeros(len(self.names))
        at = self.names.index(first), self.names.index(second)
        weights[at[1]] += 1.0
        weights[at[0]] -= 1.0
        return self._contrast(weights, at)

    def _contrast(self, weights: np.ndarray, at: tuple[int, int]) -> Strength | None:
        if self.values is None:
            return None
        value = float(weights @ self.values)
        if self.covariance is None or self.effective is None:
            return Strength(value, None, None)
        error = sqrt(max(0.0, float(weights @ self.covariance @ weights)))
        if error <= ROUNDING * max(1.0, abs(value)):
            return Strength(value, None, None)
        half = student(float(self.effective[at]), self.level) * error
        return Strength(value, error, Interval(value - half, value + half))


@dataclass(frozen=True, slots=True, eq=False)
class _Comparisons:
    """Comparisons with a preference, ordered by question: each shape (rows,)."""

    first: np.ndarray
    second: np.ndarray
    y: np.ndarray
    clusters: np.ndarray
    n_conditions: int

    @property
    def n_clusters(self) -> int:
        return int(self.clusters.max(initial=-1)) + 1

    def table(self, values: np.ndarray | None = None) -> np.ndarray:
        """Return sums by pair: shape (conditions, conditions), the first ones' rows."""
        k = self.n_conditions
        found = np.bincount(self.first * k + self.second, values, minlength=k * k)
        return np.asarray(found.reshape(k, k), float)

    def by_question(self) -> Iterator["_Comparisons"]:
        """Yield parts of some thousand whole questions, numbered from 0."""
        for start in range(0, self.n_clusters, _AT_ONCE):
            ends = np.searchsorted(self.clusters, [start, start + _AT_ONCE])
            part = slice(*ends)
            yield _Comparisons(
                self.first[part], self.second[part], self.y[part], self.clusters[part] - start,
                self.n_conditions,
            )  # fmt: skip


def strengths(
    first: np.ndarray,
    second: np.ndarray,
    y: np.ndarray,
    clusters: np.ndarray,
    names: Sequence[str],
    level: float = LEVEL,
) -> Strengths:
    """Return the strengths of conditions, with intervals over other questions.

    The covariance is the sandwich by question, each question's score freed of what it has itself
    drawn the fit towards it: "CR2" of Bell and McCaffrey (2002), Bias reduction in standard errors
    for linear regression with multi-stage samples, Survey Methodology 28(2). Where every question
    compares the same pairs, it is exactly the plain sandwich times C / (C - 1), C the number of
    questions. Where pairs are sampled, that one is too small (of 8 conditions and one pair a
    question, 30 questions cover 87 % by it). Bounds are Student's with one degree of freedom less
    than there are effective questions: (sum m)^2 / sum m^2, m what each question adds to the
    variance in the model, since the covariance is known from so many questions only. That is C
    where all compare the same pairs.

    Args:
        first: The number of each comparison's first condition, shape (rows,).
        second: Of its second.
        y: How much the first is preferred, from 0 to 1, shape (rows,); NaN where there is no
            preference, which is left out. Of both orders asked: (p_AB + 1 - p_BA) / 2.
        clusters: The number of each comparison's question, shape (rows,).
        names: Of the conditions, by their numbers; refusals name them.
        level: Chance that an interval covers.

    Raises:
        ValueError: The arrays are not of the same rows, a condition has no name or is compared with
            itself, or a preference is not from 0 to 1.
    """
    rows, n_left_out = _checked(first, second, y, clusters, names)
    n, wins = rows.table(), rows.table(rows.y)
    refusal = _unfit(n, wins, names)
    counts = (len(rows.y), n_left_out, rows.n_clusters)
    if refusal is not None:
        return Strengths(tuple(names), None, None, None, refusal, *counts, level)
    basis = _mean_zero(len(names))
    fit = _fitted(n, wins, basis)
    values = basis @ fit.coefficients
    covariance = effective = None
    if rows.n_clusters < LEAST_CLUSTERS:
        refusal = too_few(rows.n_clusters, LEAST_CLUSTERS)
    elif (found := _covariance(rows, values, fit, basis)) is None:
        refusal = _one_question()
    else:
        covariance, effective = found
    shown = tuple(map(float, values))
    return Strengths(tuple(names), shown, covariance, effective, refusal, *counts, level)


def _checked(
    first: np.ndarray, second: np.ndarray, y: np.ndarray, clusters: np.ndarray, names: Sequence[str]
) -> tuple[_Comparisons, int]:
    """Return the rows with a preference, and how many others there are."""
    columns = [np.asarray(of) for of in (first, second, y, clusters)]
    shapes = {of.shape for of in columns}
    if len(shapes) > 1 or columns[0].ndim != 1:
        raise ValueError(
            f"comparisons of shapes {sorted(shapes)} do not fit; give each array the shape (rows,)"
        )
    i, j, y, _ = columns
    y = y.astype(float)
    if np.any((i == j) | (np.minimum(i, j) < 0) | (np.maximum(i, j) >= len(names))):
        raise ValueError(
            f"a comparison is of two different conditions from 0 to {len(names) - 1}; give the "
            "numbers of names"
        )
    if np.any((y < 0) | (y > 1)):
        raise ValueError("a preference lies outside 0 to 1; give NaN where there is none")
    _, codes = np.unique(columns[3], return_inverse=True)
    order = np.argsort(codes, kind="stable")
    order = order[~np.isnan(y[order])]
    _, codes = np.unique(codes[order], return_inverse=True)
    return _Comparisons(i[order], j[order], y[order], codes, len(names)), int(np.isnan(y).sum())


# ---------------------------------------------------------------------------- what has no fit


def _unfit(n: np.ndarray, wins: np.ndarray, names: Sequence[str]) -> Refusal | None:
    """Return why strengths do not exist; Ford (1957), American Mathematical Monthly 64(8), 28-33.

    They do if and only if, however the conditions are split in two groups, each group has some
    preference over the other.
    """
    groups = _joined(n + n.T > 0, names, connection="weak")
    if len(groups) != 1:
        return Refusal(
            f"the conditions fall into {len(groups)} groups that are never compared with each "
            f"other: {_listed(groups)}",
            "every condition compared, directly or through others, with every other",
            "Compare conditions of different groups, or rank each group alone",
        )
    won, compared = wins + (n - wins).T, n + n.T
    groups = _joined(won > _NEVER * compared, names, connection="strong")
    if len(groups) != 1:
        return Refusal(
            f"the preferences are separated: between these groups one side always wins, so that "
            f"strengths would be infinite: {_listed(groups)}",
            "each group preferred at least once to the others",
            "Read the preferences pair by pair, add questions, or rank each group alone",
        )
    return None


def _joined(graph: np.ndarray, names: Sequence[str], connection: str) -> list[list[str]]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n_groups, group = connected_components(csr_array(graph), connection=connection)
    return [
        [name for name, g in zip(names, group, strict=True) if g == at] for at in range(n_groups)
    ]


def _listed(groups: list[list[str]]) -> str:
    return " | ".join(", ".join(group) for group in groups) or "there is no comparison"


def _one_question() -> Refusal:
    return Refusal(
        "one question alone joins some conditions with the others, so that nothing shows how "
        "strengths vary between questions",
        "every condition compared on several questions",
        "Compare these pairs on more questions",
    )


# ---------------------------------------------------------------------------- the fit


def _mean_zero(k: int) -> np.ndarray:
    """Return an orthonormal basis of what has a mean of zero: shape (k, k - 1)."""
    whole = np.column_stack([np.ones(k), np.eye(k)[:, : k - 1]])
    return np.linalg.qr(whole)[0][:, 1:]


def _fitted(n: np.ndarray, wins: np.ndarray, basis: np.ndarray) -> LogitFit:
    first, second = np.nonzero(n)
    return fit_logit(basis[first] - basis[second], n[first, second], wins[first, second])


def _covariance(
    rows: _Comparisons, values: np.ndarray, fit: LogitFit, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the sandwich and ``Strengths.effective``; null if one question carries the fit."""
    k, left = len(values), np.linalg.cholesky(fit.bread)
    bread = basis @ fit.bread @ basis.T
    total = np.zeros(fit.bread.shape)
    once, squared = np.zeros((2, k, k))
    for part in rows.by_question():
        scores, information = _by_question(part, values)
        own = left.T @ (basis.T @ information @ basis) @ left  # what each question has of the fit
        kept, axes = np.linalg.eigh(np.eye(k - 1) - own)
        if kept[:, 0].min() < _ALONE:
            return None
        turned = np.einsum("ca,cab->cb", scores @ basis @ left, axes) / np.sqrt(kept)
        freed = np.einsum("cb,cab->ca", turned, axes) @ left.T
        total += freed.T @ freed
        added = _of_contrasts(bread @ information @ bread)
        once += added.sum(axis=0)
        squared += np.square(added).sum(axis=0)
    effective = np.maximum(2.0, once**2 / np.maximum(squared, np.finfo(float).tiny))
    return basis @ total @ basis.T, effective


def _of_contrasts(variance: np.ndarray) -> np.ndarray:
    """Return variances of strengths (diagonal) and differences, of covariances (..., k, k)."""
    own = np.diagonal(variance, axis1=-2, axis2=-1)
    apart = own[..., :, None] + own[..., None, :] - 2 * variance
    places = range(own.shape[-1])
    apart[..., places, places] = own
    return np.asarray(apart)


def _by_question(rows: _Comparisons, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (questions, conditions) and information (questions, conditions, conditions)."""
    k, c = rows.n_conditions, rows.n_clusters
    p = expit(values[rows.first] - values[rows.second])
    first, second = (rows.clusters * k + of for of in (rows.first, rows.second))
    rest = rows.y - p
    gained, lost = (np.bincount(at, rest, minlength=c * k) for at in (first, second))
    met = np.bincount(first * k + rows.second, p * (1 - p), minlength=c * k * k).reshape(c, k, k)
    met = met + met.swapaxes(1, 2)
    information = -met
    information[:, range(k), range(k)] += met.sum(axis=2)
    return (gained - lost).reshape(c, k), information
