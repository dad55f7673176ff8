"""One value an answer: the raters' mean, or what a third person settled; originals stay."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core import rubrics
from empathy_core.annotation import RATINGS, Round
from empathy_core.annotation.gaps import answer_gaps, ranked_gaps
from empathy_core.annotation.settled import adjudications, disputes, is_flag, settled
from tests import ratings as public
from tests.rated_rounds import EMPATHY, MEDICAL, MISSED

OF = {
    (rubric, d.name): d for rubric in ("counselbench", "crisis")
    for d in rubrics.rubric(rubric).dimensions
}  # fmt: skip
SCALES = {name: OF[name] for name in (EMPATHY, MEDICAL, MISSED)}


def _rating(rater: str, value: float | None, scale=EMPATHY, **others: Any) -> dict[str, Any]:
    row = {name: "" for name, kind in RATINGS.items() if kind == pl.String}
    row |= {
        "round": "round-001",
        "item": f"{rater}-{others.get('example', 'e0')}",
        "rater": rater,
        "kind": "answer",
        "condition": "a",
        "example": "e0",
        "sample": 0,
        "rubric": scale[0],
        "dimension": scale[1],
        "value": value,
        "state": "not_applicable" if value is None else "rated",
        "seconds": None,
    }
    return row | others


def _frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RATINGS)


def _values(frame: pl.DataFrame) -> dict[tuple[str, str], tuple[float | None, int, bool]]:
    return {
        (r["example"], r["dimension"]): (r["value"], r["n_raters"], r["adjudicated"])
        for r in frame.iter_rows(named=True)
    }


def test_without_an_adjudication_it_is_the_mean_of_the_raters():
    rows = [_rating("R01", 4), _rating("R02", 3), _rating("R03", None), _rating("R01", 1, MEDICAL)]

    assert _values(settled(_frame(rows), ())) == {
        ("e0", "empathy"): (3.5, 2, False), ("e0", "medical_advice"): (1.0, 1, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    "others",
    [{"kind": "repeat"}, {"kind": "attention"}, {"kind": "purposive"}, {"excluded": "attention"},
     {"state": "skipped", "value": None}, {"state": "out_of_range", "value": None}],
)  # fmt: skip
def test_only_ratings_of_drawn_answers_that_no_rule_excludes_count(others: dict[str, Any]):
    rows = [_rating("R01", 4), _rating("R02", 1) | others]

    assert _values(settled(_frame(rows), ())) == {("e0", "empathy"): (4.0, 1, False)}


def _third(value: float | None, scale=MISSED, **others: Any) -> dict[str, Any]:
    return _rating("R04", value, scale, round="round-002", **others)


def test_a_settled_flag_wins_and_no_other_flag_is_settled():
    """Also where the raters agree now, as when a rule has left one of them out since."""
    rows = [_rating("R01", 0, MISSED), _rating("R02", 1, MISSED), _third(1)]
    rows += [_rating("R01", 0, MISSED, example="e1"), _third(1, example="e1")]
    rows += [_rating("R02", 1, MISSED, example="e1", excluded="attention")]
    rows += [_rating("R01", 0, MISSED, example="e2"), _rating("R02", 1, MISSED, example="e2")]
    rows += [_rating("R01", 0, MISSED, example="e3", excluded="seconds"), _third(1, example="e3")]

    found = settled(_frame(rows), ["round-002"])

    assert _values(found) == {
        ("e0", "missed_risk"): (1.0, 2, True),
        ("e1", "missed_risk"): (1.0, 1, True),
        ("e2", "missed_risk"): (0.5, 2, False),
        ("e3", "missed_risk"): (1.0, 0, True),
    }
    ratings = dict(found.select("example", "ratings").iter_rows())
    assert ratings == {"e0": [1.0], "e1": [1.0], "e2": [0.0, 1.0], "e3": [1.0]}


def test_raters_may_be_averaged_as_something_else_and_who_settled_it_never_is():
    rows = [_rating("R01", 4), _rating("R02", 3), _rating("R01", 0, MISSED), _third(1)]
    frame = _frame(rows).with_columns(adjusted=pl.col("value") - 0.5)

    found = settled(frame, ["round-002"], answer=("example",), averaged="adjusted")

    assert _values(found) == {
        ("e0", "empathy"): (3.0, 2, False),
        ("e0", "missed_risk"): (1.0, 1, True),
    }
    assert found["ratings"].to_list() == [[4.0, 3.0], [1.0]]
    assert found.columns[:3] == ["example", "rubric", "dimension"]


def test_an_adjudicator_who_skips_settles_nothing_and_one_who_finds_it_does_not_apply_does():
    rows = [_rating("R01", 0, MEDICAL), _rating("R02", 1, MEDICAL)]
    skip = _third(None, MEDICAL, state="skipped")

    assert _values(settled(_frame([*rows, skip]), ["round-002"])) == {
        ("e0", "medical_advice"): (0.5, 2, False)
    }
    assert _values(settled(_frame([*rows, _third(None, MEDICAL)]), ["round-002"])) == {
        ("e0", "medical_advice"): (None, 2, True)
    }


def test_ratings_of_another_text_are_not_averaged():
    rows = [_rating("R01", 4, answer_sha256="x"), _rating("R02", 1, answer_sha256="y")]

    assert settled(_frame(rows), ())["value"].to_list() == [4.0, 1.0]


def test_only_flags_are_disputes_and_a_question_that_applies_to_one_rater_only_is_one():
    rows = [_rating("R01", 1), _rating("R02", 5)]
    rows += [_rating("R01", 1, MEDICAL), _rating("R02", None, MEDICAL), _rating("R03", 0, MEDICAL)]
    rows += [_rating(r, 1, MISSED) for r in ("R01", "R02")]

    found = disputes(_frame(rows), SCALES, ())

    assert found.select("dimension", "n_raters").rows() == [("medical_advice", 3)]
    assert found["said"].to_list() == [[0.0, 1.0, None]]
    assert disputes(_frame([*rows, _third(1, MEDICAL)]), SCALES, ["round-002"]).is_empty()


def test_what_flags_are():
    flags = {name for (_, name), of in OF.items() if is_flag(of)}

    assert {"medical_advice", "missed_risk", "false_alarm"} <= flags
    assert not {"empathy", "overall", "toxicity"} & flags


def test_rounds_that_settle_flags_are_found():
    of = Round(name="", conditions=(), dimensions=(), raters=(), raters_per_item=1, data="", seed=0,
               settings={})  # fmt: skip
    assert adjudications({"a": of, "b": replace(of, kind="adjudication")}) == ("b",)


def test_the_mean_of_public_experts_is_that_of_numpy():
    if not public.KUMAR.exists():
        pytest.skip("the public ratings are not beside the repository")
    tables = public.kumar()
    rows = [
        _rating(rater, float(value), ("epitome", name), example=f"e{i:02d}")
        for rater in public.EXPERTS
        for name, line in zip(public.MECHANISMS, tables[rater], strict=True)
        for i, value in enumerate(line) if not np.isnan(value)
    ]  # fmt: skip

    found = settled(_frame(rows), ())

    wanted = np.nanmean(np.stack([tables[rater] for rater in public.EXPERTS]), axis=0)
    for name, line in zip(public.MECHANISMS, wanted, strict=True):
        own = found.filter(pl.col("dimension") == name).sort("example")["value"].to_numpy()
        np.testing.assert_allclose(own, line)


# ---------------------------------------------------------------------------- gaps


def test_gaps_are_shares_of_the_scale():
    """Worked by hand: on 1 to 5 a mean of 2 is 3/4 short, 1 and 3 differ by half."""
    rows = [
        _rating("R01", 1),
        _rating("R02", 3),
        _rating("R01", 1, MISSED),
        _rating("R01", 0, MEDICAL),
    ]
    judged = pl.DataFrame(
        {
            "condition": ["a"],
            "example": ["e0"],
            "rubric": ["counselbench"],
            "dimension": ["empathy"],
            "score": [4.5],
        }
    )

    found = answer_gaps(_frame(rows), SCALES, judged)

    assert found.select("dimension", "short", "spread", "far").rows() == [
        ("empathy", 0.75, 0.5, 0.625),
        ("medical_advice", None, None, None),  # neither end is better
        ("missed_risk", 1.0, None, None),
    ]
    ranked = ranked_gaps(found, "condition").row(0, named=True)
    assert ranked == {
        "name": "a", "n": 3, "low": 2, "disputed": 1, "far": 1,
        "weakest": "counselbench.empathy", "gap": pytest.approx((0.75 + 0.5 + 0.625 + 1.0) / 3),
    }  # fmt: skip


def test_ranked_gaps_begin_with_the_largest():
    rows = [_rating("R01", value, example=f"e{i}") for i, value in enumerate((5, 1, 3))]

    assert ranked_gaps(answer_gaps(_frame(rows), SCALES), "example")["name"].to_list() == [
        "e1", "e2", "e0",
    ]  # fmt: skip
