"""All intervals of agreement and calibration: 7 dimensions, 10 systems, 1,000 questions, 5 raters.

Asked are less than 10 s of processor time (so that others who use the machine change nothing; two
cores take about half of it) for everything that a report makes of people's ratings and one
judge: agreement of single answers and of systems' means, severities and adjusted means, and the
judge against people, beside controls; 10,000 resamples of whole questions each. The peer is
evalica's bootstrap of Krippendorff's alpha alone (ordinal, of answers, with as many resamples), on
one dimension, of which the time is taken times seven.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core.stats import (
    RESAMPLES,
    JudgeAndPeople,
    Resampler,
    adjusted_means,
    calibrate,
    mean_agreement,
    rater_agreement,
    resampling,
)

N_DIMENSIONS, N_SYSTEMS, N_QUESTIONS, N_RATERS = 7, 10, 1_000, 5
BUDGET_S = 10.0


def seconds(work: Callable[[], object]) -> float:
    """Return the processor's seconds that *work* takes, no draws being kept from before."""
    resampling._kept.clear()
    start = time.process_time()
    work()
    return time.process_time() - start


def made(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ratings (raters, systems, questions) and a judge's expected values."""
    quality = 3 + random.normal(size=(N_SYSTEMS, N_QUESTIONS))
    severity = np.linspace(-0.5, 0.5, N_RATERS)[:, None, None]
    noise = random.normal(scale=0.8, size=(N_RATERS, *quality.shape))
    ratings = np.clip(np.rint(quality + severity + noise), 1, 5)
    return ratings, np.clip(quality + random.normal(scale=0.5, size=quality.shape), 1, 5)


def all_intervals(dimensions: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Compute what a report does."""
    rows = Resampler(np.arange(N_QUESTIONS))
    cells = Resampler(np.tile(rows.clusters, N_SYSTEMS))
    systems = np.repeat(np.arange(N_SYSTEMS), N_QUESTIONS)
    lengths, own = np.log(np.full((N_SYSTEMS, N_QUESTIONS), 90.0)), np.arange(N_SYSTEMS) == 0
    for ratings, judge in dimensions:
        flat = ratings.reshape(N_RATERS, -1)
        rater_agreement(flat, cells)
        mean_agreement(flat, systems, cells)
        adjusted_means(flat, systems, cells)
        calibrate(JudgeAndPeople(judge, ratings, (1, 2, 3, 4, 5), "higher", lengths, own), rows)


def main() -> None:
    """Print the time, and the ratio to the peer's."""
    import evalica
    import pandas as pd

    random = np.random.default_rng(0)
    dimensions = [made(random) for _ in range(N_DIMENSIONS)]
    taken = seconds(lambda: all_intervals(dimensions))
    flat = pd.DataFrame(dimensions[0][0].reshape(N_RATERS, -1))
    peer = N_DIMENSIONS * seconds(
        lambda: evalica.alpha_bootstrap(flat, "ordinal", n_resamples=RESAMPLES, random_state=0)
    )
    print(
        f"{N_DIMENSIONS} dimensions x {N_SYSTEMS} systems x {N_QUESTIONS:,} questions x {N_RATERS} "
        f"raters, {RESAMPLES:,} resamples: {taken:.1f} s; evalica's alpha alone: {peer:.1f} s"
    )
    print(f"agreement: {BUDGET_S / taken:.1f}x (asked 1.0x)")
    print(f"agreement-evalica: {peer / taken:.2f}x (asked 1.00x)")


if __name__ == "__main__":
    main()
