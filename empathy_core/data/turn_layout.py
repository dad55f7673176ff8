"""Where a source's conversations are. Values only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from empathy_core.bounds import Positive
from empathy_core.conversation import Role
from empathy_core.errors import ConfigError

LAST = "last"
"""A source's ``response`` that is no column: the last answer of a conversation."""


@dataclass(frozen=True, slots=True)
class TurnLayout:
    """Where a source's conversations are, and which examples are made of them.

    Attributes:
        turns: ``last``: the last answer of each conversation is an example, with all that was said
            before it; ``each``: every answer is one, with what was said before it; ``before``:
            the turns are what was said before an answer, which has a column of its own;
            ``columns``: each column of ``context`` is a turn, the last one the person's. Null means
            no conversations, with ``response = "last"`` it means ``last``.
        role: Field of a turn, or column of an utterance, that tells who speaks; empty means one
            called ``role``, ``from``, ``speaker`` or ``interlocutor``.
        roles: Who speaks, in the file's words → ``user`` (who asks for help), ``assistant`` (who
            answers) or ``system`` (left out and counted).
        conversation: Column with the id of the conversation, where each row is one utterance.
        turn_order: Column with the place of an utterance; empty means the order of the file.
        least_history: Turns that must be there before an answer.
        most_history: Turns before an answer that are kept, the latest; null means all.
        most_answers: Answers that are taken of one conversation, evenly spaced with its last one
            among them; null means all.
        opening: ``drop`` leaves out what is answered before the person has said anything; some
            chat templates ask for it.
    """

    turns: Literal["last", "each", "before", "columns"] | None = None
    role: str = ""
    roles: tuple[tuple[str, Role], ...] = ()
    conversation: str = ""
    turn_order: str = ""
    least_history: Positive = 1
    most_history: Positive | None = None
    most_answers: Positive | None = None
    opening: Literal["keep", "drop"] = "keep"

    @property
    def by_utterance(self) -> bool:
        """Whether each row of the file is one utterance."""
        return bool(self.conversation)

    @property
    def nested(self) -> bool:
        """Whether answers are turns of a conversation, not a column of their own."""
        return self.turns in ("last", "each")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read besides the texts."""
        if not self.by_utterance:
            return ()
        return tuple(filter(None, (self.conversation, self.role, self.turn_order)))

    def check(self, where: str, context: Sequence[str], response: str) -> None:
        """Prove that the settings fit each other, and the columns of their source.

        Args:
            where: The table's dotted name.
            context: Of the source.
            response: Of the source.

        Raises:
            ConfigError: They do not.
        """
        if problem := next(self._problems(context, response), ""):
            raise ConfigError(f"{where}: {problem}")

    def _given(self) -> list[str]:
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]

    def _problems(self, context: Sequence[str], response: str) -> Iterator[str]:
        if self.turns is None:
            if given := self._given():
                yield (
                    f"{given[0]} is about conversations, and none are named: expected turns = "
                    f'"each", or response = "{LAST}"; set one of them, or remove {given[0]}'
                )
            return
        if self.most_history is not None and self.most_history < self.least_history:
            yield (
                f"most_history = {self.most_history} is less than least_history = "
                f"{self.least_history}, so that no answer would be left; correct one of them"
            )
        if self.turns == "columns":
            yield from self._of_columns(context, response)
        elif self.turns == "before":
            yield from self._of_before(context, response)
        else:
            yield from self._of_nested(context, response)

    def _of_nested(self, context: Sequence[str], response: str) -> Iterator[str]:
        if len(context) != 1:
            yield (
                f"context names {len(context)} columns: expected the one that holds the "
                'conversation; name it, or set turns = "columns" if each column is a turn'
            )
        if response not in ("", LAST):
            yield (
                f"response is '{response}', and answers are turns of the conversation: "
                f'expected response = "{LAST}"; set it, or, where the turns are only what was said '
                'before the answer, turns = "before"'
            )
        if self.turn_order and not self.conversation:
            yield (
                "turn_order is about files with one utterance a row: expected conversation = "
                '"…", the column with the id of the conversation; set it, or remove turn_order'
            )
        if self.most_answers and self.turns == LAST:
            yield (
                'most_answers does nothing where only the last answer is taken: set turns = "each"'
                ", or remove it"
            )

    def _of_before(self, context: Sequence[str], response: str) -> Iterator[str]:
        if len(context) != 1:
            yield (
                f'context names {len(context)} columns: expected, with turns = "before", the one '
                "with the list of turns; name it"
            )
        if response in ("", LAST):
            yield (
                'with turns = "before" the answer is a column of its own: set response to it; '
                f'where it is the last of the turns, set response = "{LAST}" and remove turns'
            )
        used = ("turns", "role", "roles", "most_history", "opening")
        if given := [name for name in self._given() if name not in used]:
            yield f'{given[0]} does nothing to turns = "before", of an answer a row: remove it'

    def _of_columns(self, context: Sequence[str], response: str) -> Iterator[str]:
        if len(context) < 2:
            yield (
                'turns = "columns" needs a column a turn: expected context = ["…", "…", "…"]; '
                "name them, or remove turns"
            )
        if response in ("", LAST):
            yield 'with turns = "columns" the answer is a column of its own: set response to it'
        used = ("turns", "most_history", "opening")
        if given := [name for name in self._given() if name not in used]:
            yield (
                f'{given[0]} does nothing to turns = "columns", whose columns are the person\'s '
                "and the answerer's in turn: remove it"
            )


NO_TURNS = TurnLayout()
"""Of a source without conversations."""
