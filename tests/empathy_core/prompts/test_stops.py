"""Answers end where the model, its chat template or the author says, and nowhere else."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core import backends
from empathy_core.backends.generation_settings import find
from empathy_core.diagnosis import probe
from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.stops import before_stop, check_turn_end, stop_tokens, turn_end
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.empathy_core.backends.test_backends import QUESTIONS, one_by_one, requests
from tests.empathy_core.prompts.test_chat_templates import TEMPLATES, tokenizer_of
from tests.tiny_models import LLAMA_TEMPLATE, bpe_tokenizer, tiny_llama

__all__ = ["tokenizer_of"]  # a fixture

EOT = 5
AFTER = {
    "cohere": "<|END_OF_TURN_TOKEN|>", "cohere2": "<|END_RESPONSE|>", "gemma": "<end_of_turn>",
    "deepseek_r1_distill": "<\uff5cend\u2581of\u2581sentence\uff5c>", "gemma3": "<end_of_turn>",
    "gptoss": "<|return|>", "llama3": "<|eot_id|>", "llama3_1": "<|eot_id|>", "phi3": "<|end|>",
    "phi3_5": "<|end|>", "qwen2_5": "<|im_end|>", "qwen3": "<|im_end|>", "lfm2": "<|im_end|>",
    "qwen3_5_think": "<|im_end|>", "nemotron_3_nano": "<|im_end|>", "gemma4": "<turn|>",
    "muse_glimmer": "<|eot|>", "glm4moe": None,
}  # fmt: skip
"""What TRL's templates write after an answer, read by eye."""


def spec(folder: Path, **settings: Any) -> ModelSpec:
    """Return the settings of a chat model in a folder."""
    return replace(
        ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder), chat_template=True), **settings
    )


def asked(model: ModelSpec, *, chat: bool = True, **decoding: Any) -> Condition:
    """Return a condition as the planner makes it."""
    of = Condition(model, prompt("none"), Decoding(**{"max_new_tokens": 24, **decoding}), chat)
    folder = Path(str(model.weights))
    return find(of, folder, load_tokenizer(folder)).applied(of)


def plain_ids(model: ModelSpec, rendered: tuple[int, ...], ends: list[int], **more: Any) -> Any:
    """Return what transformers itself generates from a rendered prompt."""
    peer = AutoModelForCausalLM.from_pretrained(str(model.weights))
    ids = torch.tensor([list(rendered)])
    made = peer.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), eos_token_id=ends, do_sample=False,
        max_new_tokens=24, **more,
    )  # fmt: skip
    return tuple(made[0, len(rendered) :].tolist())


def eager(folder: Path) -> ModelSpec:
    """Return a tiny chat model that ends its turns by the template's token, and names ``</s>``."""
    from safetensors.torch import load_file, save_file

    tiny_llama(folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["lm_head.weight"][EOT] = weights["lm_head.weight"].sum(0) * 0.4
    save_file(weights, path, {"format": "pt"})
    return spec(folder)


# ---------------------------------------------------------------------------- the end of turn


@pytest.mark.parametrize("name", sorted(AFTER))
def test_the_end_of_turn_is_what_the_template_writes(name: str, tokenizer_of: Any):
    """Of TRL's templates the first special token behind an answer, if there is one."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    token, _ = turn_end(tokenizer, spec(Path("m")))

    assert (None if token is None else tokenizer.convert_ids_to_tokens(token)) == AFTER[name]


def test_answers_end_at_the_end_of_turn_as_plain_transformers_would(tmp_path: Path):
    """Sweep, preflight and diagnosis know one list; a prompt without template has its own."""
    model = eager(tmp_path / "m")
    backend: Any = backends.load(model)
    tokenizer = AutoTokenizer.from_pretrained(str(model.weights))
    eos = tokenizer.eos_token_id

    answers = backend.answer(asked(model), requests())

    for row, answer in zip(backend._rows(asked(model), requests()), answers, strict=True):
        assert answer.output_ids == plain_ids(model, row.prompt.ids, [eos, EOT])
    assert EOT in {a.output_ids[-1] for a in answers}, "the model never ends a turn"
    assert not any(a.n_special_tokens and EOT in a.output_ids[:-1] for a in answers)
    folder = Path(str(model.weights))
    assert stop_tokens(folder, tokenizer, model, chat=True) == backend.text.ends(chat=True)
    assert stop_tokens(folder, tokenizer, model, chat=False) == (eos,)
    stepper = probe.load(model, "error")
    assert {s.id for s in stepper.stops(asked(model))} == {eos, EOT}


def test_without_one_of_the_stops_the_answers_are_others(tmp_path: Path):
    """What would be missed if an end were lost from the list."""
    model = eager(tmp_path / "m")
    backend: Any = backends.load(model)
    with_all = backend.answer(asked(model), requests())
    backend.text.turn = None

    assert backend.answer(asked(model), requests()) != with_all


def test_what_was_added_is_said_and_what_the_model_names_is_not(tmp_path: Path):
    """The note of the table, and none where generation_config.json names the token itself."""
    model = eager(tmp_path / "m")
    named = spec(tiny_llama(tmp_path / "n", generation={"eos_token_id": [1, EOT]}))

    def notes(of: ModelSpec, *, chat: bool = True) -> tuple[str, ...]:
        made = Condition(of, prompt("none"), Decoding(), chat)
        folder = Path(str(of.weights))
        return find(made, folder, load_tokenizer(folder)).notes("Tiny")

    assert len(notes(model)) == 1
    assert "Tiny: answers also end at <|eot|>" in notes(model)[0]
    assert notes(named) == notes(model, chat=False) == ()


def test_an_end_that_is_written_as_none_is_none(tmp_path: Path):
    """Some checkpoints write -1; the last token of the vocabulary is not meant."""
    folder = tiny_llama(tmp_path / "m", generation={"eos_token_id": [-1, 5]})
    template = LLAMA_TEMPLATE.replace("<|eot|>", "<|over|>")
    odd = tiny_llama(tmp_path / "n", generation={"eos_token_id": -1}, template=template)

    assert stop_tokens(folder, AutoTokenizer.from_pretrained(folder)) == (1, 5)
    with pytest.raises(ModelError, match=r"the model's ends \(</s>\)"):
        asked(spec(odd))


def test_an_end_of_turn_that_cannot_be_told_is_refused_with_a_way_out(tmp_path: Path):
    """Spelled in ordinary tokens; a stop text that says it is accepted."""
    template = LLAMA_TEMPLATE.replace("<|eot|>", "<|over|>")
    model = spec(tiny_llama(tmp_path / "m", template=template))

    with pytest.raises(ModelError, match=r"ends an answer with '<\|over\|>'.*stop = \["):
        asked(model)
    assert asked(model, stop=("<|over|>",)).decoding.stop == ("<|over|>",)


def test_a_template_that_writes_nothing_after_an_answer_leaves_the_models_own_ends():
    """GLM's: the next turn's token is among the model's own."""
    tokenizer = bpe_tokenizer(template=LLAMA_TEMPLATE.replace("| trim + '<|eot|>'", "| trim"))

    assert turn_end(tokenizer, spec(Path("m"))) == (None, "")
    check_turn_end(tokenizer, spec(Path("m")), (1,), ())


# ---------------------------------------------------------------------------- stop texts


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A tiny model that is asked plainly."""
    return spec(tiny_llama(tmp_path_factory.mktemp("llama")), chat_template=False)


def letters(text: str, n: int) -> str:
    """Return the last *n* letters in a row of a random text, most of which are no text at all."""
    return re.findall(f"[a-zA-Z]{{{n}}}", text)[-1]


def test_an_answer_ends_before_a_stop_text_and_so_does_generation(llama: ModelSpec):
    """Ids are transformers' own, up to the token that completes the text, which is cut off."""
    backend: Any = backends.load(llama)
    free = backend.answer(asked(llama, chat=False), requests())
    texts = (letters(free[0].text, 3), letters(free[1].text, 2))
    condition = asked(llama, chat=False, stop=texts)

    answers = backend.answer(condition, requests())

    assert one_by_one(backend, condition, requests()) == answers
    tokenizer = AutoTokenizer.from_pretrained(str(llama.weights))
    rows = backend._rows(condition, requests())
    for row, whole, answer in zip(rows, free, answers, strict=True):
        assert answer.output_ids == plain_ids(
            llama, row.prompt.ids, [1], stop_strings=list(texts), tokenizer=tokenizer
        )
        assert answer.text == before_stop(whole.text, texts)
        assert answer.n_output_tokens == len(answer.output_ids)
        assert answer.stop == ("length" if answer.text == whole.text else "eos")
    assert sum(a.n_output_tokens for a in answers) < sum(a.n_output_tokens for a in free)
    assert [a.stop for a in answers[:2]] == ["eos", "eos"]


def test_generation_really_stops(llama: ModelSpec, monkeypatch: pytest.MonkeyPatch):
    """A batch in which every row has ended takes no further step."""
    backend: Any = backends.load(llama)
    free = backend.answer(asked(llama, chat=False), requests(QUESTIONS[:1]))[0]
    steps: list[int] = []
    forward = backend._model.forward
    monkeypatch.setattr(
        backend._model, "forward", lambda *a, **k: steps.append(1) or forward(*a, **k)
    )

    (answer,) = backend.answer(
        asked(llama, chat=False, stop=(free.text[3:5],)), requests(QUESTIONS[:1])
    )

    assert len(steps) == answer.n_output_tokens < free.n_output_tokens


def test_a_stop_text_within_a_thought_does_not_stop(llama: ModelSpec):
    """An answer ends at it, and what is thought before is no answer."""
    backend: Any = backends.load(llama)
    free = backend.answer(asked(llama, chat=False), requests(QUESTIONS[:1]))[0]
    stop, end = free.text[1:3], letters(free.text, 2)
    thought, _, said = free.text.partition(end)
    condition = asked(llama, chat=False, stop=(stop, said[2:4]))
    thinking = replace(condition, reasoning=("sad.", end))  # as the question ends: it is opened

    (answer,) = backend.answer(thinking, requests(QUESTIONS[:1]))
    (without,) = backend.answer(condition, requests(QUESTIONS[:1]))

    assert stop in thought
    assert (answer.text, answer.stop) == (
        before_stop(said, condition.decoding.stop).lstrip(),
        "eos",
    )
    assert answer.thought == thought.strip()
    assert without.text == before_stop(free.text, condition.decoding.stop) != answer.text


def test_sampled_answers_stop_as_greedy_ones_do(llama: ModelSpec):
    """Neighbours that go on change nothing."""
    backend: Any = backends.load(llama)
    sampled = {"sample": True, "temperature": 0.9, "samples": 2, "chat": False}
    free = backend.answer(asked(llama, **sampled), requests(samples=2))
    texts = (free[0].text[4:6], free[3].text[7:9])
    answers = backend.answer(asked(llama, stop=texts, **sampled), requests(samples=2))

    assert [a.text for a in answers] == [before_stop(a.text, texts) for a in free]


def test_a_checkpoints_own_stop_texts_are_in_force(tmp_path: Path, llama: ModelSpec):
    """``stop_strings`` of generation_config.json are stops, not taste, and in the identity."""
    backend: Any = backends.load(llama)
    free = backend.answer(asked(llama, chat=False), requests())
    own = free[0].text[5:8]
    model = spec(tiny_llama(tmp_path / "m", generation={"stop_strings": [own]}))
    condition = asked(replace(model, chat_template=False), chat=False)

    answers = backends.load(model).answer(condition, requests())

    assert [a.text for a in answers] == [before_stop(a.text, (own,)) for a in free]
    assert dict(condition.structure)["stop_strings"] == f'["{own}"]'
