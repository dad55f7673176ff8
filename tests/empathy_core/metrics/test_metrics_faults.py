"""Lengths are counted as said; faults are found where planted, and hardly ever in real answers."""

import unicodedata

import numpy as np
import polars as pl
import pytest

from empathy_core.metrics import diagnostics, length
from tests.metric_rows import counsel_chat, frame, measured, sample_pairs

QUESTION = "I have been feeling low since my father died and I cannot sleep at night. What now?"
PROMPT = (
    "You are a licensed therapist. Your role is to respond to the user's question with empathy, "
    f"understanding, and support.\n\nUser: {QUESTION}\n\nTherapist: "
)
ANSWER = (
    "I am so sorry about your father. Grief keeps many of us awake, and there is nothing wrong "
    "with you. Would it help to tell me a little about him, and about how your nights go?"
)


def flags(text: str, **columns: object) -> set[str]:
    """Return the faults found in one answer to ``QUESTION``."""
    metric = diagnostics.Metric()
    rows = frame([text], ["-"], **{"context": QUESTION, "prompt": PROMPT, **columns})
    found = dict(zip(metric.statistics, measured(metric, rows)[0], strict=True))
    return {c.name for c in metric.columns if found[c.name]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (" \n\t\u00a0", "empty"),
        ("\u200b\ufeff", "empty"),
        ("\x00", "empty"),  # no noise: nobody wrote anything
        (QUESTION, "echo"),
        ("You asked: " + QUESTION.upper() + " " + ANSWER, "echo"),
        ("Your role is to respond to the user's question with empathy, understanding", "echo"),
        ("I feel sad. " * 3 + ANSWER, "repetition"),
        ("and then we talk about it and then we talk about it " * 3, "repetition"),
        (f"{ANSWER}\nTake a walk.\nRest now.\ntake a walk\n{ANSWER}\nTake a walk!", "repetition"),
        (f"{ANSWER}<|im_end|>", "special_tokens"),
        (f"{ANSWER}</s>", "special_tokens"),
        (f"<pad> {ANSWER}", "special_tokens"),
        (f"<extra_id_0> {ANSWER}", "special_tokens"),
        (f"[INST] {ANSWER} [/INST]", "special_tokens"),
        (f"<system>{ANSWER}</system>", "special_tokens"),
        ("▁I▁hear▁you", "special_tokens"),
        (f"====={ANSWER}", "noise"),
        (f"{ANSWER} \ufffd", "noise"),
        (f"{ANSWER} ." + "." * 20, "noise"),
        (f"{ANSWER} }}]),{{[:];", "noise"),
        (f"{ANSWER} \x00", "noise"),
    ],
)
def test_a_planted_fault_is_found_and_no_other(text: str, fault: str) -> None:
    """Each rule answers for its own fault."""
    assert flags(text) == {fault}


def test_an_answer_of_special_tokens_is_empty_and_tells_them() -> None:
    """What was generated is the cause of what is not there."""
    assert flags("</s><|im_end|> [SEP]") == {"empty", "special_tokens"}


def test_an_echo_is_one_whatever_its_composition() -> None:
    """é is one character or two."""
    question = "Ma mère est fâchée et je me sens abandonné et désespéré à la maison, que faire?"
    answer = unicodedata.normalize("NFD", f"{question} {ANSWER}")
    assert flags(answer, context=question, prompt=question) == {"echo"}


def test_what_the_generation_tells_is_used() -> None:
    """The token limit and generated special tokens leave no trace in the text."""
    assert flags(ANSWER, stop="length") == {"cut_short"}
    assert flags(ANSWER, n_special_tokens=2) == {"special_tokens"}


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "Yes.",
        "No. No. No.",  # short sentences are a way to speak
        "Hmm..... That is hard!!!!!!",
        "I cannot sleep at night either, since you ask.",  # quotes less than half of the question
        "a < b, <3, 1 <s 2, [sic], system, user -- and so on ...",
        "😀😀😀😀😀😀 سلام “quoted” naïve",
        "----",
    ],
)
def test_what_people_write_is_no_fault(text: str) -> None:
    """Short, lively or foreign answers pass."""
    assert flags(text) == set()


def test_a_short_question_may_stand_in_its_answer() -> None:
    """Up to eight words are quoted by chance or courtesy."""
    assert flags("How do I sleep? " + ANSWER, context="How do I sleep?", prompt="x") == set()


def test_shares_are_of_the_rows_that_can_tell() -> None:
    """Texts made elsewhere do not say why they stopped; alone they have no such share."""
    metric = diagnostics.Metric()
    rows = frame([ANSWER, ANSWER, ""], ["-"] * 3, stop=["length", "none", "none"])
    statistics = measured(metric, rows)
    shares = dict(
        zip([c.name for c in metric.columns], metric.score(statistics.sum(axis=0)), strict=True)
    )
    assert shares["cut_short"] == 1
    assert shares["empty"] == pytest.approx(1 / 3)
    assert np.isnan(metric.score(statistics[1:].sum(axis=0))[2])


def test_two_thousand_real_answers_are_hardly_ever_flagged() -> None:
    """Therapists are flagged in at most one of 200 by any rule (echo: they do quote questions)."""
    real = counsel_chat()
    texts, contexts = real["Response"].to_list(), real["Context"].to_list()
    metric = diagnostics.Metric()
    rows = frame(texts, texts, context=contexts, prompt=contexts, stop="none")
    shares = metric.score(measured(metric, rows).sum(axis=0))
    assert len(texts) > 2000
    assert np.nanmax(shares) < 0.005


def test_the_packaged_sample_is_clean() -> None:
    """No answer written for the sample is flagged."""
    rows = sample_pairs()
    assert (
        diagnostics.Metric().score(measured(diagnostics.Metric(), rows))[:, [0, 1, 3, 4, 5]].sum()
        == 0
    )


def test_lengths_are_means_and_their_ratio_is_of_sums() -> None:
    """Words stand between blanks of any kind; an empty answer has none and counts."""
    metric = length.Metric()
    rows = frame(
        ["one two  three\u00a0four", "", "a b"], ["x y", "x", "x"], n_output_tokens=[6, 1, 3]
    )
    scores = metric.score(measured(metric, rows).sum(axis=0))
    np.testing.assert_allclose(scores, [6 / 3, 10 / 3, 6 / 4])


def test_words_are_those_of_another_counter() -> None:
    """Polars counts the same runs of non-blanks in the sample."""
    rows = sample_pairs()
    counted = rows.select(pl.col("text", "reference").str.count_matches(r"\S+")).to_numpy()
    assert np.array_equal(measured(length.Metric(), rows)[:, [0, 2]], counted)


def test_texts_made_elsewhere_have_no_tokens() -> None:
    """Their count is unknown, not 0; in a mixture only known ones are averaged."""
    metric = length.Metric()
    rows = frame(["a", "b"], ["x", "y"], stop=["none", "eos"], n_output_tokens=[0, 4])
    statistics = measured(metric, rows)
    assert metric.score(statistics.sum(axis=0))[1] == 4
    assert np.isnan(metric.score(statistics[0])[1])
