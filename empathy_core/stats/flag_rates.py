"""The share of answers with a flag, from a judge calibrated on other data. Pure.

Rogan and Gladen (1978), Estimating prevalence from the results of a screening test, American
Journal of Epidemiology 107(1). Where people have rated some of the same answers, ``corrected_mean``
needs no belief that the judge errs here as it did there, and is to be preferred.
"""

from dataclasses import dataclass
from math import sqrt

from empathy_core.stats.intervals import Interval
from empathy_core.stats.refusals import Refusal
from empathy_core.stats.resampling import LEVEL


@dataclass(frozen=True, slots=True)
class FlagCounts:
    """Flags of a judge, counted.

    Attributes:
        n_flagged: Answers that it flags, of *n* to be estimated.
        n: Likewise.
        n_flagged_right: Of *n_positive* answers elsewhere that people flag, those it flags.
        n_positive: Likewise.
        n_cleared_right: Of *n_negative* answers elsewhere that people do not flag, those it
            does not.
        n_negative: Likewise.
    """

    n_flagged: int
    n: int
    n_flagged_right: int
    n_positive: int
    n_cleared_right: int
    n_negative: int


@dataclass(frozen=True, slots=True)
class FlagRate:
    """The share that people would flag.

    Attributes:
        value: Between 0 and 1, where it is cut off.
        interval: Likewise.
        flagged: Share that the judge flags.
        sensitivity: Share of people's flags that it gives.
        specificity: Share of answers without one that it leaves so.
    """

    value: float
    interval: Interval
    flagged: float
    sensitivity: float
    specificity: float


def flag_rate(counts: FlagCounts, level: float = LEVEL) -> FlagRate | Refusal:
    """Return the share (p + q0 - 1) / (q0 + q1 - 1), or why there is none.

    q0 is the specificity, q1 the sensitivity, p the share that the judge flags. Interval: Lee,
    Zeng, Jeong, Sohn and Lee (2025), How to Correctly Report LLM-as-a-Judge Evaluations (arXiv
    2511.21140): p with z^2 / 2 flags in z^2 answers more, q0 and q1 with one right in two more,
    and a term for the bias of a ratio. It takes answers as independent.

    Args:
        counts: Of both sets.
        level: Chance that the interval covers.

    Raises:
        ValueError: A count is negative, or a part above its whole.
    """
    parts = (
        (counts.n_flagged, counts.n), (counts.n_cleared_right, counts.n_negative),
        (counts.n_flagged_right, counts.n_positive),
    )  # fmt: skip
    if any(not 0 <= part <= whole for part, whole in parts):
        raise ValueError(f"a count is below 0 or above that of all: {counts}")
    if not all(whole for _, whole in parts):
        return Refusal(
            f"there are {counts.n} answers, and for calibration {counts.n_positive} with a flag "
            f"and {counts.n_negative} without",
            "at least one of each",
            "Calibrate the judge on answers of both kinds",
        )
    p, specificity, sensitivity = (part / whole for part, whole in parts)
    if specificity + sensitivity <= 1:
        return Refusal(
            f"sensitivity {sensitivity:.3f} and specificity {specificity:.3f} add up to 1 or less: "
            "the judge's flags say nothing of people's",
            "a sum above 1",
            "Use another judge, or people's flags alone",
        )
    value = (p + specificity - 1) / (specificity + sensitivity - 1)
    interval = _interval(parts, level)
    return FlagRate(_share(value), interval, p, sensitivity, specificity)


def _interval(parts: tuple[tuple[int, int], ...], level: float) -> Interval:
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    added = ((z**2 / 2, z**2), (1, 2), (1, 2))
    counts = [(a + x, n + y) for (a, n), (x, y) in zip(parts, added, strict=True)]
    p, q0, q1 = (a / n for a, n in counts)
    of_p, of_q0, of_q1 = (a / n * (1 - a / n) / n for a, n in counts)
    if q0 + q1 <= 1:  # smoothed, they may add up to no more
        return Interval(0.0, 1.0)
    value = (p + q0 - 1) / (q0 + q1 - 1)
    bias = 2 * z**2 * (value * of_q1 - (1 - value) * of_q0)
    error = sqrt(of_p + (1 - value) ** 2 * of_q0 + value**2 * of_q1) / (q0 + q1 - 1)
    return Interval(_share(value + bias - z * error), _share(value + bias + z * error))


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
