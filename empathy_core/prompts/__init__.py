"""Prompts: one TOML file each; the file name is the prompt's name.

A file gives ``label``, ``origin``, ``text`` (used without a chat template) and ``[[messages]]``
of ``role`` and ``content`` (used with one); ``{context}`` marks the place of the question, once
in either form. ``ending`` is what closes an answer to ``text``, if anything does. ``[turns]``
says how ``text`` holds a conversation: ``user`` and ``assistant``, each with ``{turn}`` for what
was said, and ``between``, which stands between two turns. ``parent`` is the name of the prompt
that this one refines: tables then compare the two.
"""

import tomllib
from pathlib import Path
from typing import Any

from empathy_core.conversation import Message, TurnForm
from empathy_core.errors import ConfigError
from empathy_core.shipped import find, names_in
from empathy_core.types import Prompt

_HERE = Path(__file__).parent
_KEYS = {"label", "origin", "text", "messages", "ending", "turns", "parent"}
_TURN_KEYS = ("user", "assistant", "between")
_ROLES = ("system", "user", "assistant")


def names() -> list[str]:
    """Return the names of the prompts that ship."""
    return names_in(_HERE)


def prompt(name: str) -> Prompt:
    """Return the prompt of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    return read(find("prompt", name, _HERE, "Or give the path of a .toml file of your own."))


def read(path: Path) -> Prompt:
    """Return the prompt in a file; its name is the file's.

    Raises:
        ConfigError: The file is missing or not TOML, a key is unknown, missing or of the wrong
            type, or ``{context}`` does not stand exactly once in each form.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"prompt {path} cannot be read ({error}); expected a TOML file; fix it or its path"
        raise ConfigError(msg) from error
    if problems := _problems(table):
        msg = f"prompt {path}: {'; '.join(problems)}; see {_HERE / 'prompt1.toml'} for a model"
        raise ConfigError(msg)
    messages = tuple(Message(m["role"], m["content"]) for m in table["messages"])
    label, origin = table.get("label", path.stem), table.get("origin", "")
    return Prompt(
        path.stem, label, table["text"], messages, origin,
        ending=table.get("ending", ""), turns=TurnForm(**table.get("turns", {})),
        parent=table.get("parent", ""),
    )  # fmt: skip


def _problems(table: dict[str, Any]) -> list[str]:
    """Return what is wrong with a prompt's table, in words."""
    found = [f"unknown key '{key}', expected {sorted(_KEYS)}" for key in sorted(set(table) - _KEYS)]
    words = ("label", "origin", "ending", "parent")
    not_strings = [k for k in words if not isinstance(table.get(k, ""), str)]
    found += [f"'{key}' is not a string, expected one in quotes" for key in not_strings]
    found += _problems_of_turns(table.get("turns", {}))
    text, messages = table.get("text"), table.get("messages")
    if not isinstance(text, str) or text.count("{context}") != 1:
        found.append("'text' does not hold {context} exactly once, expected it for the question")
    if not isinstance(messages, list) or not messages or not all(map(_sound, messages)):
        found.append(f"'messages' is not a list of role (of {list(_ROLES)}) and content")
    elif sum(message["content"].count("{context}") for message in messages) != 1:
        found.append("the messages do not hold {context} exactly once, expected it in the last")
    elif messages[-1]["role"] != "user":
        found.append("the last message is not the user's, expected the model to answer it")
    return found


def _problems_of_turns(turns: Any) -> list[str]:
    """Return what is wrong with how a prompt writes conversations."""
    if not isinstance(turns, dict) or not set(turns) <= set(_TURN_KEYS):
        return [f"[turns] is not a table of {', '.join(_TURN_KEYS)}"]
    found = [
        f"turns.{key} does not hold {{turn}} exactly once, expected it for what was said"
        for key in ("user", "assistant")
        if key in turns and (not isinstance(turns[key], str) or turns[key].count("{turn}") != 1)
    ]
    if not isinstance(turns.get("between", ""), str):
        found.append("turns.between is not a string, expected one in quotes")
    return found


def _sound(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and set(message) == {"role", "content"}
        and message["role"] in _ROLES
        and isinstance(message["content"], str)
    )
