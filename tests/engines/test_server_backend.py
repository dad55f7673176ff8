"""What a server answers is what transformers answers, and what goes wrong there loses nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from empathy_core import backends, prompts
from empathy_core.backends import Answer, Request
from empathy_core.backends.server.budget import Budget
from empathy_core.errors import ConfigError, ModelError
from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding, EngineSpec, ModelSpec
from tests.engines.running import KEY, NAME, RunningServer, running
from tests.tiny_models import tiny_llama

QUESTIONS = [
    "I cannot sleep and I worry about everything.",
    "My partner left me.",
    "Why do I feel numb all the time, even when good things happen to me and my family?",
    "My partner left me.",  # asked twice
    "ok",
]
REQUESTS = [Request(f"q-{i}", 0, text) for i, text in enumerate(QUESTIONS)]
GREEDY = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny Llama."""
    return tiny_llama(tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[RunningServer]:
    """Run a stand-in for all tests of this module."""
    with running(folder) as server:
        yield server


@pytest.fixture
def server(started: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Give the stand-in with its faults cleared, and the key in the environment."""
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    before = started.set_faults()
    yield started
    calm = {k: v for k, v in before.items() if not isinstance(v, dict)}
    started.set_faults(**calm)


def engine(server: RunningServer, **changes: Any) -> EngineSpec:
    """Return an engine that takes token ids and gives them back, as vLLM does."""
    takes = ("min_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop")
    usual = EngineSpec(
        name="stand_in", base_url=server.base_url, key_variable="STAND_IN_KEY", takes=takes,
        returns_tokens=True, seeds=True, max_retries=2, max_in_flight=4,
    )  # fmt: skip
    return replace(usual, **changes)


def model(folder: Path, engine: EngineSpec | None, **changes: Any) -> ModelSpec:
    """Return the tiny model, on an engine or in this process."""
    spec = ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder), engine=engine)
    return replace(spec, **{"served_name": NAME, **changes})


def condition(spec: ModelSpec, decoding: Decoding = GREEDY, **changes: Any) -> Condition:
    """Return a condition of the shipped prompt that is a question alone."""
    return replace(Condition(spec, prompts.prompt("none"), decoding), **changes)


def answered(made: Condition, run: Path, requests: list[Request] = REQUESTS) -> list[Answer]:
    """Return the answers to *requests*."""
    backend = backends.load(made.model, run=RunDir(run))
    try:
        return backend.answer(made, requests)
    finally:
        backend.close()


def spent(run: Path) -> Path:
    """Return the file that keeps what was spent, one for each server."""
    [path] = (run / "budget").glob("*.json")
    return path


def both(
    folder: Path, on: EngineSpec, run: Path, decoding: Decoding = GREEDY, **changes: Any
) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of transformers in this process, and of the server."""
    here, there = condition(model(folder, None), decoding), condition(model(folder, on), decoding)
    return answered(replace(here, **changes), run), answered(replace(there, **changes), run)


@pytest.mark.parametrize(
    "decoding",
    [
        GREEDY,
        replace(GREEDY, repetition_penalty=1.3),
        replace(GREEDY, min_new_tokens=9),
        replace(GREEDY, stop=("e", "the")),
    ],
    ids=["greedy", "penalty", "at-least", "stop"],
)
def test_a_server_gives_the_same_ids_as_transformers(
    folder: Path, server: RunningServer, tmp_path: Path, decoding: Decoding
):
    here, there = both(folder, engine(server), tmp_path, decoding)

    assert there == here
    assert any(answer.output_ids for answer in there)


def test_chat_prompts_are_rendered_by_the_suite(
    folder: Path, server: RunningServer, tmp_path: Path
):
    chat = {"chat": True, "prompt": prompts.prompt("prompt1")}
    here, there = both(folder, engine(server), tmp_path, **chat)

    assert there == here
    assert all(isinstance(seen["prompt"], list) for seen in _bodies(server)[-2:])


def test_equal_prompts_are_asked_once_under_greedy_decoding(
    folder: Path, server: RunningServer, tmp_path: Path
):
    before = len(_bodies(server))

    answers = answered(condition(model(folder, engine(server))), tmp_path)

    assert len(_bodies(server)) - before == len(set(QUESTIONS))
    assert answers[1] == answers[3]


@pytest.mark.parametrize("fault", [{}, {"shuffled_choices": -1}], ids=["in-order", "shuffled"])
def test_several_prompts_go_into_a_request(
    folder: Path, server: RunningServer, tmp_path: Path, fault: dict[str, int]
):
    server.set_faults(**fault)
    before = len(_bodies(server))
    here, there = both(folder, engine(server, prompts_per_request=3), tmp_path)
    server.set_faults(shuffled_choices=0)

    assert there == here
    assert len(_bodies(server)) - before == 2


def test_a_draw_depends_on_its_row_alone(folder: Path, server: RunningServer, tmp_path: Path):
    """Whatever is asked beside it; and each sample is a draw of its own."""
    drawn = Decoding(max_new_tokens=12, sample=True, temperature=1.5, samples=3, seed=5)
    made = condition(model(folder, engine(server)), drawn)
    rows = [Request(r.example, s, r.context) for r in REQUESTS for s in range(3)]

    together = answered(made, tmp_path, rows)
    alone = answered(made, tmp_path, rows[4:5])
    other = answered(replace(made, decoding=replace(drawn, seed=6)), tmp_path, rows)

    assert together[4] == alone[0]
    assert len({answer.output_ids for answer in together[:3]}) == 3
    assert other != together


def test_without_ids_the_text_is_the_same(folder: Path, server: RunningServer, tmp_path: Path):
    server.set_faults(no_token_ids=-1)
    here, there = both(folder, engine(server, returns_tokens=False), tmp_path)
    server.set_faults(no_token_ids=0)

    assert [a.text for a in there] == [a.text for a in here]
    assert [a.prompt_sha256 for a in there] == [a.prompt_sha256 for a in here]
    assert [a.n_prompt_tokens for a in there] == [a.n_prompt_tokens for a in here]
    assert all(a.output_ids == () and a.n_output_tokens > 0 for a in there)


# ---------------------------------------------------------------------------- what is not proven


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"other_ids": -1}, "answered another prompt than was sent"),
        ({"cut_prompt": 3}, "3 ids instead of"),
        ({"no_token_ids": -1}, "has no 'token_ids'"),
        ({"garbage": -1}, "no JSON"),
        ({"html": -1}, "no JSON"),
        ({"empty_choices": -1}, "0 choices"),
        ({"rate_limited": -1, "retry_after": 0.1}, "rate limit held on"),
        ({"no_quota": -1, "retry_after": 0.1}, "rate limit held on"),
        ({"error_500": -1}, "does not answer (status 500"),
        ({"error_502": -1}, "does not answer (status 502"),
        ({"cut": -1}, "does not answer"),
        ({"wrong_key": -1}, "refused the key"),
        ({"key_in_error": -1}, "[key]"),
        ({"strict": -1}, "refused a request (400"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_end_is_told_and_ends(
    folder: Path, server: RunningServer, tmp_path: Path, fault: dict[str, Any], said: str
):
    """No key in any message, and nothing is asked forever."""
    made = condition(model(folder, engine(server, max_retries=1)))
    server.set_faults(**fault)
    before = len(_bodies(server))
    try:
        with pytest.raises(ModelError) as caught:
            answered(made, tmp_path)
    finally:
        server.set_faults(**{name: 0 for name in fault if name != "retry_after"})

    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(_bodies(server)) - before <= 4 * 2 * 2  # in flight, twice each, and the client's


@pytest.mark.parametrize(
    "fault",
    ["rate_limited", "error_500", "error_503", "garbage", "html", "empty_choices", "cut"],
)
def test_what_passes_costs_no_row(folder: Path, server: RunningServer, tmp_path: Path, fault: str):
    calm = answered(condition(model(folder, engine(server))), tmp_path)
    server.set_faults(**{fault: 2, "retry_after": 0.1})

    assert answered(condition(model(folder, engine(server))), tmp_path) == calm


def test_a_connection_that_hangs_is_given_up(folder: Path, server: RunningServer, tmp_path: Path):
    made = condition(model(folder, engine(server, request_timeout_s=10, max_retries=2)))
    calm = answered(condition(model(folder, engine(server))), tmp_path)
    server.set_faults(hang=2)
    assert answered(made, tmp_path) == calm

    server.set_faults(hang=-1)
    hasty = condition(model(folder, engine(server, request_timeout_s=1, max_retries=2)))
    with pytest.raises(ModelError, match="no answer within 1 s"):
        answered(hasty, tmp_path)
    server.set_faults(hang=0)


@pytest.mark.parametrize("fault", ["content_filter", "filtered_prompt"])
def test_what_a_filter_withholds_is_a_state_of_its_own(
    folder: Path, server: RunningServer, tmp_path: Path, fault: str
):
    server.set_faults(**{fault: 1})
    one_by_one = engine(server, max_in_flight=1)

    answers = answered(condition(model(folder, one_by_one)), tmp_path)

    assert [a.stop for a in answers].count("filter") == 1
    assert answers[0].stop == "filter"
    assert fault == "content_filter" or answers[0].text == ""


def test_prompts_beyond_the_servers_window_are_found_before_anything_is_sent(
    folder: Path, server: RunningServer, tmp_path: Path
):
    server.set_faults(max_model_len=20)
    before = len(_bodies(server))

    with pytest.raises(ModelError, match="takes 20 tokens, prompt and answer together"):
        answered(condition(model(folder, engine(server))), tmp_path)
    server.set_faults(max_model_len=0)

    assert len(_bodies(server)) == before


def test_a_server_of_another_model_is_refused(folder: Path, server: RunningServer, tmp_path: Path):
    with pytest.raises(ModelError, match=f"does not have 'gpt'; it has: {NAME}"):
        answered(condition(model(folder, engine(server), served_name="gpt")), tmp_path)


def test_no_server_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    nowhere = RunningServer("http://127.0.0.1:9", None)  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        answered(condition(model(folder, engine(nowhere))), tmp_path)


# ---------------------------------------------------------------------------- keys


def test_the_key_is_read_from_a_file_that_only_its_owner_reads(
    folder: Path, server: RunningServer, tmp_path: Path
):
    path = tmp_path / "key"
    made = condition(model(folder, engine(server, key_file=str(path), key_variable="")))
    with pytest.raises(ConfigError, match="cannot be read from"):
        answered(made, tmp_path)
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"mode 0644.*run: chmod 600 {path}"):
        answered(made, tmp_path)
    path.chmod(0o600)

    assert len(answered(made, tmp_path)) == len(REQUESTS)


def test_a_key_that_is_not_there_is_named(
    folder: Path, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("STAND_IN_KEY")
    with pytest.raises(ConfigError, match="STAND_IN_KEY is not set here"):
        answered(condition(model(folder, engine(server))), tmp_path)


# ---------------------------------------------------------------------------- budgets


def test_a_budget_of_requests_stops_before_it_is_passed(
    folder: Path, server: RunningServer, tmp_path: Path
):
    """Whatever the number in flight; and two tasks of a run share it."""
    limited = engine(server, max_requests=5)
    before = len(_bodies(server))
    answered(condition(model(folder, limited)), tmp_path)  # four distinct prompts

    with pytest.raises(ModelError, match="the budget is used up: 6 requests"):
        answered(condition(model(folder, limited)), tmp_path)

    assert len(_bodies(server)) - before == 5
    assert Budget(limited, spent(tmp_path)).spent()[1] == 5


def test_requests_that_the_client_repeats_count(
    folder: Path, server: RunningServer, tmp_path: Path
):
    """Two of the four are refused for a moment: six were sent, and the seventh is the last."""
    limited = engine(server, max_requests=7, max_in_flight=1)
    before = len(_bodies(server))
    server.set_faults(rate_limited=2)
    answered(condition(model(folder, limited)), tmp_path)

    assert Budget(limited, spent(tmp_path)).spent()[1] == 6
    with pytest.raises(ModelError, match="the budget is used up: 8 requests"):
        answered(condition(model(folder, limited)), tmp_path)
    assert len(_bodies(server)) - before == 7


def test_money_is_reserved_as_the_longest_answer_and_settled_as_the_real_one(
    folder: Path, server: RunningServer, tmp_path: Path
):
    prices = {"usd_per_million_prompt_tokens": 1e6, "usd_per_million_output_tokens": 2e6}
    priced = engine(server, max_usd=1e6, max_in_flight=1, **prices)

    answers = answered(condition(model(folder, priced)), tmp_path)

    once = [answers[i] for i in (0, 1, 2, 4)]
    exact = sum(a.n_prompt_tokens + 2 * a.n_output_tokens for a in once)
    assert Budget(priced, spent(tmp_path)).spent() == (exact, 4)
    tight = replace(priced, max_usd=exact + 2 * GREEDY.max_new_tokens)
    with pytest.raises(ModelError, match="the budget is used up"):
        answered(condition(model(folder, tight)), tmp_path)


def test_what_a_server_does_not_count_stays_reserved(
    folder: Path, server: RunningServer, tmp_path: Path
):
    """Else a budget would never end."""
    prices = {"usd_per_million_prompt_tokens": 0.0, "usd_per_million_output_tokens": 1e6}
    elsewhere = engine(server, prompts="messages", returns_tokens=False, max_usd=1e6, **prices)
    spec = model(folder, elsewhere, backend="server", weights=None, architecture=None)
    server.set_faults(no_usage=-1)

    answered(condition(spec, chat=True, prompt=prompts.prompt("prompt1")), tmp_path)
    server.set_faults(no_usage=0)

    assert Budget(elsewhere, spent(tmp_path)).spent() == (4 * GREEDY.max_new_tokens, 4)


# ---------------------------------------------------------------------------- messages


def test_a_server_renders_messages_and_says_what_it_counted(
    folder: Path, server: RunningServer, tmp_path: Path
):
    elsewhere = engine(server, prompts="messages", returns_tokens=False)
    spec = model(folder, elsewhere, backend="server", weights=None, architecture=None)
    server.set_faults(think=4)
    made = condition(spec, chat=True, prompt=prompts.prompt("prompt1"))

    answers = answered(made, tmp_path)
    server.set_faults(think=0)

    sent = _bodies(server)[-1]["messages"]
    assert [m["role"] for m in sent] == [m.role for m in prompts.prompt("prompt1").messages]
    assert all(a.n_prompt_tokens > 0 and a.n_output_tokens > 0 for a in answers)
    assert any(a.thought for a in answers)
    assert all(0 < a.n_thought_tokens <= 4 for a in answers)
    assert all(a.output_ids == () for a in answers)


def test_a_refusal_is_an_answer(folder: Path, server: RunningServer, tmp_path: Path):
    elsewhere = engine(server, prompts="messages", returns_tokens=False)
    spec = model(folder, elsewhere, backend="server", weights=None, architecture=None)
    server.set_faults(refusal=-1)

    answers = answered(condition(spec, chat=True, prompt=prompts.prompt("prompt1")), tmp_path)
    server.set_faults(refusal=0)

    assert all(a.text and a.stop == "eos" for a in answers)


def _bodies(server: RunningServer) -> list[dict[str, Any]]:
    return [r for r in server.seen()["requests"] if "prompt" in r or "messages" in r]


# ---------------------------------------------------------------------------- labels


LABELS = ((5,), (6, 7), (6, 8), (9,))
PROMPTS = ((1, 20, 21, 22), (1, 30), (1, 20, 21, 40, 41, 42))


@pytest.mark.parametrize("way", ["next_token", "prompt_logprobs", "echo"])
def test_labels_are_as_probable_as_transformers_has_them(
    folder: Path, server: RunningServer, tmp_path: Path, way: str
):
    ours: Any = backends.load(model(folder, None))
    here = ours.label_probabilities(PROMPTS, LABELS)
    backend: Any = backends.load(
        model(folder, engine(server, probabilities=way)), run=RunDir(tmp_path)
    )

    there = backend.label_probabilities(PROMPTS, LABELS)

    for own, served in zip(here, there, strict=True):
        assert served.probabilities == pytest.approx(own.probabilities, abs=1e-5)
        assert served.mass == pytest.approx(own.mass, abs=1e-5)
        assert 0 < served.mass < 1


@pytest.mark.parametrize(
    ("way", "fault", "said"),
    [
        (None, {}, "not known to tell probabilities"),
        ("prompt_logprobs", {"no_logprobs": -1}, "holds no logarithms"),
        ("prompt_logprobs", {"refuse_logprobs": -1}, "refused a request"),
        ("prompt_logprobs", {"other_ids": -1}, "answered another prompt"),
        ("echo", {"no_logprobs": -1}, "holds no logarithms"),
        ("next_token", {"no_logprobs": -1}, "holds no logarithms"),
        ("next_token", {"other_ids": -1}, "answered another prompt"),
        ("echo", {"max_model_len": 6}, "takes 6 tokens"),
    ],
)
def test_a_server_without_probabilities_is_told(
    folder: Path, server: RunningServer, tmp_path: Path, way: Any, fault: dict[str, int], said: str
):
    server.set_faults(**fault)
    try:
        spec = model(folder, engine(server, probabilities=way, max_retries=1))
        backend: Any = backends.load(spec, run=RunDir(tmp_path))
        with pytest.raises(ModelError, match=said):
            backend.label_probabilities(PROMPTS, LABELS)
    finally:
        server.set_faults(**dict.fromkeys(fault, 0))
