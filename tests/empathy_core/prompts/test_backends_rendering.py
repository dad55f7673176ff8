"""From prompt and question to token ids: what the model sees is what its tokenizer says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from empathy_core import models, weights
from empathy_core.errors import ModelError
from empathy_core.prompts import names, prompt
from empathy_core.prompts.chat import ChatTemplate
from empathy_core.prompts.rendering import Renderer, render
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.types import Condition, Decoding, Message, ModelSpec
from tests.tiny_models import bpe_tokenizer, tiny_llama, tiny_t5

QUESTIONS = ("I feel sad.", "How can I sleep better?\n\nI am afraid — of work…")
SMOLLM2 = models.model("smollm2_135m_instruct")
SMOLLM2_TEXT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
LLAMA_TEXT = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A tiny Llama whose template behaves as Llama 3.1's."""
    folder = tiny_llama(tmp_path_factory.mktemp("llama"))
    return ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder), chat_template=True)


def condition(spec: ModelSpec, name: str = "none", **decoding: Any) -> Condition:
    """Return a condition of a shipped prompt."""
    return Condition(spec, prompt(name), Decoding(**decoding), spec.chat_template)


def ids_of(c: Condition, contexts: Sequence[str]) -> list[list[int]]:
    """Render prompts to ids."""
    tokenizer = load_tokenizer(weights.locate(str(c.model.weights)))
    return [list(p.ids) for p in Renderer(c, tokenizer, None, "error").prompts(contexts)]


def templated(tokenizer: Any, turns: Sequence[Message]) -> list[int]:
    """Return the tokenizer's own rendering, by transformers alone."""
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    ids = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, date_string="26 Jul 2024", return_dict=True
    )["input_ids"]
    return list(ids)


@pytest.mark.parametrize("name", names())
def test_chat_tokens_are_the_tokenizers_own(name: str) -> None:
    """With nothing suppressed the ids are apply_chat_template's, for SmolLM2 and each prompt."""
    spec = replace(SMOLLM2, template_default="keep")
    tokenizer = AutoTokenizer.from_pretrained(weights.locate(str(spec.weights)))
    expected = [templated(tokenizer, prompt(name).chat(q)) for q in QUESTIONS]
    assert ids_of(condition(spec, name), QUESTIONS) == expected


@pytest.mark.parametrize("name", ["none", "prompt1", "special_tokens"])
def test_plain_tokens_are_the_tokenizers_own(llama: ModelSpec, name: str) -> None:
    """Without a template the ids are those of the tokenizer called on the text: one BOS."""
    spec = replace(llama, chat_template=False)
    tokenizer = AutoTokenizer.from_pretrained(str(spec.weights))
    expected = [tokenizer(prompt(name).plain(q))["input_ids"] for q in QUESTIONS]
    found = ids_of(condition(spec, name), QUESTIONS)
    assert found == expected
    assert [ids.count(tokenizer.bos_token_id) for ids in found] == [1, 1]


def test_t5_prompts_end_in_its_end_token(tmp_path: Path) -> None:
    """T5's encoder reads the text and </s>, nothing in front."""
    spec = ModelSpec("t5", "T5", "hf", "encoder-decoder", str(tiny_t5(tmp_path / "t5")))
    tokenizer = AutoTokenizer.from_pretrained(str(spec.weights))
    found = ids_of(condition(spec), QUESTIONS)
    assert found == [tokenizer(q)["input_ids"] for q in QUESTIONS]
    assert all(ids.index(tokenizer.eos_token_id) == len(ids) - 1 for ids in found)


def test_smollm2s_own_system_text_is_suppressed() -> None:
    """No Prompt is none: what is left is the user's turn and the start of the answer."""
    rendering = render(condition(SMOLLM2), [("a", "I feel sad.")])
    expected = "<|im_start|>user\nI feel sad.<|im_end|>\n<|im_start|>assistant\n"
    assert rendering.first == expected
    assert rendering.preamble == ""


def test_smollm2s_own_system_text_is_named_where_kept() -> None:
    """With "keep" the text stays, and its words are handed to the table note."""
    spec = replace(SMOLLM2, template_default="keep")
    rendering = render(condition(spec), [("a", "I feel sad.")])
    assert rendering.first.startswith(f"<|im_start|>system\n{SMOLLM2_TEXT}<|im_end|>\n<|im_start|>")
    assert rendering.preamble == SMOLLM2_TEXT
    assert render(condition(spec, "prompt1"), [("a", "Sad.")]).preamble == ""


def test_llamas_dates_are_suppressed_without_a_system_message(llama: ModelSpec) -> None:
    """Its BOS stays, once; the system turn with the dates goes."""
    rendering = render(condition(llama), [("a", "I feel sad.")])
    turns = "<|start|>user<|stop|>\n\nI feel sad.<|eot|><|start|>assistant<|stop|>\n\n"
    assert rendering.first == f"<s>{turns}"
    assert rendering.preamble == ""


def test_llamas_dates_are_named_beside_a_system_message(llama: ModelSpec) -> None:
    """Lines that a template writes into the prompt's own system message stay and are named."""
    rendering = render(condition(llama, "prompt1"), [("a", "I feel sad.")])
    assert LLAMA_TEXT in rendering.first
    assert rendering.preamble == LLAMA_TEXT
    tokenizer = AutoTokenizer.from_pretrained(str(llama.weights))
    spelled = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in prompt("prompt1").chat("I feel sad.")],
        tokenize=False, add_generation_prompt=True,
    )  # fmt: skip
    dateless = rendering.first.replace("26 Jul 2024", "")
    assert spelled.startswith(dateless[: dateless.index("Today Date: ") + len("Today Date: ")])


def test_todays_date_never_enters_a_prompt(llama: ModelSpec) -> None:
    """A template that asks for the date gets the same one every day."""
    rendering = render(condition(replace(llama, template_default="keep")), [("a", "Hi")])
    assert "Today Date: 26 Jul 2024" in rendering.first


def chat_template(template: str, default: Any = "suppress") -> ChatTemplate:
    """Return a template on the tiny tokenizer."""
    spec = ModelSpec("tiny", "Tiny", "hf", "decoder", chat_template=True, template_default=default)
    return ChatTemplate(bpe_tokenizer(template=template), spec)


USER = (Message("user", "Q?"),)
WITH_SYSTEM = (Message("system", "Be kind."), *USER)


def test_template_without_own_text_keeps_its_opening_tokens() -> None:
    """Special tokens in front of the first turn are no system text."""
    template = chat_template(
        "{{ '<s><|start|>' }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}<|eot|>"
        "{% endfor %}"
    )
    assert template.render(USER) == "<s><|start|>[user] Q?<|eot|>[assistant] "


def test_template_that_refuses_a_system_message_is_refused() -> None:
    """As Gemma's: the message says which roles and what to do."""
    template = chat_template(
        "{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}{{ m['content'] }}"
        "{% endfor %}"
    )
    with pytest.raises(ModelError, match=r"roles system, user .*System role not supported.*use a"):
        template.render(WITH_SYSTEM)


def test_template_that_drops_a_message_is_refused() -> None:
    """A system message that silently vanishes would make Prompt 1 equal to No Prompt."""
    template = chat_template(
        "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}<|eot|>{% endfor %}"
    )
    with pytest.raises(ModelError, match=r"leaves out the system message 'Be kind.'"):
        template.render(WITH_SYSTEM)


UNSTABLE = (
    "Hello from template. {% for m in messages %}{{ loop.index }}. {{ m['role'] }}: "
    "{{ m['content'] }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}{{ messages | length + 1 }}. assistant: {% endif %}"
)
"""Numbers its turns: one of a longer conversation is no turn of a shorter one."""


def test_inseparable_text_is_refused_or_named() -> None:
    """Where a longer conversation changes the turns before, the own text cannot be cut out."""
    with pytest.raises(
        ModelError, match=r"cannot be told apart.*Hello.*template_default = \"keep\""
    ):
        chat_template(UNSTABLE).render(USER)
    kept = chat_template(UNSTABLE, "keep")
    assert kept.render(USER).startswith("Hello from template. ")
    assert "Hello from template." in kept.added(USER)


def test_missing_template_is_refused(tmp_path: Path) -> None:
    """chat_template = true on a base model's tokenizer is the user's mistake."""
    folder = tiny_llama(tmp_path / "base", template=None)
    spec = ModelSpec("base", "Base", "hf", "decoder", str(folder), chat_template=True)
    with pytest.raises(ModelError, match="has no chat template"):
        render(condition(spec), [("a", "Hi")])


def test_doubled_bos_is_refused(llama: ModelSpec) -> None:
    """A prompt text that spells what the tokenizer adds is not sent to the model."""
    own = replace(prompt("none"), text="<s>{context}")
    doubled = Condition(replace(llama, chat_template=False), own, Decoding(), chat=False)
    with pytest.raises(ModelError, match="begin with <s> twice"):
        render(doubled, [("a", "Hi")])


def test_overlong_questions_are_listed(llama: ModelSpec) -> None:
    """A prompt fits if its answer does too; those that do not are named, with the limit."""
    examples = [("short", "I feel sad."), ("long", "sad " * 600)]
    rendering = render(condition(llama, max_new_tokens=100), examples)
    assert rendering.overlong == ("long",)
    assert rendering.context_window == 512
    assert rendering.max_prompt_tokens > 600
    room = 512 - len(ids_of(condition(llama), ["I feel sad."])[0])
    assert not render(condition(llama, max_new_tokens=room), examples[:1]).overlong
    assert render(condition(llama, max_new_tokens=room + 1), examples[:1]).overlong


def test_truncation_cuts_the_question_and_keeps_the_template(llama: ModelSpec) -> None:
    """The longest beginning of the question that fits is kept; roles and answer start stay."""
    tokenizer = load_tokenizer(weights.locate(str(llama.weights)))
    question = "I feel sad and anxious. " * 100
    c = condition(llama, "prompt1", max_new_tokens=100)
    (cut,) = Renderer(c, tokenizer, 512, "truncate").prompts([question])
    whole = Renderer(c, tokenizer, None, "error").prompts([question])[0]
    text = tokenizer.decode(list(cut.ids), clean_up_tokenization_spaces=False)
    assert cut.truncated
    assert cut.n_whole == len(whole.ids)
    assert 408 <= len(cut.ids) <= 412
    assert text.endswith("<|eot|><|start|>assistant<|stop|>\n\n")
    said = text.split("<|start|>user<|stop|>\n\n")[1].split("<|eot|>")[0]
    assert question.startswith(said)
    assert prompt("prompt1").messages[0].content in text


def test_prompt_that_leaves_no_room_is_refused(llama: ModelSpec) -> None:
    """Where not even the first letter fits, cutting is no answer."""
    c = condition(llama, "prompt2", max_new_tokens=500)
    with pytest.raises(ModelError, match="leaves no room for a question"):
        render(c, [("a", "Hi")], "truncate")


def test_t5_is_limited_by_its_tokenizers_length(tmp_path: Path) -> None:
    """T5 has no positions; its tokenizer's 512 tokens bound the question, the answer apart."""
    spec = ModelSpec("t5", "T5", "hf", "encoder-decoder", str(tiny_t5(tmp_path / "t5")))
    per_word = (len(ids_of(condition(spec), ["sad " * 101])[0]) - 1) // 101
    examples = [("a", "sad " * (500 // per_word)), ("b", "sad " * 600)]
    rendering = render(condition(spec, max_new_tokens=400), examples)
    assert (rendering.context_window, rendering.overlong) == (512, ("b",))


def test_rendering_digest_follows_every_token(llama: ModelSpec) -> None:
    """Another question, prompt or order is another digest; the same is the same."""
    pairs = [("a", "Hi"), ("b", "Ho")]
    digests = {
        render(condition(llama), pairs).digest,
        render(condition(llama), pairs[::-1]).digest,
        render(condition(llama, "prompt1"), pairs).digest,
        render(condition(llama), [("a", "Hi"), ("b", "Ho!")]).digest,
    }
    assert len(digests) == 4
    assert render(condition(llama), pairs).digest in digests
