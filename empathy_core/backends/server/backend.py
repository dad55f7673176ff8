"""Answers from a server: every row that is missing is under way at once, and comes when it is done.

Nothing here waits for a block or keeps an order: rows are handed out as they are finished, and the
caller keeps each. A server that was started here and dies is started again, a few times; what was
under way is asked again.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from empathy_core.backends.protocol import Answer, Request
from empathy_core.backends.reading import AnswerRules, ModelText, closed
from empathy_core.backends.server import asking, replies
from empathy_core.backends.server.asking import Question
from empathy_core.backends.server.budget import Budget
from empathy_core.backends.server.client import Unreachable, Unusable, Withheld
from empathy_core.backends.server.connection import Connection
from empathy_core.errors import ModelError
from empathy_core.types import Condition, EngineSpec, ModelSpec

log = logging.getLogger(__name__)

Answered = tuple[int, Answer]
"""Place of a request, and its answer."""


class ServerBackend:
    """A model that a server runs.

    Attributes:
        halvings: Always 0: a server makes its own batches.
        text: Renders and reads; null where the server does.
    """

    halvings = 0

    def __init__(
        self, spec: ModelSpec, text: ModelText | None, connection: Connection, budget: Budget
    ) -> None:
        """Take a model, what reads its tokens, and the server that runs it."""
        self.text = text
        self._spec, self._connection, self._budget = spec, connection, budget

    @property
    def engine(self) -> EngineSpec:
        """What is asked."""
        return self._connection.engine

    def answers(self, condition: Condition, requests: Sequence[Request]) -> Iterator[Answered]:
        """Yield the place of each request and its answer, in the order in which they come.

        Once one fails, no other is sent; what is under way is waited for and handed out.

        Raises:
            ModelError: A prompt is too long, the server refuses, dies too often or does not
                answer, or the budget is used up.
        """
        work = self._work(condition, requests)
        done: SimpleQueue[list[Answered] | BaseException | None] = SimpleQueue()
        thread = threading.Thread(target=work.run, args=(done,), daemon=True)
        thread.start()
        try:
            while (found := done.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield from found
        finally:
            work.stop()
            thread.join()
            self._budget.flush()

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer all requests, in their order; raises as ``answers``."""
        found = dict(self.answers(condition, requests))
        return [found[i] for i in range(len(requests))]

    def close(self) -> None:
        """End the server, if it was started here."""
        self._connection.close()

    def _work(self, condition: Condition, requests: Sequence[Request]) -> "_Work":
        engine, text = self.engine, self.text
        if text is None:
            thinks = condition.reasoning or condition.model.reasoning
            rules = AnswerRules(condition.decoding, (), {}, thinks)
            prompts = None
        else:
            text.check(condition)
            rules, prompts = text.rules(condition), text.prompts(condition, requests)
        asked = asking.questions(condition, requests, prompts, engine)
        self._connection.check_room(self._spec.name, asked, condition.decoding.max_new_tokens)
        return _Work(condition, asked, rules, text, self._connection, self._budget)


@dataclass
class _Work:
    """The questions of one call, and the event loop that asks them."""

    condition: Condition
    asked: Sequence[Question]
    rules: AnswerRules
    text: ModelText | None
    connection: Connection
    budget: Budget

    def __post_init__(self) -> None:
        # one request has one seed, and of two equal prompts in it one draw
        alone = self.text is None or self.condition.decoding.sample
        n = 1 if alone else self.connection.engine.prompts_per_request
        self._waiting = deque(self.asked[i : i + n] for i in range(0, len(self.asked), n))
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Send nothing more; what is under way is given up."""
        self._stopped.set()

    def run(self, done: "SimpleQueue[list[Answered] | BaseException | None]") -> None:
        """Ask everything; put answers, then perhaps an error, last null into *done*."""
        try:
            asyncio.run(self._all(done))
        except BaseException as error:
            done.put(error)
        done.put(None)

    async def _all(self, done: "SimpleQueue[list[Answered] | BaseException | None]") -> None:
        engine = self.connection.engine
        n = min(engine.max_in_flight, len(self._waiting))
        async with self.connection.opened() as link:
            workers = [asyncio.create_task(self._worker(link, done)) for _ in range(n)]
            watch = asyncio.create_task(self._watch(workers))
            ended = await asyncio.gather(*workers, return_exceptions=True)
            watch.cancel()
        errors = [e for e in ended if isinstance(e, Exception)]
        if errors:
            raise errors[0]

    async def _watch(self, workers: Sequence["asyncio.Task[None]"]) -> None:
        """Give up what is under way once nobody reads the answers any more."""
        while not self._stopped.is_set():
            await asyncio.sleep(0.1)
        for worker in workers:
            worker.cancel()

    async def _worker(
        self, link: Any, done: "SimpleQueue[list[Answered] | BaseException | None]"
    ) -> None:
        while self._waiting:
            batch = self._waiting.popleft()
            try:
                answers = await self._asked(link, batch)
            except BaseException:
                self._waiting.clear()  # the others finish what they have, and begin nothing
                raise
            done.put([(i, a) for q, a in zip(batch, answers, strict=True) for i in q.rows])

    async def _asked(self, link: Any, batch: Sequence[Question]) -> list[Answer]:
        """Return the answers to one request; ask again what a dead or odd server did not answer."""
        for attempt in range(self.connection.engine.max_retries + 1):
            generation = link.generation
            try:
                return await self._once(link.client, batch)
            except Unreachable as error:
                await link.revive(generation, str(error))
            except Unusable as error:
                log.warning("engine '%s': %s; asked again", self.connection.engine.name, error)
                odd = error
                await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
        msg = (
            f"engine '{self.connection.engine.name}': the server's answers cannot be used "
            f"({odd}), asked {self.connection.engine.max_retries + 1} times; expected the form of "
            "the OpenAI-compatible protocol; look at the server, or at what stands before it"
        )
        raise ModelError(msg)

    async def _once(self, client: Any, batch: Sequence[Question]) -> list[Answer]:
        decoding = self.condition.decoding
        n_prompt = sum(q.n_tokens for q in batch)
        reserved = self.budget.reserve(n_prompt, decoding.max_new_tokens * len(batch))
        try:
            answers = await self._sent(client, batch)
        except Withheld:
            self.budget.settle(reserved, n_prompt, 0)
            return [replies.withheld(q.sha256, q.n_tokens if q.prompt else 0) for q in batch]
        except ModelError:  # refused: nothing was made
            self.budget.release(reserved)
            raise
        made = sum(a.n_output_tokens for a in answers)
        self.budget.settle(reserved, sum(a.n_prompt_tokens for a in answers), made)
        return [closed(answer, self.condition) for answer in answers]

    async def _sent(self, client: Any, batch: Sequence[Question]) -> list[Answer]:
        engine = self.connection.engine
        fields = asking.fields(self.condition.decoding, engine, batch[0].seed)
        if self.text is None:
            messages = [{"role": role, "content": text} for role, text in batch[0].messages]
            stops = {"stop": list(self.rules.texts)} if self.rules.texts else {}
            reply = await client.chat(messages, fields | stops)
            usage = reply.get("usage") or {}
            return [replies.of_text(reply["choices"][0], usage, (batch[0].sha256, 0), self.rules)]
        fields |= asking.token_fields(self.rules, engine)
        prompts = [q.prompt for q in batch if q.prompt is not None]
        reply = await client.complete([p.ids for p in prompts], fields)
        answers = []
        for prompt, choice in zip(prompts, reply["choices"], strict=True):
            replies.check_echo(choice, prompt.ids, engine.name)
            if engine.returns_tokens:
                answers.append(replies.of_tokens(choice, prompt, self.text, self.rules))
            else:
                usage = reply.get("usage") or {} if len(batch) == 1 else {}
                told = (prompt.sha256, len(prompt.ids))
                answers.append(replies.of_text(choice, usage, told, self.rules))
        return answers
