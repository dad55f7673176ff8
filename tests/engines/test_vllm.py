"""The real vLLM, started as an array task starts it: its answers, and that it ends with it."""

import json
import os
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from empathy_core import engines
from empathy_core.backends.server.process import (
    ServerLaunch,
    ServerProcess,
    filled,
    request,
)
from empathy_core.engines.probe import versions
from empathy_core.errors import EngineError
from empathy_core.models import model
from empathy_core.weights import locate
from tests.engines.conftest import ROOT
from tests.engines.families import kill, left_of, roles, writing_to

QUESTION = [1, 4093, 198, 36218, 15876, 30, 2, 198, 1, 520, 9531, 198]
"""``<|im_start|>user\\nSay hi.<|im_end|>\\n<|im_start|>assistant\\n``"""


def _launch(python: str, log: Path, **changed: str) -> ServerLaunch:
    """Return the launch of the recipe that ships, for the demo's model on this processor."""
    recipe = tomllib.loads((Path(engines.__file__).parent / "vllm.toml").read_text())
    weights = str(locate(str(model("smollm2_135m_instruct").weights)))
    values = {"python": python, "weights": weights, "dtype": "float32", "context": "512"}
    values |= {"gpus": "1", **changed}
    command = tuple(filled(part, values) for part in recipe["command"])
    processors = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment = {**recipe["environment"], **processors}
    return ServerLaunch("vllm", (*command, "--enforce-eager"), environment, log, recipe["health"])


def _complete(server: ServerProcess, **settings: Any) -> dict[str, Any]:
    body = {"model": server.served_name, "temperature": 0, "return_token_ids": True, **settings}
    asked = urllib.request.Request(
        f"{server.url}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"},
    )
    with urllib.request.urlopen(asked, timeout=300) as answer:
        return dict(json.load(answer))


@pytest.fixture(scope="module")
def server(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests that only ask."""
    log = tmp_path_factory.mktemp("vllm") / "log.txt"
    with ServerProcess(_launch(vllm_python, log)) as started:
        yield started
    assert left_of(log, patience_s=0) == {}


def test_it_returns_the_ids_that_were_sent_and_those_of_the_answer(server: ServerProcess):
    """The end token is among them, as our own backend counts it; the text has it not."""
    answer = _complete(
        server, prompt=[QUESTION], max_tokens=60, ignore_eos=True, stop_token_ids=[2]
    )
    [choice] = answer["choices"]

    assert choice["prompt_token_ids"] == QUESTION
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", 2)
    assert choice["token_ids"][-1] == 2
    assert answer["usage"]["completion_tokens"] == len(choice["token_ids"])
    assert "<|im_end|>" not in choice["text"]


def test_its_answer_is_that_of_transformers(server: ServerProcess):
    """Token by token, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    weights = locate(str(model("smollm2_135m_instruct").weights))
    ours = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    expected = ours.generate(torch.tensor([QUESTION]), max_new_tokens=24, do_sample=False)
    [choice] = _complete(server, prompt=[QUESTION], max_tokens=24)["choices"]

    assert choice["token_ids"] == expected[0, len(QUESTION) :].tolist()


def test_it_gives_the_probabilities_of_the_tokens_that_are_asked_for(server: ServerProcess):
    """Exactly those, as transformers has them."""
    import torch
    from transformers import AutoModelForCausalLM

    labels = [28, 57, 19556]
    weights = locate(str(model("smollm2_135m_instruct").weights))
    ours = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    with torch.no_grad():
        expected = torch.log_softmax(ours(torch.tensor([QUESTION])).logits[0, -1], -1)
    [choice] = _complete(
        server, prompt=[QUESTION], max_tokens=1, logprobs=1, logprob_token_ids=labels,
        return_tokens_as_token_ids=True,
    )["choices"]  # fmt: skip
    [found] = choice["logprobs"]["top_logprobs"]

    assert {f"token_id:{label}" for label in labels} <= set(found)
    for label in labels:
        assert found[f"token_id:{label}"] == pytest.approx(expected[label].item(), abs=1e-4)


def test_it_refuses_another_key_and_says_its_version(server: ServerProcess, vllm_python: str):
    """The version is the one that a plan is told without starting it."""
    assert request(f"{server.url}/v1/models", "other")[0] == 401
    version = json.loads(request(f"{server.url}/version")[1])["version"]

    assert version in versions(vllm_python, ["vllm"])["vllm"]


def test_its_key_is_in_no_arguments_and_not_in_its_log(server: ServerProcess):
    """Nor in what it keeps of its settings."""
    lines = [
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, 4)
    ]

    assert not any(server.key.encode() in line for line in lines)
    assert server.key not in server.log.read_text()


def test_a_context_window_that_the_model_has_not_is_told(vllm_python: str, tmp_path: Path):
    """With the reason that vLLM gives, and nothing is left of it."""
    launch = _launch(vllm_python, tmp_path / "log.txt", context="500000")
    with pytest.raises(EngineError, match="max_model_len"):
        ServerProcess(launch).start()

    assert left_of(launch.log, patience_s=0) == {}


TASK = """
import json, sys, time
from pathlib import Path
from empathy_core.backends.server.process import ServerLaunch, ServerProcess
command, environment, log = json.loads(sys.argv[1])
server = ServerProcess(ServerLaunch("vllm", tuple(command), environment, Path(log)))
server.start()
print("ready", flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_vllm_when_its_task_is_killed(vllm_python: str, tmp_path: Path):
    """Its engine and its worker would live on."""
    launch = _launch(vllm_python, tmp_path / "log.txt")
    given = json.dumps([launch.command, dict(launch.environment), str(launch.log)])
    with subprocess.Popen(
        [sys.executable, "-c", TASK, given], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as task:  # fmt: skip
        assert task.stdout
        assert task.stdout.readline() == "ready\n"
        assert len(writing_to(launch.log)) >= 5  # two supervisors, and at least three of vLLM
        kill(task.pid)

        assert left_of(launch.log) == {}


def test_nothing_is_left_of_vllm_when_it_is_killed_itself(server: ServerProcess):
    """The last test of the shared server: its engine and its worker outlive its first process."""
    assert len(writing_to(server.log)) >= 5
    kill(roles(server.log)["server"])

    assert left_of(server.log) == {}
    assert not server.is_alive()
