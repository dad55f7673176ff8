"""Strengths of 24 conditions by all 276 pairs on 787 questions: 217,212 preferences, intervals too.

Asked are 2 s. Peers in the same run, on the same rows: statsmodels' binomial GLM with a covariance
by question (the same model; its strengths and errors are compared), and evalica's bootstrap of
1,000 resamples of single matches, two for each preference, of which a few are timed. Then
preference at equal length of all pairs, and agreement of five raters on 10,000 replies in seven
dimensions, asked in 10 s, beside evalica's bootstrap of one alpha. Best of three, since the machine
is shared.
"""

import sys
import time
from itertools import combinations
from pathlib import Path

import evalica
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core.stats import (
    Resampler,
    mean_agreement,
    order_agreement,
    preference_at_equal_length,
    rater_agreement,
    strengths,
)
from tests.benchmarks.bench_stats import best

N_CONDITIONS, N_QUESTIONS = 24, 787
BUDGET_S, AGREEMENT_BUDGET_S = 2.0, 10.0
N_DIMENSIONS, N_SYSTEMS, N_RATED, N_RATERS = 7, 10, 1000, 5
THEIR_RESAMPLES, THEIR_TIMED = 1000, 3


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return first, second, preference and question of all comparisons."""
    random = np.random.default_rng(0)
    pairs = np.array(list(combinations(range(N_CONDITIONS), 2)))
    i, j = np.tile(pairs, (N_QUESTIONS, 1)).T
    clusters = np.repeat(np.arange(N_QUESTIONS), len(pairs))
    said = np.linspace(-1, 1, N_CONDITIONS) + random.normal(size=(N_QUESTIONS, N_CONDITIONS))
    return i, j, expit(said[clusters, i] - said[clusters, j]), clusters


def bradley_terry() -> None:
    """Time the strengths, statsmodels and evalica, and compare what they find."""
    i, j, y, clusters = rows()
    names = [f"c{k}" for k in range(N_CONDITIONS)]
    ours = best(lambda: strengths(i, j, y, clusters, names))
    print(f"{len(y):,} preferences of {N_CONDITIONS} conditions: {ours:.3f} s")
    print(f"bradley-terry: {BUDGET_S / ours:.1f}x (asked 1x)")
    design = (np.eye(N_CONDITIONS)[i] - np.eye(N_CONDITIONS)[j])[:, :-1]
    model = sm.GLM(y, design, family=sm.families.Binomial())
    options = {"groups": clusters, "use_correction": False}
    start = time.perf_counter()
    theirs = model.fit(cov_type="cluster", cov_kwds=options)
    taken = time.perf_counter() - start
    found = strengths(i, j, y, clusters, names)
    centred = np.eye(N_CONDITIONS)[:, :-1] - 1 / N_CONDITIONS
    errors = np.sqrt(np.diag(centred @ theirs.cov_params() @ centred.T))
    apart = [
        float(np.abs(centred @ theirs.params - found.values).max()),
        float(np.abs(np.sqrt(np.diag(found.covariance)) / errors - 1).max()),
    ]
    print(f"statsmodels' GLM: {taken:.1f} s; strengths differ by {apart[0]:.0e}, errors by "
          f"{100 * apart[1]:.2f} % (C / (C - 1) is 0.06 %)")  # fmt: skip
    print(f"bradley-terry-statsmodels: {taken / ours:.0f}x (asked 10x)")
    if apart[0] > 1e-6 or apart[1] > 1e-3:
        raise SystemExit("the strengths or their errors are not those of statsmodels")
    bootstrap(i, j, y, ours)


def bootstrap(i: np.ndarray, j: np.ndarray, y: np.ndarray, ours: float) -> None:
    """Time evalica's bootstrap by a few of its resamples, less the fit itself."""
    x, other = np.concatenate([i, i]).tolist(), np.concatenate([j, j]).tolist()
    winners = [evalica.Winner.X] * len(y) + [evalica.Winner.Y] * len(y)
    weights = np.concatenate([y, 1 - y]).tolist()

    def work(n: int) -> float:
        start = time.perf_counter()
        evalica.bootstrap(
            evalica.bradley_terry, x, other, winners, weights=weights, n_resamples=n,
            bootstrap_method="percentile", random_state=0,
        )  # fmt: skip
        return time.perf_counter() - start

    few, more = work(1), work(1 + THEIR_TIMED)
    taken = few + (more - few) / THEIR_TIMED * (THEIR_RESAMPLES - 1)
    print(f"evalica's bootstrap of {THEIR_RESAMPLES:,} resamples: {taken:.0f} s, by "
          f"{THEIR_TIMED} of them; it draws single matches, not questions")  # fmt: skip
    print(f"bradley-terry-evalica: {taken / ours:.0f}x (asked 10x)")


def at_equal_length() -> None:
    """Time all pairs' preference at equal length."""
    i, j, y, clusters = rows()
    random = np.random.default_rng(1)
    lengths = random.lognormal(6.5, 0.5, (N_QUESTIONS, N_CONDITIONS))
    parts = [np.flatnonzero((i == a) & (j == b)) for a, b in combinations(range(N_CONDITIONS), 2)]

    def work() -> None:
        for of in parts:
            at = clusters[of]
            preference_at_equal_length(y[of], lengths[at, i[of]], lengths[at, j[of]], at)

    taken = best(work)
    print(f"preference at equal length of {len(parts)} pairs: {taken:.2f} s")
    print(f"equal-length: {BUDGET_S / taken:.1f}x (asked 1x)")


def agreement() -> None:
    """Time all coefficients of seven dimensions, and evalica's bootstrap of one of them."""
    random = np.random.default_rng(2)
    n = N_SYSTEMS * N_RATED
    shape = N_DIMENSIONS, N_RATERS, n
    quality = random.normal(size=(N_DIMENSIONS, 1, n))
    ratings = np.clip(np.round(3 + quality + random.normal(size=shape)), 1, 5)
    drawn = Resampler.by(np.repeat(range(N_RATED), N_SYSTEMS))
    systems = np.tile(np.arange(N_SYSTEMS), N_RATED)

    def work() -> None:
        for of in ratings:
            rater_agreement(of, drawn)
            mean_agreement(of, systems, drawn)
            for other in of[1:]:
                order_agreement(of[0], other, drawn)

    taken = best(work)
    print(
        f"agreement of {N_RATERS} raters, {N_DIMENSIONS} dimensions x {N_SYSTEMS} systems x "
        f"{N_RATED:,} questions, {drawn.n_resamples:,} resamples: {taken:.2f} s"
    )
    print(f"agreement: {AGREEMENT_BUDGET_S / taken:.1f}x (asked 1x)")
    one = best(lambda: rater_agreement(ratings[0], drawn), 1)
    frame = pd.DataFrame(ratings[0])
    start = time.perf_counter()
    evalica.alpha_bootstrap(frame, "ordinal", n_resamples=drawn.n_resamples)
    theirs = time.perf_counter() - start
    print(
        f"evalica's bootstrap of one alpha: {theirs:.1f} s; ours of eight coefficients: {one:.2f}"
    )
    print(f"agreement-evalica: {theirs / one:.1f}x (asked 1x)")


if __name__ == "__main__":
    bradley_terry()
    at_equal_length()
    agreement()
