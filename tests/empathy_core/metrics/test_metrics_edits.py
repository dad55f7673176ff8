"""chrF, TER and ROUGE-Lsum equal sacreBLEU and rouge_score, of corpora and of rows."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF, TER
from sacrebleu.metrics.lib_ter import translation_edit_rate

from empathy_core import metrics
from empathy_core.errors import ConfigError
from empathy_core.metrics import chrf, rouge, ter
from empathy_core.metrics._ter_search import edits
from empathy_core.visible import as_read
from tests.metric_rows import frame, measured, odd, sample_pairs, shortened

PARTS = (slice(None), slice(0, 3), slice(1, None, 2))


def short_pairs() -> pl.DataFrame:
    """Return pairs of some 25 words, since TER's search takes long, and the odd ones."""
    return shortened(sample_pairs().head(12), 25).vstack(odd()[:-1])


def texts(rows: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return answers and references as sacreBLEU takes them."""
    return [as_read(t) for t in rows["text"]], [[as_read(t) for t in rows["reference"]]]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"word_order": 2},
        {"char_order": 3, "word_order": 1, "beta": 1, "lowercase": True, "whitespace": True},
    ],
)
def test_chrf_is_sacrebleus(settings: dict[str, Any]) -> None:
    """chrF, chrF++ and all other settings, on plain and on odd texts."""
    metric, library = chrf.Metric(**settings), CHRF(**settings)
    for rows in (sample_pairs().head(30), odd()):
        statistics = measured(metric, rows)
        np.testing.assert_allclose(metric.score(statistics), metric.recheck(rows), rtol=1e-12)
        for part in PARTS:
            expected = library.corpus_score(*texts(rows[part])).score / 100
            found = metric.score(statistics[part].sum(axis=0))
            np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_chrf_is_named_after_its_words() -> None:
    """chrF++ is the name of word order 2."""
    assert [c.label for n in (0, 2) for c in chrf.Metric(word_order=n).columns] == [
        "chrF", "chrF++",
    ]  # fmt: skip


@pytest.mark.slow  # hundreds of texts
@pytest.mark.parametrize(
    "settings",
    [{}, {"normalized": True, "asian_support": True}, {"no_punct": True, "case_sensitive": True}],
)
def test_ter_is_sacrebleus(settings: dict[str, Any]) -> None:
    """Edits over words, of corpora and of single rows."""
    metric, library, rows = ter.Metric(**settings), TER(**settings), short_pairs()
    statistics = measured(metric, rows)
    np.testing.assert_allclose(metric.score(statistics), metric.recheck(rows), rtol=1e-12)
    for part in PARTS:
        # sacreBLEU scores references without a word, which are left out here
        scored = rows[part].filter(~np.isnan(statistics[part][:, 0]))
        expected = library.corpus_score(*texts(scored)).score / 100
        found = metric.score(np.nansum(statistics[part], axis=0))
        np.testing.assert_allclose(found, [expected], rtol=1e-12)


@pytest.mark.slow  # hundreds of texts
def test_the_moves_of_phrases_are_sacrebleus() -> None:
    """Texts of few words, torn apart and put together again, are made equal by moves."""
    random = np.random.default_rng(0)
    for n_words in (2, 4, 12, 40):
        for _ in range(10):
            whole = [f"w{i}" for i in random.integers(n_words, size=random.integers(1, 40))]
            a, b = sorted(random.integers(len(whole) + 1, size=2))
            torn = [*whole[b:], *whole[a:b], *(["x"] * random.integers(3)), *whole[:a]]
            assert edits(torn, whole) == translation_edit_rate(torn, whole)[0]


def test_ter_of_an_empty_answer_is_one() -> None:
    """All its reference's words are to be put in."""
    rows = frame(["", "I hear you"], ["I hear how you feel", "I hear you"])
    assert ter.Metric().score(measured(ter.Metric(), rows)).tolist() == [[1.0], [0.0]]


def test_ter_of_a_script_without_spaces_names_the_setting() -> None:
    """A sentence of Chinese is one word; with the setting it is as many as it has characters."""
    rows = frame(["心理健康很重要"], ["心理健康也很重要"])
    metric, split = ter.Metric(), ter.Metric(normalized=True, asian_support=True)
    (told,) = metric.remarks(measured(metric, rows).sum(axis=0))
    assert "metrics.ter.asian_support = true" in told.advice
    statistics = measured(split, rows)
    assert not split.remarks(statistics.sum(axis=0))
    assert split.score(statistics).tolist() == [[1 / 8]]
    with pytest.raises(ConfigError, match="asian_support alone changes nothing"):
        metrics.load("ter", {"asian_support": True})


def test_ter_waits_for_no_other_metric() -> None:
    """It takes long for long answers, so it is a group of tasks of its own."""
    assert metrics.load("ter", {}).score_group == "lexical-ter"


LINES = frame(
    [
        "I hear you.\n\nTry to sleep.\nBreathe slowly, and rest.",
        "one two three\none two three",
        "the cat sat\nthe cat",
        "b a\na b a\nc",
    ],
    [
        "Breathe slowly.\nI hear that you cannot sleep.\nRest.",
        "three two one\none two",
        "the cat the cat\nsat",
        "a b\nb a c\nc a",
    ],
)


@pytest.mark.parametrize("use_stemmer", [False, True])
def test_rouge_lsum_is_rouge_scores(use_stemmer: bool) -> None:
    """Of lines; which of several longest subsequences counts is the library's choice too."""
    metric = rouge.Metric(use_stemmer, lsum=True)
    rows = LINES.vstack(sample_pairs().head(12)).vstack(odd()[:-1])
    scores = metric.score(measured(metric, rows))
    at = [c.name for c in metric.columns].index("rougeLsum")
    scorer = RougeScorer(["rougeLsum"], use_stemmer=use_stemmer)
    for row, (text, reference) in zip(scores, rows.select("text", "reference").rows(), strict=True):
        expected = scorer.score(as_read(reference), as_read(text))["rougeLsum"].fmeasure
        assert row[at] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(scores, metric.recheck(rows), rtol=0, atol=1e-12)


def test_random_lines_have_the_librarys_rouge_lsum() -> None:
    """Few different words make many ties between subsequences."""
    random = np.random.default_rng(0)

    def text() -> str:
        return "".join(random.choice([*list("abc"), "\n"], size=30)).replace("", " ")

    rows = frame([text() for _ in range(150)], [text() for _ in range(150)])
    metric = rouge.Metric(lsum=True)
    found = metric.score(measured(metric, rows))
    np.testing.assert_allclose(found, metric.recheck(rows), rtol=0, atol=1e-12)


def test_rouge_without_lsum_is_as_before() -> None:
    """Neither a column nor the signature of stored runs changes."""
    metric = rouge.Metric()
    assert len(metric.columns) == 9
    assert "|stem:no|lsum:no|agg:mean|" in metric.signature()
