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

from empathy_core.backends.probabilities import Ids, LabelProbabilities
from empathy_core.backends.protocol import Answer, Request
from empathy_core.backends.reading import AnswerRules, ModelText, closed
from empathy_core.backends.server import asking, replies
from empathy_core.backends.server.asking import Question
from empathy_core.backends.server.budget import Budget
from empathy_core.backends.server.client import Client, MalformedReply, NoReply, Withheld
from empathy_core.backends.server.connection import Connection, Link
from empathy_core.backends.server.labels import label_probabilities
from empathy_core.errors import ModelError
from empathy_core.types import Condition, EngineSpec, ModelSpec

log = logging.getLogger(__name__)

Wanted = Sequence[tuple[Condition, Sequence[Request]]]
"""What is to be answered, condition by condition."""

Answered = tuple[int, int, Answer]
"""Place of a condition, place of a request in it, and the answer."""


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
        connection.on_repeat = budget.repeated

    @property
    def engine(self) -> EngineSpec:
        """What is asked."""
        return self._connection.engine

    def answers(self, wanted: Wanted) -> Iterator[Answered]:
        """Yield the place of each condition and request, and its answer, in the order they come.

        All conditions are under way together: none waits for the last answer of another. Once one
        request fails, no other is sent; what is under way is waited for and handed out.

        Raises:
            ModelError: A prompt is too long, the server refuses, dies too often or does not
                answer, or the budget is used up.
        """
        work = _Work(
            [self._batch(i, *each) for i, each in enumerate(wanted)], self._connection, self._budget
        )
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
        found = {row: answer for _, row, answer in self.answers([(condition, requests)])}
        return [found[i] for i in range(len(requests))]

    def label_probabilities(
        self, prompts: Sequence[Ids], labels: Sequence[Ids]
    ) -> list[LabelProbabilities]:
        """Return how probable each label is behind each prompt; see ``labels``."""
        try:
            return label_probabilities(self._connection, self._budget, prompts, labels)
        finally:
            self._budget.flush()

    @property
    def window(self) -> int | None:
        """The server's own limit of prompt and answer together; null if it names none."""
        return self._connection.window

    def close(self) -> None:
        """End the server, if it was started here."""
        self._connection.close()

    def _batch(self, number: int, condition: Condition, requests: Sequence[Request]) -> "_Batch":
        text = self.text
        if text is None:
            thinks = condition.reasoning or condition.model.reasoning
            rules, prompts = AnswerRules(condition.decoding, (), {}, thinks), None
        else:
            text.check(condition)
            rules, prompts = text.rules(condition), text.prompts(condition, requests)
        asked = asking.questions(condition, requests, prompts, self.engine)
        self._connection.check_room(self._spec.name, asked, condition.decoding.max_new_tokens)
        return _Batch(number, condition, rules, text, asked)


@dataclass(frozen=True)
class _Batch:
    """The questions of one condition, and how they are asked and read."""

    number: int
    condition: Condition
    rules: AnswerRules
    text: ModelText | None
    asked: Sequence[Question]

    def requests(self, n_prompts: int) -> Iterator[tuple["_Batch", Sequence[Question]]]:
        """Yield what goes into one request each, of at most *n_prompts*."""
        # one request has one seed, and of two equal prompts in it one draw
        alone = self.text is None or self.condition.decoding.sample
        n = 1 if alone else n_prompts
        for i in range(0, len(self.asked), n):
            yield self, self.asked[i : i + n]


@dataclass
class _Work:
    """The questions of one call, and the event loop that asks them."""

    batches: Sequence[_Batch]
    connection: Connection
    budget: Budget

    def __post_init__(self) -> None:
        n = self.connection.engine.prompts_per_request
        self._waiting = deque(request for batch in self.batches for request in batch.requests(n))
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
        self, link: Link, done: "SimpleQueue[list[Answered] | BaseException | None]"
    ) -> None:
        while self._waiting:
            batch, asked = self._waiting.popleft()
            try:
                answers = await self._asked(link, batch, asked)
            except BaseException:
                self._waiting.clear()  # the others finish what they have, and begin nothing
                raise
            pairs = zip(asked, answers, strict=True)
            done.put([(batch.number, i, a) for q, a in pairs for i in q.rows])

    async def _asked(self, link: Link, batch: _Batch, asked: Sequence[Question]) -> list[Answer]:
        """Return the answers to one request; ask again what a dead or odd server did not answer."""
        for attempt in range(self.connection.engine.max_retries + 1):
            generation = link.generation
            try:
                return await self._once(link.client, batch, asked)
            except NoReply as error:
                await link.revive(generation, str(error))
            except MalformedReply as error:
                log.warning("engine '%s': %s; asked again", self.connection.engine.name, error)
                odd = error
                await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
        msg = (
            f"engine '{self.connection.engine.name}': the server's answers cannot be used "
            f"({odd}), asked {self.connection.engine.max_retries + 1} times; expected the form of "
            "the OpenAI-compatible protocol; look at the server, or at what stands before it"
        )
        raise ModelError(msg)

    async def _once(self, client: Client, batch: _Batch, asked: Sequence[Question]) -> list[Answer]:
        decoding = batch.condition.decoding
        n_prompt = sum(q.n_tokens for q in asked)
        reserved = self.budget.reserve(n_prompt, decoding.max_new_tokens * len(asked))
        try:
            answers = await self._sent(client, batch, asked)
        except Withheld:
            self.budget.settle(reserved, n_prompt, 0)
            return [replies.withheld(q.sha256, q.n_tokens if q.prompt else 0) for q in asked]
        except ModelError:  # refused: nothing was made
            self.budget.release(reserved)
            raise
        made = sum(a.n_output_tokens for a in answers)
        if made:  # a server that does not count is taken to have used all that was reserved
            self.budget.settle(reserved, sum(a.n_prompt_tokens for a in answers), made)
        return [closed(answer, batch.condition) for answer in answers]

    async def _sent(self, client: Client, batch: _Batch, asked: Sequence[Question]) -> list[Answer]:
        engine, rules = self.connection.engine, batch.rules
        fields = asking.fields(batch.condition.decoding, engine, asked[0].seed)
        if batch.text is None:
            messages = [{"role": role, "content": text} for role, text in asked[0].messages]
            stops = {"stop": list(rules.texts)} if rules.texts else {}
            reply = await client.chat(messages, fields | stops)
            usage = reply.get("usage") or {}
            return [replies.of_text(reply["choices"][0], usage, (asked[0].sha256, 0), rules)]
        fields |= asking.token_fields(rules, engine)
        prompts = [q.prompt for q in asked if q.prompt is not None]
        reply = await client.complete([p.ids for p in prompts], fields)
        answers = []
        for prompt, choice in zip(prompts, reply["choices"], strict=True):
            replies.check_echo(choice, prompt.ids, engine.name)
            if engine.returns_tokens:
                answers.append(replies.of_tokens(choice, prompt, batch.text, rules))
            else:
                usage = reply.get("usage") or {} if len(asked) == 1 else {}
                told = (prompt.sha256, len(prompt.ids))
                answers.append(replies.of_text(choice, usage, told, rules))
        return answers
