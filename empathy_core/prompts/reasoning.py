"""A reasoning model's answer: what it thought, and what it then said. Pure.

What stands between two delimiters is thought. They are the ones that the chat template itself
looks for or writes, or those of the setting ``reasoning``; without either nothing is split.
Delimiters may be special tokens, several tokens or parts of a token, so that they are looked for
in the text with special tokens spelled out, and tokens are then told apart by the text they make.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Delimiters = tuple[str, str]
Span = tuple[int, int]

_FORMS: tuple[tuple[str, Delimiters], ...] = (
    # harmony (gpt-oss): whatever stands in a channel other than the final one is not the answer
    ("<|channel|>final<|message|>", ("<|channel|>", "<|channel|>final<|message|>")),
    ("<channel|>", ("<|channel>", "<channel|>")),  # Gemma 4
    ("to=self<|message|>", (" to=self<|message|>", " to=user<|message|>")),
    ("<|END_THINKING|>", ("<|START_THINKING|>", "<|END_THINKING|>")),  # Cohere
    ("[/THINK]", ("[THINK]", "[/THINK]")),  # Magistral
    ("\u25c1/think\u25b7", ("\u25c1think\u25b7", "\u25c1/think\u25b7")),  # Kimi
)
"""What a template holds that writes or reads thoughts in this form, and the delimiters."""

_TAG = re.compile(r"</((?:\w+:)?(?:think|thinking|thought|reasoning))>")


def delimiters(template: str) -> Delimiters | None:
    """Return how thoughts begin and end for a chat template; null if it names none.

    Args:
        template: Its text.
    """
    for mark, form in _FORMS:
        if mark in template:
            return form
    found = _TAG.search(template)
    return (f"<{found[1]}>", f"</{found[1]}>") if found else None


def opened(prompt: str, of: Delimiters) -> bool:
    """Tell whether a thought was begun at the end of *prompt*, special tokens spelled out."""
    return prompt.rstrip().endswith(of[0].strip())


@dataclass(frozen=True, slots=True)
class Parts:
    """An answer in two parts.

    Attributes:
        text: What is not thought; empty if the answer never left its thought.
        thought: Without the delimiters, other special tokens spelled out.
        said: The tokens of ``text``.
        n_thought: All other tokens, delimiters included.
    """

    text: str
    thought: str
    said: tuple[int, ...]
    n_thought: int


Decode = Callable[[Sequence[int], bool], str]
"""Text of tokens; special tokens are left out if the second argument is true."""


def parts(ids: Sequence[int], decode: Decode, of: Delimiters | None, *, inside: bool) -> Parts:
    """Split an answer into thought and text.

    Args:
        ids: Its tokens, without the one that ended it.
        decode: The tokenizer's.
        of: The delimiters; null: all of it is text.
        inside: Whether the prompt ends within a thought.
    """
    if of is None:
        return Parts(decode(ids, True), "", tuple(ids), 0)
    written = _Written(ids, decode)
    said, thoughts = _spans(written.whole, of, inside=inside)
    texts, kept = [], list[int]()
    for start, end in said:
        text, tokens = written.between(start, end)
        texts.append(text.lstrip() if start else text)  # a thought ends in line breaks
        kept += tokens
    thought = "\n\n".join(filter(None, (written.whole[a:b].strip() for a, b in thoughts)))
    return Parts("".join(texts), thought, tuple(kept), len(ids) - len(kept))


def _spans(text: str, of: Delimiters, *, inside: bool) -> tuple[list[Span], list[Span]]:
    """Return where *text* is answer, and where it is thought; delimiters are neither.

    An end without a beginning makes thought of everything since the last one, as chat templates
    do that split an answer at its end.
    """
    begin, end = of
    marks = "|".join(map(re.escape, sorted(of, key=len, reverse=True)))
    said, thoughts, at = list[Span](), list[Span](), 0
    for found in re.finditer(marks, text):
        is_end = found[0] == end and (inside or begin != end)
        if inside and not is_end:  # a beginning within a thought is a part of it
            continue
        (thoughts if is_end else said).append((at, found.start()))
        inside, at = not is_end, found.end()
    (thoughts if inside else said).append((at, len(text)))
    return said, thoughts


class _Written:
    """Tokens and the text that they make, special tokens spelled out."""

    def __init__(self, ids: Sequence[int], decode: Decode) -> None:
        self._ids, self._decode = list(ids), decode
        self.whole = self._first(len(self._ids))

    def _first(self, n: int) -> str:
        return self._decode(self._ids[:n], False)

    def between(self, start: int, end: int) -> tuple[str, list[int]]:
        """Return the text of some characters without special tokens, and the tokens in there.

        Of tokens that stand there in part, the text is returned and the token is not.
        """
        first = self._holding(start)
        last = len(self._ids) if end == len(self.whole) else self._holding(end + 1) - 1
        if first > last:
            return self.whole[start:end], []
        head = self._first(first)[start:]
        tail = self.whole[len(self._first(last)) : end]
        return head + self._decode(self._ids[first:last], True) + tail, self._ids[first:last]

    def _holding(self, n_characters: int) -> int:
        """Return how many tokens make the first characters of the text, at least."""
        wanted = self.whole[:n_characters]
        numbers = range(len(self._ids) + 1)
        return bisect_left(numbers, True, key=lambda n: self._first(n).startswith(wanted))
