"""Resampling of 787 answers by eight conditions under nine metrics, and sacreBLEU's bootstrap.

Asked are all pairs with intervals, paired bootstrap and randomisation, 10,000 resamples of whole
questions and as many shuffles as the family of each column's pairs needs, in 2 s on two cores;
SciPy does one pair at a time, of which a few are timed. Asked of BLEU is ten times sacreBLEU's
speed from the same counts, and the same p within 0.01: by its own formula, since it takes the size
of each difference before it centres them, which makes it a test of one side where ours has two.
Best of three, since the machine is shared.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
from scipy.stats import bootstrap, permutation_test

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core import metrics
from empathy_core.metrics import MetricProtocol
from empathy_core.stats import (
    RESAMPLES,
    Resampler,
    compare_all,
    paired_difference,
    resampling,
)
from tests.stats_rows import bleu_rows, texts

N_ROWS, N_QUESTIONS, N_CONDITIONS, ROUNDS = 787, 500, 8, 3
BUDGET_S, PEER_PAIRS = 2.0, 3
METRICS = ("bleu", "rouge", "length", "diagnostics", *["similarity"] * 5)
NEAR = (0.600, 0.603)
"""How often two systems say a sentence of the reference: p is then in the middle."""


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds that *work* takes at best, each time without draws kept from before."""
    found = []
    for _ in range(rounds):
        resampling._kept.clear()
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def conditions(metric: MetricProtocol, random: np.random.Generator) -> list[np.ndarray]:
    """Return statistics as a metric has them: counts of BLEU, 0 and 1 of shares, or between."""
    if len(metric.statistics) == len(metrics.load("bleu", {}).statistics):
        references, systems = texts(N_ROWS, *np.linspace(0.4, 0.6, N_CONDITIONS))
        return [bleu_rows(system, references) for system in systems]
    shares = random.random((N_CONDITIONS, N_ROWS, len(metric.statistics)))
    shares[..., -1] = 1
    for column in metric.columns:
        if column.share and column.ratio:
            shares[..., column.ratio[0]] = shares[..., column.ratio[0]] < 0.1
            shares[..., column.ratio[1]] = 1
    return list(shares)


def all_pairs() -> None:
    """Time the whole of a report's tests, and SciPy on some of them."""
    random = np.random.default_rng(0)
    labels = random.integers(N_QUESTIONS, size=N_ROWS)
    drawn = Resampler.by(labels).for_tests(N_CONDITIONS * (N_CONDITIONS - 1) // 2)
    loaded = [metrics.load(name, {}) for name in METRICS]
    data = [(metric, conditions(metric, random)) for metric in loaded]
    taken = best(lambda: [compare_all(of, m.score, drawn, columns=m.columns) for m, of in data])
    n_pairs = N_CONDITIONS * (N_CONDITIONS - 1) // 2 * len(METRICS)
    n_tests = 2 * N_CONDITIONS * (N_CONDITIONS - 1) // 2 * sum(len(m.columns) for m in loaded)
    print(
        f"{N_CONDITIONS} conditions x {len(METRICS)} metrics x {N_ROWS} rows in "
        f"{drawn.n_clusters} questions, {n_tests:,} tests of {RESAMPLES:,} resamples, "
        f"{drawn.shuffles:,} shuffles: {taken:.2f} s"
    )
    print(f"stats-all-pairs: {BUDGET_S / taken:.1f}x (asked 1.0x)")
    sums = [np.bincount(drawn.clusters, random.random(N_ROWS)) for _ in range(2)]
    sizes = np.bincount(drawn.clusters)
    one = best(lambda: scipys(sums[0], sums[1], sizes), PEER_PAIRS)
    print(f"SciPy, one column of one pair: {one:.2f} s, of {n_pairs}: {one * n_pairs:.0f} s")
    print(f"stats-scipy: {one * n_pairs / taken:.0f}x (asked 1x)")


def scipys(first: np.ndarray, second: np.ndarray, sizes: np.ndarray) -> None:
    """Test a difference of two means by SciPy, on sums of clusters."""
    n = sizes.sum()
    bootstrap(
        (first, second, sizes),
        lambda a, b, n, axis: (b.sum(axis=axis) - a.sum(axis=axis)) / n.sum(axis=axis),
        n_resamples=RESAMPLES, paired=True, method="percentile", batch=500, rng=0,
    )  # fmt: skip
    permutation_test(
        (first, second), lambda a, b, axis: (b.sum(axis=axis) - a.sum(axis=axis)) / n,
        permutation_type="samples", n_resamples=RESAMPLES, batch=500, rng=0,
    )  # fmt: skip


class Counted(BLEU):
    """BLEU whose n-grams are counted before."""

    counted: dict[tuple[str, ...], list[list[int]]]

    def _extract_corpus_statistics(self, hypotheses, references):
        return self.counted[tuple(hypotheses)]


def bleu() -> None:
    """Time both bootstraps on the same text, and compare what they find."""
    references, (base, other) = texts(N_ROWS, *NEAR)
    first, second = (bleu_rows(system, references) for system in (base, other))
    score, drawn = metrics.load("bleu", {}).score, Resampler.by(range(N_ROWS))
    metric = Counted(smooth_method="none", references=[references])
    plain = BLEU(smooth_method="none", references=[references])
    metric.counted = {tuple(of): plain._extract_corpus_statistics(of, None) for of in (base, other)}
    named = [("base", base), ("other", other)]
    test = PairedTest(named, {"BLEU": metric}, None, test_type="bs", n_samples=RESAMPLES)
    ratios = []
    for _ in range(ROUNDS):
        ours = best(lambda: paired_difference(first, second, score, drawn), 1)
        theirs = best(test, 1)
        print(f"BLEU, {RESAMPLES:,} resamples: ours {ours:.3f} s, sacreBLEU's {theirs:.2f} s")
        ratios.append(theirs / ours)
    found = paired_difference(first, second, score, drawn)[0]
    p = test()[1]["BLEU"][1].p_value
    sums = resampling.cluster_sums(np.stack([first, second]), np.ones(N_ROWS, bool), drawn)
    scores = resampling.score_resamples(
        score, resampling.resample_sums(resampling.draws(drawn), sums)
    )[:, 0]
    size = np.abs(scores[1] - scores[0])
    same = (1 + np.count_nonzero(size - size.mean() > abs(found.value))) / (1 + RESAMPLES)
    print(
        f"p: sacreBLEU {p:.4f}, its formula on our resamples {same:.4f} "
        f"(difference {abs(p - same):.4f}, asked 0.01); two-sided {found.p_bootstrap:.4f}, "
        f"randomisation {found.p_randomization:.4f}"
    )
    print(f"stats-sacrebleu: {statistics.median(ratios):.1f}x (asked 10x)")
    if abs(p - same) > 0.01:
        raise SystemExit("the p-values differ by more than 0.01")


if __name__ == "__main__":
    all_pairs()
    bleu()
