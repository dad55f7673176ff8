"""Keys, types, values and tables in Markdown."""

import dataclasses
import re
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from reference_parts.keys import Key


def kind_text(kind: Any) -> str:
    """Return an annotation in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return kind_text(inner[0]) + _bounds(inner[1:])
    if origin in (Union, UnionType):
        return _either([a for a in inner if a is not NoneType])
    if origin is Literal:
        return " \\| ".join(f"`{toml(value)}`" for value in inner)
    if inner:
        return _collection(origin, inner)
    words = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return words.get(kind, "table")


def _either(kinds: Sequence[Any]) -> str:
    """Return alternatives in words; values stand together."""
    parts = sorted(kinds, key=lambda kind: get_origin(kind) is Literal)
    words = " or ".join(dict.fromkeys(map(kind_text, parts)))
    return words.replace('"` or `"', '"` \\| `"')


def _collection(origin: Any, inner: Sequence[Any]) -> str:
    """Return a list or a table in words."""
    if origin not in (tuple, list):
        plain = isinstance(inner[1], type) and issubclass(inner[1], str | int | float)
        return f"table of {kind_text(inner[1])}" if plain else "table"
    if len(inner) == 2 and inner[1] is Ellipsis:
        return f"list of {kind_text(inner[0])}"
    return f"list of {len(inner)}: {kind_text(inner[0])}"


def _bounds(constraints: Sequence[Any]) -> str:
    """Return what pydantic demands of a value besides its type."""
    found = []
    for item in constraints:
        entries = [*getattr(item, "metadata", ()), item]
        for entry in entries:
            for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
                if (bound := getattr(entry, name, None)) is not None:
                    found.append(f"{sign} {bound:g}")
            if getattr(entry, "min_length", None):
                found.append("not empty")
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{}"
    return f"{value:g}" if isinstance(value, float) and value < 1e-3 else str(value)


def default_text(value: Any) -> str:
    """Return a default in words: what holds where the key is left out."""
    if value is dataclasses.MISSING:
        return "**required**"
    if value is None or isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return "—"
    return f"`{toml(value)}`"


def markdown(text: str) -> str:
    """Return a docstring's text as Markdown in a cell of a table."""
    text = re.sub(r"\s+", " ", text.replace("``", "`")).replace("|", "\\|").strip()
    return re.sub(r"\bnull\b", "not set", re.sub(r"\bNull\b", "Not set", text))


def prose(text: str) -> str:
    """Return a description as Markdown, in which nothing is markup."""
    return re.sub(r"([\[\]<>*_`])", r"\\\1", text.strip())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def key_table(found: Sequence[Key]) -> str:
    """Return keys as a table in Markdown."""
    rows = []
    for key in found:
        meaning = markdown(key.text)
        rows.append((f"`{key.name}`", kind_text(key.kind), default_text(key.default), meaning))
    return table(("key", "type", "default", "meaning"), rows)
