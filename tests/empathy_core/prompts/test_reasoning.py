"""Reasoning models: what they thought is told from what they said, by the template's own words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from empathy_core import backends
from empathy_core.backends.generation_settings import find
from empathy_core.prompts import prompt
from empathy_core.prompts.reasoning import Parts, delimiters, opened, parts
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.empathy_core.prompts.test_chat_templates import TEMPLATES
from tests.tiny_models import bpe_tokenizer, tiny_llama

THINK = ("<think>", "</think>")
HARMONY = ("<|channel|>", "<|channel|>final<|message|>")
GEMMA = ("<|channel>", "<channel|>")
SELF = (" to=self<|message|>", " to=user<|message|>")
NAMED = {
    THINK: (
        "deepseek_r1_distill", "deepseekv3", "glm4moe", "lfm2_2_5", "lfm2_2_5_v2", "lfm2_2_5_vl",
        "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super", "nemotron_3_ultra",
        "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6", "qwen3_8",
    ),
    HARMONY: ("gptoss",),
    GEMMA: ("gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4", "gemma4_v5", "diffusion_gemma"),
    SELF: ("muse_glimmer",),
}  # fmt: skip
"""Which delimiters the templates that TRL ships name, read by eye; all others name none."""

QWEN3 = (
    "{%- for message in messages %}{%- set content = message.content %}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}"
    "{{- '<|start|>' + message.role + '<|stop|>' + content + '<|eot|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start|>assistant<|stop|>' }}"
    "{%- if enable_thinking is defined and enable_thinking %}{{- '<think>\n' }}{%- endif %}"
    "{%- endif %}"
)
"""Opens a thought in the generation prompt where it is asked to."""


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_names_its_own_delimiters_or_none(name: str):
    """Of each of TRL's templates those that a reader finds in it, and no guess for the others."""
    base = name.removesuffix("_training")
    expected = next((of for of, names in NAMED.items() if base in names), None)

    assert delimiters(TEMPLATES[name]) == expected


@pytest.mark.parametrize("name", ["qwen3", "gptoss", "gemma4", "deepseek_r1_distill"])
def test_a_template_of_other_letters_names_other_delimiters(name: str):
    """One letter changed in each closing delimiter, and the thought is not found by a guess."""
    of = delimiters(TEMPLATES[name])
    assert of is not None
    changed = TEMPLATES[name].replace(of[1], of[1][:-3] + "X" + of[1][-2:])

    assert delimiters(changed) != of


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ '[THINK]' }}{{ '[/THINK]' }}", ("[THINK]", "[/THINK]")),
        ("<|START_THINKING|> <|END_THINKING|>", ("<|START_THINKING|>", "<|END_THINKING|>")),
        ("content.split('</seed:think>')", ("<seed:think>", "</seed:think>")),
        ("content.split('</thought>')", ("<thought>", "</thought>")),
        ("think carefully, </b>, </tool_call>, enable_thinking", None),
    ],
)
def test_other_forms_are_known_too(template: str, expected: tuple[str, str] | None):
    """Magistral, Command A, Seed-OSS and EXAONE; words about thinking are no delimiters."""
    assert delimiters(template) == expected


# ---------------------------------------------------------------------------- splitting


def tokenizer(of: tuple[str, str], how: str) -> Any:
    """Return a tokenizer that knows delimiters as special tokens, as added ones, or not at all."""
    made = bpe_tokenizer()
    if how == "special":
        made.add_special_tokens({"extra_special_tokens": ["<|eot|>", *of]})
    if how == "added":
        made.add_tokens(list(of))
    return made


TOKENIZERS = {how: tokenizer(THINK, how) for how in ("special", "added", "ordinary")}


def split(
    text: str, how: str = "ordinary", of: tuple[str, str] | None = THINK, *, inside: bool = False
) -> Parts:
    """Split a text as tokens of one of the tokenizers."""
    return parted(text, TOKENIZERS[how], of, inside=inside)


def parted(text: str, made: Any, of: tuple[str, str] | None, *, inside: bool = False) -> Parts:
    """Split a text as tokens of *made*."""
    ids = made(text, add_special_tokens=False)["input_ids"]

    def decode(some: Sequence[int], skip: bool) -> str:
        return str(made.decode(list(some), skip_special_tokens=skip))

    found = parts(ids, decode, of, inside=inside)
    assert len(found.said) + found.n_thought == len(ids)
    return found


WORDS = st.text("abc \n<>/thinké世🙂", max_size=30).filter(lambda t: "think>" not in t)


@settings(max_examples=200, deadline=None)
@given(
    thought=WORDS, answer=WORDS, how=st.sampled_from(sorted(TOKENIZERS)), inside=st.booleans(),
    between=st.sampled_from(["", "\n", "\n\n"]),
)  # fmt: skip
def test_thought_and_answer_are_what_was_written(
    thought: str, answer: str, how: str, inside: bool, between: str
):
    """However the delimiters are cut into tokens, and wherever the thought was opened."""
    begun = "" if inside else "<think>"
    found = split(f"{begun}{thought}</think>{between}{answer}", how, inside=inside)

    assert found.thought == thought.strip()
    assert found.text == answer.lstrip()


@settings(max_examples=50, deadline=None)
@given(text=WORDS, how=st.sampled_from(sorted(TOKENIZERS)))
def test_without_delimiters_nothing_is_split(text: str, how: str):
    """A text that holds none, and a model whose template names none, keep every letter."""
    assert split(text, how).text == text
    whole = split(f"<think>{text}</think>so", "ordinary", of=None)
    assert (whole.text, whole.thought) == (f"<think>{text}</think>so", "")


@pytest.mark.parametrize("how", sorted(TOKENIZERS))
@pytest.mark.parametrize(
    ("text", "inside", "said", "thought"),
    [
        ("I wonder", True, "", "I wonder"),
        ("<think>I wonder", False, "", "I wonder"),
        ("<think>I wonder</thi", False, "", "I wonder</thi"),
        ("I see.<think>I wonder", False, "I see.", "I wonder"),
        ("I see.\n<think>one</think>\n\nSo", False, "I see.\nSo", "one"),
        ("one</think>two</think>So", False, "So", "one\n\ntwo"),
        ("<think>a <think> b</think>So", False, "So", "a <think> b"),
        ("<think>\n\n</think>\n\nSo", False, "So", ""),
        ("</think>So", False, "So", ""),
    ],
)
def test_odd_answers_are_split_as_templates_read_them(
    text: str, inside: bool, said: str, thought: str, how: str
):
    """Never closed, closed without a beginning, opened twice, or empty."""
    found = split(text, how, inside=inside)

    assert (found.text, found.thought) == (said, thought)


CHANNELS = ["<|eot|>", "<|channel|>", "<|message|>", "<|end|>", "<|go|>"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<|channel|>analysis<|message|>sad<|end|><|go|>a<|channel|>final<|message|>I am", "I am"),
        ("<|channel|>final<|message|>I am", "I am"),
        ("<|channel|>analysis<|message|>sad<|end|><|go|>a<|channel|>commentary<|message|>I", ""),
        ("<|channel|>analysis<|message|>sad", ""),
        ("<|channel|>commentary<|message|>sad", ""),
        ("<|channel|>", ""),
    ],
)
def test_of_harmony_only_the_final_channel_is_said(text: str, said: str):
    """Its delimiters are special tokens with words between them, which decoding would join."""
    made = bpe_tokenizer()
    made.add_special_tokens({"extra_special_tokens": CHANNELS})

    found = parted(text, made, HARMONY)

    assert found.text == said
    assert "final" not in found.text


def test_a_letter_of_a_delimiter_makes_another_split():
    """What fails if a delimiter is misspelled: the thought would be scored."""
    text = "<think>I wonder</think>So"

    assert split(text).text == "So"
    for wrong in (("<think>", "</thinks>"), ("<thinks>", "</thinks>")):
        assert split(text, of=wrong).text != "So"


@pytest.mark.parametrize(
    ("tail", "expected"), [("x<think>\n", True), ("<think>\n\n</think>\n\n", False), ("", False)]
)
def test_a_prompt_opens_a_thought_at_its_very_end(tail: str, expected: bool):
    """And one that opens and closes it does not."""
    assert opened(f"question{tail}", THINK) is expected


# ---------------------------------------------------------------------------- a model


def thinker(folder: Path, template: str = QWEN3) -> ModelSpec:
    """Return a tiny model whose template reads and opens thoughts."""
    tiny_llama(folder, template=template)
    return ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder), chat_template=True)


def planned(spec: ModelSpec, **decoding: Any) -> Condition:
    """Return a chat condition as the planner makes it."""
    made = Condition(
        spec, prompt("none"), Decoding(**{"max_new_tokens": 16, **decoding}), chat=True
    )
    made_of = AutoTokenizer.from_pretrained(str(spec.weights))
    return find(made, Path(str(spec.weights)), made_of).applied(made)


def test_an_answer_that_never_left_its_thought_is_empty_and_counted(tmp_path: Path):
    """The template opened the thought; a random model never closes it."""
    spec = replace(thinker(tmp_path / "m"), template_arguments=(("enable_thinking", True),))
    backend: Any = backends.load(spec)
    plain = replace(planned(spec), reasoning=None)
    asked = [backends.Request("a", 0, "I feel sad.")]

    (answer,) = backend.answer(planned(spec), asked)
    (whole,) = backend.answer(plain, asked)

    assert planned(spec).reasoning == THINK
    assert answer.output_ids == whole.output_ids
    assert (answer.text, answer.n_thought_tokens) == ("", answer.n_output_tokens)
    assert whole.text.strip()
    assert answer.thought.startswith(whole.text.strip()[:5])


def test_a_thought_that_is_closed_is_kept_apart(tmp_path: Path):
    """Text, tokens and special tokens of an answer are those behind the thought."""
    backend: Any = backends.load(spec := thinker(tmp_path / "m"))
    condition, words = planned(spec), backend.text._tokenizer
    ids = words("<think>I am sad</think>\n\nThank you.", add_special_tokens=False)["input_ids"]
    leak, end = words.convert_tokens_to_ids(["<|start|>", "</s>"])

    answer = backend.read(condition, [5], [leak, *ids, leak, end])

    assert (answer.text, answer.thought) == ("Thank you.", "I am sad")
    assert answer.n_special_tokens == 2
    thought = words("<think>I am sad</think>", add_special_tokens=False)["input_ids"]
    assert answer.n_thought_tokens == len(thought)
    assert answer.stop == "eos"


def test_delimiters_are_in_the_identity_and_a_setting_goes_before_the_template(tmp_path: Path):
    """A model without either has the id that it always had."""
    spec = thinker(tmp_path / "m")
    mine = replace(spec, reasoning=("[[", "]]"))
    silent = thinker(tmp_path / "n", template=QWEN3.replace("think>", "thing>"))

    assert planned(spec).identity["reasoning"] == THINK
    assert planned(mine).reasoning == ("[[", "]]")
    assert "reasoning" not in planned(silent).identity
