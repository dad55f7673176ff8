"""A judge that knows nothing is not calibrated, and intervals cover: the simulation in small."""

import numpy as np
import pytest

from tests.planted_calibration import CalibrationDesign, knows_nothing, numbers

pytestmark = pytest.mark.slow  # hundreds of experiments

N = 100


@pytest.mark.parametrize(
    "design",
    [CalibrationDesign(30, knows=0.0, bias=0.0), CalibrationDesign(50, knows=0.0, middle=5.2)],
    ids=["middle", "ceiling"],
)
def test_a_judge_without_knowledge_is_hardly_ever_calibrated(design: CalibrationDesign):
    """At most 3 % of 100, whatever else a rule leaves out; one with knowledge nearly always."""
    random = np.random.default_rng(3)
    passed = [not knows_nothing(design.held(design.draw(random), 199, s)) for s in range(N)]
    seeing = CalibrationDesign(60, knows=0.9)
    known = [not knows_nothing(seeing.held(seeing.draw(random), 199, s)) for s in range(20)]

    assert np.mean(passed) <= 0.03
    assert np.mean(known) >= 0.95


def test_intervals_cover_the_numbers_of_many_questions():
    """Of 100 samples of 60 questions with gaps 88 % and more; they would be 95 % of very many."""
    random = np.random.default_rng(4)
    design = CalibrationDesign(60, missing=0.2)
    truth = design.truth(random)
    hits: dict[str, list[bool]] = {name: [] for name in numbers(truth.held)}
    for seed in range(N):
        sample = design.draw(random)
        true = truth.of(sample)
        for name, of in numbers(design.held(sample, 299, seed)).items():
            hits[name].append(of.interval.low <= true[name] <= of.interval.high)

    covered = {name: float(np.mean(of)) for name, of in hits.items()}
    assert {name: of for name, of in covered.items() if of < 0.88} == {}
