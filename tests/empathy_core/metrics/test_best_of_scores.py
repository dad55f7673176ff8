"""From stored scores to what is known of each sample: judges, juries, and guards against faults."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core.choice import SampleChoice
from empathy_core.metrics._best_of import chosen, is_guard, rated
from empathy_core.metrics._jury import juries
from empathy_core.types import ModelSpec
from tests.judging import asked, care
from tests.runs.best_of import FAULTS

MODEL = ModelSpec("tiny", "Tiny", "hf", "decoder", "./none")
KEYS = pl.DataFrame({"example": ["a", "a", "a"], "sample": [0, 1, 2]}).with_columns(
    pl.col("sample").cast(pl.Int32)
)


def scores(metric: Any, values: list[float | None], **more: list[float]) -> pl.DataFrame:
    """Return statistics with these scores; everything else is 0, and n is 1."""
    columns = {name: [0.0] * len(values) for name in metric.statistics}
    columns |= {"score": values, "n": [1.0] * len(values), **more}
    return KEYS.hstack(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64)))


@pytest.fixture
def judges(tmp_path: Path) -> dict[str, Any]:
    """Two judges of warmth, and one that looks for blame."""
    rubric, faults = care(tmp_path), care(tmp_path, FAULTS, "faults")
    warm = asked(MODEL, rubric)
    return {
        "one": warm,
        "two": replace(warm, judge="second", label="Second"),
        "blames": asked(MODEL, faults, "blames"),
    }


def choice(metric: str = "one", column: str = "", **changes: Any) -> SampleChoice:
    """Return a choice of the best of three samples by warmth."""
    usual = SampleChoice("of", 3, metric, (metric,), column or "tiny_care_warmth", "", "", "higher")
    return replace(usual, **changes)


def test_only_a_judge_of_severe_faults_guards(judges: dict[str, Any]):
    """Warmth is no fault."""
    assert [key for key, metric in judges.items() if is_guard(metric)] == ["blames"]


def test_a_fault_that_is_found_or_not_known_bars_a_sample(judges: dict[str, Any]):
    """Found from one half on; not known where the judge gave no answer; asked of none: no fault."""
    found = {
        "one": scores(judges["one"], [1.0, 2.0, None]),
        "blames": scores(judges["blames"], [0.5, None, None], low_mass=[0, 1, 0]),
    }

    rows = rated(choice(guards=("blames",)), judges, found)

    assert rows["score"].to_list() == [1.0, 2.0, None]
    assert rows["red"].to_list() == [True, None, False]
    assert chosen(choice(guards=("blames",)), judges, found)["sample"].to_list() == [None]
    assert chosen(choice(), judges, found)["sample"].to_list() == [1]


def test_a_jury_chooses_by_the_mean_of_its_judges_and_needs_them_all(judges: dict[str, Any]):
    """The second sample has the best mean of those that both rated."""
    [(key, jury)] = juries({name: judges[name] for name in ("one", "two")}).items()
    found = {
        "one": scores(judges["one"], [2.0, 1.5, 2.0]),
        "two": scores(judges["two"], [0.0, 1.5, None]),
    }
    by_jury = choice(key, jury.columns[0].name, made_of=("one", "two"))

    assert rated(by_jury, {**judges, key: jury}, found)["score"].to_list() == [1.0, 1.5, None]
    assert chosen(by_jury, {**judges, key: jury}, found)["sample"].to_list() == [1]
