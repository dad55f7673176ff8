"""Windows of a few sentences over a reply. Pure."""

import re

WINDOWS = "1"
"""Version of the rules, for signatures."""
_END = re.compile(
    r"(?<=[.!?\N{HORIZONTAL ELLIPSIS}\u3002\uff01\uff1f])[\"')\]\u201d\u2019]*\s+|\s*\n\s*"
)
"""White space behind a mark that ends a sentence, and line breaks."""
_LETTER = re.compile(r"\w")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; what has no letter or digit belongs to the one before it."""
    found: list[str] = []
    for part in _END.split(text):
        if not part:
            continue
        if found and not _LETTER.search(part):
            found[-1] = f"{found[-1]} {part}"
        else:
            found.append(part)
    return found


def windows(text: str, size: int, stride: int) -> list[str]:
    """Return every *size* neighbouring sentences, *stride* further on each time.

    The last window ends where the text does; a text of no more sentences is its only window.
    """
    parts = sentences(text)
    if len(parts) <= size:
        return [text]
    starts = [*range(0, len(parts) - size, stride), len(parts) - size]
    return [" ".join(parts[start : start + size]) for start in starts]
