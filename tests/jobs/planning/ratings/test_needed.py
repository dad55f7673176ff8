"""How much people must rate, from what the run knows: ratings, else a judge, else a table."""

# ruff: noqa: D102 - the protocol documents the members of a metric

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core import rubrics
from empathy_core.annotation import RATINGS, Round, write_ratings, write_round
from empathy_core.annotation.frames import KEY, SAMPLE
from empathy_core.annotation.known_spreads import MENTALALIGN, known_spread
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.store import RunDir
from empathy_core.types import Column
from jobs.commands.views.rating_plan import record, text
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan, PlannedMetric, PlanNotes
from jobs.planning.ratings.needed import rating_plan
from tests import ratings as public
from tests.runs.by_hand import DATA, FLAN, LLAMA, make, spec, write_scores

N = 80
DIMENSION = ("mentalalign", "empathy")
TABLE = AnnotateTable(rubrics=DIMENSION[:1], dimensions=DIMENSION[1:], questions=30, raters=6)
TRUE = np.random.default_rng(7).normal(0.2, 0.6, N // 2)
"""Of each question, what raters on average say of the first condition less the second."""


class Judge:
    """A judge whose differences follow *TRUE* with noise."""

    statistics = ("score", "n")
    columns = (Column("judge", "Judge"),)

    def signature(self) -> str:
        return "judge:by hand"

    def reference_state(self, references: Any) -> None:
        return None

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        question = [int(e.split("-")[1]) // 2 for e in rows["example"]]
        noise = np.random.default_rng(3).normal(0, 0.3, N // 2)
        first = rows["condition"] == LLAMA.id
        added = (TRUE + noise)[question] * first.to_numpy()
        return np.column_stack([3 + added, np.ones(rows.height)])


def _plan(*metrics: PlannedMetric) -> Plan:
    return Plan((LLAMA, FLAN), DATA, N // 2, {}, 1, "error", metrics, PlanNotes())


JUDGED = PlannedMetric(
    "judge:tiny:mentalalign:empathy", {"judge": "tiny"}, "judge-1", "judge:by hand", "tiny"
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of 40 questions with two examples each, which a judge has scored."""
    run = make(tmp_path / "run", spec(LLAMA, FLAN), n=N)
    for condition in (LLAMA, FLAN):
        write_scores(run, condition, "judge-1", Judge(), 2)
    return run


def _rate(run: RunDir, digest: str, noise: float = 0.9, raters: int = 3) -> np.ndarray:
    """Write ratings of one example of each question; raters differ by *noise*.

    Returns the differences (questions, raters).
    """
    values = TRUE[:, None] + np.random.default_rng(5).normal(0, noise, (N // 2, raters))
    base = {name: "" if kind == pl.String else 0 for name, kind in RATINGS.items()}
    rows = [
        base | {
            "round": "round-001", "rater": f"R0{r}", "kind": "answer", "state": "rated",
            "condition": condition.id, "example": f"sample-{2 * q}", "rubric": DIMENSION[0],
            "dimension": DIMENSION[1], "rubric_digest": digest,
            "value": 3 + (values[q, r] if condition is LLAMA else 0),
        }
        for q in range(N // 2) for r in range(raters) for condition in (LLAMA, FLAN)
    ]  # fmt: skip
    about = Round(
        name="round-001", conditions=(LLAMA.id, FLAN.id), dimensions=((*DIMENSION, digest),),
        raters=("R01",), raters_per_item=raters, data=DATA, seed=0, settings={},
    )  # fmt: skip
    folder = write_round(run, about, pl.DataFrame(schema=SAMPLE), pl.DataFrame(schema=KEY))
    write_ratings(folder, pl.DataFrame(rows, schema=RATINGS))
    return values


def _digest() -> str:
    rubric = rubrics.rubric("mentalalign")
    return dimension_digest(rubric, next(d for d in rubric.dimensions if d.name == "empathy"))


def test_ratings_of_the_run_are_used_first_and_split_by_rater(run: RunDir):
    """The spread of a question's mean is that of the means; how much a judge follows is known."""
    values = _rate(run, _digest())
    (one,) = rating_plan(run, _plan(JUDGED), TABLE).dimensions

    assert one.of == "ratings"
    assert one.deviation(3) == pytest.approx(values.mean(axis=1).std(ddof=1))
    within = values.var(axis=1, ddof=1).mean()
    assert one.deviation(1) ** 2 - one.deviation(3) ** 2 == pytest.approx(within * 2 / 3)
    assert one.needed(0.3, 5) < one.needed(0.3, 3) < one.needed(0.3, 2)
    assert one.judge == "tiny"
    noise = np.random.default_rng(3).normal(0, 0.3, N // 2)
    expected = np.corrcoef(values.mean(axis=1), TRUE + noise)[0, 1]
    assert one.correlation == pytest.approx(expected)
    least, own = one.beside_judge(200, 10_000)
    assert 100 <= least <= 102
    assert least < (own or 0) < 200


def test_ratings_of_another_text_are_left_alone(run: RunDir):
    """Another rubric text is another question, whatever its name."""
    _rate(run, "0" * 16)

    assert rating_plan(run, _plan(), TABLE).dimensions[0].of == "table"


def test_without_ratings_a_judges_spread_is_used_and_said(run: RunDir):
    (one,) = rating_plan(run, _plan(JUDGED), TABLE).dimensions

    assert one.of == "judge"
    assert "judge tiny (40 questions), whose ratings spread less" in one.source
    noise = np.random.default_rng(3).normal(0, 0.3, N // 2)
    assert one.deviation(3) == pytest.approx((TRUE + noise).std(ddof=1))
    assert one.correlation is None


def test_without_either_the_public_table_is_used_and_said(run: RunDir):
    plan = rating_plan(run, _plan(), TABLE)
    (one,) = plan.dimensions
    shown = text(plan, None)

    assert one.deviation(2) == one.deviation(5) == MENTALALIGN["empathy"]
    assert [one.needed(points, 3) for points in one.differences(None)] == [86, 191, 756]
    assert "from public ratings (MentalAlign-70k, empathy)" in shown
    assert "0.3 points: 86 questions" in shown
    assert "the run has 40" in shown
    assert "more raters a reply are not taken to help" in shown


def test_numbers_of_questions_too_small_for_an_interval_are_warned_of(run: RunDir):
    """A judge that gives all the same has no spread: three questions would do, it seems."""
    plan = rating_plan(run, _plan(), TABLE)
    warning = "With fewer than 20 rated questions the report has no interval"

    assert warning not in text(plan, None)
    assert warning in text(plan, 2.0)


def test_what_a_rater_reads_counts_what_comes_twice(run: RunDir):
    """30 questions, 3 of 6 raters, 2 conditions, a tenth more; at a minute and a half."""
    plan = rating_plan(run, _plan(), TABLE)

    assert plan.items(30) == 33
    assert plan.minutes(30) == 50
    assert "As configured: 30 questions, 6 packets of 33 replies each, 50 min" in text(plan, None)


def test_scripts_read_the_same_numbers(run: RunDir):
    _rate(run, _digest())
    plan = rating_plan(run, _plan(JUDGED), TABLE)
    shown, found = text(plan, 0.4), record(plan, 0.4)
    (needed,) = found["dimensions"][0]["needed"]

    assert needed["difference"] == 0.4
    assert f"0.4 points: {needed['questions']} questions with 3 raters" in shown
    assert found["configured"]["items_per_rater"] == 33
    assert found["dimensions"][0]["spread_from"] == "ratings"
    if needed["questions"] <= 40:
        assert f"beside tiny {needed['beside_own_judge']}" in shown


@pytest.mark.skipif(not public.MENTALALIGN.exists(), reason="the public ratings are not here")
@pytest.mark.parametrize("attribute", MENTALALIGN)
def test_the_table_is_what_the_public_ratings_have(attribute: str):
    """Median over the 45 pairs of ten systems of the deviation within a question."""
    human = [table for (rater, _), table in public.mentalalign().items() if rater == "human"]
    row = public.ATTRIBUTES.index(attribute)
    found = [np.nanstd(a[row] - b[row], ddof=1) for a, b in combinations(human, 2)]

    assert len(found) == 45
    assert np.median(found) == pytest.approx(MENTALALIGN[attribute], abs=0.005)


def test_shorter_scales_spread_less_and_yes_and_no_by_how_often_they_differ():
    epitome = rubrics.rubric("epitome").dimensions[0]
    crisis = rubrics.rubric("crisis").dimensions[0]

    assert known_spread(epitome)[0].deviation(1) == pytest.approx(0.98 / 2)
    assert known_spread(crisis)[0].deviation(1) == pytest.approx(np.sqrt(0.3))
    assert "assumed" in known_spread(crisis)[1]
