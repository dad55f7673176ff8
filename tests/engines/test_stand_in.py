"""The stand-in is a sound server: transformers' own answers, vLLM's forms, and faults on demand."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.engines.running import (
    KEY,
    NAME,
    RunningServer,
    alive,
    children,
    command,
    running,
)
from tests.engines.stand_in import TinyModel
from tests.patience import until
from tests.runs.command_line import environment
from tests.tiny_models import TEXT, tiny_llama
from tests.zoo_models import make

QUESTIONS = ["I feel sad.", "How can I sleep better?", TEXT[:120], "a", "Thank you"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def prompts(tokenizer: Any) -> list[list[int]]:
    return tokenizer(QUESTIONS)["input_ids"]


@pytest.fixture(scope="module")
def shared_server(folder: Path) -> Iterator[RunningServer]:
    with running(folder) as started:
        yield started


@pytest.fixture
def server(shared_server: RunningServer) -> Iterator[RunningServer]:
    before = shared_server.set_faults()
    before.pop("happened")
    yield shared_server
    shared_server.set_faults(**before)


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, timeout=300) as made:
        yield made


def generated(model: Any, prompt: list[int], n: int = 24, **settings: Any) -> list[int]:
    """Return transformers' own answer to a prompt alone."""
    ids = torch.tensor([prompt])
    settings = {"max_new_tokens": n, "do_sample": False, "pad_token_id": 2, **settings}
    output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
    return output[0, len(prompt) :].tolist()


def complete(server: RunningServer, prompt: Any, **asked: Any) -> list[dict[str, Any]]:
    """Return the choices of a greedy completion of 24 tokens."""
    asked = {"max_tokens": 24, "temperature": 0, "return_token_ids": True, **asked}
    return server.ask("/completions", prompt=prompt, **asked)["choices"]


# ---------------------------------------------------------------------------- answers


def test_greedy_answers_are_those_of_transformers(
    server: RunningServer, model: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    """Ids and texts of a list of prompts are those of generate for each alone."""
    choices = complete(server, prompts)
    assert [choice["index"] for choice in choices] == list(range(len(prompts)))
    for prompt, choice in zip(prompts, choices, strict=True):
        expected = generated(model, prompt)
        assert choice["token_ids"] == expected
        assert choice["prompt_token_ids"] == prompt
        assert choice["text"] == tokenizer.decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize("family", ["gpt2", "mistral", "gemma2"])
def test_other_families_answer_as_transformers_does(family: str, tmp_path: Path) -> None:
    """Without HTTP, which is the same for all."""
    folder = make(family, tmp_path / family)
    engine, model = TinyModel(folder), AutoModelForCausalLM.from_pretrained(folder)
    for question in QUESTIONS:
        prompt = engine.encoded(question, special=True)
        made = engine.answer(prompt, {"temperature": 0, "max_tokens": 24})
        assert made.ids == generated(model, prompt)


def test_a_prompt_may_be_text_or_ids_or_several(
    server: RunningServer, prompts: list[list[int]]
) -> None:
    """The tokenizer's special tokens are added to text, and usage counts all prompts."""
    several = complete(server, prompts)
    assert complete(server, QUESTIONS) == several
    assert complete(server, prompts[1])[0]["token_ids"] == several[1]["token_ids"]
    assert complete(server, QUESTIONS[1])[0]["token_ids"] == several[1]["token_ids"]
    usage = server.ask("/completions", prompt=prompts, max_tokens=3, ignore_eos=True)["usage"]
    assert usage["prompt_tokens"] == sum(map(len, prompts))
    assert usage["completion_tokens"] == 3 * len(prompts)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_ends_at_its_end_token_and_says_why(
    server: RunningServer, model: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    """The end token is in the ids and not in the text; ignored it is one like any other."""
    whole = generated(model, prompts[0], eos_token_id=None)
    end = whole[5]
    n = whole.index(end) + 1
    [stopped] = complete(server, prompts[0], stop_token_ids=[end])
    assert stopped["token_ids"] == whole[:n]
    assert stopped["text"] == tokenizer.decode(whole[: n - 1], skip_special_tokens=True)
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", end)
    [given] = complete(server, prompts[0], stop_token_ids=[1], ignore_eos=True, max_tokens=200)
    assert (given["token_ids"][-1], given["stop_reason"]) == (1, 1)
    [ignored] = complete(server, prompts[0], ignore_eos=True)
    assert ignored["token_ids"] == whole
    assert (ignored["finish_reason"], ignored["stop_reason"]) == ("length", None)


def test_no_end_comes_before_min_tokens(
    server: RunningServer, model: Any, prompts: list[list[int]]
) -> None:
    whole = generated(model, prompts[0], eos_token_id=None)
    [choice] = complete(server, prompts[0], stop_token_ids=[whole[1]], min_tokens=6)
    expected = generated(model, prompts[0], min_new_tokens=6, eos_token_id=[1, whole[1]])
    assert choice["token_ids"] == expected
    assert len(expected) >= 6


def test_a_stop_text_ends_the_answer_before_it(
    server: RunningServer, prompts: list[list[int]]
) -> None:
    [whole] = complete(server, prompts[0])
    stop = whole["text"][4:6]
    [cut] = complete(server, prompts[0], stop=["never there", stop])
    assert cut["text"] == whole["text"][: whole["text"].index(stop)]
    assert (cut["finish_reason"], cut["stop_reason"]) == ("stop", stop)
    assert whole["token_ids"][: len(cut["token_ids"])] == cut["token_ids"]


def test_the_repetition_penalty_is_that_of_transformers(
    server: RunningServer, model: Any, prompts: list[list[int]]
) -> None:
    expected = [generated(model, p, repetition_penalty=1.3) for p in prompts]
    choices = complete(server, prompts, repetition_penalty=1.3)
    assert [c["token_ids"] for c in choices] == expected
    assert expected != [generated(model, p) for p in prompts]


def test_samples_depend_on_the_seed_and_nothing_else(
    server: RunningServer, prompts: list[list[int]]
) -> None:
    """Alone and among others the same; another seed, another answer; n samples differ."""
    asked = {"temperature": 1.5, "seed": 3}
    first = [c["token_ids"] for c in complete(server, prompts, **asked)]
    alone = [complete(server, p, **asked)[0]["token_ids"] for p in reversed(prompts)]
    assert alone[::-1] == first
    assert [c["token_ids"] for c in complete(server, prompts, temperature=1.5, seed=4)] != first
    two = [c["token_ids"] for c in complete(server, prompts[0], n=2, **asked)]
    assert two[0] == first[0] != two[1]


def test_sampling_stays_inside_top_k_and_top_p(
    server: RunningServer, prompts: list[list[int]]
) -> None:
    """The most probable token alone is greedy decoding."""
    greedy = complete(server, prompts)
    assert complete(server, prompts, temperature=2.0, top_k=1) == greedy
    assert complete(server, prompts, temperature=2.0, top_p=1e-9) == greedy


# ---------------------------------------------------------------------------- logprobs


def log_probabilities(model: Any, ids: list[int]) -> torch.Tensor:
    """Return log-probabilities after each token, of shape (tokens, vocabulary)."""
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def test_prompt_logprobs_are_those_of_a_forward_pass(
    server: RunningServer, model: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    """Null for the first token; then the token itself, with its rank, and the most probable."""
    prompt = prompts[1]
    [choice] = complete(server, prompt, prompt_logprobs=2, max_tokens=1)
    expected = log_probabilities(model, prompt)
    assert choice["prompt_logprobs"][0] is None
    assert len(choice["prompt_logprobs"]) == len(prompt)
    for i, found in enumerate(choice["prompt_logprobs"][1:]):
        own = found[str(prompt[i + 1])]
        assert own["logprob"] == pytest.approx(float(expected[i, prompt[i + 1]]), abs=1e-4)
        assert own["rank"] == int((expected[i] > expected[i, prompt[i + 1]]).sum()) + 1
        assert own["decoded_token"] == tokenizer.decode([prompt[i + 1]])
        assert {str(t) for t in expected[i].topk(2).indices.tolist()} <= set(found)
    [bare] = complete(server, prompt, prompt_logprobs=0, max_tokens=1)
    assert [set(found) for found in bare["prompt_logprobs"][1:]] == [{str(t)} for t in prompt[1:]]


def test_logprobs_of_answers_and_echoed_prompts(
    server: RunningServer, model: Any, prompts: list[list[int]]
) -> None:
    """As OpenAI's completions: four lists of one entry a token, those of the prompt first."""
    prompt = prompts[0]
    asked = {"logprobs": 3, "echo": True, "return_tokens_as_token_ids": True}
    [choice] = complete(server, prompt, max_tokens=4, ignore_eos=True, **asked)
    ids = [*prompt, *choice["token_ids"]]
    expected = log_probabilities(model, ids)
    found = choice["logprobs"]
    assert found["tokens"] == [f"token_id:{token}" for token in ids]
    assert found["token_logprobs"][0] is None
    for i, value in enumerate(found["token_logprobs"][1:]):
        assert value == pytest.approx(float(expected[i, ids[i + 1]]), abs=1e-4)
        assert len(found["top_logprobs"][i + 1]) in (3, 4)
    [chosen] = complete(server, prompt, max_tokens=1, logprobs=0, logprob_token_ids=[7, 9],
                        return_tokens_as_token_ids=True)  # fmt: skip
    [top] = chosen["logprobs"]["top_logprobs"]
    assert top["token_id:9"] == pytest.approx(float(expected[len(prompt) - 1, 9]), abs=1e-4)


def test_echo_without_new_tokens_gives_the_prompt_back(server: RunningServer) -> None:
    [choice] = complete(server, QUESTIONS[1], echo=True, max_tokens=0)
    assert (choice["text"], choice["token_ids"]) == (QUESTIONS[1], [])
    with pytest.raises(HTTPError, match="400"):
        complete(server, QUESTIONS[1], max_tokens=0)


# ---------------------------------------------------------------------------- chat


def test_chat_answers_the_prompt_that_the_template_renders(
    client: openai.OpenAI, model: Any, tokenizer: Any
) -> None:
    messages = [{"role": "user", "content": QUESTIONS[0]}]
    answer = client.chat.completions.create(
        model=NAME, messages=messages, max_completion_tokens=12, temperature=0,
        extra_body={"return_token_ids": True},
    )  # fmt: skip
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    [choice] = answer.choices
    assert answer.prompt_token_ids == prompt
    assert choice.token_ids == generated(model, prompt, 12)
    assert choice.message.content == tokenizer.decode(choice.token_ids, skip_special_tokens=True)
    assert answer.usage.prompt_tokens == len(prompt)


def test_a_thought_stands_apart_and_is_counted(
    server: RunningServer, client: openai.OpenAI, tokenizer: Any
) -> None:
    """A budget shortens it; an answer that is all thought has no content."""
    server.set_faults(think=5)
    asked = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
    answer = client.chat.completions.create(
        **asked, max_completion_tokens=12, extra_body={"return_token_ids": True, "ignore_eos": True}
    )
    message, ids = answer.choices[0].message, answer.choices[0].token_ids
    assert message.reasoning_content == tokenizer.decode(ids[:5], skip_special_tokens=True)
    assert message.content == tokenizer.decode(ids[5:], skip_special_tokens=True)
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5
    short = client.chat.completions.create(**asked, extra_body={"thinking_token_budget": 2})
    assert short.usage.completion_tokens_details.reasoning_tokens == 2
    cut = client.chat.completions.create(**asked, max_completion_tokens=3)
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == (None, "length")


def test_logprobs_of_chat_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=NAME, messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=2,
        temperature=0, logprobs=True, top_logprobs=4, extra_body={"ignore_eos": True},
    )  # fmt: skip
    for step in answer.choices[0].logprobs.content:
        assert len(step.top_logprobs) == 4
        assert step.logprob == step.top_logprobs[0].logprob  # greedy
        assert [t.logprob for t in step.top_logprobs] == sorted(
            (t.logprob for t in step.top_logprobs), reverse=True
        )


# ---------------------------------------------------------------------------- the server itself


def test_it_names_its_model_window_and_version(server: RunningServer) -> None:
    [listed] = server.ask("/models")["data"]
    assert (listed["id"], listed["max_model_len"]) == (NAME, 512)
    with urlopen(f"{server.url}/version") as answer:
        assert json.load(answer) == {"version": "0.0.stand-in"}
    server.set_faults(list_as="other", max_model_len=64)
    [listed] = server.ask("/models")["data"]
    assert (listed["id"], listed["max_model_len"]) == ("other", 64)


def test_what_was_asked_can_be_looked_up(folder: Path) -> None:
    """Bodies in order, how often each prompt, how many at once; and never the key."""
    with running(folder, "--instant", "--fault", "latency=0.3") as server:
        assert server.seen()["n_requests"] == 0
        with ThreadPoolExecutor(3) as three:
            prompts = [[5, 6], [[5, 6], [7]], "text"]
            sent = [three.submit(server.ask, "/completions", prompt=p) for p in prompts]
            assert all(answer.result()["choices"] for answer in sent)
        seen = server.seen()
    assert seen["n_requests"] == 3
    assert seen["asked"] == {"[5, 6]": 2, "[7]": 1, "text": 1}
    assert (seen["max_in_flight"], seen["in_flight"]) == (3, 0)
    assert KEY not in json.dumps(seen)


def test_instant_answers_depend_on_the_prompt_alone(folder: Path, tokenizer: Any) -> None:
    """Two servers agree, answers end at the end token or the limit, and text is that of the ids."""
    prompts = [[i, i + 1] for i in range(5, 105)]
    with running(folder, "--instant") as one, running(folder, "--instant") as two:
        first, second = complete(one, prompts), complete(two, prompts[::-1])
    assert [c["token_ids"] for c in second[::-1]] == [c["token_ids"] for c in first]
    assert {c["finish_reason"] for c in first} == {"stop", "length"}
    assert len({tuple(c["token_ids"]) for c in first}) == len(prompts)
    for choice in first:
        assert choice["text"] == tokenizer.decode(choice["token_ids"], skip_special_tokens=True)
        ended = choice["token_ids"][-1] == tokenizer.eos_token_id
        assert ended == (choice["finish_reason"] == "stop")


def test_the_port_is_taken_before_the_model_is_loaded(folder: Path) -> None:
    """As with vLLM: nobody can take it meanwhile, nobody is answered, and a second server ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment({"STAND_IN_API_KEY": KEY})
    slow = subprocess.Popen(
        command(folder, "--instant", "--slow-start", "2", port=port), env=env, stdout=-1
    )
    try:
        second = _second_server(folder, port, slow)
        assert b"Address already in use" in second.stderr
        assert slow.stdout is not None
        assert str(port) in slow.stdout.readline().decode()
    finally:
        slow.kill()
        slow.wait()


def _second_server(folder: Path, port: int, first: Any) -> subprocess.CompletedProcess[bytes]:
    """Start one on the same port while the first loads, and return how it ended."""
    until(lambda: first.poll() is not None or not _is_free(port), nap_s=0.02)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    second = command(folder, "--instant", port=port)
    return subprocess.run(second, env=environment(), capture_output=True, check=False, timeout=300)


def _is_free(port: int) -> bool:
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_it_dies_at_start_as_for_lack_of_memory_but_only_once(folder: Path, tmp_path: Path) -> None:
    once = ["--instant", "--once", str(tmp_path / "once")]
    died = subprocess.run(
        command(folder, *once, "--fault", "die_at_start=1"),
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert died.returncode == 1
    assert "torch.OutOfMemoryError: CUDA out of memory" in died.stderr
    with running(folder, *once, "--fault", "die_at_start=1") as server:
        assert complete(server, [5, 6])


def test_its_children_outlive_it_unless_someone_ends_them(folder: Path) -> None:
    with running(folder, "--instant", "--children", "2", python=sys.executable) as server:
        started = [pid for pid in children(server.process.pid) if alive(pid)]
    try:
        assert len(started) >= 2
        assert all(map(alive, started))
    finally:
        for pid in started:
            subprocess.run(["kill", "-9", str(pid)], check=True)


# ---------------------------------------------------------------------------- faults


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.completions.create(model=NAME, prompt=[5, 6, 7], max_tokens=4, **more)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("wrong_key", openai.AuthenticationError),
        ("key_in_error", openai.AuthenticationError),
        ("rate_limited", openai.RateLimitError),
        ("no_quota", openai.RateLimitError),
        ("error_500", openai.InternalServerError),
        ("error_502", openai.InternalServerError),
        ("error_503", openai.InternalServerError),
        ("garbage", (json.JSONDecodeError, UnicodeDecodeError)),
        ("filtered_prompt", openai.BadRequestError),
        ("chat_only", openai.NotFoundError),
        ("cut", openai.APIConnectionError),
    ],
)
def test_a_fault_happens_as_often_as_asked(
    server: RunningServer, client: openai.OpenAI, fault: str, error: Any
) -> None:
    """Twice, then no more; and it is counted."""
    before = server.set_faults(**{fault: 2})["happened"].get(fault, 0)
    for _ in range(2):
        with pytest.raises(error):
            ask(client)
    assert ask(client).choices
    assert server.set_faults()["happened"][fault] == before + 2


def test_a_wrong_or_missing_key_is_refused(server: RunningServer) -> None:
    def status(path: str, key: str | None) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            return urlopen(Request(server.url + path, headers=headers)).status
        except HTTPError as error:
            return error.code

    keys = ("another", "", KEY[:-1], None)
    assert [status("/v1/models", key) for key in keys] == [401] * 4
    assert status("/v1/models", KEY) == 200
    assert status("/health", None) == 200


def test_a_client_waits_as_long_as_it_is_told(server: RunningServer) -> None:
    """The client sends the request again after the seconds of Retry-After."""
    server.set_faults(rate_limited=2, retry_after=0.2)
    patient = openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=3)
    started = time.monotonic()
    assert ask(patient).choices
    assert time.monotonic() - started >= 0.4


def test_requests_above_a_rate_are_refused(server: RunningServer, client: openai.OpenAI) -> None:
    server.set_faults(rate=3, rate_window_s=3600)  # of what came before nothing is counted
    answered = []
    for _ in range(6):
        try:
            answered.append(bool(ask(client).choices))
        except openai.RateLimitError as error:
            assert error.response.headers["Retry-After"] == "1.0"  # noqa: PT017
    assert answered == [True] * 3


def test_a_request_can_hang(server: RunningServer, client: openai.OpenAI) -> None:
    """The client gives up; the server forgets the request when it hangs up."""
    server.set_faults(hang=1)
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=0.5)
    assert ask(client).choices
    assert until(lambda: server.seen()["in_flight"] == 0)


def test_html_of_a_proxy_is_no_answer(server: RunningServer, client: openai.OpenAI) -> None:
    server.set_faults(html=1)
    assert "<html>" in str(ask(client))


def test_answers_can_lack_what_was_asked_for(server: RunningServer, client: openai.OpenAI) -> None:
    asked = {"logprobs": 1, "temperature": 0, "extra_body": {"return_token_ids": True}}
    sound = ask(client, **asked)
    assert sound.choices[0].prompt_token_ids == [5, 6, 7]
    server.set_faults(empty_choices=1)
    assert ask(client, **asked).choices == []
    server.set_faults(no_usage=1)
    assert ask(client, **asked).usage is None
    server.set_faults(no_token_ids=1)
    assert not hasattr(ask(client, **asked).choices[0], "token_ids")
    server.set_faults(no_logprobs=1)
    assert ask(client, **asked).choices[0].logprobs is None
    server.set_faults(other_ids=1)
    assert ask(client, **asked).choices[0].prompt_token_ids == [6, 7, 8]
    assert ask(client, **asked).choices == sound.choices


def test_a_prompt_can_be_cut_in_silence(server: RunningServer) -> None:
    """Usage and the ids given back tell."""
    server.set_faults(cut_prompt=2)
    answer = server.ask("/completions", prompt=[5, 6, 7], max_tokens=1, return_token_ids=True)
    assert answer["choices"][0]["prompt_token_ids"] == [6, 7]
    assert answer["usage"]["prompt_tokens"] == 2


def test_choices_can_be_fewer_or_in_another_order(server: RunningServer) -> None:
    server.set_faults(fewer_choices=1)
    assert len(complete(server, [[5], [6], [7]])) == 2
    server.set_faults(shuffled_choices=1)
    assert [c["index"] for c in complete(server, [[5], [6], [7]])] == [2, 1, 0]


def test_a_filter_and_a_refusal_are_said(server: RunningServer, client: openai.OpenAI) -> None:
    asked = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
    server.set_faults(content_filter=2, refusal=0)
    assert ask(client).choices[0].finish_reason == "content_filter"
    filtered = client.chat.completions.create(**asked).choices[0]
    assert (filtered.finish_reason, filtered.message.content) == ("content_filter", "")
    server.set_faults(refusal=1)
    message = client.chat.completions.create(**asked).choices[0].message
    assert (message.content, message.refusal) == (
        None,
        "I'm sorry, but I can't help with that.",
    )


def test_what_it_does_not_do_is_refused(server: RunningServer, client: openai.OpenAI) -> None:
    """Prompts of no or unknown tokens, another model's name, vLLM's settings, and logprobs."""
    for prompt in ([], [[5], []], [10_000]):
        with pytest.raises(openai.BadRequestError):
            client.completions.create(model=NAME, prompt=prompt)
    with pytest.raises(openai.NotFoundError, match="`other` does not exist"):
        client.completions.create(model="other", prompt="a")
    with pytest.raises(openai.BadRequestError, match="more than 20"):
        ask(client, logprobs=21)
    server.set_faults(strict=1, refuse_logprobs=2)
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument"):
        ask(client, extra_body={"min_tokens": 1})
    for asked in ({"logprobs": 0}, {"extra_body": {"prompt_logprobs": 0}}):
        with pytest.raises(openai.BadRequestError, match="no logprobs"):
            ask(client, **asked)


def test_a_smaller_window_refuses_prompts_and_cuts_answers(
    server: RunningServer, client: openai.OpenAI
) -> None:
    """An answer is cut in silence, as vLLM does; a prompt that is too long is refused."""
    server.set_faults(max_model_len=5)
    answer = ask(client, extra_body={"ignore_eos": True})  # 3 tokens, and 4 wanted
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 2)
    server.set_faults(max_model_len=3)
    with pytest.raises(openai.BadRequestError, match="max_tokens must be at least 1, got 0"):
        ask(client)
    server.set_faults(max_model_len=2)
    with pytest.raises(openai.BadRequestError, match="maximum context length is 2 tokens"):
        ask(client)


def test_it_dies_after_so_many_requests(folder: Path) -> None:
    """The next one finds nobody, and the process has ended."""
    with running(folder, "--instant", "--fault", "die_after=2") as server:
        mortal = openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0)
        assert [len(ask(mortal).choices) for _ in range(2)] == [1, 1]
        with pytest.raises(openai.APIConnectionError):
            ask(mortal)
        assert server.process.wait(10) == 1


def test_an_unknown_fault_is_refused(server: RunningServer, folder: Path) -> None:
    with pytest.raises(HTTPError, match="400"):
        server.set_faults(nonsense=1)
    done = subprocess.run(
        command(folder, "--fault", "nonsense=1"),
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "nonsense" in done.stderr
