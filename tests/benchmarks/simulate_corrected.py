"""How often corrected intervals cover, how wide they are, and how often they find nothing's sign.

On public ratings (``tests.ratings``): 100 of 1,000 questions are rated, the rest judged; the truth
is people's mean over all (a finite population). Cells are judges x models (or pairs) x attributes.
On made ratings from 1 to 5, of a judge that is mild and noisy: clusters, unequal chances, strata
with answers missing, and ratings near the ceiling; the truth is that of the world they come from,
or, where it is said, of the frame.

    nice python tests/benchmarks/simulate_corrected.py [experiments [TABLE]]

Found (4,000 each): means (280 cells) 94.0 to 98.5 %, median 95.3, at most 1.6 % wider than people's
alone; differences (1,260 cells) 92.8 to 98.8 %, median 95.0, at most 1.5 % wider. With lambda = 1
234 of the 280 means are wider than people's, up to twice, and the least covers 88 %. Made: 94.0 to
99.3 %, of nothing 0.2 to 5.9 % found. Of 20 and 30 questions of 1 to 8 answers people's own mean
and the corrected covered 92.7 %: questions that tell no more than 20 of equal weight are refused.

People's columns of other tables (bootstrap and randomisation of weighted rows, 500 each): 93 to
97 % cover, of nothing 3.0 to 5.2 % are found.

TABLE is means, differences, untuned, made or columns; without one all are made. Prints covered in
percent, the width beside that of people's ratings alone, and the share refused.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core.stats import Resampler, interval, paired_difference
from empathy_core.stats.corrected import (
    corrected_difference,
    corrected_mean,
)
from empathy_core.stats.rated_frame import RatedSample, SamplingFrame
from empathy_core.stats.refusals import Refusal
from empathy_core.types import Column
from tests.ratings import ATTRIBUTES, JUDGES, mentalalign

EXPERIMENTS, BATCH, RATED = 4000, 250, 100


# ---------------------------------------------------------------------------- public ratings


@dataclass(frozen=True)
class Cell:
    """What intervals of one judge, model (or pair) and attribute did.

    Attributes:
        name: Of all three.
        alone: Share of people's intervals that cover.
        covered: Likewise, corrected.
        width: Mean width of the corrected ones over that of people's.
        weight: Mean lambda.
    """

    name: str
    alone: float
    covered: float
    width: float
    weight: float


def cell(
    name: str,
    human: np.ndarray,
    judge: np.ndarray,
    n_draws: int,
    weight: float | None = None,
    *,
    symmetric: bool = False,
) -> Cell:
    """Draw ``RATED`` of the questions again and again."""
    known = ~np.isnan(human + judge)
    human, judge = human[known], judge[known]
    sample = RatedSample(np.arange(len(human)), RATED / len(human), finite=True)
    frame, truth = SamplingFrame.of(sample, np.ones(len(human), bool)), human.mean()
    random = np.random.default_rng(21)
    seen = []
    for _ in range(-(-n_draws // BATCH)):
        rated = np.full((BATCH, len(human)), np.nan)
        chosen = np.argpartition(random.random(rated.shape), RATED, axis=1)[:, :RATED]
        np.put_along_axis(rated, chosen, human[chosen], axis=1)
        found = frame.estimate(rated, judge, weight, symmetric=symmetric)
        ends = [np.array(of) for of in (found.human_bounds, found.bounds)]
        covers = [(low - 1e-9 <= truth) & (truth <= high + 1e-9) for low, high in ends]
        seen.append([*covers, *(high - low for low, high in ends), found.weight])
    alone, covered, before, after, used = np.concatenate(seen, axis=1).mean(axis=1)
    return Cell(name, alone, covered, after / before, used)


def means(n_draws: int, weight: float | None = None) -> Iterator[Cell]:
    """Yield the cells of single models."""
    table = mentalalign()
    for model in sorted({of for _, of in table}):
        for judge in JUDGES:
            for k, attribute in enumerate(ATTRIBUTES):
                name = f"{judge} on {model}, {attribute}"
                yield cell(name, table["human", model][k], table[judge, model][k], n_draws, weight)


def differences(n_draws: int) -> Iterator[Cell]:
    """Yield the cells of all pairs of models."""
    table = mentalalign()
    for first, second in combinations(sorted({of for _, of in table}), 2):
        for judge in JUDGES:
            human, scores = (table[r, first] - table[r, second] for r in ("human", judge))
            for k, attribute in enumerate(ATTRIBUTES):
                yield cell(f"{judge} on {first} - {second}, {attribute}", human[k], scores[k],
                           n_draws, symmetric=True)  # fmt: skip


def summary(title: str, cells: list[Cell]) -> str:
    """Return what the cells have in common, and the worst."""
    covered, alone, width = (
        np.array([getattr(of, name) for of in cells]) for name in ("covered", "alone", "width")
    )
    worst = min(cells, key=lambda of: of.covered)
    return (
        f"{title}: {len(cells)} cells\n"
        f"  corrected covers  {100 * covered.min():.1f} to {100 * covered.max():.1f}, median "
        f"{100 * np.median(covered):.1f}; below 92.5: {(covered < 0.925).sum()}\n"
        f"  people's covers   {100 * alone.min():.1f} to {100 * alone.max():.1f}, median "
        f"{100 * np.median(alone):.1f}; below 92.5: {(alone < 0.925).sum()}\n"
        f"  width over people's {width.min():.3f} to {width.max():.3f}, median "
        f"{np.median(width):.3f}; wider: {(width > 1).sum()}, by over 2 %: {(width > 1.02).sum()}\n"
        f"  worst: {worst.name}: {100 * worst.covered:.1f}, lambda {worst.weight:.2f}"
    )


# ---------------------------------------------------------------------------- made ratings


@dataclass(frozen=True)
class World:
    """Ratings of answers, and who is asked for them.

    Attributes:
        n_questions: In the frame.
        n_rated: Questions, about.
        sizes: Answers a question, in turn.
        top: Moves ratings to the ceiling.
        apart: Of the first fifth of the questions, moved down by this, twice as likely chosen.
        strata: That fifth is a stratum.
        missing: Share of the answers asked for that stratum 0 does not rate; half elsewhere.
        finite: The truth is that of the frame.
        skill: How much of a rating the judge knows.
    """

    n_questions: int = 1000
    n_rated: int = 100
    sizes: tuple[int, ...] = (1,)
    top: float = 0.3
    apart: float = 0.0
    strata: bool = False
    missing: float = 0.0
    finite: bool = False
    skill: float = 0.6

    @property
    def first(self) -> np.ndarray:
        """Whether each question is of the first fifth."""
        return np.arange(self.n_questions) < self.n_questions // 5


@dataclass(frozen=True)
class Made:
    """Ratings and judge scores of two conditions, shape (2, rows): *rated* has gaps."""

    human: np.ndarray
    rated: np.ndarray
    judge: np.ndarray
    sample: RatedSample


def made(world: World, random: np.random.Generator) -> Made:
    """Return two conditions that do not differ, and who was asked and answered."""
    clusters = np.repeat(np.arange(world.n_questions), np.resize(world.sizes, world.n_questions))
    first = world.first[clusters]
    question = random.normal(size=world.n_questions)[clusters] + world.top - world.apart * first
    quality = question + random.normal(size=(2, len(clusters)))
    human = np.clip(np.round(3.5 + quality + 0.5 * random.normal(size=quality.shape)), 1, 5)
    known = world.skill * quality + (1 - world.skill) * random.normal(size=quality.shape)
    chosen, chances = asked_for(world, random)
    asked, chances = chosen[clusters], chances[clusters]
    gone = random.random(len(clusters)) < world.missing * np.where(first, 1, 0.5)
    strata = first.astype(int) if world.strata else None
    return Made(
        human, np.where(asked & ~gone, human, np.nan), np.clip(3.9 + 0.8 * known, 1, 5),
        RatedSample(clusters, chances, strata, asked, world.finite),
    )  # fmt: skip


def asked_for(world: World, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return which questions are chosen, and with what chances.

    Of strata and of equal chances as many as planned, else each for itself.
    """
    weight = np.where(world.first, 2.0, 1.0) if world.apart else np.ones(world.n_questions)
    chances = world.n_rated * weight / weight.sum()
    if world.apart and not world.strata:
        return random.random(world.n_questions) < chances, chances
    chosen = np.zeros(world.n_questions, bool)
    for part in (world.first, ~world.first) if world.strata else (world.first | True,):
        n = round(chances[part].sum())
        chosen[random.choice(np.flatnonzero(part), n, replace=False)] = True
        chances[part] = n / part.sum()
    return chosen, chances


WORLDS = {
    "alone": World(),
    "alone, of the frame": World(finite=True),
    "judge knows nothing": World(skill=0.0),
    "judge knows all": World(skill=1.0),
    "clusters of 1 to 8": World(sizes=(1, 1, 2, 8, 3)),
    "unequal chances": World(apart=1.0),
    "unequal chances, of the frame": World(apart=1.0, finite=True),
    "strata": World(apart=1.0, strata=True),
    "strata, clusters, missing": World(apart=1.0, strata=True, missing=0.4, sizes=(1, 2, 3)),
    "ceiling, 77 % are 5": World(top=2.1),
    "ceiling, 88 % are 5": World(top=2.8),
    "ceiling, 95 % are 5": World(top=3.5),
    "ceiling, 95 %, clusters of 3": World(top=3.5, sizes=(3,)),
}
SIZES = (20, 30, 50, 100, 200)


@dataclass(frozen=True)
class Kept:
    """What intervals in a made world did: of those given, but for *refused*, shares of all."""

    alone: float
    covered: float
    found: float
    width: float
    ratio: float
    refused: float

    def __str__(self) -> str:
        return (
            f"{100 * self.alone:6.1f} {100 * self.covered:6.1f} {100 * self.found:6.1f} "
            f"{self.width:7.3f} {self.ratio:6.2f} {100 * self.refused:6.1f}"
        )


def kept(world: World, experiments: int) -> Kept:
    """Simulate a mean, and the difference of two conditions that do not differ."""
    large = replace(world, n_questions=200_000, n_rated=20)
    truth = made(large, np.random.default_rng(22)).human.mean()
    seen, refused, found = [], 0, []
    for seed in range(experiments):
        of = made(world, np.random.default_rng((23, seed)))
        one = corrected_mean(of.rated[0], of.judge[0], of.sample)
        two = corrected_difference(of.rated, of.judge, of.sample)
        if isinstance(one, Refusal):
            refused += 1
        else:
            true = of.human[0].mean() if world.finite else truth
            ends = (one.human_interval, one.interval)
            seen.append([*(e.low <= true <= e.high for e in ends), *(e.high - e.low for e in ends)])
        if not isinstance(two, Refusal):
            true = float(np.subtract(*of.human).mean()) if world.finite else 0.0
            found.append(not two.interval.low <= true <= two.interval.high)
    alone, covered, before, after = np.mean(seen, axis=0) if seen else [np.nan] * 4
    return Kept(
        alone, covered, float(np.mean(found)) if found else np.nan, after, after / before,
        refused / experiments,
    )  # fmt: skip


def print_made(experiments: int) -> None:
    """Print a table of made worlds."""
    print(f"{'':32} rated  alone  cover  found   width  ratio refused")
    for name, world in WORLDS.items():
        for n in SIZES:
            print(f"{name:32} {n:5} {kept(replace(world, n_rated=n), experiments)}", flush=True)


def print_columns(experiments: int) -> None:
    """Print what people's columns do in the tables of all metrics: rows weighted by 1 / chance."""
    cells = (("alone", 30), ("unequal chances", 50), ("strata, clusters, missing", 60),
             ("clusters of 1 to 8", 60))  # fmt: skip
    for name, n in cells:
        world = replace(WORLDS[name], n_rated=n)
        large = replace(world, n_questions=200_000, n_rated=20)
        truth = made(large, np.random.default_rng(22)).human.mean()
        seen = [column(world, truth, seed) for seed in range(max(1, experiments // 8))]
        covered, found = 100 * np.mean(seen, axis=0)
        print(f"{name:32} {n:5} covers {covered:5.1f}, of nothing found {found:4.1f}", flush=True)


def column(world: World, truth: float, seed: int) -> tuple[bool, bool]:
    """Return whether the interval of one condition covers, and whether a difference is found."""

    def score(sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[..., :1] / sums[..., 1:])

    of, columns = made(world, np.random.default_rng((29, seed))), [Column("a", "a", ratio=(0, 1))]
    frame = SamplingFrame.of(of.sample, np.ones(of.rated.shape[1], bool))
    rows = []
    for rated in of.rated:
        w, _ = frame.weights(np.isfinite(rated))
        statistics = np.stack([rated * w, w], axis=1)
        statistics[w == 0] = np.nan
        rows.append(statistics)
    resampler = Resampler(np.asarray(of.sample.clusters), 1000)
    (mean,) = interval(rows[0], score, resampler, columns)
    (difference,) = paired_difference(*rows, score, resampler, columns)
    bounds, p = mean.interval, difference.p_randomization
    return bounds is not None and bounds.low <= truth <= bounds.high, p is not None and p < 0.05


def main() -> None:
    """Print the tables."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    tables: dict[str, Callable[[], None]] = {
        "means": lambda: print(summary("Means", list(means(n)))),
        "differences": lambda: print(summary("Paired differences", list(differences(n)))),
        "untuned": lambda: print(summary("Means, lambda = 1", list(means(n, 1.0)))),
        "made": lambda: print_made(n),
        "columns": lambda: print_columns(n),
    }
    for name in sys.argv[2:] or tables:
        tables[name]()


if __name__ == "__main__":
    main()
