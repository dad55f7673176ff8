"""Where something stands in a text. Pure."""

from collections.abc import Iterator
from typing import Any

Span = tuple[int, int]
"""From the first character to the one behind the last."""


def groups(pattern: Any, text: str) -> Iterator[Span]:
    """Yield where the group ``found`` of each match stands."""
    for match in pattern.finditer(text):
        yield match.span("found")
