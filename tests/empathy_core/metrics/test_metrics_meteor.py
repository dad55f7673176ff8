"""METEOR equals NLTK's, with the real WordNet where it is, and an account of it in plain Python."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nltk
import numpy as np
import pytest
from nltk.stem.porter import PorterStemmer
from nltk.tokenize.punkt import PunktTrainer, save_punkt_params
from nltk.translate.meteor_score import meteor_score

from empathy_core import metrics
from empathy_core.errors import ConfigError
from empathy_core.metrics import meteor
from empathy_core.metrics._nltk_data import default_folders
from tests.metric_rows import frame, measured, odd, sample_pairs

WORDNET = Path("/usr/share/wordnet")
OFFLINE = {"tokenizer": "13a", "synonyms": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a folder of NLTK's data: Debian's WordNet 3.0, and sentences learnt from our sample.

    Debian leaves two files out that only say where senses are listed.
    """
    if not WORDNET.exists():
        message = "needs Debian's package wordnet-base; run: make system"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder, before = tmp_path_factory.mktemp("nltk_data"), list(nltk.data.path)
    wordnet, punkt = folder / "corpora" / "wordnet", folder / "tokenizers" / "punkt_tab"
    shutil.copytree(WORDNET, wordnet)
    (wordnet / "lexnames").write_text("".join(f"{i:02d}\tname{i}\t1\n" for i in range(45)))
    (wordnet / "index.sense").write_text("")
    nltk.data.path.insert(0, str(folder))
    trained = PunktTrainer(" ".join(sample_pairs()["text"].to_list()))
    (punkt / "english").mkdir(parents=True)
    save_punkt_params(trained.get_params(), str(punkt / "english"))
    yield str(folder)
    nltk.data.path[:] = before


def by_hand(answer: list[str], reference: list[str], alpha=0.9, beta=3.0, gamma=0.5) -> float:
    """Return METEOR by form and stem, from the words of the paper alone."""
    stem = PorterStemmer().stem
    left, right = (
        list(enumerate(map(str.lower, answer))),
        list(enumerate(map(str.lower, reference))),
    )
    pairs = []
    for form in (str, stem):
        for i, word in reversed(list(left)):
            same = [(j, other) for j, other in right if form(other) == form(word)]
            if same:
                pairs.append((i, same[-1][0]))
                right.remove(same[-1])
                left.remove((i, word))
    if not pairs:
        return 0.0
    pairs.sort()
    chunks = 1 + sum((a[0] + 1, a[1] + 1) != b for a, b in pairwise(pairs))
    precision, recall = len(pairs) / len(answer), len(pairs) / len(reference)
    mean = precision * recall / (alpha * precision + (1 - alpha) * recall)
    return (1 - gamma * (chunks / len(pairs)) ** beta) * mean


@pytest.mark.slow  # hundreds of texts
def test_meteor_is_what_the_paper_says() -> None:
    """Forms, stems, and the penalty for torn order, without NLTK's code."""
    rows = sample_pairs().head(25)
    metric = metrics.load("meteor", OFFLINE)
    found = metric.score(measured(metric, rows))
    tokens = [[meteor.sacrebleu_tokenizer("13a")(t).split() for t in rows[name]]
              for name in ("text", "reference")]  # fmt: skip
    expected = [by_hand(*pair) for pair in zip(*tokens, strict=True)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


@pytest.mark.slow  # reads WordNet
@pytest.mark.parametrize("tokenizer", ["nltk", "13a"])
def test_meteor_with_synonyms_is_nltks(data: str, tokenizer: str) -> None:
    """The suite remembers stems and senses; NLTK's own reader of the real WordNet does not."""
    metric = meteor.Metric(tokenizer=tokenizer, data=data)
    rows = sample_pairs().head(12).vstack(odd()[:-1])
    found = metric.score(measured(metric, rows))
    np.testing.assert_allclose(found, metric.recheck(rows), rtol=1e-12)
    for row, (text, reference) in zip(
        found, rows.select("text", "reference").rows()[:12], strict=False
    ):
        words = nltk.word_tokenize if tokenizer == "nltk" else (
            lambda t: meteor.sacrebleu_tokenizer("13a")(t).split()
        )  # fmt: skip
        assert row[0] == pytest.approx(meteor_score([words(reference)], words(text)), rel=1e-12)


def test_a_synonym_counts_only_with_wordnet(data: str) -> None:
    """'kid' and 'child' share a sense (NLTK looks a word's stem up, not the word)."""
    rows = frame(["that is a kid of yours"], ["that is a child of yours"])
    with_, without = meteor.Metric("13a", data=data), meteor.Metric("13a", synonyms=False)
    assert with_.score(measured(with_, rows)) > without.score(measured(without, rows))
    assert "|synonyms:yes|" in with_.signature()
    assert "|wordnet:" in with_.signature()


@pytest.mark.slow  # reads WordNet
def test_the_content_of_wordnet_is_in_the_signature_and_its_place_is_not(
    data: str, tmp_path: Path
) -> None:
    """The same package elsewhere, packed, is the same; another content is another metric."""
    first = meteor.Metric("13a", data=data).signature()
    packed = tmp_path / "packed" / "corpora"
    packed.mkdir(parents=True)
    shutil.make_archive(str(packed / "wordnet"), "zip", Path(data) / "corpora", "wordnet")
    assert meteor.Metric("13a", data=str(packed.parent)).signature() == first
    other = tmp_path / "other" / "corpora" / "wordnet"
    shutil.copytree(Path(data) / "corpora" / "wordnet", other)
    (other / "adv.exc").write_text("best well\n")
    assert meteor.Metric("13a", data=str(other.parents[1])).signature() != first


def test_nltks_data_are_looked_for_where_nltk_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known without importing NLTK, which takes more than a second, and equal to what it says."""
    monkeypatch.setenv("NLTK_DATA", "/one:~/two:")
    code = "import nltk.data; print(*nltk.data.path, sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert default_folders() == done.stdout.splitlines()


def test_what_is_missing_is_named_with_two_ways_out(tmp_path: Path) -> None:
    """Nothing is downloaded: the command for a machine with a network, and the settings."""
    with pytest.raises(ConfigError) as caught:
        metrics.load("meteor", {"data": str(tmp_path)})
    told = str(caught.value)
    assert "NLTK's data punkt_tab and wordnet, which are not in" in told
    assert "python -m nltk.downloader -d FOLDER punkt_tab wordnet" in told
    assert "synonyms = false" in told
    with pytest.raises(ConfigError, match="needs NLTK's data wordnet,"):
        metrics.load("meteor", {"data": str(tmp_path), "tokenizer": "13a"})


def test_an_answer_without_a_word_scores_nothing_and_a_reference_without_one_leaves_the_row_out():
    """As with every other metric."""
    metric = metrics.load("meteor", OFFLINE)
    found = metric.score(measured(metric, frame(["", "I hear you"], ["I hear you", ""])))
    assert found[0, 0] == 0
    assert np.isnan(found[1, 0])
    (told,) = metric.remarks(measured(metric, frame(["你好吗"], ["你好"])).sum(axis=0))
    assert "metrics.meteor.tokenizer" in told.advice
