"""Generation: batches change nothing, ends are found, settings are the condition's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from empathy_core import backends, models, weights
from empathy_core.backends import Answer, Request
from empathy_core.backends.hf import HfBackend
from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.tiny_models import TEXT, tiny_adapter, tiny_llama, tiny_t5

QUESTIONS = (
    "I feel sad.",
    "How can I sleep better? I am afraid at work.",
    "My partner left me, and I do not know whom to tell. It takes courage to ask for help, I know.",
    "Why am I anxious?",
    "Thank you for writing.",
)
SAMPLED = {"sample": True, "temperature": 0.8, "top_p": 0.9, "seed": 7}


def spec(folder: Path, **settings: Any) -> ModelSpec:
    """Return the settings of a model in a folder."""
    return replace(ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder)), **settings)


def condition(model: ModelSpec, name: str = "none", **decoding: Any) -> Condition:
    """Return a condition of 16 new tokens, unless told otherwise."""
    return Condition(
        model, prompt(name), Decoding(**{"max_new_tokens": 16, **decoding}), model.chat_template
    )


def requests(contexts: Sequence[str] = QUESTIONS, samples: int = 1) -> list[Request]:
    """Return requests for questions, examples named by number."""
    return [Request(str(i), s, c) for i, c in enumerate(contexts) for s in range(samples)]


def one_by_one(backend: Any, c: Condition, asked: Sequence[Request]) -> list[Answer]:
    """Answer each request in a batch of its own."""
    return [backend.answer(c, [request])[0] for request in asked]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A tiny Llama in float32."""
    return spec(tiny_llama(tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module")
def backend(llama: ModelSpec) -> Any:
    """The tiny Llama, loaded."""
    return backends.load(llama)


@pytest.fixture(scope="module")
def smollm2() -> Any:
    """The demo's model, loaded."""
    return backends.load(models.model("smollm2_135m_instruct"))


# ---------------------------------------------------------------------------- batches


@pytest.mark.slow
@pytest.mark.parametrize("decoding", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_smollm2s_text_does_not_depend_on_its_neighbours(
    smollm2: Any, decoding: dict[str, Any]
) -> None:
    """Real text in float32: one at a time, as a batch, and as the batch in another order."""
    c = condition(models.model("smollm2_135m_instruct"), "prompt1", max_new_tokens=12, **decoding)
    asked = requests(QUESTIONS[:4])
    together = smollm2.answer(c, asked)
    assert one_by_one(smollm2, c, asked) == together
    assert smollm2.answer(c, asked[::-1]) == together[::-1]
    assert len({answer.text for answer in together}) == len(asked)


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        SAMPLED,
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 16},
        {**SAMPLED, "repetition_penalty": 1.3, "top_k": 5},
    ],
    ids=lambda decoding: "-".join(decoding) or "greedy",
)
def test_padding_by_the_end_token_changes_nothing(tmp_path: Path, decoding: dict[str, Any]) -> None:
    """Where pad is EOS, no penalty or mask mixes them up, whatever the decoding."""
    backend = backends.load(spec(tiny_llama(tmp_path / "m", pad="</s>")))
    c = condition(spec(tmp_path / "m"), **decoding)
    asked = requests()
    assert backend.answer(c, asked) == one_by_one(backend, c, asked)


@pytest.mark.parametrize(
    "decoding", [{"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 1}], ids="-".join
)
def test_padding_is_not_punished_as_repetition(llama: ModelSpec, decoding: dict[str, Any]) -> None:
    """Even where the padding is a word that the answers hold, penalties see the row alone."""
    backend: Any = backends.load(llama)
    c = condition(llama, **decoding)
    alone = one_by_one(backend, c, requests())
    backend._pad = alone[0].output_ids[0]
    assert backend.answer(c, requests()) == alone


def test_greedy_tokens_are_those_of_the_plain_loop(llama: ModelSpec, backend: Any) -> None:
    """Token for token what argmax over a forward pass of the whole sequence gives."""
    tokenizer = AutoTokenizer.from_pretrained(str(llama.weights))
    model = AutoModelForCausalLM.from_pretrained(str(llama.weights))
    answers = backend.answer(condition(llama), requests())
    for question, answer in zip(QUESTIONS, answers, strict=True):
        ids = tokenizer(question)["input_ids"]
        n_prompt = len(ids)
        with torch.inference_mode():
            for _ in answer.output_ids:
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        assert tuple(ids[n_prompt:]) == answer.output_ids
        assert answer.n_prompt_tokens == n_prompt


def test_equal_prompts_are_generated_once_under_greedy(
    llama: ModelSpec, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five rows over two questions are a batch of two; sampling makes each row anew."""
    widths: list[int] = []
    generate = backend._model.generate

    def counted(**inputs: Any) -> Any:
        widths.append(len(inputs["input_ids"]))
        return generate(**inputs)

    monkeypatch.setattr(backend._model, "generate", counted)
    asked = requests([QUESTIONS[0], QUESTIONS[1], QUESTIONS[0], QUESTIONS[0], QUESTIONS[1]])
    answers = backend.answer(condition(llama), asked)
    assert widths == [2]
    assert answers[0] == answers[2] == answers[3]
    assert answers[1] == answers[4] != answers[0]
    sampled = backend.answer(condition(llama, **SAMPLED), asked)
    assert widths == [2, 5]
    assert sampled[0] != sampled[2]


@pytest.mark.fast
def test_many_samples_are_cut_into_batches_of_the_block_size(
    llama: ModelSpec, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples multiply a block; batches stay of its size, and the text is the same."""
    c = condition(llama, samples=4, **SAMPLED)
    asked = requests(samples=4)
    expected = one_by_one(backend, c, asked)
    widths: list[int] = []
    generate = backend._model.generate
    monkeypatch.setattr(
        backend._model, "generate", lambda **i: widths.append(len(i["input_ids"])) or generate(**i)
    )
    assert backend.answer(c, asked) == expected
    assert widths == [16, 4]
    backend.answer(replace(c, block_size=8), asked)
    assert widths[2:] == [8, 8, 4]


def test_samples_seeds_and_examples_differ(llama: ModelSpec, backend: Any) -> None:
    """The noise is keyed by all three, and by nothing else."""
    c = condition(llama, **SAMPLED)
    (first,) = backend.answer(c, [Request("a", 0, QUESTIONS[0])])
    (sample,) = backend.answer(c, [Request("a", 1, QUESTIONS[0])])
    (example,) = backend.answer(c, [Request("b", 0, QUESTIONS[0])])
    seeded = condition(llama, **{**SAMPLED, "seed": 8})
    (seed,) = backend.answer(seeded, [Request("a", 0, QUESTIONS[0])])
    assert len({a.output_ids for a in (first, sample, example, seed)}) == 4
    assert backend.answer(c, [Request("a", 0, QUESTIONS[0])]) == [first]


# ---------------------------------------------------------------------------- memory


class LittleMemory:
    """Stands before a model and has room for a few rows only."""

    def __init__(self, generate: Any, rows: int) -> None:
        self.generate, self.rows, self.seen = generate, rows, list[int]()

    def __call__(self, **inputs: Any) -> Any:
        """Generate, if there is room."""
        self.seen.append(len(inputs["input_ids"]))
        if len(inputs["input_ids"]) > self.rows:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)
        return self.generate(**inputs)


def test_out_of_memory_halves_the_batch(llama: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each half goes on by itself; text unchanged in float32, halvings counted."""
    backend: Any = backends.load(llama)
    expected = backend.answer(condition(llama), requests())
    memory = LittleMemory(backend._model.generate, 2)
    monkeypatch.setattr(backend._model, "generate", memory)
    assert backend.answer(condition(llama), requests()) == expected
    assert memory.seen == [5, 3, 2, 1, 2]
    assert backend.halvings == 2


def test_one_prompt_without_room_is_the_users_to_solve(
    llama: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a batch of one there is nothing left to halve."""
    backend: Any = backends.load(llama)
    monkeypatch.setattr(backend._model, "generate", LittleMemory(backend._model.generate, 0))
    with pytest.raises(ModelError, match="alone does not fit in memory"):
        backend.answer(condition(llama), requests())


# ---------------------------------------------------------------------------- ends


def ending(folder: Path, ends: list[int]) -> ModelSpec:
    """Return a tiny Llama whose generation settings name these end tokens, and bad habits."""
    habits = {"temperature": 0.1, "do_sample": True, "repetition_penalty": 9.0}
    return spec(tiny_llama(folder, generation={"eos_token_id": ends, **habits}))


def test_answers_stop_at_any_of_the_models_end_tokens(
    tmp_path: Path, llama: ModelSpec, backend: Any
) -> None:
    """As Llama 3.1's three: the first one met ends the answer and is not part of its text."""
    whole = backend.answer(condition(llama), requests())
    fourth, ninth = whole[0].output_ids[3], whole[1].output_ids[8]
    model = ending(tmp_path / "m", [fourth, ninth])
    tokenizer = AutoTokenizer.from_pretrained(str(model.weights))
    ends = {fourth, ninth, tokenizer.eos_token_id}
    answers = backends.load(model).answer(condition(model), requests())
    for free, answer in zip(whole, answers, strict=True):
        first = next((i for i, t in enumerate(free.output_ids) if t in ends), None)
        n = len(free.output_ids) if first is None else first + 1
        assert answer.output_ids == free.output_ids[:n]
        assert answer.n_output_tokens == n
        assert answer.stop == ("length" if first is None else "eos")
        inside = answer.output_ids if first is None else answer.output_ids[:-1]
        assert answer.text == tokenizer.decode(inside, skip_special_tokens=True)
    assert {a.stop for a in answers[:2]} == {"eos"}


def test_models_own_generation_settings_are_not_in_force(
    tmp_path: Path, llama: ModelSpec, backend: Any
) -> None:
    """Temperature and penalties in generation_config.json change nothing: the condition decides."""
    model = ending(tmp_path / "m", [])
    found = backends.load(model).answer(condition(model), requests())
    assert found == backend.answer(condition(llama), requests())


def test_special_tokens_inside_an_answer_are_counted_and_left_out(
    llama: ModelSpec, backend: Any
) -> None:
    """Only the final end token is expected; others are leaks."""
    tokenizer = AutoTokenizer.from_pretrained(str(llama.weights))
    words = tokenizer("sad", add_special_tokens=False)["input_ids"]
    leak, end = tokenizer.convert_tokens_to_ids("<|eot|>"), tokenizer.eos_token_id
    (rendered,) = backend._rows(condition(llama), requests(["Hi"]))
    rules = backend.text.rules(condition(llama))
    answer = backend.text.answer(rendered.prompt, [*words, leak, *words, end], rules)
    assert (answer.text, answer.n_special_tokens, answer.stop) == ("sadsad", 1, "eos")
    assert backend.text.answer(rendered.prompt, [end], rules).text == ""
    assert backend.text.answer(rendered.prompt, words, rules).stop == "length"


def test_scores_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    """NaN would print as a text of the first token; the message names dtype."""
    model = spec(tiny_llama(tmp_path / "m"))
    backend: Any = backends.load(model)
    with torch.no_grad():
        backend._model.lm_head.weight[3, 3] = float("nan")
    with pytest.raises(ModelError, match=r"NaN\) under dtype float32"):
        backend.answer(condition(model), requests())


# ---------------------------------------------------------------------------- architectures


@pytest.mark.parametrize("decoding", [{}, SAMPLED, {"repetition_penalty": 1.5}], ids=str)
def test_t5_answers_with_the_real_tokenizer(tmp_path: Path, decoding: dict[str, Any]) -> None:
    """On both sides neighbours change nothing; only what follows the start token counts."""
    folder = tiny_t5(tmp_path / "t5")
    model = spec(folder, architecture="encoder-decoder")
    backend = backends.load(model)
    c = condition(model, "prompt1", **decoding)
    answers = backend.answer(c, requests())
    assert answers == one_by_one(backend, c, requests())
    assert all(1 <= a.n_output_tokens == len(a.output_ids) <= 16 for a in answers)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert [a.text for a in answers] == [
        tokenizer.decode(list(a.output_ids), skip_special_tokens=True) for a in answers
    ]


def test_t5s_greedy_tokens_are_those_of_transformers(tmp_path: Path) -> None:
    """One row through transformers' own generate, without our settings, gives the same ids."""
    folder = tiny_t5(tmp_path / "t5")
    model = spec(folder, architecture="encoder-decoder")
    answers = backends.load(model).answer(condition(model), requests())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    peer = AutoModelForSeq2SeqLM.from_pretrained(folder)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        output = peer.generate(**tokenizer(question, return_tensors="pt"), max_new_tokens=16)
        assert tuple(output[0, 1:].tolist()) == answer.output_ids


@pytest.mark.parametrize("quantization", ["nf4", "fp4", "int8"])
def test_quantised_weights_are_loaded_and_answer(llama: ModelSpec, quantization: Any) -> None:
    """The real bitsandbytes, on this machine: layers are quantised and text comes out."""
    model = replace(
        llama, quantization=quantization, double_quantization=quantization == "nf4",
        dtype="bfloat16",
    )  # fmt: skip
    backend: Any = backends.load(model)
    kinds = {type(module).__name__ for module in backend._model.modules()}
    assert ("Linear8bitLt" if quantization == "int8" else "Linear4bit") in kinds
    answers = backend.answer(condition(model), requests())
    assert all(answer.n_output_tokens for answer in answers)
    assert backend.answer(condition(model), requests()) == answers


# ---------------------------------------------------------------------------- adapters, refusals


def test_adapter_changes_the_answers_as_peft_does(tmp_path: Path) -> None:
    """The adapted model's tokens are those of peft's own generate."""
    from peft import PeftModel

    base = tiny_llama(tmp_path / "base")
    adapter = tiny_adapter(base, tmp_path / "adapter")
    model = spec(base, adapter=str(adapter))
    answers = backends.load(model).answer(condition(model), requests())
    plain = backends.load(spec(base)).answer(condition(spec(base)), requests())
    assert [a.output_ids for a in answers] != [a.output_ids for a in plain]
    tokenizer = AutoTokenizer.from_pretrained(base)
    peer = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        inputs = tokenizer(question, return_tensors="pt", return_token_type_ids=False)
        output = peer.generate(**inputs, max_new_tokens=16, do_sample=False)
        n_prompt = inputs["input_ids"].shape[1]
        assert tuple(output[0, n_prompt:].tolist()) == answer.output_ids


def test_adapter_works_on_quantised_weights(tmp_path: Path) -> None:
    """As qLoRA leaves it: nf4 base, adapter on top."""
    base = tiny_llama(tmp_path / "base")
    adapter = tiny_adapter(base, tmp_path / "adapter")
    model = spec(base, adapter=str(adapter), quantization="nf4")
    assert all(a.output_ids for a in backends.load(model).answer(condition(model), requests()))


def test_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    """By name, unless the config says that both names mean the same weights."""
    base = tiny_llama(tmp_path / "base")
    adapter = tiny_adapter(base, tmp_path / "adapter", named="meta-llama/Llama-2-7b")
    model = spec(base, adapter=str(adapter))
    with pytest.raises(ModelError, match=r"trained on 'meta-llama/Llama-2-7b', but"):
        backends.load(model)
    backends.load(replace(model, options=(("adapter_base", "meta-llama/Llama-2-7b"),)))


def test_adapter_of_other_shape_is_refused(tmp_path: Path) -> None:
    """A name that lies is found out by the tensors."""
    from transformers import LlamaConfig, LlamaForCausalLM

    base = tiny_llama(tmp_path / "base")
    wide = tmp_path / "wide"
    config = LlamaConfig.from_pretrained(base)
    config.hidden_size, config.head_dim = 128, 32
    LlamaForCausalLM(config).save_pretrained(wide)
    adapter = tiny_adapter(wide, tmp_path / "adapter", named=str(base))
    with pytest.raises(ModelError, match="does not fit"):
        backends.load(spec(base, adapter=str(adapter)))


def test_folder_without_adapter_is_refused(tmp_path: Path) -> None:
    """A whole model is no adapter."""
    base = tiny_llama(tmp_path / "base")
    with pytest.raises(ModelError, match="is no adapter"):
        backends.load(spec(base, adapter=str(base)))


def test_wrong_architecture_is_refused(llama: ModelSpec) -> None:
    """The settings and the weights must agree."""
    with pytest.raises(ModelError, match="are a decoder; expected 'encoder-decoder'"):
        backends.load(replace(llama, architecture="encoder-decoder"))


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    """Left alone, transformers would fill it at random and go on."""
    from safetensors.torch import load_file, save_file

    folder = tiny_llama(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"in 1 tensors \(no model\.layers\.1\.mlp\.up_proj\.weight\)"
    ):
        backends.load(spec(folder))


def test_damaged_weights_are_one_message(tmp_path: Path) -> None:
    """A file cut short is named."""
    folder = tiny_llama(tmp_path / "m")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        backends.load(spec(folder))


def test_weights_that_changed_since_the_plan_are_refused(llama: ModelSpec, backend: Any) -> None:
    """A worker answers only with the weights that the condition was planned with."""
    planned = replace(condition(llama), fingerprint=weights.model_fingerprint(llama))
    assert backend.answer(planned, requests())
    with pytest.raises(ModelError, match="not the planned ones"):
        backend.answer(replace(planned, fingerprint="0" * 64), requests())


def test_overlong_prompt_is_refused_or_cut(llama: ModelSpec) -> None:
    """Error names the example; truncate answers and flags the row."""
    long = [Request("long", 0, TEXT * 20)]
    with pytest.raises(ModelError, match="the prompt of long has"):
        backends.load(llama, "error").answer(condition(llama), long)
    (answer,) = backends.load(llama, "truncate").answer(condition(llama), long)
    assert answer.prompt_truncated
    assert answer.n_prompt_tokens <= 512 - 16


def test_loaded_backend_is_of_its_kind(llama: ModelSpec, backend: Any) -> None:
    """Models of hf and echo are loaded; a human has nothing to load."""
    assert isinstance(backend, HfBackend)
    with pytest.raises(ModelError, match="generates nothing"):
        backends.load(models.model("therapist"))


# ---------------------------------------------------------------------------- echo


def test_echo_is_deterministic_and_of_the_questions_words() -> None:
    """Same request, same answer; another sample under sampling, another answer."""
    model = models.model("echo")
    backend = backends.load(model)
    c = condition(model, "prompt1", max_new_tokens=100)
    first = backend.answer(c, requests())
    assert first == backends.load(model).answer(c, requests())
    for question, answer in zip(QUESTIONS, first, strict=True):
        assert 5 <= answer.n_output_tokens == len(answer.text.split()) <= 60
        assert set(answer.text.split()) <= set(question.split())
    sampled = condition(model, max_new_tokens=100, samples=2, **SAMPLED)
    one, two = backend.answer(sampled, requests(QUESTIONS[:1], samples=2))
    assert one != two
    short = backend.answer(condition(model, max_new_tokens=3), requests())
    assert {(a.stop, a.n_output_tokens) for a in short} == {("length", 3)}


def test_echo_fails_where_it_is_asked_to() -> None:
    """For tests of failures: the words that fail are an option; unknown options are refused."""
    model = replace(models.model("echo"), options=(("fail", "partner"),))
    backend = backends.load(model)
    assert backend.answer(condition(model), requests(QUESTIONS[:2]))
    with pytest.raises(RuntimeError, match="echo failed on 2"):
        backend.answer(condition(model), requests())
    with pytest.raises(ModelError, match="expected delay_s"):
        backends.load(replace(model, options=(("speed", 1),)))
