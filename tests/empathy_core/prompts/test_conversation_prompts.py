"""Prompts that hold a conversation: as the tokenizer itself renders its turns, or as plain text."""

from dataclasses import replace
from typing import Any

import pytest

from empathy_core.conversation import Conversation, Message, TurnForm
from empathy_core.errors import ConfigError, ModelError
from empathy_core.prompts import prompt, read
from empathy_core.prompts.chat import ChatTemplate
from empathy_core.prompts.rendering import Renderer, render, turns
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.empathy_core.prompts.test_chat_templates import SPEC, TEMPLATES, own
from tests.tiny_models import bpe_tokenizer

MISTRAL = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}"
    "{% endif %}{% endfor %}"
)
"""As Mistral 7B Instruct v0.2's: no system role, strictly alternating."""

MISTRAL_3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] %}{% set said = messages[1:] %}"
    "{% else %}{% set said = messages %}{% endif %}{% for m in said %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('After the optional system message, roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{% if loop.last and system is defined %}"
    "{{ '[INST] ' + system + '\n\n' + m['content'] + '[/INST]' }}{% else %}"
    "{{ '[INST] ' + m['content'] + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
"""As Mistral 7B Instruct v0.3's: the system text stands in the last of the user's turns."""

SAID = Conversation(
    (
        Message("user", "I lost my job."),
        Message("assistant", "I am sorry. When was that?"),
        Message("user", "In May. {context} of it all?"),
        Message("assistant", "It takes time."),
        Message("user", "I cannot sleep."),
    )
)
OPENED = Conversation((Message("assistant", "Welcome. What brings you here?"), *SAID.turns))


def made(text: str, **settings: Any) -> ChatTemplate:
    """Return a template as a model without more settings uses it."""
    tokenizer = bpe_tokenizer(template=text)
    tokenizer.add_special_tokens({"extra_special_tokens": ["[INST]", "[/INST]"]})
    return ChatTemplate(tokenizer, replace(SPEC, template_default="keep", **settings))


def asked(name: str, context: Conversation) -> tuple[Message, ...]:
    """Return a prompt's messages with a conversation, put together by hand."""
    first = [m for m in prompt(name).messages if m.role == "system"]
    return (*first, *context.turns)


FAMILIES = {
    **{name: TEMPLATES[name] for name in ("llama3", "llama3_1", "llama3_2", "gemma", "gemma3")},
    **{name: TEMPLATES[name] for name in ("qwen2_5", "qwen3", "qwen3_instruct_2507", "phi3")},
    "mistral": MISTRAL,
    "mistral_3": MISTRAL_3,
}
NO_SYSTEM = {"gemma", "mistral"}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("which", ["none", "prompt2"])
def test_a_conversation_is_rendered_as_the_tokenizer_renders_its_turns(
    name: str, which: str
) -> None:
    """The prompt's system text first, then every turn, then what opens an answer."""
    template = made(FAMILIES[name])
    messages = prompt(which).chat(SAID)
    assert messages == asked(which, SAID)
    if name in NO_SYSTEM and which == "prompt2":
        with pytest.raises(ModelError, match=r"expected .*fold_system = true"):
            template.render(messages)
        template = made(FAMILIES[name], fold_system=True)
        system, first, *later = messages
        messages = (Message("user", f"{system.content}\n\n{first.content}"), *later)
        rendered = template.render(prompt(which).chat(SAID))
    else:
        rendered = template.render(messages)

    assert rendered == own(template.tokenizer, messages, answer=True)
    assert all(turn.content in rendered for turn in SAID.turns)


def test_a_templates_own_system_text_is_suppressed_before_a_conversation_too() -> None:
    """Qwen's default system turn, as for a single question."""
    template = made(TEMPLATES["qwen2_5"])
    bare = replace(template, spec=SPEC)
    whole = template.render(SAID.turns)
    assert whole.startswith("<|im_start|>system\n")

    assert bare.render(SAID.turns) == whole[whole.index("<|im_start|>user") :]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_conversation_that_the_counsellor_begins_is_rendered_or_refused(name: str) -> None:
    """Where roles must alternate from the user's on, the reason and the way out are told."""
    alternating = ("gemma", "gemma3", "mistral", "mistral_3")
    template, messages = made(FAMILIES[name]), prompt("none").chat(OPENED)
    if name not in alternating:
        assert template.render(messages) == own(template.tokenizer, messages, answer=True)
        return
    with pytest.raises(ModelError, match=r'assistant begins .*alternate.*; expected .* "drop"'):
        template.render(messages)


@pytest.mark.parametrize("name", sorted(NO_SYSTEM))
def test_a_folded_system_text_opens_what_the_counsellor_begins(name: str) -> None:
    """It becomes a user's turn of its own, so that roles alternate."""
    template = made(FAMILIES[name], fold_system=True)
    system, *later = prompt("prompt2").chat(OPENED)

    rendered = template.render((system, *later))

    told = (Message("user", system.content), *later)
    assert rendered == own(template.tokenizer, told, answer=True)


def test_a_turn_of_the_counsellor_may_end_a_prompts_example() -> None:
    """Few-shot turns of a prompt stand before the conversation, in their order."""
    shots = (Message("user", "A?"), Message("assistant", "B."), Message("user", "Now: {context}"))
    few = replace(prompt("none"), messages=shots)

    assert few.chat(SAID) == (
        *shots[:2], *SAID.turns[:-1], Message("user", "Now: I cannot sleep."),
    )  # fmt: skip


def test_a_context_outside_the_last_message_is_text_there() -> None:
    """A prompt that quotes the conversation and then asks gets it with named speakers."""
    quoted = (Message("system", "They said:\n{context}"), Message("user", "Answer them."))
    messages = replace(prompt("none"), messages=quoted).chat(Conversation(SAID.turns[:3]))

    assert [m.role for m in messages] == ["system", "user"]
    assert messages[0].content == (
        "They said:\nUser: I lost my job.\n\nTherapist: I am sorry. When was that?\n\n"
        "User: In May. {context} of it all?"
    )


# ---------------------------------------------------------------------------- plain prompts


def test_plain_prompts_name_the_speakers_once() -> None:
    """The prompt's own label is the first turn's; without one, each turn has a name."""
    short = Conversation(SAID.turns[:3])
    said = (
        "User: I lost my job.\n\nTherapist: I am sorry. When was that?\n\n"
        "User: In May. {context} of it all?"
    )
    one = prompt("prompt1")

    assert one.plain(short) == one.text.replace("User: {context}", said)
    assert prompt("none").plain(short) == said == short.text
    assert (
        prompt("special_tokens")
        .plain(short)
        .endswith(
            "<user>I lost my job.</user>\n<assistant>I am sorry. When was that?</assistant>\n"
            "<user>In May. {context} of it all?</user>\n<assistant>"
        )
    )


@pytest.mark.parametrize("name", ["none", "prompt1", "prompt2", "special_tokens", "paper_tags"])
def test_a_single_turn_is_asked_as_a_question_is(name: str) -> None:
    """A data set of one-turn messages gives the prompts, and the identity, of its plain twin."""
    alone = Conversation(SAID.turns[-1:])

    assert prompt(name).plain(alone) == prompt(name).plain("I cannot sleep.")
    assert prompt(name).chat(alone) == prompt(name).chat("I cannot sleep.")
    assert alone.text == "I cannot sleep."


def condition(chat: bool, form: TurnForm | None = None) -> Condition:
    model = ModelSpec("tiny", "Tiny", "hf", "decoder", "m", chat_template=chat)
    return Condition(model, prompt("prompt1"), Decoding(max_new_tokens=8), chat=chat, turns=form)


def test_the_form_of_turns_is_part_of_the_identity_where_there_are_turns() -> None:
    """Ids of conditions without conversations stay what they were."""
    plain = condition(False)

    assert "turns" not in plain.identity
    assert condition(False, TurnForm()).id != plain.id
    other = TurnForm(assistant="Counsellor: {turn}")
    assert condition(False, other).id != condition(False, TurnForm()).id


def test_a_prompt_file_says_how_it_holds_turns(tmp_path: Any) -> None:
    """``[turns]`` in a file of one's own; what is wrong with it is told."""
    path = tmp_path / "mine.toml"
    head = (
        'text = "Q: {context}\\nA:"\n[[messages]]\nrole = "user"\ncontent = "{context}"\n[turns]\n'
    )
    path.write_text(head + 'user = "Q: {turn}"\nassistant = "A: {turn}"\nbetween = "\\n"\n')

    assert read(path).plain(Conversation(SAID.turns[:3])) == (
        "Q: I lost my job.\nA: I am sorry. When was that?\nQ: In May. {context} of it all?\nA:"
    )
    path.write_text(head + 'user = "Q:"\n')
    with pytest.raises(ConfigError, match=r"turns.user does not hold \{turn\} exactly once"):
        read(path)
    path.write_text(head + 'therapist = "Q: {turn}"\n')
    with pytest.raises(ConfigError, match=r"\[turns\] is not a table of user, assistant, between"):
        read(path)


# ---------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("chat", [False, True])
def test_what_is_too_long_loses_its_oldest_turns_first(chat: bool) -> None:
    """The last turn is cut only where it alone does not fit; the system text stays."""
    tokenizer = bpe_tokenizer()
    shown = condition(chat)

    def rendered(window: int | None) -> Any:
        return Renderer(shown, tokenizer, window, "truncate").prompts([SAID])[0]

    whole = len(rendered(None).ids)
    middle = Renderer(shown, tokenizer, None, "error").prompts([Conversation(SAID.turns[2:])])[0]
    last = Renderer(shown, tokenizer, None, "error").prompts(["I cannot sleep."])[0]

    assert rendered(whole + 8).ids == rendered(None).ids
    assert not rendered(whole + 8).truncated
    assert rendered(whole + 7).ids == middle.ids
    assert rendered(len(middle.ids) + 7).ids == last.ids
    assert rendered(len(last.ids) + 7).n_whole == whole
    assert len(rendered(len(last.ids) + 7).ids) < len(last.ids)
    assert rendered(whole + 7).truncated


def test_a_server_that_renders_gets_the_turns() -> None:
    """Of a chat as its messages; without a chat template as one text."""
    assert turns(condition(True), SAID) == tuple(
        (m.role, m.content) for m in asked("prompt1", SAID)
    )
    assert turns(condition(False), SAID) == (("user", prompt("prompt1").plain(SAID)),)


def test_models_without_a_tokenizer_show_the_conversation() -> None:
    """What a dry run prints of them is the plain prompt."""
    echo = replace(condition(False), model=ModelSpec("echo", "Echo", "echo"))

    assert render(echo, [("a", SAID)]).first == prompt("prompt1").plain(SAID)
