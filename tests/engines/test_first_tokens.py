"""A server that begins finished answers otherwise is another model, and nothing is lost by it."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from empathy_core.backends import Answer, Request
from empathy_core.errors import ModelError
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.planning.plan_file import last_plan
from jobs.stages.first_tokens import LEAST, ROWS, check_first_tokens
from tests.engines.running import KEY, NAME, RunningServer, running
from tests.engines.test_engine_runs import rows, stand
from tests.engines.test_server_backend import GREEDY, condition, engine, model
from tests.runs.command_line import launch, write_config, write_questions
from tests.tiny_models import tiny_llama

N = 10
FINISHED = [
    {"example": f"e-{i}", "sample": 0}
    | asdict(Answer(f"one two three {i}", "eos", f"sha-{i}", output_ids=tuple(range(i, i + 12))))
    for i in range(N)
]


class Stub:
    """Answers by what it is given: place → answer; else as it was made."""

    def __init__(self, unlike: dict[int, Answer], *, ids: bool = True) -> None:
        self._unlike, self._ids = unlike, ids
        self.asked: list[tuple[Condition, list[Request]]] = []

    def answer(self, made: Condition, requests: list[Request]) -> list[Answer]:
        """Return what it says."""
        self.asked.append((made, requests))
        answers = []
        for request in requests:
            place = int(request.example.partition("-")[2])
            row = FINISHED[place]
            ids = row["output_ids"][: made.decoding.max_new_tokens] if self._ids else ()
            alike = Answer("one two th", "length", row["prompt_sha256"], output_ids=ids)
            answers.append(self._unlike.get(place, alike))
        return answers


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Condition:
    """A condition on a server, whose weights nobody loads."""
    server = RunningServer("http://127.0.0.1:9", None)  # type: ignore[arg-type]
    return condition(model(tmp_path_factory.mktemp("no") / "weights", engine(server)))


def ask(server: Stub, made: Condition, finished: list[dict[str, Any]] = FINISHED) -> None:
    """Check a server against finished answers."""
    check_first_tokens(server, made, finished, lambda row: Request(row["example"], 0, "why?"))


def other(place: int, **changes: Any) -> Answer:
    """Return what another model says."""
    usual = Answer("I hear", "length", f"sha-{place}", output_ids=(7, 7, 7))
    return replace(usual, **changes)


@pytest.mark.parametrize("ids", [True, False])
def test_most_of_at_least_four_answers_must_differ(made: Condition, ids: bool):
    """A near tie that is decided otherwise in a few answers is no other model."""
    unlike = {i: other(i, output_ids=(7, 7) if ids else ()) for i in range(5)}
    half = {i: unlike[i] for i in range(4)}

    ask(Stub(half, ids=ids), made)
    ask(Stub(unlike, ids=ids), made, FINISHED[: LEAST - 1])
    with pytest.raises(ModelError, match=r"begins 5 of 8 answers of tiny\.none") as told:
        ask(Stub(unlike, ids=ids), made)

    assert "e-0: 'I hear', not 'one two th'" in str(told.value)
    assert told.value.exit_code == 2


def test_few_answers_are_begun_and_no_further_than_they_may_be(made: Condition):
    server = Stub({})
    ask(server, made)
    [(asked, requests)] = server.asked

    assert len(requests) == ROWS
    assert asked.decoding == replace(GREEDY, max_new_tokens=8)


def test_what_cannot_be_compared_is_not(made: Condition):
    """Draws, other prompts, what a filter withheld, and what holds nothing say nothing."""
    unlike = {i: other(i) for i in range(N)}
    drawn = replace(made, decoding=replace(made.decoding, sample=True))
    sampled = Stub(unlike)
    ask(sampled, drawn)
    assert sampled.asked == []
    ask(Stub({i: replace(a, prompt_sha256="other") for i, a in unlike.items()}), made)
    silent = [row | {"stop": "filter"} for row in FINISHED[:5]]
    empty = [row | {"text": "", "output_ids": ()} for row in FINISHED[5:]]
    nothing = Stub(unlike)
    ask(nothing, made, [*silent, *empty])
    assert nothing.asked == []


def test_a_server_that_renders_the_prompts_is_warned_of(
    made: Condition, caplog: pytest.LogCaptureFixture
):
    """Hosted models vary under greedy decoding: that alone refuses none."""
    hosted = replace(made.model, engine=replace(made.model.engine, prompts="messages"))
    assert hosted.rendered_elsewhere
    with caplog.at_level(logging.WARNING):
        ask(Stub({i: other(i) for i in range(N)}), replace(made, model=hosted))

    assert "it runs another model" in caplog.text


CONFIG = """
name = "served"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 4
[generation]
shards = 1
[decoding.greedy]
max_new_tokens = 12
[engines.there]
base_url = "@URL@"
key_variable = "STAND_IN_KEY"
returns_tokens = true
takes = ["min_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop"]
max_in_flight = 2
max_retries = 1
[models.served]
weights = "./tiny"
architecture = "decoder"
engine = "there"
served_name = "@NAME@"
prompts = ["none"]
[metrics.length]
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sweep a run on the server at a port."""
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    write_questions(tmp_path, 24)

    def swept(url: str) -> Any:
        text = CONFIG.replace("@URL@", url).replace("@NAME@", NAME)
        write_config(tmp_path, text, "served.toml")
        return launch("sweep", "--config", "served.toml", "--executor", "local", cwd=tmp_path)

    return swept


def test_a_run_is_not_gone_on_with_by_another_model_at_the_same_address(tmp_path: Path, sweep: Any):
    """Same name, same port, same tokenizer, other weights: refused; with the first it goes on."""
    one, two = tiny_llama(tmp_path / "tiny"), tiny_llama(tmp_path / "other", layers=1)
    with running(one, "--fault", "die_after=10") as first:
        begun = sweep(first.base_url)
        port = str(urlsplit(first.url).port)
    run = RunDir(tmp_path / "runs" / "served")
    kept = stand(run, last_plan(run)[0], "served")
    with running(two, "--port", port) as second:
        refused = sweep(second.base_url)
        assert stand(run, last_plan(run)[0], "served") == kept
    with running(one, "--port", port) as third:
        done = sweep(third.base_url)

    assert begun.returncode == 2
    assert kept >= LEAST
    assert refused.returncode == 2
    assert "it runs another model, or another build of it" in refused.stdout + refused.stderr
    assert done.returncode == 0, done.stderr
    assert rows(run.root, "served").height == 24
