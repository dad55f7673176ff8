"""Templates that close a turn, or open a thought, in another way than most: each asks soundly."""

from typing import Any

import pytest

from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.chat import ChatTemplate
from empathy_core.prompts.stops import turn_end
from empathy_core.types import ModelSpec
from tests.tiny_models import bpe_tokenizer

QUESTION = "I feel sad."
USER = "<|im_start|>user\nI feel sad.<|im_end|>\n<|im_start|>assistant\n"

LAST_OPEN = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
    "{% if (loop.last and add_generation_prompt) or not loop.last %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML as many fine-tunes have it: the last turn is closed only where an answer is asked for."""

LAST_OPEN_WITH_WORDS = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
) + LAST_OPEN.replace(
    "{% if add_generation_prompt %}",
    "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}",
)
"""As the first Qwen 1.5: the same, with a system text of its own."""

EMPTY_THOUGHT = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '\n' + m['content'] + '<|eot|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think></think>' }}"
    "{% else %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
"""As Nemotron Nano's: whoever is not to think is given an empty thought, and none is written."""

CLOSED_ALONE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|start|>' + m['content'] }}"
    "{% else %}{{ '<|stop|></think>' + m['content'] + '<|eot|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|stop|>' + ('<think>' if thinking else '</think>') }}"
    "{% endif %}"
)
"""As DeepSeek 3.1's: a given answer has the end of a thought before it, and no beginning."""


def made(template: Any, **arguments: bool) -> ChatTemplate:
    """Return a template as a model without more settings uses it."""
    tokenizer = bpe_tokenizer(template=template)
    tokenizer.add_special_tokens(
        {"extra_special_tokens": ["<|start|>", "<|stop|>", "<|eot|>", "<|im_start|>", "<|im_end|>"]}
    )
    spec = ModelSpec(
        "tiny", "Tiny", "hf", "decoder", "m", chat_template=True,
        template_arguments=tuple(arguments.items()),
    )  # fmt: skip
    return ChatTemplate(tokenizer, spec)


def end_of(template: ChatTemplate) -> Any:
    """Return how the token is spelled by which a template ends a turn."""
    return template.tokenizer.convert_ids_to_tokens(turn_end(template.tokenizer, template.spec)[0])


@pytest.mark.parametrize("text", [LAST_OPEN, LAST_OPEN_WITH_WORDS])
def test_a_last_turn_that_is_left_open_is_no_part_of_the_system_text(text: str) -> None:
    """Cut off with it, or together with half of it, prompts would begin with an end of turn."""
    template = made(text)

    assert template.render(prompt("none").chat(QUESTION)) == USER
    system, user = prompt("prompt1").chat(QUESTION)
    whole = template.render((system, user))
    assert whole == f"<|im_start|>system\n{system.content}<|im_end|>\n{USER}"
    assert template.added((system, user)) == ""


@pytest.mark.parametrize("text", [LAST_OPEN, LAST_OPEN_WITH_WORDS])
def test_the_end_of_a_turn_is_known_where_the_last_one_is_left_open(text: str) -> None:
    """It is what closes an answer that is not the last turn; training writes it, too."""
    template = made(text)

    assert end_of(template) == "<|im_end|>"
    assert template.around_answer(prompt("none").chat(QUESTION)) == ("", "<|im_end|>\n")


def test_an_empty_thought_in_the_prompt_opens_an_answer() -> None:
    """Nothing more stands between the two; with a thought that is open, its end does."""
    messages, of = prompt("none").chat(QUESTION), ("<think>", "</think>")
    without = made(EMPTY_THOUGHT, enable_thinking=False)

    assert without.render(messages).endswith("<|start|>assistant\n<think></think>")
    assert without.around_answer(messages, of) == ("", "<|eot|>\n")
    assert end_of(without) == "<|eot|>"
    thinking = made(EMPTY_THOUGHT).around_answer(messages, of)
    assert thinking == ("\n</think>\n\n", "<|eot|>\n")


@pytest.mark.parametrize(
    ("thinking", "opened", "between"), [(True, "<think>", "</think>"), (False, "</think>", "")]
)
def test_a_thought_that_is_asked_for_and_only_closed_before_an_answer(
    thinking: bool, opened: str, between: str
) -> None:
    """The template writes the same answer behind both openings."""
    template, messages = made(CLOSED_ALONE, thinking=thinking), prompt("none").chat(QUESTION)

    assert template.render(messages) == f"<|start|>{QUESTION}<|stop|>{opened}"
    assert template.around_answer(messages, ("<think>", "</think>")) == (between, "<|eot|>")
    assert end_of(template) == "<|eot|>"


def test_several_templates_without_a_usual_one_are_refused() -> None:
    """Which of them is meant cannot be known; with a usual one, it is that."""
    several = {"rag": LAST_OPEN, "tool_use": LAST_OPEN}

    assert made({**several, "default": LAST_OPEN}).text == LAST_OPEN
    with pytest.raises(ModelError, match=r"several chat templates \(rag, tool_use\); expected one"):
        end_of(made(several))
