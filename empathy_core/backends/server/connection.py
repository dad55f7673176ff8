"""The server that is asked: one elsewhere, or a process of the task's own that may die."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from empathy_core.backends.server.asking import Question
from empathy_core.backends.server.client import Address, Client, NoReply
from empathy_core.backends.server.process import ServerProcess
from empathy_core.counted import counted
from empathy_core.errors import ModelError
from empathy_core.types import EngineSpec

log = logging.getLogger(__name__)

ENDING_S = 15.0
"""How long a server that does not answer may take until it is healthy again, or has ended."""


@dataclass(frozen=True)
class OwnServer:
    """A server of this task's own.

    Attributes:
        process: What runs.
        ending: Stands behind its served name in requests.
    """

    process: ServerProcess
    ending: str = ""

    @property
    def address(self) -> Address:
        """Where it answers now; another one after a restart."""
        name = f"{self.process.served_name}{self.ending}"
        return Address(f"{self.process.url}/v1", self.process.key, name)

    def lives(self) -> bool:
        """Tell whether it lives on though it did not answer; one that ends may take a while."""
        deadline = time.monotonic() + ENDING_S
        while self.process.is_alive() and time.monotonic() < deadline:
            if self.process.is_healthy():
                return True
            time.sleep(0.1)
        return False


class Connection:
    """A server that runs one model.

    Attributes:
        engine: What it is.
        window: The server's own limit of prompt and answer together; null if it names none.
        on_repeat: Called before the client sends a request once more, by itself.
    """

    def __init__(self, engine: EngineSpec, address: Address, own: OwnServer | None) -> None:
        """Take where it is; *own* is null for a server elsewhere."""
        self.engine = engine
        self._address, self._own = address, own
        self._restarts = 0
        self.on_repeat: Callable[[], None] = lambda: None
        self.window = _window(self._first_listing())

    def _first_listing(self) -> Mapping[str, Any]:
        """Return what the server says, started again if it died as soon as it was ready."""
        try:
            return self.listing()
        except ModelError:
            if self._own is None or self._own.lives():
                raise
        self.restart("it ended as soon as it was ready")
        return self.listing()

    def listing(self) -> Mapping[str, Any]:
        """Return what the server says of the model.

        Raises:
            ModelError: It does not have it, refuses the key or cannot be reached.
        """
        return asyncio.run(served(self.engine, self.address))

    @property
    def address(self) -> Address:
        """Where it answers now."""
        return self._own.address if self._own else self._address

    def check_room(self, model: str, asked: Sequence[Question], max_new_tokens: int) -> None:
        """Refuse prompts that overflow the server's window, before anything is sent.

        Args:
            model: Its name, for messages.
            asked: What is to be sent; prompts that the server renders cannot be counted.
            max_new_tokens: That an answer may have.

        Raises:
            ModelError: One does not fit: servers cut, or refuse without a word.
        """
        longest = max((q.n_tokens for q in asked if q.prompt is not None), default=0)
        if self.window is None or longest + max_new_tokens <= self.window:
            return
        n = sum(q.n_tokens + max_new_tokens > self.window for q in asked if q.prompt is not None)
        msg = (
            f"{model}: engine '{self.engine.name}' takes {self.window} tokens, prompt and answer "
            f"together, and {n} prompts of up to {longest} tokens with {max_new_tokens} of an "
            "answer do not fit; expected room for all; raise context under "
            f"[engines.{self.engine.name}] or on the server, or lower max_new_tokens"
        )
        raise ModelError(msg)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Link"]:
        """Open a link for the event loop that is running."""
        link = Link(self)
        try:
            yield link
        finally:
            await link.client.close()

    def client(self) -> Client:
        """Return a client of the server as it is now."""
        # a process of ours that does not answer is looked at, and not asked again and again
        retries = 0 if self._own else None
        return Client(self.engine, self.address, retries=retries, on_repeat=self.on_repeat)

    def restart(self, why: str) -> None:
        """Start the server again.

        Raises:
            ModelError: It cannot be, it lives and does not answer, or it died too often.
        """
        name = self.engine.name
        if self._own is None:
            msg = (
                f"engine '{name}': the server at {self.address.url} does not answer ({why}), after "
                f"{self.engine.max_retries} retries; expected an answer; see that it runs and can "
                "be reached from this node, and run again: what is answered is kept"
            )
            raise ModelError(msg)
        if self._own.lives():
            msg = (
                f"engine '{name}': the server runs and does not answer ({why}); expected an "
                "answer; read its log, raise request_timeout_s, or lower max_in_flight"
            )
            raise ModelError(msg)
        if self._restarts >= self.engine.max_restarts:
            times = counted(self._restarts + 1, "time")
            msg = (
                f"engine '{name}': the server died {times}; expected at most max_restarts = "
                f"{self.engine.max_restarts}; read its log: memory that runs out is the usual "
                "cause; what is answered is kept"
            )
            raise ModelError(msg)
        self._restarts += 1
        log.warning("engine '%s': the server died (%s); it is started again", name, why)
        self._own.process.restart()

    def close(self) -> None:
        """End the server, if it was started here."""
        if self._own:
            self._own.process.close()


class Link:
    """A client that is replaced when the server is started again.

    Attributes:
        client: The present one.
        generation: How often it was replaced.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, asyncio.Lock()
        self.client, self.generation = connection.client(), 0

    async def revive(self, generation: int, why: str) -> None:
        """Start the server again, unless that was done since *generation*."""
        async with self._lock:
            if self.generation != generation:
                return
            await asyncio.to_thread(self._connection.restart, why)
            await self.client.close()
            self.client, self.generation = self._connection.client(), self.generation + 1


def _window(listing: Mapping[str, Any]) -> int | None:
    found = listing.get("max_model_len") or dict(listing.get("meta") or {}).get("n_ctx")
    return int(found) if isinstance(found, int) and found > 0 else None


async def served(engine: EngineSpec, address: Address) -> Mapping[str, Any]:
    """Return what a server says of the model that is asked for; empty if it keeps no list.

    Raises:
        ModelError: It does not have it, refuses the key or cannot be reached.
    """
    client = Client(engine, address, retries=2)
    try:
        listed = await client.models()
    except NoReply as error:
        msg = (
            f"engine '{engine.name}': no server answers at {address.url} ({error}); expected one; "
            "see that it runs, that base_url ends in /v1, and that this machine can reach it"
        )
        raise ModelError(msg) from error
    finally:
        await client.close()
    if listed is None:
        return {}
    known = {str(one.get("id")): one for one in listed}
    if address.model not in known:
        names = ", ".join(sorted(known)[:8]) or "none"
        msg = (
            f"engine '{engine.name}': the server at {address.url} does not have "
            f"'{address.model}'; it has: {names}; expected the name that it serves the model "
            "under; set served_name under [models.<name>]"
        )
        raise ModelError(msg)
    return known[address.model]
