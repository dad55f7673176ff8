"""Intervals and paired tests from per-row statistics, and corrections for many tests. Pure.

Rows that share a question are not independent, so whole questions (*clusters*) are drawn. A
resample is how often each cluster was drawn; times the clusters' sums of statistics, it is the
resample's sums, and ``MetricProtocol.score`` reduces these as it does the run's own. A corpus
score such as BLEU is thereby resampled exactly, and 10,000 resamples are one matrix product.

The draws depend on the seed and the number of clusters alone: conditions with the same rows meet
the same resamples under every metric, whichever rows a metric leaves out.
"""

from empathy_core.stats.agreement import (
    Agreement,
    JudgeAgreement,
    judge_agreement,
    rater_agreement,
)
from empathy_core.stats.all_pairs import AllPairs, compare_all
from empathy_core.stats.alternative_annotator import (
    AlternativeAnnotator,
    alternative_annotator,
    constant_judges,
    shuffled_judge,
)
from empathy_core.stats.bradley_terry import Strength, Strengths, strengths
from empathy_core.stats.calibration import (
    CONTROLS,
    Calibration,
    JudgeAndPeople,
    calibrate,
)
from empathy_core.stats.calibration_rule import CalibrationRule, UnmetRequirement, unmet
from empathy_core.stats.corrected import (
    MOST_GAIN,
    Corrected,
    corrected_difference,
    corrected_mean,
)
from empathy_core.stats.corrections import benjamini_hochberg, benjamini_yekutieli, holm
from empathy_core.stats.correlation import (
    LEAST_CONDITIONS,
    LEAST_GROUPS,
    Correlation,
    CorrelationValue,
    across_conditions,
    within_questions,
)
from empathy_core.stats.equivalence import equivalent, least_detectable
from empathy_core.stats.flag_rates import FlagCounts, FlagRate, flag_rate
from empathy_core.stats.intervals import Interval
from empathy_core.stats.judge_bias import BIAS_RULES, BiasFinding, BiasPanel, BiasRule, bias_panel
from empathy_core.stats.judged import JudgedPairs, JudgedScores
from empathy_core.stats.lengths import Adjusted, length_adjusted
from empathy_core.stats.pairwise import contrast, interval, paired_difference
from empathy_core.stats.power import (
    PairedSpread,
    difference_found,
    judge_gain,
    paired_spread,
    power_of_paired_test,
    questions_needed,
    questions_with_judge,
)
from empathy_core.stats.preference_length import AdjustedPreference, preference_at_equal_length
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
from empathy_core.stats.rated_frame import RatedSample
from empathy_core.stats.rater_effects import (
    OwnAgreement,
    RaterEffects,
    adjusted_means,
    own_agreement,
)
from empathy_core.stats.ratios import Ratios
from empathy_core.stats.refusals import Refusal
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
from empathy_core.stats.same_order import (
    MeansAgree,
    SameOrder,
    mean_agreement,
    order_agreement,
)
from empathy_core.stats.shares import of_few_clusters

__all__ = [
    "ALPHA",
    "BIAS_RULES",
    "CONTROLS",
    "LEAST_CLUSTERS",
    "LEAST_CONDITIONS",
    "LEAST_GROUPS",
    "LEVEL",
    "MOST_GAIN",
    "RESAMPLES",
    "Adjusted",
    "AdjustedPreference",
    "Agreement",
    "AllPairs",
    "AlternativeAnnotator",
    "BiasFinding",
    "BiasPanel",
    "BiasRule",
    "Calibration",
    "CalibrationRule",
    "Components",
    "Corrected",
    "Correlation",
    "CorrelationValue",
    "Difference",
    "Estimate",
    "FlagCounts",
    "FlagRate",
    "Interaction",
    "Interval",
    "JudgeAgreement",
    "JudgeAndPeople",
    "JudgedPairs",
    "JudgedScores",
    "MeansAgree",
    "Mover",
    "OwnAgreement",
    "PairedSpread",
    "RatedSample",
    "RaterEffects",
    "Ratios",
    "Refusal",
    "Resampler",
    "SameOrder",
    "ScoreFunction",
    "Spread",
    "Strength",
    "Strengths",
    "UnmetRequirement",
    "across_conditions",
    "adjusted_means",
    "alternative_annotator",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bias_panel",
    "calibrate",
    "compare_all",
    "components",
    "constant_judges",
    "contrast",
    "corrected_difference",
    "corrected_mean",
    "difference_found",
    "equivalent",
    "flag_rate",
    "holm",
    "interaction",
    "interactions",
    "interval",
    "judge_agreement",
    "judge_gain",
    "least_detectable",
    "length_adjusted",
    "mean_agreement",
    "movers",
    "of_few_clusters",
    "order_agreement",
    "own_agreement",
    "paired_difference",
    "paired_spread",
    "power_of_paired_test",
    "preference_at_equal_length",
    "questions_needed",
    "questions_with_judge",
    "rater_agreement",
    "shuffled_judge",
    "shuffles_for",
    "spread",
    "spreads",
    "spreads_by_metric",
    "strengths",
    "unmet",
    "within_questions",
]
