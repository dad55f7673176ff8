"""A jury is the mean of its judges, over the rows that all of them rated."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core import rubrics
from empathy_core.metrics import _judge, _preference
from empathy_core.metrics._jury import Jury, juries
from empathy_core.types import ModelSpec


def judge(name: str, dimension: str = "key", rubric: str = "emotionqueen", **changes: Any) -> Any:
    whole = rubrics.rubric(rubric)
    asked = next(d for d in whole.dimensions if d.name == dimension)
    model = ModelSpec(name, name.upper(), "hf", "decoder", f"./{name}")
    kind = _preference.Metric if whole.pairwise else _judge.Metric
    return kind(name, name.upper(), model, replace(whole, dimensions=(asked,)), **changes)


def frame(metric: Any, scores: list[float | None]) -> pl.DataFrame:
    """Return rows of a judge: the score, PASS and WIN of it, and 1; other statistics are 0."""
    columns = dict.fromkeys(metric.statistics, 0.0)
    keys = pl.DataFrame({"example": [f"e{i}" for i in range(len(scores))], "sample": 0})
    score = pl.Series(scores, dtype=pl.Float64)
    own = {"score": score, "pass": score / 2, "win": score / 4, "n": pl.lit(1.0)}
    return keys.with_columns(**{**{n: pl.lit(v) for n, v in columns.items()}, **own})


def test_judges_of_one_dimension_are_a_jury_and_no_others():
    """Not one judge alone, nor paraphrases, faults, comparisons, or another dimension."""
    asked = {
        "a": judge("one"), "b": judge("two"), "c": judge("one", "intention"),
        "d": judge("one", rubric="emotionqueen_2"), "e": judge("two", rubric="emotionqueen_2"),
        "f": judge("one", "blaming", "crisis"), "g": judge("two", "blaming", "crisis"),
        "h": judge("one", "empathy", "emrank"), "i": judge("two", "empathy", "emrank"),
    }  # fmt: skip
    found = juries(asked)

    assert [list(jury.members) for jury in found.values()] == [["a", "b"]]
    assert next(iter(found)).startswith("jury_emotionqueen_key-")
    assert next(iter(juries({"a": judge("one"), "z": judge("two")}))) not in found


def test_a_jury_is_the_mean_where_all_judges_rated():
    """A row that one judge left out has no score; PASS and WIN are means, too."""
    one, two = judge("one"), judge("two")
    jury = Jury({"a": one, "b": two})
    rows = jury.combined(
        [frame(one, [2.0, 1.0, None]), frame(two, [1.0, 0.0, 2.0])], ["example", "sample"]
    )

    assert rows["score"].to_list() == [1.5, 0.5, None]
    assert rows["pass"].to_list() == [0.75, 0.25, None]
    scored = rows.select(jury.statistics).drop_nulls().to_numpy()
    assert jury.score(scored.sum(axis=0)) == pytest.approx([1.0, 0.5, 0.25])
    assert np.isnan(jury.score(np.zeros(4))).all()


def test_its_columns_name_the_judges():
    """And are as those of one judge else; what only one judge has, its mass, is none of it."""
    jury = Jury({"a": judge("one"), "b": judge("two")})
    own = judge("one").columns

    assert [c.name for c in jury.columns] == [
        "jury_emotionqueen_key", "jury_emotionqueen_key_pass", "jury_emotionqueen_key_win",
    ]  # fmt: skip
    assert all(
        "(jury: ONE, TWO)" in c.group and c.judge == "jury of ONE, TWO" for c in jury.columns
    )
    assert [(c.label, c.main, c.most) for c in jury.columns] == [
        (c.label, c.main, c.most) for c in own if c.judge
    ]
