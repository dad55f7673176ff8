"""One server, asked over HTTP: retries, time-outs and pooling are the ``openai`` client's."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empathy_core.backends.server.keys import NO_KEY
from empathy_core.errors import ModelError, first_line
from empathy_core.types import EngineSpec

CONNECT_S = 30.0
"""Until a connection must stand: a node that is down answers nothing at all."""

_REPEATED = "x-stainless-retry-count"
"""Header in which the ``openai`` client says how often it has sent a request before."""


class NoReply(Exception):
    """The server cannot be reached, or broke off: it may have died."""


class MalformedReply(Exception):
    """The server answered what no answer can be made of; asked again, it may do better."""


class Withheld(Exception):
    """The server's content filter refused the prompt."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what it calls the model.

    Attributes:
        url: Up to and including ``/v1``.
        key: Sent with each request; not shown.
        model: The served name.
    """

    url: str
    key: str
    model: str

    def __repr__(self) -> str:
        return f"Address({self.url!r}, {self.model!r})"


class Client:
    """Asks one server; what goes wrong is told as a message for the user, or to be tried again."""

    def __init__(
        self,
        engine: EngineSpec,
        address: Address,
        *,
        retries: int | None = None,
        on_repeat: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a server.

        Args:
            engine: Its limits.
            address: Where it is.
            retries: How often the client repeats a request that failed; null means as the engine
                says.
            on_repeat: Called before a request is sent once more.
        """
        import httpx2
        from openai import AsyncOpenAI

        limit = httpx2.Limits(
            max_connections=engine.max_in_flight, max_keepalive_connections=engine.max_in_flight
        )
        timeout = httpx2.Timeout(float(engine.request_timeout_s), connect=CONNECT_S, pool=None)
        self._engine, self._address = engine, address

        async def counted(request: httpx2.Request) -> None:
            if request.headers.get(_REPEATED, "0") != "0":
                on_repeat()

        self._openai = AsyncOpenAI(
            api_key=address.key,
            base_url=address.url,
            timeout=timeout,
            max_retries=engine.max_retries if retries is None else retries,
            http_client=httpx2.AsyncClient(
                limits=limit,
                timeout=timeout,
                trust_env=engine.is_elsewhere,
                event_hooks={"request": [counted]},
            ),
        )

    async def complete(
        self, prompts: Sequence[Sequence[int]] | Sequence[str], fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the answer to ``/completions``: one choice a prompt, in their order.

        Raises:
            NoReply: There was none.
            MalformedReply: It is not JSON, or has another number of choices.
            ModelError: The server refused.
        """
        asked = [list(p) if not isinstance(p, str) else p for p in prompts]
        body = {"prompt": asked[0] if len(asked) == 1 else asked, **fields}
        reply = await self._post("/completions", body)
        choices = sorted(reply["choices"], key=lambda c: c.get("index", 0))
        if len(choices) != len(prompts):
            msg = f"{len(choices)} choices for {len(prompts)} prompts"
            raise MalformedReply(msg)
        return {**reply, "choices": choices}

    async def chat(
        self, messages: Sequence[Mapping[str, str]], fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the answer to ``/chat/completions``, of one choice; raises as ``complete``."""
        reply = await self._post("/chat/completions", {"messages": list(messages), **fields})
        if len(reply["choices"]) != 1:
            msg = f"{len(reply['choices'])} choices for one prompt"
            raise MalformedReply(msg)
        return reply

    async def models(self) -> list[dict[str, Any]] | None:
        """Return what ``/models`` lists; null where the server has no such list.

        Raises:
            NoReply: There was no answer.
            ModelError: The server refused.
        """
        import httpx2
        import openai

        try:
            reply = await self._openai.get("/models", cast_to=httpx2.Response)
        except (openai.NotFoundError, openai.APIStatusError) as error:
            if getattr(error, "status_code", 0) in (404, 405, 501):
                return None
            raise self._refusal(error) from error
        except openai.APIConnectionError as error:
            raise NoReply(self._silent(error)) from error
        try:
            listed = reply.json()["data"]
            return [one for one in listed if isinstance(one, dict)]
        except (ValueError, KeyError, TypeError):
            return None

    async def version(self) -> str:
        """Return what ``/version`` beside ``/v1`` says, as vLLM has it; empty if nothing."""
        import httpx2

        root = self._address.url.removesuffix("/").removesuffix("/v1")
        try:
            async with httpx2.AsyncClient(timeout=CONNECT_S) as plain:
                headers = {"Authorization": f"Bearer {self._address.key}"}
                reply = await plain.get(f"{root}/version", headers=headers)
                found = reply.json()["version"] if reply.is_success else ""
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return ""
        return str(found)

    async def close(self) -> None:
        """Close all connections."""
        await self._openai.close()

    # ------------------------------------------------------------------------ inside

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        import httpx2
        import openai

        whole = {**dict(self._engine.request), "model": self._address.model, **body}
        try:
            reply = await self._openai.post(path, body=whole, cast_to=httpx2.Response)
        except openai.APIConnectionError as error:
            raise NoReply(self._silent(error)) from error
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        try:
            found = reply.json()
            listed = found["choices"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"no JSON with choices: {self._without_key(reply.text)[:80]!r}"
            raise MalformedReply(msg) from error
        if not isinstance(listed, list) or not all(isinstance(c, dict) for c in listed):
            msg = "'choices' is no list of objects"
            raise MalformedReply(msg)
        return dict(found)

    def _silent(self, error: BaseException) -> str:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return f"no answer within {self._engine.request_timeout_s} s"
        said = first_line(error.__cause__ or error) or type(error.__cause__).__name__
        return self._without_key(said)

    def _without_key(self, text: str) -> str:
        """Return what a server said without the key, which some repeat."""
        key = self._address.key
        return text if key == NO_KEY else text.replace(key, "[key]")

    def _refusal(self, error: Any) -> Exception:
        """Return what to raise for an answer with an error's status."""
        who, code = f"engine '{self._engine.name}'", int(error.status_code)
        said = self._without_key(_message(error))[:200]
        if code in (401, 403):
            return ModelError(
                f"{who}: the server refused the key ({code}: {said}); expected one that it "
                "accepts; correct the file key_file names, or the variable key_variable"
            )
        if code == 404:
            return ModelError(
                f"{who}: the server does not know '{self._address.model}' ({said}); expected the "
                "name that it serves the model under; set served_name under [models.<name>], and "
                "see that base_url ends in /v1"
            )
        if code == 429:
            return ModelError(
                f"{who}: the server's rate limit held on over {self._engine.max_retries} retries "
                f"({said}); expected room for another request; lower max_in_flight, or run again "
                "later: what is answered is kept"
            )
        if code in (400, 422) and "content_filter" in (_code(error), _inner_code(error)):
            return Withheld(said)
        if code >= 500:
            return NoReply(f"status {code}: {said}")
        return ModelError(
            f"{who}: the server refused a request ({code}: {said}); expected an answer; correct "
            "the settings that it names"
        )


def _body(error: Any) -> Mapping[str, Any]:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def _code(error: Any) -> str:
    return str(_body(error).get("code") or "")


def _inner_code(error: Any) -> str:
    inner = _body(error).get("innererror")
    return "content_filter" if "ContentPolicy" in json.dumps(inner) else ""


def _message(error: Any) -> str:
    said = _body(error).get("message") or first_line(error)
    return " ".join(str(said).split())
