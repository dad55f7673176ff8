"""Gains of prompts over their parent: sums over rounds, direction, what choosing does to them."""

import math

import numpy as np
import pytest

from empathy_core.metrics import load
from reports.numbers.refined import PromptRows, corrected, round_result
from reports.refined import PromptGain

ROUNDS = (8, 16, 32)
N_TEST = 40
N_CANDIDATES = 8


def prompt_rows(values: dict[str, np.ndarray]) -> PromptRows:
    """Return rows whose column is the mean of *values*, each row a question of its own.

    The statistics of ``length``: words, tokens, the reference's words, rows with tokens, rows.
    """
    metric = load("length", {})
    rows = {
        name: np.stack([of, of, np.ones_like(of), np.ones_like(of), np.ones_like(of)], axis=1)
        for name, of in values.items()
    }
    n = len(next(iter(values.values())))
    questions = tuple(f"q{i}" for i in range(n))
    return PromptRows(metric, metric.columns[0], 0, rows, questions)


def test_a_gain_is_of_the_rows_that_both_have() -> None:
    """By hand; in a column where less is better, less is a gain, with its interval turned."""
    generator = np.random.default_rng(0)
    parent, other = generator.normal(10, 1, (2, 30))
    parent[3], other[5] = np.nan, np.nan
    rows = prompt_rows({"p": parent, "c": other})
    kept = np.isfinite(parent) & np.isfinite(other)
    expected = math.fsum(other[kept] - parent[kept]) / 28

    higher, lower = rows.gain("p", "c", "higher"), rows.gain("p", "c", "lower")

    assert rows.advantage("p", "c", "higher") == pytest.approx(expected, abs=1e-12)
    assert (higher.value, lower.value) == pytest.approx((expected, -expected), abs=1e-9)
    assert (higher.low, higher.high) == (-(lower.high or 0), -(lower.low or 0))
    assert (higher.n, higher.n_left_out, higher.p) == (28, 2, lower.p)
    assert higher.low is not None
    assert higher.low < expected < (higher.high or 0)


def test_few_questions_have_a_gain_and_no_interval() -> None:
    """As everywhere in the suite."""
    rows = prompt_rows({"p": np.zeros(6), "c": np.arange(6.0)})
    gain = rows.gain("p", "c", "higher")

    assert gain.value == pytest.approx(2.5)
    assert (gain.low, gain.high, gain.p) == (None, None, None)


def test_a_candidate_without_a_score_goes_first() -> None:
    """It is no better than others whose rows are there."""
    rows = prompt_rows({"p": np.ones(4), "a": np.full(4, np.nan), "b": np.zeros(4)})
    found = round_result(1, rows, "p", ("a", "b"), "higher", (0.5, 1))

    assert found.advantages == (None, -1.0)
    assert [line["candidate"] for line in found.lines("p") if line["kept"]] == ["p", "b"]
    assert [line["scored"] for line in found.lines("p")] == [4, 4, 0]


def refined_once(generator: np.random.Generator, true_gain: float = 0.0) -> tuple[float, float]:
    """Return validation gain and test gain of what successive halving chooses.

    All candidates are equally better than the parent in truth; questions differ in difficulty.
    """
    names = [f"c{i}" for i in range(N_CANDIDATES)]
    n = ROUNDS[-1] + N_TEST
    hard = generator.normal(0, 1, n)
    values = {name: hard + true_gain + generator.normal(0, 1, n) for name in names}
    values["p"] = hard + generator.normal(0, 1, n)
    alive = tuple(names)
    for number, total in enumerate(ROUNDS, start=1):
        rows = prompt_rows({name: values[name][:total] for name in ("p", *alive)})
        going_on = (0.0, 1) if total == ROUNDS[-1] else (0.5, 1)
        found = round_result(number, rows, "p", alive, "higher", going_on)
        alive = tuple(name for i, name in enumerate(alive) if i in found.kept)
    (chosen,) = alive
    tested = prompt_rows({name: values[name][ROUNDS[-1] :] for name in ("p", chosen)})
    gains = rows.advantage("p", chosen, "higher"), tested.advantage("p", chosen, "higher")
    return float(gains[0] or 0), float(gains[1] or 0)


@pytest.mark.parametrize("true_gain", [0.0, 0.3])
def test_choosing_is_optimistic_and_the_test_is_not(true_gain: float) -> None:
    """Candidates that are equal in truth: the validation gain of the chosen is too large.

    The test gain is unbiased: within four standard errors of the truth over 200 refinements.
    """
    generator = np.random.default_rng(1)
    found = np.array([refined_once(generator, true_gain) for _ in range(200)])
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(len(found))
    optimism = found[:, 0] - found[:, 1]

    assert abs(mean[1] - true_gain) < 4 * error[1]
    assert mean[0] - true_gain > 10 * error[0]
    assert optimism.mean() > 5 * optimism.std(ddof=1) / math.sqrt(len(found))


def test_p_is_corrected_over_what_reached_the_test() -> None:
    """Holm, of two: the smaller twice."""
    gains = [PromptGain(0, 0, 0, None, None, p, 30, 0) for p in (0.02, 0.04)]

    assert corrected(gains) == pytest.approx((0.04, 0.04))
