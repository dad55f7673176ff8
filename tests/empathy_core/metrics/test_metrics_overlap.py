"""BLEU and ROUGE equal the libraries they are named after, on real and on odd texts."""

import numpy as np
import polars as pl
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from empathy_core.metrics import bleu, rouge
from tests.metric_rows import counsel_chat_pairs, frame, measured, odd, sample_pairs


@pytest.fixture(scope="module", params=["sample", "odd", "counsel-chat"])
def rows(request: pytest.FixtureRequest) -> pl.DataFrame:
    """Return pairs of answers from three sources."""
    if request.param == "sample":
        return sample_pairs()
    return odd() if request.param == "odd" else counsel_chat_pairs(120)


def by_sacrebleu(rows: pl.DataFrame) -> tuple[float, float, float]:
    """Return BLEU, brevity penalty and length ratio of the corpus."""
    texts, references = rows["text"].to_list(), rows["reference"].to_list()
    found = sacrebleu.corpus_bleu(texts, [references], smooth_method="none")
    return found.score / 100, found.bp, found.sys_len / found.ref_len


def test_bleu_of_a_corpus_is_sacrebleus(rows: pl.DataFrame) -> None:
    """The sum of the rows' counts gives the corpus score, and that of any part of the corpus."""
    metric = bleu.Metric()
    statistics = measured(metric, rows)
    for part in (slice(None), slice(0, 5), slice(3, None, 2)):
        ours = metric.score(statistics[part].sum(axis=0))
        np.testing.assert_allclose(ours, by_sacrebleu(rows[part]), rtol=1e-12)


def test_bleu_of_a_row_is_what_the_recheck_finds(rows: pl.DataFrame) -> None:
    """Each row alone equals sacreBLEU's, empty answers included."""
    metric = bleu.Metric()
    np.testing.assert_allclose(
        metric.score(measured(metric, rows)), metric.recheck(rows), rtol=1e-12
    )


def test_an_empty_answer_lowers_bleu() -> None:
    """It is scored: its missing words shorten the corpus."""
    pair = ["I hear how tired you are of it all.", "I hear how tired you are of all that."]
    metric = bleu.Metric()
    alone = metric.score(measured(metric, frame([pair[0]], [pair[1]])).sum(axis=0))
    both = metric.score(measured(metric, frame([pair[0], ""], [pair[1], pair[1]])).sum(axis=0))
    assert 0 < both[0] < alone[0]
    assert both[2] == alone[2] / 2


def test_bleu_without_a_match_is_zero_not_smoothed() -> None:
    """As in the paper's 0.0000; sacreBLEU's default would give a small number."""
    rows = frame(["I hear you."], ["Breathe slowly and rest."])
    assert bleu.Metric().score(measured(bleu.Metric(), rows))[0, 0] == 0


@pytest.mark.parametrize("use_stemmer", [False, True])
def test_rouge_is_rouge_scores(rows: pl.DataFrame, use_stemmer: bool) -> None:
    """F, precision and recall of each row are equal to 1e-12."""
    metric = rouge.Metric(use_stemmer)
    few = rows.head(40).filter(pl.col("text").str.len_chars() < 9000)
    scores = metric.score(measured(metric, few))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=use_stemmer)
    names = [c.name for c in metric.columns]
    for i, (text, reference) in enumerate(few.select("text", "reference").iter_rows()):
        for name, found in scorer.score(reference, text).items():
            at = [names.index(n) for n in (name, f"{name}_precision", f"{name}_recall")]
            expected = (found.fmeasure, found.precision, found.recall)
            if name == "rouge2" and len(tokenize(reference, None)) < 2:
                assert np.isnan(scores[i, at]).all()  # the library's 0 is no score
            else:
                np.testing.assert_allclose(scores[i, at], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores, metric.recheck(few), rtol=0, atol=1e-12)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=st.characters(codec="utf-8")))
def test_tokens_are_rouge_scores(text: str) -> None:
    """The short way to tokens is the library's, whatever the script."""
    assert rouge._tokenizer("rouge_score", use_stemmer=False)(text) == tokenize(text, None)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(text=WORDS, reference=WORDS)
def test_repeated_words_count_as_rouge_score_counts_them(text: str, reference: str) -> None:
    """Few different words make many ties, where a wrong subsequence or clipping would show."""
    metric, rows = rouge.Metric(), frame([text], [reference])
    scores = metric.score(measured(metric, rows))
    np.testing.assert_allclose(scores, metric.recheck(rows), rtol=0, atol=1e-12)


def test_the_mean_of_rows_is_the_score() -> None:
    """No bootstrap, no random middle."""
    metric, rows = rouge.Metric(), sample_pairs()
    statistics = measured(metric, rows)
    scores = metric.score(statistics.sum(axis=0))
    np.testing.assert_allclose(scores, statistics[:, :9].mean(axis=0), rtol=1e-12)


@pytest.mark.slow  # the whole data set
def test_therapists_against_therapists_on_real_data() -> None:
    """Unlike answers to one question share a quarter to a third of their words."""
    rows = counsel_chat_pairs(1200)
    score_bleu = bleu.Metric().score(measured(bleu.Metric(), rows).sum(axis=0))[0]
    score_rouge = rouge.Metric().score(measured(rouge.Metric(), rows).sum(axis=0))[0]
    assert 0.015 < score_bleu < 0.035
    assert 0.26 < score_rouge < 0.31
