"""How often intervals cover what they should, and how wide they are; how often tests find nothing.

Every kind of interval at 20, 32, 50 and 200 questions, on scores of several shapes, clustered and
not, and shares of 0 to 10 %; then the chance that any of the 528 tests among 33 conditions that
do not differ finds something after Holm (asked: at most 6.5 %). An experiment is a column, so that
hundreds meet one set of draws; each batch has its own.

    nice python tests/benchmarks/simulate_coverage.py [experiments [TABLE]]

TABLE is shares, scores, others, correlations or families; without one all are made.
Prints a table: covered, in percent, and mean width; ``none`` is the share of experiments in which
no interval is given (they count neither way), ``off`` those whose truth lies above or below.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.special import ndtr

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core import metrics
from empathy_core.stats import (
    Interval,
    Resampler,
    compare_all,
    components,
    length_adjusted,
    resampling,
    shuffles_for,
    within_questions,
)
from empathy_core.stats.resampling import cluster_sums, swaps
from empathy_core.types import Column

EXPERIMENTS, BATCH, RESAMPLES = 4000, 250, 999
SIZES = (20, 32, 50, 200)
UNEQUAL, GIANT = (1, 1, 2, 8, 3), 40
SHARES = (0.0, 0.01, 0.03, 0.05, 0.1)
BLEU = metrics.load("bleu", {})


@dataclass(frozen=True)
class Seen:
    """What some intervals did: shares of experiments, and the mean width of those given."""

    covered: float
    width: float
    none: float
    above: float
    below: float

    @classmethod
    def of(cls, found: Sequence[Interval | None], truth: float) -> "Seen":
        """Return it of intervals that should cover *truth*."""
        given = np.array([(i.low, i.high) for i in found if i is not None]).reshape(-1, 2)
        if not len(given):
            return cls(np.nan, np.nan, 1.0, np.nan, np.nan)
        above, below = given[:, 1] < truth - 1e-12, given[:, 0] > truth + 1e-12
        return cls(
            float(1 - (above | below).mean()), float((given[:, 1] - given[:, 0]).mean()),
            1 - len(given) / len(found), float(above.mean()), float(below.mean()),
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{100 * self.covered:6.1f} {self.width:9.4f} {100 * self.none:6.1f} "
            f"{100 * self.above:6.1f}/{100 * self.below:.1f}"
        )


def mean(sums: np.ndarray) -> np.ndarray:
    """Reduce sums of values and a number of rows to means."""
    return sums[..., :-1] / sums[..., -1:]


def rows(values: np.ndarray) -> np.ndarray:
    """Return the statistics of means: shape (rows, experiments + 1)."""
    return np.column_stack([values, np.ones(len(values))])


def labels(n: int, kind: str) -> np.ndarray:
    """Return the question of each row: of *n* questions, about."""
    sizes = [1] * n
    if kind == "unequal":
        sizes = [*UNEQUAL] * (n // len(UNEQUAL))
    if kind == "giant":
        sizes[-1] = GIANT
    return np.repeat(np.arange(len(sizes)), sizes)


# ---------------------------------------------------------------------------- scores

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
WORLDS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda r, shape: r.normal(size=shape), 0.0),
    "log-normal, 0.5": (lambda r, shape: r.lognormal(0, 0.5, shape), float(np.exp(0.125))),
    "log-normal, 1": (lambda r, shape: r.lognormal(0, 1, shape), float(np.exp(0.5))),
    "beta(0.3, 3)": (lambda r, shape: r.beta(0.3, 3, shape), 0.3 / 3.3),
    "beta(3, 0.3)": (lambda r, shape: r.beta(3, 0.3, shape), 3 / 3.3),
    "3 in 10 not 0": (
        lambda r, shape: (r.random(shape) < 0.3) * r.beta(1, 4, shape), 0.3 * 0.2,
    ),
}  # fmt: skip

PAIRS = (
    ("normal", "normal"), ("beta(0.3, 3)", "beta(0.3, 3)"), ("log-normal, 1", "log-normal, 1"),
    ("log-normal, 0.5", "log-normal, 1"),
)  # fmt: skip
KINDS = (
    ("alone", tuple(WORLDS), PAIRS),
    ("unequal", ("normal", "log-normal, 0.5", "beta(0.3, 3)"), PAIRS[:2]),
    ("giant", ("normal",), PAIRS[:1]),
)
"""Rows of questions, scores of single conditions, and of two whose difference is looked at."""


def drawn(random: np.random.Generator, world: str, clusters: np.ndarray, n: int) -> np.ndarray:
    """Return scores (rows, experiments): rows of a question share half of the variance."""
    draw, _ = WORLDS[world]
    shared = draw(random, (int(clusters.max()) + 1, n))[clusters]
    mixed = random.random((len(clusters), n)) < sqrt(0.5)
    return np.where(mixed, shared, draw(random, (len(clusters), n)))


def batches(n_experiments: int) -> Iterator[tuple[int, int, np.random.Generator]]:
    """Yield a seed, how many experiments, and random numbers."""
    for seed in range(-(-n_experiments // BATCH)):
        n = min(BATCH, n_experiments - seed * BATCH)
        yield seed, n, np.random.default_rng((11, seed))


def single(world: str, n: int, kind: str, experiments: int) -> Seen:
    """Simulate a condition's mean."""
    clusters, found = labels(n, kind), []
    for seed, size, random in batches(experiments):
        values = drawn(random, world, clusters, size)
        bounded = "0" in world.split("-", maxsplit=1)[0]  # between 0 and 1, as ROUGE is
        columns = [Column("x", "X", least=0, most=1)] * size if bounded else ()
        resampler = Resampler(clusters, RESAMPLES, seed)
        own = compare_all([rows(values)], mean, resampler, [], columns)
        found += [of.interval for of in own.estimates[0]]
    return Seen.of(found, WORLDS[world][1])


def paired(worlds: tuple[str, str], n: int, kind: str, experiments: int) -> Seen:
    """Simulate a difference of two conditions' means; a question is as hard for both."""
    clusters, found = labels(n, kind), []
    for seed, size, random in batches(experiments):
        sides = [drawn(random, world, clusters, size) for world in worlds]
        if worlds[0] == worlds[1]:  # one answer in three is the same
            same = random.random(sides[0].shape) < 1 / 3
            sides[1] = np.where(same, sides[0], sides[1])
        found += differences([rows(of) for of in sides], mean, clusters, seed)
    return Seen.of(found, WORLDS[worlds[1]][1] - WORLDS[worlds[0]][1])


def differences(
    sides: list[np.ndarray],
    score: Callable[[np.ndarray], np.ndarray],
    clusters: np.ndarray,
    seed: int,
    columns: Sequence[Column] = (),
) -> list[Interval | None]:
    """Return the intervals of one difference a column; its test is not looked at."""
    resampler = Resampler(clusters, RESAMPLES, seed, n_shuffles=8)
    found = compare_all(sides, score, resampler, columns=columns)
    return [of.interval for of in found.differences[0, 1]]


# ---------------------------------------------------------------------------- corpus scores


def corpus(random: np.random.Generator, shape: tuple[int, int], skill: np.ndarray) -> np.ndarray:
    """Return BLEU's statistics (rows, experiments, 11) of answers as good as *skill*."""
    lengths, wanted = (random.integers(20, 180, shape) for _ in range(2))
    matched, left = [], lengths
    for chance in (0.45, 0.3, 0.4, 0.5):
        left = random.binomial(np.maximum(left - 1, 0), np.clip(chance * skill, 0, 1))
        matched.append(left)
    possible = [np.maximum(lengths - k, 0) for k in range(4)]
    other = [np.maximum(wanted - 3, 0), *np.zeros((3, *shape))]  # 4-grams of the references, faults
    found = [lengths, wanted, *matched, *possible, *other, np.ones(shape)]
    return np.stack(found, axis=-1).astype(float)


def bleu(sums: np.ndarray) -> np.ndarray:
    """Reduce sums of many experiments beside each other to BLEU."""
    return BLEU.score(sums.reshape(*sums.shape[:-1], -1, len(BLEU.statistics)))[..., 0]


def skills(random: np.random.Generator, clusters: np.ndarray, n: int) -> np.ndarray:
    """Return how well each row is answered: (rows, experiments), the same for a question."""
    return random.lognormal(-0.02, 0.2, (int(clusters.max()) + 1, n))[clusters]


def corpora(n: int, kind: str, experiments: int) -> tuple[Seen, Seen]:
    """Simulate BLEU of a condition, and its difference from one that is a little better."""
    clusters = labels(n, kind)
    own: list[Interval | None] = []
    apart: list[Interval | None] = []
    for seed, size, random in batches(experiments):
        skill = skills(random, clusters, size)
        sides = [
            corpus(random, skill.shape, skill * better).reshape(len(clusters), -1)
            for better in (1.0, 1.05)
        ]
        resampler = Resampler(clusters, RESAMPLES, seed, n_shuffles=8)
        found = compare_all(sides, bleu, resampler)
        own += [of.interval for of in found.estimates[0]]
        apart += [of.interval for of in found.differences[0, 1]]
    first, second = _true_bleu(1.0), _true_bleu(1.05)
    return Seen.of(own, first), Seen.of(apart, second - first)


def _true_bleu(better: float) -> float:
    """Return BLEU of half a million answers."""
    random = np.random.default_rng(5)
    sums = np.zeros(len(BLEU.statistics))
    for _ in range(10):
        skill = skills(random, np.arange(50_000), 1)
        sums += corpus(random, skill.shape, skill * better).sum(axis=(0, 1))
    return float(BLEU.score(sums)[0])


# ---------------------------------------------------------------------------- shares


def events(
    random: np.random.Generator, share: float, clusters: np.ndarray, common: np.ndarray, n: int
) -> np.ndarray:
    """Return 0 and 1 (rows, experiments): rows of a question correlate, as do conditions.

    *common*, normal, shape (rows, experiments), is what both conditions share of a row.
    """
    own = random.normal(size=(int(clusters.max()) + 1, n))[clusters]
    row = random.normal(size=common.shape)
    latent = sqrt(0.3) * common + sqrt(0.3) * own + sqrt(0.4) * row
    return (ndtr(latent) < share).astype(float)


def common(random: np.random.Generator, clusters: np.ndarray, n: int) -> np.ndarray:
    """Return it: half of a question's, half of the row's own."""
    question = random.normal(size=(int(clusters.max()) + 1, n))[clusters]
    return (question + random.normal(size=(len(clusters), n))) / sqrt(2)


def shares(pair: tuple[float, float], n: int, kind: str, experiments: int) -> tuple[Seen, Seen]:
    """Simulate the first share, and the second less the first."""
    clusters = labels(n, kind)
    own: list[Interval | None] = []
    apart: list[Interval | None] = []
    for seed, size, random in batches(experiments):
        both = common(random, clusters, size)
        sides = [rows(events(random, of, clusters, both, size)) for of in pair]
        columns = [Column("x", "X", share=True)] * size
        resampler = Resampler(clusters, 99, seed, n_shuffles=8)
        found = compare_all(sides, mean, resampler, columns=columns)
        own += [of.interval for of in found.estimates[0]]
        apart += [of.interval for of in found.differences[0, 1]]
    return Seen.of(own, pair[0]), Seen.of(apart, pair[1] - pair[0])


# ---------------------------------------------------------------------------- runs and lengths


def over_runs(n: int, k: int, experiments: int) -> Seen:
    """Simulate the mean of *k* runs of one condition, over other questions and runs."""
    found = []
    for seed, size, random in batches(experiments):
        questions, of_runs = random.normal(size=(1, n, size)), random.normal(size=(k, 1, size))
        values = questions + 0.5 * of_runs + random.normal(size=(k, n, size))
        resampler = Resampler(np.arange(n), RESAMPLES, seed)
        found += [of.interval for of in components([rows(of) for of in values], mean, resampler)]
    return Seen.of(found, 0.0)


def at_equal_length(n: int, experiments: int) -> Seen:
    """Simulate a difference at equal length, where longer answers score more and one is longer."""
    found = []
    for seed in range(experiments):
        random = np.random.default_rng((12, seed))
        lengths = random.integers(20, 200, (2, n)) * np.array([[1], [2]])
        scores = np.log1p(lengths) + random.normal(size=n) + random.normal(size=(2, n))
        resampler = Resampler(np.arange(n), RESAMPLES, seed % 8)
        found.append(length_adjusted(*scores, *lengths, resampler).interval)
    return Seen.of(found, 0.0)


# ---------------------------------------------------------------------------- correlations


def together(
    random: np.random.Generator, n: int, shape: str, *, k: int, rho: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return two scores of *k* conditions and *n* questions that go together within questions."""
    x = random.normal(size=(k, n))
    y = rho * x + sqrt(1 - rho**2) * random.normal(size=(k, n))
    if shape == "skewed":
        x, y = np.exp(x), np.exp(y / 2)
    if shape == "mostly 0":
        x = np.maximum(x - 0.8, 0)
    if shape == "1 to 5":
        return x, np.clip(np.round(1.2 * y + 4), 1, 5)
    if shape == "gaps":
        x = np.where(random.random(x.shape) < 0.2, np.nan, x)
    effects = random.normal(size=n) + np.arange(k)[:, None] / 2
    return x + 2 * effects, y - effects


def correlated(n: int, shape: str, k: int, rho: float, experiments: int) -> tuple[Seen, Seen]:
    """Simulate Pearson's and Spearman's correlation within questions."""
    large = together(np.random.default_rng(14), 50_000, shape, k=k, rho=rho)
    true = within_questions([large[0]], [large[1]], Resampler(np.arange(50_000), 1))[0][0]
    found = []
    for seed in range(experiments):
        x, y = together(np.random.default_rng((15, seed)), n, shape, k=k, rho=rho)
        resampler = Resampler(np.arange(n), RESAMPLES, seed % 16)
        found.append(within_questions([x], [y], resampler)[0][0])
    return (
        Seen.of([of.pearson.interval for of in found], float(true.pearson.value or 0)),
        Seen.of([of.spearman.interval for of in found], float(true.spearman.value or 0)),
    )


# ---------------------------------------------------------------------------- families of tests


def any_found(n_conditions: int, n: int, kind: str, experiments: int) -> float:
    """Return how often any pair of conditions that do not differ is told apart after Holm.

    The p are those of ``compare_all`` with ``Resampler.for_tests``. Holm finds something where
    the least p is 5 % over the number of tests at most: a pair with too many shuffles as extreme
    among the first thousand cannot be that, and is not shuffled on.
    """
    clusters = labels(n, kind)
    pairs = list(combinations(range(n_conditions), 2))
    limit = 0.05 / len(pairs)
    return float(
        np.mean(
            [
                _least_p(*_null(seed, n_conditions, clusters), pairs, limit) <= limit
                for seed in range(experiments)
            ]
        )
    )


def _null(seed: int, n_conditions: int, clusters: np.ndarray) -> tuple[np.ndarray, Resampler]:
    """Return statistics (conditions, rows, 2), skewed, and the resampler of their family."""
    random = np.random.default_rng((13, seed))
    easy = random.normal(size=int(clusters.max()) + 1)[clusters]
    own = random.lognormal(0, 1, (n_conditions, int(clusters.max()) + 1))[:, clusters]
    values = easy + own + random.normal(size=(n_conditions, len(clusters)))
    resampler = Resampler(clusters, seed=seed)
    n_tests = n_conditions * (n_conditions - 1) // 2
    return np.stack([rows(of) for of in values]), resampler.for_tests(n_tests)


def _least_p(
    stack: np.ndarray, resampler: Resampler, pairs: Sequence[tuple[int, int]], limit: float
) -> float:
    resampling._kept.clear()
    kept = np.ones(stack.shape[:2], bool)
    sums = cluster_sums(stack, kept, resampler)[..., 0]
    first, second = np.array(pairs).T
    apart = sums[:, second] - sums[:, first]
    observed = apart.sum(axis=0)
    counts, most = np.zeros(len(pairs), int), limit * (resampler.shuffles + 1) - 1
    start = 0
    for size in (1000, 9000, 30_000, resampler.shuffles):
        rows_ = slice(start, min(start + size, resampler.shuffles))
        open_ = np.flatnonzero(counts <= most)
        if not len(open_):
            return 1.0
        for at in range(rows_.start, rows_.stop, 8000):
            swapped = swaps(resampler, slice(at, min(at + 8000, rows_.stop))).astype(float)
            moved = observed[open_] - 2 * swapped @ apart[:, open_]
            counts[open_] += (np.abs(moved) >= np.abs(observed[open_]) - 1e-9).sum(axis=0)
        start = rows_.stop
    open_ = np.flatnonzero(counts <= most)
    return float((1 + counts[open_].min()) / (1 + resampler.shuffles)) if len(open_) else 1.0


# ---------------------------------------------------------------------------- all of it


def scores_table(experiments: int) -> Iterator[tuple[str, int, str, Seen]]:
    """Yield each line of means and corpus scores, and of their differences."""
    for n in SIZES:
        for kind, singles, pairs in KINDS:
            for world in singles:
                yield f"mean, {world}", n, kind, single(world, n, kind, experiments)
            for worlds in pairs:
                name = f"difference, {worlds[1]} - {worlds[0]}"
                yield name, n, kind, paired(worlds, n, kind, experiments)
            if kind != "giant":
                own, apart = corpora(n, kind, experiments)
                yield "BLEU", n, kind, own
                yield "difference, BLEU", n, kind, apart


def shares_table(experiments: int) -> Iterator[tuple[str, int, str, Seen]]:
    """Yield each line of shares and of their differences."""
    for n in SIZES:
        for kind in ("alone", "unequal"):
            for share in SHARES:
                own, apart = shares((share, share), n, kind, experiments)
                yield f"share, {share:.0%}", n, kind, own
                yield f"difference, {share:.0%} - {share:.0%}", n, kind, apart
            for pair in ((0.0, 0.1), (0.02, 0.1), (0.1, 0.3)):
                _, apart = shares(pair, n, kind, experiments)
                yield f"difference, {pair[1]:.0%} - {pair[0]:.0%}", n, kind, apart


def others_table(experiments: int) -> Iterator[tuple[str, int, str, Seen]]:
    """Yield each line of what a report has besides."""
    for n in SIZES:
        for k in (2, 3, 5):
            yield f"mean of {k} runs", n, "alone", over_runs(n, k, experiments)
        yield "difference at equal length", n, "alone", at_equal_length(n, experiments)


def correlations_table(experiments: int) -> Iterator[tuple[str, int, str, Seen]]:
    """Yield each line of correlations within questions."""
    shapes = ("normal", "skewed", "mostly 0", "1 to 5", "gaps")
    worlds = [("normal", k, rho) for k in (2, 8) for rho in (0.0, 0.4, 0.8)]
    for n in SIZES[:3]:
        for shape, k, rho in [*worlds, *((shape, 4, 0.4) for shape in shapes)]:
            name = f"{shape}, {k} conditions, rho {rho}"
            for kind, seen in zip("ps", correlated(n, shape, k, rho, experiments), strict=True):
                yield name, n, {"p": "Pearson", "s": "Spearman"}[kind], seen


def families(experiments: int) -> None:
    """Print how often a family of tests finds something where nothing is."""
    for n, kind in ((20, "alone"), (50, "unequal")):
        found, shuffles = any_found(33, n, kind, experiments), shuffles_for(33 * 32 // 2)
        print(
            f"any of 528 tests of 33 conditions, {shuffles:,} shuffles, {n} questions, {kind}: "
            f"{100 * found:.1f} % (asked at most 6.5)",
            flush=True,
        )


TABLES = {
    "shares": shares_table, "scores": scores_table, "others": others_table,
    "correlations": correlations_table,
}  # fmt: skip


def main() -> None:
    """Print the tables."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    chosen = sys.argv[2:] or [*TABLES, "families"]
    print(f"{experiments:,} experiments each, {RESAMPLES:,} resamples; in percent")
    print(f"{'':45s} {'n':>4s} {'rows':8s} {'covered':>7s} {'width':>8s} {'none':>6s}    off")
    for name in chosen:
        for what, n, kind, seen in TABLES[name](experiments) if name in TABLES else ():
            print(f"{what:45s} {n:4d} {kind:8s} {seen}", flush=True)
    if "families" in chosen:
        families(experiments)


if __name__ == "__main__":
    main()
