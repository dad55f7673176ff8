"""Merging where head and embedding are one matrix: the result answers as the adapter does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from empathy_core.errors import ModelError
from empathy_core.training.adapter.merging import merge
from empathy_core.types import ModelSpec
from tests.tiny_models import bpe_tokenizer

PROMPTS = [tuple(range(10, 20)), tuple(range(200, 230, 3))]


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose head is its embedding."""
    folder = tmp_path_factory.mktemp("tied").resolve()
    words = bpe_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2,
        bos_token_id=0, eos_token_id=1, pad_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def adapted(base: Path, folder: Path, *, seq2seq: bool = False, **settings: Any) -> ModelSpec:
    """Write a random adapter, and return base and adapter as one model."""
    kind = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    torch.manual_seed(1)
    config = LoraConfig(
        r=4, lora_alpha=8, task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
        **{"init_lora_weights": False} | settings,
    )  # fmt: skip
    model: Any = get_peft_model(kind.from_pretrained(base), config)
    with torch.no_grad():  # what is saved whole begins as the base's own
        for name, weight in model.named_parameters():
            if weight.requires_grad and "lora_" not in name:
                weight.add_(torch.randn_like(weight) * 0.5)
    model.save_pretrained(folder)
    architecture: Any = "encoder-decoder" if seq2seq else "decoder"
    return ModelSpec(
        "tuned", "Tuned", "hf", architecture, str(base), adapter=str(folder), chat_template=False
    )


def greedy(model: Any) -> list[list[int]]:
    """Return plain transformers' answers."""
    found = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=12, pad_token_id=2,
        )  # fmt: skip
        found.append(out[0].tolist())
    return found


KINDS = {
    "head": {"target_modules": ["lm_head"]},
    "head and layers": {"target_modules": ["lm_head", "q_proj"]},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "head saved whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "embedding saved whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "single tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [10, 200, 300]},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS.keys())
def test_the_merged_model_answers_as_the_adapter(
    settings: dict[str, Any], tied: Path, tmp_path: Path
) -> None:
    """Peft's ids before and plain transformers' after are equal, and the report tells it."""
    model = adapted(tied, tmp_path / "adapter", **settings)
    plain: Any = AutoModelForCausalLM.from_pretrained(tied)
    before = greedy(PeftModel.from_pretrained(plain, tmp_path / "adapter").eval())

    report = merge(model, tmp_path / "merged", PROMPTS, 1e-3)

    assert greedy(AutoModelForCausalLM.from_pretrained(report.folder)) == before
    assert report.exact.equal_tokens == 1.0
    told = "the merged model keeps two (tie_word_embeddings = false)"
    assert told in report.text()
    assert told in (report.folder / "README.md").read_text()


@pytest.mark.filterwarnings("ignore")
def test_layers_alone_leave_one_matrix(tied: Path, tmp_path: Path) -> None:
    """Nothing is said, and the merged model is no larger than its base."""
    model = adapted(tied, tmp_path / "adapter", target_modules=["q_proj", "v_proj"])
    report = merge(model, tmp_path / "merged", PROMPTS, 1e-3)

    assert not report.untied
    assert "tie_word" not in report.text()
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tied, report.folder)]
    assert abs(sizes[0] - sizes[1]) < 2000


@pytest.mark.filterwarnings("ignore")
def test_a_t5_whose_head_is_its_embedding_is_merged(tmp_path: Path) -> None:
    """It scales what goes into such a head, and goes on to do so; a difference is refused."""
    base = tmp_path / "t5"
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=434, d_model=64, d_kv=16, d_ff=128, num_layers=1, num_heads=4,
        decoder_start_token_id=2, pad_token_id=2, eos_token_id=1, tie_word_embeddings=True,
        initializer_factor=2.0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(base)
    bpe_tokenizer().save_pretrained(base)
    model = adapted(base, tmp_path / "adapter", seq2seq=True, target_modules=["lm_head"])
    plain: Any = AutoModelForSeq2SeqLM.from_pretrained(base)
    before = greedy(PeftModel.from_pretrained(plain, tmp_path / "adapter").eval())

    report = merge(model, tmp_path / "merged", PROMPTS, 1e-3)

    assert greedy(AutoModelForSeq2SeqLM.from_pretrained(report.folder)) == before
    with pytest.raises(ModelError, match=r"are one matrix in this base: use it unmerged"):
        merge(model, tmp_path / "refused", PROMPTS, -1.0)
    assert not (tmp_path / "refused").exists()
