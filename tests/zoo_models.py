"""Tiny models of many families, random weights made in the test, with one small tokenizer.

``make(family, folder)`` writes a model as ``save_pretrained`` does: a few thousand weights, two
layers, float32, so that greedy ids can be compared with those of plain transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.tiny_models import bpe_tokenizer

_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_GEMMA2 = {
    **_LLAMA,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 16,  # shorter than the prompts
    "tie_word_embeddings": False,  # tied, random weights repeat the last token for ever
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
_NEOX = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 512,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
    "init_std": 0.5,
}
_T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 2,
    "initializer_factor": 2.0,
}


@dataclass(frozen=True)
class Family:
    """How a tiny model of a family is configured.

    Attributes:
        config: The class of its configuration, in ``transformers``.
        settings: What that class is called with, besides the vocabulary and the special tokens.
        architecture: As ``ModelSpec.architecture``.
        lora: Names of linear layers that an adapter may stand on.
    """

    config: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "decoder"
    lora: tuple[str, ...] = ("q_proj", "v_proj")


def _seq2seq(config: str, settings: Mapping[str, Any], *lora: str) -> Family:
    return Family(config, settings, "encoder-decoder", lora or ("q_proj", "v_proj"))


FAMILIES: Mapping[str, Family] = {
    "llama": Family("LlamaConfig", {**_LLAMA, "tie_word_embeddings": False}),
    "qwen2": Family("Qwen2Config", _LLAMA),
    "qwen3": Family("Qwen3Config", {**_LLAMA, "head_dim": 8}),
    "mistral": Family("MistralConfig", {**_LLAMA, "sliding_window": None}),
    "gemma": Family("GemmaConfig", {**_LLAMA, "head_dim": 8}),
    "gemma2": Family(
        "Gemma2Config", {**_GEMMA2, "final_logit_softcapping": None}
    ),
    "gemma3": Family("Gemma3TextConfig", _GEMMA2),
    "phi": Family("PhiConfig", _LLAMA),
    "phi3": Family("Phi3Config", _LLAMA, lora=("qkv_proj", "o_proj")),
    "gpt2": Family("GPT2Config", _GPT2, lora=("c_attn",)),
    "gpt_neo": Family(
        "GPTNeoConfig",
        {
            "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 16,
            "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 512,
        },
    ),
    "gpt_neox": Family("GPTNeoXConfig", _NEOX, lora=("query_key_value",)),
    "gptj": Family("GPTJConfig", {**_GPT2, "rotary_dim": 8}),
    "codegen": Family("CodeGenConfig", {**_GPT2, "rotary_dim": 8}, lora=("qkv_proj",)),
    "opt": Family(
        "OPTConfig",
        {
            "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 512, "word_embed_proj_dim": 32, "init_std": 0.5,
        },
    ),
    "bloom": Family(
        "BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, lora=("query_key_value",)
    ),
    "falcon": Family(
        "FalconConfig",
        {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 512,
        },
        lora=("query_key_value",),
    ),
    "mpt": Family(
        "MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 512},
        lora=("Wqkv",),
    ),
    "stablelm": Family("StableLmConfig", _LLAMA),
    "olmo": Family("OlmoConfig", _LLAMA),
    "olmo2": Family("Olmo2Config", _LLAMA),
    "granite": Family("GraniteConfig", _LLAMA),
    "cohere": Family("CohereConfig", {**_LLAMA, "logit_scale": 1.0}),
    "starcoder2": Family("Starcoder2Config", _LLAMA),
    "mixtral": Family(
        "MixtralConfig", {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2}
    ),
    "smollm3": Family("SmolLM3Config", _LLAMA),
    "mamba": Family(
        "MambaConfig", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2},
        lora=("in_proj",),
    ),
    "rwkv": Family(
        "RwkvConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "context_length": 512},
        lora=("key", "value"),
    ),
    "t5": _seq2seq("T5Config", _T5, "q", "v"),
    "flan_t5": _seq2seq(
        "T5Config",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, "q", "v",
    ),
    "mt5": _seq2seq("MT5Config", {**_T5, "feed_forward_proj": "relu"}, "q", "v"),
    "bart": _seq2seq("BartConfig", _BART),
    "mbart": _seq2seq("MBartConfig", _BART),
    "pegasus": _seq2seq("PegasusConfig", _BART),
    "blenderbot": _seq2seq("BlenderbotConfig", _BART),
    "blenderbot_small": _seq2seq("BlenderbotSmallConfig", _BART),
    "marian": _seq2seq("MarianConfig", _BART),
}  # fmt: skip
"""Family → its tiny model."""


def make(
    family: str,
    folder: Path,
    *,
    tokenizer: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Write a random model of *family*, with a tokenizer, to *folder*, and return that.

    Args:
        family: Of ``FAMILIES``.
        folder: Where to; created.
        tokenizer: See ``bpe_tokenizer``; a seq2seq's puts no token in front.
        settings: Change the configuration of the family.
    """
    words = bpe_tokenizer(**{"template": None, **(tokenizer or {})})
    model = random_model(family, len(words), **settings)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def random_model(family: str, n_tokens: int, **settings: Any) -> Any:
    """Return a random model of *family* with decided logits, the same each time."""
    made = FAMILIES[family]
    config = getattr(transformers, made.config)(
        **{
            "vocab_size": n_tokens,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "initializer_range": 0.5,
            **made.settings,
            **settings,
        }
    )
    torch.manual_seed(0)
    kind = AutoModelForCausalLM if made.architecture == "decoder" else AutoModelForSeq2SeqLM
    return disturbed(kind.from_config(config).float())


def disturbed(model: Any) -> Any:
    """Return *model* with biases and norms that are no zeros or ones.

    As they are made, a bias that is not loaded would change nothing.
    """
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


# ---------------------------------------------------------------------------- adapters

ADAPTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lora": ("LoraConfig", {}),
    "rslora": ("LoraConfig", {"use_rslora": True}),
    "dora": ("LoraConfig", {"use_dora": True}),
    "bias": ("LoraConfig", {"bias": "lora_only"}),
    "all_biases": ("LoraConfig", {"bias": "all"}),
    "modules_to_save": ("LoraConfig", {"modules_to_save": ["lm_head"]}),
    "embedding_saved": ("LoraConfig", {"modules_to_save": ["embed_tokens", "lm_head"]}),
    "lm_head": ("LoraConfig", {"target_modules": ["q_proj", "lm_head"]}),
    "trainable_tokens": ("LoraConfig", {"trainable_token_indices": [5, 46, 300]}),
    "rank_pattern": ("LoraConfig", {"rank_pattern": {"v_proj": 2}}),
    "alpha_pattern": ("LoraConfig", {"alpha_pattern": {"q_proj": 64}}),
    "some_layers": ("LoraConfig", {"layers_to_transform": [1]}),
    "ia3": (
        "IA3Config",
        {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    ),
    "loha": ("LoHaConfig", {}),
    "lokr": ("LoKrConfig", {}),
    "adalora": ("AdaLoraConfig", {"total_step": 10}),
    "oft": ("OFTConfig", {"oft_block_size": 8}),
    "boft": ("BOFTConfig", {"boft_block_size": 8}),
    "vera": ("VeraConfig", {}),
    "prompt_tuning": ("PromptTuningConfig", {"num_virtual_tokens": 4}),
    "p_tuning": ("PromptEncoderConfig", {"num_virtual_tokens": 4, "encoder_hidden_size": 16}),
    "prefix_tuning": ("PrefixTuningConfig", {"num_virtual_tokens": 4}),
    "alora": ("LoraConfig", {"alora_invocation_tokens": [78, 72]}),
}
"""Kind of an adapter → the class of its configuration in ``peft``, and what that is called with."""

_ON_LAYERS = ("LoraConfig", "LoHaConfig", "LoKrConfig", "AdaLoraConfig", "OFTConfig", "BOFTConfig")


def adapter_config(kind: str, **settings: Any) -> Any:
    """Return peft's configuration of an adapter of *kind* for a decoder."""
    import peft

    name, given = ADAPTERS[kind]
    usual: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    if name in (*_ON_LAYERS, "VeraConfig"):
        usual["target_modules"] = ["q_proj", "v_proj"]
    if name == "VeraConfig":
        usual["target_modules"] = ["q_proj", "o_proj"]  # of one shape
    return getattr(peft, name)(**{**usual, **given, **settings})


def make_adapter(
    base: Path, kind: str, folder: Path, *, n_tokens: int | None = None, **settings: Any
) -> Path:
    """Write an adapter of *kind* for *base* whose weights are random to *folder*.

    Args:
        base: Folder of a decoder.
        kind: Of ``ADAPTERS``.
        folder: Where to.
        n_tokens: To how many rows the embedding is resized first; null leaves it.
        settings: For its configuration.
    """
    from peft import get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(2)
    if n_tokens:
        model.resize_token_embeddings(n_tokens)
    adapted = get_peft_model(model, adapter_config(kind, **settings))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return folder
