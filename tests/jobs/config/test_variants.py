"""``[finetune.*]``: axes become adapters, bases get names of their own, mistakes get words."""

from pathlib import Path

import pytest

from empathy_core.errors import ConfigError
from jobs.config import read as configuration
from jobs.config.schema import Config
from jobs.config.variants import variants

TEXT = """
name = "tuned"
[data.sources.sample]
[metrics.length]
[finetune.q]
base = "smollm2_135m_instruct"
"""


def _read(folder: Path, text: str = TEXT, *overrides: str, allow: tuple[str, ...] = ()) -> Config:
    path = folder / "tuned.toml"
    path.write_text(text)
    return configuration.read(str(path), overrides, allow)


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    """Without a word: nf4, q_proj and v_proj, rank 8, alpha 16, dropout 0.1, response labels."""
    [found] = variants(_read(tmp_path))

    lora = found.spec.lora
    assert (lora.r, lora.alpha, lora.dropout) == (8, 16.0, 0.1)
    assert found.spec.modules == ("q_proj", "v_proj")
    assert (found.spec.base.quantization, found.spec.base.double_quantization) == ("nf4", False)
    assert (found.spec.labels, found.spec.chat, found.spec.train_size) == ("response", True, None)
    assert found.unquantized is not None
    assert found.unquantized.quantization is None


def test_an_encoder_decoder_trains_plain_on_its_own_layers(tmp_path: Path) -> None:
    """FLAN-T5 has no chat template and no q_proj."""
    text = TEXT.replace("smollm2_135m_instruct", "flan_t5_base")
    [found] = variants(_read(tmp_path, text))

    assert not found.spec.chat
    assert found.spec.modules == ("q", "v")


def test_axes_are_combined_and_named(tmp_path: Path) -> None:
    """Two sizes, two seeds: four adapters, whose names and labels tell them apart."""
    found = variants(
        _read(tmp_path, TEXT, 'finetune.q.train_sizes=[8, "all"]', "finetune.q.seeds=[0, 1]")
    )

    names = [variant.spec.name for variant in found]
    assert names == ["q-n8-s0", "q-n8-s1", "q-all-s0", "q-all-s1"]
    assert found[0].spec.label == "SmolLM2-135M-Instruct, fine-tuned (8 rows, seed 0)"


@pytest.mark.parametrize("axis", ["seeds=[1, 1]", "train_sizes=[8, 8]", 'sources=["all", "all"]'])
def test_an_adapter_is_not_asked_for_twice(tmp_path: Path, axis: str) -> None:
    with pytest.raises(ConfigError, match="twice; expected each once"):
        _read(tmp_path, TEXT, f"finetune.q.{axis}")


def test_a_longer_ladder_keeps_its_adapters(tmp_path: Path) -> None:
    """An axis that grows must not rename what is trained already."""
    [alone] = variants(_read(tmp_path))
    more = variants(_read(tmp_path, TEXT, 'finetune.q.train_sizes=[8, "all"]'))

    assert alone.spec.name in [variant.spec.name for variant in more]
    assert alone.spec.identity() in [variant.spec.identity() for variant in more]


def test_sources_are_an_axis(tmp_path: Path) -> None:
    """One source alone beside all of them."""
    found = variants(_read(tmp_path, TEXT, 'finetune.q.sources=[["sample"], "all"]'))

    assert [v.spec.sources for v in found] == [("sample",), ()]
    assert [v.spec.name for v in found] == ["q-all-sample-s0", "q-all-s0"]


def test_bases_are_named_for_what_was_changed(tmp_path: Path) -> None:
    """Fine-tunes of one base share its rows; other settings of it are other models."""
    text = TEXT + '[finetune.p]\nbase = "smollm2_135m_instruct"\nformat = "plain"\n'
    text += 'dtype = "bfloat16"\ndouble_quantization = true\n'
    q, p = variants(_read(tmp_path, text))

    assert q.spec.base.name == "smollm2_135m_instruct-nf4"
    assert p.spec.base.name == "smollm2_135m_instruct-bfloat16-plain-nf4-double"
    assert q.unquantized is not None
    assert q.unquantized.name == "smollm2_135m_instruct"


def test_a_base_that_is_quantised_in_the_run_keeps_its_name_to_itself(tmp_path: Path) -> None:
    """The unquantised base of the comparison is another model than the run's quantised one."""
    text = TEXT + '[models.smollm2_135m_instruct]\nprompts = ["none"]\nquantization = "nf4"\n'
    [found] = variants(_read(tmp_path, text))

    assert found.spec.base.name == "smollm2_135m_instruct"
    assert found.unquantized is not None
    assert found.unquantized.name == "smollm2_135m_instruct-full"


def test_plain_lora_has_one_base(tmp_path: Path) -> None:
    """Without quantisation there is nothing to compare the base with."""
    [found] = variants(_read(tmp_path, TEXT, 'finetune.q.quantization="none"'))

    assert found.spec.base.quantization is None
    assert found.unquantized is None


def test_labels_and_permissions_do_not_change_what_is_trained(tmp_path: Path) -> None:
    """Words and allowed findings are no part of the identity; the learning rate is."""
    [plain] = variants(_read(tmp_path))
    [named] = variants(_read(tmp_path, TEXT, 'finetune.q.label="Ours"', allow=("truncated",)))
    [other] = variants(_read(tmp_path, TEXT, "finetune.q.learning_rate=0.1"))

    assert named.spec.allow == ("truncated",)
    assert named.spec.identity() == plain.spec.identity()
    assert other.spec.identity() != plain.spec.identity()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('finetune.q.base="smollm3"', "unknown model 'smollm3'. Did you mean"),
        ('finetune.q.base="therapist"', "has no weights"),
        ("finetune.q.micro_batch=5", "not a multiple of micro_batch"),
        ("finetune.q.min_response_tokens=2000", "leaves no room for a question"),
        ('finetune.q.prompt="prompt3"', "unknown prompt 'prompt3'"),
        ('finetune.q.sources=[["sampel"]]', "Did you mean 'sample'?"),
        ('finetune.q.allow=["truncate"]', "Did you mean 'truncated'?"),
        ('finetune.q.labels="context"', "finetune.q.labels"),
        ("finetune.q.train_sizes=[0]", "finetune.q.train_sizes"),
        ("finetune.q.train_sizes=[]", "finetune.q.train_sizes"),
        ('finetune.q.decodings=["warm"]', "unknown decoding 'warm'"),
        ("finetune.q.lr=1", "Allowed here: allow, alpha, base"),
        ('finetune.q.quantization="nf5"', "finetune.q.quantization"),
    ],
)
def test_mistakes_are_named_before_anything_is_loaded(
    tmp_path: Path, override: str, said: str
) -> None:
    """Every wrong value has its path and what is allowed."""
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, TEXT, override)

    assert said in str(error.value)


def test_a_base_with_an_adapter_is_refused(tmp_path: Path) -> None:
    """An adapter on an adapter is no fine-tune that anybody could load."""
    text = (
        TEXT + '[models.smollm2_135m_instruct]\nprompts = ["none"]\nadapter = "someones/adapter"\n'
    )

    with pytest.raises(ConfigError, match="has an adapter already"):
        _read(tmp_path, text)


def test_an_adapter_does_not_take_a_models_name(tmp_path: Path) -> None:
    """Two rows of one name could not be told apart."""
    text = TEXT + '[models.q-all-s0]\nuse = "smollm2_135m_instruct"\nprompts = ["none"]\n'

    with pytest.raises(ConfigError, match="as is a model"):
        _read(tmp_path, text)
