"""Fractional logit: a model of what lies between 0 and 1, fitted from sums. Pure.

The mean of y is expit(x b); nothing else is supposed of y. The estimate is the quasi-likelihood's
(Papke and Wooldridge (1996), Econometric methods for fractional response variables, Journal of
Applied Econometrics 11(6), 619-632), and its covariance the sandwich by clusters: Liang and Zeger
(1986), Longitudinal data analysis using generalized linear models, Biometrika 73(1), 13-22.
"""

from dataclasses import dataclass

import numpy as np

_MOST_STEPS, _MOST_HALVINGS = 100, 30
_CLOSE = 1e-9  # a step of Newton's squares the error: what is left is rounding


@dataclass(frozen=True, slots=True, eq=False)
class LogitFit:
    """Where the quasi-likelihood is highest.

    Attributes:
        coefficients: Shape (k,).
        bread: Inverse of the information, shape (k, k).
    """

    coefficients: np.ndarray
    bread: np.ndarray

    def covariance(self, scores: np.ndarray) -> np.ndarray:
        """Return the sandwich of the clusters' *scores* (clusters, k): shape (k, k).

        G / (G - 1) times the plain one, G the number of clusters: of a mean of one row a cluster it
        is then s^2 / n. Scores are x' (y - p), summed over a cluster's rows.
        """
        half = scores @ self.bread
        return np.asarray(len(half) / (len(half) - 1) * half.T @ half)


def fit_logit(design: np.ndarray, n: np.ndarray, total: np.ndarray) -> LogitFit:
    """Return the fit of groups of rows that have the same design.

    The caller makes sure that there is one: rows that a plane separates have none, and a design
    whose columns depend on each other has many.

    Args:
        design: Shape (groups, k).
        n: Rows of each group, shape (groups,).
        total: Sum of their y, shape (groups,).

    Raises:
        np.linalg.LinAlgError: The columns of the design depend on each other.
    """
    b = np.zeros(design.shape[1])
    reached = _likelihood(design @ b, n, total)
    for _ in range(_MOST_STEPS):
        p = expit(design @ b)
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        step = np.linalg.solve(information, design.T @ (total - n * p))
        for _ in range(_MOST_HALVINGS):
            found = _likelihood(design @ (b + step), n, total)
            if found >= reached:
                break
            step = step / 2
        else:
            break  # no step is better but for rounding
        b, reached = b + step, found
        if np.abs(step).max() < _CLOSE:
            break
    p = expit(design @ b)
    information = design.T @ (design * (n * p * (1 - p))[:, None])
    return LogitFit(b, np.linalg.inv(information))


def expit(eta: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-eta)), without overflow."""
    from scipy.special import expit as of

    return np.asarray(of(eta))


def _likelihood(eta: np.ndarray, n: np.ndarray, total: np.ndarray) -> float:
    return float((total * eta - n * np.logaddexp(0.0, eta)).sum())
