"""Adapters of every kind: the suite's greedy ids equal peft's, or the plan refuses by name."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import AutoTokenizer

from empathy_core import backends, weights
from empathy_core.backends import loading
from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec
from empathy_core.weights import checkpoint
from tests.tiny_models import LLAMA_TEMPLATE
from tests.zoo_answers import condition, ours, plain, requests, spec, theirs
from tests.zoo_layouts import rewrite
from tests.zoo_models import ADAPTERS, FAMILIES, make, make_adapter

ELSEWHERE = {
    "prompt_tuning": "PROMPT_TUNING",
    "p_tuning": "P_TUNING",
    "prefix_tuning": "PREFIX_TUNING",
    "alora": "aLoRA",
}
IN_LAYERS = [kind for kind in ADAPTERS if kind not in ELSEWHERE]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with biases."""
    return make("llama", tmp_path_factory.mktemp("base") / "llama", attention_bias=True)


def check(model: ModelSpec) -> None:
    """Look at a model as the planner does."""
    loading.check_loadable(model, weights.locate(str(model.weights)))


def peer(base: Path, adapter: Path, n_tokens: int | None = None) -> Any:
    """Return base and adapter as plain peft loads them."""
    model = plain(base)
    if n_tokens:
        model.resize_token_embeddings(n_tokens)
    return PeftModel.from_pretrained(model, adapter)


# ---------------------------------------------------------------------------- kinds


@pytest.mark.parametrize("kind", IN_LAYERS)
def test_an_adapter_answers_as_peft_does(kind: str, base: Path, tmp_path: Path) -> None:
    """In a padded batch here, one by one there; and otherwise than the base."""
    adapter = make_adapter(base, kind, tmp_path / kind)
    model = spec(base, adapter=str(adapter))
    check(model)
    prompts, answers = ours(model)
    assert answers == theirs(peer(base, adapter), prompts)
    assert answers != ours(spec(base))[1]


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_an_adapter_that_lives_elsewhere_is_refused(kind: str, base: Path, tmp_path: Path) -> None:
    """The base alone would answer under its name."""
    model = spec(base, adapter=str(make_adapter(base, kind, tmp_path / kind)))
    with pytest.raises(ModelError, match=f"is of the kind {ELSEWHERE[kind]} "):
        check(model)
    with pytest.raises(ModelError, match=f"is of the kind {ELSEWHERE[kind]} "):
        backends.load(model)


@pytest.mark.slow
@pytest.mark.parametrize("family", [f for f in FAMILIES if FAMILIES[f].architecture == "decoder"])
def test_a_family_with_lora_answers_as_peft_does(family: str, tmp_path: Path) -> None:
    """On the layers that the family has."""
    base = make(family, tmp_path / family)
    adapter = make_adapter(
        base, "lora", tmp_path / "adapter", target_modules=list(FAMILIES[family].lora)
    )
    model = spec(base, adapter=str(adapter))
    check(model)
    prompts, answers = ours(model)
    assert answers == theirs(peer(base, adapter), prompts)


# ---------------------------------------------------------------------------- faults


@pytest.mark.parametrize("kind", ["lora", "dora", "bias", "modules_to_save", "ia3"])
@pytest.mark.parametrize("how", ["drop", "swap", "add"])
def test_a_damaged_adapter_is_found_by_its_headers(
    kind: str, how: str, base: Path, tmp_path: Path
) -> None:
    """Each tensor in turn: dropped, exchanged for one of another shape; or one has no place."""
    adapter = make_adapter(base, kind, tmp_path / "whole")
    names = sorted(checkpoint.headers([adapter / "adapter_model.safetensors"], "tiny"))

    def changed(tensors: dict, name: str) -> dict:  # type: ignore[type-arg]
        if how == "drop":
            return {n: t for n, t in tensors.items() if n != name}
        if how == "add":
            return {**tensors, f"{name}_of_another": tensors[name]}
        other = next(n for n in names if tensors[n].shape != tensors[name].shape)
        return {**tensors, name: tensors[other], other: tensors[name]}

    for i, name in enumerate(names):
        torn = Path(shutil.copytree(adapter, tmp_path / f"torn{i}"))
        rewrite(torn, lambda t, name=name: changed(t, name), "adapter_model.safetensors")
        with pytest.raises(ModelError, match="does not fit"):
            check(spec(base, adapter=str(torn)))


def test_an_adapter_of_another_width_is_found_by_its_headers(base: Path, tmp_path: Path) -> None:
    """A base of the same name and of other sizes."""
    wide = make("llama", tmp_path / "wide", hidden_size=64)
    adapter = make_adapter(wide, "lora", tmp_path / "adapter")
    model = spec(base, adapter=str(adapter), options=(("adapter_base", str(wide)),))
    with pytest.raises(ModelError, match=r"does not fit .*lora_A\.weight is \(8, 64\), expected"):
        check(model)


def test_an_adapter_of_another_base_is_found_at_planning(base: Path, tmp_path: Path) -> None:
    """By its name."""
    other = make("llama", tmp_path / "other", attention_bias=True)
    model = spec(base, adapter=str(make_adapter(other, "lora", tmp_path / "adapter")))
    with pytest.raises(ModelError, match=r"was trained on '.*other', but the model loads"):
        check(model)


def test_one_base_spelled_in_many_ways_is_one_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slash behind it, relative, through its parent, through a link."""
    monkeypatch.chdir(base.parent)
    (tmp_path / "link").symlink_to(base)
    spellings = (
        f"{base}/", base.name, f"./{base.name}", f"{base}/../{base.name}", str(tmp_path / "link"),
    )  # fmt: skip
    for spelled in spellings:
        adapter = make_adapter(base, "lora", tmp_path / "adapter")
        settings = (adapter / "adapter_config.json").read_text()
        named = settings.replace(f'"{base}"', f'"{spelled}"')
        (adapter / "adapter_config.json").write_text(named)
        check(spec(base, adapter=str(adapter)))
        check(replace(spec(base, adapter=str(adapter)), weights=spelled))
        assert weights.fingerprint(weights.locate(spelled)) == weights.fingerprint(base.resolve())
    assert os.path.realpath(tmp_path / "link") == str(base.resolve())


def test_a_broken_configuration_of_an_adapter_is_one_message(base: Path, tmp_path: Path) -> None:
    """Half a file of JSON is named."""
    adapter = make_adapter(base, "lora", tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text('{"peft_type": ')
    with pytest.raises(ModelError, match=r"adapter_config\.json cannot be read"):
        check(spec(base, adapter=str(adapter)))


# ---------------------------------------------------------------------------- tokenizers


def with_tokenizer(base: Path, adapter: Path, *added: str, template: str | None = None) -> int:
    """Save a tokenizer beside an adapter, with added tokens, and return how many it has."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(list(added), special_tokens=True)
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(adapter)
    return len(tokenizer)


def test_the_same_tokenizer_beside_an_adapter_is_no_matter(base: Path, tmp_path: Path) -> None:
    """Trainers save it there as they found it, with their own cutting and padding."""
    adapter = make_adapter(base, "lora", tmp_path / "adapter")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.padding_side, tokenizer.model_max_length = "left", 64
    tokenizer("two words", truncation=True, max_length=4, padding="max_length")
    tokenizer.save_pretrained(adapter)
    check(spec(base, adapter=str(adapter)))


def test_two_tokenizers_are_not_chosen_between(base: Path, tmp_path: Path) -> None:
    """The settings must say which; the message says how."""
    adapter = make_adapter(base, "lora", tmp_path / "adapter")
    with_tokenizer(base, adapter, "<new>")
    model = spec(base, adapter=str(adapter))
    with pytest.raises(ModelError, match=r'its vocabulary; .*tokenizer = "adapter" if .* or tok'):
        check(model)
    check(replace(model, tokenizer="adapter"))
    check(replace(model, tokenizer=str(base)))
    prints = {
        weights.model_fingerprint(replace(model, tokenizer=t)) for t in ("adapter", str(base), None)
    }
    assert len(prints) == 2  # the base's, said or not


def test_another_template_beside_an_adapter_matters_to_chats(base: Path, tmp_path: Path) -> None:
    """Without a chat template no prompt is changed by it."""
    adapter = make_adapter(base, "lora", tmp_path / "adapter")
    with_tokenizer(base, adapter, template=LLAMA_TEMPLATE)
    check(spec(base, adapter=str(adapter)))
    with pytest.raises(ModelError, match="in its chat template;"):
        check(spec(base, adapter=str(adapter), chat_template=True))


def test_a_resized_embedding_is_loaded_as_peft_does(base: Path, tmp_path: Path) -> None:
    """Added tokens, trained with: their rows are the adapter's, and prompts may hold them."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<new>", "<other>"], special_tokens=True)
    n_tokens = len(tokenizer)
    adapter = make_adapter(base, "embedding_saved", tmp_path / "adapter", n_tokens=n_tokens)
    tokenizer.save_pretrained(adapter)
    model = spec(base, adapter=str(adapter), tokenizer="adapter")
    check(model)
    prompts, answers = ours(model)
    assert answers == theirs(peer(base, adapter, n_tokens), prompts)
    asked = condition(model)
    new = replace(requests()[0], context="<new> I feel <other> sad.")
    backend: Any = backends.load(model)
    (row,) = backend._rows(asked, [new])
    assert n_tokens - 2 in row.prompt.ids
    (answer,) = backend.answer(asked, [new])
    assert [answer.output_ids] == theirs(peer(base, adapter, n_tokens), [row.prompt.ids])


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_resized_under_plain_lora_is_loaded_as_peft_does(
    tied: bool, tmp_path: Path
) -> None:
    """The whole embedding is saved unasked where its height changed."""
    base = make("llama", tmp_path / "base", tie_word_embeddings=tied)
    adapter = tmp_path / "adapter"
    make_adapter(base, "lora", adapter, n_tokens=440)
    with_tokenizer(base, adapter, "<new>")
    model = spec(base, adapter=str(adapter), tokenizer="adapter")
    check(model)
    prompts, answers = ours(model)
    assert answers == theirs(peer(base, adapter, 440), prompts)
