"""With several references every metric equals its reference library; with one it is as it was."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
import sacrebleu
from bert_score import score as bert_score
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF, TER
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import cos_sim

from empathy_core import data, metrics, weights
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.metrics._several import OfSeveral, takes_several
from empathy_core.metrics._tokens import sacrebleu_tokenizer
from tests.metric_rows import ENCODER, frame, odd, sample_pairs

OPTIONS: dict[str, dict[str, Any]] = {
    "bertscore": {"model": ENCODER, "layer": 6},
    "meteor": {"tokenizer": "13a", "synonyms": False},
    "similarity": {"model": ENCODER},
}
OFFLINE = ["bleu", "chrf", "meteor", "rouge", "ter"]
COMPARING = [*OFFLINE, "bertscore", "similarity"]


def several(n_rows: int = 8, n_words: int = 30) -> pl.DataFrame:
    """Return answers with one to four references, cut so that TER is quick, some of them odd."""
    pairs = sample_pairs().head(n_rows + 4)
    cut = [" ".join(text.split()[: n_words + i]) for i, text in enumerate(pairs["reference"])]
    lists = [cut[i : i + 1 + i % 4] for i in range(n_rows)]
    texts = [" ".join(text.split()[:n_words]) for text in pairs["text"][:n_rows]]
    texts += ["", lists[1][1], "the the the"]
    lists += [cut[:2], lists[1], ["the cat", "a the dog the"]]
    rows = frame(texts, [of[0] for of in lists])
    return rows.with_columns(references=pl.Series(lists))


def loaded(name: str, rows: pl.DataFrame, **options: object) -> Any:
    """Return a metric prepared for the references of *rows*."""
    examples = pl.DataFrame(
        {"id": list(map(str, range(rows.height))), "response": rows["reference"],
         ALL_REFERENCES: rows["references"]}
    )  # fmt: skip
    return metrics.prepared(name, {**OPTIONS.get(name, {}), **options}, examples)


def statistics(metric: Any, rows: pl.DataFrame) -> np.ndarray:
    """Return what is stored of each row."""
    return metric.measure(rows, metric.reference_state(metrics.references_of(metric, rows)))


def streams(rows: pl.DataFrame) -> list[list[str | None]]:
    """Return references as sacreBLEU takes them: the first of each row, the second …."""
    n = rows["references"].list.len().max()
    return [[of[i] if i < len(of) else None for of in rows["references"]] for i in range(n)]


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_a_corpus_with_several_references_has_sacrebleus_score(name: str) -> None:
    """Clipped by the most of any reference and with the closest length; best chrF; fewest edits."""
    rows = several()
    metric = loaded(name, rows)
    every = statistics(metric, rows)
    for part in (slice(None), slice(0, 3), slice(2, None, 3)):
        texts, references = rows[part]["text"].to_list(), streams(rows[part])
        if name == "bleu":
            expected = sacrebleu.corpus_bleu(texts, references, smooth_method="none").score
        else:
            library = {"chrf": CHRF, "ter": TER}[name]()
            expected = library.corpus_score(texts, references).score
        found = metric.score(every[part].sum(axis=0))[0]
        assert found == pytest.approx(expected / 100, rel=1e-12)


def test_rouge_takes_the_best_reference_of_each_kind_as_rouge_score_does() -> None:
    """F of the best, with the precision and recall of that same reference."""
    rows = several()
    metric = loaded("rouge", rows, lsum=True)
    scores, names = metric.score(statistics(metric, rows)), [c.name for c in metric.columns]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    for row, (text, references) in zip(
        scores, rows.select("text", "references").rows(), strict=True
    ):
        for name, found in scorer.score_multi(references, text).items():
            at = [names.index(n) for n in (name, f"{name}_precision", f"{name}_recall")]
            expected = (found.fmeasure, found.precision, found.recall)
            np.testing.assert_allclose(row[at], expected, rtol=0, atol=1e-12)


def test_meteor_takes_the_best_reference_as_nltk_does() -> None:
    """By the same tokens."""
    rows = several()
    metric = loaded("meteor", rows)
    found = metric.score(statistics(metric, rows))[:, 0]
    tokens = sacrebleu_tokenizer("13a")
    for score, (text, references) in zip(
        found, rows.select("text", "references").rows(), strict=True
    ):
        of = [tokens(reference).split() for reference in references]
        expected = meteor_score(of, tokens(text).split(), wordnet=_Nothing())
        assert score == pytest.approx(expected, rel=1e-12)


class _Nothing:
    def synsets(self, word: str) -> Sequence[Any]:
        return ()


@pytest.mark.slow
def test_bertscore_is_bert_scores_of_lists_of_references() -> None:
    """Precision, recall and F1 each of the best reference."""
    rows = several(6)[:6]
    metric = loaded("bertscore", rows)
    folder = str(weights.locate(ENCODER, None))
    expected = bert_score(
        rows["text"].to_list(), rows["references"].to_list(), model_type=folder, num_layers=6,
        batch_size=1, device="cpu", use_fast_tokenizer=True,
    )  # fmt: skip
    found = metric.score(statistics(metric, rows))[:, :3]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-4)
    np.testing.assert_allclose(found, metric.recheck(rows)[:, :3], atol=1e-5)


@pytest.mark.slow
def test_similarity_is_that_of_the_most_similar_reference() -> None:
    """By the library's own cosine."""
    rows = several(6)[:6]
    metric, model = (
        loaded("similarity", rows),
        SentenceTransformer(str(weights.locate(ENCODER, None))),
    )
    expected = [
        float(cos_sim(model.encode([text]), model.encode(references)).max())
        for text, references in rows.select("text", "references").rows()
    ]
    found = metric.score(statistics(metric, rows))[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", COMPARING)
def test_a_recheck_finds_the_scores_of_rows(name: str) -> None:
    """By the library with all references at once, empty answers included."""
    rows = several(4) if name in ("bertscore", "similarity") else several()
    metric = loaded(name, rows)
    ours, theirs = metric.score(statistics(metric, rows)), metric.recheck(rows)
    known = ~np.isnan(theirs).all(axis=0)
    np.testing.assert_allclose(ours[:, known], theirs[:, known], atol=2e-6)


@pytest.mark.parametrize("name", ["rouge", "meteor", "similarity", "bertscore"])
def test_the_mean_is_over_the_scores_against_each_reference(name: str) -> None:
    """Of a row: each reference alone, and then the mean; its recheck agrees."""
    rows = several(4)
    metric, one = loaded(name, rows, references="mean"), metrics.load(name, OPTIONS.get(name, {}))
    found = metric.score(statistics(metric, rows))
    for row, (text, references) in zip(
        found, rows.select("text", "references").rows(), strict=True
    ):
        alone = frame([text] * len(references), references)
        each = one.score(one.measure(alone, one.reference_state(references)))
        np.testing.assert_allclose(row, np.nanmean(each, axis=0), atol=1e-6)
    theirs = metric.recheck(rows)
    known = ~np.isnan(theirs).all(axis=0)
    np.testing.assert_allclose(found[:, known], theirs[:, known], atol=2e-6)


@pytest.mark.parametrize("name", COMPARING)
def test_one_reference_is_as_it_always_was(name: str) -> None:
    """No setting of this moves a number, the signature or the folder of a run of one reference."""
    options = OPTIONS.get(name, {})
    rows = sample_pairs().head(3)
    examples = rows.select(id=pl.col("text"), response="reference")
    metric = metrics.prepared(name, options, examples)
    assert not isinstance(metric, OfSeveral)
    assert metric.signature().startswith("nrefs:1|")
    assert "refs:best" not in metric.signature()
    if name in ("rouge", "meteor", "similarity", "bertscore"):
        mean = metrics.prepared(name, {**options, "references": "mean"}, examples)
        assert mean.signature() == metric.signature()


@pytest.mark.parametrize("name", COMPARING)
def test_the_signature_says_how_many_references_and_which_counts(name: str) -> None:
    """A number where all rows have as many, ``var`` as sacreBLEU writes it where they differ."""
    rows = several(4)
    metric = loaded(name, rows)
    how = "" if name == "bleu" else "refs:best|"
    assert metric.signature().startswith(f"nrefs:var|{how}")
    same = rows.filter(pl.col("references").list.len() == 2)
    assert loaded(name, same).signature().startswith(f"nrefs:2|{how}")
    single = metrics.load(name, OPTIONS.get(name, {}))
    assert metric.signature().split("|")[1 + bool(how) :] == single.signature().split("|")[1:]
    assert metrics.as_planned(single, metric.signature()).signature() == metric.signature()
    assert metrics.as_planned(single, single.signature()) is single
    if name == "rouge":
        assert "|refs:mean|" in loaded(name, rows, references="mean").signature()


def test_what_shares_no_reference_is_not_touched() -> None:
    """Lengths, diagnostics, diversity … are measured as before, with the row's own answer."""
    rows = several(4)
    for name in ("length", "diagnostics", "diversity", "readability"):
        metric = loaded(name, rows)
        assert not takes_several(metric)
        assert metric.signature() == metrics.load(name, {}).signature()
        assert metrics.references_of(metric, rows) == tuple(rows["reference"])


@pytest.mark.parametrize("name", [name for name in OFFLINE if name != "ter"])
def test_a_reference_without_anything_to_count_is_left_out(name: str) -> None:
    """It changes nothing beside one that can be counted; alone it leaves the row unscored.

    TER counts an ellipsis as a word.
    """
    text, reference = "I hear you well today", "I hear you well"
    rows = frame([text] * 3, [reference, reference, ""]).with_columns(
        references=pl.Series([[reference], [reference, "" if name != "rouge" else "…"], [""]])
    )
    metric = loaded(name, rows)
    found = metric.score(statistics(metric, rows))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isnan(found[2]).all()


def test_any_part_of_the_rows_has_the_same_statistics() -> None:
    """Shards may fall anywhere; rows may share references."""
    rows = several().vstack(several(4)[:4])
    for name in ("bleu", "rouge", "chrf"):
        metric = loaded(name, rows)
        whole = statistics(metric, rows)
        parts = [statistics(metric, rows[a:b]) for a, b in ((0, 1), (1, 7), (7, rows.height))]
        np.testing.assert_array_equal(np.vstack(parts), whole)


def test_odd_texts_have_scores_under_several_references() -> None:
    """Signs alone, other scripts, and very long texts."""
    rows = odd()[:-1]
    lists = [[of, "Thank you so much for writing."] for of in rows["reference"]]
    rows = rows.with_columns(references=pl.Series(lists))
    for name in ("bleu", "rouge", "chrf", "meteor"):
        metric = loaded(name, rows)
        ours, theirs = metric.score(statistics(metric, rows)), metric.recheck(rows)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_with_its_own_answer_left_out_a_model_is_compared_as_people_are() -> None:
    """One more therapist in a model's place scores as the others do; with all references, higher.

    Answers to a question are drawn alike; the last stands for the model. By rouge_score itself.
    """
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(300):
        topic = rng.integers(0, 400, 25)
        answers.append([" ".join(f"w{i}" for i in rng.choice(topic, 20)) for _ in range(5)])
    examples = pl.DataFrame(
        {"id": list(map(str, range(300))), "response": [of[0] for of in answers],
         ALL_REFERENCES: [of[:4] for of in answers], "block": 0}
    )  # fmt: skip
    scorer = RougeScorer(["rouge1"])

    def rouge1(texts: list[str], *, people: bool, own_left_out: bool) -> np.ndarray:
        metric = metrics.prepared("rouge", {}, examples, own_left_out=own_left_out)
        of = data.references.compared(examples, people=people, own_left_out=own_left_out)
        rows = frame(texts, of["reference"].to_list()).with_columns(of["references"])
        found = metric.score(statistics(metric, rows))[:, 0]
        best = [
            scorer.score_multi(lists, text)["rouge1"].fmeasure
            for lists, text in zip(of["references"].to_list(), texts, strict=True)
        ]
        np.testing.assert_allclose(found, best, atol=1e-12)
        return found

    people = rouge1([of[0] for of in answers], people=True, own_left_out=True)
    fair = rouge1([of[4] for of in answers], people=False, own_left_out=True)
    more = rouge1([of[4] for of in answers], people=False, own_left_out=False)

    def z(difference: np.ndarray) -> float:
        return float(difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference))))

    assert abs(z(fair - people)) < 2
    assert z(more - people) > 3
    assert (more >= fair).all()


def test_a_signature_says_whether_models_lack_the_rows_own_answer() -> None:
    """So that the two are never taken for one; a later report finds the metric by it."""
    examples = pl.DataFrame({"response": ["a", "b"], ALL_REFERENCES: [["a", "c"], ["b", "d"]]})
    single = metrics.load("bleu", {})
    every, fair = (
        metrics.prepared("bleu", {}, examples, own_left_out=left_out) for left_out in (False, True)
    )

    assert every.signature().startswith("nrefs:2|")
    assert fair.signature().startswith("nrefs:1|own:left-out|")
    assert metrics.leaves_own_out(fair.signature())
    for metric in (every, fair):
        assert metrics.as_planned(single, metric.signature()).signature() == metric.signature()
    assert [metrics.compares_alike(metric) for metric in (single, every, fair)] == [
        False,
        False,
        True,
    ]
