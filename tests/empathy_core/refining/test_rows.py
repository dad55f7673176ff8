"""Rows of a refinement: one a question, none twice, none of the test split's questions."""

import polars as pl
import pytest

from empathy_core.errors import DataError
from empathy_core.refining.rows import draw_rows


def examples(n: int = 40, split: str = "validation") -> pl.DataFrame:
    """Return *n* rows of n / 2 questions, and ten of a training split."""
    rows = [(f"v-{i:03d}", f"q{i // 2}", split) for i in range(n)]
    rows += [(f"t-{i:03d}", f"t{i}", "train") for i in range(10)]
    return pl.DataFrame(rows, schema=["id", "question", "split"], orient="row")


def test_no_question_is_seen_twice() -> None:
    """Neither by rounds, nor by what is proposed from and what is scored."""
    frame = examples()
    drawn = draw_rows(frame, 4, (5, 10, 16), seed=0)
    ids = [*drawn.proposing, *(name for round_ in drawn.rounds for name in round_)]
    questions = dict(frame.select("id", "question").iter_rows())

    assert [len(round_) for round_ in drawn.rounds] == [5, 5, 6]
    assert len(drawn.proposing) == 4
    assert len({questions[name] for name in ids}) == len(ids) == 20
    assert all(name.startswith("v-") for name in ids)


def test_the_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    """On every machine the same."""
    frame = examples()

    assert draw_rows(frame, 4, (5, 10), 0) == draw_rows(frame.reverse(), 4, (5, 10), 0)
    assert draw_rows(frame, 4, (5, 10), 0) != draw_rows(frame, 4, (5, 10), 1)


def test_a_question_of_the_test_split_is_left_out() -> None:
    """Where rows are split one by one, it may stand on both sides."""
    tested = pl.DataFrame({"id": ["x-0"], "question": ["q3"], "split": ["test"]})
    drawn = draw_rows(pl.concat([examples(), tested]), 0, (19,), 0)

    assert not {"v-006", "v-007"} & set(drawn.rounds[0])
    with pytest.raises(DataError, match="19 questions that the test split does not"):
        draw_rows(pl.concat([examples(), tested]), 0, (20,), 0)


def test_too_few_rows_are_told_with_what_to_do() -> None:
    """How many there are, how many are needed, which settings change it."""
    with pytest.raises(DataError, match=r"expected 21 at least; lower worst_of or rounds"):
        draw_rows(examples(), 5, (8, 16), 0)
    with pytest.raises(DataError, match=r"holds no row: expected some.*data.fractions"):
        draw_rows(examples(split="test"), 5, (8, 16), 0)
