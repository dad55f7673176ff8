"""What is said of a refinement: plainly if nothing got better, and always how often was looked."""

from dataclasses import replace

import pytest

from empathy_core.types import Column
from reports.refined import MovedColumn, PromptGain, PromptOnTest, RefinementOutcome
from reports.tables.refined import notes_of, refinement_tables, text, verdict
from reports.tables.table import TableText

WARMTH = Column("warmth", "Warmth", "higher", 2)
WORDS = Column("words", "Words", None, 1, group="Length")
WORDY = MovedColumn(WORDS, 30.0, 45.0, 15.0, 10.0, 20.0, 0.0001, 40)


def gain(value: float, p: float | None = 0.2, n_left_out: int = 0) -> PromptGain:
    """Return a gain with an interval of a tenth to each side."""
    return PromptGain(1.0, 1.0 + value, value, value - 0.1, value + 0.1, p, 40, n_left_out)


def on_test(value: float, p: float | None, **changed: object) -> PromptOnTest:
    """Return a prompt with this test gain."""
    one = PromptOnTest("kind", gain(0.3), gain(value, p), 0.3 - value, p, (WORDY,))
    return replace(one, **changed)  # type: ignore[arg-type]


def outcome(*prompts: PromptOnTest, **changed: object) -> RefinementOutcome:
    """Return an outcome of the refinement ``warmer``."""
    one = RefinementOutcome(
        name="warmer", model="Echo", parent="prompt2", target=WARMTH, better="higher",
        n_candidates=5, dropped={"it is empty": 3}, n_rounds=3, n_validation=64, n_test=40,
        chosen="kind" if prompts else "", best=gain(0.3 if prompts else -0.05), tested=prompts,
        test="d",
    )  # fmt: skip
    return replace(one, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "p", "said"),
    [
        (0.25, 0.01, "kind is better than prompt2 on the test rows (test gain +0.25 [+0.15, "),
        (
            0.05,
            0.3,
            "no improvement was found on the test rows (test gain +0.05 [\N{MINUS SIGN}0.05, ",
        ),
        (-0.2, 0.01, "kind is worse than prompt2 on the test rows (test gain \N{MINUS SIGN}0.20"),
        (0.05, None, "too few questions to test"),
    ],
)
def test_the_verdict_follows_the_test(value: float, p: float | None, said: str) -> None:
    """The gain on validation decides nothing; optimism is their difference."""
    found = verdict(outcome(on_test(value, p)))

    assert said in found
    assert "validation gain +0.30, optimism" in found


def test_nothing_got_better_is_said_plainly() -> None:
    """And that the test rows stay unseen; or, where they were looked at all the same, that too."""
    assert verdict(outcome()) == (
        "no candidate was better than prompt2 on validation (the best: \N{MINUS SIGN}0.05), so "
        "that the test rows were not looked at. Nothing got better."
    )
    assert "none was better on validation" in verdict(outcome(on_test(0.0, 0.9), chosen=""))
    (table,) = refinement_tables([outcome()], {}, TableText("", "tab", ()))
    assert not any("looked at" in note for note in table.words.notes if "times" in note)


def test_every_table_says_how_often_was_looked() -> None:
    """At these test rows; looks at others are not counted."""
    tables = refinement_tables(
        [outcome(on_test(0.1, 0.2))], {"d": 3, "e": 9}, TableText("", "", ())
    )

    assert len(tables) == 2
    for table in tables:
        assert any("looked at 3 times" in note for note in table.words.notes)
    once = " ".join(notes_of(outcome(on_test(0.1, 0.2)), {"d": 1}))
    assert "looked at once" in once


def test_what_else_moved_and_what_weakens_it_is_told() -> None:
    """Length, the other judge's column, rows without a score, what was dropped, what was seen."""
    other = replace(WORDY, column=Column("w2", "Warmth (other)", "higher", 2), difference=-0.1)
    one = on_test(0.1, 0.2, reported=other, test=gain(0.1, 0.2, n_left_out=4))
    said = text(outcome(one, seen=("kind",), remarks=("chosen by one judge",)), {"d": 1})

    assert "Length (Words)" in said
    assert "+15.0 [+10.0, +20.0]" in said
    assert (
        "reported by Warmth (other) ↑, by which nothing was chosen: kind \N{MINUS SIGN} prompt2 is"
        in said
    )
    assert "leaves out 4 of 44 test rows" in said
    assert "dropped: 3 (it is empty)" in said
    assert "kind had answered test rows in this run before the choice" in said
    assert "chosen by one judge." in said
    assert "Holm over 1 prompt tested" in said
