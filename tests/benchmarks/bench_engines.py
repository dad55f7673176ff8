"""Engines against each other, and the suite's client against a plain script on the same server.

With a stand-in that answers at once: requests a second through our client, one prompt each, and
rows a second through client, checks and journal with many prompts a request. Both are limits of one
core, so the peer is the limit itself, and seconds are those of this process's CPU time: on an idle
machine with a second core for the server they are the time on the clock.

With a server that takes its time (vLLM if ``--vllm`` names the interpreter of its environment, else
the stand-in with a tiny model): how much our client, checks and journal add to a plain script of
asyncio and openai for the same prompts, the two taking turns; both have all prompts under way.

With ``--vllm`` the demo's prompts also go through ``hf`` in batches by length, and through
lm-evaluation-harness where that is installed beside vLLM: ratios of new tokens a second, and in how
many rows the ids are the same.

    python tests/benchmarks/bench_engines.py                                 # without vLLM
    python tests/benchmarks/bench_engines.py --vllm .engines/vllm/bin/python # the demo's model

On a GPU: ``--vllm PYTHON --model FOLDER --dtype bfloat16 --questions 787 --batch 64``.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import openai

from empathy_core import backends, models, prompts, weights
from empathy_core.backends import Request
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.store import EVALUATED, Journal, RunDir
from empathy_core.types import Condition, Decoding, EngineSpec, ModelSpec
from jobs.config.read import read
from jobs.planning.resolving.answering import planned
from jobs.planning.resolving.resolve import examples_of
from tests.engines.running import KEY, NAME, running, wait_until_healthy
from tests.tiny_models import tiny_llama

AT_ONCE = 64
PER_REQUEST = 32
N_REQUESTS, N_ROWS = 2_000, 8_000
TURNS = 3
WINDOW = 2048

LM_EVAL = """
import json, sys, time
from lm_eval.api.instance import Instance
from lm_eval.models.vllm_causallms import VLLM

asked = json.load(sys.stdin)
model = VLLM(pretrained=asked["model"], dtype=asked["dtype"], max_model_len=asked["window"],
             add_bos_token=False, batch_size="auto", gpu_memory_utilization=0.85)
how = {"until": [], "max_gen_toks": asked["max_tokens"], "do_sample": False, "temperature": 0}
requests = [Instance("generate_until", {}, (text, how), i) for i, text in enumerate(asked["texts"])]
model.generate_until(requests[:1])
started = time.perf_counter()
answers = model.generate_until(requests)
seconds = time.perf_counter() - started
json.dump({"seconds": seconds, "answers": answers}, open(asked["to"], "w"))
"""
"""lm-evaluation-harness on the prompts as texts, in the environment that has it and vLLM."""


@dataclass(frozen=True)
class Took:
    """What one way made of the prompts.

    Attributes:
        seconds: On the clock.
        cpu_s: Of this process.
        answers: Token ids of each prompt's answer, in order.
    """

    seconds: float
    cpu_s: float
    answers: list[tuple[int, ...]]

    @property
    def rate(self) -> float:
        """New tokens a second."""
        return sum(map(len, self.answers)) / self.seconds

    @property
    def rows(self) -> float:
        """Answers a second of this process's CPU time."""
        return len(self.answers) / self.cpu_s


@dataclass
class Watch:
    """Measures from its making on."""

    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=time.process_time)

    def took(self, answers: list[tuple[int, ...]]) -> Took:
        """Return what was made, and the time since."""
        clock, cpu = time.perf_counter() - self.started, time.process_time() - self.cpu_started
        return Took(clock, cpu, answers)


@dataclass(frozen=True)
class Work:
    """What is asked, as the suite has it: conditions of one model, and questions."""

    conditions: list[Condition]
    requests: list[Request]
    run: RunDir

    def on(self, engine: EngineSpec | None) -> "Work":
        """Return the same for *engine*; null means transformers in this process."""
        model = replace(self.conditions[0].model, engine=engine, served_name=NAME)
        return replace(self, conditions=[replace(c, model=model) for c in self.conditions])

    def load(self) -> Any:
        """Return the loaded backend, which is not part of what is measured."""
        return backends.load(self.conditions[0].model, run=self.run)

    def prompts(self, text: Any) -> list[list[int]]:
        """Return the prompts of all conditions as token ids."""
        of = [prompt for c in self.conditions for prompt in text.prompts(c, self.requests)]
        return [list(prompt.ids) for prompt in of]


def ours(backend: Any, work: Work) -> Took:
    """Answer as the generate stage does: client, checks, and a journal of rows."""
    watch, name = Watch(), f"bench-{time.time_ns()}"
    journals = [Journal(work.run.journal(c.id, 0, 1, name)) for c in work.conditions]
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for n, i, answer in backend.answers([(c, work.requests) for c in work.conditions]):
        request = work.requests[i]
        key = {"block": 0, "example": request.example, "sample": request.sample}
        journals[n].append_row({**key, **asdict(answer)})
        found[n, i] = answer.output_ids
    for journal in journals:
        journal.close(delete=True)
    return watch.took([found[key] for key in sorted(found)])


def by_length(backend: Any, work: Work, batch: int) -> Took:
    """Answer with transformers, in batches of prompts that are about as long."""
    answers: list[tuple[int, ...]] = []
    watch = Watch()
    for condition in work.conditions:
        order = sorted(range(len(work.requests)), key=lambda i: len(work.requests[i].context))
        found: dict[int, tuple[int, ...]] = {}
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            made = backend.answer(condition, [work.requests[i] for i in rows])
            found |= {i: a.output_ids for i, a in zip(rows, made, strict=True)}
        answers += [found[i] for i in range(len(work.requests))]
    return watch.took(answers)


async def plain(
    base_url: str, prompts: Sequence[list[int]], limit: int, ends: Sequence[int], per_request: int
) -> Took:
    """Send prompts as a short script would: asyncio, openai's client, no checks, no journal."""
    gate = asyncio.Semaphore(AT_ONCE)
    more = {"return_token_ids": True, "ignore_eos": True, "stop_token_ids": list(ends)}

    async def send(several: Sequence[list[int]]) -> list[tuple[int, ...]]:
        async with gate:
            answer = await client.completions.create(
                model=NAME, prompt=list(several), max_tokens=limit, temperature=0, extra_body=more
            )
        return [tuple(choice.token_ids) for choice in answer.choices]

    parts = [prompts[i : i + per_request] for i in range(0, len(prompts), per_request)]
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, timeout=3600) as client:
        watch = Watch()
        answers = await asyncio.gather(*map(send, parts))
        return watch.took([ids for several in answers for ids in several])


def same_prompts(backend: Any, work: Work, base_url: str, per_request: int = 1) -> Took:
    """Send the prompts of *work* by the plain script."""
    decoding, chat = work.conditions[0].decoding, work.conditions[0].chat
    ends, prompts = backend.text.ends(chat=chat), work.prompts(backend.text)
    return asyncio.run(plain(base_url, prompts, decoding.max_new_tokens, ends, per_request))


# ---------------------------------------------------------------------------- servers


def reached(base_url: str, per_request: int = 1) -> EngineSpec:
    """Return the engine that is asked at an address: token ids there and back, as with vLLM."""
    return EngineSpec(
        name="measured", base_url=base_url, key_variable="BENCH_KEY", returns_tokens=True,
        max_in_flight=AT_ONCE, prompts_per_request=per_request, request_timeout_s=3600,
    )  # fmt: skip


@contextmanager
def vllm(python: Path, model: Path, dtype: str) -> Iterator[str]:
    """Start vLLM for a folder of weights, on a free port, and yield its ``base_url``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--dtype", dtype,
        "--served-model-name", NAME, "--host", "127.0.0.1", "--port", port,
        "--max-model-len", WINDOW, "--generation-config", "vllm",
    ]  # fmt: skip
    if dtype == "float32":
        command.append("--enforce-eager")
    env = os.environ | {"VLLM_API_KEY": KEY, "VLLM_NO_USAGE_STATS": "1"}
    env = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_WAIT_POLICY": "PASSIVE"} | env
    env.pop("PYTHONPATH", None)
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            list(map(str, command)), env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", patience_s=1800)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def lm_eval(
    python: Path, model: Path, dtype: str, new_tokens: int, texts: list[str]
) -> tuple[float, int] | None:
    """Return the seconds of lm-evaluation-harness with vLLM, and its answers' characters.

    Null where it is not installed beside vLLM. It takes texts and gives back texts.
    """
    there = subprocess.run([python, "-c", "import lm_eval"], capture_output=True, check=False)
    if there.returncode:
        return None
    with tempfile.NamedTemporaryFile() as to:
        asked = {"model": str(model), "dtype": dtype, "window": WINDOW, "texts": texts}
        asked |= {"max_tokens": new_tokens, "to": to.name}
        subprocess.run([python, "-c", LM_EVAL], input=json.dumps(asked), text=True, check=True)
        found = json.loads(Path(to.name).read_text())
        return float(found["seconds"]), sum(map(len, found["answers"]))


# ---------------------------------------------------------------------------- what is measured


def tiny_work(folder: Path, n: int, new_tokens: int) -> Work:
    """Return *n* questions to a tiny model that lies in *folder*."""
    model = ModelSpec("tiny", "Tiny", "hf", architecture="decoder", weights=str(folder))
    condition = Condition(model, prompts.prompt("none"), Decoding(max_new_tokens=new_tokens))
    asked = [Request(f"q-{i:05d}", 0, f"I feel sad, for the {i}th time.") for i in range(n)]
    return Work([condition], asked, RunDir(folder.parent / "run"))


def demo_work(model: ModelSpec, n: int, new_tokens: int, folder: Path) -> Work:
    """Return the demo's questions, the first *n*, under its three prompts."""
    run = RunDir(folder / "run")
    rows = examples_of(read("demo", [f"evaluate.limit={n}"]), run).filter(EVALUATED)
    asked = [Request(i, 0, context) for i, context in rows.select("id", "context").iter_rows()]
    chat = bool(tokenizer_of(model).chat_template)
    conditions = [
        Condition(model, prompts.prompt(name), Decoding(max_new_tokens=new_tokens), chat=chat)
        for name in ("none", "prompt1", "prompt2")
    ]
    return Work([planned(condition, None)[0] for condition in conditions], asked, run)


def at_once(folder: Path) -> None:
    """Print how fast our client is where the server is no limit."""
    with running(folder, "--instant") as server:
        for n, per_request in ((N_REQUESTS, 1), (N_ROWS, PER_REQUEST)):
            work = tiny_work(folder, n, 24).on(reached(server.base_url, per_request))
            backend = work.load()
            bare = same_prompts(backend, work, server.base_url, per_request)
            full = ours(backend, work)
            check_same("instant", full, bare)
            print(
                f"{n} prompts, {per_request} a request, {AT_ONCE} requests at once: "
                f"{full.rows:.0f} rows per CPU second, by the plain script {bare.rows:.0f} "
                f"({full.seconds:.1f} s and {bare.seconds:.1f} s on the clock)"
            )
            if per_request == 1:
                print(f"client-requests: {full.rows / 200:.1f}x (asked 1.0x)")
            else:
                print(f"client-checks-journal-rows: {full.rows / 2000:.1f}x (asked 1.0x)")


def check_same(name: str, found: Took, expected: Took) -> None:
    """Print in how many rows two ways have the same token ids."""
    n = sum(a == b for a, b in zip(found.answers, expected.answers, strict=True))
    print(f"{name}: the same token ids in {n} of {len(expected.answers)} rows")


def overhead(work: Work, base_url: str) -> Took:
    """Print what our client, checks and journal add to the plain script's time; return ours.

    They take turns, since what else the machine does meets both alike; the least of each counts.
    """
    on_server = work.on(reached(base_url))
    backend = on_server.load()
    same_prompts(backend, on_server, base_url)  # fills the server's caches for both
    bare, full = [], []
    for _ in range(TURNS):
        bare.append(same_prompts(backend, on_server, base_url))
        full.append(ours(backend, on_server))
    least, most = (min(took, key=lambda t: t.seconds) for took in (bare, full))
    check_same("ours and the plain script", most, least)
    added = most.seconds / least.seconds - 1
    print(
        f"{len(least.answers)} prompts: {most.seconds:.2f} s, by the plain script "
        f"{least.seconds:.2f} s; {added:+.1%} (at most 5% asked); CPU time of the client "
        f"{most.cpu_s:.2f} s and {least.cpu_s:.2f} s"
    )
    print(f"engine-overhead: {1.05 / (1 + added):.2f}x (asked 1.0x)")
    return most


def engines(given: argparse.Namespace, folder: Path) -> None:
    """Print hf, our client with vLLM, and lm-evaluation-harness with vLLM, beside each other."""
    model = models.model("smollm2_135m_instruct")
    if given.model:
        model = ModelSpec("measured", "", "hf", architecture="decoder", weights=str(given.model))
    model = replace(model, dtype=given.dtype)
    work = demo_work(model, given.questions, given.new_tokens, folder)
    place = weights.locate(str(model.weights), model.revision)
    with vllm(given.vllm, place, given.dtype) as base_url:
        served = overhead(work, base_url)
    here = work.on(None)
    backend = here.load()
    own = by_length(backend, here, given.batch)
    check_same("vLLM and hf", served, own)
    print(f"new tokens/s: {served.rate:.0f} vLLM through our client, {own.rate:.0f} hf in batches "
          f"of {given.batch}")  # fmt: skip
    print(f"vllm-vs-hf: {served.rate / own.rate:.1f}x (asked 1.0x)")
    text = backend.text
    texts = [text.decoded(ids, False) for ids in work.prompts(text)]
    n_characters = sum(len(text.decoded(ids)) for ids in served.answers)
    del backend, own  # room for vLLM on the accelerator
    peer = lm_eval(given.vllm, place, given.dtype, given.new_tokens, texts)
    if peer is None:
        print("lm-evaluation-harness is not installed beside vLLM: not measured")
        return
    seconds, n_of_peer = peer  # its answers are texts, so that characters are compared
    ratio = (n_characters / served.seconds) / (n_of_peer / seconds)
    print(f"characters/s: {n_characters / served.seconds:.0f}, lm-eval {n_of_peer / seconds:.0f}")
    print(f"vllm-vs-lm-eval: {ratio:.2f}x (asked 0.95x)")


def main() -> None:
    """Print all ratios that can be measured here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vllm", type=Path, help="interpreter of vLLM's environment")
    parser.add_argument("--model", type=Path, help="folder of weights; default: the demo's")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--questions", type=int, default=32, help="each under three prompts")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16, help="of hf")
    given = parser.parse_args()
    os.environ["BENCH_KEY"] = KEY
    with tempfile.TemporaryDirectory() as name:
        folder = tiny_llama(Path(name) / "model")
        at_once(folder)
        if given.vllm:
            engines(given, Path(name))
        else:
            with running(folder) as server:
                overhead(tiny_work(folder, 48, 32), server.base_url)


if __name__ == "__main__":
    main()
