"""Chat templates as models ship them: each of TRL's is used as transformers uses it, or refused."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from empathy_core.errors import ModelError, UnknownName
from empathy_core.prompts import names, prompt
from empathy_core.prompts.chat import ChatTemplate, special_spellings
from empathy_core.prompts.rendering import Renderer, render_in
from empathy_core.types import Condition, Decoding, Message, ModelSpec
from tests.tiny_models import bpe_tokenizer, tiny_llama


def shipped() -> dict[str, str]:
    """Return name → text of every chat template that the package TRL ships."""
    found = importlib.util.find_spec("trl")
    assert found is not None, "TRL's files are missing; make install puts them there"
    assert found.origin is not None
    folder = Path(found.origin).parent / "chat_templates"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.jinja")}


TEMPLATES = shipped()
NO_SYSTEM_ROLE = {"gemma", "gemma_training"}
PARTS_ONLY = {f"{n}{t}" for n in ("idefics3", "llava_next", "smolvlm") for t in ("", "_training")}
QUESTION = "I feel sad. How can I sleep better?"
ANSWER = "It takes courage to ask."
SPELLED = re.compile(
    r"<\|[^|<>\s]+\|?>|<[^|<>\s]+\|>|<\uff5c[^\uff5c]+\uff5c>|\[/?INST\]|\[gMASK\]|<sop>"
    r"|</?s>|<(?:start|end)_of_(?:turn|utterance)>|</?think>"
)
SPEC = ModelSpec("tiny", "Tiny", "hf", "decoder", "somewhere", chat_template=True)


@pytest.fixture(scope="module")
def tokenizer_of() -> Callable[[str], Any]:
    """Return a maker of tokenizers by template; all templates' special tokens are special."""
    spelled = {token for text in TEMPLATES.values() for token in SPELLED.findall(text)}
    tokenizer = bpe_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": sorted(spelled)})

    def of(text: str) -> Any:
        tokenizer.chat_template = text
        return tokenizer

    return of


def turns(messages: tuple[Message, ...], template: str) -> list[dict[str, Any]]:
    """Return messages as transformers takes them; some templates for images take parts alone."""
    parts = template in {TEMPLATES[name] for name in PARTS_ONLY}
    return [
        {"role": m.role, "content": [{"type": "text", "text": m.content}] if parts else m.content}
        for m in messages
    ]


def own(tokenizer: Any, messages: tuple[Message, ...], *, answer: bool, **arguments: Any) -> str:
    """Return transformers' rendering, with the day that this suite always takes."""
    text = tokenizer.apply_chat_template(
        turns(messages, tokenizer.chat_template), tokenize=False, add_generation_prompt=answer,
        date_string="26 Jul 2024", **arguments,
    )  # fmt: skip
    today, day = datetime.now().astimezone(), datetime(2024, 7, 26)
    for written in ("%d %b %Y", "%Y-%m-%d"):
        text = text.replace(today.strftime(written), day.strftime(written))
    return str(text)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_renders_as_transformers_does(
    name: str, tokenizer_of: Callable[[str], Any]
) -> None:
    """Under each shipped prompt, nothing suppressed; Gemma's first has no system role."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    template = ChatTemplate(tokenizer, replace(SPEC, template_default="keep"))
    for each in names():
        messages = prompt(each).chat(QUESTION)
        if name in NO_SYSTEM_ROLE and messages[0].role == "system":
            with pytest.raises(ModelError, match=r"System role not supported.*fold_system = true"):
                template.render(messages)
            continue
        assert template.render(messages) == own(tokenizer, messages, answer=True)


@pytest.mark.parametrize("name", sorted(NO_SYSTEM_ROLE))
def test_folded_system_message_is_put_before_the_users_words(
    name: str, tokenizer_of: Callable[[str], Any]
) -> None:
    """With fold_system the rendering is that of one user message, and no word is lost."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    system, user = prompt("prompt1").chat(QUESTION)
    one = (Message("user", f"{system.content}\n\n{user.content}"),)
    found = ChatTemplate(tokenizer, replace(SPEC, fold_system=True)).render((system, user))
    assert found == own(tokenizer, one, answer=True)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_no_prompt_is_none_under_every_template(
    name: str, tokenizer_of: Callable[[str], Any]
) -> None:
    """Suppressed, a prompt is the end of the kept one, and holds no words but the question's."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    messages = (Message("user", QUESTION),)
    text = ChatTemplate(tokenizer, SPEC).render(messages)
    kept = ChatTemplate(tokenizer, replace(SPEC, template_default="keep")).render(messages)
    bos = tokenizer.bos_token
    assert kept.endswith(text.removeprefix(bos))
    bare = text.replace(QUESTION, "")
    for special in sorted(special_spellings(tokenizer), key=len, reverse=True):
        bare = bare.replace(special, " ")
    assert set(re.findall(r"\w+", bare.lower())) <= {"user", "assistant", "model", "system"}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_quoted_additions_are_the_templates_own_text(
    name: str, tokenizer_of: Callable[[str], Any]
) -> None:
    """Every sentence that a note quotes stands in the rendering, letter for letter."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    template = ChatTemplate(tokenizer, replace(SPEC, template_default="keep"))
    for each in ("none", "prompt1"):
        messages = prompt(each).chat(QUESTION)
        if name in NO_SYSTEM_ROLE and messages[0].role == "system":
            continue
        whole = template.render(messages)
        quoted = template.added(messages)
        assert all(line in whole for line in re.split(r"\n| # ", quoted))
        assert prompt(each).messages[0].content not in quoted


THINKING = ("<think>", "</think>")
WRITTEN_OTHERWISE = {"deepseek_r1_distill", "deepseekv3"}
"""Open a thought in the prompt, and write none before an answer."""


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_trained_conversation_is_the_templates_own(
    name: str, tokenizer_of: Callable[[str], Any]
) -> None:
    """Prompt, what stands before the answer, answer and end are the whole conversation."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    template = ChatTemplate(tokenizer, replace(SPEC, template_default="keep"))
    messages = prompt("none").chat(QUESTION)
    whole = own(tokenizer, (*messages, Message("assistant", ANSWER)), answer=False)
    before, after = template.around_answer(messages, THINKING)
    found = template.render(messages) + before + ANSWER + after
    if name.removesuffix("_training") in WRITTEN_OTHERWISE:
        assert found == whole.replace(ANSWER, f"<think>\n\n</think>\n\n{ANSWER}")
        with pytest.raises(ModelError, match="asks for an answer with"):
            template.around_answer(messages)
    elif name.startswith("nemotron"):  # opens with a line break what it writes without one
        assert found.replace("<think>\n</think>", "<think></think>") == whole
    else:
        assert found == whole


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_opens_an_answer(name: str, tokenizer_of: Callable[[str], Any]) -> None:
    """None of them needs an opening added, and the last thing in a prompt is no word of a user."""
    template = ChatTemplate(tokenizer_of(TEMPLATES[name]), SPEC)
    assert template.opening_added == ""
    assert not template.render((Message("user", QUESTION),)).endswith(QUESTION)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
OPENED = CHATML + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def test_opening_that_a_template_lacks_is_added(tokenizer_of: Callable[[str], Any]) -> None:
    """Without it the model would begin with the header: the answer would be 'assistant …'."""
    messages = (Message("user", QUESTION),)
    closed = ChatTemplate(tokenizer_of(CHATML), SPEC)
    assert closed.opening_added == "<|im_start|>assistant\n"
    found = closed.render(messages)
    assert found == ChatTemplate(tokenizer_of(OPENED), SPEC).render(messages)


def test_opening_that_cannot_be_known_is_refused(tokenizer_of: Callable[[str], Any]) -> None:
    """What stands before the last answer is not what stands before the others."""
    unlike = CHATML.replace(
        "<|im_start|>{{", "{% if loop.index > 2 %}# {% endif %}<|im_start|>{% if loop.last %}"
        "{% if loop.index == 2 %}final {% endif %}{% endif %}{{",
    )  # fmt: skip
    with pytest.raises(ModelError, match="expected the same opening"):
        ChatTemplate(tokenizer_of(unlike), SPEC).render((Message("user", QUESTION),))


def test_opening_other_than_the_written_one_is_refused(tokenizer_of: Callable[[str], Any]) -> None:
    """An answer is asked for as 'bot', and all answers before are written as 'assistant'."""
    other = OPENED.replace("<|im_start|>assistant\n{% endif", "<|im_start|>bot\n{% endif")
    with pytest.raises(ModelError, match=r"(?s)bot.*assistant.*expected the same opening"):
        ChatTemplate(tokenizer_of(other), SPEC).render((Message("user", QUESTION),))


def test_dialogues_of_end_tokens_alone_are_open(tokenizer_of: Callable[[str], Any]) -> None:
    """As DialoGPT's: the answer begins right behind the token that ends the question."""
    text = "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    template = ChatTemplate(tokenizer_of(text), SPEC)
    assert template.render((Message("user", QUESTION),)) == f"{QUESTION}</s>"


def test_template_arguments_reach_the_template(tokenizer_of: Callable[[str], Any]) -> None:
    """enable_thinking = false closes Qwen3's thought in the prompt; one letter off is refused."""
    tokenizer, messages = tokenizer_of(TEMPLATES["qwen3"]), prompt("none").chat(QUESTION)
    off = replace(SPEC, template_arguments=(("enable_thinking", False),))
    found = ChatTemplate(tokenizer, off)
    assert found.render(messages) == own(tokenizer, messages, answer=True, enable_thinking=False)
    assert found.render(messages).endswith("<think>\n\n</think>\n\n")
    assert found.around_answer(messages)[0] == ""
    for wrong in ("enable_thinkin", "content", "eos_token", "messages"):  # the last are no settings
        given = replace(SPEC, template_arguments=((wrong, False),))
        with pytest.raises(UnknownName, match=rf"{wrong}.*enable_thinking"):
            ChatTemplate(tokenizer, given).render(messages)


def test_template_arguments_are_part_of_the_identity() -> None:
    """With and without a thought are two conditions."""
    off = replace(SPEC, template_arguments=(("enable_thinking", False),))
    ids = {Condition(s, prompt("none"), Decoding(), chat=True).id for s in (SPEC, off)}
    assert len(ids) == 2


def test_changed_template_is_refused_at_answering(tmp_path: Path) -> None:
    """One letter changed between plan and answer: the planned digest does not match."""
    folder = tiny_llama(tmp_path / "llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    spec = replace(SPEC, weights=str(folder))
    c = Condition(spec, prompt("none"), Decoding(), chat=True)
    planned = render_in(c, folder, [("a", QUESTION)], "error")
    pinned = replace(c, template_digest=planned.template_digest)
    assert Renderer(pinned, tokenizer, None, "error").prompts([QUESTION])
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "\n\n' }}{%- endif", "\n' }}{%- endif"
    )
    with pytest.raises(ModelError, match="not the planned one"):
        Renderer(pinned, tokenizer, None, "error").prompts([QUESTION])


def closing(tokenizer: Any) -> Any:
    """Make *tokenizer* put its end token behind every text, as many do that were trained so."""
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


def test_end_token_that_the_tokenizer_appends_is_left_out() -> None:
    """A decoder that is to go on must not read that the text has ended; the note says so."""
    plain = Condition(replace(SPEC, chat_template=False), prompt("none"), Decoding())
    as_is = Renderer(plain, bpe_tokenizer(), None, "error")
    closed = Renderer(plain, closing(bpe_tokenizer()), None, "error")
    assert closed.prompts([QUESTION]) == as_is.prompts([QUESTION])
    assert (as_is.notes, closed.notes) == ((), ("the tokenizer closes texts with </s>; left out",))


def test_prompt_that_ends_in_the_end_token_is_refused() -> None:
    """Written by hand into the prompt's text, it is not taken for the tokenizer's."""
    ended = replace(prompt("none"), text="{context}</s>")
    plain = Condition(replace(SPEC, chat_template=False), ended, Decoding())
    with pytest.raises(ModelError, match=r"prompts end in </s>"):
        Renderer(plain, bpe_tokenizer(), None, "error").prompts([QUESTION])
