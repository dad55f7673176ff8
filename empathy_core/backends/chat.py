"""Chat templates: applied exactly once, and what they add by themselves is found.

Some templates put a system text of their own in front where none is given ("You are a helpful
AI assistant named …"), or lines of their own into the one that is given (dates). The first kind
can be suppressed; what stays is named. Strings only; tokens are ``rendering``'s.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from empathy_core.errors import ModelError
from empathy_core.types import Message

_NOW = datetime(2024, 7, 26)  # a calendar date: the one in Llama 3.1's own template
_PROBE = (Message("user", "probe question"), Message("assistant", "probe answer"))
_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_ROLE_NAME = re.compile(r"(system|developer|user|assistant|model)\b\s*")


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of one tokenizer.

    Attributes:
        tokenizer: A transformers tokenizer with a template.
        model: Name for messages.
        default: What happens to the template's own system text where a prompt brings none.
    """

    tokenizer: Any
    model: str
    default: Literal["suppress", "keep"]

    def render(self, messages: Sequence[Message]) -> str:
        """Return the conversation up to where the answer begins, special tokens spelled out.

        Raises:
            ModelError: The template refuses or leaves out a message, or its own system text
                cannot be told apart.
        """
        text = self._applied(messages, answer=True)
        for message in messages:
            if message.content.strip() not in text:
                msg = (
                    f"{self.model}: the chat template leaves out the {message.role} message "
                    f"'{message.content[:60]}'; expected every message in the prompt; use a "
                    "prompt whose messages have other roles, or chat_template = false"
                )
                raise ModelError(msg)
        if messages[0].role == "system" or self.default == "keep":
            return text
        if not text.startswith(self._head):
            raise ModelError(self._inseparable())
        return self._head_without_words + text[len(self._head) :]

    def added(self, messages: Sequence[Message]) -> str:
        """Return the words that the template adds to *messages* and that ``render`` keeps."""
        if messages[0].role != "system":
            return self._words(self._head_or_all(messages)) if self.default == "keep" else ""
        head = self._head_or_all(messages)
        return self._words(head.replace(messages[0].content.strip(), "", 1))

    def around_answer(self, messages: Sequence[Message]) -> tuple[str, str]:
        """Return what the template writes between ``render``'s end and an answer, and after it.

        Raises:
            ModelError: The template cannot render an answer.
        """
        asked, answer = self._applied(messages, answer=True), _PROBE[1]
        before, found, after = self._applied((*messages, answer)).rpartition(answer.content)
        if not found:
            msg = (
                f"{self.model}: the chat template leaves out the answer; expected it as the last "
                "turn; train with chat_template = false, or take another model"
            )
            raise ModelError(msg)
        return (before.removeprefix(asked) if before.startswith(asked) else ""), after

    @cached_property
    def _head(self) -> str:
        """What stands before the first turn where no system message is given.

        The turn itself is what the same user message adds to a longer conversation.
        """
        head = self._before_last((_PROBE[0],), _PROBE)
        if head is None:
            raise ModelError(self._inseparable())
        return head

    def _before_last(self, first: Sequence[Message], later: Sequence[Message]) -> str | None:
        """Return the rendering of *first* without its last turn; null if it cannot be told.

        Args:
            first: Messages that end in a user's.
            later: A conversation to which that last message can be added.
        """
        before = self._applied(later)
        longer = self._applied((*later, first[-1]))
        whole = self._applied(first)
        turn = longer[len(before) :]
        if not turn or not longer.startswith(before) or not whole.endswith(turn):
            return None
        return whole.removesuffix(turn)

    def _head_or_all(self, messages: Sequence[Message]) -> str:
        """Return what stands before the first user turn, its markers included if need be."""
        until = [m.role for m in messages].index("user")
        first = messages[: until + 1]
        later = (*messages[:until], *_PROBE)
        head = self._before_last(first, later)
        if head is None:
            text = self._applied(first)
            return text[: text.rindex(first[-1].content.strip())]
        return head

    @cached_property
    def _head_without_words(self) -> str:
        """The special tokens that begin a conversation, without the template's own text.

        A head of special tokens alone is no text and stays. Otherwise only the token that begins
        every sequence does, unless the turn brings its own: in ChatML they are the same token.
        """
        if not self._words(self._head):
            return self._head
        bos = self.tokenizer.bos_token or ""
        turn = self._applied((_PROBE[0],))[len(self._head) :]
        return bos if bos and self._head.startswith(bos) and not turn.startswith(bos) else ""

    def _words(self, text: str) -> str:
        """Return *text* without special tokens and the names of roles."""
        special = sorted(special_spellings(self.tokenizer), key=len, reverse=True)
        pieces = re.split("|".join(map(re.escape, special)), text) if special else [text]
        bare = (_ROLE_NAME.sub("", piece.strip(), count=1).strip() for piece in pieces)
        return " ".join(piece for piece in bare if piece)

    @cached_property
    def _undated(self) -> str:
        """The template, always on the same day: else each day would have other prompts."""
        template = str(self.tokenizer.get_chat_template())
        return _TODAY.sub(lambda call: repr(_NOW.strftime(call[2])), template)

    def _applied(self, messages: Sequence[Message], *, answer: bool = False) -> str:
        from jinja2 import TemplateError

        turns = [{"role": m.role, "content": m.content} for m in messages]
        try:
            text = self.tokenizer.apply_chat_template(
                turns,
                chat_template=self._undated,
                tokenize=False,
                add_generation_prompt=answer,
                date_string=_NOW.strftime("%d %b %Y"),
            )
        except (TemplateError, ValueError, TypeError) as error:
            roles = ", ".join(m.role for m in messages)
            msg = (
                f"{self.model}: the tokenizer's chat template cannot render the roles {roles} "
                f"({error}); expected a template for them; use a prompt without a system message "
                "(a .toml file of your own), or chat_template = false"
            )
            raise ModelError(msg) from error
        return str(text)

    def _inseparable(self) -> str:
        start = self._applied((_PROBE[0],))[:120]
        return (
            f"{self.model}: the chat template's own text cannot be told apart from the first turn "
            f"('{start}…'), so it cannot be suppressed; expected a template that only adds "
            'to a conversation; set template_default = "keep" (it is then named in the table '
            "note), give a prompt with a system message, or set chat_template = false"
        )


def special_spellings(tokenizer: Any) -> set[str]:
    """Return how the special tokens of *tokenizer* are written."""
    added = tokenizer.added_tokens_decoder.values()
    return {t.content for t in added if t.special} | set(tokenizer.all_special_tokens)
