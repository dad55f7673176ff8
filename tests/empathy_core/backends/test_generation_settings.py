"""What a checkpoint's own settings decide: structure is kept, taste is not, padding is no text."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
)

from empathy_core import backends
from empathy_core.backends.generation_settings import (
    ALONE,
    STRUCTURE,
    check_structure,
    decoder_start,
    find,
)
from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding, ModelSpec
from jobs.planning import versions
from jobs.planning.resolving import answering
from jobs.planning.withheld import WithheldWrites
from tests.empathy_core.backends.test_backends import QUESTIONS, one_by_one, requests
from tests.empathy_core.prompts.test_reasoning import QWEN3
from tests.tiny_models import bpe_tokenizer, tiny_llama, tiny_t5

TASTE = {
    "do_sample": True, "temperature": 0.3, "top_k": 5, "top_p": 0.7, "repetition_penalty": 3.0,
    "num_beams": 4, "length_penalty": 2.0, "no_repeat_ngram_size": 2, "max_length": 5,
    "min_length": 3, "early_stopping": True, "encoder_no_repeat_ngram_size": 3,
}  # fmt: skip


def spec(folder: Path, architecture: Any = "decoder", **settings: Any) -> ModelSpec:
    """Return the settings of a model in a folder."""
    return replace(ModelSpec("tiny", "Tiny", "hf", architecture, str(folder)), **settings)


def planned(model: ModelSpec, **decoding: Any) -> Condition:
    """Return a condition of 16 new tokens as the planner makes it."""
    of = Condition(model, prompt("none"), Decoding(**{"max_new_tokens": 16, **decoding}))
    folder = Path(str(model.weights))
    return find(of, folder, load_tokenizer(folder)).applied(of)


def tiny_bart(folder: Path, **generation: Any) -> Path:
    """Write a random BART of two layers, and settings for its ``generation_config.json``."""
    torch.manual_seed(0)
    words = bpe_tokenizer(template=None)
    config = BartConfig(
        vocab_size=len(words), d_model=64, encoder_layers=2, decoder_layers=2, init_std=0.5,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128,
        decoder_ffn_dim=128, max_position_embeddings=512, pad_token_id=2, bos_token_id=0,
        eos_token_id=1, decoder_start_token_id=1,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **{"decoder_start_token_id": 1, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
        | generation
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def plain(model: ModelSpec, **structure: Any) -> list[tuple[int, ...]]:
    """Return the ids that transformers itself makes under settings of structure alone."""
    folder = str(model.weights)
    seq2seq = model.architecture != "decoder"
    kind = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    peer, words = kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    own = peer.generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    peer.generation_config = GenerationConfig(
        decoder_start_token_id=own.decoder_start_token_id, bos_token_id=own.bos_token_id
    )
    found = []
    for question in QUESTIONS:
        asked = words(question, return_tensors="pt")
        made = peer.generate(
            input_ids=asked["input_ids"], attention_mask=asked["attention_mask"],
            generation_config=GenerationConfig(
                max_new_tokens=16, do_sample=False, eos_token_id=ends, pad_token_id=2,
                decoder_start_token_id=own.decoder_start_token_id,
                bos_token_id=own.bos_token_id, **structure,
            ),
        )  # fmt: skip
        ids = made[0, 1 if seq2seq else asked["input_ids"].shape[1] :].tolist()
        found.append(tuple(ids[: ids.index(1) + 1] if 1 in ids else ids))
    return found


# ---------------------------------------------------------------------------- structure


@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"forced_bos_token_id": 40},
        {"forced_eos_token_id": 1},
        {"suppress_tokens": [*range(60, 400)]},
        {"begin_suppress_tokens": [*range(30, 450)]},
        {"bad_words_ids": [[i] for i in range(100, 300)]},
        {"decoder_start_token_id": 77},
        {"decoder_start_token_id": None},
        {"forced_bos_token_id": 0, "forced_eos_token_id": 1, "bad_words_ids": [[99], [98, 97]]},
    ],
    ids=lambda s: "-".join(s) or "none",
)
def test_structure_is_kept_and_taste_is_dropped(tmp_path: Path, structure: dict[str, Any]):
    """Ids are transformers' own under structure alone, whatever the checkpoint's taste."""
    model = spec(tiny_bart(tmp_path / "m", **{**TASTE, **structure}), "encoder-decoder")
    condition = planned(model)
    backend = backends.load(model)

    answers = backend.answer(condition, requests())

    own = {k: v for k, v in structure.items() if k != "decoder_start_token_id"}
    assert [a.output_ids for a in answers] == plain(model, **own)
    assert one_by_one(backend, condition, requests()) == answers
    assert {name for name, _ in condition.structure} <= set(STRUCTURE)
    expected = {k for k, v in structure.items() if v is not None} | (
        {"decoder_start_token_id"} if structure.get("decoder_start_token_id", 1) else set()
    )
    assert {name for name, _ in condition.structure} == expected


@pytest.mark.parametrize("name", ["forced_bos_token_id", "suppress_tokens", "bad_words_ids"])
def test_without_a_setting_of_structure_the_answers_are_others(tmp_path: Path, name: str):
    """What would be missed if one were dropped again."""
    values = {
        "forced_bos_token_id": 40, "suppress_tokens": [*range(60, 400)],
        "bad_words_ids": [[i] for i in range(100, 300)],
    }  # fmt: skip
    model = spec(tiny_bart(tmp_path / "m", **{name: values[name]}), "encoder-decoder")
    condition, backend = planned(model), backends.load(model)
    dropped = replace(condition, structure=())

    assert backend.answer(condition, requests()) != backend.answer(dropped, requests())
    assert condition.id != dropped.id


def test_structure_of_a_decoder_is_kept(tmp_path: Path):
    """Tokens that a decoder-only checkpoint forbids stay forbidden, in each row of a batch."""
    structure = {"suppress_tokens": [*range(200, 400)], "begin_suppress_tokens": [*range(10, 150)]}
    model = spec(
        tiny_llama(tmp_path / "m", generation={**structure, "do_sample": True, "temperature": 0.2})
    )
    condition, backend = planned(model), backends.load(model)

    answers = backend.answer(condition, requests())

    assert [a.output_ids for a in answers] == plain(model, **structure)
    assert one_by_one(backend, condition, requests()) == answers
    assert not {i for a in answers for i in a.output_ids} & set(range(200, 400))


def test_an_end_that_is_forced_by_the_limit_is_the_limit(tmp_path: Path):
    """BART's last token is made an end: the answer was cut all the same."""
    model = spec(tiny_bart(tmp_path / "m", forced_eos_token_id=1), "encoder-decoder")
    answers = backends.load(model).answer(planned(model), requests())

    whole = [a for a in answers if a.n_output_tokens == 16]
    assert whole
    assert {(a.stop, a.output_ids[-1]) for a in whole} == {("length", 1)}


def test_the_token_that_every_answer_begins_with_is_no_leak(tmp_path: Path):
    """A language code or a forced beginning is special, and no fault of the model."""
    model = spec(tiny_bart(tmp_path / "m", forced_bos_token_id=3), "encoder-decoder")
    backend: Any = backends.load(model)
    condition = planned(model)

    answers = [backend.read(condition, [5], ids) for ids in ([3, 40, 1], [0, 40, 1], [40, 3, 1])]

    assert [a.n_special_tokens for a in answers] == [0, 0, 1]


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"decoder_start_token_id": 7, "bos_token_id": 8}, {"decoder_start_token_id": 9}, 7),
        ({"bos_token_id": 8}, {"decoder_start_token_id": 9}, 8),
        ({}, {"decoder_start_token_id": 9, "bos_token_id": 6}, 9),
        ({}, {"bos_token_id": 6}, 6),
    ],
)
def test_an_answer_begins_as_transformers_has_it(
    generation: dict[str, Any], config: dict[str, Any], expected: int
):
    """Named, else what begins a text; the configuration only where transformers would give up."""
    of = BartConfig(**{"decoder_start_token_id": None, "bos_token_id": None, **config})

    assert decoder_start(GenerationConfig(**generation), of, "tiny") == expected


def test_an_answer_that_begins_with_nothing_is_refused_at_planning(tmp_path: Path):
    """With the file and the key that are to be set."""
    folder = tiny_bart(tmp_path / "m", decoder_start_token_id=None, bos_token_id=None)
    config = AutoConfig.from_pretrained(folder)
    config.decoder_start_token_id = config.bos_token_id = None
    config.save_pretrained(folder)

    with pytest.raises(ModelError, match=r"generation_config\.json.*decoder_start_token_id"):
        planned(spec(folder, "encoder-decoder"))


@pytest.mark.parametrize("token", [99, -1, "en"])
def test_a_start_beyond_the_vocabulary_is_refused(token: Any):
    """What no decoder reads is no matter, nor are tokens suppressed that are not there."""
    settings = {"forced_bos_token_id": token}

    with pytest.raises(ModelError, match=r"m: forced_bos_token_id = .* expected ids of tokens"):
        check_structure(settings, 50, "m", encodes=True)
    check_structure(settings, 50, "m", encodes=False)
    check_structure({"suppress_tokens": [99, -1]}, 50, "m", encodes=True)


def test_a_token_of_a_larger_decoder_may_be_forced(tmp_path: Path):
    """Marian's two sides may have vocabularies of their own."""
    folder = tiny_bart(tmp_path / "m", forced_bos_token_id=900)
    model = spec(folder, "encoder-decoder")
    with pytest.raises(ModelError, match=r"forced_bos_token_id = 900 .* cannot be followed"):
        planned(model)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"decoder_vocab_size": 1000}))

    assert ("forced_bos_token_id", "900") in planned(model).structure


def test_a_condition_without_structure_has_the_id_it_always_had(tmp_path: Path):
    """Nothing enters an identity that says nothing; T5's start does, since it is structure."""
    llama = planned(spec(tiny_llama(tmp_path / "m")))
    t5 = planned(spec(tiny_t5(tmp_path / "t5"), "encoder-decoder"))

    assert not {"structure", "reasoning", "stored_quantization"} & set(llama.identity)
    assert t5.identity["structure"] == (("decoder_start_token_id", "0"),)


# ---------------------------------------------------------------------------- kept in the run


def _planned_and_kept(condition: Condition, run: RunDir) -> tuple[Condition, tuple[str, ...]]:
    withheld = WithheldWrites()
    found = answering.planned(condition, run, withheld)
    withheld.write()
    return found


def test_what_was_found_is_kept_and_an_older_version_goes_on_without_it(tmp_path: Path):
    """A second plan reads it from the run; answers of version 2 stay under their own id."""
    model = spec(
        tiny_bart(tmp_path / "m", forced_bos_token_id=40), "encoder-decoder", reasoning=("(", ")")
    )
    asked, run = Condition(model, prompt("none"), Decoding()), RunDir(tmp_path / "run")

    first = _planned_and_kept(asked, run)
    again = _planned_and_kept(replace(asked, model=replace(model, weights="/gone")), run)
    old = replace(asked, generation_version=2)
    run.journals(old.id).mkdir(parents=True)
    (run.journals(old.id) / "00000-of-00001.a.jsonl").write_text("")

    assert again[0] == replace(first[0], model=again[0].model)
    assert again[1] == first[1]
    assert versions.as_begun(first[0], run) == old
    assert versions.as_begun(first[0], RunDir(tmp_path / "new")) == first[0]


# ---------------------------------------------------------------------------- padding

SIZES = {
    "vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1,
    "initializer_range": 0.3,
}  # fmt: skip
MAMBA = {"num_attention_heads": 4, "state_size": 8, "time_step_rank": 8}
HEADS = {"num_key_value_heads": 2, "head_dim": 16}
MAMBA2 = {
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": HEADS,
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mixtral": {**HEADS, **EXPERTS},
    "olmoe": {**HEADS, **EXPERTS},
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16},
    "recurrent_gemma": {
        **HEADS, "lru_width": 64, "attention_window_size": 64, "num_hidden_layers": 3,
    },
    "jamba": {
        **HEADS, **EXPERTS, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8,
        "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_dt_rank": 8,
        "use_mamba_kernels": False,
    },
    "bamba": {**HEADS, **MAMBA2, "attn_layer_indices": [1]},
    "falcon_h1": {**HEADS, **MAMBA2, "mamba_d_ssm": 128},
    "lfm2": {"num_key_value_heads": 2, "block_multiple_of": 8, "full_attn_idxs": [1]},
    "rwkv": {"attention_hidden_size": 64, "context_length": 256},
    "xlnet": {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128},
    "xlstm": {"num_heads": 4, "chunk_size": 16, "qk_dim_factor": 1.0, "mode": "inference"},
    "reformer": {
        "is_decoder": True, "attention_head_size": 16, "feed_forward_size": 128,
        "attn_layers": ["local", "local"], "axial_pos_embds": False,
        "local_attn_chunk_length": 8, "max_position_embeddings": 256,
    },
}  # fmt: skip
"""Recurrent, mixed, routed and plain architectures, and those of ``ALONE``."""


def tiny(folder: Path, family: str) -> ModelSpec:
    """Write a random model of a family, with a tokenizer."""
    torch.manual_seed(0)
    words = bpe_tokenizer(template=None)
    settings = {**SIZES, **FAMILIES[family], "vocab_size": len(words)}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings)).float()
    if family in ("rwkv", "xlstm"):  # which are made so that at first nothing is decided
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return spec(folder)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_row_alone_is_answered_as_in_its_block(tmp_path: Path, family: str):
    """In float32, with the plan's block size; ids are transformers' own for the row alone."""
    model = tiny(tmp_path / "m", family)
    condition, backend = planned(model), backends.load(model)

    answers = backend.answer(condition, requests())

    assert one_by_one(backend, condition, requests()) == answers
    assert [a.output_ids for a in answers] == plain(model)
    assert (condition.block_size == 1) == (family in ALONE)


@pytest.mark.parametrize("family", sorted(ALONE))
def test_what_stands_alone_would_read_its_padding(tmp_path: Path, family: str):
    """Why these architectures are on the list: in one batch their answers are others."""
    model = tiny(tmp_path / "m", family)
    condition, backend = planned(model), backends.load(model)
    together = replace(condition, block_size=None)

    assert one_by_one(backend, together, requests()) != backend.answer(together, requests())
    assert condition.id != together.id


def test_delimiters_that_replace_the_templates_own_are_said(tmp_path: Path) -> None:
    """A pair one letter off would let thoughts be scored, and the table must say so."""
    folder = tiny_llama(tmp_path / "m", template=QWEN3)
    spec = ModelSpec("m", "Mine", "hf", "decoder", str(folder), chat_template=True)
    told = {}
    for pair in (None, ("<think>", "</think>"), ("<thinking>", "</thinking>")):
        c = Condition(replace(spec, reasoning=pair), prompt("none"), Decoding(), chat=True)
        told[pair] = _planned_and_kept(c, RunDir(tmp_path / "run"))[1]
        assert _planned_and_kept(c, RunDir(tmp_path / "run"))[1] == told[pair]  # as it was kept

    of_reasoning = {pair: [n for n in notes if "reasoning" in n] for pair, notes in told.items()}
    assert of_reasoning[None] == of_reasoning["<think>", "</think>"] == []
    [note] = of_reasoning["<thinking>", "</thinking>"]
    assert "writes reasoning between <think> and </think>, which the setting 'reasoning'" in note
