"""distinct-n and self-BLEU, against counts of whole groups and against sacreBLEU."""

import numpy as np
import polars as pl
import pytest
import sacrebleu

from empathy_core.metrics import diversity
from tests.metric_rows import frame, measured, odd, sample_pairs

METRIC = diversity.Metric()
NAMES = [column.name for column in METRIC.columns]


def group(n: int = 24, per_question: int = 2) -> pl.DataFrame:
    """Return answers to questions, some of them to the same."""
    questions = [f"q{i // per_question}" for i in range(n)]
    return sample_pairs().head(n).with_columns(context=pl.Series(questions))


def scored(rows: pl.DataFrame) -> dict[str, float]:
    """Return the scores of a group."""
    return dict(zip(NAMES, METRIC.score(measured(METRIC, rows).sum(axis=0)), strict=True))


def tokens(rows: pl.DataFrame) -> list[list[str]]:
    """Return the tokens of each answer."""
    return [sacrebleu.BLEU().tokenizer(text).split() for text in rows["text"]]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_n_is_counted_over_an_answer_and_over_the_group(n: int) -> None:
    """The rows' shares of a group's distinct n-grams sum to their number."""
    rows = group()
    each = [[tuple(t[i : i + n]) for i in range(len(t) - n + 1)] for t in tokens(rows)]
    every = [ngram for ngrams in each for ngram in ngrams]
    found = scored(rows)
    assert found[f"distinct{n}"] == pytest.approx(sum(len(set(e)) for e in each) / len(every))
    assert found[f"group_distinct{n}"] == pytest.approx(len(set(every)) / len(every))


def test_self_bleu_is_sacrebleus_with_the_answers_to_other_questions_as_references() -> None:
    """A corpus of all answers, each with as many references as there are others."""
    rows = group()
    texts, questions = rows["text"].to_list(), rows["context"].to_list()
    others = [
        [t for t, of in zip(texts, questions, strict=True) if of != question]
        for question in questions
    ]
    streams = [list(stream) for stream in zip(*others, strict=True)]
    expected = sacrebleu.corpus_bleu(texts, streams, smooth_method="none").score / 100
    assert scored(rows)["self_bleu"] == pytest.approx(expected, rel=1e-12)


def test_answers_that_are_all_the_same_have_a_self_bleu_of_one() -> None:
    """And their group has as many distinct n-grams as one of them."""
    rows = frame(["I hear how hard this is for you."] * 5, ["x"] * 5, context=list("abcde"))
    found = scored(rows)
    assert found["self_bleu"] == 1
    assert found["distinct1"] == 1
    assert found["group_distinct1"] == pytest.approx(1 / 5)


def test_equal_answers_to_one_question_are_not_compared() -> None:
    """Under greedy decoding rows of one question have one answer, which says nothing of models."""
    rows = frame(["I hear how hard this is."] * 2, ["x", "y"], context=["a", "a"])
    found = scored(rows)
    assert np.isnan(found["self_bleu"])
    assert found["group_distinct1"] == 1
    (told,) = METRIC.remarks(measured(METRIC, rows).sum(axis=0))
    assert (told.text, told.n) == (
        "answers without another to compare with, left out of self-BLEU", 2
    )  # fmt: skip


def test_the_order_of_rows_does_not_matter() -> None:
    """A row has the same statistics wherever it stands in its group."""
    rows = group()
    there, back = measured(METRIC, rows), measured(METRIC, rows.reverse())
    assert np.array_equal(there, back[::-1])


def test_a_recheck_counts_each_answer_alone() -> None:
    """NLTK counts what is in an answer; a group cannot be seen from rows drawn at random."""
    rows = group().vstack(odd())
    ours, theirs = METRIC.score(measured(METRIC, rows)), METRIC.recheck(rows)
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], rtol=1e-12)
    assert np.isnan(theirs[:, 3:]).all()
