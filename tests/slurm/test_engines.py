"""Array tasks that start a server each: two of them beside each other, and none that is left."""

import json
import re
from contextlib import suppress
from pathlib import Path

from tests.engines.test_engine_runs import ELSEWHERE, rows, servers, written
from tests.engines.test_vllm_runs import CONFIG as VLLM
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, job_ids, launch, quick

CONFIG = ("--config", "served.toml")


def test_array_tasks_have_a_server_each_and_leave_none(cluster: Cluster, tmp_path: Path):
    """Two ports at one time; after scancel no server; after another sweep the same answers."""
    hold = tmp_path / "hold"
    hold.touch()
    written(tmp_path, 32, more=quick(SLURM), instant=True, fault=f"hold={hold}")
    first = launch(cluster, "sweep", *CONFIG, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    cluster.wait_for(lambda: len(_ports(tmp_path)) == 2)
    cluster.run("scancel", job_ids(first.stdout)[0])
    cluster.wait_for(lambda: not servers(tmp_path))
    drained(cluster)
    hold.unlink()

    again = launch(cluster, "sweep", *CONFIG, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    drained(cluster)

    here = launch(cluster, "sweep", *CONFIG, "--executor", "local", "--name", "here", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    ran, calm = (rows(tmp_path / "runs" / name, "served") for name in ("served", "here"))
    assert ran.height == 64
    assert ran.equals(calm)
    assert servers(tmp_path) == []


def test_a_preemption_that_ends_the_server_first_is_no_failure(cluster: Cluster, tmp_path: Path):
    """Slurm tells the server to end, too: the task does not fail by it, and is run again.

    It failed in its grace time for want of a server, and Slurm took it to have ended by itself.
    """
    slurm = SLURM + "partition = 'scavenge'\n"
    written(tmp_path, 16, more=quick(slurm), instant=True, fault="latency=5")
    once = ("--set", "engines.stand_in.max_restarts=0", "--set", "generation.shards=1")
    begun = launch(cluster, "sweep", *CONFIG, *once, cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    run = tmp_path / "runs" / "served"
    cluster.wait_for(lambda: list(run.glob("generations/*/journal/*.jsonl")))
    cluster.submit(
        "--partition=cpu", "-N3", "--exclusive", "-t1", "-o", "/dev/null", "--wrap", "sleep 8"
    )
    drained(cluster)

    assert rows(run, "served").height == 32
    told = launch(
        cluster, "explain", "generate-served-00000-of-00001", *CONFIG, "--json", cwd=tmp_path
    )
    [array_task] = json.loads(told.stdout)
    assert [attempt["kind"] for attempt in array_task["attempts"]] == ["preempted", "done"]
    assert servers(tmp_path) == []


def _ports(folder: Path) -> set[str]:
    """Return the ports of the servers that run for models in *folder*."""
    lines = [Path(f"/proc/{pid}/cmdline") for pid in servers(folder)]
    words = [path.read_bytes().decode() for path in lines if path.exists()]
    return {found[1] for word in words if (found := re.search(r"--port\0(\d+)", word))}


def test_the_key_of_a_server_elsewhere_stands_nowhere(cluster: Cluster, tmp_path: Path):
    """Not in a plan, a script or a log of a sweep that is refused."""
    written(tmp_path, 4, more=ELSEWHERE.replace("https://models.example.org", "http://127.0.0.1:9"))
    key = {"GATEWAY_KEY": "not-to-be-seen"}

    done = launch(cluster, "sweep", *CONFIG, cwd=tmp_path, env=key)

    assert done.returncode == 2, done.stdout
    assert "no server answers at http://127.0.0.1:9/v1" in done.stderr
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(b"not-to-be-seen" not in path.read_bytes() for path in found)


def test_array_tasks_start_a_vllm_each(cluster: Cluster, vllm_python: str, tmp_path: Path):
    """Two real servers at one time, on two ports: the ids of transformers, and nothing is left."""
    changes = {
        "@PYTHON@": vllm_python, '["none", "prompt1", "prompt2"]': '["none"]',
        "limit = 24": "limit = 8\nblock_size = 4", "shards = 1": "shards = 2",
    }  # fmt: skip
    text = VLLM + SLURM.replace("mem_gb = 0.4", "mem_gb = 6")
    for old, new in changes.items():
        text = text.replace(old, new)
    (tmp_path / "served.toml").write_text(text)
    done = launch(cluster, "sweep", *CONFIG, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cluster.wait_for(lambda: len(_ports_of_vllm(tmp_path)) == 2)
    drained(cluster)

    here, served = (rows(tmp_path / "runs" / "vllm", name) for name in ("here", "served"))
    assert served.height == 8
    assert served["output_ids"].to_list() == here["output_ids"].to_list()
    assert _ports_of_vllm(tmp_path) == set()


def _ports_of_vllm(folder: Path) -> set[str]:
    """Return the ports of the servers whose output goes to a log in *folder*."""
    ports = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            found = re.search(r"vllm\.entrypoints.*--port\0(\d+)", words)
            if found and str((process / "fd/2").readlink()).startswith(str(folder)):
                ports.add(found[1])
    return ports
