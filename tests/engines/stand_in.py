"""A server that speaks the OpenAI-compatible protocol on loopback, with a tiny model behind it.

    STAND_IN_API_KEY=… python -m tests.engines.stand_in --model DIR --port N --served-name NAME

Answers have the form of vLLM's. Greedy ones are those of ``transformers.generate`` for each
prompt alone; sampled ones depend on their prompt and seed. With ``--instant`` no model is loaded,
and answers are made of the digest of the prompt's ids. One answer is made at a time.

What goes wrong is said by ``--fault NAME=VALUE`` or, while it runs, by ``POST /_faults``; see
``FAULTS`` and ``SETTINGS``. ``GET /_seen`` tells what was asked. Neither wants the key.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aiohttp import web

VERSION = "0.0.stand-in"
UNLIMITED = 1_000_000

FAULTS = {
    "wrong_key": "401, as vLLM says it",
    "key_in_error": "401 whose message repeats the key, as some gateways do",
    "rate_limited": "429 with Retry-After",
    "no_quota": "429 that no waiting mends: the account is empty",
    "error_500": "500",
    "error_502": "502, a page of HTML from a proxy",
    "error_503": "503",
    "html": "200 with a page of HTML instead of an answer",
    "garbage": "200 with bytes that are no JSON",
    "filtered_prompt": "400: the prompt meets a filter (hosted models)",
    "hang": "the request is taken and never answered",
    "cut": "the connection ends in the middle of the answer",
    "empty_choices": "an answer without choices",
    "fewer_choices": "one choice less than prompts",
    "shuffled_choices": "the choices in reverse; their index tells whose they are",
    "content_filter": "no text, finish_reason content_filter",
    "refusal": "a chat message with a refusal and no content",
    "other_ids": "the prompt's ids given back are others: another model's tokenizer",
    "no_token_ids": "return_token_ids is ignored",
    "no_usage": "usage is missing",
    "no_logprobs": "logprobs are left out",
    "refuse_logprobs": "400 where logprobs are asked for",
    "strict": "400 for settings that are vLLM's own",
    "chat_only": "404 at /v1/completions",
}
"""What can go wrong: value n means with the next n requests, -1 with all."""

SETTINGS: dict[str, Any] = {
    "at": "/v1/c",  # beginning of the paths that faults meet: completions and chat, not models
    "retry_after": 1.0,  # seconds
    "rate": 0,  # requests in a window above which 429 is answered; 0: no limit
    "rate_window_s": 1,
    "latency": 0.0,  # seconds that each answer waits besides
    "hold": "",  # while there is a file of this path, answers wait
    "max_model_len": 0,  # a window smaller than the model's; 0: the model's
    "cut_prompt": 0,  # prompts are cut silently to their last n tokens; 0: never
    "list_as": "",  # the name in /v1/models; empty: the served one
    "think": 0,  # so many tokens of a chat answer are its thought
    "reasoning_field": "reasoning_content",  # vLLM of late: reasoning
    "says": {},  # piece of a prompt: what is answered to a prompt that holds it, and then the end
    "die_after": -1,  # os._exit at the request after so many
    "die_at_start": 0,  # out of memory while loading
}
VLLM_FIELDS = (
    "add_special_tokens", "allowed_token_ids", "chat_template_kwargs", "ignore_eos",
    "logprob_token_ids", "min_p", "min_tokens", "prompt_logprobs", "repetition_penalty",
    "return_token_ids", "return_tokens_as_token_ids", "skip_special_tokens", "stop_token_ids",
    "thinking_token_budget", "top_k",
)  # fmt: skip
OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
    "capacity of 23.64 GiB of which 1.12 GiB is free.\n"
    "RuntimeError: Engine core initialization failed. See root cause above.\n"
)
Body = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]


def _error(status: int, message: str, **more: Any) -> Body:
    kinds = {400: "BadRequestError", 404: "NotFoundError", 429: "rate_limit_error"}
    kind = kinds.get(status, "InternalServerError")
    error = {"message": message, "type": kind, "param": None, "code": status, **more}
    return {"error": error}


_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
BROKEN: dict[str, tuple[int, Body | bytes]] = {
    "no_quota": (429, _error(429, "You exceeded your quota.", code="insufficient_quota")),
    "error_500": (500, _error(500, "Internal server error")),
    "error_502": (502, _PAGE),
    "error_503": (503, _error(503, "The engine is overloaded.")),
    "html": (200, _PAGE),
    "garbage": (200, b'{"id": "cmpl-\xff'),
    "filtered_prompt": (400, _error(400, "The prompt was filtered.", code="content_filter")),
}
"""Faults that are one fixed answer: its status and body."""


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, status: int, body: Body, **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers


@dataclass
class Made:
    """One answer.

    Attributes:
        ids: Its tokens, that which ended it included.
        finish: ``stop`` or ``length``.
        stop_reason: The stop token or text; null at the tokenizer's end token.
        scores: Log-probabilities of shape (vocabulary,), one row a token of the answer.
        prompt_scores: The same for the tokens of the prompt after the first.
    """

    ids: list[int]
    text: str
    finish: str
    stop_reason: int | str | None = None
    scores: Sequence[Any] = ()
    prompt_scores: Sequence[Any] = ()


class Instant:
    """Answers at once, from the digest of the prompt's ids."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer  # transformers would take seconds to import

        self._folder, self._words = folder, Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text())
        self.window = config.get("max_position_embeddings") or config.get("n_positions")
        end = config["eos_token_id"]  # of several the first, as vLLM without generation_config.json
        self.n_tokens, self.end = self._words.get_vocab_size(), end[0] if type(end) is list else end
        added = self._words.get_added_tokens_decoder()
        self._plain = [i for i in range(self.n_tokens) if i not in added]

    def answer(self, prompt: Sequence[int], asked: Body) -> Made:
        """Continue *prompt* by 8 to 32 tokens and the end token, or up to ``max_tokens``."""
        digest = hashlib.sha256(",".join(map(str, prompt)).encode()).digest()
        ids = random.Random(digest).choices(self._plain, k=8 + digest[0] % 25)
        limit = _max_tokens(asked)
        if len(ids) < limit:
            return Made([*ids, self.end], self.decoded(ids, asked), "stop")
        return Made(ids[:limit], self.decoded(ids[:limit], asked), "length")

    def encoded(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a text, with the tokenizer's own special tokens or without."""
        return self._words.encode(text, add_special_tokens=special).ids

    def decoded(self, ids: Sequence[int], asked: Body) -> str:
        """Return the text of tokens, without special ones unless they are asked for."""
        skip = asked.get("skip_special_tokens", True)
        return self._words.decode(list(ids), skip_special_tokens=skip)

    @cached_property
    def _chat(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    def rendered(self, asked: Body) -> list[int]:
        """Return the ids of a chat as the template spells it."""
        more = asked.get("chat_template_kwargs") or {}
        return self._chat.apply_chat_template(
            asked["messages"], add_generation_prompt=True, return_dict=False, **more
        )


class TinyModel(Instant):
    """Continues prompts one by one with a decoder in float32."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        super().__init__(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, prompt: Sequence[int], asked: Body) -> Made:
        """Continue *prompt* as the request asks."""
        import torch

        ends = {*([] if asked.get("ignore_eos") else [self.end]), *asked.get("stop_token_ids", [])}
        draws = torch.Generator()
        seed = asked.get("seed")
        draws.manual_seed(random.getrandbits(62) if seed is None else seed)
        made = Made([], "", "length", scores=[])
        fed, past = [list(prompt)], None
        with torch.inference_mode():
            while True:
                output = self._model(torch.tensor(fed), past_key_values=past, use_cache=True)
                if past is None:
                    made.prompt_scores = output.logits[0, :-1].log_softmax(-1)
                past, logits = output.past_key_values, output.logits[0, -1].float()
                if len(made.ids) == _max_tokens(asked):
                    return made
                early = len(made.ids) < asked.get("min_tokens", 0)
                changed = _changed(logits, [*prompt, *made.ids], asked, ends if early else ())
                token = _next(changed, asked, draws)
                made.ids.append(token)
                made.scores.append(logits.log_softmax(-1))
                if self._ended(made, asked, () if early else ends):
                    return made
                fed = [[token]]

    def _ended(self, made: Made, asked: Body, ends: Sequence[int] | set[int]) -> bool:
        """Bring the text up to date, and tell whether the answer ends here."""
        last = made.ids[-1]
        ended = last in ends
        made.text = self.decoded(made.ids[:-1] if ended else made.ids, asked)
        if ended:
            own = last == self.end and not asked.get("ignore_eos")
            made.stop_reason = None if own else last
        stops = asked.get("stop") or []
        found = [s for s in ([stops] if isinstance(stops, str) else stops) if s in made.text]
        if found and not ended and len(made.ids) > asked.get("min_tokens", 0):
            made.stop_reason = min(found, key=made.text.index)
            made.text, ended = made.text[: made.text.index(made.stop_reason)], True
        made.finish = "stop" if ended else "length"
        return ended


def _max_tokens(asked: Body) -> int:
    return asked["max_tokens"] if asked.get("max_tokens") is not None else 16


def _changed(logits: Any, so_far: list[int], asked: Body, forbidden: Any) -> Any:
    """Return logits after the repetition penalty, without tokens that must not come yet."""
    import torch

    changed, seen = logits.clone(), torch.tensor(sorted(set(so_far)))
    penalty = asked.get("repetition_penalty") or 1.0
    old = changed[seen]
    changed[seen] = torch.where(old < 0, old * penalty, old / penalty)
    changed[sorted(forbidden)] = float("-inf")
    return changed


def _next(logits: Any, asked: Body, draws: Any) -> int:
    """Return the most probable token, or one that is drawn."""
    import torch

    temperature = asked.get("temperature")
    if temperature == 0:
        return int(logits.argmax())
    probabilities, order = (logits / (temperature or 1.0)).softmax(-1).sort(descending=True)
    if (top_k := asked.get("top_k") or 0) > 0:
        probabilities[top_k:] = 0
    before = probabilities.cumsum(-1) - probabilities
    probabilities[before >= (asked.get("top_p") or 1.0)] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=draws)])


@dataclass
class Seen:
    """What was asked, without keys."""

    requests: list[Body] = field(default_factory=list)
    asked: collections.Counter[str] = field(default_factory=collections.Counter)
    happened: collections.Counter[str] = field(default_factory=collections.Counter)
    in_flight: int = 0
    max_in_flight: int = 0


class StandIn:
    """The HTTP side."""

    def __init__(self, engine: Instant, name: str, faults: Body) -> None:
        self.engine, self.name, self.seen = engine, name, Seen()
        self.key = os.environ.get("STAND_IN_API_KEY", "")
        self.faults = {**dict.fromkeys(FAULTS, 0), **SETTINGS, **faults}
        self._times: collections.deque[float] = collections.deque()
        self._one = ThreadPoolExecutor(1)

    def app(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=1 << 28)
        app.add_routes([
            web.get("/health", self._health),
            web.get("/version", self._version),
            web.get("/v1/models", self._models),
            web.post("/v1/completions", self._completions),
            web.post("/v1/chat/completions", self._chat),
            web.post("/_faults", self._set_faults),
            web.get("/_seen", self._tell_seen),
        ])  # fmt: skip
        return app

    # ------------------------------------------------------------------------ faults

    def _meets(self, *names: str) -> str | None:
        """Return the first fault of *names* that this request meets, and count it."""
        for name in names:
            if left := self.faults[name]:
                self.faults[name] -= left > 0
                self.seen.happened[name] += 1
                return name
        return None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or let happen to it what was said."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        self.seen.in_flight += 1
        self.seen.max_in_flight = max(self.seen.max_in_flight, self.seen.in_flight)
        try:
            await self._note(request)
            return await self._broken(request) or await self._slowly(request, handler)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status, headers=refused.headers)
        finally:
            self.seen.in_flight -= 1

    async def _slowly(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not request.path.startswith(self.faults["at"]):
            return response
        await asyncio.sleep(self.faults["latency"])
        while self.faults["hold"] and Path(self.faults["hold"]).exists():
            await asyncio.sleep(0.05)
        if self._meets("cut"):
            return await _cut(request, response)
        return response

    async def _note(self, request: web.Request) -> None:
        if request.method != "POST":
            return
        try:
            body = await request.json()
        except ValueError as error:
            raise Refused(400, _error(400, f"JSON decode error: {error}")) from error
        self.seen.requests.append({"path": request.path, **body})
        prompts = _prompts(body["prompt"]) if "prompt" in body else [body.get("messages")]
        self.seen.asked.update(p if isinstance(p, str) else json.dumps(p) for p in prompts)

    async def _broken(self, request: web.Request) -> web.Response | None:
        """Return what is answered in place of an answer; null if nothing is."""
        self._check_key(request)
        if not request.path.startswith(self.faults["at"]):
            return None
        if 0 <= self.faults["die_after"] < len(self.seen.requests):
            os._exit(1)
        self._check_rate()
        if self._meets("hang"):
            await asyncio.Event().wait()
        name = self._meets(*BROKEN)
        if name is None:
            return None
        status, body = BROKEN[name]
        if isinstance(body, dict):
            return web.json_response(body, status=status)
        kind = "application/json" if name == "garbage" else "text/html"
        return web.Response(body=body, content_type=kind, status=status)

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._meets("key_in_error"):
            raise Refused(401, _error(401, f"Incorrect API key provided: {given}"))
        if (self.key and given != self.key) or self._meets("wrong_key"):
            raise Refused(401, {"error": "Unauthorized"})

    def _check_rate(self) -> None:
        now, rate = time.monotonic(), self.faults["rate"]
        while self._times and self._times[0] < now - self.faults["rate_window_s"]:
            self._times.popleft()
        if (rate and len(self._times) >= rate) or self._meets("rate_limited"):
            wait = {"Retry-After": str(self.faults["retry_after"])}
            raise Refused(429, _error(429, "Rate limit reached."), **wait)
        self._times.append(now)

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Set some, and return all, with how often each happened."""
        given = await request.json()
        if unknown := set(given) - set(self.faults):
            raise web.HTTPBadRequest(text=f"unknown: {sorted(unknown)}")
        self.faults |= given
        if "rate" in given:
            self._times.clear()
        return web.json_response({**self.faults, "happened": self.seen.happened})

    async def _tell_seen(self, _: web.Request) -> web.Response:
        return web.json_response({**vars(self.seen), "n_requests": len(self.seen.requests)})

    # ------------------------------------------------------------------------ answers

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def _models(self, _: web.Request) -> web.Response:
        card = {"id": self.faults["list_as"] or self.name, "object": "model", "owned_by": "us"}
        data = [{**card, "created": 0, "max_model_len": self._window}]
        return web.json_response({"object": "list", "data": data})

    @property
    def _window(self) -> int:
        return self.faults["max_model_len"] or self.engine.window or UNLIMITED

    async def _completions(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self._meets("chat_only"):
            raise Refused(404, {"detail": "Not Found"})
        self._check(body)
        prompts = [self._ids(prompt, body) for prompt in _prompts(body["prompt"])]
        pairs = await self._answers(prompts, body)
        choices = [self._choice(i, p, made, body) for i, (p, made) in enumerate(pairs)]
        return self._reply("text_completion", choices, pairs)

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._check(body)
        prompt = self._cut(self.engine.rendered(body))
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        body["max_tokens"] = most or self._window - len(prompt)
        pairs = await self._answers([prompt], body)
        choices = [self._chat_choice(i, made, body) for i, (_, made) in enumerate(pairs)]
        back = choices[0]["token_ids"] is not None
        ids = {"prompt_token_ids": self._echoed(prompt)} if back else {}
        n_thought = sum(self._n_thought(made, body) for _, made in pairs)
        usage = {"completion_tokens_details": {"reasoning_tokens": n_thought}}
        return self._reply("chat.completion", choices, pairs, **ids, usage=usage)

    def _check(self, body: Body) -> None:
        """Refuse what this server does not know or do."""
        if body.get("model", self.name) != self.name:
            message = f"The model `{body['model']}` does not exist."
            raise Refused(404, _error(404, message, param="model"))
        if (unknown := sorted(set(body) & set(VLLM_FIELDS))) and self._meets("strict"):
            message = f"Unrecognized request argument supplied: {unknown[0]}"
            raise Refused(400, _error(400, message))
        given = [body.get("logprobs"), body.get("prompt_logprobs")]  # 0 asks for them, too
        wanted = any(value is not None and value is not False for value in given)
        if any(type(value) is int and not 0 <= value <= 20 for value in given):
            raise Refused(400, _error(400, "Requested logprobs are more than 20 or negative"))
        if wanted and (type(self.engine) is Instant or self._meets("refuse_logprobs")):
            raise Refused(400, _error(400, "This model returns no logprobs.", param="logprobs"))

    def _ids(self, prompt: str | list[int], body: Body) -> list[int]:
        special = body.get("add_special_tokens", True)
        ids = self.engine.encoded(prompt, special=special) if isinstance(prompt, str) else prompt
        if not ids:
            raise Refused(400, _error(400, "Either prompt or prompt_embeds must be provided."))
        if (largest := max(ids)) >= self.engine.n_tokens:
            raise Refused(400, _error(400, f"Token id {largest} is out of vocabulary"))
        return self._cut(ids)

    def _cut(self, prompt: list[int]) -> list[int]:
        return prompt[-self.faults["cut_prompt"] :]

    def _echoed(self, prompt: list[int]) -> list[int]:
        other = self._meets("other_ids")
        return [(i + 1) % self.engine.n_tokens for i in prompt] if other else prompt

    async def _answers(self, prompts: list[list[int]], body: Body) -> list[tuple[list[int], Made]]:
        """Return each prompt with its answer, ``n`` times.

        Raises:
            Refused: One is too long.
        """
        longest, window = max(map(len, prompts)), self._window
        if longest > window:
            message = (
                f"This model's maximum context length is {window} tokens. However, your prompt "
                f"contains {longest} input tokens. Please reduce the length of the input prompt."
            )
            raise Refused(400, _error(400, message, param="input_tokens"))
        if longest == window or (_max_tokens(body) < 1 and not body.get("echo")):
            raise Refused(400, _error(400, "max_tokens must be at least 1, got 0."))
        each = [(prompt, i) for prompt in prompts for i in range(body.get("n") or 1)]
        made = await asyncio.gather(*(self._sample(prompt, i, body) for prompt, i in each))
        return [(prompt, answer) for (prompt, _), answer in zip(each, made, strict=True)]

    async def _sample(self, prompt: list[int], i: int, body: Body) -> Made:
        """Make the *i*-th answer: its seed is that many more."""
        room = min(_max_tokens(body), self._window - len(prompt))  # vLLM cuts in silence
        if self.faults["says"]:
            return self._said(prompt, room)
        if type(self.engine) is Instant:
            return self.engine.answer(prompt, {**body, "max_tokens": room})
        seed = body.get("seed")
        asked = {**body, "seed": seed if seed is None else seed + i, "max_tokens": room}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._one, self.engine.answer, prompt, asked)

    def _said(self, prompt: list[int], room: int) -> Made:
        """Return the answer that is planted for a prompt; nothing where none is."""
        read = self.engine.decoded(prompt, {})
        text = next((said for piece, said in self.faults["says"].items() if piece in read), "")
        ids = [*self.engine.encoded(text, special=False), self.engine.end]
        if len(ids) <= room:
            return Made(ids, text, "stop")
        return Made(ids[:room], self.engine.decoded(ids[:room], {}), "length")

    def _choice(self, i: int, prompt: list[int], made: Made, body: Body) -> Body:
        choice: Body = {"index": i, "text": made.text, "finish_reason": made.finish}
        choice |= {"stop_reason": made.stop_reason, "logprobs": None, "prompt_logprobs": None}
        if body.get("echo"):
            choice["text"] = self.engine.decoded(prompt, body) + made.text
        if body.get("return_token_ids") and not self._meets("no_token_ids"):
            choice |= {"token_ids": made.ids, "prompt_token_ids": self._echoed(prompt)}
        wanted, of_prompt = body.get("logprobs"), body.get("prompt_logprobs")
        if (wanted is not None or of_prompt is not None) and not self._meets("no_logprobs"):
            choice |= self._logprobs(prompt, made, body)
        if self._meets("content_filter"):
            choice |= {"text": "", "finish_reason": "content_filter"}
        return choice

    def _logprobs(self, prompt: list[int], made: Made, body: Body) -> Body:
        """Return what is asked for of the log-probabilities of a completion."""
        found: Body = {}
        if (k := body.get("prompt_logprobs")) is not None:
            rows = zip(made.prompt_scores, prompt[1:], strict=True)
            found["prompt_logprobs"] = [None, *(self._ranked(s, t, k) for s, t in rows)]
        if (k := body.get("logprobs")) is None:
            return found
        ids, scores = made.ids, list(made.scores)
        if body.get("echo"):
            ids, scores = [*prompt, *ids], [None, *made.prompt_scores, *scores]
        only = body.get("logprob_token_ids")
        rows = list(zip(ids, scores, strict=True))
        tops = [None if s is None else self._top(s, token, k, only) for token, s in rows]
        names = [self._name(token, body) for token in ids]
        found["logprobs"] = {
            "tokens": names,
            "token_logprobs": [t and t[token] for t, token in zip(tops, ids, strict=True)],
            "top_logprobs": [t and {self._name(i, body): t[i] for i in t} for t in tops],
            "text_offset": [sum(map(len, names[:i])) for i in range(len(names))],
        }
        return found

    def _top(
        self, scores: Any, token: int, k: int, only: Sequence[int] | None = None
    ) -> dict[int, float]:
        """Return log-probabilities of the token itself and of the *k* most probable ones."""
        others = scores.topk(min(k, len(scores))).indices.tolist() if only is None else only
        return {i: max(float(scores[i]), -9999.0) for i in dict.fromkeys([token, *others])}

    def _ranked(self, scores: Any, token: int, k: int) -> Body:
        return {
            str(i): {
                "logprob": value,
                "rank": int((scores > scores[i]).sum()) + 1,
                "decoded_token": self.engine.decoded([i], {"skip_special_tokens": False}),
            }
            for i, value in self._top(scores, token, k).items()
        }

    def _name(self, token: int, body: Body) -> str:
        if body.get("return_tokens_as_token_ids"):
            return f"token_id:{token}"
        return self.engine.decoded([token], {"skip_special_tokens": False})

    def _chat_choice(self, i: int, made: Made, body: Body) -> Body:
        n_thought = self._n_thought(made, body)
        said = made.text
        message: Body = {"role": "assistant", "refusal": None}
        if n_thought:
            message[self.faults["reasoning_field"]] = self.engine.decoded(
                made.ids[:n_thought], body
            )
            said = self.engine.decoded(made.ids[n_thought:], body) or None
        choice = {"index": i, "finish_reason": made.finish, "stop_reason": made.stop_reason}
        if self._meets("content_filter"):
            choice["finish_reason"], said = "content_filter", ""
        if self._meets("refusal"):
            said, message["refusal"] = None, "I'm sorry, but I can't help with that."
        choice |= {"message": {**message, "content": said}, "token_ids": None, "logprobs": None}
        if body.get("return_token_ids") and not self._meets("no_token_ids"):
            choice["token_ids"] = made.ids
        if body.get("logprobs") and not self._meets("no_logprobs"):
            choice["logprobs"] = {"content": self._chat_logprobs(made, body)}
        return choice

    def _n_thought(self, made: Made, body: Body) -> int:
        budget = body.get("thinking_token_budget")
        return min(self.faults["think"], len(made.ids), UNLIMITED if budget is None else budget)

    def _chat_logprobs(self, made: Made, body: Body) -> list[Body]:
        k, found = body.get("top_logprobs") or 0, []
        for scores, token in zip(made.scores, made.ids, strict=True):
            top = [
                {"token": self._name(i, body), "logprob": value, "bytes": None}
                for i, value in self._top(scores, token, k).items()
            ]
            found.append({**top[0], "top_logprobs": sorted(top, key=lambda t: -t["logprob"])[:k]})
        return found

    def _reply(
        self, kind: str, choices: list[Body], pairs: list[tuple[list[int], Made]], **more: Any
    ) -> web.Response:
        n_new = sum(len(made.ids) for _, made in pairs)
        n_prompt = sum(len(prompt) for prompt, _ in pairs)
        usage: Body = {"prompt_tokens": n_prompt, "completion_tokens": n_new}
        usage |= {"total_tokens": n_prompt + n_new, **more.pop("usage", {})}
        found = self._meets("empty_choices", "fewer_choices", "shuffled_choices")
        kept = {None: choices, "empty_choices": [], "fewer_choices": choices[:-1]}
        answer = {"id": f"cmpl-{len(self.seen.requests)}", "object": kind, "created": 0}
        answer |= {"model": self.name, "choices": kept.get(found, choices[::-1]), **more}
        return web.json_response(answer if self._meets("no_usage") else {**answer, "usage": usage})


def _prompts(given: Any) -> list[Any]:
    """Return the prompts of a request: texts, or lists of ids."""
    several = isinstance(given, list) and given and isinstance(given[0], list | str)
    return given if several else [given]


async def _cut(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send half of an answer, and end the connection."""
    data = bytes(response.body)
    half = web.StreamResponse(headers={"Content-Type": "application/json"})
    half.content_length = len(data)
    await half.prepare(request)
    await half.write(data[: len(data) // 2])
    request.transport.close()
    return half


def _fault(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in {**FAULTS, **SETTINGS}:
        raise argparse.ArgumentTypeError(f"unknown: {name}")
    return name, value if isinstance(SETTINGS.get(name), str) else json.loads(value)


def _loaded(folder: Path, *, instant: bool) -> Instant:
    if instant:
        return Instant(folder)
    import torch

    torch.set_num_threads(1)
    return TinyModel(folder)


def _door(port: int) -> socket.socket:
    """Take a port before loading, as vLLM does: connections are refused until that is done."""
    door = socket.socket()
    try:
        door.bind(("127.0.0.1", port))
    except OSError:  # connections of the server before this one may not be forgotten yet
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
    return door


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a decoder")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--served-name", required=True)
    parser.add_argument("--instant", action="store_true", help="no model: answers at once")
    parser.add_argument("--slow-start", type=float, default=0, help="seconds before it loads")
    parser.add_argument("--children", type=int, default=0, help="processes that it starts")
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--once", type=Path, help="faults hold unless this file is there; makes it")
    given = parser.parse_args()
    door = _door(given.port)
    again = given.once is not None and given.once.exists()
    if given.once:
        given.once.touch()
    faults = {} if again else dict(given.fault)
    idle = [sys.executable, "-c", "import time; time.sleep(1e6)", given.served_name]
    for _ in range(given.children):
        subprocess.Popen(idle)
    time.sleep(given.slow_start)
    if faults.get("die_at_start"):
        sys.exit(OUT_OF_MEMORY)
    engine = _loaded(given.model, instant=given.instant)
    app = StandIn(engine, given.served_name, faults).app()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for the next server
    print(f"stand-in at http://127.0.0.1:{door.getsockname()[1]}", flush=True)
    # a client that hangs up ends its request, as with vLLM
    web.run_app(
        app, sock=door, shutdown_timeout=0.1, access_log=None, print=None, handler_cancellation=True
    )


if __name__ == "__main__":
    main()
