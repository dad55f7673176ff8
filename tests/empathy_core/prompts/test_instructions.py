"""A prompt with another instruction: the frame stays, and a file holds it to the letter."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core import prompts
from empathy_core.prompts.instructions import (
    as_toml,
    instruction_of,
    with_instruction,
    wording_digest,
)
from empathy_core.types import Message, Prompt


def test_only_the_instruction_changes() -> None:
    """In the plain form and with a chat template, the question stays in its place."""
    parent = prompts.prompt("prompt2")
    changed = with_instruction(parent, "Be kind.", "kind")

    assert changed.plain("Q?") == "Be kind.\n\nUser: Q?\n\nTherapist:"
    assert changed.chat("Q?") == (Message("system", "Be kind."), Message("user", "Q?"))
    assert instruction_of(changed) == "Be kind."


def test_a_prompt_without_an_instruction_gets_one() -> None:
    """It stands before the text, and becomes a system message."""
    changed = with_instruction(prompts.prompt("none"), "Be kind.", "kind")

    assert changed.plain("Q?") == "Be kind.\n\nQ?"
    assert changed.chat("Q?")[0] == Message("system", "Be kind.")


def test_an_instruction_that_holds_the_question_is_refused() -> None:
    """It would stand there twice."""
    with pytest.raises(ValueError, match="question's place"):
        with_instruction(prompts.prompt("prompt1"), "Answer {context} kindly.", "twice")


@pytest.mark.parametrize("name", prompts.names())
def test_a_prompt_that_ships_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    """Words, ending and turns."""
    prompt = prompts.prompt(name)
    path = tmp_path / f"{name}.toml"
    path.write_text(as_toml(prompt), encoding="utf-8")

    assert prompts.read(path) == prompt


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(TEXTS.filter(lambda text: "{context}" not in text))
def test_any_instruction_is_read_as_it_was_written(said: str) -> None:
    """Quotation marks, control characters, line ends of any kind, other planes of Unicode."""
    import tomllib

    made: Prompt = with_instruction(prompts.prompt("prompt2"), said, "made")
    read = tomllib.loads(as_toml(made))

    assert read["messages"][0]["content"] == said
    assert read["text"] == made.text


def test_the_digest_is_of_words_and_not_of_names() -> None:
    """Two prompts that a model reads alike are one."""
    one = with_instruction(prompts.prompt("prompt2"), "Be kind.", "one")
    two = with_instruction(prompts.prompt("prompt1"), "Be kind.", "two", "elsewhere")

    assert wording_digest(one) == wording_digest(two)
    assert wording_digest(one) != wording_digest(prompts.prompt("prompt2"))
