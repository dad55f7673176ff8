"""What is answered: a question, or a conversation whose last turn is the person's. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role = Literal["system", "user", "assistant"]

_CONTEXT, _TURN = "{context}", "{turn}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; *content* may hold ``{context}``."""

    role: Role
    content: str

    def filled(self, context: str) -> "Message":
        """Return the message with ``{context}`` replaced, once, by *context*."""
        return Message(self.role, self.content.replace(_CONTEXT, context, 1))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said before an answer.

    Attributes:
        turns: Of ``user`` (who asks for help) and ``assistant`` (who answers), one after the
            other; the last is the user's. At least one.
    """

    turns: tuple[Message, ...]

    @property
    def text(self) -> str:
        """The conversation as text with named speakers; a single turn is its text alone.

        It stands for the conversation wherever texts are compared, counted or shown to raters.
        """
        return NAMED.written(self.turns)

    def shortened(self) -> Iterator["Conversation"]:
        """Yield the conversation without its oldest turns, longest first, from a user's turn on."""
        for start in range(1, len(self.turns)):
            if self.turns[start].role == "user":
                yield Conversation(self.turns[start:])


Context: TypeAlias = str | Conversation
"""A question, or a conversation that ends in one."""


def text_of(context: Context) -> str:
    """Return a context as text."""
    return context if isinstance(context, str) else context.text


def last_turn(context: Context) -> str:
    """Return what the person said last."""
    return context if isinstance(context, str) else context.turns[-1].content


@dataclass(frozen=True, slots=True)
class TurnForm:
    """How a conversation is written into a prompt where no chat template does it.

    Attributes:
        user: A turn of the person who asks for help; ``{turn}`` stands for its text.
        assistant: A turn of the one who answers.
        between: What stands between two turns.
    """

    user: str = "User: {turn}"
    assistant: str = "Therapist: {turn}"
    between: str = "\n\n"

    def written(self, turns: Sequence[Message]) -> str:
        """Return turns with their speakers; one turn alone needs no name."""
        return turns[0].content if len(turns) == 1 else self._named(turns)

    def placed(self, text: str, context: Context) -> str:
        """Return *text* with ``{context}`` replaced, once.

        Where it stands in *text* as a user's turn does (``User: {context}``), the conversation
        takes the place of that whole turn, so that no name is there twice.
        """
        if isinstance(context, str):
            return text.replace(_CONTEXT, context, 1)
        turn = self.user.replace(_TURN, _CONTEXT)
        if turn in text:
            return text.replace(turn, self._named(context.turns), 1)
        return text.replace(_CONTEXT, self.written(context.turns), 1)

    def filled(self, messages: Sequence[Message], context: Context) -> tuple[Message, ...]:
        """Return a prompt's messages with a context in them.

        The turns of a conversation stand before the message that holds its last one. Where
        ``{context}`` is not in the last message, the conversation is text there.
        """
        if isinstance(context, str):
            return tuple(message.filled(context) for message in messages)
        *first, last = messages
        if _CONTEXT not in last.content:
            return tuple(message.filled(self.written(context.turns)) for message in messages)
        *earlier, asked = context.turns
        return (*first, *earlier, last.filled(asked.content))

    def _named(self, turns: Sequence[Message]) -> str:
        forms = {"user": self.user, "assistant": self.assistant}
        return self.between.join(forms[t.role].replace(_TURN, t.content, 1) for t in turns)


NAMED = TurnForm()
"""``User: …`` and ``Therapist: …``, with a blank line between."""
