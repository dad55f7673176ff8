"""How often an adapter prefers the chosen reply of held-out pairs: from its curve, in its card."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.training.adapter.adapters import read
from empathy_core.training.adapter.card import card
from empathy_core.training.adapter.held_out import held_out, held_out_text
from empathy_core.training.loop.job import LogPoint, Losses, Trained
from empathy_core.training.preference.pairs import PAIRS
from tests.empathy_core.training.test_adapters import llama, published  # noqa: F401

MARGINS = {"a": 1.5, "b": -0.5, "c": 0.25, "d": 0.0}


def _trained(*points: LogPoint, best: int) -> Trained:
    nothing = Path("nowhere")
    return Trained(
        nothing, nothing, None, points, Losses(0.7, 0.6), best_step=best, n_steps=2, n_tokens=1,
        seconds=1.0, n_trainable=1, n_weights=1, chosen="validation",
    )  # fmt: skip


def _frame() -> pl.DataFrame:
    rows = {"id": [*"abcd", "e"], "question": ["q1", "q1", "q2", "q3", "q4"]}
    return pl.DataFrame(rows, schema={name: PAIRS[name] for name in rows})


def test_the_share_is_of_the_checkpoint_that_was_taken() -> None:
    points = (
        LogPoint(0, 0.0, validation_loss=0.69, margins=dict.fromkeys("abcd", 0.0)),
        LogPoint(1, 0.5, validation_loss=0.60, margins=MARGINS),
        LogPoint(2, 1.0, loss=0.61),
        LogPoint(2, 1.0, validation_loss=0.62, margins=dict.fromkeys("abcd", -1.0)),
    )
    found = held_out(_trained(*points, best=1), _frame())
    assert (found["share"], found["n"], found["n_questions"]) == (0.625, 4, 3)
    assert held_out(_trained(*points, best=2), _frame())["share"] == 0.0


def test_without_pairs_or_margins_there_is_nothing() -> None:
    point = LogPoint(1, 0.5, validation_loss=0.6)
    assert held_out(_trained(point, best=1), _frame()) == {}
    assert held_out(_trained(replace(point, margins=MARGINS), best=1), None) == {}
    assert held_out_text({}) == ""


def test_the_sentence_stands_in_the_card_beside_what_cannot_read(published: Path) -> None:  # noqa: F811
    cue = {"cue": "style", "share": 0.9, "low": 0.8, "high": 0.96, "n": 40, "n_questions": 30}
    told = {"share": 0.7, "low": None, "high": None, "n": 40, "n_questions": 30}
    pairs = {"found": 50, "kept": 40, "notes": [], "cues": [cue], "held_out": told}
    said = held_out_text(pairs)
    assert said == (
        "Of 40 held-out pairs (30 questions), it prefers the chosen reply more than its reference "
        "does in 70%; a classifier that sees style alone does in 90% (95 % interval 80% to 96%)."
    )
    assert said in card(replace(read(published), pairs=pairs))
    without = {key: of for key, of in pairs.items() if key not in ("cues", "held_out")}
    assert "held-out" not in card(replace(read(published), pairs=without))  # of earlier versions


@pytest.mark.parametrize("cues", [[], None])
def test_without_classifiers_the_share_stands_alone(cues: list | None) -> None:
    told = {"share": 1.0, "low": None, "high": None, "n": 4, "n_questions": 4}
    assert held_out_text({"held_out": told, "cues": cues or []}).endswith("does in 100%.")
