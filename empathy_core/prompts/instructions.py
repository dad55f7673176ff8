"""What a prompt tells a model to do, apart from the question: read, replaced, written to a file.

The instruction of a prompt is its system message. A prompt with another instruction keeps the frame
of the first one, so that the place of the question cannot be lost.
"""

import json
from dataclasses import asdict, replace

from empathy_core.conversation import Message
from empathy_core.types import Prompt, digest

PLACE = "{context}"
"""Marks the place of the question in a prompt."""


def instruction_of(prompt: Prompt) -> str:
    """Return what a prompt's system messages say; empty if it has none."""
    said = (message.content for message in prompt.messages if message.role == "system")
    return "\n\n".join(said).strip()


def with_instruction(prompt: Prompt, instruction: str, name: str, origin: str = "") -> Prompt:
    """Return a prompt that differs by what it tells the model to do.

    The system messages become one. In the plain form, the words of the old instruction are
    replaced; where they do not stand there, the new ones stand before the text.

    Args:
        prompt: Gives the frame.
        instruction: The words; they do not hold the place of the question.
        name: Of the new prompt, and its label.
        origin: Where its wording comes from.

    Raises:
        ValueError: The instruction holds the place of the question, which would stand there twice.
    """
    if PLACE in instruction:
        raise ValueError(
            f"an instruction must not hold {PLACE}: its frame has the question's place"
        )
    old = instruction_of(prompt)
    rest = tuple(m for m in prompt.messages if m.role != "system")
    if old and old in prompt.text:
        text = prompt.text.replace(old, instruction, 1)
    else:
        text = f"{instruction}\n\n{prompt.text}"
    messages = (Message("system", instruction), *rest)
    return replace(prompt, name=name, label=name, text=text, messages=messages, origin=origin)


def wording_digest(prompt: Prompt) -> str:
    """Return a digest of everything of a prompt that a model may read, 64 hex digits."""
    return digest(
        {
            "text": prompt.text,
            "messages": [asdict(message) for message in prompt.messages],
            "ending": prompt.ending,
            "turns": asdict(prompt.turns),
        }
    )


def as_toml(prompt: Prompt) -> str:
    """Return a prompt as the text of a file that ``prompts.read`` takes."""
    lines = [f"{key} = {_quoted(getattr(prompt, key))}" for key in ("label", "origin", "text")]
    lines += [f"ending = {_quoted(prompt.ending)}"] if prompt.ending else []
    for message in prompt.messages:
        lines += ["", "[[messages]]"]
        lines += [f"{key} = {_quoted(value)}" for key, value in asdict(message).items()]
    lines += ["", "[turns]"]
    lines += [f"{key} = {_quoted(value)}" for key, value in asdict(prompt.turns).items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a basic string of TOML: as JSON writes it, but for the one control that it keeps."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
