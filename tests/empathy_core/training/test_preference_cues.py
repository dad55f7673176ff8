"""Length and style that tell the preferred reply: planted, absent, and counted by other code."""

import math
import random

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.stats import beta

from empathy_core.training.preference.cues import LEAST, cues, cues_text, style
from empathy_core.training.preference.pair_share import pair_share
from empathy_core.training.preference.pairs import PAIRS

WORDS = ("sleep", "night", "tired", "work", "mother", "talk", "help", "slow", "morning", "quiet")


def _frame(replies: list[tuple[str, str]], held: int) -> pl.DataFrame:
    """Return pairs of (chosen, rejected), of which the last so many are held out."""
    rows = [
        {"id": f"pair-{i:04d}", "question": f"q{i}", "chosen": chosen, "rejected": rejected,
         "split": "validation" if i >= len(replies) - held else "train"}
        for i, (chosen, rejected) in enumerate(replies)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={name: PAIRS.get(name, pl.String) for name in PAIRS})


def _text(draw: random.Random, n: int, end: str = ".") -> str:
    return " ".join(draw.choice(WORDS) for _ in range(n)) + end


def _sentences(draw: random.Random, n: int) -> str:
    return " ".join(_text(draw, 5) for _ in range(n))


def test_where_length_tells_the_chosen_reply_length_alone_is_told() -> None:
    draw = random.Random(0)
    replies = [
        (_sentences(draw, n + 1), _sentences(draw, n)) for n in draw.choices(range(4, 9), k=90)
    ]
    by_length, by_style = cues(_frame(replies, 40))
    assert (by_length["cue"], by_length["share"], by_length["n"]) == ("length", 1.0, 40)
    assert by_style["share"] < 0.9


def test_where_punctuation_tells_the_chosen_reply_style_alone_is_told() -> None:
    draw = random.Random(0)
    replies = [(_text(draw, 20, " so."), _text(draw, 20, " and")) for _ in range(60)]
    by_length, by_style = cues(_frame(replies, 30))
    assert by_length["share"] == 0.5  # nothing tells them apart: a half, neither right nor wrong
    assert by_style["share"] == 1.0
    assert by_style["most"] == "ends of replies"
    assert "by style alone in 100%" in cues_text([by_length, by_style])
    assert "of style, ends of replies identify most" in cues_text([by_length, by_style])


def test_what_was_learnt_counts_on_other_pairs_and_not_on_its_own() -> None:
    draw = random.Random(0)
    longer = [(_text(draw, 30), _text(draw, 20)) for _ in range(30)]
    shorter = [(rejected, chosen) for chosen, rejected in longer[:20]]
    assert cues(_frame([*longer, *shorter], 20))[0]["share"] == 0.0


def test_too_few_pairs_say_nothing() -> None:
    replies = [("Yes.", "No no.")] * (3 * LEAST)
    assert cues(_frame(replies, LEAST - 1)) == []
    assert cues(_frame(replies, len(replies) - LEAST + 1)) == []
    assert len(cues(_frame(replies, LEAST))) == 2
    assert cues_text([]) == ""


def test_style_knows_neither_length_nor_words() -> None:
    once = "You sleep, and I wait (a bit)! Why? "
    assert style(once * 5) == pytest.approx(style(once))
    assert style("You rest, and I bake (a cat)! Who? ")[:10] == style(once)[:10]


def test_the_shares_are_those_of_code_that_was_written_without_looking() -> None:
    draw = random.Random(4)
    replies = [
        (_text(draw, draw.randint(20, 44), draw.choice("!.?")),
         _text(draw, draw.randint(18, 40), draw.choice(".?")))
        for _ in range(120)
    ]  # fmt: skip
    frame = _frame(replies, 50)
    logs = np.array([math.log(len(c.split()) / len(r.split())) for c, r in replies])
    train, held = logs[:70], logs[70:]
    train, held = train / math.sqrt(np.mean(train**2)), held / math.sqrt(np.mean(train**2))
    best = minimize(lambda w: np.log1p(np.exp(-w * train)).sum() + 0.5 * w**2, 0.0).x[0]
    right = np.where(best * held == 0, 0.5, best * held > 0)
    found = cues(frame)[0]
    assert found["share"] == pytest.approx(right.mean(), abs=1e-12)
    # one pair a question: the interval is near the binomial one (Clopper and Pearson)
    k, n = right.sum(), len(right)
    assert found["low"] == pytest.approx(beta.ppf(0.025, k, n - k + 1), abs=0.03)
    assert found["high"] == pytest.approx(beta.ppf(0.975, k + 1, n - k), abs=0.03)


def test_pairs_of_one_question_widen_the_interval() -> None:
    right = [float(i % 3 > 0) for i in range(60) for _ in range(4)]
    alone = pair_share(right, [f"q{i}" for i in range(240)])
    together = pair_share(right, [f"q{i // 4}" for i in range(240)])
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])
    assert (together["n"], together["n_questions"]) == (240, 60)
    assert pair_share([], []) == {
        "share": None,
        "low": None,
        "high": None,
        "n": 0,
        "n_questions": 0,
    }
