"""The faults of a judge that its own answers show, each by a rule that was fixed before. Pure.

A judge is named for a fault where the interval of a number lies wholly outside the range that is
held to be harmless (``BIAS_RULES``). The intervals that decide are wider than those that are shown,
so that a judge without fault is named for any in at most 5 of 100 cases (Bonferroni: the checks are
few, and how they depend on each other is not known). What a number cannot tell stands beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from empathy_core.stats import judge_checks as checks
from empathy_core.stats.intervals import Interval
from empathy_core.stats.judge_checks import Questioned, Told
from empathy_core.stats.judged import JudgedPairs, JudgedScores
from empathy_core.stats.resampling import ALPHA, LEAST_CLUSTERS, Resampler
from empathy_core.stats.results import Estimate

LEAST_SELF = 0.25
"""Standard deviations that self-preference must exceed too."""


@dataclass(frozen=True, slots=True)
class BiasRule:
    """When a judge is named for a fault.

    Attributes:
        number: What is measured.
        harmless: The range of the number that names nobody.
        below: What the judge is said to do where the number lies below that range.
        above: Likewise above.
        cannot_tell: What the number does not show, even where the judge is named.
    """

    number: str
    harmless: Interval
    below: str
    above: str
    cannot_tell: str


BIAS_RULES: Mapping[str, BiasRule] = {
    "one_label": BiasRule(
        "share of scores that are nearest to one label, the most frequent",
        Interval(0.0, 0.85), "", "gives nearly all replies the same score",
        "whether the replies are all alike",
    ),
    "outside_labels": BiasRule(
        "share of replies at which the labels of the rubric have less than half of the probability",
        Interval(0.0, 0.10), "", "often does not answer with a label of the rubric",
        "what it would have answered",
    ),
    "length": BiasRule(
        "correlation of score and log length, within question and centred by condition",
        Interval(-0.3, 0.3), "scores shorter replies higher", "scores longer replies higher",
        "whether a condition's longer replies are its better ones",
    ),
    "verbosity": BiasRule(
        "correlation of preference and difference in length, centred by pair of conditions",
        Interval(-0.3, 0.3), "prefers the shorter reply", "prefers the longer reply",
        "whether a reply that is longer than usual is a better one; nothing of conditions whose "
        "replies always differ by as much",
    ),
    "order": BiasRule(
        "mean preference for the reply shown first, over both orders",
        Interval(0.4, 0.6), "prefers the reply shown last", "prefers the reply shown first",
        "which reply it would prefer without an order",
    ),
    "swap": BiasRule(
        "correlation of preferences in one order with those in the other",
        Interval(0.2, 1.0), "prefers at random, or by the order alone", "",
        "whether all pairs are of equally good replies",
    ),
    "self_preference": BiasRule(
        "scores of its own replies less those of others, less the other judges' same difference, "
        "as a part of the scale",
        Interval(-1.0, 0.10), "", "scores its own replies higher than other judges do",
        "which judges are right",
    ),
    "agreement": BiasRule(
        "mean correlation of scores with those of the other judges",
        Interval(0.10, 1.0), "agrees with no other judge", "",
        "which judges are right",
    ),
    "repeatability": BiasRule(
        "Krippendorff's alpha (interval) of scores under paraphrased rubrics",
        Interval(0.40, 1.0), "scores by the wording of the rubric, or at random", "",
        "whether what it repeats is right",
    ),
}  # fmt: skip
"""By check. *self_preference* must exceed ``LEAST_SELF`` standard deviations too: a judge that uses
more of the scale than others do has greater differences between all conditions."""


@dataclass(frozen=True, slots=True)
class BiasFinding:
    """What one check found.

    Attributes:
        check: Key of ``BIAS_RULES``.
        value: Its number; null where it cannot be told.
        interval: At the resampler's level; null also under ``LEAST_CLUSTERS``.
        named: Whether the judge is named; null where it cannot be told.
        fault: What it is named for; empty where it is not named.
        reason: Why it cannot be told; empty where it can.
        n: Replies, rows or preferences that the number is made of.
        n_clusters: Their questions.
    """

    check: str
    value: float | None
    interval: Interval | None
    named: bool | None
    fault: str
    reason: str
    n: int
    n_clusters: int

    @property
    def rule(self) -> BiasRule:
        """What it was judged by."""
        return BIAS_RULES[self.check]


@dataclass(frozen=True, slots=True)
class BiasPanel:
    """What the checks found of one column of a judge.

    Attributes:
        findings: One a check, in the order of ``BIAS_RULES``.
        ceiling: Share of scores nearest to the highest label.
        floor: Likewise to the lowest.
        per_doubling: Change of the score, in points, with a reply twice as long, by the slope of
            *length*; null where that cannot be told.
        self_deviations: Self-preference in standard deviations of each judge's scores; likewise.
        consistency: Share of pairs in which both orders prefer the same reply; null without pairs.
            It is low of replies that are equally good, too, so that it names nobody.
        wordings_apart: Mean absolute difference of scores under two wordings, in points; null
            without a second wording.
    """

    findings: tuple[BiasFinding, ...]
    ceiling: Estimate
    floor: Estimate
    per_doubling: Estimate | None
    self_deviations: Estimate | None
    consistency: Estimate | None
    wordings_apart: Estimate | None

    @property
    def named(self) -> tuple[str, ...]:
        """Checks that name the judge."""
        return tuple(of.check for of in self.findings if of.named)


_CHECKS: Mapping[str, Callable[[Questioned], Told]] = {
    "one_label": checks.one_label,
    "outside_labels": checks.outside_labels,
    "length": checks.length,
    "verbosity": checks.verbosity,
    "order": checks.order,
    "swap": checks.swap,
    "agreement": checks.agreement,
    "repeatability": checks.repeatability,
}


def bias_panel(
    scores: JudgedScores,
    resampler: Resampler,
    pairs: JudgedPairs | None = None,
    n_columns: int = 1,
) -> BiasPanel:
    """Return what the checks find.

    Args:
        scores: Of one column.
        resampler: Of its rows.
        pairs: Preferences of the same judge, where it was asked for them.
        n_columns: Columns of the judge that are looked at: a judge without fault is named in any of
            them in at most 5 of 100 cases.

    Raises:
        ValueError: The resampler is of other rows.
    """
    if scores.scores.shape[1] != len(resampler.clusters):
        raise ValueError(
            f"{scores.scores.shape[1]:,} rows of scores and {len(resampler.clusters):,} of the "
            "resampler do not fit; take both of the same rows"
        )
    strict = 1 - 2 * ALPHA / (len(BIAS_RULES) * n_columns)  # two tails, and a fault lies in one
    of = Questioned(scores, pairs, resampler, (resampler.level, strict))
    told = {check: measure(of) for check, measure in _CHECKS.items()}
    own, deviations = checks.self_preference(of)
    told["self_preference"] = own
    findings = {check: _finding(check, told[check]) for check in BIAS_RULES}
    if not _exceeds(deviations):
        findings["self_preference"] = _not_named(findings["self_preference"])
    return BiasPanel(
        tuple(findings.values()),
        checks.near(of, scores.labels[-1])[0],
        checks.near(of, scores.labels[0])[0],
        _shown(checks.per_doubling(of)),
        _shown(deviations),
        _shown(checks.consistency(of)),
        _shown(checks.wordings_apart(of)),
    )


def _finding(check: str, told: Told) -> BiasFinding:
    """Judge a number by its rule; of *told* the second interval decides, the first is shown."""
    if isinstance(told, str):
        return BiasFinding(check, None, None, None, "", told, 0, 0)
    shown, strict = told
    counts = shown.n, shown.n_clusters
    if strict.interval is None:
        few = shown.n_clusters < LEAST_CLUSTERS
        reason = "nothing varies, or too few questions differ"
        if few:
            reason = f"{shown.n_clusters} questions can be used, and {LEAST_CLUSTERS} are needed"
        return BiasFinding(check, shown.value, shown.interval, None, "", reason, *counts)
    rule, bounds, fault = BIAS_RULES[check], strict.interval, ""
    if bounds.low > rule.harmless.high:
        fault = rule.above
    elif bounds.high < rule.harmless.low:
        fault = rule.below
    return BiasFinding(check, shown.value, shown.interval, bool(fault), fault, "", *counts)


def _exceeds(deviations: Told) -> bool:
    bounds = None if isinstance(deviations, str) else deviations[1].interval
    return bounds is not None and bounds.low > LEAST_SELF


def _not_named(finding: BiasFinding) -> BiasFinding:
    return replace(finding, named=False, fault="") if finding.named else finding


def _shown(told: Told) -> Estimate | None:
    return None if isinstance(told, str) else told[0]
