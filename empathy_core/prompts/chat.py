"""Chat templates: applied exactly once, and what they add by themselves is found.

Some templates put a system text of their own in front where none is given ("You are a helpful
AI assistant named …"), or lines of their own into the one that is given (dates). The first kind
can be suppressed; what stays is named. Others write nothing to open an answer with. Strings only;
tokens are ``rendering``'s.
"""

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from empathy_core.conversation import Message, Role
from empathy_core.errors import ModelError, UnknownName
from empathy_core.prompts.reasoning import delimiters
from empathy_core.types import ModelSpec

if TYPE_CHECKING:
    from jinja2 import nodes

_NOW = datetime(2024, 7, 26)  # a calendar date: the one in Llama 3.1's own template
_PROBE = (Message("user", "probe question"), Message("assistant", "probe answer"))
_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_NO_ARGUMENTS = {
    "messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now",
}  # fmt: skip
_ROLE_NAME = re.compile(r"(?i)(system|developer|user|assistant|model):?(?:\s*\n\s*|\s*\Z)")
"""The name of a role is a line of its own, right behind a special token."""


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of one tokenizer, as one model's settings use it.

    Attributes:
        tokenizer: A transformers tokenizer with a template.
        spec: The model; its ``template_default``, ``template_arguments`` and ``fold_system`` say
            how the template is used.
    """

    tokenizer: Any
    spec: ModelSpec

    def render(self, messages: Sequence[Message]) -> str:
        """Return the conversation up to where the answer begins, special tokens spelled out.

        Raises:
            ModelError: The template refuses or leaves out a message, opens no answer, or its own
                system text cannot be told apart.
        """
        turns = self._folded(messages)
        text = self._applied(turns, answer=True)
        for message in turns:
            if message.content.strip() not in text:
                msg = (
                    f"{self.spec.name}: the chat template leaves out the {message.role} message "
                    f"'{message.content[:60]}'; expected every message in the prompt; use a "
                    "prompt whose messages have other roles, set fold_system = true if it is the "
                    "system message, or chat_template = false"
                )
                raise ModelError(msg)
        text += self.opening_added
        if turns[0].role == "system" or self.spec.template_default == "keep":
            return text
        if not text.startswith(self._head):
            raise ModelError(self._inseparable())
        return self._head_without_words + text[len(self._head) :]

    def added(self, messages: Sequence[Message]) -> str:
        """Return the words that the template adds to *messages* and that ``render`` keeps."""
        turns = self._folded(messages)
        if turns[0].role != "system":
            return self._words(self._before(turns)) if self.spec.template_default == "keep" else ""
        return self._words(self._before(turns).replace(turns[0].content.strip(), "", 1))

    def around_answer(
        self, messages: Sequence[Message], reasoning: tuple[str, str] | None = None
    ) -> tuple[str, str]:
        """Return what stands between ``render``'s end and an answer, and after the answer.

        Args:
            messages: The prompt.
            reasoning: How a thought begins and ends. Where the template opens one at the end of
                the prompt, an empty thought is closed before the answer.

        Raises:
            ModelError: The template cannot render an answer, or opens it in another way than it
                writes one.
        """
        turns, answer = self._folded(messages), _PROBE[1]
        asked = self._applied(turns, answer=True) + self.opening_added
        before, found, after = self._applied((*turns, answer)).rpartition(answer.content)
        if not found:
            msg = (
                f"{self.spec.name}: the chat template leaves out the answer; expected it as the "
                "last turn; train with chat_template = false, or take another model"
            )
            raise ModelError(msg)
        after = after if after.strip() else self._end_of_answer(_PROBE) or after
        if before.startswith(asked.rstrip()):
            return before.removeprefix(asked.rstrip()).removeprefix(_blank_end(asked)), after
        if asked.startswith(before.rstrip()) and reasoning:
            opened = asked[len(before.rstrip()) :].strip()
            begin, end = (mark.strip() for mark in reasoning)
            if opened == begin:
                return f"\n{end}\n\n", after
            if re.fullmatch(rf"{re.escape(begin)}\s*{re.escape(end)}", opened):
                return "", after  # an empty thought is in the prompt already
        if reasoning and (close := self._closed_instead(asked, before, reasoning)):
            return close, after
        raise ModelError(self._opened_otherwise(asked, before))

    @staticmethod
    def _closed_instead(asked: str, before: str, reasoning: tuple[str, str]) -> str:
        """Return what a template writes before an answer where it opens a thought in a prompt.

        DeepSeek 3.1 asks with ``<think>``, and writes ``</think>`` alone before a given answer.
        """
        begin, end = (mark.strip() for mark in reasoning)
        stem, opens, rest = asked.rpartition(begin)
        written = before.removeprefix(stem)
        return written if opens and not rest.strip() and written.startswith(end) else ""

    # ------------------------------------------------------------------------ the opening

    @cached_property
    def opening_added(self) -> str:
        """What opens an answer where the template itself writes nothing; else empty.

        A template that does not ask whether an answer is to follow ends with the user's turn: the
        model then writes the assistant's header itself. What stands between question and answer
        in a finished conversation is put there instead, if it is the same in all of its turns.

        Raises:
            ModelError: It is not the same, or the template opens answers in another way than it
                writes them.
        """
        user, answer = _PROBE
        asked = self._applied((user,), answer=True)
        tail = asked.rpartition(user.content)[2]
        last = self._between(self._applied((user, answer)))
        earlier = self._between(self._applied((user, answer, Message("user", "next question"))))
        if last is None or earlier is None:
            return ""  # what is left out of it is said by ``render``
        if asked != self._applied((user,)):
            if not any(self._alike(tail, other) for other in (last, earlier)):
                raise ModelError(self._opened_otherwise(tail, last))
            return ""
        if not last.startswith(tail) or not last[len(tail) :].strip():
            return ""
        if last != earlier:
            raise ModelError(self._opened_otherwise(tail, last))
        return last[len(tail) :]

    def _between(self, text: str) -> str | None:
        """Return what stands between the probe's question and its answer; null without both."""
        question, answer = (m.content for m in _PROBE)
        after = text.partition(question)[2]
        return after.partition(answer)[0] if answer in after else None

    def _alike(self, opened: str, written: str) -> bool:
        """Tell whether an opening begins as what stands before an answer does, or reverse.

        The rest of the longer one is a thought, or a channel.
        """
        of = self.spec.reasoning or delimiters(self.text)
        if of and self._closed_instead(opened, written, of):
            return True
        return opened.startswith(written.rstrip()) or written.startswith(opened.rstrip())

    def _opened_otherwise(self, asked: str, written: str) -> str:
        return (
            f"{self.spec.name}: the chat template asks for an answer with '…{asked[-60:]}', but "
            f"writes '…{written[-60:]}' before one; expected the same opening, since a model "
            "continues what it was trained on; correct the template, set 'reasoning' if it opens "
            "a thought, or set chat_template = false"
        )

    # ------------------------------------------------------------------------ its own text

    def _folded(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Return *messages*, the system's put before the user's words if the settings say so.

        Where the assistant has the first turn, the system's message is a user's turn before it.
        """
        if not self.spec.fold_system or messages[0].role != "system":
            return tuple(messages)
        system, user, *later = messages
        if user.role != "user":  # the counsellor spoke first: turns alternate behind the system's
            return (replace(system, role="user"), user, *later)
        return (replace(user, content=f"{system.content}\n\n{user.content}"), *later)

    @cached_property
    def _head(self) -> str:
        """What stands before the first turn where no system message is given."""
        head = self._before_last((_PROBE[0],), _PROBE)
        if head is None:
            raise ModelError(self._inseparable())
        return head

    def _before_last(self, first: Sequence[Message], later: Sequence[Message]) -> str | None:
        """Return what stands before the last turn of *first*; null if it cannot be told.

        That turn is what the same message adds to a longer conversation. An answer that is the
        last turn may be written otherwise than one that is not, so only its end is looked at.

        Args:
            first: Messages that end in a user's.
            later: A conversation that ends in an answer, to which that message can be added.
        """
        end, answer = self._end_of_answer(later), later[-1].content
        rest = self._applied((*later, first[-1]), answer=True).rpartition(answer)[2]
        whole = self._applied(first, answer=True)
        turn = rest[len(end) :]
        if not rest.startswith(end) or first[-1].content.strip() not in turn:
            return None
        return whole.removesuffix(turn) if whole.endswith(turn) else None

    def _end_of_answer(self, conversation: Sequence[Message]) -> str:
        """Return what closes the last answer of *conversation* where another turn follows.

        Some templates end the last one otherwise, or not at all, unless the next one is opened.
        """
        opening, answer, after = self._opening, conversation[-1].content, ""
        end = self._applied(conversation).rpartition(answer)[2]
        with suppress(ModelError):  # not every template opens an answer after an answer
            after = self._applied(conversation, answer=True).rpartition(answer)[2]
            if opening and after.endswith(opening):
                end = after.removesuffix(opening)
        return end or self._end_in_common(conversation, after)

    def _end_in_common(self, conversation: Sequence[Message], after: str) -> str:
        """Return what closes the last answer alike, whichever role has the next turn.

        ChatML as Qwen 1.5 has it leaves the last turn open, and closes it only where an answer is
        asked for, so that closing and opening cannot be told apart by asking alone.

        Args:
            conversation: It ends in an answer.
            after: What stands behind that where another answer is opened.
        """
        answer, user = conversation[-1].content, _PROBE[0]
        try:
            whole = self._applied((*conversation, user))
        except ModelError:  # no turn of the user's may follow
            return ""
        later = self._pieces(whole.rpartition(user.content)[0].rpartition(answer)[2])
        pairs = zip(later, self._pieces(after), strict=False)
        same = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        if later[len(same) :] and later[len(same)] not in self._spellings:  # a role's name: the
            while same and same.pop() not in self._spellings:  # token before it opens the turn
                pass
        return "".join(same)

    @cached_property
    def _opening(self) -> str:
        """What the template writes where an answer is to follow, and not where none is."""
        closed = self._applied((_PROBE[0],))
        opened = self._applied((_PROBE[0],), answer=True)
        if opened.startswith(closed):
            return opened[len(closed) :]
        pieces = self._pieces(opened)  # what closes a conversation may stand there instead
        pairs = zip(self._pieces(closed), pieces, strict=False)
        same = takewhile(lambda pair: pair[0] == pair[1], pairs)
        return "".join(pieces[len(list(same)) :])

    def _before(self, messages: Sequence[Message]) -> str:
        """Return what stands before the first user turn, its markers included if need be."""
        until = [m.role for m in messages].index("user")
        first = messages[: until + 1]
        head = self._before_last(first, (*messages[:until], *_PROBE))
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
        """Return *text* without special tokens and the names of roles; its words are its own."""
        own = (piece.strip() for piece in self._pieces(text) if piece not in self._spellings)
        bare = (piece[m.end() :] if (m := _ROLE_NAME.match(piece)) else piece for piece in own)
        return " ".join(piece for piece in bare if piece)

    def _pieces(self, text: str) -> list[str]:
        """Return *text* cut into special tokens and what stands between them."""
        spelled = sorted(filter(None, self._spellings), key=len, reverse=True)
        if not spelled:
            return [text]
        return [p for p in re.split(f"({'|'.join(map(re.escape, spelled))})", text) if p]

    @cached_property
    def _spellings(self) -> set[str]:
        return special_spellings(self.tokenizer)

    # ------------------------------------------------------------------------ applying it

    @cached_property
    def _undated(self) -> str:
        """The template, always on the same day: else each day would have other prompts."""
        return _TODAY.sub(lambda call: repr(_NOW.strftime(call[2])), self.text)

    @cached_property
    def text(self) -> str:
        """The template itself.

        Raises:
            ModelError: There are several, and none of them is the usual one.
        """
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError as error:
            names = ", ".join(sorted(self.tokenizer.chat_template))
            msg = (
                f"{self.spec.name}: its tokenizer has several chat templates ({names}); expected "
                "one of them to be called 'default'; save a copy of the tokenizer with the one "
                "that is meant as its chat template, and name that folder as 'tokenizer'"
            )
            raise ModelError(msg) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ``text``, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def _arguments(self) -> dict[str, str | int | float | bool]:
        """What the template is called with besides the messages.

        Raises:
            ModelError: The template does not read one of them.
        """
        from jinja2 import Environment, TemplateError

        given = dict(self.spec.template_arguments)
        if not given:
            return given
        try:
            # parsed only, never rendered
            syntax = Environment(
                autoescape=True, extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"]
            ).parse(self._undated)
            read = _read_from_outside(syntax) - _NO_ARGUMENTS
            read -= set(self.tokenizer.special_tokens_map)
        except TemplateError:  # transformers adds words of its own to the language
            return given
        if unknown := sorted(set(given) - read):
            hint = (
                f"Correct template_arguments of the model '{self.spec.name}': its chat template "
                "reads no other names."
            )
            raise UnknownName("template argument", unknown[0], sorted(read), hint)
        return given

    @cached_property
    def _in_parts(self) -> bool:
        """Whether the template takes contents as lists of parts only, as those for images do."""
        probe = _PROBE[0].content
        plain = self._spelled([{"role": "user", "content": probe}], answer=False)
        if probe in plain:
            return False
        parts = [{"role": "user", "content": [{"type": "text", "text": probe}]}]
        return probe in self._spelled(parts, answer=False)

    def _applied(self, messages: Sequence[Message], *, answer: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            turns = [
                {
                    "role": m.role,
                    "content": [{"type": "text", "text": m.content}]
                    if self._in_parts
                    else m.content,
                }
                for m in messages
            ]
            return self._spelled(turns, answer=answer)
        except (TemplateError, ValueError, TypeError) as error:
            roles = ", ".join(m.role for m in messages)
            spoken = [m.role for m in messages if m.role != "system"]
            if spoken[:1] == ["assistant"] and self._takes(spoken[1:]):
                msg = (
                    f"{self.spec.name}: the chat template takes no conversation that the assistant "
                    f'begins ({error}); expected the person\'s turn first; set opening = "drop" in '
                    "the source of the conversation, use a prompt with a system message and "
                    "fold_system = true, or set chat_template = false"
                )
                raise ModelError(msg) from error
            msg = (
                f"{self.spec.name}: the tokenizer's chat template cannot render the roles {roles} "
                f"({error}); expected a template for them; set fold_system = true to put a "
                "system message before the user's words, use a prompt without one (a .toml file "
                "of your own), or set chat_template = false"
            )
            raise ModelError(msg) from error

    def _takes(self, roles: Sequence[Role]) -> bool:
        """Tell whether the template renders turns of these roles."""
        from jinja2 import TemplateError

        turns = [{"role": role, "content": _PROBE[0].content} for role in roles]
        try:
            return bool(turns) and bool(self._spelled(turns, answer=True))
        except (TemplateError, ValueError, TypeError):
            return False

    def _spelled(self, turns: Sequence[dict[str, Any]], *, answer: bool) -> str:
        text = self.tokenizer.apply_chat_template(
            list(turns),
            chat_template=self._undated,
            tokenize=False,
            add_generation_prompt=answer,
            **{"date_string": _NOW.strftime("%d %b %Y"), **self._arguments},
        )
        return str(text)

    def _inseparable(self) -> str:
        start = self._applied((_PROBE[0],))[:120]
        return (
            f"{self.spec.name}: the chat template's own text cannot be told apart from the first "
            f"turn ('{start}…'), so it cannot be suppressed; expected a template that only adds "
            'to a conversation; set template_default = "keep" (it is then named in the table '
            "note), give a prompt with a system message, or set chat_template = false"
        )


def _read_from_outside(template: "nodes.Template") -> set[str]:
    """Return the names that a template reads and does not set itself.

    What it sets where nothing is given is read from outside, too.
    """
    from jinja2 import meta, nodes

    names = list(template.find_all(nodes.Name))
    own = {name.name for name in names if name.ctx in ("store", "param")}
    of_absence = ("defined", "undefined", "default", "d")
    asked = {
        found.node.name
        for found in template.find_all((nodes.Test, nodes.Filter))
        if found.name in of_absence and isinstance(found.node, nodes.Name)
    }
    return meta.find_undeclared_variables(template) - (own - asked)


def _blank_end(text: str) -> str:
    """Return the white space that *text* ends in."""
    return text[len(text.rstrip()) :]


def special_spellings(tokenizer: Any) -> set[str]:
    """Return how the special tokens of *tokenizer* are written."""
    added = tokenizer.added_tokens_decoder.values()
    return {t.content for t in added if t.special} | set(tokenizer.all_special_tokens)
