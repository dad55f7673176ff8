"""A whole run on the real vLLM: the ids of transformers in every row, whatever is killed."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

from empathy_core.store import RunDir
from jobs.planning.plan_file import last_plan
from jobs.planning.stages import GENERATE
from tests import preloaded
from tests.engines.families import left_of
from tests.engines.test_engine_runs import rows, stand
from tests.patience import until
from tests.runs.command_line import environment, launch, write_config

CONFIG = """
name = "vllm"
[data.sources.sample]
[evaluate]
split = "all"
unit = "question"
limit = 24
[generation]
shards = 1
[decoding.greedy]
max_new_tokens = 24
[engines.vllm]
python = "@PYTHON@"
arguments = ["--enforce-eager"]
context = 2048
max_in_flight = 16
environment = { VLLM_CPU_KVCACHE_SPACE = "1", OMP_WAIT_POLICY = "PASSIVE" }
[models.here]
use = "smollm2_135m_instruct"
label = "SmolLM2 here"
prompts = ["none", "prompt1", "prompt2"]
[models.served]
use = "smollm2_135m_instruct"
label = "SmolLM2 served"
engine = "vllm"
prompts = ["none", "prompt1", "prompt2"]
[metrics.length]
"""
KILLS = 2
"""First the launcher, then a worker; each of them costs a start of vLLM."""


def test_vllm_gives_the_ids_of_transformers_in_every_row_whatever_is_killed(
    vllm_python: str, tmp_path: Path
):
    """72 prompts in float32; launcher and worker are killed after some rows."""
    config = str(write_config(tmp_path, CONFIG.replace("@PYTHON@", vllm_python), "vllm.toml"))
    here = launch("sweep", "--config", config, "--set", "models.served.prompts=[]", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    run = RunDir(tmp_path / "runs" / "vllm")
    dry = launch("sweep", "--config", config, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr

    begun = _begin(run, config, tmp_path)
    kept = [begun, *(_kill_after_some(run, tmp_path) for _ in range(KILLS - 1))]
    done = launch("sweep", "--config", config, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert kept == sorted(kept)
    assert kept[0] > 0
    assert kept[-1] < 72
    ours, served = rows(run.root, "here"), rows(run.root, "served")
    assert served.height == 72
    assert served.equals(ours)
    page = (run.root / "report" / "index.html").read_text()
    assert "such a server forms its own batches" in page


def _begin(run: RunDir, config: str, folder: Path) -> int:
    """Begin the run and kill the launcher after the first rows of the server."""
    command = [preloaded.python(), "-m", "jobs.launch", "sweep", "--config", config]
    begun = subprocess.Popen(
        [*command, "--executor", "local"],
        cwd=folder, env=environment(), stdout=-3, stderr=-3, start_new_session=True,
    )  # fmt: skip
    _await_rows(run, 0)
    begun.kill()
    begun.wait()
    return _left(run)


def _kill_after_some(run: RunDir, folder: Path) -> int:
    """Start a worker on the server's shard, and kill it once there are more rows."""
    plan, path = last_plan(run)
    task = next(task for task in GENERATE.tasks(plan) if task.key == "served")
    before = _stand(run)
    worker = subprocess.Popen(
        [preloaded.python(), "-m", "jobs.executors.worker", str(run.root), str(path)],
        cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=-3, stderr=-3, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(asdict(task)) + "\n")
    worker.stdin.flush()
    _await_rows(run, before)
    worker.kill()
    worker.wait()
    return _left(run)


def _stand(run: RunDir) -> int:
    plan, _ = last_plan(run)
    return stand(run, plan, "served")


def _await_rows(run: RunDir, n: int) -> None:
    assert until(lambda: _stand(run) > n, 900, nap_s=0.1), "no row came"


def _left(run: RunDir) -> int:
    """Return how many rows stand once nothing of the server is left."""
    for log in run.logs.glob("engine-*.log"):
        assert left_of(log) == {}
    return _stand(run)
