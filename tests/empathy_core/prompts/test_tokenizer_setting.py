"""A model's tokenizer: where its settings say it lies, everywhere, and with a row for each id."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from transformers import AutoTokenizer

from empathy_core import backends, weights
from empathy_core.diagnosis import probe
from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.rendering import render
from empathy_core.store import EXAMPLES
from empathy_core.training.adapter import adapters
from empathy_core.training.adapter.merging import rendered
from empathy_core.training.rows import prepare
from empathy_core.training.spec import FinetuneSpec
from empathy_core.types import ModelSpec
from jobs.planning.resolving import resolve
from tests.zoo_answers import condition, ours, plain, requests, spec, theirs
from tests.zoo_models import make, make_adapter


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A tiny Llama that is asked through a tokenizer of another place.

    It knows one word more: an embedding of 448 rows has one for it.
    """
    root = tmp_path_factory.mktemp("words")
    base = make("llama", root / "base", vocab_size=448)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["sad"])
    tokenizer.save_pretrained(root / "words")
    return spec(base, tokenizer=str(root / "words"))


def in_rendering(model: ModelSpec) -> str:
    """Return the first prompt as the planner renders it."""
    pairs = [(r.example, r.context) for r in requests()]
    return render(condition(model), pairs).digest


def in_answering(model: ModelSpec) -> tuple[int, ...]:
    """Return the first prompt as the backend renders it."""
    return ours(model)[0][0]


def in_diagnosis(model: ModelSpec) -> tuple[int, ...]:
    """Return the first prompt as the diagnosis renders it."""
    stepper = probe.load(model, "error")
    return stepper.prompts(condition(model), [requests()[0].context])[0].ids


def in_merging(model: ModelSpec) -> tuple[int, ...]:
    """Return the first prompt as a merged model is compared on it."""
    return rendered(condition(model), [requests()[0].context])[0]


def in_training(model: ModelSpec) -> int:
    """Return how many tokens the training's tokenizer has."""
    tuned = FinetuneSpec("tuned", "Tuned", model, prompt("none"), chat=False)
    made = [
        {
            "id": str(i), "context": f"I feel sad, {i}.", "response": f"I am here, {i}.",
            "source": "made", "row": i, "raw_sha256": "", "question": str(i), "pair": str(i),
            "author": None, "split": "train", "block": None,
        }
        for i in range(8)
    ]  # fmt: skip
    return len(prepare.prepare(tuned, pl.DataFrame(made, schema=EXAMPLES)).tokenizer)


@pytest.mark.parametrize(
    "place", [in_rendering, in_answering, in_diagnosis, in_merging, in_training]
)
def test_the_tokenizer_of_the_settings_is_used(
    place: Callable[[ModelSpec], Any], model: ModelSpec
) -> None:
    """And not the one beside the weights."""
    assert place(model) != place(replace(model, tokenizer=None))
    assert place(replace(model, tokenizer=model.weights)) == place(replace(model, tokenizer=None))
    if place is not in_rendering and place is not in_training:
        assert 434 in place(model)


def test_an_adapters_tokenizer_needs_an_adapter(model: ModelSpec) -> None:
    """It is a setting that contradicts itself."""
    with pytest.raises(ModelError, match='tokenizer = "adapter", but there is no adapter'):
        backends.load(replace(model, tokenizer="adapter"))


def test_a_tokenizer_that_is_nowhere_is_named_as_such(model: ModelSpec, tmp_path: Path) -> None:
    """And not as the weights, which are there."""
    with pytest.raises(ModelError, match=r"tokenizer '/.*correct 'tokenizer' of this"):
        backends.load(replace(model, tokenizer=str(tmp_path / "absent")))


# ---------------------------------------------------------------------------- asked otherwise

TRAINED = {
    "chat_template": True, "template_default": "suppress", "fold_system": False,
    "template_arguments": [["enable_thinking", False]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ""),
        (
            {"template_arguments": ()},
            'the adapter was trained with template_arguments = {"enable_thinking": false}',
        ),
        (
            {"template_default": "keep", "fold_system": True},
            'the adapter was trained with template_default = "suppress", fold_system = false',
        ),
        ({"tokenizer": None}, "the adapter was trained with another tokenizer"),
    ],
    ids=["alike", "arguments", "system", "tokenizer"],
)
def test_an_adapter_whose_prompts_are_rendered_otherwise_than_it_was_taught_is_named(
    settings: dict[str, Any],
    words: str,
    model: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all that the settings can change of a template, not with its prompt alone."""
    path = weights.tokenizer_folder(model)
    base = {**TRAINED, "fingerprint": f"0+tokenizer:{weights.tokenizer_digest(path)}"}
    taught = {"prompt": asdict(prompt("none")), "chat": True}
    record = SimpleNamespace(settings=taught, base=base)
    monkeypatch.setattr(adapters, "is_complete", lambda _: True)
    monkeypatch.setattr(adapters, "read", lambda _: record)
    adapter = make_adapter(Path(str(model.weights)), "lora", tmp_path / "adapter")
    arguments: Any = {"template_arguments": (("enable_thinking", False),), **settings}
    now = replace(model, adapter=str(adapter), chat_template=True, **arguments)
    asked = replace(
        condition(now), chat=True,
        tokenizer_digest=weights.tokenizer_digest(weights.tokenizer_folder(now)),
    )  # fmt: skip

    assert resolve._trained_otherwise(asked) == ([f"Tiny: {words}."] if words else [])


# ---------------------------------------------------------------------------- rows


def test_padding_is_a_token_that_the_model_has(tmp_path: Path) -> None:
    """A [PAD] that was added later has no row; the batch is filled with another."""
    base = make("llama", tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 434
    tokenizer.save_pretrained(base)
    prompts, answers = ours(spec(base))
    assert answers == theirs(plain(base), prompts)


def test_a_token_beyond_the_embedding_is_named(tmp_path: Path) -> None:
    """Whether the planner or the backend meets it first."""
    base = make("llama", tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["sad"])
    tokenizer.save_pretrained(base)
    pairs = [(r.example, r.context) for r in requests()]
    with pytest.raises(ModelError, match=r"no row for: 'sad' \(434\); its embedding has 434 rows"):
        render(condition(spec(base)), pairs)
    backend = backends.load(spec(base))
    with pytest.raises(ModelError, match=r"no row for: 'sad' \(434\); its embedding has 434 rows"):
        backend.answer(condition(spec(base)), requests())
