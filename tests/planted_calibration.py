"""Judges of planted knowledge and bias beside people of planted severity, drawn many times."""

from dataclasses import dataclass

import numpy as np

from empathy_core.stats import (
    Calibration,
    CalibrationRule,
    Estimate,
    JudgeAndPeople,
    Resampler,
    calibrate,
    constant_judges,
    unmet,
)

LABELS = (1.0, 2.0, 3.0, 4.0, 5.0)
ANYTHING = CalibrationRule(items=1, questions=1, kappa=-1.0, bias=9.0, alt_test=False)
"""What is always required remains: to beat what knows nothing of an answer."""


@dataclass(frozen=True)
class CalibrationDesign:
    """What is drawn.

    Attributes:
        n_questions: Clusters.
        each: Answers of a condition to a question.
        middle: Mean quality; 3 is the middle of the scale, above 5 nearly all answers are 5.
        knows: Correlation of the judge's view with quality.
        bias: Of the judge, in points.
        raters: Who rate each answer.
        missing: Share of ratings that are missing.
    """

    n_questions: int
    each: int = 1
    middle: float = 3.2
    knows: float = 0.8
    bias: float = 0.2
    raters: int = 3
    missing: float = 0.0

    def draw(self, random: np.random.Generator, n_questions: int | None = None) -> JudgeAndPeople:
        """Return one sample: three conditions, of which the second is the better by half a point.

        Half of an answer's quality is its question's.
        """
        n = n_questions or self.n_questions
        easy = np.repeat(random.normal(size=n), self.each)
        shape = (3, n * self.each)
        own = np.sqrt(0.5) * (easy + random.normal(size=shape))
        quality = own + np.array([[0.0], [0.5], [0.0]])
        seen = self.knows * quality + np.sqrt(1 - self.knows**2) * random.normal(size=shape)
        severity = np.linspace(-0.4, 0.4, self.raters)[:, None, None]
        noise = random.normal(scale=0.6, size=(self.raters, *shape))
        ratings = np.clip(np.rint(self.middle + quality + severity + noise), 1, 5)
        if self.missing:
            ratings[random.random(ratings.shape) < self.missing] = np.nan
        judge = np.clip(self.middle + self.bias + seen, 1, 5)
        unknown = np.full(shape, np.nan)
        return JudgeAndPeople(judge, ratings, LABELS, "higher", unknown, np.zeros(3, bool))

    def held(self, of: JudgeAndPeople, n_resamples: int, seed: int = 0) -> Calibration:
        """Return the calibration of one sample."""
        clusters = np.repeat(np.arange(of.judge.shape[1] // self.each), self.each)
        found = calibrate(of, Resampler(clusters, n_resamples, seed % 8))
        assert isinstance(found, Calibration)
        return found

    def truth(self, random: np.random.Generator, n: int = 30_000) -> "Truth":
        """Return the calibration of so many questions that chance is out of it."""
        large = self.draw(random, n)
        ratings = large.ratings[~np.isnan(large.ratings)]
        errors = {label: float(np.sqrt(np.mean((label - ratings) ** 2))) for label in LABELS}
        return Truth(errors, self.held(large, 1))


@dataclass(frozen=True, eq=False)
class Truth:
    """What intervals should cover.

    Attributes:
        errors: Of each label, if it stood for all ratings of very many questions.
        held: Calibration on these.
    """

    errors: dict[float, float]
    held: Calibration

    def of(self, sample: JudgeAndPeople) -> dict[str, float]:
        """Return number → its true value; the constant label is the commonest of the *sample*."""
        values = {name: float(of.value or 0.0) for name, of in numbers(self.held).items()}
        label = float(constant_judges(sample.ratings)["mode"].flat[0])
        return values | {"gain_mode": self.errors[label] - values["rmse"]}


def numbers(of: Calibration) -> dict[str, Estimate]:
    """Return the estimates of which intervals are checked."""
    gains = {f"gain_{name}": gain for name, gain in of.gains.items()}
    return {"bias": of.bias, "rmse": of.rmse, "kappa": of.kappa, "alpha": of.alpha,
            "icc": of.icc_absolute, **gains}  # fmt: skip


def knows_nothing(of: Calibration) -> bool:
    """Tell whether the judge fails what is always required."""
    return bool(unmet(ANYTHING, of, 4.0))
