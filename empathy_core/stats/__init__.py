"""Intervals and paired tests from per-row statistics, and corrections for many tests. Pure.

Rows that share a question are not independent, so whole questions (*clusters*) are drawn. A
resample is how often each cluster was drawn; times the clusters' sums of statistics, it is the
resample's sums, and ``MetricProtocol.score`` reduces these as it does the run's own. A corpus
score such as BLEU is thereby resampled exactly, and 10,000 resamples are one matrix product.

The draws depend on the seed and the number of clusters alone: conditions with the same rows meet
the same resamples under every metric, whichever rows a metric leaves out.
"""

from empathy_core.stats.all_pairs import AllPairs, compare_all
from empathy_core.stats.corrections import benjamini_hochberg, holm
from empathy_core.stats.equivalence import equivalent, least_detectable
from empathy_core.stats.intervals import Interval
from empathy_core.stats.lengths import Adjusted, length_adjusted
from empathy_core.stats.pairwise import contrast, interval, paired_difference
from empathy_core.stats.prompts import (
    Interaction,
    Mover,
    Spread,
    interaction,
    interactions,
    movers,
    spread,
    spreads,
    spreads_by_metric,
)
from empathy_core.stats.repeats import Components, components
from empathy_core.stats.resampling import (
    ALPHA,
    LEAST_CLUSTERS,
    LEVEL,
    RESAMPLES,
    Resampler,
    ScoreFunction,
    shuffles_for,
)
from empathy_core.stats.results import Difference, Estimate
from empathy_core.stats.shares import of_few_clusters

__all__ = [
    "ALPHA",
    "LEAST_CLUSTERS",
    "LEVEL",
    "RESAMPLES",
    "Adjusted",
    "AllPairs",
    "Components",
    "Difference",
    "Estimate",
    "Interaction",
    "Interval",
    "Mover",
    "Resampler",
    "ScoreFunction",
    "Spread",
    "benjamini_hochberg",
    "compare_all",
    "components",
    "contrast",
    "equivalent",
    "holm",
    "interaction",
    "interactions",
    "interval",
    "least_detectable",
    "length_adjusted",
    "movers",
    "of_few_clusters",
    "paired_difference",
    "shuffles_for",
    "spread",
    "spreads",
    "spreads_by_metric",
]
