"""When a judge may be called calibrated on a dimension: a rule that is declared before. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from empathy_core.bounds import AtLeast0, Between0And1, FromMinus1, Positive, Share
from empathy_core.stats.alternative_annotator import EPSILONS
from empathy_core.stats.calibration import CONTROLS, Calibration

SHARE_OF_SCALE = 0.1
"""Bias that is allowed where the rule names none, as a part of the scale's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRule:
    """``[judges.<name>] require``: what a judge must reach before its ratings count as calibrated.

    A dimension that fails one of them stays uncalibrated. Whatever is declared, the judge must be
    nearer to people's ratings than their mode, their mean and its own scores in another order, each
    with a 95 % interval above 0.

    Attributes:
        items: Answers that people and the judge have rated, at least.
        questions: Their questions, at least.
        raters: People who rated them, at least.
        kappa: Mean quadratic kappa of the judge with each person, at least; -1 requires nothing.
        alpha: Mean interval alpha of the judge with each person, at least; -1 requires nothing.
        icc: ICC(A,1) of the judge with people's values, at least; -1 requires nothing.
        accuracy: Of two answers to a question that people rate differently, the share that the
            judge orders as they do, a tie being half; at least.
        bias: How far its mean may be from people's, in points; null means a tenth of the scale.
        alt_test: Epsilon of the Alternative Annotator Test, which it must pass with half of the
            people or more: 0.2 for experts, 0.15 for trained people, 0.1 for a crowd; false
            requires no test.
        sensitivity: Of the answers that people put at the middle of the scale or worse, the share
            that the judge does too, at least.
    """

    items: Positive = 100
    questions: Positive = 20
    raters: Positive = 2
    kappa: FromMinus1 = 0.4
    alpha: FromMinus1 = -1.0
    icc: FromMinus1 = -1.0
    accuracy: Share = 0.0
    bias: AtLeast0 | None = None
    alt_test: Between0And1 | Literal[False] = EPSILONS["experts"]
    sensitivity: Share = 0.0

    @property
    def epsilon(self) -> float:
        """Of the Alternative Annotator Test: it is made where it is not required, too."""
        return self.alt_test or EPSILONS["experts"]


@dataclass(frozen=True, slots=True)
class UnmetRequirement:
    """What keeps a judge uncalibrated.

    Attributes:
        name: Field of ``CalibrationRule``, or ``beats_<control>``.
        found: Null where there is no number, or no interval.
        asked: What the rule says; null of ``beats_<control>``.
    """

    name: str
    found: float | None
    asked: float | None


def unmet(
    rule: CalibrationRule, found: Calibration, width: float
) -> tuple[UnmetRequirement, ...]:  # fmt: skip
    """Return what a judge lacks of *rule*; nothing if it is calibrated.

    Args:
        rule: As declared.
        found: On one dimension.
        width: Of the scale, in points.
    """
    return (*_counts(rule, found), *_least(rule, found), *_most(rule, found, width),
            *_tests(rule, found))  # fmt: skip


def _counts(rule: CalibrationRule, found: Calibration) -> Iterator[UnmetRequirement]:
    counted = {"items": found.n, "questions": found.n_questions, "raters": found.n_raters}
    for name, n in counted.items():
        if n < getattr(rule, name):
            yield UnmetRequirement(name, n, getattr(rule, name))


def _least(rule: CalibrationRule, found: Calibration) -> Iterator[UnmetRequirement]:
    flags = found.flags
    values = {
        "kappa": (found.kappa.value, -1.0),
        "alpha": (found.alpha.value, -1.0),
        "icc": (found.icc_absolute.value, -1.0),
        "accuracy": (found.order.halved.value, 0.0),
        "sensitivity": (flags.sensitivity.value if flags else None, 0.0),
    }
    for name, (value, nothing) in values.items():
        asked = getattr(rule, name)
        if asked > nothing and (value is None or value < asked):
            yield UnmetRequirement(name, value, asked)


def _most(rule: CalibrationRule, found: Calibration, width: float) -> Iterator[UnmetRequirement]:
    most = SHARE_OF_SCALE * width if rule.bias is None else rule.bias
    bias = found.bias.value
    if bias is None or abs(bias) > most:
        yield UnmetRequirement("bias", bias, most)


def _tests(rule: CalibrationRule, found: Calibration) -> Iterator[UnmetRequirement]:
    if rule.alt_test is not False and not (found.alternative and found.alternative.passed):
        rate = found.alternative.winning_rate if found.alternative else None
        yield UnmetRequirement("alt_test", rate, rule.epsilon)
    for name in CONTROLS:
        bounds = found.gains[name].interval
        if bounds is None or bounds.low <= 0:
            yield UnmetRequirement(f"beats_{name}", bounds.low if bounds else None, None)
