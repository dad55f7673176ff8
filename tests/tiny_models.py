"""Models of a few thousand random weights, made in the test, with real tokenizers around them."""

import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

SHARED = Path(__file__).parents[1].parent / "shared" / "data"

TEXT = (
    "You are a licensed therapist. Your role is to respond to the user's question with empathy, "
    "understanding, and support. I feel sad and anxious at work, and I do not know whom to tell. "
    "How can I sleep better? My partner left me, and I am afraid that it was my own doing. "
    "Thank you for writing. It takes courage to ask for help, and you are not alone with this."
)

LLAMA_TEMPLATE = (
    "{{- bos_token }}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set said = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set said = '' %}{%- endif %}"
    "{{- '<|start|>system<|stop|>\n\nCutting Knowledge Date: December 2023\n' }}"
    "{{- 'Today Date: ' + (strftime_now('%d %b %Y')) + '\n\n' + said + '<|eot|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start|>' + message['role'] + '<|stop|>\n\n' + message['content'] | trim + '<|eot|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start|>assistant<|stop|>\n\n' }}{%- endif %}"
)
"""As Llama 3.1's: a system turn with two lines of its own, whether or not one is given."""


def bpe_tokenizer(*, pad: str | None = "<pad>", template: str | None = LLAMA_TEMPLATE) -> Any:
    """Return a small byte-level BPE tokenizer that puts ``<s>`` in front of plain text, once."""
    special = ["<s>", "</s>", "<pad>", "<|start|>", "<|stop|>", "<|eot|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token=pad
    )
    fast.add_special_tokens({"extra_special_tokens": special[3:]})
    fast.chat_template = template
    return fast


def tiny_llama(
    folder: Path,
    *,
    window: int = 512,
    layers: int = 2,
    generation: dict[str, Any] | None = None,
    **tokenizer: Any,
) -> Path:
    """Write a random Llama, float32, with its tokenizer, to *folder*.

    Args:
        folder: Where to; created.
        window: Positions.
        layers: How many; one trains in half the time.
        generation: Settings for its ``generation_config.json``.
        tokenizer: See ``bpe_tokenizer``.
    """
    torch.manual_seed(0)
    words = bpe_tokenizer(**tokenizer)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        initializer_range=0.5,  # decided logits: no ties for rounding to break
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    for name, value in (generation or {}).items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tiny_t5(folder: Path) -> Path:
    """Write a random T5 of two layers to *folder*, with the real T5 tokenizer if it is there."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = t5_tokenizer(folder)
    config = T5Config(
        vocab_size=max(512, -(-len(tokenizer) // 128) * 128),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
        initializer_factor=2.0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def t5_tokenizer(folder: Path) -> Any:
    """Put T5's tokenizer, or a Unigram one made here in its likeness, into *folder*."""
    if (SHARED / "t5-tokenizer").is_dir():
        for path in (SHARED / "t5-tokenizer").iterdir():
            if path.suffix in (".json", ".model"):
                shutil.copyfile(path, folder / path.name)
        return AutoTokenizer.from_pretrained(folder)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")  # a line break is a space
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    letters = [chr(code) for code in range(33, 127)]  # no character of English is unknown
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=special,
        unk_token="<unk>",
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_max_length=512,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def tiny_adapter(base: Path, folder: Path, *, named: str | None = None) -> Path:
    """Train nothing, but write a LoRA adapter for *base* whose weights are random.

    Args:
        base: Folder of a model.
        folder: Where to.
        named: The base that the adapter names; null means *base*.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base), config)
    model.peft_config["default"].base_model_name_or_path = named or str(base)
    model.save_pretrained(folder)
    return folder
