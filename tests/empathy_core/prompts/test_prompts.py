"""Prompts and models that ship: the paper's words, and files that hold what the types ask for."""

import re
from pathlib import Path

import pytest

from empathy_core import models, prompts
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.types import Message

PAPER = Path(__file__).parents[3].parent / "shared" / "paper.md"

# The paper's words as they stand in it, line wraps undone.
GUIDANCE = (
    "You are a licensed therapist. Your role is to respond to the user's question with empathy, "
    "understanding, and support."
)
MORE_GUIDANCE = (
    " Empathy means recognizing and validating the user's feelings while offering thoughtful, "
    "non-judgmental responses."
)


def test_prompts_are_the_papers_word_for_word() -> None:
    """Plain texts are the paper's, its word "Context" being the question."""
    assert prompts.prompt("none").plain("Q?") == "Q?"
    expected = f"{GUIDANCE}\n\nUser: Q?\n\nTherapist:"
    assert prompts.prompt("prompt1").plain("Q?") == expected
    expected = f"{GUIDANCE}{MORE_GUIDANCE}\n\nUser: Q?\n\nTherapist:"
    assert prompts.prompt("prompt2").plain("Q?") == expected
    assert prompts.prompt("special_tokens").plain("Q?") == (
        "<system>You are a licensed therapist. Respond to the user's question with empathy."
        "</system>\n<user>Q?</user>\n<assistant>"
    )


def test_wordings_stand_in_the_paper_itself() -> None:
    """Every wording is found in the paper once white space is evened out."""
    if not PAPER.exists():
        pytest.skip(f"the paper is not at {PAPER}")
    paper = " ".join(PAPER.read_text().split())
    for name in ("prompt1", "prompt2"):
        text = " ".join(prompts.prompt(name).plain("Context").split())
        assert text in paper
    text = prompts.prompt("special_tokens").plain("Context")
    unwrapped = re.sub(r"\s+", "", text)
    assert unwrapped in re.sub(r"\s+", "", paper)


def test_roles_take_the_place_of_the_labels() -> None:
    """With a chat template the guidance is the system's and the question alone the user's."""
    turns = prompts.prompt("prompt2").chat("Q with {context} in it?")
    assert turns == (
        Message("system", GUIDANCE + MORE_GUIDANCE),
        Message("user", "Q with {context} in it?"),
    )
    assert prompts.prompt("none").chat("Q?") == (Message("user", "Q?"),)


def test_labels_are_those_of_the_papers_table() -> None:
    """The three conditions of Table 1 carry its names."""
    found = [prompts.prompt(name).label for name in ("none", "prompt1", "prompt2")]
    assert found == ["No Prompt", "Prompt 1", "Prompt 2"]


def test_every_shipped_prompt_says_where_it_is_from() -> None:
    """A wording without an origin could not be checked."""
    assert all(prompts.prompt(name).origin.startswith("Section") for name in prompts.names())


def test_unknown_prompt_names_the_closest() -> None:
    """A typing error is answered with the name that was meant."""
    with pytest.raises(UnknownName, match=r"'promt2'.*Did you mean 'prompt2'"):
        prompts.prompt("promt2")


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_own_prompt_is_read_from_its_path(tmp_path: Path, mark: str) -> None:
    """A user's file is a prompt named by the file."""
    path = tmp_path / "warm.toml"
    text = 'text = "Be warm. {context}"\n[[messages]]\nrole="user"\ncontent="{context}"\n'
    path.write_text(mark + text, encoding="utf-8")
    found = prompts.read(path)
    assert (found.name, found.label, found.plain("Hi")) == ("warm", "warm", "Be warm. Hi")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('text = "no place"\n[[messages]]\nrole="user"\ncontent="{context}"', "'text' does not"),
        ('text = "{context}"', "'messages' is not a list"),
        ('text = "{context}"\n[[messages]]\nrole="human"\ncontent="{context}"', "'messages' is"),
        ('text = "{context}"\n[[messages]]\nrole="system"\ncontent="{context}"', "last message"),
        ('text = "{context}"\n[[messages]]\nrole="user"\ncontent="hi"', "messages do not hold"),
        ('txt = "{context}"', "unknown key 'txt'"),
        ("text = ", "cannot be read"),
    ],
)
def test_faulty_prompt_is_refused_with_the_reason(tmp_path: Path, text: str, problem: str) -> None:
    """Each fault of a user's prompt file is named, with the file."""
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as error:
        prompts.read(path)
    assert str(path) in str(error.value)


def test_every_shipped_model_is_well_formed() -> None:
    """Weights and architecture are there exactly where a backend needs them."""
    for name in models.names():
        spec = models.model(name)
        assert spec.name == name
        assert (spec.weights is not None) == (spec.backend == "hf")
        assert (spec.architecture is not None) == (spec.backend == "hf")


def test_papers_models_carry_its_names() -> None:
    """Each row of the paper's table finds the model that it is compared with."""
    published = {models.model(name).published for name in models.names()}
    assert {"Therapist Baseline", "LLaMA 3.1 8B Instruct", "FLAN-T5", "T5"} <= published
    assert models.model("llama3_1_8b_instruct").gated


def test_unknown_model_names_the_closest() -> None:
    """A typing error is answered with the name that was meant, and with how to bring one's own."""
    with pytest.raises(UnknownName, match=r"Did you mean 'flan_t5_base'.*weights and architecture"):
        models.model("flan_t5_bse")
