"""Whole runs on a server that each task starts: proven rows, kills, identity, bad input."""

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import store
from empathy_core.store import RunDir
from jobs.planning.plan_file import last_plan
from jobs.planning.stages import GENERATE
from tests import preloaded
from tests.engines.running import alive
from tests.patience import until
from tests.runs.command_line import (
    ROOT,
    contents,
    environment,
    launch,
    write_config,
    write_questions,
)
from tests.tiny_models import tiny_llama

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
shards = 2
[decoding.greedy]
max_new_tokens = 16
[engines.stand_in]
command = [
  "{python}", "-m", "tests.engines.stand_in", "--model", "{weights}", "--port", "{port}",
  "--served-name", "{served_name}",
]
python = "@PYTHON@"
packages = ["transformers"]
returns_tokens = true
seeds = true
max_in_flight = 4
max_restarts = 5
takes = ["min_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop"]
environment = { STAND_IN_API_KEY = "{key}", PYTHONPATH = "@ROOT@" }
[models.served]
weights = "./tiny"
architecture = "decoder"
engine = "stand_in"
prompts = ["none", "prompt1"]
[metrics.length]
[metrics.diagnostics]
[local]
workers = 2
threads = 1
"""
HF = '[models.here]\nweights = "./tiny"\narchitecture = "decoder"\nprompts = ["none", "prompt1"]\n'
KILLS = 50


def written(
    folder: Path, n: int = 24, *, more: str = "", instant: bool = False, fault: str = ""
) -> str:
    """Write the configuration, *n* questions and a tiny model; return the configuration's path.

    Args:
        folder: Where they are written.
        n: Questions.
        more: Of the configuration.
        instant: Whether the server answers at once, without a model.
        fault: What goes wrong in it.
    """
    tiny_llama(folder / "tiny")
    write_questions(folder, n)
    text = CONFIG.replace("@PYTHON@", preloaded.python()).replace("@ROOT@", str(ROOT))
    words = ['"--instant", '] * instant + [f'"--fault", "{fault}", '] * bool(fault)
    text = text.replace('"--served-name"', "".join(words) + '"--served-name"')
    return str(write_config(folder, text + more, "served.toml"))


def rows(run: Path, model: str) -> pl.DataFrame:
    """Return the answers of a model, in the order of prompts and examples."""
    found = [
        pl.read_parquet(path).with_columns(prompt=pl.lit(path.parent.name.split(".")[1]))
        for path in sorted(run.glob(f"generations/{model}.*/*.parquet"))
    ]
    return pl.concat(found).sort("prompt", "example", "sample").drop("condition")


def test_a_run_on_a_server_of_its_own_is_a_run_like_any_other(tmp_path: Path):
    """Same answers as transformers in every column; the server leaves nothing behind."""
    done = launch("sweep", "--config", written(tmp_path, more=HF), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "served"
    here, there = rows(run, "here"), rows(run, "served")
    assert there.height == 48
    assert there.equals(here)
    assert "stand_in" in (run / "report" / "index.html").read_text()
    assert servers(tmp_path) == []
    secret = json.dumps(asdict(last_plan(RunDir(run))[0]), default=str)
    assert "{key}" in secret  # the place of the key, and no key
    started = len(list(run.glob("logs/engine-*")))
    again = launch("sweep", "--config", str(tmp_path / "served.toml"), cwd=tmp_path)
    assert again.returncode == 0
    assert len(list(run.glob("logs/engine-*"))) == started <= 2  # a worker's shards share one


def servers(folder: Path) -> list[int]:
    """Return the servers that run for models in *folder*."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{folder}/tiny".encode() in words and alive(int(path.name)):
            found.append(int(path.name))
    return found


def test_fifty_kills_of_task_and_server_leave_the_same_bytes(tmp_path: Path):
    """Rows that are in the journal are not asked again, and no server outlives its task."""
    config = written(tmp_path, 300, instant=True, fault="latency=0.2")
    assert launch("sweep", "--config", config, "--name", "calm", cwd=tmp_path).returncode == 0
    run = RunDir(tmp_path / "runs" / "wild")
    _begin(run, config, tmp_path)
    chance, kept = random.Random(15), [0]  # no secret
    for i in range(KILLS):
        kept.append(_kill_once(run, tmp_path, chance, server=i % 3 == 1, starting=i % 5 == 0))
        assert kept[-1] >= kept[-2], "rows were lost"
        _all_gone(tmp_path)
    final = launch("sweep", "--config", config, "--name", "wild", cwd=tmp_path)

    assert final.returncode == 0, final.stderr
    assert contents(run.root) == contents(tmp_path / "runs" / "calm")
    assert len(set(kept)) > KILLS // 10  # they met work that was under way


def _begin(run: RunDir, config: str, folder: Path) -> None:
    """Plan the run: begin it and end the launcher as soon as the plan is there."""
    command = [preloaded.python(), "-m", "jobs.launch", "sweep", "--config", config]
    begun = subprocess.Popen(
        [*command, "--name", "wild", "--executor", "local"],
        cwd=folder, env=environment(), stdout=-1, stderr=-1, start_new_session=True,
    )  # fmt: skip
    assert until(run.plans, nap_s=0.005)
    begun.kill()
    begun.communicate()
    _all_gone(folder)


def _kill_once(
    run: RunDir, folder: Path, chance: random.Random, *, server: bool, starting: bool
) -> int:
    """Start a worker on the first shard, kill it or its server, and return how many rows stand."""
    plan, path = last_plan(run)
    task = GENERATE.tasks(plan)[0]
    before = _written(run)
    worker = subprocess.Popen(
        [preloaded.python(), "-m", "jobs.executors.worker", str(run.root), str(path)],
        cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=-3,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(asdict(task)) + "\n")
    worker.stdin.flush()
    if starting:
        time.sleep(chance.uniform(0.0, 1.5))
    else:
        until(lambda: _written(run) > before or _ended(run), nap_s=0.02)
        time.sleep(chance.uniform(0.0, 0.1))
    for pid in servers(folder) if server else ():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if server:
        time.sleep(chance.uniform(0.0, 0.5))
    worker.kill()
    worker.communicate()
    return stand(run, plan, "served")


def _ended(run: RunDir) -> bool:
    """Tell whether the first shard has all its rows, under both prompts."""
    return len(list(run.root.glob("generations/*/*.parquet"))) == 2


def _written(run: RunDir) -> int:
    """Return the bytes of all journals and pieces."""
    paths = [*run.root.glob("generations/**/*.jsonl"), *run.root.glob("generations/*/*.parquet")]
    return sum(path.stat().st_size for path in paths if path.exists())


def stand(run: RunDir, plan: Any, model: str) -> int:
    """Return how many answers of a model stand in journals and pieces."""
    keys = set()
    for condition in plan.of_model(model):
        for path in run.journals(condition.id).glob("*.jsonl"):
            keys |= {(condition.id, *key) for key in store.read_journal_rows(path)}
        for path in store.list_pieces(run.generations(condition.id)):
            frame = pl.read_parquet(path, columns=["example", "sample"])
            keys |= {(condition.id, *row) for row in frame.iter_rows()}
    return len(keys)


def _all_gone(folder: Path) -> None:
    assert until(lambda: not servers(folder), nap_s=0.02), "a server outlived its task"


# ---------------------------------------------------------------------------- bad input

ELSEWHERE = """
[engines.gateway]
base_url = "https://models.example.org/v1"
key_variable = "GATEWAY_KEY"
[models.hosted]
engine = "gateway"
prompts = ["none"]
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["models.served.engine='vlm'"], "unknown engine 'vlm'. Did you mean 'vllm'?"),
        (["models.served.engine='vllm'"], "name the interpreter of its environment"),
        (["engines.stand_in.python='/nowhere/python'"], "/nowhere/python cannot be started"),
        (["engines.stand_in.packages=['nothing_such']"], "has no module nothing_such"),
        (["engines.stand_in.takes=[]", "decoding.greedy.min_new_tokens=3"], "known to follow"),
        (["models.served.quantization='nf4'"], "loads weights as they are stored"),
        (["models.served.architecture='encoder-decoder'"], "runs decoders"),
        (["engines.stand_in.base_url='http://10.0.0.1/v1'"], "give one of them"),
        (["engines.other.base_url='http://10.0.0.1/v1'"], "insecure_http = true"),
        (["engines.other.base_url='https://u:p@h/v1'"], "put the key in key_file"),
        (["engines.stand_in.commnd=['x']"], "Did you mean 'command'?"),
        (["engines.stand_in.request={max_tokens=9}"], "which prompt and decoding decide"),
        (["engines.stand_in.takes=['temprature']"], "no setting of a decoding"),
        (["engines.stand_in.command=['x']"], "its command lacks {port}"),
        (
            ["engines.stand_in.prompts_per_request=2", "engines.stand_in.returns_tokens=false"],
            "needs returns_tokens = true",
        ),
        (["engines.other.base_url='http://127.0.0.1:99999/v1'"], "is no address"),
        (
            [
                "engines.other.base_url='http://127.0.0.1:9/v1'",
                "models.served.engine='other'",
                "models.served.fold_system=true",
                "engines.other.prompts='messages'",
            ],
            "fold_system has no effect",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(
    tmp_path: Path, change: list[str], said: str
):
    config = written(tmp_path, 4)
    changes = [word for one in change for word in ("--set", one)]

    done = launch("sweep", "--config", config, *changes, cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not list(tmp_path.glob("runs/served/generations/*"))


def test_texts_do_not_leave_unless_their_source_says_so(tmp_path: Path):
    config = written(tmp_path, 4, more=ELSEWHERE)

    kept = launch("sweep", "--config", config, cwd=tmp_path)
    let = launch("sweep", "--config", config, "--set", "data.sources.made.may_leave=true",
                 cwd=tmp_path)  # fmt: skip

    assert kept.returncode == let.returncode == 2
    assert "sends every question to models.example.org" in kept.stderr
    assert "[data.sources.made]" in kept.stderr
    assert "GATEWAY_KEY is not set" in let.stderr


def test_a_command_that_does_not_start_a_server_is_told_with_its_log(tmp_path: Path):
    config = written(tmp_path, 4, fault="die_at_start=1")

    done = launch("sweep", "--config", config, cwd=tmp_path)

    assert done.returncode != 0
    assert "out of memory" in (done.stdout + done.stderr).lower()


def test_a_server_that_dies_is_started_again_and_a_few_times_only(tmp_path: Path):
    """What was under way is asked again; what was answered is kept when the task gives up."""
    config = written(tmp_path, 24, instant=True, fault="die_after=20")
    few = "engines.stand_in.max_restarts=0"

    given_up = launch("sweep", "--config", config, "--set", few, cwd=tmp_path)
    run = RunDir(tmp_path / "runs" / "served")
    kept = stand(run, last_plan(run)[0], "served")
    done = launch("sweep", "--config", config, cwd=tmp_path)

    assert given_up.returncode == 2, given_up.stderr
    assert "the server died 1 time;" in given_up.stdout + given_up.stderr
    assert kept > 0
    assert done.returncode == 0, done.stderr
    assert rows(run.root, "served").height == 48
    assert servers(tmp_path) == []


def test_another_version_of_the_engine_is_another_condition(tmp_path: Path):
    """No cell mixes engines: what is launched otherwise stands in a folder of its own."""
    config = written(tmp_path, 8, instant=True)
    first = launch("sweep", "--config", config, cwd=tmp_path)
    changed = 'engines.stand_in.arguments=["--fault","latency=0.01"]'
    other = launch("sweep", "--config", config, "--set", changed, cwd=tmp_path)

    assert first.returncode == other.returncode == 0, other.stderr
    folders = list((tmp_path / "runs/served/generations").glob("served.none.*"))
    assert len(folders) == 2
