"""The local executor: its share of the machine for each worker."""

from pathlib import Path

import pytest

from empathy_core.backends.gpus import list_gpus
from empathy_core.store import RunDir
from jobs.executors import local
from jobs.executors.local import LocalExecutor, Settings, environment
from jobs.planning.plan import Task


def test_workers_share_the_cores_and_their_threads_sleep(monkeypatch: pytest.MonkeyPatch):
    """Four workers on eight cores get two threads each, and no thread spins."""
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda _: set(range(8)))

    shares = environment(Settings(workers=4))

    assert shares["OMP_NUM_THREADS"] == "2"
    assert shares["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment(Settings(workers=4, threads=5))["OMP_NUM_THREADS"] == "5"


def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """GPUs are dealt to workers in turn; none is named where there is none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    available = list_gpus()

    dealt = [local._gpu(number, available) for number in range(3)]

    assert [share["CUDA_VISIBLE_DEVICES"] for share in dealt] == ["2", "5", "2"]
    assert local._gpu(0, []) == {}


@pytest.mark.slow  # starts workers
def test_a_worker_that_cannot_start_is_a_failure_with_its_log(tmp_path: Path):
    """A plan that is not there fails the task, and the message names where to look."""
    executor = LocalExecutor(RunDir(tmp_path), tmp_path / "no-plan.json", Settings())

    (outcome,) = executor.execute([Task("generate", "m", 0, 1)], lambda rows, tokens: None)

    assert not outcome.ok
    assert outcome.exit_code == 1
    assert "no-plan.json" in (tmp_path / "logs" / "workers.log").read_text()
