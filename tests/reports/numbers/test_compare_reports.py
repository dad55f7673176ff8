"""Two reports number by number: what moved, and which declared change explains it."""

from dataclasses import replace

import polars as pl
import pytest

from reports.changes import CHANGES, VERSION, Constituent, Unlike, between
from reports.numbers.report_diff import Movements, Reported, compare_reports
from reports.rows.unlike import features, unlike
from reports.tables import report_diff as movements_text

HIDDEN = "\N{ZERO WIDTH SPACE}\N{WORD JOINER}"
NUMBERS = {
    "key": pl.String, "kind": pl.String, "value": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "p": pl.Float64, "n": pl.Int64, "n_questions": pl.Int64,
    "text": pl.String, "low_text": pl.String, "high_text": pl.String, "p_text": pl.String,
}  # fmt: skip


def number(key: str, value: float, p: float | None = None, low: float = 0.1) -> dict[str, object]:
    """Return a line of ``results.csv``."""
    kind = "difference" if "-vs-" in key else "contrast" if key.startswith("contrast.") else "score"
    return {
        "key": key, "kind": kind, "value": value, "low": low, "high": 0.9, "p": p, "n": 30,
        "n_questions": 25, "text": f"{value:.4f}", "low_text": f"{low:.4f}", "high_text": "0.9000",
        "p_text": "" if p is None else f"{p:.3f}",
    }  # fmt: skip


def reported(*numbers: dict[str, object], version: int = 0, **changed: object) -> Reported:
    """Return a report of these numbers."""
    of = Reported(
        name=f"v{version}",
        version=version,
        data="d" * 16,
        conditions=("A", "B"),
        numbers=pl.DataFrame(list(numbers), schema=NUMBERS),
        metrics={"rouge": (f"rouge|{version}",), "diagnostics": ("diagnostics",)},
        columns={"rouge1": ("rouge", False), "empty": ("diagnostics", True)},
    )
    return replace(of, **changed)


SIDES = {
    ("a", "rouge"): Constituent("A"),
    ("b", "rouge"): Constituent("B", samples=3),
    ("a", "diagnostics"): Constituent("A"),
    ("b", "diagnostics"): Constituent("B", samples=3),
}


def compared(
    before: dict[str, object],
    now: dict[str, object],
    sides: dict[tuple[str, str], Constituent] = SIDES,
) -> Movements:
    """Compare a number of version 0 with what today's version makes of it."""
    return compare_reports(
        reported(before), reported(now, version=VERSION), sides, {"c": ("a", "b")}
    )


def explained(found: Movements) -> dict[str, set[str]]:
    """Return part → what the changes that can have moved it are about."""
    return {m.part: {c.about for c in m.causes} for m in found.found}


def test_what_is_equal_after_rounding_has_not_moved():
    """Reports hold six decimals."""
    found = compared(number("a.rouge1", 0.5), number("a.rouge1", 0.500001))

    assert found.found == ()
    assert found.n_same == 1


def test_a_difference_with_several_samples_is_explained_by_them():
    """And one of a sample each is not."""
    both = compared(number("b-vs-a.rouge1", 0.5, 0.01), number("b-vs-a.rouge1", -0.2, 0.01))
    alone = compared(number("a.rouge1", 0.5), number("a.rouge1", 0.4))

    assert "several samples" in explained(both)["value"]
    assert "several samples" not in explained(alone)["value"]


def test_a_contrast_is_made_of_its_conditions():
    """Their samples explain it as they explain a difference."""
    found = compared(number("contrast.c.rouge1", 0.5, 0.01), number("contrast.c.rouge1", 0.1, 0.01))

    assert "several samples" in explained(found)["value"]


def test_a_p_alone_is_explained_by_the_number_of_shuffles():
    """A score has none."""
    found = compared(number("b-vs-a.rouge1", 0.5, 0.012), number("b-vs-a.rouge1", 0.5, 0.01))

    assert "number of shuffles" in explained(found)["p"]
    assert set(explained(found)) == {"p"}


@pytest.mark.parametrize(
    ("key", "about", "other"),
    [
        ("a.empty", "intervals of shares", "intervals of means"),
        ("a.rouge1", "intervals of means", "intervals of shares"),
    ],
)
def test_an_interval_is_explained_by_its_kind(key: str, about: str, other: str):
    """Shares and means have changes of their own."""
    found = compared(number(key, 0.5), number(key, 0.5, low=0.2))

    assert about in explained(found)["interval"]
    assert other not in explained(found)["interval"]


def test_rows_that_lack_a_score_explain_a_difference():
    """Only where there are such rows."""
    lacking = SIDES | {("b", "rouge"): Constituent("B", lacking=True)}
    pair = number("b-vs-a.rouge1", 0.5, 0.01), number("b-vs-a.rouge1", 0.4, 0.01)

    assert "missing rows" in explained(compared(*pair, lacking))["value"]
    assert "missing rows" not in explained(compared(*pair))["value"]


def test_the_rows_that_changed_say_which_change_it_was():
    """Rows that are alike in being empty are not explained by other scripts, nor the other way."""
    empty = SIDES | {
        ("a", "rouge"): Constituent("A", unlike=Unlike({("m-1", 0): ("nothing visible",)}))
    }
    script = SIDES | {
        ("a", "rouge"): Constituent("A", unlike=Unlike({("m-1", 0): ("letters of other scripts",)}))
    }
    none = SIDES | {("a", "rouge"): Constituent("A", unlike=Unlike({}))}
    pair = number("a.rouge1", 0.5), number("a.rouge1", 0.4)

    assert explained(compared(*pair, empty))["value"] == {"empty answers"}
    assert explained(compared(*pair, script))["value"] == {"nothing to count"}
    assert explained(compared(*pair, none))["value"] == set()


def test_without_rows_whatever_may_have_moved_a_score_is_named():
    """A report that was copied away has no rows beside it."""
    found = compared(number("a.rouge1", 0.5), number("a.rouge1", 0.4), {})

    assert explained(found)["value"] == {"answers", "empty answers", "nothing to count"}


def test_answers_that_are_those_of_before_are_not_said_to_be_others():
    """Of scores that were made of the same answers, no change of the answers is a cause."""
    same = SIDES | {("a", "rouge"): Constituent("A", unlike=Unlike({}))}
    before, now = number("a.rouge1", 0.5), number("a.rouge1", 0.4)

    assert "answers" in explained(compared(before, now))["value"]
    assert "answers" not in explained(compared(before, now, same))["value"]


def test_two_reports_of_one_version_are_not_explained_by_changes():
    """Something else moved them, and that is said."""
    found = compare_reports(
        reported(number("a.rouge1", 0.5), version=VERSION),
        reported(number("a.rouge1", 0.4), version=VERSION),
        SIDES,
        {},
    )

    assert explained(found) == {"value": set()}
    assert "no declared change of the suite explains it" in movements_text.text(found)


def test_a_number_that_only_one_report_has_is_a_matter_of_keys():
    """So is one that had another's key."""
    gone = compare_reports(
        reported(number("a.rouge1@age-18-25", 0.5)), reported(version=VERSION), SIDES, {}
    )
    twice = compare_reports(
        reported(number("a.rouge1@x", 0.5), number("a.rouge1@x", 0.7)),
        reported(number("a.rouge1@x", 0.7), version=VERSION),
        SIDES,
        {},
    )

    assert "keys" in explained(gone)["key"]
    assert "keys" in explained(twice)["value"]


def test_the_text_names_numbers_changes_and_rows():
    """What a coauthor is told: before, now, the sentence, and which answers it was."""
    sides = SIDES | {
        ("a", "rouge"): Constituent(
            "A", unlike=Unlike({("m-1", 0): ("nothing visible",), ("m-2", 1): ()})
        )
    }
    found = compared(number("a.rouge1", 0.5), number("a.rouge1", 0.4), sides)

    shown = movements_text.text(found)

    assert "a.rouge1  value: 0.5000 -> 0.4000" in shown
    assert next(c for c in CHANGES if c.about == "empty answers").says in shown
    assert "A, rouge: 1 row (nothing visible): m-1" in shown
    assert "metric rouge: rouge|0\n  -> rouge|" in shown
    assert next(c for c in CHANGES if c.about == "verdicts").says in shown


def test_versions_count_the_changes():
    """Each has its own number, and between two lie those of the newer."""
    assert [c.version for c in CHANGES] == list(range(1, VERSION + 1))
    assert [c.version for c in between(VERSION, VERSION - 2)] == [VERSION - 1, VERSION]
    assert between(VERSION, VERSION) == ()


# ---------------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (HIDDEN, "nothing visible"),
        ("\x00", "nothing visible"),
        ("[SEP]", "nothing visible"),
        ("<|eot|></s>", "nothing visible"),
        (f"you are not{HIDDEN} alone with this", "invisible characters"),
        ("cafe\u0301 is where we can talk again", "not in composed form"),
        ("我 很 难过 , 怎么 办", "letters of other scripts"),
        ("Rest now.", "very short"),
    ],
)
def test_what_is_special_about_a_row_is_named(text: str, feature: str):
    """By what the metrics have been known to get wrong."""
    assert feature in set(features(text, "I hear you, and you are not alone with this."))


def test_an_ordinary_row_has_no_feature():
    """Plain English of some words."""
    plain = "I hear you, and you are not alone with this."

    assert list(features(plain, plain)) == []


def test_rows_are_compared_by_the_statistics_that_both_have():
    """A row that became scored or unscored differs; a new statistic alone is no difference."""
    keys = {"example": ["m-1", "m-2", "m-3"], "sample": [0, 0, 0]}
    before = pl.DataFrame({**keys, "hits": [1.0, 2.0, None], "n": [1.0, 1.0, 1.0]})
    now = pl.DataFrame(
        {**keys, "hits": [1.0, 0.0, 3.0], "n": [1.0, 1.0, 1.0], "short": [0.0, 1.0, 1.0]}
    )
    texts = pl.DataFrame(
        {**keys, "text": ["a", HIDDEN, "c"], "reference": ["one two three four five"] * 3}
    )

    found = unlike(before, now, texts)

    assert list(found.rows) == [("m-2", 0), ("m-3", 0)]
    assert "nothing visible" in found.rows["m-2", 0]
