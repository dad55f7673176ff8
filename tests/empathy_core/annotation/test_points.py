"""A cell of a returned file means one point of the scale, or nothing: nothing is guessed."""

from dataclasses import replace

import pytest

from empathy_core import rubrics
from empathy_core.annotation.points import read_point
from empathy_core.rubrics.spec import Anchor, Dimension

OF = {d.name: d for d in rubrics.rubric("counselbench").dimensions}
EMPATHY, FACTS, MEDICAL = OF["empathy"], OF["factual_consistency"], OF["medical_advice"]
RANGES = Dimension(
    name="ranges",
    label="Ranges",
    question="How many?",
    direction="higher",
    anchors=tuple(
        Anchor(i, text, f"From {text}") for i, text in enumerate(("0", "1-2", "3-5", "6-9"))
    ),
)
BOTH_WAYS = replace(RANGES, anchors=(Anchor(0, "1-2", "Rising."), Anchor(1, "2-1", "Falling.")))


@pytest.mark.parametrize(
    "said",
    [
        "4",
        "4 ",
        " 4",
        "4.0",
        "4,0",
        "4.",
        "4.00",
        "'4",
        "“4”",
        '="4"',
        "=4",
        "\u00a04",
        "\uff14",
        "4e0",
        "4 = good",
        "4 - Good",
        "4: Good",
        "4 \u2013 Good",
        "(4)"[1:2],
        "4 (good)",
        "good",
        "GOOD",
        "4. Good",
        "4 good",
        EMPATHY.anchors[3].text,
        f"4: {EMPATHY.anchors[3].text}",
        "\ufeff4",
        "\u200b4",
    ],
)
def test_a_four_stays_a_four_whatever_a_spreadsheet_made_of_it(said: str):
    read = read_point(said, EMPATHY)

    assert (read.state, read.value, read.label) == ("rated", 4.0, "4")
    assert (read.repair == "") == (said == "4")


@pytest.mark.parametrize("said", ["6", "0", "-1", "5.5", "6,0", "45413", "9999999"])
def test_a_number_outside_the_scale_has_no_value(said: str):
    read = read_point(said, EMPATHY)

    assert (read.state, read.value) == ("out_of_range", None)
    assert "outside the scale (1 to 5)" in read.why


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("3.5", "between"),
        ("4,5", "between"),
        ("4.000", "thousand"),
        ("1,000", "thousand"),
        ("5-Jan", "date"),
        ("01-May", "date"),
        ("2026-05-01", "date"),
        ("2026-05-01 00:00:00", "date"),
        ("1/5/2026", "date"),
        ("5. Jan", "date"),
        ("Jan-05", "date"),
        ("1. Mai", "date"),
        ("4-5", "point"),
        ("4/5", "point"),
        ("4 or 5", "more than one"),
        ("4 = slight", "more than one"),
        ("4 - but 3 for tone", "more than one"),
        ("good or excellent", "point"),
        ("?", "point"),
        ("none", "empty cell"),
        ("-", "point"),
        ("four", "point"),
        ("44", "outside"),
    ],
)
def test_what_may_mean_several_things_has_no_value_and_a_reason(said: str, why: str):
    read = read_point(said, EMPATHY)

    assert read.value is None
    assert read.state in ("unreadable", "out_of_range")
    assert why in read.why


@pytest.mark.parametrize("said", ["", "  ", "nan", "NaN", "null", "NULL", "<NA>", "\u00a0"])
def test_an_empty_cell_says_nothing(said: str):
    assert read_point(said, EMPATHY).state == ""


@pytest.mark.parametrize("said", ["X", "x", "N/A", "n/a", "NA", "n.a.", "#N/A", "Not applicable"])
def test_not_applicable_is_a_state_and_no_number(said: str):
    read = read_point(said, FACTS)

    assert (read.state, read.value, read.label) == ("not_applicable", None, "X")
    assert read.why == ""


def test_what_the_question_calls_the_answer_outside_its_scale_is_understood():
    assert read_point("not sure", MEDICAL).state == "not_applicable"


def test_not_applicable_where_it_is_not_offered_is_reported():
    read = read_point("N/A", EMPATHY)

    assert read.state == "not_applicable"
    assert "offers no such answer" in read.why


@pytest.mark.parametrize("said", ["Yes", "yes", "Y", "TRUE", "1", "1.0", "Yes: It tells"])
def test_words_and_numbers_for_yes(said: str):
    assert read_point(said, MEDICAL).value == 1


@pytest.mark.parametrize("said", ["No", "n", "0", "false", "NO"])
def test_words_and_numbers_for_no(said: str):
    assert read_point(said, MEDICAL).value == 0


@pytest.mark.parametrize("said", ["2", "maybe", "yes and no", "0.5"])
def test_neither_yes_nor_no_has_no_value(said: str):
    assert read_point(said, MEDICAL).value is None


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("2-Jan", "1-2"),
        ("1-Feb", "1-2"),
        ("02-Jan-26", "1-2"),
        ("2026-01-02", "1-2"),
        ("5-Mar", "3-5"),
        ("03/05/2026", "3-5"),
        ("9-Jun", "6-9"),
        ("Jun-09", "6-9"),
    ],
)
def test_a_label_that_became_a_date_is_recovered_where_it_is_the_only_one(said: str, label: str):
    read = read_point(said, RANGES)

    assert (read.label, read.repair) == (label, "turned into a date")


def test_a_date_that_two_labels_could_have_become_is_refused():
    assert read_point("2-Jan", BOTH_WAYS).state == "unreadable"
    assert read_point("5-Jan", RANGES).state == "unreadable"


def test_skipped_is_a_state():
    assert read_point("skipped", EMPATHY).state == "skipped"
